"""The state of one of our orders at a venue of ccxt, by every question that its class can put.

By the venue's id where it is known. Otherwise by ours: among the open orders, among those listed
since, and among the orders of all fills since. Only where none of them could be ours is it absent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.ccxt.order_errors import refusal_of
from citadel_micro.adapters.ccxt.order_rows import Frame
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.dialect import Absent, Found, OwnedTrade, Request, Unclear
from citadel_micro.shell.venue.facts import Anomaly, OrderFact
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from citadel_micro.adapters.ccxt.order_rows import OrderRow, RowReader, TradeRow
    from citadel_micro.adapters.ccxt.order_venue import CcxtVenue
    from citadel_micro.shell.venue.dialect import Ask, Finding
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

BEFORE_NS: Final = 10 * SECOND
"""For clock differences: search from this long before the placing."""
DAY_NS: Final = 86_400 * SECOND
MOST_WINDOWS: Final = 40
MOST_LOOKED_UP: Final = 20
"""Orders of others that one search asks about; the next one goes on."""
MOST_NAMES: Final = 5_000


class OrderSearch:
    """Searches for orders.

    Args:
        venue: the exchange and the account.
        reader: decodes rows.
        clock: the venue's time.
    """

    def __init__(self, venue: CcxtVenue, reader: RowReader, clock: VenueClock) -> None:
        self._venue = venue
        self._reader = reader
        self._clock = clock
        self._names: dict[tuple[str, str], str] = {}
        """Client ids of others' orders that were queried."""
        self.ids: OrderIds | None = None

    async def asked(self, ask: Ask, method: str, **params: str | int) -> Frame | Unclear:
        """The answer to a query, or why there is none."""
        request = Request(purpose="query", method=method, params=params, costs={"requests": 1})
        outcome = await ask(request)
        if not isinstance(outcome, Answered):
            return Unclear(f"{method}: {outcome.reason}")
        frame = msgspec.json.decode(outcome.body, type=Frame)
        if not frame.error:
            return frame
        refused = refusal_of(frame)
        return Unclear(f"{method}: {frame.text}", refused if frame.left else None)

    async def open_orders(self, ask: Ask, symbol: str) -> list[OrderFact] | Unclear:
        """Open orders of one symbol, those of others too."""
        frame = await self._open_rows(ask, symbol)
        if isinstance(frame, Unclear):
            return frame
        facts = []
        for row in frame.orders:
            fact = self._fact(row, standing="open")
            if isinstance(fact, Unclear):
                return fact
            facts.append(fact)
        return facts

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``shell.venue.dialect.Dialect.find``."""
        if order.venue_order_id:
            return await self._by_id(ask, order, order.venue_order_id)
        name = self._theirs(order.client_id)
        rows = await self._open_rows(ask, order.symbol)
        if isinstance(rows, Unclear):
            return rows
        since_ms = self._since_ms(order)
        listed = Frame()
        if self._venue.list_method:
            answer = await self.asked(ask, "listed", symbol=order.symbol, since_ms=since_ms)
            if isinstance(answer, Unclear):
                return answer
            listed = answer
        for row in (*rows.orders, *listed.orders):
            if row.name == name:
                return await self._by_id(ask, order, row.id)
        if not deep:
            return Absent(trades_too=False, text="neither open nor listed")
        nameless = [row.id for row in (*rows.orders, *listed.orders) if not self._is_named(row)]
        if nameless:
            return Absent(trades_too=False, text=f"order {nameless[0]} could be it: it has no name")
        for row in listed.orders:
            if self._resembles(row, order):
                return Absent(trades_too=False, text=f"order {row.id} could be it, renamed")
        return await self._among_fills(ask, order, since_ms)

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account, each with the client id of its order."""
        rows = await self._all_trades(ask, symbol, since_ns // MS)
        if isinstance(rows, Unclear):
            return rows
        owned: list[OwnedTrade] = []
        for row in rows:
            name = await self._name(ask, symbol, row.order)
            if isinstance(name, Unclear):
                return name
            try:
                fact = self._reader.trade(row)
            except VenueViolation as error:
                return Unclear(str(error), anomaly=True)
            if fact is not None:
                owned.append(
                    OwnedTrade(
                        fact=replace(fact, client_id=name),
                        side="buy" if row.side == "buy" else "sell",
                    )
                )
        return owned

    # inside

    async def _by_id(self, ask: Ask, order: OurOrder, order_id: str) -> Finding:
        frame = await self.asked(ask, "order", symbol=order.symbol, order=order_id)
        if isinstance(frame, Unclear):
            if frame.refusal is not None and frame.refusal.fate is Fate.NOT_FOUND:
                return Absent(trades_too=False, text=frame.text)
            return frame
        # A cancel may have renamed it, so it is ours by its id.
        row = msgspec.structs.replace(frame.orders[0], name=self._theirs(order.client_id))
        if row.id != order_id or row.symbol != order.symbol:
            return Unclear(f"an answer about order {row.id} of {row.symbol}", anomaly=True)
        fact = self._fact(row)
        if isinstance(fact, Unclear):
            return fact
        if 0 <= fact.cumulative_lots <= order.filled_lots:
            return Found(order=fact, trades=())
        rows = await self._all_trades(ask, order.symbol, self._since_ms(order))
        if isinstance(rows, Unclear):
            return rows
        try:
            trades = [self._reader.trade(each) for each in rows if each.order == order_id]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return Found(order=fact, trades=tuple(each for each in trades if each is not None))

    async def _among_fills(self, ask: Ask, order: OurOrder, since_ms: int) -> Finding:
        rows = await self._all_trades(ask, order.symbol, since_ms)
        if isinstance(rows, Unclear):
            return rows
        strangers = dict.fromkeys(row.order for row in rows)
        left = MOST_LOOKED_UP
        for number, order_id in enumerate(strangers):
            left -= (order.symbol, order_id) not in self._names
            if left < 0:
                return Unclear(
                    f"{len(strangers) - number} orders that filled are yet to be looked at"
                )
            name = await self._name(ask, order.symbol, order_id)
            if isinstance(name, Unclear):
                return name
            if name == order.client_id:
                return await self._by_id(ask, order, order_id)
            if not name:
                return Absent(trades_too=False, text=f"order {order_id} could be it: no name")
        return Absent(trades_too=True, text="neither open, nor listed, nor filled")

    async def _open_rows(self, ask: Ask, symbol: str) -> Frame | Unclear:
        frame = await self.asked(ask, "open", symbol=symbol)
        if isinstance(frame, Frame):
            count = len(frame.orders)
            page = self._venue.page("fetchOpenOrders")
            if page is not None and count >= page:
                return Unclear(f"{count} open orders, perhaps not all")
        return frame

    async def _all_trades(self, ask: Ask, symbol: str, since_ms: int) -> list[TradeRow] | Unclear:
        """Every trade since a venue time, in periods as long as one question may be about."""
        until_ms, days = self._clock.venue_ns() // MS, self._venue.window_days
        step_ms = until_ms - since_ms + 1 if days is None else days * DAY_NS // MS
        found: dict[tuple[str, str], TradeRow] = {}
        begin_ms = since_ms
        for _ in range(MOST_WINDOWS):
            last = begin_ms + step_ms > until_ms
            bound = {} if last else {"until_ms": begin_ms + step_ms}
            frame = await self.asked(ask, "trades", symbol=symbol, since_ms=begin_ms, **bound)
            if isinstance(frame, Unclear):
                return frame
            rows = [each for each in frame.trades if (each.order, each.id) not in found]
            found.update({(each.order, each.id): each for each in rows})
            if self._venue.may_be_cut("fetchMyTrades", len(frame.trades)):
                newest = frame.trades[-1].stamp_ms
                if newest <= begin_ms:
                    return Unclear(f"{len(frame.trades)} trades at one time, perhaps not all")
                begin_ms = newest
            elif last:
                return list(found.values())
            else:
                begin_ms += step_ms
        return Unclear(f"more than {MOST_WINDOWS} questions about trades since then")

    def _fact(self, row: OrderRow, *, standing: str = "") -> OrderFact | Unclear:
        try:
            fact = self._reader.order(row, standing=standing)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if fact is None:
            return Unclear(f"order {row.id}: neither its state nor its total is told")
        return Unclear(fact.text, anomaly=True) if isinstance(fact, Anomaly) else fact

    async def _name(self, ask: Ask, symbol: str, order_id: str) -> str | Unclear:
        """Our name of an order's; empty where the venue gives it none."""
        owner = None if self.ids is None else self.ids.owner(symbol, order_id)
        if owner is not None:
            return owner.client_id
        key = symbol, order_id
        if key not in self._names:
            frame = await self.asked(ask, "order", symbol=symbol, order=order_id)
            if isinstance(frame, Unclear):
                return frame
            if len(self._names) >= MOST_NAMES:
                del self._names[next(iter(self._names))]
            name = frame.orders[0].name
            self._names[key] = name if self.ids is None else self.ids.ours(name)
        return self._names[key]

    def _is_named(self, row: OrderRow) -> bool:
        known = self.ids is not None and self.ids.owner(row.symbol, row.id) is not None
        return bool(row.name) or known

    def _resembles(self, row: OrderRow, order: OurOrder) -> bool:
        """A canceled order that is not known and matches ours: some venues rename what is canceled."""
        known = self.ids is not None and self.ids.owner(row.symbol, row.id) is not None
        if row.status != "canceled" or known or not order.side:
            return False
        fact = self._fact(msgspec.structs.replace(row, filled=row.filled or "0"))
        return (
            isinstance(fact, OrderFact)
            and row.side == order.side
            and (fact.price_ticks, fact.quantity_lots) == (order.price_ticks, order.quantity_lots)
        )

    def _theirs(self, client_id: str) -> str:
        return client_id if self.ids is None else self.ids.theirs(client_id)

    def _since_ms(self, order: OurOrder) -> int:
        placed_ns = order.placed_at_ns(self._clock) or self._clock.venue_ns() - DAY_NS
        return (placed_ns - BEFORE_NS) // MS
