"""Sends one test order to Binance spot, with the requests and the connection of real orders."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from citadel_micro.adapters.binance.error_codes import refusal
from citadel_micro.adapters.binance.orders import LIMITS, ws_api_address
from citadel_micro.adapters.binance.spot_dialect import SpotDialect
from citadel_micro.adapters.binance.spot_messages import Order
from citadel_micro.adapters.binance.spot_requests import SpotRequests, SpotSigner
from citadel_micro.adapters.binance.usdm_dialect import UsdmDialect
from citadel_micro.shell.account_facts import StepResult
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.facts import OrderFact, TradeFact
from citadel_micro.shell.venue.outcomes import Answered
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.signing import signer_of
from citadel_micro.shell.venue.trial_desk import DialectTrialDesk
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.venue.facts import Fact


class _Price(msgspec.Struct):
    price: Decimal


class SpotTrialDesk(DialectTrialDesk[SpotDialect | UsdmDialect]):
    """As ``shell.account_facts.TrialDesk``; ``open`` comes first.

    Args:
        query: the account, and its addresses.
    """

    price_method = "ticker.price"

    def __init__(self, query: AccountQuery) -> None:
        self._requests, dialect = self._parts(query)
        super().__init__(query, dialect)

    def _parts(self, query: AccountQuery) -> tuple[SpotRequests, SpotDialect | UsdmDialect]:
        """What the requests of real orders are made and sent by."""
        requests, clock = SpotRequests(query.instruments), VenueClock(query.now)
        dialect = SpotDialect(
            url=ws_api_address(address_of(query, "ws_api_url")),
            where=f"venues.{query.venue}.ws_api_url",
            instruments=query.instruments,
            requests=requests,
            signer=SpotSigner(query.key, signer_of(query.key), clock),
            clock=clock,
            budget=RequestBudget(LIMITS),
            rest=None,
            now=query.now,
        )
        return requests, dialect

    async def last_price(self, symbol: str) -> Decimal:
        """Of the last trade."""
        rules = self._query.instruments[symbol]
        outcome = await self._ask(
            Request(
                purpose="query",
                method=self.price_method,
                params={"symbol": rules.venue_symbol},
                costs={"weight": 2},
                signed=False,
            )
        )
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{symbol}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is not None:
            raise VenueViolation(f"{symbol}: {refused.text}")
        try:
            return msgspec.json.decode(outcome.body, type=_Price).price
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{symbol}: the price is not as documented: {error}") from None

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""
        said = await self._said(self._dialect.place(order))
        if isinstance(said, StepResult):
            return said
        return _standing(said, "open")

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it by our id."""
        name = {"origClientOrderId": order.client_id}
        request = self._requests.status(order.symbol, name)
        outcome = await self._ask(request)
        if not isinstance(outcome, Answered):
            return StepResult(done=False, text=outcome.reason)
        refused = refusal(outcome)
        if refused is not None:
            return StepResult(done=False, text=refused.text)
        try:
            row = msgspec.json.decode(outcome.body, type=Order)
        except msgspec.MsgspecError as error:
            return StepResult(done=False, text=f"not as documented: {error}")
        filled = row.executed_qty
        text = f"{row.status}, {filled or 0:f} of {row.orig_qty.normalize():f} filled"
        wanted = row.status == "NEW" if rests else row.status in {"CANCELED", "EXPIRED"}
        return StepResult(done=wanted and not filled, text=text)

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """Less quantity at the same price, in place."""
        request = self._smaller(order, quantity_lots)
        if isinstance(request, str):
            return None
        said = await self._said(request)
        return said if isinstance(said, StepResult) else _standing(said, "open")

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it by our id."""
        said = await self._said(self._dialect.cancel(command, None))
        return said if isinstance(said, StepResult) else _standing(said, "canceled")


def _standing(said: list[Fact], wanted: str) -> StepResult:
    orders = [fact for fact in said if isinstance(fact, OrderFact)]
    filled = any(isinstance(fact, TradeFact) for fact in said)
    if not orders:
        return StepResult(done=False, text="the answer says nothing of the order")
    last = orders[-1]
    filled = filled or last.cumulative_lots > 0
    text = f"{last.standing}, the venue calls it {last.venue_order_id}"
    return StepResult(
        done=last.standing == wanted and not filled, text=text + (", and filled" if filled else "")
    )
