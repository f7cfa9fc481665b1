"""State of one of our orders at Bybit, and the account's trades, by every query that the venue offers.

An order is asked for by its id among the recent ones, then in the history; its fills carry our id as
well, so an order that is in none of the three is absent. The recent ones are lost when the venue
restarts, and an order that ended unfilled is in the history for a day only (docs "Get Open & Closed
Orders").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.bybit.codes import refusal
from citadel_micro.adapters.bybit.messages import Execution, Order
from citadel_micro.adapters.bybit.requests import name_of
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.asking import decoded_answer
from citadel_micro.shell.venue.dialect import Absent, Found, Unclear
from citadel_micro.shell.venue.facts import Anomaly, OrderFact
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from citadel_micro.adapters.bybit.messages import BybitReader
    from citadel_micro.adapters.bybit.requests import BybitRequests
    from citadel_micro.shell.venue.dialect import Ask, Finding, OwnedTrade, Request
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

T = TypeVar("T")
MOST_PAGES: Final = 500
WEEK_MS: Final = 7 * 86_400_000
"""Longest period of one query of the history, or of fills, and what is shown without one."""
KEPT_MS: Final = 2 * 365 * 86_400_000
"""How far back there are any: a time that is wrong costs no more."""
AROUND_MS: Final = 10 * SECOND // MS
"""Searched from this long before the placing until this long after now, for clock differences."""


class _Orders(msgspec.Struct, rename="camel"):
    rows: list[Order] = msgspec.field(name="list")
    next_page_cursor: str = ""


class _Executions(msgspec.Struct, rename="camel"):
    rows: list[Execution] = msgspec.field(name="list")
    next_page_cursor: str = ""


class _Envelope(msgspec.Struct):
    result: msgspec.Raw


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


class BybitSearch:
    """Searches for orders and trades.

    Args:
        reader: decodes answers.
        requests: builds requests.
        clock: the venue's time.
    """

    def __init__(self, reader: BybitReader, requests: BybitRequests, clock: VenueClock) -> None:
        self._reader = reader
        self._requests = requests
        self._clock = clock

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``shell.venue.dialect.Dialect.find``."""
        name = name_of(order.client_id, order)
        requests = [self._requests.orders("realtime", order.symbol, **name)]
        for start, end in self._weeks(order):
            span = {"startTime": str(start), "endTime": str(end)}
            requests.append(self._requests.orders("history", order.symbol, **name, **span))
        for request in requests:
            page = await asked(ask, request, _Orders)
            if isinstance(page, Unclear):
                return page
            for row in page.rows:
                if _is_it(row, order):
                    return await self._with_trades(ask, order, row)
        if not deep:
            return Absent(trades_too=False, text="neither recent nor in the history")
        for start, end in self._weeks(order):
            fills = await self._fills(ask, order.symbol, startTime=start, endTime=end, **name)
            if isinstance(fills, Unclear):
                return fills
            if any(row.order_link_id == order.client_id for row in fills):
                return Unclear(f"{order.client_id} has fills, and no order is shown yet")
        return Absent(trades_too=True, text="neither among the orders nor among the fills")

    def _weeks(self, order: OurOrder) -> list[tuple[int, int]]:
        """From its placing until now, in ms of the venue's time, a week at a time: what one query spans.

        Where the time is not known the last week.
        """
        end = self._clock.venue_ns() // MS + AROUND_MS
        start = end - WEEK_MS
        placed_ns = order.placed_at_ns(self._clock)
        if placed_ns:
            start = placed_ns // MS - AROUND_MS
        return self._periods(start, end)

    @staticmethod
    def _periods(start: int, end: int) -> list[tuple[int, int]]:
        first = max(start, end - KEPT_MS)
        return [(at, min(at + WEEK_MS, end)) for at in range(first, end, WEEK_MS + 1)]

    async def _with_trades(self, ask: Ask, order: OurOrder, row: Order) -> Finding:
        """A found order, with its fills where some were not reported yet."""
        try:
            fact = self._reader.order(row)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if not isinstance(fact, OrderFact):
            text = fact.text if isinstance(fact, Anomaly) else f"another market: {row.symbol}"
            return Unclear(text, anomaly=True)
        if fact.cumulative_lots <= order.filled_lots:
            return Found(order=fact, trades=())
        rows: list[Execution] = []
        for start, end in self._weeks(order):
            found = await self._fills(
                ask, order.symbol, orderId=row.order_id, startTime=start, endTime=end
            )
            if isinstance(found, Unclear):
                return found
            rows += found
        try:
            trades = [self._reader.trade(each) for each in rows if each.order_id == row.order_id]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        known = tuple(each for each in trades if each is not None)
        if sum(each.quantity_lots for each in known) < fact.cumulative_lots:
            return Unclear(f"order {row.order_id}: not all of its fills are shown yet")
        return Found(order=fact, trades=known)

    async def open_orders(self, ask: Ask, **chosen: str) -> list[Order] | Unclear:
        """All open orders of the account in this market; of perpetuals those of one settle currency."""
        rows: list[Order] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            request = self._requests.orders("realtime", cursor=cursor, **chosen)
            page = await asked(ask, request, _Orders)
            if isinstance(page, Unclear):
                return page
            rows += page.rows
            cursor = page.next_page_cursor
            if not cursor or not page.rows:
                return rows
        return Unclear("more open orders than can be read")

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account since then, oldest first: a week at a time."""
        rows = await self.executions(ask, symbol, since_ns)
        if isinstance(rows, Unclear):
            return rows
        try:
            owned = [self._reader.owned(row) for row in rows]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return [each for each in owned if each is not None]

    async def executions(
        self, ask: Ask, symbol: str, since_ns: int, **chosen: str
    ) -> list[Execution] | Unclear:
        """Every execution since a time of the venue, oldest first."""
        rows: list[Execution] = []
        now = self._clock.venue_ns() // MS
        for start, end in self._periods(since_ns // MS, now + AROUND_MS):
            found = await self._fills(ask, symbol, startTime=start, endTime=end, **chosen)
            if isinstance(found, Unclear):
                return found
            rows += found[::-1]
        return rows

    async def _fills(self, ask: Ask, symbol: str, **chosen: str | int) -> list[Execution] | Unclear:
        """All pages of fills, the newest first."""
        rows: list[Execution] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            request = self._requests.executions(symbol, cursor, **chosen)
            page = await asked(ask, request, _Executions)
            if isinstance(page, Unclear):
                return page
            rows += page.rows
            cursor = page.next_page_cursor
            if not cursor or not page.rows:
                return rows
        return Unclear("more fills than can be read")


def _is_it(row: Order, order: OurOrder) -> bool:
    if order.venue_order_id:
        return row.order_id == order.venue_order_id
    return row.order_link_id == order.client_id


async def asked(ask: Ask, request: Request, kind: type[T]) -> T | Unclear:
    """The result of a query, or why there is none."""
    return await decoded_answer(
        ask,
        request,
        refusal=refusal,
        decode=lambda body: msgspec.json.decode(_envelope(body).result, type=kind),
    )
