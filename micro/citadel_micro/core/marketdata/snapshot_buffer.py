"""Updates buffered for their snapshot, and the time limits of a book's states."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.marketdata.kernel import Book
    from citadel_micro.core.model.events import DepthUpdate, Levels, QuoteTick

BUFFER_LIMIT: Final = 2_000
"""Updates buffered while a snapshot is fetched: 200 s of a 100 ms stream, 20 s of the fastest known.
The oldest are dropped first; a snapshot that they would have joined then counts as too old."""
CROSSED_LIMIT_NS: Final = 5_000_000_000
"""A book that stays crossed for this long is resynchronized. Auctions and single-change streams may
cross for a moment; a wrong level stays."""
USELESS_LIMIT_NS: Final = 5_000_000_000
"""Updates that come for this long without a snapshot to apply them to mean that it was lost."""
FEW_LEVELS: Final = 100
"""A snapshot with so many levels on its longer side may have been cut there: a full one follows."""
RECENT: Final = 64
"""Updates of such a book that are kept: some seconds, longer than a snapshot is in transit."""
BELOW_LIMIT_NS: Final = 2_000_000_000
"""The same for updates that are all older than the snapshot: streams lag it by less than a second."""
OLDER_NS: Final = 250_000_000
"""Quotes of one stream come in order, except repeated ones; one with a lower number that comes
this much later means that the number before was wrong."""
QUOTE_NS: Final = 1_000_000_000
"""How long a best bid and ask whose number is ahead of the depth overrides it. Depth
follows within a second, so a number that is farther ahead is wrong."""
STAMP_NS: Final = 60_000_000_000
"""A timestamp that is ahead of all others by more than this is wrong, and not used for ordering."""


def received(quote: QuoteTick | None) -> int:
    """When a quote was received; 0 for none."""
    return 0 if quote is None else quote.recv_ns


def _crosses(bids: Levels, asks: Levels) -> bool:
    return bool(bids and asks) and max(bids)[0] >= min(asks)[0]


crosses: Final[Callable[[Levels, Levels], bool]] = (
    _crosses if kernel.LIVE is None else kernel.LIVE.crosses
)
"""Whether a snapshot's highest bid is at or above its lowest ask."""


def keep(buffer: deque[DepthUpdate], update: DepthUpdate) -> None:
    """Buffer an update after those that came before.

    The order of receipt is that of the stream, so a number above those that follow it was wrong,
    except for repeated ones.
    """
    seq = update.last_seq
    if buffer and seq <= buffer[-1].last_seq:
        if any(each.last_seq == seq for each in buffer):
            return
        while buffer and buffer[-1].last_seq > seq:
            buffer.pop()
    buffer.append(update)


def recent_of(snapshot: DepthUpdate) -> deque[DepthUpdate] | None:
    """Where a book of few levels keeps its last updates, to join an older full snapshot to it."""
    few = max(len(snapshot.bids), len(snapshot.asks)) == FEW_LEVELS
    return deque(maxlen=RECENT) if few else None


def deepen(book: Book, whole: DepthUpdate, recent: deque[DepthUpdate] | None) -> bool:
    """Apply the updates since a full snapshot, which is older than this book of few levels.

    The book keeps its state and sequence, and gets the levels that it lacked. False, and nothing done,
    where ``recent`` does not reach back to the snapshot, or that has no more levels.
    """
    if not recent or recent[0].last_seq > whole.last_seq:
        return False
    if max(len(whole.bids), len(whole.asks)) <= FEW_LEVELS:
        return False
    book.replace(whole.bids, whole.asks, whole.texts)
    for update in recent:
        if update.last_seq > whole.last_seq:
            book.apply(update.bids, update.asks, update.texts)
    return True
