"""Token buckets for messages to a venue: integer arithmetic, a reserve for cancels."""

from __future__ import annotations

from typing import Final

_TOKEN: Final = 1_000_000_000
"""Units of one message: one token arrives a second at rate 1, one unit a nanosecond."""
_AHEAD_NS: Final = 50_000_000
"""A waiting message is retried no later than this after its time: a timer may be late."""


class MessageBucket:
    """At most ``burst`` messages at once and ``per_second`` in the long run.

    Cancels may spend everything. Orders, amends and cancels that only make room for them leave the
    reserve alone, queries half of it; and both wait while a cancel waits. So nothing starves
    cancels, and queries do not starve orders. While an urgent order waits (a stop, a flattening), no
    other order and no query goes before it: twenty repricing entries would take
    every message.
    """

    __slots__ = (
        "_cancels_until_ns",
        "_capacity",
        "_level",
        "_now_ns",
        "_rate",
        "_reserve",
        "_urgent_until_ns",
        "message_ns",
    )

    def __init__(self, *, per_second: int, burst: int, reserve: float) -> None:
        self._rate = per_second
        self.message_ns = _TOKEN // per_second
        """Long-run interval from one message to the next."""
        self._capacity = burst * _TOKEN
        self._reserve = int(burst * reserve) * _TOKEN
        self._level = self._capacity
        self._now_ns = 0
        self._cancels_until_ns = 0
        """Until then the next message is reserved for a cancel."""
        self._urgent_until_ns = 0
        """Until then the next message except cancels is reserved for an urgent order."""

    def take_order(self, now_ns: int, *, urgent: bool = False) -> int:
        """Spend one message on an order: 0, else the nanosecond at which to retry."""
        return self._spend(self.order_ready_ns(now_ns, urgent=urgent))

    def take_question(self, now_ns: int) -> int:
        """Spend one message on a query: 0, else the nanosecond at which to retry."""
        return self._spend(self._behind_urgent(now_ns, self._reserve // 2))

    def take_cancel(self, now_ns: int) -> int:
        """Spend one message on a cancel: 0, else the nanosecond at which to retry."""
        wait_ns = self._spend(self._wait(now_ns, 0))
        if wait_ns:
            self._cancels_until_ns = wait_ns + _AHEAD_NS
        return wait_ns

    def order_ready_ns(self, now_ns: int, *, urgent: bool = False) -> int:
        """0 when an order could be sent now, else when."""
        if not urgent:
            return self._behind_urgent(now_ns, self._reserve)
        wait_ns = self._behind_cancels(now_ns, self._reserve)
        self._urgent_until_ns = wait_ns + _AHEAD_NS if wait_ns else 0
        return wait_ns

    def _spend(self, wait_ns: int) -> int:
        if wait_ns == 0:
            self._level -= _TOKEN
        return wait_ns

    def _behind_urgent(self, now_ns: int, keep: int) -> int:
        wait_ns = self._behind_cancels(now_ns, keep)
        return max(wait_ns, self._urgent_until_ns) if now_ns < self._urgent_until_ns else wait_ns

    def _behind_cancels(self, now_ns: int, keep: int) -> int:
        wait_ns = self._wait(now_ns, keep)
        return max(wait_ns, self._cancels_until_ns) if now_ns < self._cancels_until_ns else wait_ns

    def _wait(self, now_ns: int, keep: int) -> int:
        if now_ns > self._now_ns:
            self._level = min(self._capacity, self._level + (now_ns - self._now_ns) * self._rate)
            self._now_ns = now_ns
        missing = keep + _TOKEN - self._level
        return 0 if missing <= 0 else now_ns + -(-missing // self._rate)
