"""Our orders against one public book: queue, trade-through, walking the book, consumption.

Prices are integer ticks and quantities integer lots for everything of ours. The public book is
only read; what our own taker orders ate is remembered here until the public book is refreshed,
so that the same displayed size cannot be bought twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from citadel_micro.core.model.events import Side
from citadel_micro.sim.queue_model import QueueModel, QueuePosition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.events import TradeTick
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.sim.paper_order import PaperOrder

WALK_LEVELS = 1_000
"""Deepest level a taker order may reach: what Binance's public snapshot shows."""
_DUST = 1e-9
"""Lots below this are binary noise of float sizes, not quantity."""


@dataclass(slots=True)
class Resting:
    """One order of ours in the book."""

    client_id: str
    side: Side
    price_ticks: int
    price: float
    """The same as the public book writes it."""
    left_lots: int
    queue: QueuePosition
    since_ns: int
    """Engine time since which it rests at this price."""
    partial: float = 0.0
    """Fraction of a lot that reached us and did not yet make a whole one."""


class PaperBook:
    """Resting orders of ours in one instrument, and the rules by which the public book fills them.

    The caller asks in this order at every market event: ``market_moved`` or ``traded``; both yield
    ``(order, lots)`` for each fill as a maker, at the order's own price.
    """

    def __init__(self, instrument: Instrument, market: MarketBook, model: QueueModel) -> None:
        self._instrument = instrument
        self._market = market
        self._model: QueueModel = model
        self.resting: dict[str, Resting] = {}
        self._eaten: dict[tuple[Side, int], float] = {}
        """Lots that we took of a level that is still there, by (our side, ticks)."""

    # taking

    def touch(self, side: Side) -> int | None:
        """Best price, in ticks, that an order of this side would trade against now."""
        for ticks, _ in self._opposite(side):
            return ticks
        return None

    def take(self, side: Side, limit_ticks: int, lots: int) -> list[tuple[int, int]]:
        """Walk the opposite side up to the limit. Returns [(price ticks, lots)] and eats them."""
        fills: list[tuple[int, int]] = []
        left = lots
        for ticks, shown in self._opposite(side):
            if (ticks > limit_ticks) if side == "buy" else (ticks < limit_ticks):
                break
            got = min(left, floor(shown + _DUST))
            if got <= 0:
                continue
            fills.append((ticks, got))
            self._eat(side, ticks, got)
            left -= got
            if left == 0:
                break
        return fills

    def _opposite(self, side: Side) -> Iterator[tuple[int, float]]:
        """Opposite levels, best first, as (ticks, lots left). The fresher best quote wins."""
        best = self._market.best()
        if best is None:
            return
        self._forget_gone()
        bid, bid_size, ask, ask_size = best
        touch, touch_size = (ask, ask_size) if side == "buy" else (bid, bid_size)
        to_ticks = self._instrument.ticks_of_float
        lot = self._instrument.lot_float
        first = to_ticks(touch)
        yield first, self._left(side, first, touch_size / lot)
        bids, asks = self._market.book.top(WALK_LEVELS)
        for price, size in asks if side == "buy" else bids:
            ticks = to_ticks(price)
            if (ticks > first) if side == "buy" else (ticks < first):
                yield ticks, self._left(side, ticks, size / lot)

    def _left(self, side: Side, ticks: int, shown: float) -> float:
        """What is left of a level after what we took of it.

        What we took stays taken while the level is there: only what it grows by is new. A level
        that shrank below it lost what was ours first.
        """
        taken = self._eaten.get((side, ticks))
        if taken is None:
            return shown
        if taken > shown:
            self._eaten[side, ticks] = taken = shown
        return shown - taken

    def _eat(self, side: Side, ticks: int, lots: int) -> None:
        self._eaten[side, ticks] = self._eaten.get((side, ticks), 0.0) + lots

    def _forget_gone(self) -> None:
        """A level that vanished starts anew when it comes back."""
        for side, ticks in list(self._eaten):
            if self._shown_to(side, ticks) <= 0.0:
                del self._eaten[side, ticks]

    def _shown_to(self, side: Side, ticks: int) -> float:
        """What the opposite side shows at a price, in lots."""
        return self._shown("sell" if side == "buy" else "buy", ticks)

    # resting

    def rest(self, order: PaperOrder, since_ns: int) -> None:
        """Join the queue at an order's price, behind everything that is shown there."""
        ticks = order.price_ticks
        self.resting[order.client_id] = Resting(
            order.client_id,
            order.side,
            ticks,
            self._instrument.price_float(ticks),
            order.left,
            QueuePosition(self._model, self._shown(order.side, ticks)),
            since_ns,
        )

    def remove(self, client_id: str) -> Resting | None:
        """Take an order out of the book."""
        return self.resting.pop(client_id, None)

    def _shown(self, side: Side, price_ticks: int) -> float:
        """Displayed size at a price in lots, from the best quote where that is fresher."""
        best = self._market.best()
        lot = self._instrument.lot_float
        if best is not None:
            price, size = (best[0], best[1]) if side == "buy" else (best[2], best[3])
            ticks = self._instrument.ticks_of_float(price)
            if ticks == price_ticks:
                return size / lot
            if (price_ticks > ticks) if side == "buy" else (price_ticks < ticks):
                return 0.0
        return self._market.book.size_at(side, self._instrument.price_float(price_ticks)) / lot

    # being taken

    def traded(self, trade: TradeTick) -> list[tuple[Resting, int]]:
        """A public trade: fills by queue position at our price, ahead of everybody beyond it.

        Whoever traded at a worse price than ours would have met us first, so a trade beyond our
        price fills us, but never for more than was traded: a large order does not fill because
        somebody traded a little past it. A trade that happened before an order came, and is only
        told later, was not with it.
        """
        fills: list[tuple[Resting, int]] = []
        price = trade.price
        volume = trade.size / self._instrument.lot_float
        seller = trade.side == "sell"
        happened_ns = self._market.last_trade_ns
        for order in self.resting.values():
            if (order.side == "buy") != seller or order.since_ns > happened_ns:
                continue
            beyond = order.price - price if seller else price - order.price
            if beyond < 0:
                continue
            order.partial += volume if beyond > 0 else order.queue.on_trade(volume, trade.recv_ns)
            got = min(order.left_lots, floor(order.partial + _DUST))
            if got > 0:
                order.partial -= got
                fills.append((order, got))
        return fills

    def market_moved(self, now_ns: int, *, depth: bool) -> list[tuple[Resting, int]]:
        """The public book changed: advance queues; an opposite quote at our price fills us.

        What the opposite side shows at or through our price would have traded with us, so it
        does, up to the size that is shown.

        Args:
            now_ns: when.
            depth: levels behind the best ones may have changed too.
        """
        best = self._market.best()
        if best is None:
            return []
        fills: list[tuple[Resting, int]] = []
        if self._eaten:
            self._forget_gone()
        for order in self.resting.values():
            price = order.price
            if order.side == "buy":
                crossed, better = best[2] <= price, price > best[0]
                at_best, size = price == best[0], best[1]
            else:
                crossed, better = best[0] >= price, price < best[2]
                at_best, size = price == best[2], best[3]
            if crossed:
                got = sum(
                    lots for _, lots in self.take(order.side, order.price_ticks, order.left_lots)
                )
                if got > 0:
                    fills.append((order, got))
            elif at_best:
                order.queue.on_shown(size / self._instrument.lot_float, now_ns)
            elif better:
                order.queue.on_shown(0.0, now_ns)
            elif depth:
                size = self._market.book.size_at(order.side, price)
                order.queue.on_shown(size / self._instrument.lot_float, now_ns)
        return fills
