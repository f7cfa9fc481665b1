"""Detecting lost updates of a book: one strategy for each way venues number them.

A strategy is chosen by name and checks each update against the one before. Names may be joined
with ``+`` and carry arguments after ``:``, because a venue can offer two proofs at once::

    range_bridge_spot        Binance spot, KuCoin, Gate: ranges that meet end to end
    range_bridge_futures     Binance USD-M, COIN-M: each update names the one before it
    chain                    OKX, Deribit: the same, with the snapshot in the stream
    contiguous               Bybit, Kraken Futures: consecutive numbers
    conn_seq                 Coinbase Advanced: numbered by connection, so checked there; here only
                             what is older than the book is dropped
    snapshot_only            Hyperliquid: every message is the whole book
    unverified               whole books of a generic connector; never claimed to be complete
    unnumbered               nothing proves completeness, or only a checksum does
    ... + crc:FORMAT:LEVELS  a checksum over the venue's own digits (``core.marketdata.checksum``)
    ... + depth:A,B,C        the venue keeps the best A, B or C levels and does not report what falls
                             off; which one, a snapshot with both sides full of it shows, else the
                             last

Where a strategy numbers updates, an update with ``first_seq`` -1 on a snapshot with ``first_seq``
-1 is of an older form of the protocol, and is treated as unnumbered.

Sources of the rules: the venues' own pages on keeping a local order book.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.marketdata.checksum import Checksum, make_checksum
from citadel_micro.core.marketdata.sequence_verdict import (
    APPLY,
    BUFFER,
    GAP,
    IGNORE,
    NOTHING,
    OLD_LIMIT,
    REMEMBERED,
    Integrity,
    follows,
    older,
)
from citadel_micro.core.marketdata.sequencing_binance import RangeBridgeFutures, RangeBridgeSpot
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.events import DepthUpdate


LATE_NS: Final = 1_000_000_000
"""A whole book may come this late, after a newer one, and is dropped."""


class Chain:
    """Each update names the one before it; the stream brings its own snapshots.

    prev = last, whatever the new number is: venues repeat it when nothing changed, and may start
    lower after maintenance. Source: OKX, "Order book channel"; Deribit, "book.{instrument}".
    """

    __slots__ = ("_last", "_numbered", "_old", "_remember", "_seen", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self._seen: deque[int] = deque(maxlen=REMEMBERED)
        self._remember = self._seen.append
        self.reset()

    @property
    def proves(self) -> bool:
        """As long as the stream is numbered."""
        return self._numbered

    def reset(self) -> None:
        """Forget everything except past numbers: the next update needs a snapshot."""
        self._last = NOTHING
        self._old = 0
        self._numbered = True

    def snapshot(self, update: DepthUpdate) -> int:
        """A snapshot in the stream always resynchronizes."""
        self._last = update.last_seq
        self._old = 0
        self._numbered = update.first_seq >= 0
        self._remember(update.last_seq)
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        if update.prev_seq == last:
            self._last = update.last_seq
            self._old = 0
            self._remember(update.last_seq)
            return APPLY
        if last == NOTHING:
            return BUFFER
        if not self._numbered and update.first_seq < 0:
            return APPLY
        if update.prev_seq < last and update.last_seq <= last:
            seq = update.last_seq
            return older(self, seq, last, known=follows(self._seen, update.prev_seq, seq))
        self.reason = f"expected an update after {last}, got one after {update.prev_seq}"
        return GAP


class Contiguous:
    """Updates are numbered consecutively; a snapshot resynchronizes.

    Source: Bybit v5, "Orderbook"; Kraken Futures, "Book".
    """

    __slots__ = ("_first", "_last", "_numbered", "_old", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    @property
    def proves(self) -> bool:
        """As long as the stream is numbered."""
        return self._numbered

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._first = self._last = NOTHING
        self._old = 0
        self._numbered = True

    def snapshot(self, update: DepthUpdate) -> int:
        """A snapshot in the stream always resynchronizes."""
        self._first = self._last = update.last_seq
        self._old = 0
        self._numbered = update.first_seq >= 0
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        seq = update.last_seq
        if seq == last + 1:
            self._last = seq
            self._old = 0
            return APPLY
        if last == NOTHING:
            return BUFFER
        if not self._numbered and update.first_seq < 0:
            return APPLY
        if seq <= last:
            return older(self, seq, last, known=seq > last - REMEMBERED and seq >= self._first)
        if update.first_seq == last + 1:
            # Several updates, conflated into one for a slow consumer.
            self._last = seq
            self._old = 0
            return APPLY
        self.reason = f"expected update {last + 1}, got {seq}"
        return GAP


class ConnSeq:
    """Numbered by connection: gaps are found by ``ConnectionSequence``, not here.

    Within one book the numbers rise, so a replayed message is detected. Source: Coinbase Advanced
    Trade, "WebSocket overview", sequence numbers.
    """

    __slots__ = ("_last", "reason")

    bridges = False
    proves = True

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = NOTHING

    def snapshot(self, update: DepthUpdate) -> int:
        """A snapshot in the stream always resynchronizes."""
        self._last = update.last_seq
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        if last == NOTHING:
            return BUFFER
        if update.last_seq < last:
            return IGNORE
        self._last = update.last_seq
        return APPLY


class ConnectionSequence:
    """The numbers of all messages of one connection, whatever their content.

    ``judge`` returns APPLY for the next number, IGNORE for one seen before, GAP for a later one.
    """

    __slots__ = ("_first", "_last", "_old", "reason")

    def __init__(self) -> None:
        self._first = self._last = NOTHING
        self._old = 0
        self.reason = ""

    def judge(self, seq: int) -> int:
        """Check the number of one message."""
        last = self._last
        if seq == last + 1 or last == NOTHING:
            self._last = seq
            if last == NOTHING:
                self._first = seq
            self._old = 0
            return APPLY
        if seq <= last:
            verdict = older(self, seq, last, known=seq > last - REMEMBERED and seq >= self._first)
            if verdict == GAP:
                self._first = self._last = seq
            return verdict
        self.reason = f"expected message {last + 1} of the connection, got {seq}"
        self._first = self._last = seq
        return GAP


class SnapshotOnly:
    """Every message is the whole book; ``last_seq`` is the venue's time or number, and rises.

    A lower one that was seen is a duplicate or a replay, and one of nearly the same time came late. Any
    other means that the last number was wrong, or that the venue restarted its count.
    """

    __slots__ = ("_exchange_ns", "_last", "_old", "_seen", "reason")

    bridges = False
    proves = True

    def __init__(self) -> None:
        self.reason = ""
        self._seen: deque[int] = deque(maxlen=REMEMBERED)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._last = NOTHING
        self._exchange_ns = 0
        self._old = 0
        self._seen.clear()

    def snapshot(self, update: DepthUpdate) -> int:
        """IGNORE one that is older than the book."""
        seq = update.last_seq
        if seq < self._last:
            before_ns = self._exchange_ns - update.exchange_ns
            self._old += 1
            if seq in self._seen or (0 <= before_ns <= LATE_NS and self._old < OLD_LIMIT):
                return IGNORE
            self._seen.clear()
        self._old = 0
        self._last = seq
        self._exchange_ns = update.exchange_ns
        self._seen.append(seq)
        return APPLY

    def judge(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """There are no changes in this protocol."""
        self.reason = "a change, where only whole books are expected"
        return GAP


class Unnumbered:
    """Updates carry no number: they are applied as they come once there is a snapshot.

    Whole books need no proof; from the first change on, losses cannot be detected.
    """

    __slots__ = ("_ready", "proves", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.proves = True
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._ready = False

    def snapshot(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """A snapshot always resynchronizes."""
        self._ready = True
        return APPLY

    def judge(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """APPLY, once there is a snapshot."""
        if not self._ready:
            return BUFFER
        self.proves = False
        return APPLY


class Unverified(SnapshotOnly):
    """Whole books from a third party: its losses cannot be detected here.

    Every one is applied. A book of this strategy is marked unverified for as long as it is LIVE.
    """

    __slots__ = ()

    proves = False

    def snapshot(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """APPLY always."""
        return APPLY


STRATEGIES: Final[Mapping[str, Callable[[], Integrity]]] = {
    "range_bridge_spot": RangeBridgeSpot,
    "range_bridge_futures": RangeBridgeFutures,
    "chain": Chain,
    "contiguous": Contiguous,
    "conn_seq": ConnSeq,
    "snapshot_only": SnapshotOnly,
    "unnumbered": Unnumbered,
    "unverified": Unverified,
}


class Rules(NamedTuple):
    """The sequencing rules of one venue."""

    sequence: Integrity
    checksum: Checksum | None
    depths: tuple[int, ...]
    """Depths that the venue keeps, rising; empty where it reports the removal of every level."""


def make_integrity(name: str) -> Rules:
    """New rules by name, see the module. Raises BadInput for an unknown name."""
    sequence: Integrity | None = None
    checksum: Checksum | None = None
    depths: tuple[int, ...] = ()
    for part in name.split("+"):
        word, _, argument = part.partition(":")
        if word in STRATEGIES and not argument and sequence is None:
            sequence = STRATEGIES[word]()
        elif word == "crc" and checksum is None:
            checksum = make_checksum(argument)
        elif word == "depth" and argument.replace(",", "").isdigit():
            depths = tuple(sorted(int(each) for each in argument.split(",") if each))
        else:
            raise BadInput(
                f"{part!r} of {name!r} is not an integrity strategy",
                where="venue",
                allowed=", ".join([*sorted(STRATEGIES), "crc:FORMAT:LEVELS", "depth:LEVELS"]),
            )
    return Rules(sequence or Unnumbered(), checksum, depths)
