"""Which books and trades a connector subscribes to: those of its own pairs, where it has named them.

A micro publishes each book once, whoever reads it; a macro that takes the books of all macros pays for
each with a wake-up. Until pairs are named, everything comes. A pair that is asked for without having
been named is subscribed to from then on.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from citadel_proto import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOM: Final = 24 * 1024
"""Octets of subscriptions by pair, about 130 pairs. With more, all of the venue is subscribed to: a
publisher bounds what a subscriber may send it (``upstream``), at its strictest to 32 KiB at once."""
_OVERHEAD: Final = 64
"""Octets of one subscription besides its topic: 12 of the command, 35 to 42 of CURVE's envelope."""


class Interest:
    """The subscriptions to books and trades of one connector. Thread-safe.

    Args:
        subscribe: takes every prefix that is wanted now; called when they have changed.
        always: prefixes that are wanted besides.
    """

    def __init__(
        self, subscribe: Callable[[frozenset[bytes]], None], always: Iterable[bytes]
    ) -> None:
        self._subscribe = subscribe
        self._always = tuple(always)
        self._lock = threading.Lock()
        self._named: frozenset[tuple[str, str]] | None = None
        self._asked: set[tuple[str, str]] = set()
        self._symbols: set[str] = set()
        self._followed: frozenset[tuple[str, str]] | None = None
        """Pairs that were named or asked for; None before any was named, when everything comes."""
        self.current = self._prefixes()

    def name(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Follow these (venue, symbol), and no longer those named before."""
        named = frozenset(pairs)
        with self._lock:
            if named != self._named:
                self._named = named
                self._asked -= named
                self._change()

    def ask(self, venue: str, symbol: str) -> None:
        """Follow one more pair, if it is not followed: a viewer has it on the screen."""
        followed = self._followed
        if followed is None or (venue, symbol) in followed:
            return
        with self._lock:
            self._asked.add((venue, symbol))
            self._change()

    def ask_consolidated(self, symbol: str) -> None:
        """Follow the book of one symbol over all venues."""
        if symbol in self._symbols:
            return
        with self._lock:
            self._symbols = self._symbols | {symbol}
            self._change()

    def _change(self) -> None:
        prefixes = self._prefixes()
        if prefixes != self.current:
            self.current = prefixes
            self._subscribe(prefixes)

    def _prefixes(self) -> frozenset[bytes]:
        always = [*self._always, *(topics.exactly(topics.consolidated(s)) for s in self._symbols)]
        if self._named is None:
            return frozenset([*always, topics.BOOKS, topics.TRADES])
        pairs = self._named | self._asked
        self._followed = pairs
        wanted = [
            topics.exactly(of(*pair)) for pair in pairs for of in (topics.book, topics.trades)
        ]
        if sum(len(each) + _OVERHEAD for each in wanted) > ROOM:
            wanted = [
                topics.of_venue(kind, venue)
                for venue in {venue for venue, _ in pairs}
                for kind in (topics.BOOKS, topics.TRADES)
            ]
        return frozenset([*always, *wanted])
