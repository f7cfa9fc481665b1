"""Handover from one connection to its successor with every book LIVE throughout.

Both are connected and subscribed. For each symbol the old connection's events are passed on until the
new one provably continues where it stands, and from then on the new one's:

- where the stream brings snapshots, the new one's snapshot is a complete book, so it takes over at once;
- where updates are numbered and the snapshot is fetched, it takes over as soon as it has the update that
  follows the old one's last, which the numbers show; nothing has to be fetched.

Trades of both are passed on, each once. A symbol without traffic on either is handed over at the
end: its next update proves itself, or shows the gap.

Pure: no clock, no input or output.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import DepthUpdate, FeedStatus, StreamProof, TradeTick
from citadel_micro.shell.marketdata.conflating_queue import continues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.shell.marketdata.context import SinkEvent

HELD: Final = 2_000
"""Updates of a symbol that are buffered at most: as many as a book buffers for its snapshot."""


class Handover:
    """See the module.

    Args:
        venue: venue id.
        symbols: unified symbols to hand over.
        strategy: of the venue's integrity, as ``conflating_queue.strategy_of`` gives it.
        bridges: snapshots are fetched; otherwise they come in the stream.
        emit: receives the events passed on.
    """

    def __init__(
        self,
        venue: str,
        symbols: Iterable[str],
        strategy: str,
        emit: Callable[[SinkEvent, int], None],
        *,
        bridges: bool,
    ) -> None:
        self._venue = venue
        self._left = set(symbols)
        self._strategy = strategy
        self._bridges = bridges
        self._emit = emit
        self._last: dict[str, DepthUpdate] = {}
        self._held: dict[str, deque[tuple[DepthUpdate, int]]] = {}
        self._after: dict[str, int] = {}
        """Last update of the old one, for symbols on which the new one is still behind it."""
        self._said: dict[str, tuple[FeedStatus, int]] = {}
        self._trades: set[tuple[str, str]] = set()
        self._order: deque[tuple[str, str]] = deque(maxlen=20 * HELD)

    @property
    def done(self) -> bool:
        """Every symbol has moved to the new one."""
        return not self._left

    def moved(self, symbol: str) -> bool:
        """Whether this symbol has moved to the new one."""
        return symbol not in self._left

    def old(self, event: SinkEvent, recv_ns: int) -> None:
        """An event of the old connection."""
        if isinstance(event, StreamProof):
            self._emit(event, recv_ns)
            return
        if isinstance(event, TradeTick):
            self._trade(event, recv_ns)
            return
        if event.symbol not in self._left:
            return
        self._emit(event, recv_ns)
        if isinstance(event, DepthUpdate):
            self._last[event.symbol] = event
            self._join(event.symbol)

    def new(self, event: SinkEvent, recv_ns: int) -> None:
        """An event of the new connection.

        That it is up does not prove the books that the old one still carries.
        """
        if isinstance(event, StreamProof):
            return
        symbol = event.symbol
        if isinstance(event, TradeTick):
            self._trade(event, recv_ns)
        elif symbol not in self._left:
            if symbol in self._after and isinstance(event, DepthUpdate):
                if event.last_seq <= self._after[symbol]:
                    return
                del self._after[symbol]
            self._emit(event, recv_ns)
        elif isinstance(event, FeedStatus):
            self._said[symbol] = (event, recv_ns)
        elif isinstance(event, DepthUpdate):
            if event.snapshot and not self._bridges:
                self._left.discard(symbol)
                self._emit(event, recv_ns)
            elif self._bridges:
                self._held.setdefault(symbol, deque(maxlen=HELD)).append((event, recv_ns))
                self._join(symbol)

    def finish(self, reason: str, *, lost: bool) -> list[str]:
        """The old one is ``lost``, or the time is up: move all other symbols to the new one.

        Buffered updates continue where the old one stood, or show what is missing. Where nothing can
        show that, the book is void until its snapshot has come.

        Returns:
            Symbols of the void books.
        """
        void = []
        for symbol in sorted(self._left):
            self._left.discard(symbol)
            held = self._held.pop(symbol, ())
            said, recv_ns = self._said.get(symbol, (None, 0))
            if said is not None and said.refused:
                self._emit(said, recv_ns)
            elif not self._bridges or (lost and not held):
                void.append(symbol)
                status = FeedStatus(
                    venue=self._venue, symbol=symbol, up=False, reason=reason, refused=False
                )
                self._emit(status, recv_ns)
            for event, at_ns in held:
                self._emit(event, at_ns)
        return void

    def _join(self, symbol: str) -> None:
        """Move a symbol if the new connection has the update that follows the old one's last."""
        held, last = self._held.get(symbol), self._last.get(symbol)
        if not held or last is None:
            return
        began_before = held[0][0].last_seq <= last.last_seq
        while held and held[0][0].last_seq <= last.last_seq:
            held.popleft()
        if not held and began_before:
            # Its stream has begun and is not ahead: it will continue from here, or from before.
            self._after[symbol] = last.last_seq
        elif not held or not continues(self._strategy, last, held[0][0]):
            return
        self._left.discard(symbol)
        for event, recv_ns in self._held.pop(symbol):
            self._emit(event, recv_ns)

    def _trade(self, trade: TradeTick, recv_ns: int) -> None:
        key = (trade.symbol, trade.trade_id)
        if trade.trade_id:
            if key in self._trades:
                return
            if len(self._order) == self._order.maxlen:
                self._trades.discard(self._order[0])
            self._order.append(key)
            self._trades.add(key)
        self._emit(trade, recv_ns)
