"""Whether the depth of a symbol has fallen mute, by what its other streams say.

A subscription can die without a word while its connection lives, and a market that is quiet looks the
same. The others tell them apart: a best bid and ask that is newer than the depth and another, a trade
outside of what the depth shows, or a look at the venue's own book that is ahead of it. Each of them is
nothing at first, for streams lag one another; if the depth has not followed after ``MUTE_NS``, it is
mute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from citadel_micro.core.marketdata.book import Best, Level
    from citadel_micro.core.marketdata.kernel import Book
    from citadel_micro.core.model.events import BookLook, Levels, TradeTick

MUTE_NS: Final = 2_000_000_000
"""Depth streams are at most a second behind the others."""


class Followed(Protocol):
    """The symbol whose depth is judged: a ``MarketBook``."""

    last_recv_ns: int
    last_seq: int
    last_trade: TradeTick | None

    @property
    def book(self) -> Book:
        """Its depth."""


class CrossCheck:
    """Judges one symbol's witnesses.

    Args:
        counts_changes: every number of the venue's stands for a change of this very book.
    """

    __slots__ = ("_counts_changes", "look")

    def __init__(self, *, counts_changes: bool) -> None:
        self._counts_changes = counts_changes
        self.look: BookLook | None = None
        """The venue's book as it was asked for, as long as it is ahead of the depth."""

    def why(
        self, market: Followed, quote: Best | None, spoke_ns: tuple[int, int], now_ns: int
    ) -> str:
        """Why the depth is mute; empty when nothing says so.

        Args:
            market: whose LIVE book it is.
            quote: its best bid and ask where they are newer than the depth.
            spoke_ns: receipt of the first quote that differed, and of the first trade, after the
                last depth update; older than that where there was none.
            now_ns: engine time.
        """
        recv_ns = market.last_recv_ns
        late = now_ns - MUTE_NS
        quoted_ns, traded_ns = spoke_ns
        seen = ""
        if recv_ns < quoted_ns < late and quote is not None:
            depth = market.book.best()
            if depth is not None and (quote[0], quote[2]) != (depth[0], depth[2]):
                seen = f"best bid and ask are {quote[0]} and {quote[2]}"
        if not seen and recv_ns < traded_ns < late and market.last_trade is not None:
            depth, price = market.book.best(), market.last_trade.price
            if depth is not None and not depth[0] <= price <= depth[2]:
                seen = f"{price} was traded"
        if not seen and self.look is not None:
            seen = self._looked(market, self.look, late)
        if not seen:
            return ""
        shown = market.book.best() or (0.0, 0.0, 0.0, 0.0)
        silent_s = (now_ns - recv_ns) / 1e9
        return f"depth mute for {silent_s:.1f} s: it shows {shown[0]} and {shown[2]}, and {seen}"

    def _looked(self, market: Followed, look: BookLook, late: int) -> str:
        if market.last_seq >= look.last_seq:
            self.look = None
            return ""
        if look.recv_ns >= late:
            return ""
        self.look = None
        count = max(len(look.bids), len(look.asks))
        looked = _best(look.bids, -1, count), _best(look.asks, 1, count)
        if not self._counts_changes and market.book.top(count) == looked:
            return ""  # numbers move while the book does not, as those of Binance's futures do
        return f"the venue is at {look.last_seq}, not {market.last_seq}"


def _best(levels: Levels, sign: int, count: int) -> list[Level]:
    found = [(price, size) for price, size in levels]
    return sorted(found, key=lambda level: sign * level[0])[:count]
