"""The engine's clock: wall-anchored, monotone, integer nanoseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_NS: Final = 50_000_000
"""A wall clock that moves by this much against the monotonic one was set. Disciplining it makes
both run faster or slower together, so it never looks like that."""


class Clock:
    """Wall time at the start plus monotonic time since then.

    A step of the wall clock while running (NTP, a person) therefore never moves engine time, so it
    can neither expire a signal early nor revive one. How far the two have come apart is
    ``drift_ns``: whoever compares engine time with a time of another process has to add it.

    Args:
        not_before_ns: engine time never starts before this, the last stamp of the run before.
    """

    __slots__ = ("_mono", "_offset_ns", "_seen_ns", "_wall", "last_step_ns", "steps")

    def __init__(
        self,
        *,
        not_before_ns: int = 0,
        wall: Callable[[], int] | None = None,
        mono: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall or _wall
        self._mono = mono
        wall_ns = self._wall()
        self._offset_ns = max(wall_ns, not_before_ns) - self._mono()
        self._seen_ns = min(wall_ns - not_before_ns, 0)
        self.steps = 0
        """How often ``look`` found that the wall clock was set."""
        self.last_step_ns = 0
        """By how much it was set, the last time."""

    def now(self) -> int:
        """Engine time in nanoseconds since the Unix epoch."""
        return self._mono() + self._offset_ns

    def mono(self) -> int:
        """The monotonic clock in nanoseconds."""
        return self._mono()

    def wall(self) -> int:
        """The machine's wall clock as it is now, which can go back."""
        return self._wall()

    def drift_ns(self) -> int:
        """Wall time minus engine time: how far the wall clock was moved since the start.

        Below zero from the start where the run before has ended later than this clock shows.
        """
        return self._wall() - self.now()

    def look(self) -> int:
        """By how much the wall clock was set since the last look, in ns; 0 when it was not."""
        drift_ns = self.drift_ns()
        step_ns = drift_ns - self._seen_ns
        if abs(step_ns) < STEP_NS:
            return 0
        self._seen_ns = drift_ns
        self.steps += 1
        self.last_step_ns = step_ns
        return step_ns


def _wall() -> int:
    # Looked up at every call, so that whoever replaces the clock of ``time`` replaces this one.
    return time.time_ns()
