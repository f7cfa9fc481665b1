"""The order book of the simulated market: integer ticks, integer lots, every change numbered.

A level is an anonymous absolute size (the flow's) until a client's order
joins it: from then on it is a queue, first come, first served, of clients' orders and of anonymous
pieces between them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Side = Literal["bid", "ask"]
NOBODY: Final = 0
"""Order id of the anonymous flow."""


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
    """One trade. The buyer is the maker when a seller took a resting bid.

    Trades of one taker's order at one price share ``aggregate_id``; ``ends`` marks the last of them.
    """

    time_ns: int
    symbol: str
    trade_id: int
    ticks: int
    lots: int
    buyer_is_maker: bool
    aggregate_id: int = 0
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Depth:
    """A book at one update id: (ticks, lots) per level, best first."""

    last_update_id: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]

    @property
    def best_bid(self) -> tuple[int, int]:
        """Return the best bid; zeros for a side that a client's order has emptied."""
        return self.bids[0] if self.bids else (0, 0)

    @property
    def best_ask(self) -> tuple[int, int]:
        """Return the best ask; zeros for a side that a client's order has emptied."""
        return self.asks[0] if self.asks else (0, 0)


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


@dataclass(slots=True, eq=False)
class Resting:
    """One piece of a level's queue: a client's order, or anonymous size (``NOBODY``).

    ``lots`` are shown; of an iceberg ``hidden`` lots come back in pieces of ``piece`` lots, each at
    the back of the queue.
    """

    order_id: int
    side: Side
    ticks: int
    lots: int
    hidden: int = 0
    piece: int = 0

    @property
    def left(self) -> int:
        """Return the whole size, shown or not."""
        return self.lots + self.hidden


class LevelBook:
    """Price levels of both sides, whatever changes them.

    ``bid_lots`` and ``ask_lots`` are what is shown: anonymous size and clients' orders together.
    ``bid_queues`` and ``ask_queues`` exist where a client's order rests, and only there.
    ``trade_id`` and ``aggregate_id`` are the last trade's.
    """

    __slots__ = (
        "aggregate_id",
        "ask_lots",
        "ask_queues",
        "asks",
        "bid_lots",
        "bid_queues",
        "bids",
        "trade_id",
        "update_id",
    )

    def __init__(self, update_id: int, trade_id: int = 0, aggregate_id: int = 0) -> None:
        """Start empty; the first change gets ``update_id + 1``, the first trade ``trade_id + 1``."""
        self.update_id = update_id
        self.aggregate_id = aggregate_id
        self.trade_id = trade_id
        self.bids: list[int] = []  # ascending: best last
        self.asks: list[int] = []  # ascending: best first
        self.bid_lots: dict[int, int] = {}
        self.ask_lots: dict[int, int] = {}
        self.bid_queues: dict[int, deque[Resting]] = {}
        self.ask_queues: dict[int, deque[Resting]] = {}

    # ------------------------------------------------------------------ the anonymous flow

    def put(self, side: Side, ticks: int, lots: int) -> int:
        """Set the anonymous size of one level and return the number of this change.

        An increase goes behind everything in the queue; a decrease removes what came last. Clients'
        orders stay.
        """
        queue = self.queues(side).get(ticks)
        self._resize(side, ticks, lots if queue is None else _regroup(queue, side, ticks, lots))
        self.update_id += 1
        return self.update_id

    def anonymous(self, side: Side, ticks: int) -> int:
        """Return the anonymous size of a level."""
        queue = self.queues(side).get(ticks)
        if queue is None:
            return self.sizes(side).get(ticks, 0)
        return sum(each.lots for each in queue if each.order_id == NOBODY)

    # ------------------------------------------------------------------ clients' orders

    def join(self, resting: Resting) -> None:
        """Put a client's order at the back of its level."""
        side, ticks = resting.side, resting.ticks
        shown = self.sizes(side).get(ticks, 0)
        queue = self.queues(side).get(ticks)
        if queue is None:
            queue = self.queues(side)[ticks] = deque()
            if shown:
                queue.append(Resting(NOBODY, side, ticks, shown))
        queue.append(resting)
        self._resize(side, ticks, shown + resting.lots)

    def leave(self, resting: Resting) -> None:
        """Take a client's order out."""
        side, ticks = resting.side, resting.ticks
        queue = self.queues(side)[ticks]
        queue.remove(resting)
        self._resize(side, ticks, self.sizes(side)[ticks] - resting.lots)
        self._close(side, ticks, queue)

    def reduce(self, resting: Resting, lots: int) -> None:
        """Leave ``lots`` (shown and hidden) of a client's order in its place in the queue."""
        shown = min(resting.lots, lots)
        gone = resting.lots - shown
        resting.lots, resting.hidden = shown, lots - shown
        size = self.sizes(resting.side)[resting.ticks]
        self._resize(resting.side, resting.ticks, size - gone)

    # ------------------------------------------------------------------ trading

    def best(self, side: Side) -> int | None:
        """Return the best price of a side in ticks; None when it is empty."""
        if side == "bid":
            return self.bids[-1] if self.bids else None
        return self.asks[0] if self.asks else None

    def front(self, side: Side, ticks: int) -> tuple[int, int]:
        """Return the front of a level's queue and its shown size: (order id, lots)."""
        queue = self.queues(side).get(ticks)
        if queue is None:
            return NOBODY, self.sizes(side)[ticks]
        return queue[0].order_id, queue[0].lots

    def take(self, side: Side, ticks: int, lots: int) -> list[tuple[int, int]]:
        """Trade against a level from the front of its queue.

        Returns (order id, lots) of every piece hit, in order. No more than the level holds, hidden
        sizes included, may be taken. ``stamp`` numbers the change.
        """
        queue = self.queues(side).get(ticks)
        if queue is None:
            self._resize(side, ticks, self.sizes(side)[ticks] - lots)
            return [(NOBODY, lots)]
        hits: list[tuple[int, int]] = []
        size = self.sizes(side)[ticks]
        while lots:
            first = queue[0]
            part = min(lots, first.lots)
            lots -= part
            size -= part
            first.lots -= part
            hits.append((first.order_id, part))
            if first.lots == 0:
                queue.popleft()
                if first.hidden:
                    first.lots = min(first.hidden, first.piece)
                    first.hidden -= first.lots
                    size += first.lots
                    queue.append(first)
        self._resize(side, ticks, size)
        self._close(side, ticks, queue)
        return hits

    def stamp(self) -> int:
        """Number a change made by ``join``, ``leave``, ``reduce`` or ``take``."""
        self.update_id += 1
        return self.update_id

    def walk(self, side: Side) -> Iterator[tuple[int, int, int]]:
        """Yield (ticks, order id, lots) from the best price on: in a level first what is shown.

        What is hidden stands behind all of it, as far as each iceberg's piece comes round again.
        """
        prices = reversed(self.bids) if side == "bid" else iter(self.asks)
        queues, sizes = self.queues(side), self.sizes(side)
        for ticks in prices:
            queue = queues.get(ticks)
            if queue is None:
                yield ticks, NOBODY, sizes[ticks]
            else:
                for each in queue:
                    yield ticks, each.order_id, each.lots
                for each in queue:
                    if each.hidden:
                        yield ticks, each.order_id, each.hidden

    # ------------------------------------------------------------------ what is shown

    def sizes(self, side: Side) -> dict[int, int]:
        """Return what is shown of a side: lots by ticks."""
        return self.bid_lots if side == "bid" else self.ask_lots

    def queues(self, side: Side) -> dict[int, deque[Resting]]:
        """Return the levels of a side where clients' orders rest."""
        return self.bid_queues if side == "bid" else self.ask_queues

    def _resize(self, side: Side, ticks: int, lots: int) -> None:
        prices, sizes = (self.bids, self.bid_lots) if side == "bid" else (self.asks, self.ask_lots)
        if lots > 0:
            if ticks not in sizes:
                insort(prices, ticks)
            sizes[ticks] = lots
        elif sizes.pop(ticks, None) is not None:
            del prices[bisect_left(prices, ticks)]

    def _close(self, side: Side, ticks: int, queue: deque[Resting]) -> None:
        """Drop a queue without clients' orders."""
        if all(each.order_id == NOBODY for each in queue):
            del self.queues(side)[ticks]

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


def _regroup(queue: deque[Resting], side: Side, ticks: int, lots: int) -> int:
    """Make the anonymous pieces of a queue ``lots`` together; return the size of the level."""
    total = sum(each.lots for each in queue)
    more = lots - sum(each.lots for each in queue if each.order_id == NOBODY)
    total += more
    if more > 0:
        if queue[-1].order_id == NOBODY:
            queue[-1].lots += more
        else:
            queue.append(Resting(NOBODY, side, ticks, more))
        return total
    for piece in reversed(tuple(queue)):
        if not more:
            break
        if piece.order_id == NOBODY:
            gone = min(piece.lots, -more)
            piece.lots -= gone
            more += gone
            if not piece.lots:
                queue.remove(piece)
    return total
