"""CRC32 of the best levels, over the digits as the venue wrote them.

Floats cannot reproduce trailing zeros, so the text of each level is kept beside the book. What goes
into the checksum is prepared once, when a level arrives.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.book import Book
    from citadel_micro.core.events import DepthUpdate, Levels, TextLevels

FORMATS: Final = ("kraken", "colon")
_MASK: Final = 0xFFFFFFFF


class Checksum:
    """Verifier of one book.

    Args:
        style: ``kraken``: asks then bids, best first, each price and size without its point and
            leading zeros (Kraken, "Order book checksum"). ``colon``: bid and ask alternating, best
            first, ``price:size`` joined by colons (OKX, Bitget).
        count: levels of each side that are covered.
    """

    __slots__ = (
        "_asks",
        "_best_asks",
        "_best_bids",
        "_bids",
        "_count",
        "_kraken",
        "failed",
        "passed",
        "reason",
    )

    def __init__(self, style: str, count: int) -> None:
        self._kraken: Final = style == "kraken"
        self._count: Final = count
        self._bids: Final[dict[float, str]] = {}
        self._asks: Final[dict[float, str]] = {}
        # What goes into the sum, best first, until the side changes: most updates are of one side.
        self._best_bids: list[str] | None = None
        self._best_asks: list[str] | None = None
        self.passed = 0
        self.failed = 0
        self.reason = ""

    def take(self, update: DepthUpdate) -> None:
        """Remember the text of the levels of an update that is being applied."""
        if update.snapshot:
            self._bids.clear()
            self._asks.clear()
            self._best_bids = self._best_asks = None
        if update.bids:
            self._best_bids = None
        if update.asks:
            self._best_asks = None
        if update.texts is not None:
            if update.bids:
                self._note(self._bids, update.bids, update.texts[0])
            if update.asks:
                self._note(self._asks, update.asks, update.texts[1])

    def verify(self, update: DepthUpdate, book: Book) -> bool:
        """Whether the book, with the update applied, is what the venue says; True without a sum."""
        expected = update.checksum
        if expected is None:
            return True
        count = self._count
        bids, asks = self._best_bids, self._best_asks
        try:
            if bids is None:
                known = self._bids
                bids = [known[price] for price in book.bid_prices[: -count - 1 : -1]]
                self._best_bids = bids
            if asks is None:
                known = self._asks
                asks = self._best_asks = [known[price] for price in book.ask_prices[:count]]
        except KeyError:
            bids = asks = []  # an update came without its text: nothing can be proven
        if self._kraken:
            text = "".join(asks) + "".join(bids)
        else:
            paired = min(len(bids), len(asks))
            parts = [part for pair in zip(bids, asks, strict=False) for part in pair]
            text = ":".join([*parts, *bids[paired:], *asks[paired:]])
        actual = zlib.crc32(text.encode())
        if actual == expected & _MASK:
            self.passed += 1
            return True
        self.failed += 1
        self.reason = f"checksum is {actual}, the venue says {expected & _MASK}"
        return False

    def _note(self, known: dict[float, str], levels: Levels, texts: TextLevels) -> None:
        kraken = self._kraken
        for (price, size), (price_text, size_text) in zip(levels, texts, strict=True):
            if not size:
                known.pop(price, None)
            elif kraken:
                known[price] = price_text.replace(".", "").lstrip("0") + size_text.replace(
                    ".", ""
                ).lstrip("0")
            else:
                known[price] = f"{price_text}:{size_text}"

    def forget(self, bids: Iterable[float], asks: Iterable[float]) -> None:
        """Drop the text of levels that the book has let go."""
        for known, prices in ((self._bids, bids), (self._asks, asks)):
            for price in prices:
                known.pop(price, None)


def make_checksum(argument: str) -> Checksum:
    """A verifier from ``FORMAT:LEVELS``. Raises BadInput for anything else."""
    style, _, count = argument.partition(":")
    if style not in FORMATS or not count.isdigit() or int(count) < 1:
        raise BadInput(
            f"{argument!r} is not a checksum",
            where="integrity strategy",
            allowed=", ".join(f"crc:{each}:LEVELS" for each in FORMATS),
        )
    return Checksum(style, int(count))
