"""Sends one test order to Bybit, with the requests and the connection of real orders.

An answer only says that a request was taken, so each step is shown by a query that follows it.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.bybit.dialect import BybitDialect
from citadel_micro.adapters.bybit.orders import bybit_dialect
from citadel_micro.adapters.bybit.requests import LINEAR, SPOT, simple
from citadel_micro.adapters.bybit.search import asked
from citadel_micro.shell.account_facts import StepResult
from citadel_micro.shell.venue.dialect import Absent, Found, Unclear
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.trial_desk import DialectTrialDesk, as_ours
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.venue.dialect import Finding

TRIES: Final = 20
CHECK_S: Final = 0.15
"""How often, and how long apart, what came of a request is looked at."""


class _Ticker(msgspec.Struct, rename="camel"):
    last_price: Decimal


class _Tickers(msgspec.Struct):
    rows: list[_Ticker] = msgspec.field(name="list")


class BybitTrialDesk(DialectTrialDesk[BybitDialect]):
    """As ``shell.account_facts.TrialDesk``; ``open`` comes first.

    Args:
        query: the account, and its addresses.
    """

    def __init__(self, query: AccountQuery) -> None:
        section = query.section
        dialect, _ = bybit_dialect(
            query.venue,
            query.instruments,
            query.key,
            VenueClock(query.now),
            query.now,
            rest_url=section.private_rest_url or "",
            ws_api_url=section.ws_api_url or "",
            stream_url=section.private_ws_url or "",
        )
        super().__init__(query, dialect)
        self._category = SPOT if query.venue.endswith(SPOT) else LINEAR

    async def last_price(self, symbol: str) -> Decimal:
        """Of the last trade."""
        name = self._query.instruments[symbol].venue_symbol
        request = simple("tickers", {"category": self._category, "symbol": name}, signed=False)
        found = await asked(self._ask, request, _Tickers)
        if isinstance(found, Unclear):
            if found.refusal is not None:
                raise VenueViolation(f"{symbol}: {found.text}")
            raise PeerUnavailable(f"{symbol}: {found.text}")
        if not found.rows:
            raise VenueViolation(f"{symbol}: no price is told")
        return found.rows[0].last_price

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""
        refused = await self._refused(self._dialect.place(order))
        return refused or await self._shown(order, "open")

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it by our id."""
        return await self._shown(order, "open" if rests else "canceled", looks=1)

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """Less quantity at the same price, in place."""
        request = self._smaller(order, quantity_lots)
        if isinstance(request, str):
            return None
        refused = await self._refused(request)
        return refused or await self._shown(
            order, "open", also=lambda found: found.order.quantity_lots == quantity_lots
        )

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it by our id."""
        refused = await self._refused(self._dialect.cancel(command, None))
        if refused is not None:
            return refused
        order = OurOrder(command.client_id, command.symbol, "", 0, 0, 0, 0)
        return await self._until(order, "canceled", TRIES, lambda _found: True)

    # inside

    async def _shown(
        self,
        order: PlaceOrder,
        wanted: str,
        *,
        looks: int = TRIES,
        also: Callable[[Found], bool] = lambda _found: True,
    ) -> StepResult:
        return await self._until(as_ours(order), wanted, looks, also)

    async def _until(
        self, order: OurOrder, wanted: str, looks: int, also: Callable[[Found], bool]
    ) -> StepResult:
        """Look until the order stands as wanted, so many times."""
        result = StepResult(done=False, text="not looked at")
        for look in range(looks):
            if look:
                await asyncio.sleep(CHECK_S)
            found = await self._dialect.find(self._ask, order, deep=False)
            result = _result(found, wanted, also)
            if result.done:
                break
        return result


def _result(found: Finding, wanted: str, also: Callable[[Found], bool]) -> StepResult:
    if isinstance(found, Absent | Unclear):
        return StepResult(done=False, text=found.text)
    fact = found.order
    text = f"{fact.standing}, the venue calls it {fact.venue_order_id}"
    if fact.cumulative_lots:
        return StepResult(done=False, text=f"{text}, and filled")
    return StepResult(done=fact.standing == wanted and also(found), text=text)
