"""Symbols of one connection that are silent, and what is to be done about each.

A quiet market and a mute subscription look the same from here. Where the venue's own book can be looked
at beside the stream, that is done, soon at first and then ever more seldom; elsewhere, and where no look
is answered, the symbol is subscribed anew after a longer time, with growing patience.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Container

    Due = Literal["look", "resubscribe"]

LOOK_NS: Final = 5_000_000_000
"""A silence of this long is looked into; the next look comes when it is three times as long,
and before the time after which a symbol that nobody has looked at is subscribed anew."""
QUIET_CAP: Final = 16.0
"""A symbol that stays quiet is subscribed anew at most this many times less often."""


PENDING: Final = 5
"""Where many symbols are quiet their looks wait for one another; so many times longer is waited before
one of them is subscribed anew instead."""
MUTE_NS: Final = 300_000_000_000
MUTES: Final = 2
"""A depth that falls mute more often than this within that time is not mended by subscribing anew."""


class Quiet:
    """See the module.

    Args:
        quiet_s: silence after which a symbol is subscribed anew.
        looks: the venue's own book can be looked at.
    """

    def __init__(self, quiet_s: float, *, looks: bool) -> None:
        self._quiet_ns = int(quiet_s * 1e9)
        self._looks = looks
        self._least_ns = min(LOOK_NS, self._quiet_ns) if looks else self._quiet_ns
        self._patience: dict[str, float] = {}
        self._proven_ns: dict[str, int] = {}
        self._looking: set[str] = set()
        """Symbols whose look has not been answered yet."""
        self._next_look: dict[str, tuple[int, int]] = {}
        self._mutes: dict[str, tuple[int, int]] = {}
        self.heard_ns: dict[str, int] = {}
        """When the depth of each symbol was last heard, or subscribed."""

    def pause(self, now_ns: int) -> None:
        """Nothing is read: the silence until now is ours."""
        self.heard_ns.update(dict.fromkeys(self.heard_ns, now_ns))

    def proven(self, symbol: str, now_ns: int) -> None:
        """A look was answered: whether the depth follows is known without subscribing anew."""
        self._proven_ns[symbol] = now_ns
        self._looking.discard(symbol)

    def begun(self, symbol: str) -> None:
        """It has spoken after subscribing."""
        self._patience.pop(symbol, None)

    def fell_mute(self, symbol: str, now_ns: int) -> bool:
        """Its depth is mute while others go on. Whether subscribing anew may still help."""
        count, last_ns = self._mutes.get(symbol, (0, 0))
        count = count + 1 if now_ns - last_ns < MUTE_NS else 1
        self._mutes[symbol] = (count, now_ns)
        return count <= MUTES

    def due(self, now_ns: int, refused: Container[str]) -> list[tuple[str, Due, int]]:
        """(symbol, what to do, how long it has been silent in ns)."""
        found: list[tuple[str, Due, int]] = []
        for symbol, heard_ns in self.heard_ns.items():
            silent_ns = now_ns - heard_ns
            if silent_ns <= self._least_ns or symbol in refused:
                continue
            since_ns = max(heard_ns, self._proven_ns.get(symbol, 0))
            patience = self._patience.get(symbol, 1.0)
            longer = PENDING if symbol in self._looking else 1
            if now_ns - since_ns > self._quiet_ns * patience * longer:
                self._patience[symbol] = min(QUIET_CAP, patience * 2.0)
                self._looking.discard(symbol)
                self.heard_ns[symbol] = now_ns
                found.append((symbol, "resubscribe", silent_ns))
            elif self._looks and self._look_due(symbol, heard_ns, now_ns):
                wait_ns = min(2 * silent_ns, self._quiet_ns * 4 // 5)
                self._next_look[symbol] = (heard_ns, now_ns + wait_ns)
                self._looking.add(symbol)
                found.append((symbol, "look", silent_ns))
        return found

    def _look_due(self, symbol: str, heard_ns: int, now_ns: int) -> bool:
        of, due_ns = self._next_look.get(symbol, (0, 0))
        return now_ns >= (due_ns if of == heard_ns else heard_ns + LOOK_NS)
