"""State of one of our orders at Binance spot, by every query that the venue offers.

By its id first. Where that finds nothing, among all orders of the time in which it could have come,
which carry client order ids, and among all fills since, which do not: each unknown order among
them is queried. A canceled order may have lost our id, so one that looks like ours
leaves the question open.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.binance.error_codes import NO_SUCH_SYMBOL, refusal
from citadel_micro.adapters.binance.spot_messages import Order, Trade
from citadel_micro.adapters.binance.spot_requests import name_of
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.asking import decoded_answer, orders_in
from citadel_micro.shell.venue.dialect import Absent, Found, OwnedTrade, Unclear
from citadel_micro.shell.venue.facts import Anomaly
from citadel_micro.shell.venue.outcomes import Fate
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.adapters.binance.spot_messages import SpotReader
    from citadel_micro.adapters.binance.spot_requests import SpotRequests
    from citadel_micro.shell.venue.dialect import Ask, Finding, Request
    from citadel_micro.shell.venue.facts import OrderFact, TradeFact
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

T = TypeVar("T")
PAGE: Final = 1_000
"""Maximum number of orders, or trades, in one answer."""
MOST_PAGES: Final = 5
"""Of orders, in the minute in which one could have come."""
MOST_TRADE_PAGES: Final = 100
MOST_LOOKED_UP: Final = 20
"""Orders of others that one search asks about; the next one goes on."""
MOST_NAMES: Final = 5_000
BEFORE_NS: Final = 10 * SECOND
"""For clock differences: search from this long before the placing."""
AFTER_NS: Final = 60 * SECOND
"""Search until this long after the expiry: the venue's back end may be slow."""
DAY_NS: Final = 86_400 * SECOND
"""Longest period of one query; and how far back an order without a known time is searched."""


class SpotSearch:
    """Searches for orders.

    Args:
        reader: decodes answers.
        requests: builds requests.
        clock: the venue's time.
    """

    def __init__(
        self,
        reader: SpotReader,
        requests: SpotRequests,
        clock: VenueClock,
    ) -> None:
        self._reader = reader
        self._requests = requests
        self._clock = clock
        self._names: dict[tuple[str, int], str] = {}
        """Client ids of others' orders that were queried."""
        self._others: dict[tuple[str, int, str], None] = {}
        """(symbol, order id, our id) of orders of which a search has shown that they are not ours."""
        self.ids: OrderIds | None = None
        """Which orders are ours."""

    async def open_orders(self, ask: Ask, symbols: Sequence[str]) -> list[OrderFact] | Unclear:
        """Of these symbols, without those that are delisted meanwhile; of all for an empty one."""
        facts: list[OrderFact] = []
        for symbol in symbols:
            rows = await asked(ask, self._requests.open_orders(symbol), list[Order])
            if isinstance(rows, Unclear) and symbol and is_delisted(rows):
                continue
            found = rows if isinstance(rows, Unclear) else orders_in(rows, self._reader.order)
            if isinstance(found, Unclear):
                return found
            facts += found
        return facts

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``shell.venue.dialect.Dialect.find``."""
        found = await self._by_name(ask, order, name_of(order.client_id, order))
        if not isinstance(found, Absent) or not deep:
            return found
        return await self._among_all(ask, order)

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account, each with the client id of its order, which is queried."""
        rows = await self._all_trades(ask, symbol, since_ns // MS)
        if isinstance(rows, Unclear):
            return rows
        names: dict[int, str] = {}
        for order_id in dict.fromkeys(row.order_id for row in rows):
            name = await self._name(ask, symbol, order_id)
            if isinstance(name, Unclear):
                return name
            names[order_id] = name
        try:
            return [
                OwnedTrade(
                    fact=replace(fact, client_id=names[row.order_id]),
                    side="buy" if row.is_buyer else "sell",
                )
                for row in rows
                if (fact := self._reader.trade(row)) is not None
            ]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)

    async def _name(self, ask: Ask, symbol: str, order_id: int) -> str | Unclear:
        """Client id of an order."""
        owner = self._owner(symbol, order_id)
        if owner is not None:
            return owner.client_id
        key = (symbol, order_id)
        if key not in self._names:
            row = await asked(ask, self._requests.status(symbol, {"orderId": order_id}), Order)
            if isinstance(row, Unclear):
                return row
            if len(self._names) >= MOST_NAMES:
                del self._names[next(iter(self._names))]
            self._names[key] = row.client_order_id
        return self._names[key]

    # by its id

    async def _by_name(self, ask: Ask, order: OurOrder, name: dict[str, str | int]) -> Finding:
        row = await asked(ask, self._requests.status(order.symbol, name), Order)
        if isinstance(row, Unclear):
            if row.refusal is not None and row.refusal.fate is Fate.NOT_FOUND:
                return Absent(trades_too=False, text=row.text)
            return row
        return await self._with_trades(ask, order, row)

    async def _with_trades(self, ask: Ask, order: OurOrder, row: Order) -> Finding:
        """A found order, with its fills where some were not reported yet."""
        try:
            fact = self._reader.order(row)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if fact is None or isinstance(fact, Anomaly):
            return Unclear("another symbol" if fact is None else fact.text, anomaly=True)
        if order.venue_order_id not in {"", fact.venue_order_id}:
            return Unclear(f"an answer about another order: {fact.venue_order_id}")
        # Found by our name or the venue's: a canceled one may have another name by now.
        fact = replace(fact, client_id=order.client_id)
        if fact.cumulative_lots <= order.filled_lots:
            return Found(order=fact, trades=())
        fills = await self.fills_of(ask, order.symbol, fact.venue_order_id, row.time)
        return fills if isinstance(fills, Unclear) else Found(order=fact, trades=tuple(fills))

    async def fills_of(
        self, ask: Ask, symbol: str, order_id: str, begin: int
    ) -> list[TradeFact] | Unclear:
        """All fills of one order, which was placed at ``begin`` (venue time in ms)."""
        rows = await self._trades_of(ask, symbol, order_id, begin)
        if isinstance(rows, Unclear):
            return rows
        try:
            facts = [self._reader.trade(each) for each in rows if str(each.order_id) == order_id]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return [each for each in facts if each is not None]

    async def _trades_of(
        self, ask: Ask, symbol: str, order_id: str, begin: int
    ) -> list[Trade] | Unclear:
        """All fills of one order, however old."""
        del begin
        rows = await self.page_of_trades(ask, self._requests.trades_of(symbol, order_id))
        if isinstance(rows, Unclear) or len(rows) < PAGE:
            return rows
        # The last of more: they are read from the first on.
        return await self._pages(ask, symbol, self._requests.trades_of(symbol, order_id, fromId=0))

    # among all

    async def _among_all(self, ask: Ask, order: OurOrder) -> Finding:
        begin, end = self._window(order)
        rows = await self._all_orders(ask, order.symbol, begin, end)
        if isinstance(rows, Unclear):
            return rows
        for row in rows:
            if row.client_order_id == order.client_id:
                return await self._with_trades(ask, order, row)
        for row in rows:
            if self._resembles(row, order):
                return Absent(trades_too=False, text=f"order {row.order_id} could be it, renamed")
        trades = await self._all_trades(ask, order.symbol, begin)
        if isinstance(trades, Unclear):
            return trades
        known = {row.order_id for row in rows}
        strangers = dict.fromkeys(
            trade.order_id
            for trade in trades
            if trade.order_id not in known and self._owner(order.symbol, trade.order_id) is None
        )
        unseen = [x for x in strangers if (order.symbol, x, order.client_id) not in self._others]
        for order_id in unseen[:MOST_LOOKED_UP]:
            looked_up = self._requests.status(order.symbol, {"orderId": order_id})
            row_or_not = await asked(ask, looked_up, Order)
            if isinstance(row_or_not, Unclear):
                return row_or_not
            if row_or_not.client_order_id == order.client_id:
                return await self._with_trades(ask, order, row_or_not)
            if self._resembles(row_or_not, order):
                return Absent(trades_too=False, text=f"order {order_id} could be it, renamed")
            if len(self._others) >= MOST_NAMES:
                del self._others[next(iter(self._others))]
            self._others[order.symbol, order_id, order.client_id] = None
        if len(unseen) > MOST_LOOKED_UP:
            left = len(unseen) - MOST_LOOKED_UP
            return Unclear(
                f"{left} orders of others that have filled since are yet to be looked at"
            )
        return Absent(trades_too=True, text="neither among all orders nor among all trades")

    def _window(self, order: OurOrder) -> tuple[int, int]:
        """From when to when, in ms of the venue's time, the venue could have accepted it."""
        placed_ns = order.placed_at_ns(self._clock)
        if not placed_ns:
            now_ns = self._clock.venue_ns()
            return (now_ns - DAY_NS) // MS + 1, now_ns // MS
        begin_ns = placed_ns - BEFORE_NS
        under_way_ns = max(order.expires_ns - order.placed_ns, 0)
        end_ns = min(placed_ns + under_way_ns + AFTER_NS, begin_ns + DAY_NS)
        return begin_ns // MS, end_ns // MS

    async def _all_orders(
        self, ask: Ask, symbol: str, begin: int, end: int
    ) -> list[Order] | Unclear:
        rows: list[Order] = []
        request = self._requests.orders_since(symbol, startTime=begin, endTime=end)
        for _ in range(MOST_PAGES):
            page = await asked(ask, request, list[Order])
            if isinstance(page, Unclear):
                return page
            rows += [row for row in page if row.time <= end]
            if len(page) < PAGE or page[-1].time > end:
                return rows
            request = self._requests.orders_since(symbol, orderId=page[-1].order_id + 1)
        return Unclear(f"more than {MOST_PAGES * PAGE} orders in the time that it could have come")

    async def page_of_trades(self, ask: Ask, request: Request) -> list[Trade] | Unclear:
        """One answer with trades of the account."""
        return await asked(ask, request, list[Trade])

    async def _all_trades(self, ask: Ask, symbol: str, begin: int) -> list[Trade] | Unclear:
        """Every trade since a venue time in ms."""
        return await self._pages(ask, symbol, self._requests.trades_since(symbol, startTime=begin))

    async def _pages(self, ask: Ask, symbol: str, request: Request) -> list[Trade] | Unclear:
        """Trades from the first of a request on. One of the account with itself has two rows of one id.

        So each page begins with the last id of the one before, whose other row it may have.
        """
        rows: dict[tuple[int, int], Trade] = {}
        order_id = request.params.get("orderId")
        for _ in range(MOST_TRADE_PAGES):
            page = await self.page_of_trades(ask, request)
            if isinstance(page, Unclear):
                return page
            rows |= {(row.id, row.order_id): row for row in page}
            if len(page) < PAGE:
                return list(rows.values())
            last = page[-1].id
            if order_id is None:
                request = self._requests.trades_since(symbol, fromId=last)
            else:
                request = self._requests.trades_of(symbol, str(order_id), fromId=last)
        return Unclear(f"more than {MOST_TRADE_PAGES * PAGE} trades since then")

    def _resembles(self, row: Order, order: OurOrder) -> bool:
        """A canceled order that is not known and matches ours."""
        if row.status != "CANCELED" or self._owner(order.symbol, row.order_id) is not None:
            return False
        rules = self._reader.rules(row.symbol)
        if rules is None or not order.side:
            return False
        return (
            row.side.lower() == order.side
            and row.price == rules.price(order.price_ticks)
            and row.orig_qty == rules.quantity(order.quantity_lots)
        )

    def _owner(self, symbol: str, order_id: int) -> OurOrder | None:
        return None if self.ids is None else self.ids.owner(symbol, str(order_id))


def is_delisted(unclear: Unclear) -> bool:
    """Whether a query failed because the venue does not list the symbol any more: it has no orders then."""
    return unclear.refusal is not None and f" {NO_SUCH_SYMBOL} " in unclear.refusal.text


async def asked(ask: Ask, request: Request, kind: type[T]) -> T | Unclear:
    """The answer to a query, or why there is none."""
    return await decoded_answer(
        ask, request, refusal=refusal, decode=lambda body: msgspec.json.decode(body, type=kind)
    )
