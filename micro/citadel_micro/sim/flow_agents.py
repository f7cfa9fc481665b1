"""One symbol's order flow: who sends which orders, drawn event by event in virtual time.

A zero-intelligence limit order book with a little intelligence added where a purely random one
is visibly wrong:

- limit orders, cancellations and market orders arrive as point processes whose rates and
  distances alone make the book (Smith, Farmer, Gillemot and Krishnamurthy, "Statistical theory
  of the continuous double auction", 2003; Cont, Stoikov and Talreja, "A stochastic model for
  order book dynamics", 2010). Distances have a power-law tail (Zovko and Farmer, "The power of
  patience", 2002); cancellations are proportional to the number of orders present;
- market orders excite each other (Hawkes, "Spectra of some self-exciting and mutually exciting
  point processes", 1971; exponential kernel, drawn by Ogata's thinning, 1981), their signs
  persist (Lillo and Farmer, "The long memory of the efficient market", 2004), and their size
  follows the liquidity on offer (Farmer, Gillemot, Lillo, Mike and Sen, 2004);
- all rates grow with the variance regime of the reference price, so that volume and volatility
  cluster together;
- informed traders know the reference price: now and then one takes every order that is
  mispriced against it, or its maker pulls it in time (Glosten and Milgrom, 1985). This is what
  makes prices move, and what ties the live market to the history served for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from citadel_micro.sim.flow_book import NOBODY, LevelBook, LevelChange, Print, Side
from citadel_micro.sim.flow_reference import MINUTE_NS
from citadel_micro.sim.rng import SplitMix64, key_of
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.flow_reference import ReferencePrice
    from citadel_micro.sim.flow_symbols import FlowSymbol

START_LEVELS = 260  # a side, at the start
MIN_LEVELS = 140  # a side; a level lost below this is replaced at the far end
FULL_LEVELS = 400  # a side; from here on cancellations take the far end first
_BRANCHING = 0.6  # market orders caused by an earlier one
_DECAY = 0.8  # per second: excitement fades with a time constant of 1.25 s
_SIGN_PERSISTENCE = 0.72
_MAX_SWEEP = 12  # levels one order takes at most
_FAR = 0.05  # of the price: beyond this, levels are as dense as ticks allow
_TAIL = 1.0  # exponent of the distance of limit orders from the touch
_NS = 1_000_000_000

FlowEvent = LevelChange | Print


class SymbolFlow:
    """The book of one symbol and the orders that come to it.

    ``peek`` is the time of the next candidate event; ``step`` executes it. Every draw comes
    from one stream in the order of virtual time, so the stream of events does not depend on how
    often it is polled.
    """

    def __init__(
        self,
        seed: int,
        item: FlowSymbol,
        reference: ReferencePrice,
        start_ns: int,
    ) -> None:
        """Build the opening book around the reference price at ``start_ns`` (ns since 1970)."""
        spec, flow = item.spec, item.flow
        self.spec = spec
        self._flow = flow
        self._reference = reference
        self._rng = SplitMix64(key_of(seed, spec.symbol, "flow", start_ns))
        self._tick = spec.tick_e8 / 1e8
        lot_quote = flow.anchor * spec.lot_e8 / 1e8
        self._touch_log = math.log(max(flow.touch_quote / lot_quote, 2.0))
        self._clip_log = math.log(max(flow.clip_quote / lot_quote, 2.0))
        self._gap = max(flow.gap_bps * 1e-4 * flow.anchor / self._tick, 0.5)
        self._now = start_ns
        self._minute = -1
        self._activity = 1.0
        self._heat = 0.0  # Hawkes: what earlier market orders add to the rate, per second
        self._sign_buy = True
        self._out: list[FlowEvent] = []
        # Ids continue to rise over restarts because they start from the time.
        self.book = LevelBook(start_ns // 5_000_000, start_ns // 20_000_000, start_ns // 40_000_000)
        self.on_fill: Callable[[int, Print], None] | None = None
        """Called with every trade against a client's order, by its id."""
        self.paused = False
        """While the exchange has halted the symbol, nobody sends orders."""
        self._deep: dict[Side, int] = {"bid": 0, "ask": 0}
        """Levels of each side that are not counted among those that the flow keeps busy."""
        self._acts = (self._limit_order, self._cancel, self._informed, self._noise_trade)
        self._open()
        self._out.clear()
        self._candidate = 0
        self._bound = 0.0
        self._draw_candidate()

    @property
    def peek(self) -> int:
        """Return the time (ns) of the next candidate event."""
        return self._candidate

    def step(self) -> list[FlowEvent]:
        """Execute the next candidate and return what changed (often nothing)."""
        self._cool(self._candidate)
        if self._candidate // MINUTE_NS == self._minute and not self.paused:
            pick = self._rng.uniform() * self._bound
            for rate, act in zip(self._rates(), self._acts, strict=True):
                if pick < rate:
                    act()
                    break
                pick -= rate
        self._draw_candidate()
        out = self._out
        self._out = []
        return out

    def _rates(self) -> tuple[float, float, float, float]:
        """Return how often each of ``_acts`` comes, per second."""
        flow, activity, book = self._flow, self._activity, self.book
        levels = len(book.bids) + len(book.asks) - self._deep["bid"] - self._deep["ask"]
        crowd = min(levels / (2.0 * START_LEVELS), 2.0)
        return (
            flow.limit_rate * activity,
            flow.cancel_rate * activity * crowd,
            flow.informed_rate * activity,
            flow.market_rate * (1.0 - _BRANCHING) * activity + self._heat,
        )

    def _cool(self, time_ns: int) -> None:
        self._heat *= math.exp(-_DECAY * (time_ns - self._now) / _NS)
        self._now = time_ns

    def _draw_candidate(self) -> None:
        """Draw the next candidate by thinning: the bound holds until the rates can rise."""
        minute = self._now // MINUTE_NS
        if minute != self._minute:
            self._minute = minute
            factor = self._reference.variance_factor(minute)
            self._activity = min(max(math.sqrt(factor), 0.5), 2.0)
        limit, cancel, informed, market = self._rates()
        # `sum` rounds less from Python 3.12 on, and a seed must mean the same market.
        self._bound = limit + cancel + informed + market
        wait = self._rng.exponential() / self._bound
        # A change of regime at the next minute changes the rates: stop there and draw again
        # (an exponential wait has no memory).
        boundary = (minute + 1) * MINUTE_NS
        self._candidate = min(self._now + 1 + int(wait * _NS), boundary)

    # ------------------------------------------------------------------ information of agents

    def _fair(self) -> float:
        """Return the reference price in ticks."""
        return self._reference.price(self._now) / self._tick

    def _draw_lots(self, log_median: float, width: float) -> int:
        return max(1, round(math.exp(log_median + width * self._rng.gauss())))

    def _put(self, side: Side, ticks: int, lots: int) -> None:
        """Set the anonymous size of a level."""
        book = self.book
        number = book.put(side, ticks, lots)
        self._out.append(
            LevelChange(
                self._now, self.spec.symbol, number, side, ticks, book.sizes(side).get(ticks, 0)
            )
        )

    # ------------------------------------------------------------------ limit orders

    def _open(self) -> None:
        fair = self._fair()
        book = self.book
        best_bid = max(math.ceil(fair - 0.5 * self._gap) - 1, 1)
        best_ask = max(math.floor(fair + 0.5 * self._gap) + 1, best_bid + 1)
        self._put("bid", best_bid, self._draw_lots(self._touch_log, 1.0))
        self._put("ask", best_ask, self._draw_lots(self._touch_log, 1.0))
        while len(book.bids) < START_LEVELS and book.bids[0] > 1:
            self._add_far("bid")
        while len(book.asks) < START_LEVELS:
            self._add_far("ask")
        for side in self._deep:
            busy = self._busy(side)
            for _ in range(self._flow.deep_levels):
                self._add_far(side)
            self._deep[side] = self._busy(side) - busy

    def _busy(self, side: Side) -> int:
        """Return how many levels of a side the flow works on: all but the deep ones."""
        prices = self.book.bids if side == "bid" else self.book.asks
        return len(prices) - self._deep[side]

    def _far_end(self, side: Side) -> int | None:
        """Return the last level that is not clients' alone; None when there is none."""
        book = self.book
        for ticks in book.bids if side == "bid" else reversed(book.asks):
            if ticks not in book.queues(side) or book.anonymous(side, ticks):
                return ticks
        return None

    def _add_far(self, side: Side) -> None:
        """Add a level beyond the last one, at the spacing the tail has there."""
        book = self.book
        far = self._far_end(side)
        if far is None:
            msg = f"nobody is left on the {side} side of {self.spec.symbol}"
            raise InvariantError(msg)
        best = book.bids[-1] if side == "bid" else book.asks[0]
        reach = abs(best - far) + self._gap
        spacing = 0.025 * reach if reach < _FAR * best else 0.0
        skip = 1 + int(spacing * self._rng.uniform())
        ticks = far - skip if side == "bid" else far + skip
        if ticks < 1:
            return
        lots = self._draw_lots(self._touch_log + 0.8, 1.0)
        self._put(side, ticks, self.book.anonymous(side, ticks) + lots)

    def _limit_order(self) -> None:
        rng, book = self._rng, self.book
        side: Side = "bid" if rng.uniform() < 0.5 else "ask"  # noqa: PLR2004 - a fair coin
        sign = 1 if side == "bid" else -1
        best = book.bids[-1] if side == "bid" else book.asks[0]
        other = book.asks[0] if side == "bid" else book.bids[-1]
        fair = self._fair() - sign * 0.15 * self._gap
        limit = math.floor(fair) if side == "bid" else math.ceil(fair)
        kind = rng.uniform()
        if kind < 0.30:  # noqa: PLR2004 - share of orders that join the best price
            ticks = best
        elif kind < 0.45:  # noqa: PLR2004 - share that improves on it
            ticks = best + sign
        else:
            ticks = limit - sign * int(self._gap * rng.pareto(_TAIL))
        # Nobody quotes worse than his own belief, and a crossing price would be a
        # market order: those are drawn elsewhere.
        if side == "bid":
            ticks = min(ticks, limit, other - 1)
            reach = best - ticks
        else:
            ticks = max(ticks, limit, other + 1)
            reach = ticks - best
        if ticks < 1 or reach > 60 * self._gap + 0.02 * best:
            return
        depth_bonus = 0.5 * math.log1p(max(reach, 0) / (4.0 * self._gap))
        lots = self._draw_lots(self._touch_log + depth_bonus - 1.0, 1.1)
        self._put(side, ticks, book.anonymous(side, ticks) + lots)

    def _cancel(self) -> None:
        rng, book = self._rng, self.book
        side: Side = "bid" if rng.uniform() < 0.5 else "ask"  # noqa: PLR2004 - a fair coin
        prices = book.bids if side == "bid" else book.asks
        count = max(self._busy(side), 1)
        if count > FULL_LEVELS:
            rank = count - 1
        elif rng.uniform() < 0.5:  # noqa: PLR2004 - half of the orders that go are near the touch
            rank = min(int(2.0 * rng.pareto(_TAIL)), count - 1)
        else:
            rank = rng.below(count)
        ticks = prices[-1 - rank] if side == "bid" else prices[rank]
        while not book.anonymous(side, ticks):  # clients cancel their orders themselves
            if rank == 0:
                return
            rank -= 1
            ticks = prices[-1 - rank] if side == "bid" else prices[rank]
        lots = book.anonymous(side, ticks)
        left = 0 if rng.uniform() < 0.5 else int(lots * rng.uniform())  # noqa: PLR2004 - a coin
        self._take(side, ticks, left)

    def _take(self, side: Side, ticks: int, left: int) -> None:
        """Reduce the anonymous size of a level, and keep the side deep enough."""
        self._put(side, ticks, left)
        self._deepen(side)

    def _deepen(self, side: Side) -> None:
        if self._busy(side) < MIN_LEVELS:
            self._add_far(side)

    def refill(self, time_ns: int) -> list[FlowEvent]:
        """Restore the depth of both sides after a client's order; return what was added.

        The flow itself takes one level at a time and replaces it. A client can empty a side.
        """
        book = self.book
        deep = min(self._busy("bid"), self._busy("ask")) >= MIN_LEVELS
        if deep and None not in {self._far_end("bid"), self._far_end("ask")}:
            return []
        self._cool(time_ns)
        fair = self._fair()
        if self._far_end("bid") is None:
            ticks = max(math.ceil(fair - 0.5 * self._gap) - 1, 1)
            if book.asks:
                ticks = max(min(ticks, book.asks[0] - 1), 1)
            self._put("bid", ticks, self._draw_lots(self._touch_log, 1.0))
        if self._far_end("ask") is None:
            ticks = max(math.floor(fair + 0.5 * self._gap) + 1, book.bids[-1] + 1)
            self._put("ask", ticks, self._draw_lots(self._touch_log, 1.0))
        for side in self._deep:
            for _ in range(MIN_LEVELS - self._busy(side)):
                self._add_far(side)
        out = self._out
        self._out = []
        return out

    # ------------------------------------------------------------------ market orders

    def _trade(self, side: Side, ticks: int, lots: int) -> None:
        """Print a trade against the level ``ticks`` of ``side`` and take it from the book."""
        book = self.book
        book.aggregate_id += 1
        parts = book.take(side, ticks, lots)
        for number, (order_id, part) in enumerate(parts, 1):
            book.trade_id += 1
            trade = Print(
                self._now, self.spec.symbol, book.trade_id, ticks, part, side == "bid",
                book.aggregate_id, number == len(parts),
            )  # fmt: skip
            self._out.append(trade)
            if order_id != NOBODY and self.on_fill is not None:
                self.on_fill(order_id, trade)
        left = book.sizes(side).get(ticks, 0)
        self._out.append(LevelChange(self._now, self.spec.symbol, book.stamp(), side, ticks, left))
        self._deepen(side)

    def _noise_trade(self) -> None:
        """Take liquidity without information, mostly no more than the best level holds."""
        rng, book = self._rng, self.book
        if rng.uniform() >= _SIGN_PERSISTENCE:
            self._sign_buy = not self._sign_buy
        self._heat += _BRANCHING * _DECAY
        side: Side = "ask" if self._sign_buy else "bid"
        want = self._draw_lots(self._clip_log, 1.3)
        for _ in range(3):
            best = book.asks[0] if side == "ask" else book.bids[-1]
            lots = min(want, (book.ask_lots if side == "ask" else book.bid_lots)[best])
            self._trade(side, best, lots)
            want -= lots
            if want <= 0 or rng.uniform() < 0.7:  # noqa: PLR2004 - most do not walk the book
                return

    def _informed(self) -> None:
        """Act on every level that is mispriced against the reference: taken, or pulled in time."""
        rng, book = self._rng, self.book
        fair = self._fair() + 0.2 * self._gap * rng.gauss()
        if book.bids[-1] > fair:
            side: Side = "bid"
        elif book.asks[0] < fair:
            side = "ask"
        else:
            return
        pulled = rng.uniform() < 0.55  # noqa: PLR2004 - share of makers quicker than the taker
        for _ in range(_MAX_SWEEP):
            best = book.bids[-1] if side == "bid" else book.asks[0]
            if (best <= fair) if side == "bid" else (best >= fair):
                return
            if pulled and book.anonymous(side, best):  # a client's order waits to be taken
                self._take(side, best, 0)
            else:
                lots = (book.bid_lots if side == "bid" else book.ask_lots)[best]
                self._trade(side, best, min(lots, self._draw_lots(self._clip_log + 2.0, 1.2)))
