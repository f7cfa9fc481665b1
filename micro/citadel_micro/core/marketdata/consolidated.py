"""Several venues' books of one instrument merged into one: the market apart from any single venue.

Only books that can be trusted now are included: LIVE, two-sided, not crossed, and proven within
a limit. The others are listed with the reason. The result does not depend on the order of the
venues: prices are compared, and sizes of one price are added with ``fsum``.

The whole may be crossed: one venue's bid above another's ask is an opportunity, not an error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from citadel_micro.core.marketdata.book import Level


class Levels(Protocol):
    """The levels of one book."""

    def top(self, count: int, /) -> tuple[list[Level], list[Level]]:
        """Up to ``count`` levels of each side, best first: (bids, asks)."""


class Market(Protocol):
    """What is read from a ``MarketBook``."""

    @property
    def venue(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def last_recv_ns(self) -> int: ...  # noqa: D102
    @property
    def proof_ns(self) -> int: ...  # noqa: D102
    @property
    def verified(self) -> bool: ...  # noqa: D102
    @property
    def book(self) -> Levels: ...  # noqa: D102
    def best(self) -> tuple[float, float, float, float] | None:
        """Bid, bid size, ask, ask size; None when a side is empty."""


class Source(NamedTuple):
    """One venue's book, and the unit of its sizes."""

    market: Market
    contract_size: float = 1.0
    """Base units of one unit of size; of an inverse contract quote units."""
    inverse: bool = False


class VenueBest(NamedTuple):
    """Best bid and ask of one venue. Prices in quote units, sizes in base units."""

    venue: str
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    age_ns: int
    """Since its last change."""
    verified: bool
    proof_age_ns: int
    """Since its last proof."""


class Consolidated(NamedTuple):
    """See the module."""

    symbol: str
    venues: tuple[VenueBest, ...]
    """The venues included, by id."""
    left_out: tuple[tuple[str, str], ...]
    """(venue, reason) of those excluded, by venue id."""
    bids: tuple[Level, ...]
    """Best first; sizes in base units, summed over the venues."""
    asks: tuple[Level, ...]

    @property
    def bid(self) -> float | None:
        """Highest bid of any venue; None when no book is included."""
        return max((each.bid for each in self.venues), default=None)

    @property
    def ask(self) -> float | None:
        """Lowest ask of any venue; None when no book is included."""
        return min((each.ask for each in self.venues), default=None)

    @property
    def mid(self) -> float | None:
        """Half-way between them, in quote units; None when no book is included."""
        bid, ask = self.bid, self.ask
        return None if bid is None or ask is None else (bid + ask) / 2


def consolidate(
    symbol: str, sources: Iterable[Source], now_ns: int, max_age_ns: int, levels: int = 0
) -> Consolidated:
    """One view of the books of one unified symbol, at most one a venue.

    Args:
        symbol: that symbol.
        sources: the books.
        now_ns: engine time.
        max_age_ns: a book whose last proof is older is excluded.
        levels: how many levels of depth to merge from each venue; the result has as many at most.
    """
    counted: list[VenueBest] = []
    left_out: list[tuple[str, str]] = []
    bids: dict[float, list[float]] = {}
    asks: dict[float, list[float]] = {}
    for source in sorted(sources, key=_venue_of):
        market = source.market
        best = market.best()
        why = _unfit(market, best, now_ns, max_age_ns)
        if why or best is None:
            left_out.append((market.venue, why))
            continue
        bid, bid_size, ask, ask_size = best
        counted.append(
            VenueBest(
                market.venue,
                bid,
                _base(source, bid, bid_size),
                ask,
                _base(source, ask, ask_size),
                max(0, now_ns - market.last_recv_ns),
                market.verified,
                max(0, now_ns - market.proof_ns),
            )
        )
        if levels > 0:
            top = market.book.top(levels)
            _merge(bids, source, _from_best(top[0], (bid, bid_size), -1))
            _merge(asks, source, _from_best(top[1], (ask, ask_size), 1))
    return Consolidated(
        symbol,
        tuple(counted),
        tuple(left_out),
        _summed(sorted(bids, reverse=True), bids, levels),
        _summed(sorted(asks), asks, levels),
    )


def _venue_of(source: Source) -> str:
    return source.market.venue


def _unfit(
    market: Market, best: tuple[float, float, float, float] | None, now_ns: int, max_age_ns: int
) -> str:
    """Why a book is excluded; empty when it is included."""
    if market.state != "LIVE":
        return f"{market.state}: {market.reason}"
    if best is None:
        return "one-sided"
    if best[0] >= best[2]:
        return f"crossed: bid {best[0]}, ask {best[2]}"
    age_ns = now_ns - market.proof_ns
    if age_ns > max_age_ns:
        return f"nothing heard of its stream for {age_ns / 1e9:.1f} s"
    return ""


def _base(source: Source, price: float, size: float) -> float:
    """A size in base units."""
    size *= source.contract_size
    return size / price if source.inverse else size


def _from_best(levels: Sequence[Level], best: Level, sign: int) -> list[Level]:
    """Levels that begin at the best price. A quote may be newer than the depth below it."""
    price = best[0]
    return [best, *(level for level in levels if sign * level[0] > sign * price)]


def _merge(into: dict[float, list[float]], source: Source, levels: Iterable[Level]) -> None:
    for price, size in levels:
        into.setdefault(price, []).append(_base(source, price, size))


def _summed(
    prices: Sequence[float], sizes: dict[float, list[float]], levels: int
) -> tuple[Level, ...]:
    return tuple((price, math.fsum(sizes[price])) for price in prices[:levels])
