"""What a receiver tracks about a sender: lost and repeated messages, and its clock offset.

Time is a parameter here. Nothing in this module is locked: one thread calls it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

MOST_SEQUENCES: Final = 10_000
"""Sequences followed at a time; the oldest is dropped first, and its next message then counts as its
first."""

_SKEW_WINDOW: Final = 30
_SETTLED_BEATS: Final = 3
_SETTLED_NS: Final = 1_500_000_000
"""Heartbeats that were delayed together arrive together; these arrived on their own schedule."""
_MOST_SKEW: Final = 2**62


@dataclass(slots=True)
class Sequences:
    """Detects messages that were lost or repeated, per sender and topic.

    A sender is one run of a process (its instance or epoch), so a restart, which starts again at 1,
    is no gap. The first message of a topic is none either: a late joiner has missed nothing
    that it could have received.
    """

    gaps: int = 0
    """How often a sequence jumped."""
    missing: int = 0
    """How many messages were skipped."""
    repeated: int = 0
    """Messages not newer than one already received."""
    _last: dict[tuple[Hashable, bytes], int] = field(default_factory=dict)

    def observe(self, sender: Hashable, topic: bytes, seq: int) -> int:
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

    def forget_topics(self, prefixes: tuple[bytes, ...]) -> None:
        """Drop the state of topics, each with its NUL compared with subscriptions.

        After a pause without a subscription the first message is no gap.
        """
        for key in [key for key in self._last if (key[1] + b"\0").startswith(prefixes)]:
            del self._last[key]

    def forget(self, sender: Hashable) -> None:
        """Drop the state of a sender that has ended."""
        for key in [key for key in self._last if key[0] == sender]:
            del self._last[key]


class Totals:
    """Detects lost messages by how many their sender says that it has sent: also the last before a silence.

    What it says comes after all that it had sent by then, since messages arrive in order.
    """

    def __init__(self) -> None:
        self._received: dict[Hashable, int] = {}
        self._before: dict[Hashable, int] = {}
        """Sent before the first that could be received, and those told as lost."""

    def received(self, sender: Hashable) -> None:
        """One message has come."""
        self._received[sender] = self._received.get(sender, 0) + 1

    def said(self, sender: Hashable, total: int) -> int:
        """A sender says how many it has sent; returns how many are lost that were not told before.

        What was sent before it said so for the first time may have been sent to others.
        """
        apart = total - self._received.get(sender, 0)
        lost = max(apart - self._before.get(sender, apart), 0)
        self._before[sender] = self._before.get(sender, apart) + lost
        return lost

    def forget(self, sender: Hashable) -> None:
        """Drop the state of a sender that has ended."""
        self._received.pop(sender, None)
        self._before.pop(sender, None)


class SkewMeter:
    """Difference of two wall clocks, from heartbeats that carry both clocks of the sender.

    A heartbeat that was delayed in transit seems to come from a slow clock. The delay shows in the
    monotonic clocks, whose difference is constant otherwise: the sample with the largest
    difference (the least delayed of the last 30) is the reference for the others.
    """

    def __init__(self) -> None:
        self._mono: deque[int] = deque(maxlen=_SKEW_WINDOW)
        self._first_ns = 0
        self._beats = 0
        self.settled = False
        """The transit delay is known: several heartbeats have come, one after the other. Until
        then a clock that seems slow may be just the delay of the first ones."""
        self.skew_ns = 0
        """Sender's wall clock minus ours, as of the last heartbeat."""

    def update(self, wall_ns: int, mono_ns: int, our_wall_ns: int, our_mono_ns: int) -> int:
        """Note one heartbeat, sent at the first two and received at the last two times.

        Returns:
            ``skew_ns``.
        """
        offset = mono_ns - our_mono_ns
        self._mono.append(offset)
        if not self.settled:
            self._first_ns = self._first_ns or our_mono_ns
            self._beats += 1
            self.settled = (
                self._beats >= _SETTLED_BEATS and our_mono_ns - self._first_ns >= _SETTLED_NS
            )
        delay = max(self._mono) - offset
        # Clocks that differ by more than a century are clamped to 64 bits.
        self.skew_ns = max(-_MOST_SKEW, min(wall_ns - our_wall_ns + delay, _MOST_SKEW))
        return self.skew_ns
