"""The book the synthetic flow trades in: integer ticks, integer lots, every change numbered."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Literal

Side = Literal["bid", "ask"]


@dataclass(frozen=True, slots=True)
class LevelChange:
    """One level's new absolute size (0 lots: gone), with the book's running update id."""

    time_ns: int
    symbol: str
    update_id: int
    side: Side
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class Print:
    """One trade. The buyer is the maker when a seller took a resting bid."""

    time_ns: int
    symbol: str
    trade_id: int
    ticks: int
    lots: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """A book at one update id: (ticks, lots) per level, best first."""

    last_update_id: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask, after the change numbered ``update_id``."""

    time_ns: int
    symbol: str
    update_id: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class LevelBook:
    """Price levels of both sides. Nothing here knows why a level changes."""

    __slots__ = ("ask_lots", "asks", "bid_lots", "bids", "update_id")

    def __init__(self, update_id: int) -> None:
        """Start empty; the first change gets ``update_id + 1``."""
        self.update_id = update_id
        self.bids: list[int] = []  # ascending: best last
        self.asks: list[int] = []  # ascending: best first
        self.bid_lots: dict[int, int] = {}
        self.ask_lots: dict[int, int] = {}

    def put(self, side: Side, ticks: int, lots: int) -> int:
        """Set one level to an absolute size and return the number of this change."""
        prices, sizes = (self.bids, self.bid_lots) if side == "bid" else (self.asks, self.ask_lots)
        if lots > 0:
            if ticks not in sizes:
                insort(prices, ticks)
            sizes[ticks] = lots
        elif sizes.pop(ticks, None) is not None:
            del prices[bisect_left(prices, ticks)]
        self.update_id += 1
        return self.update_id

    def depth(self, levels: int) -> Depth:
        """Return the best ``levels`` of each side."""
        bids = self.bids[: -levels - 1 : -1]
        asks = self.asks[:levels]
        return Depth(
            self.update_id,
            tuple((ticks, self.bid_lots[ticks]) for ticks in bids),
            tuple((ticks, self.ask_lots[ticks]) for ticks in asks),
        )

    def quote(self, time_ns: int, symbol: str) -> Quote | None:
        """Return the best of both sides; None while one of them is empty."""
        if not self.bids or not self.asks:
            return None
        bid, ask = self.bids[-1], self.asks[0]
        return Quote(
            time_ns,
            symbol,
            self.update_id,
            bid,
            self.bid_lots[bid],
            ask,
            self.ask_lots[ask],
        )
