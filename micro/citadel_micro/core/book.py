"""One venue's order book: prices and sizes as floats, no opinion about integrity.

A dict of sizes beside a sorted list of prices a side. Most updates change the size of a level that
exists, which costs one dict store; only new and vanished levels touch the list. Measured against
sorted containers and numpy arrays this is the quickest pure-Python form. A list of thousands of
prices costs as much to move as all the rest together, so only the near part of a deep book is
listed; the far part is in the dict alone, and is sorted when somebody asks for it.

Prices and sizes must be finite and not negative; decoders reject anything else before it gets here.
Text to float gives the same float for the same number however it is written, so a float is a
stable key.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from math import fsum, inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.events import Levels, Side

Level = tuple[float, float]


NEAR: Final = 64
"""Levels of a side that are listed at least; half the time on a book of 5,000 than all."""
MOST: Final = 512
"""Levels of a side that are listed at most; half of it stays when there are more."""


class Book:
    """Price levels of one instrument. Prices in quote units, sizes as the venue counts them.

    ``bids`` and ``asks`` hold the size of every level. ``bid_prices`` and ``ask_prices`` list the
    best levels, all of them in a book of no more than ``near`` levels a side, never fewer than
    that in a deeper one. Both are ascending: the best bid is ``bid_prices[-1]``, the best ask
    ``ask_prices[0]``. ``top`` and ``depth_within`` reach every level.
    """

    __slots__ = (
        "_ask_limit",
        "_bid_limit",
        "_most",
        "_near",
        "ask_prices",
        "asks",
        "bid_prices",
        "bids",
    )

    def __init__(self, near: int = NEAR, most: int = MOST) -> None:
        self.bids: Final[dict[float, float]] = {}
        self.asks: Final[dict[float, float]] = {}
        self.bid_prices: Final[list[float]] = []
        self.ask_prices: Final[list[float]] = []
        self._near: Final = near
        self._most: Final = most
        # Every level from the best to the limit is listed, none beyond it.
        self._bid_limit = 0.0
        self._ask_limit = inf

    def clear(self) -> None:
        """Forget every level."""
        self.bids.clear()
        self.asks.clear()
        self._list_bids()
        self._list_asks()

    def replace(self, bids: Levels, asks: Levels) -> None:
        """Make the book exactly these levels. Of a price given twice the last size counts."""
        for sizes, levels in ((self.bids, bids), (self.asks, asks)):
            sizes.clear()
            for price, size in levels:
                if size:
                    sizes[price] = size
                else:
                    sizes.pop(price, None)
        self._list_bids()
        self._list_asks()

    def apply(self, bids: Levels, asks: Levels) -> None:
        """Set the size of each given level; size 0 deletes it, deleting an absent one is nothing.

        The two sides are written out, because the call of a shared helper would cost a tenth.
        """
        sizes, prices, limit = self.bids, self.bid_prices, self._bid_limit
        for price, size in bids:
            if size:
                if price not in sizes and price >= limit:
                    insort(prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                if price >= limit:
                    del prices[bisect_left(prices, price)]
        if len(prices) > self._most or (limit and len(prices) < self._near):
            self._list_bids()
        sizes, prices, limit = self.asks, self.ask_prices, self._ask_limit
        for price, size in asks:
            if size:
                if price not in sizes and price <= limit:
                    insort(prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                if price <= limit:
                    del prices[bisect_left(prices, price)]
        if len(prices) > self._most or (limit < inf and len(prices) < self._near):
            self._list_asks()

    def truncate(self, depth: int) -> tuple[list[float], list[float]]:
        """Keep the best ``depth`` levels of each side; returns the prices of the others."""
        gone_bids: list[float] = []
        gone_asks: list[float] = []
        excess = len(self.bids) - depth
        if excess > 0:
            prices = sorted(self.bids) if self._bid_limit else self.bid_prices
            gone_bids = prices[:excess]
            for price in gone_bids:
                del self.bids[price]
            if self._bid_limit:
                self._list_bids()
            else:
                del prices[:excess]
        if len(self.asks) > depth:
            prices = sorted(self.asks) if self._ask_limit < inf else self.ask_prices
            gone_asks = prices[depth:]
            for price in gone_asks:
                del self.asks[price]
            if self._ask_limit < inf:
                self._list_asks()
            else:
                del prices[depth:]
        return gone_bids, gone_asks

    def _list_bids(self) -> None:
        keep = self._most // 2
        prices = sorted(self.bids)
        self.bid_prices[:] = prices[-keep:]
        self._bid_limit = prices[-keep] if len(prices) > keep else 0.0

    def _list_asks(self) -> None:
        keep = self._most // 2
        prices = sorted(self.asks)
        self.ask_prices[:] = prices[:keep]
        self._ask_limit = prices[keep - 1] if len(prices) > keep else inf

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
        bid_prices, ask_prices = self.bid_prices, self.ask_prices
        if self._bid_limit and count > len(bid_prices):
            bid_prices = sorted(bids)
        if self._ask_limit < inf and count > len(ask_prices):
            ask_prices = sorted(asks)
        return (
            [(price, bids[price]) for price in reversed(bid_prices[-count:])],
            [(price, asks[price]) for price in ask_prices[:count]],
        )

    def size_at(self, side: Side, price: float) -> float:
        """Displayed size of the resting ``side`` at exactly this price; 0.0 when none."""
        return (self.bids if side == "buy" else self.asks).get(price, 0.0)

    def depth_within(self, side: Side, price: float) -> float:
        """Total displayed size of ``side`` at this price or better (bids >=, asks <=)."""
        if side == "buy":
            if price < self._bid_limit:
                return fsum(size for level, size in self.bids.items() if level >= price)
            prices = self.bid_prices
            return fsum(map(self.bids.__getitem__, prices[bisect_left(prices, price) :]))
        if price > self._ask_limit:
            return fsum(size for level, size in self.asks.items() if level <= price)
        prices = self.ask_prices
        return fsum(map(self.asks.__getitem__, prices[: bisect_right(prices, price)]))
