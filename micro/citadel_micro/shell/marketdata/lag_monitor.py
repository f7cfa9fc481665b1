"""Whether the consumer keeps up with the feeds, and how far behind it is. Pure: time is passed in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

BEGIN_NS: Final = 100_000_000
"""Behind by more than this, the consumer is overloaded: a decision on 100 ms old books is late."""
END_NS: Final = 25_000_000
"""Behind by less than this, and for ``CALM_NS``, it has caught up."""
CALM_NS: Final = 1_000_000_000
DEMAND_END: Final = 0.75
"""Part of its time that the consumer would need for everything, unjoined, for the overload to end:
else it would begin anew at once."""
SAMPLES: Final = 1_000
"""Latencies that percentiles are of."""
PERCENTILES: Final = (50, 90, 99)

Turn = Literal["", "began", "ended"]


class OverloadGauge:
    """Overload with hysteresis: begins at once, ends after a calm time."""

    __slots__ = ("_calm_since_ns", "_since_ns", "_total_ns", "episodes", "overloaded")

    def __init__(self) -> None:
        self.overloaded = False
        self.episodes = 0
        """How often it began."""
        self._since_ns = 0
        self._total_ns = 0
        self._calm_since_ns: int | None = None

    def sample(self, now_ns: int, behind_ns: int, demand: float = 0.0) -> Turn:
        """Note how far behind the consumer is now. Returns whether overload began or ended.

        Args:
            now_ns: now.
            behind_ns: age of the oldest thing that has come and is not handled.
            demand: part of the time that handling all of it, unjoined, takes; above 1 it never
                catches up.
        """
        if not self.overloaded:
            if behind_ns < BEGIN_NS:
                return ""
            self.overloaded = True
            self.episodes += 1
            self._since_ns = now_ns
            self._calm_since_ns = None
            return "began"
        if behind_ns >= END_NS or demand >= DEMAND_END:
            self._calm_since_ns = None
        elif self._calm_since_ns is None:
            self._calm_since_ns = now_ns
        elif now_ns - self._calm_since_ns >= CALM_NS:
            self.overloaded = False
            self._total_ns += now_ns - self._since_ns
            return "ended"
        return ""

    def overloaded_ns(self, now_ns: int) -> int:
        """Time spent overloaded so far, with the episode that lasts, ns."""
        return self._total_ns + (now_ns - self._since_ns if self.overloaded else 0)


class Latencies:
    """Percentiles of the last samples of one duration, ns."""

    __slots__ = ("add", "samples")

    def __init__(self) -> None:
        self.samples: deque[int] = deque(maxlen=SAMPLES)
        self.add = self.samples.append
        """Note one, ns."""

    def percentiles(self) -> tuple[int, ...]:
        """One value for each of ``PERCENTILES`` by nearest rank, ns; empty without samples."""
        if not self.samples:
            return ()
        ordered = sorted(self.samples)
        return tuple(ordered[math.ceil(rank / 100 * len(ordered)) - 1] for rank in PERCENTILES)


class Unread:
    """How long the oldest octet that nobody has read has waited, from how many came and were read.

    What came between two looks is taken to have come at the later one.
    """

    __slots__ = ("_came",)

    def __init__(self) -> None:
        self._came: deque[tuple[int, int]] = deque()
        """(when, octets so far) of each look at which there were more than before."""

    def age_ns(self, now_ns: int, read: int, unread: int) -> int:
        """At a look: the octets read so far, and those that wait. 0 where none wait."""
        came = self._came
        if not unread:
            came.clear()
            return 0
        if not came or read + unread > came[-1][1]:
            came.append((now_ns, read + unread))
        while len(came) > 1 and came[0][1] <= read:
            came.popleft()
        return now_ns - came[0][0]


@dataclass(slots=True)
class Peak:
    """A quantity as it is now, and the most that it has been."""

    now: int = 0
    peak: int = 0

    def set(self, value: int) -> None:
        """It is this now."""
        self.now = value
        self.peak = max(self.peak, value)


@dataclass(slots=True)
class Load:
    """What one connection asks of its consumer, and how far that is behind."""

    waiting: Peak = field(default_factory=Peak)
    """Events that wait to be handled."""
    unread: Peak = field(default_factory=Peak)
    """Octets that the system has received and nobody has read."""
    conflated: int = 0
    """Book updates so far that were handled as part of a younger one."""
    handled: Latencies = field(default_factory=Latencies)
    """From the receipt of an event to the end of its handling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadHealth:
    """How far behind a connection's consumer is. Times in ns, since the start where not said."""

    overloaded: bool = False
    """The consumer, which all connections share, does not keep up just now."""
    overloads: int = 0
    """How often that began."""
    overloaded_ns: int = 0
    behind_ns: int = 0
    """Age of the oldest thing that has come and is not handled."""
    behind_peak_ns: int = 0
    loop_lag_ns: int = 0
    """How late the event loop last woke its watch."""
    loop_lag_peak_ns: int = 0
    waiting: int = 0
    waiting_peak: int = 0
    unread_octets: int = 0
    unread_octets_peak: int = 0
    conflated: int = 0
    handled_ns: tuple[int, ...] = ()
    """Receipt to handled at 50, 90 and 99 % of the last events; empty before the first."""
