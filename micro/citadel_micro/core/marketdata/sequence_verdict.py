"""What a judge of one book's updates answers, and what every judge has."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.events import DepthUpdate

APPLY: Final = 0
"""The update is the next one."""
IGNORE: Final = 1
"""The book holds it already: a duplicate, or older than the snapshot."""
BUFFER: Final = 2
"""There is no snapshot to put it on yet."""
GAP: Final = 3
"""Something is missing or impossible; ``reason`` says what. The book must be fetched anew."""


REMEMBERED: Final = 64
"""Numbers of the last updates that are remembered, to tell what is old from what is wrong: a lower
number that has been, behind the same one, is a duplicate or a replay; any other says that the book's own
number is wrong, or that the venue counts anew."""
OLD_LIMIT: Final = 8
"""Even of numbers that have been, so many in a row are a stream that goes on below the book."""
NOTHING: Final = -2
"""No sequence yet. Not -1, which is what venues send as "the one before the first"."""


class Integrity(Protocol):
    """Judge of one book's updates. Holds the sequence, never the book."""

    bridges: bool
    """Updates that arrive before their snapshot are kept and joined to it."""
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
        """Judge a change of the book, and count it as applied when the answer is APPLY."""


class CountsOld(Protocol):
    """A judge that notices when a whole stream runs below its book."""

    _old: int
    reason: str


def older(judge: CountsOld, seq: int, last: int, *, known: bool) -> int:
    """IGNORE an update that is older than the book; GAP where its number has never been.

    ``known``: the number is remembered.
    """
    judge._old += 1  # noqa: SLF001 - a method of all judges, but for the call that it would cost
    if known and judge._old < OLD_LIMIT:  # noqa: SLF001
        return IGNORE
    judge._old = 0  # noqa: SLF001
    judge.reason = f"the stream goes on at {seq}, below {last}"
    return GAP


def follows(seen: Sequence[int], before: int, seq: int) -> bool:
    """Whether ``seq`` is among these numbers right behind ``before``: then it has been just so."""
    return any(pair == (before, seq) for pair in pairwise(seen))
