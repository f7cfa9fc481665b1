"""Values read from a book: its best, its levels, and figures computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.book import top_behind
from citadel_micro.core.marketdata.rolling_sums import CellSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.marketdata.book import Best, Level
    from citadel_micro.core.marketdata.kernel import Book

FLOW_NS: Final = 60_000_000_000
"""Longest window of ``signed_flow``."""


class Readings:
    """The readings of a ``MarketBook``, which holds the data.

    Args:
        book: its levels.
    """

    __slots__ = ("_flow", "_quote", "book")

    def __init__(self, book: Book) -> None:
        self.book: Final = book
        self._quote: Best | None = None
        self._flow: Final = CellSums(FLOW_NS)

    def best(self) -> Best | None:
        """(bid, bid size, ask, ask size), the fresher of depth and quote; None if one-sided."""
        if self._quote is not None:
            return self._quote
        return self.book.best()

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """Up to ``count`` levels of each side, (bids, asks), best first and beginning at ``best``."""
        return top_behind(self._quote, self.book, count)

    def packed(self, count: int) -> tuple[bytes, bytes, float]:
        """``top`` as messages carry it, and its ``imbalance``."""
        bids, asks, bid_size, ask_size = self.book.packed(count, self._quote)
        total = bid_size + ask_size
        return bids, asks, (bid_size - ask_size) / total if total > 0 else 0.0

    def mid(self) -> float | None:
        """Half-way between best bid and ask, in price units; None if one-sided."""
        best = self.best()
        return None if best is None else (best[0] + best[2]) / 2

    def spread(self) -> float | None:
        """Best ask minus best bid, in price units; None if one-sided."""
        best = self.best()
        return None if best is None else best[2] - best[0]

    def microprice(self) -> float | None:
        """Mid weighted by the opposite sizes (Stoikov 2018, first order); None if one-sided."""
        best = self.best()
        if best is None:
            return None
        bid, bid_size, ask, ask_size = best
        total = bid_size + ask_size
        return (bid * ask_size + ask * bid_size) / total if total > 0 else (bid + ask) / 2

    def imbalance(self, count: int) -> float:
        """(bid size - ask size) / (bid size + ask size) over the best ``count`` levels; 0 if empty.

        In [-1, 1]; positive means more is bid than offered.
        """
        return self.packed(count)[2]

    def signed_flow(self, now_ns: int, window_ns: int) -> float:
        """Taker buys minus taker sells of the last ``window_ns``, at most a minute, in size.

        Windows are as ``core.marketdata.rolling_sums`` cuts them.
        """
        return self._flow.sums(now_ns, (window_ns,))[0]

    def signed_flows(self, now_ns: int, windows_ns: Sequence[int]) -> list[float]:
        """``signed_flow`` over several windows, shortest first, at the cost of the longest."""
        return self._flow.sums(now_ns, windows_ns)

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask. Locked counts: neither is a price to quote from."""
        best = self.best()
        return best is not None and best[0] >= best[2]
