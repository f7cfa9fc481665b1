"""What the feed of a live run shows of the exchange's books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import (
    DepthUpdate,
)

if TYPE_CHECKING:
    from virtual_venue import VirtualVenue


NAMING: Final = ("range_bridge_futures", "chain")
"""Each update names the one before it."""
DEPTH: Final = 8


class ShownBooks:
    """The nearest levels of each book, as changes of what was shown before."""

    def __init__(self, venue: VirtualVenue, integrity: str) -> None:
        self._venue = venue
        self._integrity = integrity
        self._books: dict[str, tuple[dict[int, int], dict[int, int], int]] = {}
        self.snapshots: dict[str, None] = {}
        """Symbols of which the whole book is shown next."""

    def forget(self) -> None:
        """Nobody has seen anything."""
        self._books.clear()

    def change(self, symbol: str, now: int) -> DepthUpdate:
        """What the feed shows of the book since it was last asked, or the whole book."""
        book = self._venue.feed.book(self._venue.listed(symbol))
        bids = {ticks: book.bid_lots[ticks] for ticks in book.bids[-DEPTH:]}
        asks = {ticks: book.ask_lots[ticks] for ticks in book.asks[:DEPTH]}
        shown = self._books.get(symbol)
        whole = shown is None or symbol in self.snapshots or self._integrity == "snapshot_only"
        self.snapshots.pop(symbol, None)
        seq = 1_000 if shown is None else shown[2] + 1
        self._books[symbol] = bids, asks, seq
        changes: list[list[tuple[float, float]]] = []
        for new, old in (
            (bids, {} if shown is None else shown[0]),
            (asks, {} if shown is None else shown[1]),
        ):
            rows = dict(new) if whole else {t: n for t, n in new.items() if old.get(t) != n}
            if not whole:
                rows.update((ticks, 0) for ticks in old if ticks not in new)
            changes.append(self._levels(symbol, rows))
        if not whole and not changes[0] and not changes[1]:
            changes[0] = self._levels(symbol, dict(list(bids.items())[-1:]))
        return DepthUpdate(
            self._venue.name,
            symbol,
            whole,
            seq,
            seq,
            seq - 1 if self._integrity.startswith(NAMING) and not whole else -1,
            None,
            changes[0],
            changes[1],
            now,
            now,
        )

    def _levels(self, symbol: str, rows: dict[int, int]) -> list[tuple[float, float]]:
        rules = self._venue.instruments[symbol]
        return [(rules.price_float(ticks), lots * rules.lot_float) for ticks, lots in rows.items()]
