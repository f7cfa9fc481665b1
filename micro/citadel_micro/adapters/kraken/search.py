"""State of one of our orders at Kraken, by every query that the venue offers.

By the venue's id where it is known, else by ours among the open orders and then the closed ones: an
order moves from the first to the second, so one that is in neither was not there. Where that
finds nothing, among all trades since, whose unknown orders are queried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.kraken.codes import refusal
from citadel_micro.adapters.kraken.messages import OrderRow, TradeRow
from citadel_micro.adapters.kraken.requests import MOST_IDS
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.asking import decoded_answer
from citadel_micro.shell.venue.dialect import Absent, Found, OwnedTrade, Unclear
from citadel_micro.shell.venue.facts import OrderFact, TradeFact
from citadel_micro.shell.venue.outcomes import Fate
from citadel_micro.shell.venue.patience import patient
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.adapters.kraken.messages import KrakenReader
    from citadel_micro.adapters.kraken.requests import KrakenRequests
    from citadel_micro.shell.venue.dialect import Ask, Finding, Request
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.request_budget import Purpose
    from citadel_micro.shell.venue.venue_clock import VenueClock

T = TypeVar("T")
PAGE: Final = 50
"""Trades in one answer."""
MOST_PAGES: Final = 200
"""Of trades: a day of five thousand orders that each fill twice."""
MOST_NAMES: Final = 5_000
BEFORE_NS: Final = 10 * SECOND
"""For clock differences: search from this long before the placing."""
DAY_NS: Final = 86_400 * SECOND
"""How far back an order without a known time is searched."""


class Open(msgspec.Struct):
    """The result of OpenOrders. Without a list it is no empty one."""

    open: dict[str, OrderRow]


class _Closed(msgspec.Struct):
    closed: dict[str, OrderRow]


class _Trades(msgspec.Struct):
    trades: dict[str, TradeRow]
    count: int
    """Of all pages."""


class _Result(msgspec.Struct):
    result: msgspec.Raw


class KrakenSearch:
    """Searches for orders and trades.

    Args:
        reader: decodes answers.
        requests: builds requests.
        clock: the venue's time.
    """

    def __init__(
        self,
        reader: KrakenReader,
        requests: KrakenRequests,
        clock: VenueClock,
    ) -> None:
        self._reader = reader
        self._requests = requests
        self._clock = clock
        self._names: dict[str, str] = {}
        """Client ids of others' orders that were queried."""

    @property
    def _ids(self) -> OrderIds | None:
        return self._reader.ids

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``shell.venue.dialect.Dialect.find``."""
        if order.venue_order_id:
            rows = await asked(ask, self._requests.order(order.venue_order_id), dict[str, OrderRow])
        else:
            rows = await self._by_name(ask, order, deep=deep)
        if isinstance(rows, Unclear):
            if rows.refusal is not None and rows.refusal.fate is Fate.NOT_FOUND:
                return Absent(trades_too=False, text=rows.text)
            return rows
        found = self._ours(rows, order)
        ask = patient(ask)
        if found is not None:
            return await self._with_trades(ask, order, *found)
        if not deep:
            return Absent(trades_too=False, text="neither open nor closed")
        return await self._among_trades(ask, order)

    async def _by_name(
        self, ask: Ask, order: OurOrder, *, deep: bool
    ) -> dict[str, OrderRow] | Unclear:
        opened = await asked(ask, self._requests.open_of(order.client_id, deep=deep), Open)
        if isinstance(opened, Unclear) or self._ours(opened.open, order) is not None:
            return opened if isinstance(opened, Unclear) else opened.open
        closed = await asked(ask, self._requests.closed_of(order.client_id), _Closed)
        return closed if isinstance(closed, Unclear) else closed.closed

    def _ours(self, rows: dict[str, OrderRow], order: OurOrder) -> tuple[str, OrderRow] | None:
        theirs = self._requests.theirs(order.client_id)
        for order_id, row in rows.items():
            if order_id == order.venue_order_id or (row.cl_ord_id or "") == theirs:
                return order_id, row
        return None

    async def _with_trades(
        self, ask: Ask, order: OurOrder, order_id: str, row: OrderRow
    ) -> Finding:
        """A found order, with its fills where some were not reported yet."""
        try:
            fact = self._reader.order(order_id, row)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if not isinstance(fact, OrderFact):
            return Unclear("another pair" if fact is None else fact.text, anomaly=True)
        # Found by our name: an answer need not repeat it.
        fact = replace(fact, client_id=order.client_id)
        if fact.cumulative_lots <= order.filled_lots:
            return Found(order=fact, trades=())
        trades: list[TradeFact] = []
        for begin in range(0, len(row.trades), MOST_IDS // 2):
            some = row.trades[begin : begin + MOST_IDS // 2]
            rows = await asked(ask, self._requests.trades(some), dict[str, TradeRow])
            if isinstance(rows, Unclear):
                return rows
            read = self._read(rows)
            if isinstance(read, Unclear):
                return read
            trades += [fact for fact in read if fact.venue_order_id == order_id]
        return Found(order=fact, trades=tuple(trades))

    def _read(self, rows: dict[str, TradeRow]) -> list[TradeFact] | Unclear:
        try:
            facts = [self._reader.trade(name, row) for name, row in rows.items()]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return [fact for fact in facts if fact is not None]

    # all trades

    async def _among_trades(self, ask: Ask, order: OurOrder) -> Finding:
        placed_ns = order.placed_at_ns(self._clock) or self._clock.venue_ns() - DAY_NS
        since_ns = placed_ns - BEFORE_NS
        rows = await self._all_trades(ask, since_ns, purpose="query")
        if isinstance(rows, Unclear):
            return rows
        names = await self._named(ask, rows.values(), order.symbol, purpose="query")
        if isinstance(names, Unclear):
            return names
        mine = [order_id for order_id, name in names.items() if name == order.client_id]
        if not mine:
            return Absent(trades_too=True, text="neither open nor closed, nor traded")
        found = await asked(ask, self._requests.order(mine[0]), dict[str, OrderRow])
        if isinstance(found, Unclear) or mine[0] not in found:
            return found if isinstance(found, Unclear) else Unclear("traded, and not an order")
        return await self._with_trades(ask, order, mine[0], found[mine[0]])

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account in one symbol, each with the client id of its order."""
        rows = await self._all_trades(ask, since_ns)
        if isinstance(rows, Unclear):
            return rows
        names = await self._named(ask, rows.values(), symbol)
        if isinstance(names, Unclear):
            return names
        found: list[OwnedTrade] = []
        try:
            for trade_id, row in sorted(
                rows.items(), key=lambda item: (item[1].time, item[1].trade_id, item[0])
            ):
                fact = self._reader.trade(trade_id, row)
                if fact is not None and fact.symbol == symbol:
                    named = replace(fact, client_id=names.get(row.ordertxid, ""))
                    found.append(
                        OwnedTrade(fact=named, side="buy" if row.type == "buy" else "sell")
                    )
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return found

    async def _all_trades(
        self, ask: Ask, since_ns: int, *, purpose: Purpose = "audit"
    ) -> dict[str, TradeRow] | Unclear:
        """Every trade since a time of the venue: newest first, so new ones only repeat old ones."""
        start = max(
            since_ns // 1_000 - 1, 0
        )  # the venue's times have microseconds, and start is not in
        start_s = f"{start // 1_000_000}.{start % 1_000_000:06d}"
        rows: dict[str, TradeRow] = {}
        passed = 0
        for page in range(MOST_PAGES):
            paid = purpose == "query" and not page  # by ``open_of``
            request = self._requests.trades_since(start_s, passed, purpose=purpose, paid=paid)
            told = await asked(ask, request, _Trades)
            if isinstance(told, Unclear):
                return told
            rows |= told.trades
            passed += len(told.trades)
            if passed >= told.count:
                return rows
            if not told.trades:
                return Unclear(f"a page without trades, at {passed} of {told.count}")
        return Unclear(f"more than {MOST_PAGES * PAGE} trades since then")

    async def _named(
        self, ask: Ask, rows: Iterable[TradeRow], symbol: str, *, purpose: Purpose = "audit"
    ) -> dict[str, str] | Unclear:
        """Client ids of the orders of trades in one symbol, queried where they are not known."""
        names: dict[str, str] = {}
        unknown: list[str] = []
        mine = [row.ordertxid for row in rows if self._reader.symbol_of(row.pair) == symbol]
        for order_id in dict.fromkeys(mine):
            owner = None if self._ids is None else self._ids.owner(symbol, order_id)
            name = self._names.get(order_id) if owner is None else owner.client_id
            if name is None:
                unknown.append(order_id)
            else:
                names[order_id] = name
        for begin in range(0, len(unknown), MOST_IDS):
            some = unknown[begin : begin + MOST_IDS]
            request = self._requests.order(*some, purpose=purpose)
            told = await asked(ask, request, dict[str, OrderRow])
            if isinstance(told, Unclear):
                return told
            for order_id in some:
                if order_id not in told:
                    return Unclear(f"order {order_id} has traded, and is not told")
                name = self._reader.name(told[order_id].cl_ord_id or "")
                if len(self._names) >= MOST_NAMES:
                    del self._names[next(iter(self._names))]
                names[order_id] = self._names[order_id] = name
        return names


async def asked(ask: Ask, request: Request, kind: type[T]) -> T | Unclear:
    """The result of a call over REST, or why there is none."""

    def decode(body: bytes) -> T:
        result = msgspec.json.decode(body, type=_Result).result
        # Prices and sizes are texts, times numbers: both are decimals here.
        return msgspec.json.decode(result, type=kind, strict=False)

    return await decoded_answer(ask, request, refusal=refusal, decode=decode)
