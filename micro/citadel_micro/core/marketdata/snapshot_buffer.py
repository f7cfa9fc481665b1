"""Updates that wait for the snapshot which they are joined to, and the times that books are given."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.marketdata.kernel import Book
    from citadel_micro.core.model.events import DepthUpdate, QuoteTick

BUFFER_LIMIT: Final = 2_000
"""Updates kept while a snapshot is fetched: 200 s of a 100 ms stream, 20 s of the quickest seen.
The oldest go first; a snapshot that they would have joined then counts as too old."""
CROSSED_LIMIT_NS: Final = 5_000_000_000
"""A book that stays crossed for this long is fetched anew. Auctions and single-change streams may
cross for a moment; a wrong level stays."""
USELESS_LIMIT_NS: Final = 5_000_000_000
"""Updates that come for this long without a snapshot to put them on say that it was lost."""
FEW_LEVELS: Final = 100
"""A snapshot with so many levels on its longer side may have been cut there: a whole one follows."""
RECENT: Final = 64
"""Updates of such a book that are kept: some seconds, longer than a snapshot is under way."""
BELOW_LIMIT_NS: Final = 2_000_000_000
"""The same for updates that are all older than the snapshot: streams lag it by less than a second."""
OLDER_NS: Final = 250_000_000
"""Quotes of one stream come in order, but for some that come twice; one of a lower number that comes
later than this says that the number before was wrong."""
QUOTE_NS: Final = 1_000_000_000
"""A best bid and ask whose number is ahead of the depth is believed against it for so long. Depth
follows within a second, so a number that is farther ahead is wrong."""
STAMP_NS: Final = 60_000_000_000
"""A stamp that is ahead of all others by more than this is wrong, and orders nothing."""


def received(quote: QuoteTick | None) -> int:
    """When a quote was received; 0 for none."""
    return 0 if quote is None else quote.recv_ns


def keep(buffer: deque[DepthUpdate], update: DepthUpdate) -> None:
    """Let an update wait behind those that came before.

    The order of receipt is that of the stream, so a number above those that follow it was wrong; but
    for what comes twice.
    """
    seq = update.last_seq
    if buffer and seq <= buffer[-1].last_seq:
        if any(each.last_seq == seq for each in buffer):
            return
        while buffer and buffer[-1].last_seq > seq:
            buffer.pop()
    buffer.append(update)


def recent_of(snapshot: DepthUpdate) -> deque[DepthUpdate] | None:
    """Where a book of few levels keeps its last updates, which will join an older whole one to it."""
    few = max(len(snapshot.bids), len(snapshot.asks)) == FEW_LEVELS
    return deque(maxlen=RECENT) if few else None


def deepen(book: Book, whole: DepthUpdate, recent: deque[DepthUpdate] | None) -> bool:
    """Put the updates since a whole snapshot onto it, which is older than this book of few levels.

    The book stays what and where it is, and gets the levels that it lacked. False, and nothing done,
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
