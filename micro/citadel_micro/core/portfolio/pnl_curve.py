"""Losses and their reference points: the curve of cumulative profit and its three measures.

The curve is profit and loss, not account value: deposits and withdrawals are neither. It starts
at 0 before the first trade. All money is in the portfolio's reporting currency.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import cast

DAY_NS = 86_400_000_000_000
SAMPLES = 60
"""Samples kept of a rolling window; the window is therefore exact to a sixtieth."""

_ZERO = Decimal(0)


class LossCurve:
    """Day anchor, highest profit, and samples of one rolling window.

    Time only moves forward in here: a clock that is set back starts no new day.
    """

    def __init__(self, rolling_window_ns: int) -> None:
        self.window_ns = rolling_window_ns
        self.day = 0
        """Days since 1970-01-01 UTC, of the last observation."""
        self.day_anchor = _ZERO
        """Last profit seen before that day's midnight."""
        self.peak = _ZERO
        self.last = _ZERO
        self.last_ns = 0
        self.samples: deque[tuple[int, Decimal]] = deque()
        """(ns, profit), at most one per sixtieth of the window, oldest first."""

    def observe(self, now_ns: int, profit: Decimal) -> None:
        """Add the current profit."""
        now = max(self.last_ns, now_ns)
        day = now // DAY_NS
        if day != self.day:
            self.day = day
            self.day_anchor = self.last
        step = max(1, self.window_ns // SAMPLES)
        if not self.samples or now // step != self.samples[-1][0] // step:
            self.samples.append((now, self.last))
        while len(self.samples) > 1 and self.samples[1][0] <= now - self.window_ns:
            self.samples.popleft()
        self.peak = max(self.peak, profit)
        self.last = profit
        self.last_ns = now

    @property
    def anchors(self) -> tuple[int, Decimal, Decimal, int]:
        """The reference points of the losses: they change now and then, and must survive a crash."""
        newest_ns = self.samples[-1][0] if self.samples else 0
        return self.day, self.day_anchor, self.peak, newest_ns

    def daily_loss(self, profit: Decimal) -> Decimal:
        """Fall since midnight UTC; negative for a gain."""
        return self.day_anchor - profit

    def rolling_loss(self, profit: Decimal) -> Decimal:
        """Fall since the beginning of the window; negative for a gain."""
        return (self.samples[0][1] if self.samples else _ZERO) - profit

    def drawdown(self, profit: Decimal) -> Decimal:
        """Fall below the highest profit ever observed; 0 at a new high."""
        return max(self.peak - profit, _ZERO)

    def rebase_peak(self) -> None:
        """Measure drawdown from the last profit on: the operator accepted the loss so far."""
        self.peak = self.last

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``load`` makes an equal curve."""
        return {
            "day": self.day,
            "day_anchor": str(self.day_anchor),
            "peak": str(self.peak),
            "last": str(self.last),
            "last_ns": self.last_ns,
            "samples": [[ns, str(profit)] for ns, profit in self.samples],
        }

    def load(self, state: dict[str, object]) -> None:
        """Restore what ``to_state`` gave."""
        self.day = cast("int", state["day"])
        self.day_anchor = Decimal(cast("str", state["day_anchor"]))
        self.peak = Decimal(cast("str", state["peak"]))
        self.last = Decimal(cast("str", state["last"]))
        self.last_ns = cast("int", state["last_ns"])
        rows = cast("list[list[object]]", state["samples"])
        self.samples = deque((cast("int", ns), Decimal(cast("str", profit))) for ns, profit in rows)
