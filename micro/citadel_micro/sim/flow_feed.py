"""What a public market data server sends, from the synthetic market: depth, quotes, trades, candles.

Binance gathers the changes of a book over 100 ms into one numbered message; ``U`` and ``u`` are
the first and last update id in it, and ``U`` follows the ``u`` before. Here the grid is the
multiples of 100 ms of virtual time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citadel_micro.sim.flow_book import Depth, Print, Quote
from citadel_micro.sim.flow_candles import CandleStore
from citadel_micro.sim.flow_reference import MINUTE_NS
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class Feed(Protocol):
    """A source of market data that the simulator's server can publish. Keyed by unified symbol."""

    @property
    def specs(self) -> Mapping[str, SymbolSpec]:
        """Return the trading rules of every symbol."""
        ...

    @property
    def candles(self) -> Mapping[str, CandleStore]:
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
        """Return whether nothing will ever come again."""
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
        self.candles: dict[str, CandleStore] = {}
        self.trades: dict[str, deque[Print]] = {}
        self._bids: dict[str, dict[int, int]] = {}
        self._asks: dict[str, dict[int, int]] = {}
        self._sent: dict[str, int] = {}
        self._top: dict[str, tuple[int, int, int, int] | None] = {}
        for item in symbols:
            symbol = item.spec.symbol
            self.specs[symbol] = item.spec
            self.candles[symbol] = CandleStore(
                item,
                market.references[symbol],
                start,
                history_minutes,
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
        out: list[FeedEvent] = []
        market = self._market
        while True:
            event_ns = market.next_ns()
            if self._boundary <= event_ns:
                if self._boundary > until_ns:
                    break
                self._flush(out)
                continue
            if event_ns > until_ns:
                break
            self._collect(out)
        self.now_ns = until_ns
        for store in self.candles.values():
            store.roll(until_ns // MINUTE_NS)
        return out

    def _collect(self, out: list[FeedEvent]) -> None:
        flow, events = self._market.step()
        if not events:
            return
        symbol = flow.spec.symbol
        for event in events:
            if isinstance(event, Print):
                self.candles[symbol].on_trade(event)
                self.trades[symbol].append(event)
                out.append(event)
            else:
                side = self._bids if event.side == "bid" else self._asks
                side[symbol][event.ticks] = event.lots
        quote = flow.book.quote(events[-1].time_ns, symbol)
        if quote is None:
            msg = f"one side of the synthetic book of {symbol} is empty"
            raise InvariantError(msg)
        top = (quote.bid_ticks, quote.bid_lots, quote.ask_ticks, quote.ask_lots)
        if top != self._top[symbol]:
            self._top[symbol] = top
            out.append(quote)

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
