"""A recorded market replayed as if it happened now.

Ids stay the capture's own in the first pass. When the recording starts over, one depth message
takes the book from its end to its beginning, and all later ids are raised so that they continue
without a gap: a client that follows the protocol notices a jump in price, not in sequence.

Clients may trade in it (``flow_replay_clients``); until the first of their orders nothing differs
from the recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from citadel_micro.sim.flow_aggregates import numbered
from citadel_micro.sim.flow_book import NOBODY, Depth, LevelBook, LevelChange, Print, Quote, Side
from citadel_micro.sim.flow_feed import KEPT_TRADES, DepthBatch, FeedEvent, Members
from citadel_micro.sim.flow_reference import MINUTE_NS, CommonFactor, ReferencePrice
from citadel_micro.sim.flow_replay_clients import Hit, hit, uncross
from citadel_micro.sim.flow_seconds import SecondCandles
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
    """A prepared capture: rules, opening books, and events in the order of receipt.

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
        self.candles: dict[str, SecondCandles] = {}
        self._books: dict[str, LevelBook] = {}
        self._raised: dict[str, int] = dict.fromkeys(recording.specs, 0)
        self._trades_raised: dict[str, int] = dict.fromkeys(recording.specs, 0)
        self._first_trade: dict[str, int] = {}
        self._quoted: dict[str, bool] = dict.fromkeys(recording.specs, False)
        self._members: Members | None = None
        self._disturbed: dict[str, bool] = dict.fromkeys(recording.specs, False)
        self._top: dict[str, tuple[int, int, int, int]] = {}
        self._out: list[FeedEvent] = []
        self._ends = _ends(recording.events)
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
            book = LevelBook(0, aggregate_id=start_ns // 40_000_000)
            _load(book, recording.books[symbol])
            book.trade_id = self._first_trade.get(symbol, 1) - 1
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
            item = FlowSymbol(spec=spec, flow=flow)
            store = SecondCandles(item, reference, minute, history_minutes, book.trade_id)
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
        events = self._recording.events
        while self.next_ns() <= until_ns:
            if self._position < len(events):
                recorded = events[self._position]
                self._position += 1
                if self._disturbed[recorded.event.symbol]:
                    self._play_among_clients(recorded)
                else:
                    self._play(recorded)
            elif self._loop:
                self._start_over()
            else:
                self.ended = True
        self.now_ns = until_ns
        for store in self.candles.values():
            store.roll(until_ns // MINUTE_NS)
        return self.take_out()

    def _play(self, recorded: Recorded) -> None:
        out = self._out
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
            # A candle takes the time of receipt: the exchange's own may lie a little earlier, in
            # a minute that is closed already.
            received = self._pass_start + recorded.offset_ns
            book = self._books[symbol]
            ends = self._ends[self._position - 1]
            trade = replace(
                event,
                time_ns=time_ns,
                trade_id=trade_id,
                aggregate_id=book.aggregate_id + 1,
                ends=ends,
            )
            book.aggregate_id += ends
            self._show_trade(trade, received)
            if self._members is not None:
                self.now_ns = received
                self._members.on_trades(symbol, trade.ticks, trade.ticks)

    def _show_trade(self, trade: Print, received: int) -> None:
        self.candles[trade.symbol].on_trade(replace(trade, time_ns=received))
        self.trades[trade.symbol].append(trade)
        self._books[trade.symbol].trade_id = trade.trade_id
        self._out.append(trade)

    # ------------------------------------------------------------------ with clients' orders

    def _play_among_clients(self, recorded: Recorded) -> None:
        """Play one event into a book that clients have changed."""
        event = recorded.event
        symbol, book = event.symbol, self._books[event.symbol]
        self.now_ns = self._pass_start + recorded.offset_ns
        if isinstance(event, DepthBatch):
            raised = self._raised[symbol]
            sides: tuple[tuple[Side, dict[int, int]], ...] = (
                ("bid", dict(event.bids)),
                ("ask", dict(event.asks)),
            )
            last_id = event.last_id + raised
            self._set_levels(symbol, sides, (event.first_id + raised, last_id))
        elif isinstance(event, Print):
            # A recorded trade whose part clients' orders took keeps its id for its first piece.
            self._trades_raised[symbol] -= 1
            book.trade_id = event.trade_id + self._trades_raised[symbol]
            side: Side = "bid" if event.buyer_is_maker else "ask"
            hits = hit(book, side, event.ticks, event.lots)
            self._print(symbol, hits, self._pass_start + event.time_ns)
            changes: list[LevelChange] = []
            for at, ticks in dict.fromkeys(level for each in hits for level in each.changed):
                left = book.sizes(at).get(ticks, 0)
                number = book.stamp()
                changes.append(LevelChange(self.now_ns, symbol, number, at, ticks, left))
            self._show_changes(symbol, changes)
            self._tell_range(symbol, hits)
        # A recorded quote does not contain clients' orders: the book's own is shown instead.

    def _set_levels(
        self,
        symbol: str,
        sides: tuple[tuple[Side, dict[int, int]], ...],
        ids: tuple[int, int],
    ) -> None:
        """Publish the anonymous size of levels again, and match what then crosses."""
        book = self._books[symbol]
        for side, levels in sides:
            for ticks, lots in levels.items():
                book.put(side, ticks, lots)
        hits = uncross(book)
        book.update_id = ids[1]
        for at, ticks in (level for each in hits for level in each.changed):
            sides[0 if at == "bid" else 1][1][ticks] = 0
        bids, asks = (
            tuple((ticks, book.sizes(side).get(ticks, 0)) for ticks in levels)
            for side, levels in sides
        )
        self._print(symbol, hits, self.now_ns)
        self._out.append(DepthBatch(self.now_ns, symbol, *ids, bids, asks))
        if self._disturbed[symbol]:
            self._show_quote(symbol)
        self._tell_range(symbol, hits)

    def _print(self, symbol: str, hits: list[Hit], time_ns: int) -> None:
        """Print trades caused by the recording, and report clients' fills."""
        book = self._books[symbol]
        first = book.trade_id + 1
        trades = [
            Print(time_ns, symbol, first + place, each.ticks, each.lots, each.side == "bid")
            for place, each in enumerate(hits)
        ]
        for each, trade in zip(hits, numbered(book, trades), strict=True):
            self._trades_raised[symbol] += 1
            self._show_trade(trade, self.now_ns)
            if each.order_id != NOBODY and self._members is not None:
                self._members.on_fill(each.order_id, trade)

    def _tell_range(self, symbol: str, hits: list[Hit]) -> None:
        if hits and self._members is not None:
            prices = [each.ticks for each in hits]
            self._members.on_trades(symbol, min(prices), max(prices))

    def _show_changes(self, symbol: str, changes: Sequence[LevelChange]) -> None:
        if not changes:
            return
        bids = {each.ticks: each.lots for each in changes if each.side == "bid"}
        asks = {each.ticks: each.lots for each in changes if each.side == "ask"}
        self._raised[symbol] += len(changes)
        first, last = changes[0].update_id, changes[-1].update_id
        self._out.append(
            DepthBatch(self.now_ns, symbol, first, last, tuple(bids.items()), tuple(asks.items()))
        )
        self._show_quote(symbol)

    def _show_quote(self, symbol: str) -> None:
        quote = self._books[symbol].quote(self.now_ns, symbol)
        if quote is None:
            return
        top = (quote.bid_ticks, quote.bid_lots, quote.ask_ticks, quote.ask_lots)
        if top != self._top.get(symbol):
            self._top[symbol] = top
            self._out.append(quote)

    def book(self, symbol: str) -> LevelBook:
        """Return the book that the recording and clients' orders share."""
        return self._books[symbol]

    def attach(self, members: Members) -> None:
        """Report to ``members`` from now on what happens to clients' orders."""
        self._members = members

    def publish(self, symbol: str, events: Sequence[LevelChange | Print]) -> None:
        """Publish what a client's order did. What it took is gone until the recording updates it."""
        if not self._disturbed[symbol]:
            self._disturbed[symbol] = True
            self._books[symbol].aggregate_id += 1  # ends a recorded one that is under way
        for event in events:
            if isinstance(event, Print):
                self._trades_raised[symbol] += 1
                self._show_trade(event, self.now_ns)
        self._show_changes(symbol, [each for each in events if isinstance(each, LevelChange)])

    def take_out(self) -> list[FeedEvent]:
        """Return (once) what waits to be published."""
        out = self._out
        self._out = []
        return out

    def pause(self, symbol: str, *, paused: bool) -> None:
        """Do nothing: a recording continues, or its books would no longer be the recorded ones."""

    # ------------------------------------------------------------------ the next pass

    def _start_over(self) -> None:
        self._pass_start += self._recording.length_ns
        self._position = 0
        self.now_ns = self._pass_start
        for symbol, opening in self._recording.books.items():
            book = self._books[symbol]
            first = book.update_id + 1
            bids = _difference(_anonymous(book, "bid"), dict(opening.bids))
            asks = _difference(_anonymous(book, "ask"), dict(opening.asks))
            last = first + max(len(bids) + len(asks), 1) - 1
            self._raised[symbol] = last - opening.last_update_id
            if symbol in self._first_trade:
                self._trades_raised[symbol] = book.trade_id + 1 - self._first_trade[symbol]
            self._set_levels(symbol, (("bid", dict(bids)), ("ask", dict(asks))), (first, last))
            self._disturbed[symbol] = bool(book.bid_queues or book.ask_queues)

    def depth(self, symbol: str, levels: int) -> Depth:
        """Return the book now."""
        return self._books[symbol].depth(levels)


def _ends(events: Sequence[Recorded]) -> list[bool]:
    """Tell of every event whether it is the last trade of one taker at one price.

    Recordings do not say who took: trades at one time and price, numbered without a gap, are taken
    for one order's.
    """
    ends = [True] * len(events)
    later: dict[str, Print] = {}
    for place in range(len(events) - 1, -1, -1):
        event = events[place].event
        if not isinstance(event, Print):
            continue
        following = later.get(event.symbol)
        if following is not None:
            same = replace(event, trade_id=event.trade_id + 1, lots=following.lots)
            ends[place] = same != following
        later[event.symbol] = event
    return ends


def _middle(book: LevelBook) -> float:
    if book.bids and book.asks:
        return (book.bids[-1] + book.asks[0]) / 2.0
    return float((book.bids[-1:] or book.asks[:1])[0])


def _anonymous(book: LevelBook, side: Side) -> dict[int, int]:
    return {ticks: book.anonymous(side, ticks) for ticks in book.sizes(side)}


def _difference(old: dict[int, int], new: dict[int, int]) -> tuple[tuple[int, int], ...]:
    gone = [(ticks, 0) for ticks in old if ticks not in new]
    changed = [(ticks, lots) for ticks, lots in new.items() if old.get(ticks) != lots]
    return tuple(sorted(gone + changed))
