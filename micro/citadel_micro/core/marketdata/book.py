"""One venue's order book: prices and sizes as floats, without integrity checks.

A dict of sizes beside a sorted list of prices a side. Most updates change the size of a level that
exists, which costs one dict store; only new and removed levels touch the list. Measured against
sorted containers and numpy arrays this is the fastest pure-Python form. A list of thousands of
prices costs as much to move as all the rest together, so only the near part of a deep book is
listed; the far part is in the dict alone, and is sorted on demand.

Prices and sizes must be finite and not negative; decoders reject anything else before it gets here.
Text to float gives the same float for the same number however it is written, so a float is a
stable key.

``core.marketdata.kernel`` has this class, or its compiled twin where that was built.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right, insort
from itertools import chain, zip_longest
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.marketdata.rolling_sums import added
from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.events import Levels, Side, TextLevels

Level = tuple[float, float]
Best = tuple[float, float, float, float]
"""(bid, bid size, ask, ask size)"""
Packed = tuple[bytes, bytes, float, float]
"""(bids, asks, sum of the bids' sizes, of the asks'), sides as ``citadel_proto.packed_levels`` packs them."""

Style = Literal["kraken", "colon"]
"""How a checksum joins the digits; see ``Book.checksum``."""

NEAR: Final = 64
"""Minimum number of listed levels of a side; takes half the time of all on a book of 5,000."""
MOST: Final = 512
"""Maximum number of listed levels of a side; half of them stays when there are more."""


class Book:
    """Price levels of one instrument. Prices in quote units, sizes as the venue counts them.

    Args:
        keep_text: keep the digits of each level, for ``checksum``.
        depth: levels a side that ``truncate`` will keep; 0 when it will not be called. It changes
            how fast the book is, and nothing else.
    """

    __slots__ = (
        "_ask_limit",
        "_ask_prices",
        "_ask_text",
        "_asks",
        "_best_asks",
        "_best_bids",
        "_bid_limit",
        "_bid_prices",
        "_bid_text",
        "_bids",
        "_most",
        "_sum",
        "keeps_text",
    )

    def __init__(self, *, keep_text: bool = False, depth: int = 0) -> None:
        self.keeps_text: Final = keep_text
        self._bids: Final[dict[float, float]] = {}
        self._asks: Final[dict[float, float]] = {}
        # Ascending: the best bid is the last, the best ask the first.
        self._bid_prices: Final[list[float]] = []
        self._ask_prices: Final[list[float]] = []
        # What falls off the end of a kept depth must be known at once, so all of it is listed.
        self._most: Final = max(MOST, 2 * depth)
        # Every level from the best to the limit is listed, none beyond it.
        self._bid_limit = 0.0
        self._ask_limit = inf
        self._bid_text: Final[dict[float, tuple[str, str]]] = {}
        self._ask_text: Final[dict[float, tuple[str, str]]] = {}
        # What goes into the sum, best first, until the side changes: most updates are of one side.
        self._best_bids: list[str] | None = None
        self._best_asks: list[str] | None = None
        self._sum: tuple[Style, int] = ("colon", 0)

    def clear(self) -> None:
        """Remove every level."""
        self._bids.clear()
        self._asks.clear()
        self._bid_text.clear()
        self._ask_text.clear()
        self._best_bids = self._best_asks = None
        self._list_bids()
        self._list_asks()

    def replace(
        self, bids: Levels, asks: Levels, texts: tuple[TextLevels, TextLevels] | None = None
    ) -> None:
        """Replace all levels. Of a price given twice the last size counts."""
        self.clear()
        for sizes, levels in ((self._bids, bids), (self._asks, asks)):
            for price, size in levels:
                if size:
                    sizes[price] = size
                else:
                    sizes.pop(price, None)
        if self.keeps_text:
            self._take_text(bids, asks, texts)
        self._list_bids()
        self._list_asks()

    def apply(
        self, bids: Levels, asks: Levels, texts: tuple[TextLevels, TextLevels] | None = None
    ) -> None:
        """Set the size of each given level; size 0 deletes it, deleting a missing one does nothing.

        ``texts`` are the digits of the same levels; they are kept only by a book that keeps them.
        The two sides are written out, because the call of a shared helper would cost a tenth.
        """
        sizes, prices, limit = self._bids, self._bid_prices, self._bid_limit
        for price, size in bids:
            if size:
                if price not in sizes and price >= limit:
                    insort(prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                if price >= limit:
                    del prices[bisect_left(prices, price)]
        if len(prices) > self._most or (limit and len(prices) < NEAR):
            self._list_bids()
        sizes, prices, limit = self._asks, self._ask_prices, self._ask_limit
        for price, size in asks:
            if size:
                if price not in sizes and price <= limit:
                    insort(prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                if price <= limit:
                    del prices[bisect_left(prices, price)]
        if len(prices) > self._most or (limit < inf and len(prices) < NEAR):
            self._list_asks()
        if self.keeps_text:
            self._take_text(bids, asks, texts)

    def truncate(self, depth: int) -> None:
        """Keep the best ``depth`` levels of each side."""
        excess = len(self._bids) - depth
        if excess > 0:
            prices = sorted(self._bids) if self._bid_limit else self._bid_prices
            for price in prices[:excess]:
                del self._bids[price]
                self._bid_text.pop(price, None)
            if self._bid_limit:
                self._list_bids()
            else:
                del prices[:excess]
        if len(self._asks) > depth:
            prices = sorted(self._asks) if self._ask_limit < inf else self._ask_prices
            for price in prices[depth:]:
                del self._asks[price]
                self._ask_text.pop(price, None)
            if self._ask_limit < inf:
                self._list_asks()
            else:
                del prices[depth:]

    @property
    def bid_count(self) -> int:
        """Levels that are bid."""
        return len(self._bids)

    @property
    def ask_count(self) -> int:
        """Levels that are offered."""
        return len(self._asks)

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask; False while a side is empty."""
        bids, asks = self._bid_prices, self._ask_prices
        return bool(bids and asks and bids[-1] >= asks[0])

    def best(self) -> Best | None:
        """(bid, bid size, ask, ask size); None while a side is empty."""
        if not self._bid_prices or not self._ask_prices:
            return None
        bid, ask = self._bid_prices[-1], self._ask_prices[0]
        return bid, self._bids[bid], ask, self._asks[ask]

    def best_bid(self) -> Level | None:
        """(price, size) of the highest bid; None when there is none."""
        if not self._bid_prices:
            return None
        price = self._bid_prices[-1]
        return price, self._bids[price]

    def best_ask(self) -> Level | None:
        """(price, size) of the lowest ask; None when there is none."""
        if not self._ask_prices:
            return None
        price = self._ask_prices[0]
        return price, self._asks[price]

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """Up to ``count`` levels of each side, best first: (bids, asks)."""
        if count <= 0:
            return [], []
        bids, asks = self._bids, self._asks
        bid_prices: Sequence[float] = self._bid_prices
        ask_prices: Sequence[float] = self._ask_prices
        if self._bid_limit and count > len(bid_prices):
            bid_prices = sorted(bids)
        if self._ask_limit < inf and count > len(ask_prices):
            ask_prices = sorted(asks)
        return (
            [(price, bids[price]) for price in reversed(bid_prices[-count:])],
            [(price, asks[price]) for price in ask_prices[:count]],
        )

    def packed(self, count: int, quote: Best | None = None) -> Packed:
        """``top_behind`` a quote, as messages carry it, and the sum of the sizes of each side."""
        bids, asks = top_behind(quote, self, count)
        bid_size = added(size for _, size in bids)
        ask_size = added(size for _, size in asks)
        return pack_levels(bids), pack_levels(asks), bid_size, ask_size

    def sizes(self, side: Side) -> dict[float, float]:
        """Every level of a side, price to size: a copy, in any order."""
        return dict(self._bids if side == "buy" else self._asks)

    def size_at(self, side: Side, price: float) -> float:
        """Displayed size of the resting ``side`` at exactly this price; 0.0 when none."""
        return (self._bids if side == "buy" else self._asks).get(price, 0.0)

    def worse(self, side: Side, price: float) -> Level | None:
        """The best level of ``side`` that is worse than this price; None when there is none."""
        # The worst that is listed may be better than the limit, since a level at the limit can go.
        if side == "buy":
            prices = self._bid_prices
            if self._bid_limit and (not prices or price <= prices[0]):
                prices = sorted(self._bids)
            at = bisect_left(prices, price) - 1
            return (prices[at], self._bids[prices[at]]) if at >= 0 else None
        prices = self._ask_prices
        if self._ask_limit < inf and (not prices or price >= prices[-1]):
            prices = sorted(self._asks)
        at = bisect_right(prices, price)
        return (prices[at], self._asks[prices[at]]) if at < len(prices) else None

    def displayed(self, side: Side, mid: float, reach: float, enough: float) -> float:
        """Size of ``side`` from its best price to ``reach`` from the mid, counted until enough."""
        if side == "buy":
            sizes = self._bids
            far = sorted(sizes)[: -len(self._bid_prices)] if self._bid_limit else []
            prices = chain(reversed(self._bid_prices), reversed(far))
        else:
            sizes = self._asks
            far = sorted(sizes)[len(self._ask_prices) :] if self._ask_limit < inf else []
            prices = chain(self._ask_prices, far)
        total = 0.0
        for price in prices:
            if abs(price - mid) > reach:
                break
            total += sizes[price]
            if total >= enough:
                break
        return total

    def checksum(self, style: Style, count: int) -> int | None:
        """CRC32 over the digits of the best ``count`` levels; None where digits are missing.

        ``kraken``: asks then bids, best first, each price and size without its point and leading
        zeros (Kraken, "Order book checksum"). ``colon``: bid and ask alternating, best first,
        ``price:size`` joined by colons (OKX, Bitget).
        """
        if not self.keeps_text or count < 1:
            return None
        if self._sum != (style, count):
            self._sum = (style, count)
            self._best_bids = self._best_asks = None
        bids, asks = self._best_bids, self._best_asks
        digits = _bare if style == "kraken" else _joined
        try:
            if bids is None:
                prices = self._bid_prices
                if self._bid_limit and count > len(prices):
                    prices = sorted(self._bids)
                best = prices[: -count - 1 : -1]
                bids = self._best_bids = [digits(self._bid_text[price]) for price in best]
            if asks is None:
                prices = self._ask_prices
                if self._ask_limit < inf and count > len(prices):
                    prices = sorted(self._asks)
                asks = self._best_asks = [digits(self._ask_text[price]) for price in prices[:count]]
        except KeyError:
            return None
        if style == "kraken":
            text = "".join(asks) + "".join(bids)
        else:
            pairs = zip_longest(bids, asks)
            text = ":".join(part for pair in pairs for part in pair if part is not None)
        return zlib.crc32(text.encode())

    def _take_text(
        self, bids: Levels, asks: Levels, texts: tuple[TextLevels, TextLevels] | None
    ) -> None:
        if bids:
            self._best_bids = None
            _note(self._bid_text, bids, None if texts is None else texts[0])
        if asks:
            self._best_asks = None
            _note(self._ask_text, asks, None if texts is None else texts[1])

    def _list_bids(self) -> None:
        keep = self._most // 2
        prices = sorted(self._bids)
        self._bid_prices[:] = prices[-keep:]
        self._bid_limit = prices[-keep] if len(prices) > keep else 0.0

    def _list_asks(self) -> None:
        keep = self._most // 2
        prices = sorted(self._asks)
        self._ask_prices[:] = prices[:keep]
        self._ask_limit = prices[keep - 1] if len(prices) > keep else inf


def top_behind(quote: Best | None, book: Book, count: int) -> tuple[list[Level], list[Level]]:
    """Up to ``count`` levels of each side, (bids, asks), best first and beginning with the quote, if any.

    A quote may be newer than the depth: depth levels better than it no longer exist.
    """
    bids, asks = book.top(count)
    if quote is None or count <= 0:
        return bids, asks
    bid, bid_size, ask, ask_size = quote
    deep = count
    while True:
        bids = [(bid, bid_size), *(level for level in bids if level[0] < bid)][:count]
        asks = [(ask, ask_size), *(level for level in asks if level[0] > ask)][:count]
        if deep > max(book.bid_count, book.ask_count) or len(bids) == count == len(asks):
            return bids, asks
        deep *= 2  # as many as were removed are missing at the other end
        bids, asks = book.top(deep)


def _bare(text: tuple[str, str]) -> str:
    return "".join(part.replace(".", "").lstrip("0") for part in text)


def _joined(text: tuple[str, str]) -> str:
    return f"{text[0]}:{text[1]}"


def _note(known: dict[float, tuple[str, str]], levels: Levels, texts: TextLevels | None) -> None:
    if texts is None:
        for price, _ in levels:
            known.pop(price, None)
        return
    for (price, size), text in zip(levels, texts, strict=True):
        if size:
            known[price] = text
        else:
            known.pop(price, None)
