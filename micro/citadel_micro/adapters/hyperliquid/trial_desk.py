"""Sends one test order to Hyperliquid, with the requests and the connection of real orders."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from citadel_micro.adapters.hyperliquid.codes import refusal
from citadel_micro.adapters.hyperliquid.dialect import HyperDialect
from citadel_micro.adapters.hyperliquid.messages import StatusAnswer
from citadel_micro.adapters.hyperliquid.orders import hyper_dialect
from citadel_micro.adapters.hyperliquid.requests import query
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.shell.account_facts import StepResult
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.order_ids import OrderIds
from citadel_micro.shell.venue.outcomes import Answered
from citadel_micro.shell.venue.trial_desk import DialectTrialDesk
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.shell.account_facts import AccountQuery


class _TestIds(ClientIds):
    """Of the test order, whose id is none of a run: 128 bits of it, so that it is found again."""

    def theirs(self, ours: str) -> str:
        return f"0x{hashlib.blake2b(ours.encode(), digest_size=16).hexdigest()}"


class HyperTrialDesk(DialectTrialDesk[HyperDialect]):
    """As ``shell.account_facts.TrialDesk``; ``open`` comes first. It changes no setting.

    Args:
        query: the account, and its addresses.
    """

    def __init__(self, query: AccountQuery) -> None:
        dialect, _ = hyper_dialect(
            query.venue,
            query.instruments,
            query.key,
            VenueClock(query.now),
            query.now,
            rest_url=address_of(query, "private_rest_url"),
            ws_url=address_of(query, "ws_api_url"),
            leverage=query.section.leverage,
            mode=query.section.margin_mode,
        )
        super().__init__(query, dialect)
        self._ids = OrderIds(lambda _changes: None, _TestIds("hex"))
        self._dialect.know(self._ids, lambda _events: None)

    async def last_price(self, symbol: str) -> Decimal:
        """The middle of the book: the venue has no last price of one perpetual."""
        coin = self._query.instruments[symbol].venue_symbol
        outcome = await self._ask(query("allMids"))
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{symbol}: {outcome.reason}")
        try:
            return msgspec.json.decode(outcome.body, type=dict[str, Decimal])[coin]
        except (msgspec.MsgspecError, KeyError) as error:
            raise VenueViolation(f"{symbol}: the price is not as documented: {error}") from None

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""
        said = await self._said(self._dialect.place(order))
        if isinstance(said, StepResult):
            return said
        found = next((fact for fact in said if isinstance(fact, OrderFact)), None)
        if found is None:
            return StepResult(done=False, text="the answer says nothing of the order")
        text = f"{found.standing}, the venue calls it {found.venue_order_id}"
        return StepResult(done=found.standing == "open", text=text)

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it by our id."""
        user, oid = self._query.key.account.lower(), self._ids.theirs(order.client_id)
        outcome = await self._ask(query("orderStatus", user=user, oid=oid))
        if not isinstance(outcome, Answered):
            return StepResult(done=False, text=outcome.reason)
        refused = refusal(outcome)
        if refused is not None:
            return StepResult(done=False, text=refused.text)
        try:
            told = msgspec.json.decode(outcome.body, type=StatusAnswer)
        except msgspec.MsgspecError as error:
            return StepResult(done=False, text=f"not as documented: {error}")
        if told.order is None:
            return StepResult(done=False, text=told.status)
        row = told.order.order
        filled = row.orig_sz - row.sz
        text = f"{told.order.status}, {filled:f} of {row.orig_sz:f} filled"
        wanted = "open" if rests else "canceled"
        return StepResult(done=told.order.status == wanted and not filled, text=text)

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """The venue changes no order in place."""
        del order, quantity_lots
        return None

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it by our id."""
        refused = await self._refused(self._dialect.cancel(command, None))
        return refused or StepResult(done=True, text="canceled")
