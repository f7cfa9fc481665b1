"""Verdicts on one book's updates, and the interface of a sequence check."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.events import DepthUpdate

APPLY: Final = 0
"""The update is the next one."""
IGNORE: Final = 1
"""The book contains it already: a duplicate, or older than the snapshot."""
BUFFER: Final = 2
"""There is no snapshot to apply it to yet."""
GAP: Final = 3
"""Something is missing or impossible; ``reason`` has the detail. The book must be resynchronized."""


REMEMBERED: Final = 64
"""Number of past sequence numbers remembered, to tell old from wrong ones: a lower number that was
seen, after the same predecessor, is a duplicate or a replay; any other means that the book's own number is
wrong, or that the venue restarted its count."""
OLD_LIMIT: Final = 8
"""Even of numbers seen before, so many in a row mean that the stream continues below the book."""
NOTHING: Final = -2
"""No sequence yet. Not -1, which is what venues send as "the one before the first"."""


class Integrity(Protocol):
    """Sequence check of one book's updates. Holds the sequence, never the book."""

    bridges: bool
    """Updates that arrive before their snapshot are buffered and joined to it."""
    reason: str
    """Why the last GAP was one."""

    @property
    def proves(self) -> bool:
        """Whether a lost update shows in the numbers of this stream."""

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""

    def snapshot(self, update: DepthUpdate) -> int:
        """APPLY a snapshot, or IGNORE one that is older than the book."""

    def judge(self, update: DepthUpdate) -> int:
        """Check a change of the book, and count it as applied when the answer is APPLY."""


class CountsOld(Protocol):
    """A check that detects a whole stream below its book."""

    _old: int
    reason: str


def older(judge: CountsOld, seq: int, last: int, *, known: bool) -> int:
    """IGNORE an update that is older than the book; GAP where its number was never seen.

    ``known``: the number is remembered.
    """
    judge._old += 1  # noqa: SLF001 - a method of all judges, but for the call that it would cost
    if known and judge._old < OLD_LIMIT:  # noqa: SLF001
        return IGNORE
    judge._old = 0  # noqa: SLF001
    judge.reason = f"the stream goes on at {seq}, below {last}"
    return GAP


def follows(seen: Sequence[int], before: int, seq: int) -> bool:
    """Whether ``seq`` directly follows ``before`` among these numbers: then it was seen so before."""
    return any(pair == (before, seq) for pair in pairwise(seen))
