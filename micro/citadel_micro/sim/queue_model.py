"""Where a resting order stands in the queue at its price, and when it is its turn.

A public book shows the total size at a price, not who stands where. At joining we are behind all
that is shown. Trades at our price use up the front of the queue. When the shown size falls by more
than was traded, somebody cancelled, and only a model can say where that somebody stood:

- ``pessimistic``: always behind us, so only trades move us forward;
- ``expected``: anywhere with equal chance, so the part ahead shrinks pro rata;
- ``optimistic``: always ahead of us.

Whatever the model, we can never have more ahead of us than is shown. Running all three gives a
band instead of a number. The idea of a queue position driven by trades and by a chosen share of
the cancellations is that of Moallemi and Yuan, *A model for queue position valuation* (2016), and
of the probability models that hftbacktest documents.

Venues often show the smaller size before they report the trade that caused it. A fall is therefore
taken back as far as trades at our price explain it within ``EXPLAIN_NS``: what was traded came off
the front.

Sizes are floats in lots: displayed sizes are statistics here, what we fill is counted in integers
by the caller.
"""

from __future__ import annotations

from typing import Final, Literal

QueueModel = Literal["pessimistic", "expected", "optimistic"]

EXPLAIN_NS: Final = 100_000_000
"""On Binance's recordings trades come up to some 15 ms after the quote that shows them."""


class QueuePosition:
    """Position of one resting order at one price.

    ``ahead`` is the size in front of us, ``shown`` the displayed size at our price without our
    own order, both in lots.
    """

    __slots__ = ("_fell", "_fell_ahead", "_fell_ns", "_model", "_traded", "ahead", "shown")

    def __init__(self, model: QueueModel, shown_lots: float) -> None:
        self._model = model
        self.shown = shown_lots
        self.ahead = shown_lots
        self._traded = 0.0
        """By trades that the shown size does not yet reflect."""
        self._fell = 0.0
        """Fall of the shown size that no trade has explained yet."""
        self._fell_ahead = 0.0
        """How far that fall moved us forward."""
        self._fell_ns = 0

    def on_trade(self, lots: float, now_ns: int) -> float:
        """Consume the front of the queue by a trade at our price.

        Returns the part of the trade, in lots, that reaches us.
        """
        from_front = lots
        if self._fell > 0.0:
            if now_ns - self._fell_ns > EXPLAIN_NS:
                self._fell = self._fell_ahead = 0.0
            else:
                explained = min(lots, self._fell)
                moved = self._fell_ahead * explained / self._fell
                self._fell -= explained
                self._fell_ahead -= moved
                from_front = lots - moved
                lots -= explained
        self._traded += lots
        if from_front <= self.ahead:
            self.ahead -= from_front
            return 0.0
        reached = from_front - self.ahead
        self.ahead = 0.0
        return reached

    def on_shown(self, lots: float, now_ns: int) -> None:
        """Take in the size now displayed at our price (0 when the level is gone)."""
        if lots == self.shown and self._traded == 0.0:
            return
        before = max(self.shown - self._traded, 0.0)
        self._traded = 0.0
        self.shown = lots
        cancelled = before - lots
        ahead = self.ahead
        if cancelled > 0.0 and before > 0.0:
            if self._model == "expected":
                ahead -= cancelled * min(1.0, ahead / before)
            elif self._model == "optimistic":
                ahead -= cancelled
        ahead = max(0.0, min(ahead, lots))
        if cancelled > 0.0:
            self._fell += cancelled
            self._fell_ahead += self.ahead - ahead
            self._fell_ns = now_ns
        self.ahead = ahead
