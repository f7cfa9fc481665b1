"""The engine's clock: wall-anchored, monotone, integer nanoseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Wall time at the start plus monotonic time since then.

    A step of the wall clock while running (NTP, a person) therefore never moves engine time, so it
    can neither expire a signal early nor revive one. How far the two have come apart is
    ``drift_ns``.

    Args:
        not_before_ns: engine time never starts before this, the last stamp of the run before.
    """

    __slots__ = ("_mono", "_offset_ns", "_wall")

    def __init__(
        self,
        *,
        not_before_ns: int = 0,
        wall: Callable[[], int] = time.time_ns,
        mono: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall
        self._mono = mono
        self._offset_ns = max(wall(), not_before_ns) - mono()

    def now(self) -> int:
        """Engine time in nanoseconds since the Unix epoch."""
        return self._mono() + self._offset_ns

    def drift_ns(self) -> int:
        """Wall time minus engine time: how far the wall clock was moved since the start."""
        return self._wall() - self.now()
