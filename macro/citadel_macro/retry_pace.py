"""How soon an order that micro ended at once may be retried.

Freqtrade retries in every loop what failed in the last one: an exit below the venue's minimum, a
stop that ends as soon as it is held, a further entry that a limit forbids. One failure may be
chance, and the next attempt is sent at once; from the second in a row on there is a pause, which
doubles each time. The first attempt after a pause is always sent, and a fill ends the pauses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 10.0
"""Of exits and stops: the cause (a feed, a limit) may end at any time."""
LONGEST_ENTRY_S: Final = 60.0
MEMORY_S: Final = 300.0
"""A failure this long after the last one counts as the first."""

Key = tuple[str, str, str]
"""Pair, side, kind of order."""


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float
    until_s: float
    reason: str


class Pace:
    """Failures in a row, by pair, side and kind of order. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures: dict[Key, _Failures] = {}

    def failed(self, key: Key, reason: str, now_s: float, *, entry: bool) -> None:
        """Record an order that ended without a fill."""
        known = self._failures.get(key)
        count = 1 if known is None or now_s - known.last_s > MEMORY_S else known.count + 1
        longest = LONGEST_ENTRY_S if entry else LONGEST_S
        pause = min(FIRST_S * 2.0 ** min(count - 2, 10), longest) if count > 1 else 0.0
        self._failures[key] = _Failures(count, now_s, now_s + pause, reason)

    def filled(self, key: Key) -> None:
        """Record an order that filled: the next may follow at once."""
        self._failures.pop(key, None)

    def forget(self, pair: str) -> None:
        """Allow everything on a pair at once: a manual order."""
        for key in [key for key in self._failures if key[0] == pair]:
            self._failures.pop(key, None)

    def held(self, key: Key, now_s: float) -> str:
        """Why an order may not be retried yet; empty when it may."""
        known = self._failures.get(key)
        if known is None or now_s >= known.until_s:
            return ""
        pair, side, kind = key
        return (
            f"{kind} to {side} {pair} is retried in {known.until_s - now_s:.1f} s, after "
            f"{known.count} without a fill: {known.reason}"
        )
