"""Our orders against one public book: queue, trade-through, walking the book, consumption.

Prices are integer ticks and quantities integer lots for everything of ours. The public book is
only read; what our own taker orders took is remembered here until the public book is refreshed,
so that the same displayed size cannot be taken twice.

Resting orders are filled by trades: each trade is one pool of volume, shared by all of ours in order of
price, then time. An opposite quote at our price is no trade: it may be gone before an order of ours
would have been there, and come back as often as it likes. Only the optimistic model lets it fill us,
up to the largest size that was ever shown at that price.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.passing import MOST_WATCHED
from citadel_micro.core.model.events import Side
from citadel_micro.sim.paper_rules import reaches
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
    """The same in the public book's form."""
    left_lots: int
    queue: QueuePosition
    since_ns: int
    """Engine time since which it rests at this price."""
    partial: float = 0.0
    """Fraction of a lot that reached us and did not complete a lot yet."""


class PaperBook:
    """Resting orders of ours in one instrument, and the rules by which the public market fills them.

    The caller uses, at every market event, ``market_moved`` or ``traded``; both return
    ``(order, lots)`` for each fill as a maker, at the order's own price. ``resting`` is in the order in
    which they joined.
    """

    def __init__(self, instrument: Instrument, market: MarketBook, model: QueueModel) -> None:
        self._instrument = instrument
        self._market = market
        self._model: QueueModel = model
        self.resting: dict[str, Resting] = {}
        self._eaten: dict[tuple[Side, int], float] = {}
        """Lots that we took of a level that is still there, by (our side, ticks)."""
        self._met: dict[tuple[Side, int], float] = {}
        """Lots by which a level's display has filled resting orders of ours; never forgotten, since
        the same quote may flicker for hours. By (our side, ticks)."""

    @property
    def idle(self) -> bool:
        """Nothing of ours rests, and nothing that we took is waiting for its level to vanish."""
        return not self.resting and not self._eaten

    def mid(self) -> float | None:
        """Middle of the public book."""
        return self._market.mid()

    # taking

    def touch(self, side: Side) -> int | None:
        """Best price, in ticks, that an order of this side would trade against now, ours included.

        None without a public book.
        """
        for ticks, _ in self._shown_levels(side):
            own = self.own_touch(side)
            if own is None:
                return ticks
            return min(ticks, own.price_ticks) if side == "buy" else max(ticks, own.price_ticks)
        return None

    def own_in_reach(self, side: Side, limit_ticks: int) -> Resting | None:
        """The order of ours that a taker with this limit would meet first."""
        own = self.own_touch(side)
        if own is None or not reaches(side, limit_ticks, own.price_ticks):
            return None
        return own

    def own_touch(self, side: Side) -> Resting | None:
        """The order of ours that one of this side would meet first: best price, then oldest."""
        best: Resting | None = None
        for order in self.resting.values():
            if order.side == side:
                continue
            if best is None or (
                order.price_ticks < best.price_ticks
                if side == "buy"
                else order.price_ticks > best.price_ticks
            ):
                best = order
        return best

    def take(
        self, side: Side, limit_ticks: int, lots: int, before: Resting | None = None
    ) -> list[tuple[int, int]]:
        """Walk the opposite side up to the limit. Returns [(price ticks, lots)] and consumes them.

        Args:
            side: of the taker.
            limit_ticks: its worst price.
            lots: how many it wants.
            before: an order of ours on the opposite side: only what is ahead of it.
        """
        fills: list[tuple[int, int]] = []
        left = lots
        if before is not None:
            limit_ticks = before.price_ticks
        for ticks, shown in self._shown_levels(side):
            if (ticks > limit_ticks) if side == "buy" else (ticks < limit_ticks):
                break
            there = self._left(side, ticks, shown)
            if before is not None and ticks == limit_ticks:
                there = min(there, before.queue.ahead)
            got = min(left, floor(there + _DUST))
            if got <= 0:
                continue
            fills.append((ticks, got))
            self._eat(side, ticks, got)
            left -= got
            if left == 0:
                break
        return fills

    def holds(self, side: Side, limit_ticks: int, lots: int) -> bool:
        """Whether the opposite side has so many lots up to the limit."""
        for ticks, shown in self._shown_levels(side):
            if (ticks > limit_ticks) if side == "buy" else (ticks < limit_ticks):
                break
            lots -= max(0, floor(self._left(side, ticks, shown) + _DUST))
            if lots <= 0:
                return True
        return False

    def _shown_levels(self, side: Side) -> Iterator[tuple[int, float]]:
        """Opposite levels, best first, as (ticks, lots shown). The fresher best quote wins."""
        best = self._market.best()
        if best is None:
            return
        self._forget_gone()
        bid, bid_size, ask, ask_size = best
        touch, touch_size = (ask, ask_size) if side == "buy" else (bid, bid_size)
        to_ticks = self._instrument.ticks_of_float
        lot = self._instrument.lot_float
        first = to_ticks(touch)
        yield first, touch_size / lot
        bids, asks = self._market.book.top(WALK_LEVELS)
        for price, size in asks if side == "buy" else bids:
            ticks = to_ticks(price)
            if (ticks > first) if side == "buy" else (ticks < first):
                yield ticks, size / lot

    def _left(self, side: Side, ticks: int, shown: float) -> float:
        """What is left of a level after what we took of it.

        What we took stays taken while the level is there: only its growth is new. A level
        that shrank below it lost what we took first.
        """
        taken = self._eaten.get((side, ticks))
        if taken is None:
            return shown
        if taken > shown:
            self._eaten[side, ticks] = taken = shown
        return shown - taken

    def _eat(self, side: Side, ticks: int, lots: int) -> None:
        """What was taken there was ahead of orders of ours that rest there."""
        for order in self.resting.values():
            if order.side != side and order.price_ticks == ticks:
                order.queue.ahead = max(order.queue.ahead - lots, 0.0)
        self._eaten[side, ticks] = self._eaten.get((side, ticks), 0.0) + lots

    def _forget_gone(self) -> None:
        """A level that vanished starts from zero when it comes back."""
        for side, ticks in list(self._eaten):
            if self._shown_to(side, ticks) <= 0.0:
                del self._eaten[side, ticks]

    def _shown_to(self, side: Side, ticks: int) -> float:
        """What the opposite side shows at a price, in lots."""
        return self._shown("sell" if side == "buy" else "buy", ticks)

    def watched(
        self,
    ) -> tuple[list[tuple[bool, float, float]], list[tuple[bool, float]]] | None:
        """What of the public market matters here, as ``core.marketdata.passing.Watched`` has it.

        Our resting orders, with what is shown at their prices, and the levels of which we took a
        part. None where it cannot be told.
        """
        rules = self._instrument
        orders = [(o.side == "buy", o.price, o.queue.shown) for o in self.resting.values()]
        levels: list[tuple[bool, float]] = []
        for side, ticks in self._eaten:
            price = rules.price_float(ticks)
            if rules.ticks_of_float(price) != ticks:
                return None
            levels.append((side == "sell", price))
        return None if max(len(orders), len(levels)) > MOST_WATCHED else (orders, levels)

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
        """Displayed size at a price in lots, from the best quote where that is newer."""
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

    # passive fills

    def _by_priority(self, side: Side) -> list[Resting]:
        """Our resting orders of a side, best price first, then oldest."""
        orders = [order for order in self.resting.values() if order.side == side]
        if len(orders) > 1:
            orders.sort(key=lambda order: order.price_ticks, reverse=side == "buy")
        return orders

    def traded(self, trade: TradeTick) -> list[tuple[Resting, int]]:
        """A public trade: fills by queue position at our price, ahead of everybody beyond it.

        A trade at a worse price than ours would have hit us first, so a trade beyond our
        price fills us, but never for more than was traded: a large order does not fill because
        a small trade went through it, and what one order of ours gets, the next does not. A trade
        from before an order was placed, received later, does not fill it.
        """
        fills: list[tuple[Resting, int]] = []
        price = trade.price
        volume = trade.size / self._instrument.lot_float
        seller = trade.side == "sell"
        happened_ns = self._market.last_trade_ns
        ours = 0.0
        for order in self._by_priority("buy" if seller else "sell"):
            beyond = order.price - price if seller else price - order.price
            if beyond < 0:
                break
            if order.since_ns > happened_ns:
                continue
            if beyond > 0:
                order.queue.on_through()
                reached = volume - ours
            else:
                reached = order.queue.on_trade(volume, trade.recv_ns, ours)
            if reached <= 0.0:
                continue
            reached = min(reached, order.left_lots - order.partial)
            ours += reached
            order.partial += reached
            got = min(order.left_lots, floor(order.partial + _DUST))
            if got > 0:
                order.partial = max(order.partial - got, 0.0)
                fills.append((order, got))
        return fills

    def market_moved(self, now_ns: int, *, depth: bool) -> list[tuple[Resting, int]]:
        """The public book changed: advance the queues. Fills nothing but in the optimistic model.

        Args:
            now_ns: when.
            depth: levels behind the best ones may have changed too.
        """
        best = self._market.best()
        if best is None:
            return []
        if self._eaten:
            self._forget_gone()
        crossed = False
        for order in self.resting.values():
            price = order.price
            if order.side == "buy":
                crossed |= best[2] <= price
                better = price > best[0]
                at_best, size = price == best[0], best[1]
            else:
                crossed |= best[0] >= price
                better = price < best[2]
                at_best, size = price == best[2], best[3]
            if at_best:
                order.queue.on_shown(size / self._instrument.lot_float, now_ns)
            elif better:
                order.queue.on_shown(0.0, now_ns)
            elif depth:
                size = self._market.book.size_at(order.side, price)
                order.queue.on_shown(size / self._instrument.lot_float, now_ns)
        if crossed and self._model == "optimistic":
            return [*self._met_by_quotes("buy"), *self._met_by_quotes("sell")]
        return []

    def _met_by_quotes(self, side: Side) -> Iterator[tuple[Resting, int]]:
        """What the opposite side shows at or through our price would have traded with us, once."""
        for order in self._by_priority(side):
            got = 0
            for ticks, shown in self._shown_levels(side):
                beyond = ticks - order.price_ticks if side == "buy" else order.price_ticks - ticks
                if beyond > 0 or got == order.left_lots:
                    break
                used = max(self._met.get((side, ticks), 0.0), self._eaten.get((side, ticks), 0.0))
                lots = min(order.left_lots - got, floor(shown - used + _DUST))
                if lots > 0:
                    self._met[side, ticks] = used + lots
                    self._eat(side, ticks, lots)
                    got += lots
            if got > 0:
                yield order, got
