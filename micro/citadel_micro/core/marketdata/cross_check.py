"""Whether the depth of a symbol has gone mute, by its other streams.

A subscription can stop silently while its connection is up, and a quiet market looks the
same. Other data tells them apart: a best bid and ask that is newer than the depth and different, a trade
outside of what the depth shows, or a polled book of the venue that is ahead of it. Each of them is
no evidence at first, because streams lag one another; if the depth has not followed after
``MUTE_NS``, it is mute.
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
    """The symbol whose depth is checked: a ``MarketBook``."""

    last_recv_ns: int
    last_seq: int
    last_trade: TradeTick | None

    @property
    def book(self) -> Book:
        """Its depth."""


class CrossCheck:
    """Evidence about one symbol.

    Args:
        counts_changes: every number of the venue's stands for a change of this very book.
    """

    __slots__ = ("_counts_changes", "poll")

    def __init__(self, *, counts_changes: bool) -> None:
        self._counts_changes = counts_changes
        self.poll: BookLook | None = None
        """The polled book of the venue, as long as it is ahead of the depth."""

    def why(
        self, market: Followed, quote: Best | None, spoke_ns: tuple[int, int], now_ns: int
    ) -> str:
        """Why the depth is mute; empty when there is no evidence.

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
        if not seen and self.poll is not None:
            seen = self._differs(market, self.poll, late)
        if not seen:
            return ""
        shown = market.book.best() or (0.0, 0.0, 0.0, 0.0)
        silent_s = (now_ns - recv_ns) / 1e9
        return f"depth mute for {silent_s:.1f} s: it shows {shown[0]} and {shown[2]}, and {seen}"

    def _differs(self, market: Followed, poll: BookLook, late: int) -> str:
        if market.last_seq >= poll.last_seq:
            self.poll = None
            return ""
        if poll.recv_ns >= late:
            return ""
        self.poll = None
        count = max(len(poll.bids), len(poll.asks))
        polled = _best(poll.bids, -1, count), _best(poll.asks, 1, count)
        if not self._counts_changes and market.book.top(count) == polled:
            return ""  # numbers rise although the book does not change, as for Binance's futures
        return f"the venue is at {poll.last_seq}, not {market.last_seq}"


def _best(levels: Levels, sign: int, count: int) -> list[Level]:
    found = [(price, size) for price, size in levels]
    return sorted(found, key=lambda level: sign * level[0])[:count]
