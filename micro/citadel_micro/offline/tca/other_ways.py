"""What else could have been done with an order: taking it, leaving it, and Freqtrade alone at its own pace.

None of these moves the market, and all of them see what the run saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.offline.tca.orders import Instead, Order
from citadel_micro.sim.queue_model import QueuePosition
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.model.events import TradeTick
    from citadel_micro.offline.tca.market_past import MarketPast

WALKED: Final = 1_000
"""Levels of a book that a crossing of it may take."""
SECOND: Final = 1_000_000_000
GAVE_UP: Final = "Freqtrade alone would have given up"
NOT_OVER: Final = "Freqtrade alone would still be waiting at the journal's end"


class Resting:
    """An order, or what is left of it, at one price: what trades would have given it.

    The queue is the paper venue's expected one (``sim.queue_model``).

    Args:
        order: whose side, target and rules it has.
        past: its market.
        ticks: the price.
        got: what has been got so far; it is added to.
    """

    def __init__(self, order: Order, past: MarketPast, ticks: int, got: Instead) -> None:
        self._order = order
        self._past = past
        self._ticks = ticks
        self._got = got
        self._price = order.instrument.price_float(self._ticks)
        self._queue = QueuePosition("expected", self._shown())
        self._partial = 0.0
        self._done = False

    def _shown(self) -> float:
        size = self._past.market.book.size_at(self._order.report.side, self._price)
        return size / self._order.instrument.lot_float

    def trade(self, trade: TradeTick, now_ns: int) -> None:
        """A public trade reached it, or did not."""
        got, order = self._got, self._order
        if self._done or (trade.side == "sell") != (order.sign > 0):
            return
        ticks = order.instrument.ticks_of_float(trade.price)
        lots = trade.size / order.instrument.lot_float
        if ticks == self._ticks:
            self._partial += self._queue.on_trade(lots, now_ns)
        elif (self._ticks - ticks) * order.sign > 0:
            self._queue.on_through()
            self._partial += lots
        filled = min(order.target - got.lots, floor(self._partial + 1e-9))
        self._partial -= filled
        got.lots += filled
        got.value += filled * self._ticks

    def moved(self, now_ns: int) -> None:
        """The book has changed."""
        if not self._done:
            self._queue.on_shown(self._shown(), now_ns)

    def end(self) -> None:
        """Take what is left."""
        self._done = True
        got = self._got
        left = self._order.target - got.lots
        if left > 0:
            taken = sweep(self._past, self._order.sign, left)
            got.why_not = taken.why_not
            got.lots += taken.lots
            got.value += taken.value
            got.taken += taken.lots


def sweep(past: MarketPast, sign: int, lots: int, worst: int | None = None) -> Instead:
    """Take so many lots down the book as it is, where ``worst`` is given no further than this price."""
    result = Instead()
    bids, asks = past.market.book.top(WALKED)
    if past.market.state != "LIVE" or not bids or not asks:
        return Instead(why_not="no book")
    rules = past.instrument
    left = lots
    for price, size in asks if sign > 0 else bids:
        if worst is not None and sign * (rules.ticks_of_float(price) - worst) > 0:
            break
        got = min(left, floor(size / rules.lot_float + 1e-9))
        result.lots += got
        result.value += got * rules.ticks_of_float(price)
        left -= got
        if not left:
            break
    result.taken = result.lots
    if left:
        result.why_not = "the book was not deep enough"
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Freqtrade's own execution; the defaults are those of its configuration.

    Raises BadInput for times that are none.
    """

    throttle_s: float = 5.0
    """``internals.process_throttle_secs``: how often its loop runs."""
    timeout_s: float = 600.0
    """``unfilledtimeout``, of entries and exits."""
    price_side: Literal["same", "other"] = "same"
    """``entry_pricing.price_side`` and ``exit_pricing.price_side``."""

    def __post_init__(self) -> None:
        for name in ("throttle_s", "timeout_s"):
            if not 0 < getattr(self, name) <= 86_400:  # noqa: PLR2004 - a day
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    where="Freqtrade's own pace",
                    allowed="more than 0 and at most 86400 s",
                )

    @property
    def timeout_ns(self) -> int:
        """Until the first run of the loop at or after the timeout, which is when it looks at it."""
        loops = -(-self.timeout_s // self.throttle_s)
        return round(loops * self.throttle_s * SECOND)


class FreqtradeAlone:
    """The order as Freqtrade places it: a limit at its price side, left there until its timeout.

    An entry is then given up, an exit placed anew at the touch of that moment, again and again.

    Args:
        order: ``order.alone`` is what it gets.
        past: its market, two-sided now.
        pace: Freqtrade's settings.
        exits: it is an exit.
        now_ns: its arrival: Freqtrade's loop has just decided.
    """

    def __init__(
        self, order: Order, past: MarketPast, pace: Pace, *, exits: bool, now_ns: int
    ) -> None:
        self._order = order
        self._past = past
        self._pace = pace
        self._exits = exits
        self._resting: Resting | None = None
        self._due_ns = 0
        self.done = False
        """Nothing more will happen to it."""
        order.alone.why_not = NOT_OVER
        self._place(now_ns)

    def trade(self, trade: TradeTick, now_ns: int) -> None:
        """A public trade."""
        self._pass_time(now_ns)
        if self._resting is not None and not self.done:
            self._resting.trade(trade, now_ns)
            self._look()

    def moved(self, now_ns: int) -> None:
        """The book has changed."""
        self._pass_time(now_ns)
        if self._resting is not None and not self.done:
            self._resting.moved(now_ns)

    def _pass_time(self, now_ns: int) -> None:
        if self.done or now_ns < self._due_ns:
            return
        if not self._exits:
            self.done = True
            self._order.alone.why_not = GAVE_UP
        else:
            self._place(now_ns)

    def _place(self, now_ns: int) -> None:
        order, got, best = self._order, self._order.alone, self._past.now
        if best is None or best.mid2 is None:
            # Without a ticker it tries again when its loop runs next.
            self._resting = None
            self._due_ns = now_ns + round(self._pace.throttle_s * SECOND)
            return
        self._due_ns = now_ns + self._pace.timeout_ns
        same = self._pace.price_side == "same"
        ticks = best.bid if same == (order.sign > 0) else best.ask
        if not same:
            taken = sweep(self._past, order.sign, order.target - got.lots, ticks)
            got.lots += taken.lots
            got.value += taken.value
            got.taken += taken.lots
        self._resting = Resting(order, self._past, ticks, got)
        self._look()

    def _look(self) -> None:
        if self._order.alone.lots >= self._order.target:
            self.done = True
            self._order.alone.why_not = ""
