"""Binance's two ways to number updates: ranges that meet, and ranges that name the one before."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.sequence_verdict import (
    APPLY,
    BUFFER,
    GAP,
    IGNORE,
    REMEMBERED,
    follows,
    older,
)

if TYPE_CHECKING:
    from citadel_micro.core.model.events import DepthUpdate


class _RangeBridge:
    """What both have in common: a snapshot, and the numbers that are remembered."""

    __slots__ = ("_bridge", "_bridged", "_last", "_old", "_remember", "_seen", "reason")

    bridges = True
    proves = True

    def __init__(self) -> None:
        self.reason = ""
        self._seen: deque[int] = deque(maxlen=REMEMBERED)
        self._remember = self._seen.append
        self.reset()

    def reset(self) -> None:
        """Forget everything except past numbers: the next update needs a snapshot."""
        self._last = -1
        self._old = 0
        self._bridged = False
        self._bridge = (0, 0)

    def snapshot(self, update: DepthUpdate) -> int:
        """APPLY unless the book is already past it, or it has no number to join updates to."""
        if update.last_seq < max(self._last, 0):
            return IGNORE
        self._last = update.last_seq
        self._bridged = False
        self._remember(update.last_seq)
        return APPLY


class RangeBridgeSpot(_RangeBridge):
    """Each update covers sequences U..u; ranges meet end to end.

    Drop u <= last. The first update on a snapshot has U <= last + 1 <= u, every later one
    U = previous u + 1. Source: Binance spot, "How to manage a local order book correctly".
    """

    __slots__ = ()

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        first_seq, last_seq = update.first_seq, update.last_seq
        if first_seq == last + 1 and last_seq > last >= 0:
            self._last = last_seq
            self._old = 0
            self._bridged = True
            self._remember(last_seq)
            return APPLY
        if last < 0:
            return BUFFER
        if first_seq > last_seq:
            self.reason = f"update runs backwards, from {first_seq} to {last_seq}"
            return GAP
        if last_seq <= last:
            return self._below(first_seq, last_seq) if self._bridged else IGNORE
        if first_seq > last + 1:
            self.reason = f"expected update {last + 1}, got {first_seq}"
            return GAP
        if self._bridged:
            self.reason = f"update {first_seq} to {last_seq} overlaps {last}"
            return GAP
        self._last = last_seq
        self._bridged = True
        self._bridge = first_seq, last_seq
        self._remember(last_seq)
        return APPLY

    def _below(self, first: int, seq: int) -> int:
        known = (first, seq) == self._bridge or follows(self._seen, first - 1, seq)
        return older(self, seq, self._last, known=known)


class RangeBridgeFutures(_RangeBridge):
    """Each update covers U..u and names the last sequence of the update before it, pu.

    Drop u < last. The first update on a snapshot has U <= last <= u, every later one
    pu = previous u. A first update whose pu is the snapshot's sequence continues it as well.
    Source: Binance USD-M futures, "How to manage a local order book correctly".
    """

    __slots__ = ()

    def judge(self, update: DepthUpdate) -> int:
        """See the class."""
        last = self._last
        last_seq = update.last_seq
        if update.prev_seq == last and last_seq > last >= 0:
            self._last = last_seq
            self._old = 0
            self._bridged = True
            self._remember(last_seq)
            return APPLY
        if last < 0:
            return BUFFER
        if update.first_seq > last_seq:
            self.reason = f"update runs backwards, from {update.first_seq} to {last_seq}"
            return GAP
        if self._bridged:
            if last_seq <= last:
                return self._below(update.prev_seq, last_seq)
            self.reason = f"expected an update after {last}, got one after {update.prev_seq}"
            return GAP
        if last_seq < last:
            return IGNORE
        if update.first_seq > last:
            self.reason = f"expected an update that covers {last}, got one from {update.first_seq}"
            return GAP
        self._last = last_seq
        self._bridged = True
        self._bridge = update.prev_seq, last_seq
        self._remember(last_seq)
        return APPLY

    def _below(self, prev: int, seq: int) -> int:
        known = (prev, seq) == self._bridge or follows(self._seen, prev, seq)
        return older(self, seq, self._last, known=known)
