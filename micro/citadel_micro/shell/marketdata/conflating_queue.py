"""Queue for a slow consumer: books are conflated, trades and states never.

Events leave in the order in which they came, with one exception: an update of a book that continues
a queued one is merged into it, in its place, and a best bid and ask replaces an older one.
The result of merged updates is exactly that of applying them one by one, so nothing but superseded
levels is lost, and sequence numbers and checksums prove the merged update as they would have
proved the last of them.

Pure: no clock, no input or output.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.sequencing import STRATEGIES, make_integrity
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, StreamProof

if TYPE_CHECKING:
    from citadel_micro.core.model.events import BookLook, TextLevels, TradeTick

    Waiting = DepthUpdate | QuoteTick | TradeTick | FeedStatus | StreamProof | BookLook
    Key = tuple[str, str]
    Texts = dict[float, tuple[str, str]]

_SUCCEEDS: Final = frozenset({"conn_seq", "snapshot_only", "unnumbered", "unverified"})
"""Strategies by which any two updates may follow one another, as far as a book can see."""


def key_of(event: Waiting) -> Key:
    """Venue and symbol; a proof is of a connection, so of no symbol."""
    return event.venue, "" if isinstance(event, StreamProof) else event.symbol


def strategy_of(integrity: str) -> str:
    """Which strategy numbers the updates, of an integrity name with all its parts."""
    words = integrity.split("+")
    return next((word for word in words if word in STRATEGIES), "unnumbered")


def continues(strategy: str, last: DepthUpdate, update: DepthUpdate) -> bool:
    """Whether by the rules of this strategy the change ``update`` directly follows ``last``.

    ``strategy`` as ``strategy_of`` gives it. False does not say what is wrong.
    """
    if strategy == "range_bridge_spot":
        return update.first_seq == last.last_seq + 1 <= update.last_seq
    if strategy in ("range_bridge_futures", "chain"):
        return update.prev_seq == last.last_seq and update.last_seq >= last.last_seq
    if strategy == "contiguous":
        return update.first_seq == last.last_seq + 1 <= update.last_seq
    return strategy in _SUCCEEDS and update.last_seq >= last.last_seq


class _Entry:
    """One queued event; the levels of merged updates are in tables until it leaves."""

    __slots__ = ("asks", "bids", "event", "joined", "key", "since_ns", "texts")

    def __init__(self, event: Waiting, key: Key, since_ns: int) -> None:
        self.event = event
        self.key = key
        self.since_ns = since_ns
        self.joined = 0
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.texts: tuple[Texts, Texts] = ({}, {})

    def join(self, update: DepthUpdate) -> None:
        """Merge a change into this one."""
        event = self.event
        assert isinstance(event, DepthUpdate)  # noqa: S101 - only those are offered
        if not self.joined:
            self._lay(event)
        self._lay(update)
        self.joined += 1
        self.event = event._replace(
            last_seq=update.last_seq,
            checksum=update.checksum,
            exchange_ns=update.exchange_ns,
            recv_ns=update.recv_ns,
        )

    def supersede(self, event: Waiting) -> None:
        """Queue this event instead, which supersedes the present one."""
        self.event = event
        self.joined = 0
        self.bids, self.asks, self.texts = {}, {}, ({}, {})

    def taken(self) -> Waiting:
        """The event, with everything merged into it."""
        event = self.event
        if not self.joined or not isinstance(event, DepthUpdate):
            return event
        texts = None
        if event.texts is not None:
            texts = (_texts(self.bids, self.texts[0]), _texts(self.asks, self.texts[1]))
        return event._replace(
            bids=list(self.bids.items()), asks=list(self.asks.items()), texts=texts
        )

    def _lay(self, update: DepthUpdate) -> None:
        # Popped first, so that the order is that of the last change: books apply in order.
        for table, levels in ((self.bids, update.bids), (self.asks, update.asks)):
            for price, size in levels:
                table.pop(price, None)
                table[price] = size
        if update.texts is not None:
            for texts, levels, written in zip(
                self.texts, (update.bids, update.asks), update.texts, strict=True
            ):
                for (price, _), text in zip(levels, written, strict=True):
                    texts[price] = text


def _texts(levels: dict[float, float], texts: Texts) -> TextLevels:
    return [texts[price] for price in levels]


class ConflatingQueue:
    """The queue between a feed and its consumer. See the module.

    Args:
        integrities: integrity name of each venue.
    """

    def __init__(self, integrities: dict[str, str]) -> None:
        self._strategies = {venue: strategy_of(name) for venue, name in integrities.items()}
        self._bridges = {
            venue: make_integrity(name).sequence.bridges for venue, name in integrities.items()
        }
        self._queue: deque[_Entry] = deque()
        self._depth: dict[Key, _Entry] = {}
        """The newest queued update of each book, if the next may be merged into it."""
        self._quotes: dict[Key, _Entry] = {}
        self.waiting: dict[Key, int] = {}
        """Queued events, by venue and symbol."""
        self.conflated: dict[Key, int] = {}
        """Book updates merged into a newer one so far, by venue and symbol."""

    def __len__(self) -> int:
        """Queued events."""
        return len(self._queue)

    def oldest_ns(self) -> int | None:
        """Receive time of the oldest queued event, ns; None when the queue is empty."""
        return self._queue[0].since_ns if self._queue else None

    def push(self, event: Waiting, recv_ns: int) -> None:
        """Queue one more, received at ``recv_ns``."""
        key = key_of(event)
        if isinstance(event, DepthUpdate):
            if self._joined(event, key):
                self.conflated[key] = self.conflated.get(key, 0) + 1
                return
            self._depth[key] = self._append(event, key, recv_ns)
        elif isinstance(event, QuoteTick):
            entry = self._quotes.get(key)
            if entry is not None:
                entry.supersede(event)
                self.conflated[key] = self.conflated.get(key, 0) + 1
                return
            self._quotes[key] = self._append(event, key, recv_ns)
        else:
            if isinstance(event, FeedStatus):
                # Events after a change of state must not overtake it.
                self._depth.pop(key, None)
                self._quotes.pop(key, None)
            self._append(event, key, recv_ns)

    def pop(self) -> tuple[Waiting, int]:
        """(the next event, when the oldest part of it was received). IndexError when empty."""
        entry = self._queue.popleft()
        key = entry.key
        if self._depth.get(key) is entry:
            del self._depth[key]
        elif self._quotes.get(key) is entry:
            del self._quotes[key]
        self.waiting[key] -= 1
        return entry.taken(), entry.since_ns

    def _append(self, event: Waiting, key: Key, recv_ns: int) -> _Entry:
        entry = _Entry(event, key, recv_ns)
        self._queue.append(entry)
        self.waiting[key] = self.waiting.get(key, 0) + 1
        return entry

    def _joined(self, update: DepthUpdate, key: Key) -> bool:
        """Whether it was merged into a queued one."""
        entry = self._depth.get(key)
        if entry is None:
            return False
        last = entry.event
        assert isinstance(last, DepthUpdate)  # noqa: S101 - nothing else is in that table
        strategy = self._strategies[key[0]]
        if update.snapshot:
            # Where snapshots are fetched, the queued changes are what joins them to the stream.
            if self._bridges[key[0]] or update.last_seq < last.last_seq:
                return False
            entry.supersede(update)
            return True
        if last.snapshot or not continues(strategy, last, update):
            return False
        if update.checksum is None and last.checksum is not None:
            return False  # the queued proof would be lost
        if (update.texts is None) is not (last.texts is None):
            return False
        entry.join(update)
        return True
