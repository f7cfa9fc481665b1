"""Which subscriptions of one connection nothing has answered.

Venues answer some subscriptions with silence: a name that they have given up, or one that they answer
under another. Where the stream brings its own snapshots, a book that has not come some time after it
was asked for will not come, and whoever waits for it must be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWER_NS: Final = 15_000_000_000
"""Snapshots come within a second or two; of hundreds of symbols at once, within some."""


class Answers:
    """See the module. Time is passed in."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        """Symbols that nothing has answered yet, and since when that counts."""
        self.given_up: set[str] = set()
        """Those of which that has been said."""

    def asked(self, symbols: Iterable[str], now_ns: int) -> None:
        """These were subscribed; asking again does not begin anew."""
        for symbol in symbols:
            self.waiting.setdefault(symbol, now_ns)

    def heard(self, symbol: str) -> None:
        """It has been answered."""
        self.waiting.pop(symbol, None)
        self.given_up.discard(symbol)

    def pause(self, now_ns: int) -> None:
        """Requests still wait for their turn, or nothing is read: until now the silence is ours."""
        self.waiting.update(dict.fromkeys(self.waiting, now_ns))

    def overdue(self, now_ns: int) -> list[tuple[str, int]]:
        """(symbol, how long it has waited in ns) of each to give up, once."""
        late = [
            (symbol, now_ns - since_ns)
            for symbol, since_ns in self.waiting.items()
            if now_ns - since_ns > ANSWER_NS and symbol not in self.given_up
        ]
        self.given_up.update(symbol for symbol, _ in late)
        return late
