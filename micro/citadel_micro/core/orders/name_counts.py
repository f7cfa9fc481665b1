"""How many order ids each owner has in memory, and whether there is room for one more.

An owner may have as many as are free, so that one who floods gets half of the room, two get a
third each, and there is always some for those who send little. Owners without a heartbeat
share the first half of it, whatever ids they use.
"""

from __future__ import annotations

from typing import Final

MOST_REFUSED: Final = 5_000
"""Additional ids, for signals that are rejected because there are so many, ..."""
MOST_REFUSED_OF_ONE: Final = 500
"""... and the maximum of them for one owner."""


class Names:
    """Counts by owner, of which there may be ``most`` in all."""

    def __init__(self, most: int) -> None:
        self.total = 0
        self._most = most
        self._of: dict[str, int] = {}
        self._refused = 0
        self._refused_of: dict[str, int] = {}

    def add(self, owner: str, *, refused: bool = False) -> None:
        """One more is kept."""
        if refused:
            self._refused += 1
            _change(self._refused_of, owner, 1)
        else:
            self.total += 1
            _change(self._of, owner, 1)

    def drop(self, owner: str, *, refused: bool = False) -> None:
        """One fewer is kept."""
        if refused:
            self._refused -= 1
            _change(self._refused_of, owner, -1)
        else:
            self.total -= 1
            _change(self._of, owner, -1)

    def full(self, owner: str, *, known: bool) -> str:
        """Why this owner may not have one more; empty if it may."""
        mine, free = self._of.get(owner, 0), self._most - self.total
        if free > 0 and (mine < free if known else self.total < self._most // 2):
            return ""
        return (
            f"{self.total} orders, {mine} of this owner, are remembered because their signals may "
            "still arrive again: send fewer, or let them expire sooner"
        )

    def may_refuse(self, owner: str) -> bool:
        """Whether one more reject of this owner can be remembered."""
        return self._refused < MOST_REFUSED and self._refused_of.get(owner, 0) < MOST_REFUSED_OF_ONE


def _change(counts: dict[str, int], owner: str, by: int) -> None:
    count = counts.get(owner, 0) + by
    if count:
        counts[owner] = count
    else:
        counts.pop(owner, None)
