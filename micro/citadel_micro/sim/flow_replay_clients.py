"""Clients' orders in a recorded market: how recorded trades and levels fill them.

A recorded level's absolute size is its anonymous part. A recorded trade hits the queue from the
front, first the clients' orders that are better than its price: the recorded taker would have met
them. Where a batch of recorded levels crosses a client's order, the two trade at the order's price.
Depth that shrinks before the trade that caused it counts twice against the queue ahead of
a client's order, at most for the some 15 ms between the two in Binance's recordings.
"""

from __future__ import annotations

from dataclasses import dataclass

from citadel_micro.sim.flow_book import NOBODY, LevelBook, Side


@dataclass(frozen=True, slots=True)
class Hit:
    """One trade of the recorded flow: against whom, and which levels are no longer as shown."""

    order_id: int
    side: Side
    ticks: int
    lots: int
    changed: tuple[tuple[Side, int], ...]


def hit(book: LevelBook, side: Side, ticks: int, lots: int) -> list[Hit]:
    """Let a recorded taker of ``lots`` at ``ticks`` meet clients' orders on ``side`` first."""
    hits: list[Hit] = []
    while lots:
        price = _best_client(book, side)
        if price is None or not _better(side, price, ticks):
            break
        hits.append(_take_client(book, side, price, lots))
        lots -= hits[-1].lots
    if lots and ticks in book.queues(side):
        for order_id, part in book.take(side, ticks, min(lots, _whole(book, side, ticks))):
            hits.append(Hit(order_id, side, ticks, part, ((side, ticks),)))
            lots -= part
    if lots:
        hits.append(Hit(NOBODY, side, ticks, lots, ()))
    return hits


def uncross(book: LevelBook) -> list[Hit]:
    """Match clients' orders with recorded levels that lie across them."""
    hits: list[Hit] = []
    _meet(book, "bid", "ask", hits)
    _meet(book, "ask", "bid", hits)
    return hits


def _meet(book: LevelBook, side: Side, other: Side, hits: list[Hit]) -> None:
    """Let the anonymous levels of ``other`` that cross take clients' orders of ``side``."""
    while True:
        price = _best_client(book, side)
        across = book.best(other)
        if price is None or across is None or _better(other, price, across):
            return
        offered = book.anonymous(other, across)
        if not offered:
            return
        hits.append(_take_client(book, side, price, offered, ((other, across),)))
        book.put(other, across, offered - hits[-1].lots)


def _take_client(
    book: LevelBook,
    side: Side,
    ticks: int,
    lots: int,
    across: tuple[tuple[Side, int], ...] = (),
) -> Hit:
    """Trade up to ``lots`` with the first client's order of a level."""
    resting = next(each for each in book.queues(side)[ticks] if each.order_id != NOBODY)
    part = min(lots, resting.left)
    if part == resting.left:
        book.leave(resting)
    else:
        book.reduce(resting, resting.left - part)
    return Hit(resting.order_id, side, ticks, part, ((side, ticks), *across))


def _best_client(book: LevelBook, side: Side) -> int | None:
    queues = book.queues(side)
    if not queues:
        return None
    return max(queues) if side == "bid" else min(queues)


def _better(side: Side, price: int, than: int) -> bool:
    """Whether ``price`` is strictly better than ``than`` for the taker."""
    return price > than if side == "bid" else price < than


def _whole(book: LevelBook, side: Side, ticks: int) -> int:
    return sum(each.left for each in book.queues(side)[ticks])
