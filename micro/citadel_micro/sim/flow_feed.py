"""Market data messages of the synthetic market: depth, quotes, trades, candles.

Binance gathers the changes of a book over 100 ms into one numbered message; ``U`` and ``u`` are
the first and last update id in it, and ``U`` follows the ``u`` before. Here the grid is the
multiples of 100 ms of virtual time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citadel_micro.sim.flow_book import Depth, LevelBook, LevelChange, Print, Quote
from citadel_micro.sim.flow_reference import MINUTE_NS
from citadel_micro.sim.flow_seconds import SecondCandles
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.sim.flow import SyntheticMarket
    from citadel_micro.sim.flow_symbols import FlowSymbol, SymbolSpec

BATCH_NS = 100_000_000
KEPT_TRADES = 10_000


@dataclass(frozen=True, slots=True)
class DepthBatch:
    """The changes of one book over one interval: absolute lots per (ticks, lots), 0 for gone."""

    time_ns: int
    symbol: str
    first_id: int
    last_id: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


FeedEvent = DepthBatch | Quote | Print


class Members(Protocol):
    """Owner of clients' orders in a feed's books."""

    def on_fill(self, order_id: int, trade: Print) -> None:
        """Handle a trade of the flow against a client's order."""
        ...

    def on_trades(self, symbol: str, low: int, high: int) -> None:
        """Act on the range of prices (ticks) that were just traded; the book may be changed."""
        ...


class Feed(Protocol):
    """A source of market data that the simulator's server can publish. Keyed by unified symbol."""

    @property
    def specs(self) -> Mapping[str, SymbolSpec]:
        """Return the trading rules of every symbol."""
        ...

    @property
    def candles(self) -> Mapping[str, SecondCandles]:
        """Return the candles of every symbol, rolled up to the last ``advance``."""
        ...

    @property
    def trades(self) -> Mapping[str, deque[Print]]:
        """Return the last trades of every symbol, oldest first."""
        ...

    @property
    def now_ns(self) -> int:
        """Return the time of the last ``advance``."""
        ...

    @property
    def ended(self) -> bool:
        """Return whether the feed has ended for good."""
        ...

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something."""
        ...

    def advance(self, until_ns: int) -> list[FeedEvent]:
        """Return what is published after the last call up to and including ``until_ns``."""
        ...

    def depth(self, symbol: str, levels: int) -> Depth:
        """Return the book now, and the update id it is valid for."""
        ...

    def book(self, symbol: str) -> LevelBook:
        """Return the book that clients' orders join. After changing it, call ``publish``."""
        ...

    def attach(self, members: Members) -> None:
        """Report to ``members`` from now on what happens to clients' orders."""
        ...

    def publish(self, symbol: str, events: Sequence[LevelChange | Print]) -> None:
        """Publish what a client's order did to the book at the time of the last ``advance``.

        It comes out with the next ``take_out`` or ``advance``. A side that was emptied is refilled.
        """
        ...

    def take_out(self) -> list[FeedEvent]:
        """Return (once) what waits to be published without moving the time."""
        ...

    def pause(self, symbol: str, *, paused: bool) -> None:
        """Pause the flow of a symbol while the exchange has halted it."""
        ...


class SyntheticFeed:
    """The synthetic market as a server publishes it."""

    ended = False

    def __init__(
        self,
        market: SyntheticMarket,
        symbols: tuple[FlowSymbol, ...],
        history_minutes: int,
    ) -> None:
        """Wrap a market that has not been advanced. Its start must be a whole minute."""
        if market.start_ns % MINUTE_NS:
            msg = "a synthetic feed starts at a whole minute, where its candles join history"
            raise InvariantError(msg)
        self._market = market
        self.now_ns = market.start_ns
        self._boundary = market.start_ns + BATCH_NS
        start = market.start_ns // MINUTE_NS
        self.specs: dict[str, SymbolSpec] = {}
        self.candles: dict[str, SecondCandles] = {}
        self.trades: dict[str, deque[Print]] = {}
        self._bids: dict[str, dict[int, int]] = {}
        self._asks: dict[str, dict[int, int]] = {}
        self._sent: dict[str, int] = {}
        self._top: dict[str, tuple[int, int, int, int] | None] = {}
        self._members: Members | None = None
        self._out: list[FeedEvent] = []
        for item in symbols:
            symbol = item.spec.symbol
            self.specs[symbol] = item.spec
            self.candles[symbol] = SecondCandles(
                item,
                market.references[symbol],
                start,
                history_minutes,
                market.flows[symbol].book.trade_id,
            )
            self.candles[symbol].roll(start)
            self.trades[symbol] = deque(maxlen=KEPT_TRADES)
            self._bids[symbol] = {}
            self._asks[symbol] = {}
            self._sent[symbol] = market.flows[symbol].book.update_id
            self._top[symbol] = None

    def next_ns(self) -> int:
        """Return when something may next be published."""
        return min(self._market.next_ns(), self._boundary)

    def advance(self, until_ns: int) -> list[FeedEvent]:
        """Return what is published after the last call up to and including ``until_ns``.

        Raises:
            InvariantError: when time runs backwards.
        """
        if until_ns < self.now_ns:
            msg = f"advance to {until_ns} after {self.now_ns}"
            raise InvariantError(msg)
        market = self._market
        while True:
            event_ns = market.next_ns()
            if self._boundary <= event_ns:
                if self._boundary > until_ns:
                    break
                self._flush(self._out)
                continue
            if event_ns > until_ns:
                break
            self._step(event_ns)
        self.now_ns = until_ns
        for store in self.candles.values():
            store.roll(until_ns // MINUTE_NS)
        return self.take_out()

    def _step(self, time_ns: int) -> None:
        flow, events = self._market.step()
        if not events:
            return
        symbol = flow.spec.symbol
        self._collect(symbol, events)
        if self._members is None:
            return
        prices = [event.ticks for event in events if isinstance(event, Print)]
        if prices:
            self.now_ns = time_ns
            self._members.on_trades(symbol, min(prices), max(prices))

    def _collect(self, symbol: str, events: Sequence[LevelChange | Print]) -> None:
        out = self._out
        for event in events:
            if isinstance(event, Print):
                self.candles[symbol].on_trade(event)
                self.trades[symbol].append(event)
                out.append(event)
            else:
                side = self._bids if event.side == "bid" else self._asks
                side[symbol][event.ticks] = event.lots
        book = self.book(symbol)
        if not book.bids or not book.asks:
            msg = f"one side of the synthetic book of {symbol} is empty"
            raise InvariantError(msg)
        bid, ask = book.bids[-1], book.asks[0]
        top = (bid, book.bid_lots[bid], ask, book.ask_lots[ask])
        if top != self._top[symbol]:
            self._top[symbol] = top
            out.append(Quote(events[-1].time_ns, symbol, book.update_id, *top))

    def _flush(self, out: list[FeedEvent]) -> None:
        for symbol, flow in self._market.flows.items():
            last = flow.book.update_id
            sent = self._sent[symbol]
            if last == sent:
                continue
            bids, asks = self._bids[symbol], self._asks[symbol]
            out.append(
                DepthBatch(
                    self._boundary, symbol, sent + 1, last,
                    tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items())),
                ),
            )  # fmt: skip
            bids.clear()
            asks.clear()
            self._sent[symbol] = last
        self._boundary += BATCH_NS

    def depth(self, symbol: str, levels: int) -> Depth:
        """Return the book now. Its id may lie inside the next batch, as at the real exchange."""
        return self._market.flows[symbol].book.depth(levels)

    def book(self, symbol: str) -> LevelBook:
        """Return the book that the flow and clients' orders share."""
        return self._market.flows[symbol].book

    def attach(self, members: Members) -> None:
        """Report to ``members`` from now on what happens to clients' orders."""
        self._members = members
        for flow in self._market.flows.values():
            flow.on_fill = members.on_fill

    def publish(self, symbol: str, events: Sequence[LevelChange | Print]) -> None:
        """Publish what a client's order did; the depth of both sides is restored."""
        more = self._market.flows[symbol].refill(self.now_ns)
        self._collect(symbol, [*events, *more])

    def take_out(self) -> list[FeedEvent]:
        """Return (once) what waits to be published."""
        out = self._out
        self._out = []
        return out

    def pause(self, symbol: str, *, paused: bool) -> None:
        """Pause the flow of a symbol: nobody sends orders while the exchange has halted it."""
        self._market.flows[symbol].paused = paused
