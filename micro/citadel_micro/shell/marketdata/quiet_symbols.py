"""Silent symbols of one connection, and what to do about each.

A quiet market and a mute subscription look the same in the stream. Where the venue's book can be polled
over REST, it is, soon at first and then at growing intervals; elsewhere, and where polls are not
answered, the symbol is resubscribed after a longer time, at growing intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Container

    Due = Literal["poll", "resubscribe"]

POLL_NS: Final = 5_000_000_000
"""A symbol silent for this long is polled; the next poll comes when it is three times as long,
and before the time after which a symbol that was not polled is resubscribed."""
QUIET_CAP: Final = 16.0
"""A symbol that stays quiet is resubscribed at most this many times less often."""


PENDING: Final = 5
"""Where many symbols are quiet their polls are queued; a symbol waits this many times longer before it
is resubscribed instead."""
MUTE_NS: Final = 300_000_000_000
MUTES: Final = 2
"""A depth that goes mute more often than this within that time is not fixed by resubscribing."""


class QuietSymbols:
    """See the module.

    Args:
        quiet_s: silence after which a symbol is resubscribed.
        looks: the venue's book can be polled.
    """

    def __init__(self, quiet_s: float, *, polls: bool) -> None:
        self._quiet_ns = int(quiet_s * 1e9)
        self._polls = polls
        self._least_ns = min(POLL_NS, self._quiet_ns) if polls else self._quiet_ns
        self._patience: dict[str, float] = {}
        self._proven_ns: dict[str, int] = {}
        self._polling: set[str] = set()
        """Symbols whose poll has not been answered yet."""
        self._next_poll: dict[str, tuple[int, int]] = {}
        self._mutes: dict[str, tuple[int, int]] = {}
        self.updated_ns: dict[str, int] = {}
        """Time of the last depth update, or of the subscription, of each symbol."""

    def pause(self, now_ns: int) -> None:
        """Reading is held: the silence until now is ours."""
        self.updated_ns.update(dict.fromkeys(self.updated_ns, now_ns))

    def proven(self, symbol: str, now_ns: int) -> None:
        """A poll was answered: it shows whether the depth follows, without resubscribing."""
        self._proven_ns[symbol] = now_ns
        self._polling.discard(symbol)

    def begun(self, symbol: str) -> None:
        """A message came after subscribing."""
        self._patience.pop(symbol, None)

    def on_mute(self, symbol: str, now_ns: int) -> bool:
        """Its depth is mute while others are not. Whether resubscribing may still help."""
        count, last_ns = self._mutes.get(symbol, (0, 0))
        count = count + 1 if now_ns - last_ns < MUTE_NS else 1
        self._mutes[symbol] = (count, now_ns)
        return count <= MUTES

    def due(self, now_ns: int, refused: Container[str]) -> list[tuple[str, Due, int]]:
        """(symbol, what to do, how long it has been silent in ns)."""
        found: list[tuple[str, Due, int]] = []
        for symbol, updated_ns in self.updated_ns.items():
            silent_ns = now_ns - updated_ns
            if silent_ns <= self._least_ns or symbol in refused:
                continue
            since_ns = max(updated_ns, self._proven_ns.get(symbol, 0))
            patience = self._patience.get(symbol, 1.0)
            longer = PENDING if symbol in self._polling else 1
            if now_ns - since_ns > self._quiet_ns * patience * longer:
                self._patience[symbol] = min(QUIET_CAP, patience * 2.0)
                self._polling.discard(symbol)
                self.updated_ns[symbol] = now_ns
                found.append((symbol, "resubscribe", silent_ns))
            elif self._polls and self._poll_due(symbol, updated_ns, now_ns):
                wait_ns = min(2 * silent_ns, self._quiet_ns * 4 // 5)
                self._next_poll[symbol] = (updated_ns, now_ns + wait_ns)
                self._polling.add(symbol)
                found.append((symbol, "poll", silent_ns))
        return found

    def _poll_due(self, symbol: str, updated_ns: int, now_ns: int) -> bool:
        of, due_ns = self._next_poll.get(symbol, (0, 0))
        return now_ns >= (due_ns if of == updated_ns else updated_ns + POLL_NS)
