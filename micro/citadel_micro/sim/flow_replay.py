"""A recorded market played again as if it happened now.

Ids stay the capture's own in the first pass. When the recording starts over, one depth message
takes the book from its end to its beginning, and all later ids are raised so that they go on
without a gap: a client that follows the protocol notices a jump in price, not in sequence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from citadel_micro.sim.flow_book import Depth, LevelBook, Print, Quote
from citadel_micro.sim.flow_candles import CandleStore
from citadel_micro.sim.flow_feed import KEPT_TRADES, DepthBatch, FeedEvent
from citadel_micro.sim.flow_reference import MINUTE_NS, CommonFactor, ReferencePrice
from citadel_micro.sim.flow_symbols import FlowParams, FlowSymbol, SymbolSpec
from citadel_proto.errors import InvariantError

FOREVER_NS = 1 << 62
_CLIP_SHARE = 0.002  # of a minute's notional: a guess that only shapes drawn history's trade count


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded event and when it was received, in ns after the recording's start.

    The event's own ``time_ns`` counts from the same start.
    """

    offset_ns: int
    event: FeedEvent


@dataclass(frozen=True, slots=True)
class Recording:
    """A capture made ready: rules, opening books, and events in the order of receipt.

    ``length_ns`` is the time after which it starts over. Depth events continue the opening books
    without a gap.
    """

    specs: Mapping[str, SymbolSpec]
    books: Mapping[str, Depth]
    events: tuple[Recorded, ...]
    length_ns: int


def _load(book: LevelBook, depth: Depth) -> None:
    for ticks, lots in depth.bids:
        book.put("bid", ticks, lots)
    for ticks, lots in depth.asks:
        book.put("ask", ticks, lots)
    book.update_id = depth.last_update_id


class ReplayFeed:
    """A recording as a server publishes it, from ``start_ns`` on."""

    def __init__(
        self,
        recording: Recording,
        start_ns: int,
        *,
        loop: bool,
        seed: int,
        history_minutes: int,
    ) -> None:
        """Begin at the recording's first event; history is drawn to end at its first price.

        ``start_ns`` is in ns since 1970 UTC; ``seed`` shapes the drawn history only.
        """
        self._recording = recording
        self._loop = loop
        self._pass_start = start_ns
        self._position = 0
        self.now_ns = start_ns
        self.ended = False
        self.specs: dict[str, SymbolSpec] = dict(recording.specs)
        self.trades: dict[str, deque[Print]] = {}
        self.candles: dict[str, CandleStore] = {}
        self._books: dict[str, LevelBook] = {}
        self._raised: dict[str, int] = dict.fromkeys(recording.specs, 0)
        self._trades_raised: dict[str, int] = dict.fromkeys(recording.specs, 0)
        self._last_trade: dict[str, int] = {}
        self._first_trade: dict[str, int] = {}
        self._quoted: dict[str, bool] = dict.fromkeys(recording.specs, False)
        notional = dict.fromkeys(recording.specs, 0)
        for recorded in recording.events:
            event = recorded.event
            if isinstance(event, Print):
                notional[event.symbol] += event.ticks * event.lots
                self._first_trade.setdefault(event.symbol, event.trade_id)
            elif isinstance(event, Quote):
                self._quoted[event.symbol] = True
        common = CommonFactor(seed)
        minute = start_ns // MINUTE_NS
        for symbol, spec in recording.specs.items():
            book = LevelBook(0)
            _load(book, recording.books[symbol])
            self._books[symbol] = book
            price = _middle(book) * spec.tick_e8 / 1e8
            per_ns = notional[symbol] * (spec.tick_e8 / 1e8) * (spec.lot_e8 / 1e8)
            minute_quote = max(per_ns / max(recording.length_ns, 1) * MINUTE_NS, price * 1e-3)
            flow = FlowParams(
                anchor=price,
                daily_vol=0.03,
                gap_bps=1.0,
                clip_quote=minute_quote * _CLIP_SHARE,
                touch_quote=minute_quote * _CLIP_SHARE,
                minute_quote=minute_quote,
            )
            reference = ReferencePrice(seed, symbol, flow, common)
            reference.shift_to(minute, price)
            store = CandleStore(
                FlowSymbol(spec=spec, flow=flow), reference, minute, history_minutes
            )
            store.roll(minute)
            self.candles[symbol] = store
            self.trades[symbol] = deque(maxlen=KEPT_TRADES)

    def next_ns(self) -> int:
        """Return when something is next due; far in the future after the end."""
        if self.ended:
            return FOREVER_NS
        if self._position < len(self._recording.events):
            return self._pass_start + self._recording.events[self._position].offset_ns
        return self._pass_start + self._recording.length_ns

    def advance(self, until_ns: int) -> list[FeedEvent]:
        """Return what is published after the last call up to and including ``until_ns``.

        Raises:
            InvariantError: when time runs backwards.
        """
        if until_ns < self.now_ns:
            msg = f"advance to {until_ns} after {self.now_ns}"
            raise InvariantError(msg)
        out: list[FeedEvent] = []
        events = self._recording.events
        while self.next_ns() <= until_ns:
            if self._position < len(events):
                recorded = events[self._position]
                self._position += 1
                self._publish(recorded, out)
            elif self._loop:
                self._start_over(out)
            else:
                self.ended = True
        self.now_ns = until_ns
        for store in self.candles.values():
            store.roll(until_ns // MINUTE_NS)
        return out

    def _publish(self, recorded: Recorded, out: list[FeedEvent]) -> None:
        event = recorded.event
        symbol = event.symbol
        time_ns = self._pass_start + event.time_ns
        raised = self._raised[symbol]
        if isinstance(event, DepthBatch):
            batch = replace(
                event,
                time_ns=time_ns,
                first_id=event.first_id + raised,
                last_id=event.last_id + raised,
            )
            book = self._books[symbol]
            for ticks, lots in batch.bids:
                book.put("bid", ticks, lots)
            for ticks, lots in batch.asks:
                book.put("ask", ticks, lots)
            book.update_id = batch.last_id
            out.append(batch)
            if not self._quoted[symbol]:
                quote = book.quote(time_ns, symbol)
                if quote is not None:
                    out.append(quote)
        elif isinstance(event, Quote):
            out.append(replace(event, time_ns=time_ns, update_id=event.update_id + raised))
        else:
            trade_id = event.trade_id + self._trades_raised[symbol]
            # A candle takes the time of receipt: the exchange's own may lie a little before, in
            # a minute that is closed already.
            received = self._pass_start + recorded.offset_ns
            trade = replace(event, time_ns=time_ns, trade_id=trade_id)
            self.candles[symbol].on_trade(replace(trade, time_ns=received))
            self.trades[symbol].append(trade)
            self._last_trade[symbol] = trade_id
            out.append(trade)

    def _start_over(self, out: list[FeedEvent]) -> None:
        self._pass_start += self._recording.length_ns
        self._position = 0
        for symbol, opening in self._recording.books.items():
            book = self._books[symbol]
            first = book.update_id + 1
            bids = _difference(book.bid_lots, dict(opening.bids))
            asks = _difference(book.ask_lots, dict(opening.asks))
            last = first + max(len(bids) + len(asks), 1) - 1
            out.append(DepthBatch(self._pass_start, symbol, first, last, bids, asks))
            fresh = LevelBook(0)
            _load(fresh, opening)
            fresh.update_id = last
            self._books[symbol] = fresh
            self._raised[symbol] = last - opening.last_update_id
            if symbol in self._last_trade:
                self._trades_raised[symbol] = (
                    self._last_trade[symbol] + 1 - self._first_trade[symbol]
                )

    def depth(self, symbol: str, levels: int) -> Depth:
        """Return the book now."""
        return self._books[symbol].depth(levels)


def _middle(book: LevelBook) -> float:
    if book.bids and book.asks:
        return (book.bids[-1] + book.asks[0]) / 2.0
    return float((book.bids[-1:] or book.asks[:1])[0])


def _difference(old: dict[int, int], new: dict[int, int]) -> tuple[tuple[int, int], ...]:
    gone = [(ticks, 0) for ticks in old if ticks not in new]
    changed = [(ticks, lots) for ticks, lots in new.items() if old.get(ticks) != lots]
    return tuple(sorted(gone + changed))
