"""Queue position of a resting order at its price, and its fills.

A public book shows the total size at a price, not the queue. When we join we are behind everything
that is shown. Trades at our price use up the front of the queue. When the shown size falls by more
than was traded, somebody canceled, and only a model can say where in the queue that was:

- ``pessimistic``: always behind us, so only trades move us forward;
- ``expected``: anywhere with equal chance, so the part ahead shrinks pro rata;
- ``optimistic``: always ahead of us.

Whatever the model, we can never have more ahead of us than is shown. Running all three gives a
band instead of a number: for the same order every step keeps ``optimistic`` at or before
``expected``, and that at or before ``pessimistic``. The idea of a queue position driven by trades and
by a chosen share of the cancellations is that of Moallemi and Yuan, *A model for queue position
valuation* (2016), and of the probability models that hftbacktest documents.

Venues often show the smaller size before they report the trade that caused it. So a fall waits
``EXPLAIN_NS`` for trades at our price to explain it; what they do not explain was canceled. The other
way round, a fall within ``REFLECT_NS`` after a trade is that trade, as far as its size goes.

Sizes are floats in lots: displayed sizes are statistics here, what we fill is counted in integers
by the caller.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

QueueModel = Literal["pessimistic", "expected", "optimistic"]

EXPLAIN_NS: Final = 100_000_000
"""On Binance's recordings trades come up to some 15 ms after the quote that shows them."""
REFLECT_NS: Final = 1_000_000_000
"""Books come every 100 ms on Binance, every second on the slowest venues."""


class QueuePosition:
    """Position of one resting order at one price.

    ``ahead`` is the size in front of us, before what waits for its explanation; ``shown`` the
    displayed size at our price without our own order; both in lots.
    """

    __slots__ = ("_falls", "_model", "_pending", "_traded", "_traded_ns", "ahead", "shown")

    def __init__(self, model: QueueModel, shown_lots: float) -> None:
        self._model = model
        self.shown = shown_lots
        self.ahead = shown_lots
        self._traded = 0.0
        """Trades that the shown size does not reflect yet."""
        self._traded_ns = 0
        self._falls: deque[tuple[int, float, float]] = deque()
        """Falls of the shown size that no trade has explained yet: (when, lots, shown after it)."""
        self._pending = 0.0
        """Sum of them."""

    def on_trade(self, lots: float, now_ns: int, own: float = 0.0) -> float:
        """Consume the front of the queue by a trade at our price.

        Args:
            lots: size of the trade.
            now_ns: when it was received.
            own: part of it that orders of ours with priority have taken.

        Returns:
            The part of the trade, in lots, that reaches us.
        """
        self.settle(now_ns)
        unexplained = lots
        falls = self._falls
        while falls and unexplained > 0.0:
            when, fell, after = falls[0]
            explained = min(fell, unexplained)
            unexplained -= explained
            if explained < fell:
                falls[0] = (when, fell - explained, after)
                self._pending -= explained
            else:
                falls.popleft()
                self._pending = self._pending - fell if falls else 0.0
        if unexplained > 0.0:
            self._traded += unexplained
            self._traded_ns = now_ns
        front = lots - own
        if front <= self.ahead:
            self.ahead -= front
            return 0.0
        reached = front - self.ahead
        self.ahead = 0.0
        return reached

    def on_through(self) -> None:
        """A trade beyond our price: nobody is left ahead of us."""
        self.ahead = 0.0
        self._falls.clear()
        self._pending = 0.0

    def on_shown(self, lots: float, now_ns: int) -> None:
        """Update the size displayed at our price (0 when the level is gone)."""
        fell = self.shown - lots
        if fell == 0.0:
            return
        self.settle(now_ns)
        self.shown = lots
        if fell > 0.0:
            if self._traded > 0.0:
                if now_ns - self._traded_ns > REFLECT_NS:
                    self._traded = 0.0
                reflected = min(fell, self._traded)
                self._traded -= reflected
                fell -= reflected
            if fell > 0.0:
                self._falls.append((now_ns, fell, lots))
                self._pending += fell
            most = lots + self._pending
            self.ahead = min(self.ahead, most)

    def settle(self, now_ns: int) -> None:
        """What no trade has explained in time was canceled."""
        falls = self._falls
        while falls and now_ns - falls[0][0] > EXPLAIN_NS:
            _, fell, after = falls.popleft()
            self._pending = self._pending - fell if falls else 0.0
            ahead = self.ahead
            if self._model == "expected":
                ahead -= fell * ahead / max(after + fell, ahead)
            elif self._model == "optimistic":
                ahead = max(ahead - fell, 0.0)
            self.ahead = min(ahead, after + self._pending)
