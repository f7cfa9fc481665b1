"""Subscriptions of one connection that the venue has not answered.

Venues ignore some subscriptions: a delisted name, or one that they answer under another name. Where
the stream brings its own snapshots, a book that has not come some time after its subscription will not
come, which has to be reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWER_NS: Final = 15_000_000_000
"""Snapshots come within a second or two; for hundreds of symbols at once, within several."""


class Unanswered:
    """See the module. Time is passed in."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        """Unanswered symbols, and since when each waits."""
        self.given_up: set[str] = set()
        """Those already reported."""

    def asked(self, symbols: Iterable[str], now_ns: int) -> None:
        """These were subscribed; subscribing again does not restart the time."""
        for symbol in symbols:
            self.waiting.setdefault(symbol, now_ns)

    def answered(self, symbol: str) -> None:
        """The venue has answered."""
        self.waiting.pop(symbol, None)
        self.given_up.discard(symbol)

    def pause(self, now_ns: int) -> None:
        """Requests are still queued, or reading is held: the silence until now is ours."""
        self.waiting.update(dict.fromkeys(self.waiting, now_ns))

    def overdue(self, now_ns: int) -> list[tuple[str, int]]:
        """(symbol, how long it has waited in ns) of each to report, once."""
        late = [
            (symbol, now_ns - since_ns)
            for symbol, since_ns in self.waiting.items()
            if now_ns - since_ns > ANSWER_NS and symbol not in self.given_up
        ]
        self.given_up.update(symbol for symbol, _ in late)
        return late
