"""Rates: how often to retry, and how often to send requests to a venue."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random


class Backoff:
    """Capped exponential delays with jitter.

    The n-th delay is uniform in [1/2, 1] of ``base_s * 2^n``, at most ``cap_s``: jitter keeps many
    clients from reconnecting together, the lower half keeps the rate bounded.
    """

    __slots__ = ("_base_s", "_cap_s", "_rng", "attempts")

    def __init__(self, rng: random.Random, base_s: float = 0.25, cap_s: float = 30.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self.attempts = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return ceiling * (0.5 + 0.5 * self._rng.random())

    def reset(self) -> None:
        """Success: the next failure starts from the shortest delay."""
        self.attempts = 0


HOUR_S: Final = 3_600.0


class Hourly:
    """At most ``most`` in any hour, in seconds of one clock; no limit for 0."""

    __slots__ = ("_most", "_times")

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: deque[float] = deque(maxlen=most or 1)

    def wait_s(self, now_s: float, count: int = 1) -> float:
        """Seconds until so many more may be sent together; 0 for at once."""
        over = len(self._times) + count - self._most
        if not self._most or over <= 0:
            return 0.0
        if count > self._most:
            return HOUR_S  # more than an hour's: never
        return max(0.0, self._times[min(over, len(self._times)) - 1] + HOUR_S - now_s)

    def spend(self, now_s: float) -> None:
        """Count one."""
        self._times.append(now_s)


class Pacer:
    """At most ``per_s`` requests a second, evenly spaced, first come first served.

    After a pause up to ``burst`` more may pass at once, as a venue's per-minute budget permits.
    """

    __slots__ = ("_burst_s", "_interval_s", "_lock", "_next_s")

    def __init__(self, per_s: float, burst: int = 0) -> None:
        self._interval_s = 1.0 / per_s
        self._burst_s = burst / per_s
        self._next_s = 0.0
        self._lock = asyncio.Lock()

    async def turn(self, cost: float = 1.0) -> None:
        """Wait for this caller's turn; at half the cost the next one waits half as long."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            wait_s = self._next_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            earliest_s = loop.time() - self._burst_s
            self._next_s = max(self._next_s, earliest_s) + self._interval_s * cost

    def hold(self, seconds: float) -> None:
        """Hold all requests for this long, as the venue demands."""
        self._next_s = max(self._next_s, asyncio.get_running_loop().time() + seconds)
