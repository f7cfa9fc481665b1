"""How to know that no update of a book was lost: one strategy for each way venues number them.

A strategy is chosen by name and judges each update against what came before. Names may be joined
with ``+`` and carry arguments after ``:``, because a venue can offer two proofs at once::

    range_bridge_spot      Binance spot, KuCoin, Gate: ranges that meet end to end
    range_bridge_futures   Binance USD-M and COIN-M: each update names the one before it

Sources of the rules: the venues' own pages on keeping a local order book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

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


class RangeBridgeSpot:
    """Each update covers sequences U..u; ranges meet end to end.

    Drop u <= last. The first update on a snapshot has U <= last + 1 <= u, every later one
    U = previous u + 1. Source: Binance spot, "How to manage a local order book correctly".
    """

    __slots__ = ("_bridged", "_last", "reason")

    bridges = True

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = -1
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
            self._bridged = True
            return APPLY
        if last < 0:
            return BUFFER
        if first_seq > last_seq:
            self.reason = f"update runs backwards, from {first_seq} to {last_seq}"
            return GAP
        if last_seq <= last:
            return IGNORE
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

    __slots__ = ("_bridged", "_last", "reason")

    bridges = True

    def __init__(self) -> None:
        self.reason = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next update needs a snapshot."""
        self._last = -1
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
            self._bridged = True
            return APPLY
        if last < 0:
            return BUFFER
        if update.first_seq > last_seq:
            self.reason = f"update runs backwards, from {update.first_seq} to {last_seq}"
            return GAP
        if self._bridged:
            if last_seq <= last:
                return IGNORE
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


STRATEGIES: Final[Mapping[str, Callable[[], Integrity]]] = {
    "range_bridge_spot": RangeBridgeSpot,
    "range_bridge_futures": RangeBridgeFutures,
}


def make_integrity(name: str) -> Integrity:
    """A new judge of the strategy with this name. Raises BadInput for an unknown one."""
    try:
        return STRATEGIES[name]()
    except KeyError:
        raise BadInput(
            f"no integrity strategy is called {name!r}",
            where="venue",
            allowed=", ".join(sorted(STRATEGIES)),
        ) from None
