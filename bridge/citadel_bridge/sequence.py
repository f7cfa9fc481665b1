"""What a receiver keeps about a sender: order of its messages, and how far its clock is off.

Time is a parameter here. Nothing in this module is locked: one thread observes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

MOST_SEQUENCES: Final = 10_000
"""Sequences followed at a time; the longest known is dropped first, whose next message then counts as
its first."""

_SKEW_WINDOW: Final = 30


@dataclass(slots=True)
class Sequences:
    """Detects messages that were lost or repeated, per sender and topic.

    A sender is one run of a process (its instance or epoch), so a restart, which begins again at 1,
    is no gap. The first message seen of a topic is none either: a late joiner has missed nothing
    that it could have had.
    """

    gaps: int = 0
    """How often a sequence jumped."""
    missing: int = 0
    """How many messages the jumps left out."""
    repeated: int = 0
    """Messages not newer than one already seen."""
    _last: dict[tuple[str | int, bytes], int] = field(default_factory=dict)

    def observe(self, sender: str | int, topic: bytes, seq: int) -> int:
        """Note one message.

        Returns:
            How many messages are missing before this one; -1 if it is not newer than the last.
        """
        key = (sender, topic)
        last = self._last.get(key)
        if last is None:
            if len(self._last) >= MOST_SEQUENCES:
                del self._last[next(iter(self._last))]
            self._last[key] = seq
            return 0
        if seq <= last:
            self.repeated += 1
            return -1
        self._last[key] = seq
        lost = seq - last - 1
        if lost:
            self.gaps += 1
            self.missing += lost
        return lost

    def forget(self, sender: str | int) -> None:
        """Drop what is kept about a sender that has ended."""
        for key in [key for key in self._last if key[0] == sender]:
            del self._last[key]


class SkewMeter:
    """Difference of two wall clocks, from heartbeats that carry both clocks of the sender.

    A heartbeat that was delayed on its way seems to come from a slow clock. The delay shows in the
    monotonic clocks, whose difference is constant but for it: the sample with the largest
    difference (the least delayed of the last 30) is the measure of the others.
    """

    def __init__(self) -> None:
        self._mono: deque[int] = deque(maxlen=_SKEW_WINDOW)
        self.skew_ns = 0
        """Sender's wall clock minus ours, as of the last heartbeat."""

    def update(self, wall_ns: int, mono_ns: int, our_wall_ns: int, our_mono_ns: int) -> int:
        """Note one heartbeat, sent at the first two and received at the last two times.

        Returns:
            ``skew_ns``.
        """
        offset = mono_ns - our_mono_ns
        self._mono.append(offset)
        delay = max(self._mono) - offset
        self.skew_ns = wall_ns - our_wall_ns + delay
        return self.skew_ns
