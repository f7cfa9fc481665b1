"""Sends one test order to Kraken, with the requests and the connection of real orders."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.kraken.codes import refusal
from citadel_micro.adapters.kraken.dialect import KrakenDialect
from citadel_micro.adapters.kraken.messages import pair_name
from citadel_micro.adapters.kraken.orders import budget_of, kraken_dialect
from citadel_micro.shell.account_facts import StepResult
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.dialect import Found, Request
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.outcomes import Answered
from citadel_micro.shell.venue.trial_desk import DialectTrialDesk, as_ours
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.venue.facts import Fact

TRIES: Final = 5
"""A cancel is acknowledged before it is done: so often the order is looked up, a second apart."""


class _Ticker(msgspec.Struct):
    c: list[Decimal]
    """Price and size of the last trade."""


class _Tickers(msgspec.Struct):
    result: dict[str, _Ticker]


class KrakenTrialDesk(DialectTrialDesk[KrakenDialect]):
    """As ``shell.account_facts.TrialDesk``; ``open`` comes first.

    Args:
        query: the account, and its addresses.
    """

    def __init__(self, query: AccountQuery) -> None:
        dialect = kraken_dialect(
            query.venue,
            query.instruments,
            query.key,
            VenueClock(query.now),
            budget_of(query.instruments),
            query.now,
            rest_url=address_of(query, "private_rest_url"),
            ws_url=address_of(query, "ws_api_url"),
        )
        super().__init__(query, dialect)

    async def last_price(self, symbol: str) -> Decimal:
        """Of the last trade."""
        name = pair_name(self._query.instruments[symbol])
        request = Request(purpose="query", method="Ticker", params={"pair": name}, signed=False)
        outcome = await self._ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{symbol}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is not None:
            raise VenueViolation(f"{symbol}: {refused.text}")
        try:
            told = msgspec.json.decode(outcome.body, type=_Tickers, strict=False).result
            return next(iter(told.values())).c[0]
        except (msgspec.MsgspecError, StopIteration, IndexError) as error:
            raise VenueViolation(f"{symbol}: the price is not as documented: {error}") from None

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""
        said = await self._said(self._dialect.place(order))
        return said if isinstance(said, StepResult) else _acknowledged(said)

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it by our id."""
        found = await self._dialect.find(self._ask, as_ours(order), deep=False)
        if not isinstance(found, Found):
            return StepResult(done=False, text=found.text)
        fact = found.order
        text = f"{fact.standing}, the venue calls it {fact.venue_order_id}"
        if fact.cumulative_lots:
            return StepResult(done=False, text=f"{text}, and filled")
        return StepResult(done=(fact.standing == "open") is rests, text=text)

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """Change its quantity to a smaller one."""
        request = self._smaller(order, quantity_lots)
        if isinstance(request, str):
            return None
        said = await self._said(request)
        return said if isinstance(said, StepResult) else _acknowledged(said)

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it by our id, and look until it is gone."""
        said = await self._said(self._dialect.cancel(command, None))
        if isinstance(said, StepResult):
            return said
        ours = OurOrder(command.client_id, command.symbol, "", 0, 0, 0, 0)
        text = "the cancel is acknowledged, and not seen done"
        for _ in range(TRIES):
            found = await self._dialect.find(self._ask, ours, deep=False)
            if isinstance(found, Found) and found.order.standing == "canceled":
                text = f"canceled, the venue calls it {found.order.venue_order_id}"
                filled = bool(found.order.cumulative_lots)
                return StepResult(done=not filled, text=text + (", and filled" if filled else ""))
            await asyncio.sleep(1.0)
        return StepResult(done=False, text=text)


def _acknowledged(said: list[Fact]) -> StepResult:
    orders = [fact for fact in said if isinstance(fact, OrderFact)]
    if not orders:
        return StepResult(done=True, text="acknowledged")
    return StepResult(
        done=True, text=f"acknowledged, the venue calls it {orders[-1].venue_order_id}"
    )
