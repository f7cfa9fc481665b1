"""What one of several micros takes of the signals channel, where each macro's messages reach all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_proto import topics
from citadel_proto.messages import Cancel, Query, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_proto.messages import SignalChannel

MOST_TOPICS: Final = 300
"""Pairs subscribed to one by one; a publisher bounds what a subscriber may send it. With more, all signals
of the venue are subscribed to, and those on other pairs are dropped here."""


class Scope:
    """The pairs of this micro.

    Args:
        pairs: (venue, symbol) of every one.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(sorted(set(pairs)))
        self._pairs = frozenset(self.pairs)
        self._venues = frozenset(venue for venue, _ in self.pairs)
        self.others = 0
        """Messages that were for other micros."""

    def subscriptions(self) -> list[bytes]:
        """Topics of the signals channel that it needs."""
        if len(self.pairs) <= MOST_TOPICS:
            signals = [topics.exactly(topics.signal(*pair)) for pair in self.pairs]
        else:
            signals = [topics.SIGNALS + venue.encode() + b"/" for venue in sorted(self._venues)]
        return [
            *signals,
            topics.CANCELS,
            topics.exactly(topics.QUERY),
            topics.exactly(topics.HEARTBEAT),
        ]

    def takes(self, message: SignalChannel, knows: Callable[[str], bool]) -> bool:
        """Whether a message is for this micro.

        Args:
            message: as decoded.
            knows: whether an order of this id is one of ours, perhaps of a pair that was ours once.
        """
        ours = True
        if isinstance(message, Signal):
            ours = (message.venue, message.symbol) in self._pairs
        elif isinstance(message, Cancel):
            pair = (message.venue, message.symbol)
            ours = not message.venue or pair in self._pairs or knows(message.signal_id)
        elif isinstance(message, Query):
            ours = message.venue in {"", *self._venues}
        self.others += not ours
        return ours
