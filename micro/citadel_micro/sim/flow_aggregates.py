"""Aggregate trades: what one taker's order traded at one price, as Binance counts it.

Trades against several resting orders at one price are one aggregate; an order that walks the book
makes one a price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from citadel_micro.sim.flow_book import LevelBook, Print


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Trades ``first_id`` to ``last_id`` of one taker at one price."""

    time_ns: int
    symbol: str
    aggregate_id: int
    ticks: int
    lots: int
    first_id: int
    last_id: int
    buyer_is_maker: bool


def _of(trade: Print) -> Aggregate:
    return Aggregate(
        trade.time_ns, trade.symbol, trade.aggregate_id, trade.ticks, trade.lots,
        trade.trade_id, trade.trade_id, trade.buyer_is_maker,
    )  # fmt: skip


def numbered(book: LevelBook, trades: Sequence[Print]) -> Iterator[Print]:
    """Give one taker's trades, in order, the numbers of their aggregates."""
    keys = [(trade.ticks, trade.buyer_is_maker) for trade in trades]
    for place, trade in enumerate(trades):
        if place == 0 or keys[place - 1] != keys[place]:
            book.aggregate_id += 1
        ends = place + 1 == len(keys) or keys[place + 1] != keys[place]
        yield replace(trade, aggregate_id=book.aggregate_id, ends=ends)


class Aggregator:
    """Joins the trades of one symbol, in order."""

    def __init__(self) -> None:
        """Wait for the first trade."""
        self._open: Aggregate | None = None

    def add(self, trade: Print) -> list[Aggregate]:
        """Take the next trade; return the aggregates that it completes."""
        done: list[Aggregate] = []
        was = self._open
        if was is not None and was.aggregate_id != trade.aggregate_id:
            done.append(was)
            was = None
        self._open = (
            _of(trade)
            if was is None
            else replace(was, lots=was.lots + trade.lots, last_id=trade.trade_id)
        )
        if trade.ends:
            done.append(self._open)
            self._open = None
        return done


def aggregates(trades: Iterable[Print]) -> Iterator[Aggregate]:
    """Yield the complete aggregates of trades in order."""
    joined = Aggregator()
    for trade in trades:
        yield from joined.add(trade)
