"""Token buckets for what is sent to a venue: integer arithmetic, a reserve for cancels."""

from __future__ import annotations

from typing import Final

_TOKEN: Final = 1_000_000_000
"""Units of one message: one token arrives a second at rate 1, one unit a nanosecond."""


class MessageBucket:
    """At most ``burst`` messages at once and ``per_second`` in the long run.

    Orders and amends leave the reserve alone; cancels and queries may use it.
    """

    __slots__ = ("_capacity", "_level", "_now_ns", "_rate", "_reserve")

    def __init__(self, *, per_second: int, burst: int, reserve: float) -> None:
        self._rate = per_second
        self._capacity = burst * _TOKEN
        self._reserve = int(burst * reserve) * _TOKEN
        self._level = self._capacity
        self._now_ns = 0

    def take_order(self, now_ns: int) -> int:
        """Spend one message on an order: 0, else the nanosecond at which to try again."""
        return self._take(now_ns, self._reserve)

    def take_cancel(self, now_ns: int) -> int:
        """Spend one message on a cancel or query: 0, else the nanosecond to try again at."""
        return self._take(now_ns, 0)

    def order_ready_ns(self, now_ns: int) -> int:
        """0 when an order could be sent now, else when."""
        self._refill(now_ns)
        return self._wait(now_ns, self._reserve)

    def _take(self, now_ns: int, keep: int) -> int:
        self._refill(now_ns)
        wait = self._wait(now_ns, keep)
        if wait == 0:
            self._level -= _TOKEN
        return wait

    def _wait(self, now_ns: int, keep: int) -> int:
        missing = keep + _TOKEN - self._level
        return 0 if missing <= 0 else now_ns + -(-missing // self._rate)

    def _refill(self, now_ns: int) -> None:
        if now_ns > self._now_ns:
            self._level = min(self._capacity, self._level + (now_ns - self._now_ns) * self._rate)
            self._now_ns = now_ns
