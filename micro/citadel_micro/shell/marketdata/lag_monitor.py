"""Whether the consumer keeps up with the feeds, and its lag. Pure: time is passed in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

BEGIN_NS: Final = 100_000_000
"""At a lag above this the consumer is overloaded: a decision on 100 ms old books is late."""
END_NS: Final = 25_000_000
"""At a lag below this for ``CALM_NS`` it has caught up."""
CALM_NS: Final = 1_000_000_000
DEMAND_END: Final = 0.75
"""Fraction of its time that the consumer would need for everything, without conflation, for the
overload to end: otherwise it would start again at once."""
SAMPLES: Final = 1_000
"""Number of latencies that percentiles are computed from."""
PERCENTILES: Final = (50, 90, 99)

Turn = Literal["", "began", "ended"]


class OverloadGauge:
    """Overload with hysteresis: starts at once, ends after a calm time."""

    __slots__ = ("_calm_since_ns", "_since_ns", "_total_ns", "episodes", "overloaded")

    def __init__(self) -> None:
        self.overloaded = False
        self.episodes = 0
        """How often it started."""
        self._since_ns = 0
        self._total_ns = 0
        self._calm_since_ns: int | None = None

    def sample(self, now_ns: int, behind_ns: int, demand: float = 0.0) -> Turn:
        """Record the consumer's lag. Returns whether overload started or ended.

        Args:
            now_ns: now.
            behind_ns: age of the oldest data received and not handled.
            demand: fraction of the time that handling all of it, without conflation, takes; above 1
                it never catches up.
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
        """Time spent overloaded so far, including the current episode, ns."""
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
    """Age of the oldest unread octet, from how many came and were read.

    What came between two samples counts as received at the later one.
    """

    __slots__ = ("_came",)

    def __init__(self) -> None:
        self._came: deque[tuple[int, int]] = deque()
        """(time, octets so far) of each sample at which there were more than before."""

    def age_ns(self, now_ns: int, read: int, unread: int) -> int:
        """At a sample: the octets read so far, and the unread ones. 0 where none are unread."""
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
    """Current value and maximum of a quantity."""

    now: int = 0
    peak: int = 0

    def set(self, value: int) -> None:
        """Set the current value."""
        self.now = value
        self.peak = max(self.peak, value)


@dataclass(slots=True)
class Load:
    """Load of one connection on its consumer, and the consumer's lag."""

    waiting: Peak = field(default_factory=Peak)
    """Events waiting to be handled."""
    unread: Peak = field(default_factory=Peak)
    """Octets received by the system and not read."""
    conflated: int = 0
    """Book updates merged into a newer one so far."""
    handled: Latencies = field(default_factory=Latencies)
    """From the receipt of an event to the end of its handling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadHealth:
    """Lag of a connection's consumer. Times in ns, since the start unless noted."""

    overloaded: bool = False
    """The consumer, which all connections share, is not keeping up."""
    overloads: int = 0
    """How often that started."""
    overloaded_ns: int = 0
    behind_ns: int = 0
    """Age of the oldest data received and not handled."""
    behind_peak_ns: int = 0
    loop_lag_ns: int = 0
    """How late the event loop last fired its timer."""
    loop_lag_peak_ns: int = 0
    waiting: int = 0
    waiting_peak: int = 0
    unread_octets: int = 0
    unread_octets_peak: int = 0
    conflated: int = 0
    handled_ns: tuple[int, ...] = ()
    """Receipt to handled at 50, 90 and 99 % of the last events; empty before the first."""
