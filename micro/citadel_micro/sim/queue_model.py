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

Sizes are floats in lots: displayed sizes are statistics here, what we fill is counted in integers
by the caller.
"""

from __future__ import annotations

from typing import Literal

QueueModel = Literal["pessimistic", "expected", "optimistic"]


class QueuePosition:
    """Position of one resting order at one price.

    ``ahead`` is the size in front of us, ``shown`` the displayed size at our price without our
    own order, both in lots.
    """

    __slots__ = ("_model", "_traded", "ahead", "shown")

    def __init__(self, model: QueueModel, shown_lots: float) -> None:
        self._model = model
        self.shown = shown_lots
        self.ahead = shown_lots
        self._traded = 0.0

    def on_trade(self, lots: float) -> float:
        """Consume the front of the queue by a trade at our price.

        Returns the part of the trade, in lots, that reaches us.
        """
        self._traded += lots
        if lots <= self.ahead:
            self.ahead -= lots
            return 0.0
        reached = lots - self.ahead
        self.ahead = 0.0
        return reached

    def on_shown(self, lots: float) -> None:
        """Take in the size now displayed at our price (0 when the level is gone)."""
        before = max(self.shown - self._traded, 0.0)
        self._traded = 0.0
        self.shown = lots
        cancelled = before - lots
        if cancelled > 0.0 and before > 0.0:
            if self._model == "expected":
                self.ahead -= cancelled * min(1.0, self.ahead / before)
            elif self._model == "optimistic":
                self.ahead -= cancelled
        self.ahead = max(0.0, min(self.ahead, lots))
