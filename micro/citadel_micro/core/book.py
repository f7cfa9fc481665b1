"""One venue's order book: prices and sizes as floats, no opinion about integrity.

A dict of sizes beside a sorted list of prices a side. Most updates change the size of a level that
exists, which costs one dict store; only new and vanished levels touch the list. Measured against
sorted containers and numpy arrays this is the quickest pure-Python form.

Prices and sizes must be finite and not negative; decoders reject anything else before it gets here.
Text to float gives the same float for the same number however it is written, so a float is a
stable key.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.events import Levels, Side

Level = tuple[float, float]


class Book:
    """Price levels of one instrument. Prices in quote units, sizes as the venue counts them.

    ``bid_prices`` and ``ask_prices`` are both ascending: the best bid is ``bid_prices[-1]``, the
    best ask ``ask_prices[0]``.
    """

    __slots__ = ("ask_prices", "asks", "bid_prices", "bids")

    def __init__(self) -> None:
        self.bids: Final[dict[float, float]] = {}
        self.asks: Final[dict[float, float]] = {}
        self.bid_prices: Final[list[float]] = []
        self.ask_prices: Final[list[float]] = []

    def clear(self) -> None:
        """Forget every level."""
        self.bids.clear()
        self.asks.clear()
        self.bid_prices.clear()
        self.ask_prices.clear()

    def replace(self, bids: Levels, asks: Levels) -> None:
        """Make the book exactly these levels. Of a price given twice the last size counts."""
        for sizes, prices, levels in (
            (self.bids, self.bid_prices, bids),
            (self.asks, self.ask_prices, asks),
        ):
            sizes.clear()
            for price, size in levels:
                if size:
                    sizes[price] = size
                else:
                    sizes.pop(price, None)
            prices[:] = sorted(sizes)

    def apply(self, bids: Levels, asks: Levels) -> None:
        """Set the size of each given level; size 0 deletes it, deleting an absent one is nothing.

        The two sides are written out, because the call of a shared helper would cost a tenth.
        """
        sizes = self.bids
        for price, size in bids:
            if size:
                if price not in sizes:
                    insort(self.bid_prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                prices = self.bid_prices
                del prices[bisect_left(prices, price)]
        sizes = self.asks
        for price, size in asks:
            if size:
                if price not in sizes:
                    insort(self.ask_prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                prices = self.ask_prices
                del prices[bisect_left(prices, price)]

    def truncate(self, depth: int) -> None:
        """Keep the best ``depth`` levels of each side."""
        extra = len(self.bid_prices) - depth
        if extra > 0:
            for price in self.bid_prices[:extra]:
                del self.bids[price]
            del self.bid_prices[:extra]
        if len(self.ask_prices) > depth:
            for price in self.ask_prices[depth:]:
                del self.asks[price]
            del self.ask_prices[depth:]

    def best_bid(self) -> Level | None:
        """(price, size) of the highest bid; None when there is none."""
        if not self.bid_prices:
            return None
        price = self.bid_prices[-1]
        return price, self.bids[price]

    def best_ask(self) -> Level | None:
        """(price, size) of the lowest ask; None when there is none."""
        if not self.ask_prices:
            return None
        price = self.ask_prices[0]
        return price, self.asks[price]

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """Up to ``count`` levels of each side, best first: (bids, asks)."""
        if count <= 0:
            return [], []
        bids, asks = self.bids, self.asks
        return (
            [(price, bids[price]) for price in reversed(self.bid_prices[-count:])],
            [(price, asks[price]) for price in self.ask_prices[:count]],
        )

    def size_at(self, side: Side, price: float) -> float:
        """Displayed size of the resting ``side`` at exactly this price; 0.0 when none."""
        return (self.bids if side == "buy" else self.asks).get(price, 0.0)

    def depth_within(self, side: Side, price: float) -> float:
        """Total displayed size of ``side`` at this price or better (bids >=, asks <=)."""
        if side == "buy":
            prices = self.bid_prices
            return sum(map(self.bids.__getitem__, prices[bisect_left(prices, price) :]))
        prices = self.ask_prices
        return sum(map(self.asks.__getitem__, prices[: bisect_right(prices, price)]))
