"""How to know that no update of a book was lost: one strategy for each way venues number them.

A strategy is chosen by name and judges each update against what came before. Names may be joined
with ``+`` and carry arguments after ``:``, because a venue can offer two proofs at once::

    range_bridge_spot        Binance spot, KuCoin, Gate: ranges that meet end to end
    range_bridge_futures     Binance USD-M, COIN-M: each update names the one before it
    chain                    OKX, Deribit: the same, with the snapshot in the stream
    contiguous               Bybit, Kraken Futures: one number an update, none left out
    conn_seq                 Coinbase Advanced: numbered by connection, so judged there; here only
                             what is older than the book is left out
    snapshot_only            Hyperliquid: every message is the whole book
    unverified               whole books of a generic connector; never claimed to be complete
    unnumbered               nothing proves completeness, or only a checksum does
    ... + crc:FORMAT:LEVELS  a checksum over the venue's own digits (``core.checksum``)
    ... + depth:A,B,C        the venue keeps the best A, B or C levels and does not say what falls
                             off; which one, a snapshot with both sides full of it tells, else the
                             last

Where a strategy numbers updates, an update with ``first_seq`` -1 on a snapshot with ``first_seq``
-1 is of an older shape of the protocol, and is taken as unnumbered.

Sources of the rules: the venues' own pages on keeping a local order book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from citadel_micro.core.checksum import Checksum, make_checksum
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.events import DepthUpdate

APPLY: Final = 0
"""The update is the next one."""
IGNORE: Final = 1
"""The book holds it already: a duplicate, or older than the snapshot."""
BUFFER: Final = 2
"""There is no snapshot to put it on yet."""
GAP: Final = 3
"""Something is missing or impossible; ``reason`` says what. The book must be fetched anew."""


OLD_LIMIT: Final = 8
"""Updates in a row that are older than a book which has already followed the stream. A duplicate or
two happen; a stream that goes on below the book says that the book's own number is wrong."""
_NOTHING: Final = -2
"""No sequence yet. Not -1, which is what venues send as "the one before the first"."""


class Integrity(Protocol):
    """Judge of one book's updates. Holds the sequence, never the book."""

    bridges: bool
    """Updates that arrive before their snapshot are kept and joined to it."""
    reason: str
    """Why the last GAP was one."""

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""

    def snapshot(self, update: DepthUpdate) -> int:
        """APPLY a snapshot, or IGNORE one that is older than the book."""

    def judge(self, update: DepthUpdate) -> int:
        """Judge a change of the book, and count it as applied when the answer is APPLY."""


class _CountsOld(Protocol):
    _old: int
    reason: str


def _older(judge: _CountsOld, seq: int, last: int) -> int:
    """IGNORE an update that is older than the book, GAP when the whole stream seems to be."""
    judge._old += 1  # noqa: SLF001 - a method of all judges, but for the call that it would cost
    if judge._old < OLD_LIMIT:  # noqa: SLF001
        return IGNORE
    judge._old = 0  # noqa: SLF001
    judge.reason = f"the stream goes on at {seq}, below {last}"
    return GAP


class RangeBridgeSpot:
    """Each update covers sequences U..u; ranges meet end to end.

    Drop u <= last. The first update on a snapshot has U <= last + 1 <= u, every later one
    U = previous u + 1. Source: Binance spot, "How to manage a local order book correctly".
    """

    __slots__ = ("_bridged", "_last", "_old", "reason")

    bridges = True

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = -1
        self._old = 0
        self._bridged = False

    def snapshot(self, update: DepthUpdate) -> int:
        """APPLY unless the book is already past it."""
        if update.last_seq < self._last:
            return IGNORE
        self._last = update.last_seq
        self._bridged = False
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        first_seq, last_seq = update.first_seq, update.last_seq
        if first_seq == last + 1 and last_seq > last >= 0:
            self._last = last_seq
            self._old = 0
            self._bridged = True
            return APPLY
        if last < 0:
            return BUFFER
        if first_seq > last_seq:
            self.reason = f"update runs backwards, from {first_seq} to {last_seq}"
            return GAP
        if last_seq <= last:
            return _older(self, last_seq, last) if self._bridged else IGNORE
        if first_seq > last + 1:
            self.reason = f"expected update {last + 1}, got {first_seq}"
            return GAP
        if self._bridged:
            self.reason = f"update {first_seq} to {last_seq} overlaps {last}"
            return GAP
        self._last = last_seq
        self._bridged = True
        return APPLY


class RangeBridgeFutures:
    """Each update covers U..u and names the last sequence of the update before it, pu.

    Drop u < last. The first update on a snapshot has U <= last <= u, every later one
    pu = previous u. A first update whose pu is the snapshot's sequence continues it as well.
    Source: Binance USD-M futures, "How to manage a local order book correctly".
    """

    __slots__ = ("_bridged", "_last", "_old", "reason")

    bridges = True

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = -1
        self._old = 0
        self._bridged = False

    def snapshot(self, update: DepthUpdate) -> int:
        """APPLY unless the book is already past it."""
        if update.last_seq < self._last:
            return IGNORE
        self._last = update.last_seq
        self._bridged = False
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        last_seq = update.last_seq
        if update.prev_seq == last and last_seq > last >= 0:
            self._last = last_seq
            self._old = 0
            self._bridged = True
            return APPLY
        if last < 0:
            return BUFFER
        if update.first_seq > last_seq:
            self.reason = f"update runs backwards, from {update.first_seq} to {last_seq}"
            return GAP
        if self._bridged:
            if last_seq <= last:
                return _older(self, last_seq, last)
            self.reason = f"expected an update after {last}, got one after {update.prev_seq}"
            return GAP
        if last_seq < last:
            return IGNORE
        if update.first_seq > last:
            self.reason = f"expected an update that covers {last}, got one from {update.first_seq}"
            return GAP
        self._last = last_seq
        self._bridged = True
        return APPLY


class Chain:
    """Each update names the one before it; the stream brings its own snapshots.

    prev = last, whatever the new number is: venues repeat it when nothing changed, and may start
    lower after maintenance. Source: OKX, "Order book channel"; Deribit, "book.{instrument}".
    """

    __slots__ = ("_last", "_numbered", "_old", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = _NOTHING
        self._old = 0
        self._numbered = True

    def snapshot(self, update: DepthUpdate) -> int:
        """A snapshot in the stream always starts anew."""
        self._last = update.last_seq
        self._old = 0
        self._numbered = update.first_seq >= 0
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        if update.prev_seq == last:
            self._last = update.last_seq
            self._old = 0
            return APPLY
        if last == _NOTHING:
            return BUFFER
        if not self._numbered and update.first_seq < 0:
            return APPLY
        if update.prev_seq < last and update.last_seq <= last:
            return _older(self, update.last_seq, last)
        self.reason = f"expected an update after {last}, got one after {update.prev_seq}"
        return GAP


class Contiguous:
    """Updates are numbered one by one; a snapshot starts anew.

    Source: Bybit v5, "Orderbook"; Kraken Futures, "Book".
    """

    __slots__ = ("_last", "_numbered", "_old", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = _NOTHING
        self._old = 0
        self._numbered = True

    def snapshot(self, update: DepthUpdate) -> int:
        """A snapshot in the stream always starts anew."""
        self._last = update.last_seq
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
        if last == _NOTHING:
            return BUFFER
        if not self._numbered and update.first_seq < 0:
            return APPLY
        if seq <= last:
            return _older(self, seq, last)
        self.reason = f"expected update {last + 1}, got {seq}"
        return GAP


class ConnSeq:
    """Numbered by connection: what is missing is found by ``ConnectionSequence``, not here.

    Within one book the numbers rise, so a replayed message is seen. Source: Coinbase Advanced
    Trade, "WebSocket overview", sequence numbers.
    """

    __slots__ = ("_last", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = _NOTHING

    def snapshot(self, update: DepthUpdate) -> int:
        """A snapshot in the stream always starts anew."""
        self._last = update.last_seq
        return APPLY

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        if last == _NOTHING:
            return BUFFER
        if update.last_seq < last:
            return IGNORE
        self._last = update.last_seq
        return APPLY


class ConnectionSequence:
    """The numbers of all messages of one connection, whatever they are about.

    ``judge`` answers APPLY for the next number, IGNORE for one that has been, GAP for one too far.
    """

    __slots__ = ("_last", "_old", "reason")

    def __init__(self) -> None:
        self._last = _NOTHING
        self._old = 0
        self.reason = ""

    def judge(self, seq: int) -> int:
        """Judge the number of one message."""
        last = self._last
        if seq == last + 1 or last == _NOTHING:
            self._last = seq
            self._old = 0
            return APPLY
        if seq <= last:
            verdict = _older(self, seq, last)
            if verdict == GAP:
                self._last = seq
            return verdict
        self.reason = f"expected message {last + 1} of the connection, got {seq}"
        self._last = seq
        return GAP


class SnapshotOnly:
    """Every message is the whole book; ``last_seq`` is the venue's time or number, and rises."""

    __slots__ = ("_last", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._last = _NOTHING

    def snapshot(self, update: DepthUpdate) -> int:
        """IGNORE one that is older than the book."""
        if update.last_seq < self._last:
            return IGNORE
        self._last = update.last_seq
        return APPLY

    def judge(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """There are no changes in this protocol."""
        self.reason = "a change, where only whole books are expected"
        return GAP


class Unnumbered:
    """Updates carry no number: they are applied as they come once there is a snapshot."""

    __slots__ = ("_ready", "reason")

    bridges = False

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._ready = False

    def snapshot(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """A snapshot always starts anew."""
        self._ready = True
        return APPLY

    def judge(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """APPLY, once there is a snapshot."""
        return APPLY if self._ready else BUFFER


class Unverified(SnapshotOnly):
    """Whole books as somebody else made them: what they missed, nobody here can know.

    Every one is taken. A book of this strategy says so for as long as it is LIVE.
    """

    __slots__ = ()

    def snapshot(self, update: DepthUpdate) -> int:  # noqa: ARG002
        """APPLY whatever comes."""
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
    """All that is known about one venue's way to prove its books."""

    sequence: Integrity
    checksum: Checksum | None
    depths: tuple[int, ...]
    """Depths that the venue keeps, rising; empty where it says of every level when it goes."""


def make_integrity(name: str) -> Rules:
    """New rules by name, see the module. Raises BadInput for a name that is not understood."""
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
