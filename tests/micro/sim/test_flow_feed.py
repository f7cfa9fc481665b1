"""What a client can rebuild from the feed by Binance's rule is the simulator's own book."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_book import Depth, Print, Quote
from citadel_micro.sim.flow_feed import BATCH_NS, DepthBatch, FeedEvent, SyntheticFeed
from citadel_micro.sim.flow_symbols import choose_symbols
from citadel_proto.errors import InvariantError

SECOND = 1_000_000_000
START = 1_763_800_020 * SECOND
PAIR = choose_symbols(("ETH/USDT", "DOGE/USDT"))
ALL = 10_000


def make_feed(seed: int = 1) -> SyntheticFeed:
    return SyntheticFeed(SyntheticMarket(PAIR, seed, START), PAIR, 3000)


class ClientBook:
    """A local book kept by the rule that Binance documents for its spot diff. depth stream."""

    def __init__(self, snapshot: Depth) -> None:
        self.last = snapshot.last_update_id
        self.bids = dict(snapshot.bids)
        self.asks = dict(snapshot.asks)
        self.applied = 0

    def apply(self, batch: DepthBatch) -> None:
        if batch.last_id <= self.last:
            return
        if self.applied:
            assert batch.first_id == self.last + 1
        else:
            assert batch.first_id <= self.last + 1 <= batch.last_id
        for side, levels in ((self.bids, batch.bids), (self.asks, batch.asks)):
            for ticks, lots in levels:
                if lots:
                    side[ticks] = lots
                else:
                    side.pop(ticks, None)
        self.last = batch.last_id
        self.applied += 1

    def depth(self) -> Depth:
        return Depth(
            self.last,
            tuple(sorted(self.bids.items(), reverse=True)),
            tuple(sorted(self.asks.items())),
        )


@settings(max_examples=20)
@given(
    seed=st.integers(0, 3),
    snapshot_at=st.integers(1, 3 * SECOND),
    before=st.integers(0, 500_000_000),
)
def test_snapshot_and_diffs_give_the_servers_book_at_every_update(
    seed: int, snapshot_at: int, before: int
) -> None:
    feed = make_feed(seed)
    feed.advance(START + snapshot_at)
    buffered = feed.advance(START + snapshot_at + before)
    # The snapshot is taken while diffs are already coming in, mostly in the middle of a batch.
    books = {name: ClientBook(feed.depth(name, ALL)) for name in feed.specs}
    for event in buffered:
        if isinstance(event, DepthBatch):
            books[event.symbol].apply(event)
    now = feed.now_ns
    for boundary in range(now // BATCH_NS + 1, now // BATCH_NS + 31):
        for event in feed.advance(boundary * BATCH_NS):
            if isinstance(event, DepthBatch):
                books[event.symbol].apply(event)
                assert books[event.symbol].depth() == feed.depth(event.symbol, ALL)
    assert all(book.applied > 20 for book in books.values())


@pytest.fixture(scope="module")
def minutes() -> tuple[SyntheticFeed, list[FeedEvent]]:
    feed = make_feed()
    events: list[FeedEvent] = []
    for step in range(1, 11 * 60):
        events += feed.advance(START + step * SECOND)
    return feed, events


def test_first_and_last_ids_of_depth_messages_are_contiguous(
    minutes: tuple[SyntheticFeed, list[FeedEvent]],
) -> None:
    feed, events = minutes
    for symbol in feed.specs:
        batches = [e for e in events if isinstance(e, DepthBatch) and e.symbol == symbol]
        assert len(batches) > 3000
        assert all(b.first_id == a.last_id + 1 for a, b in pairwise(batches))
        assert all(a.first_id <= a.last_id for a in batches)
        assert all(a.time_ns % BATCH_NS == 0 for a in batches)
        assert all(b.bids or b.asks for b in batches)


def test_events_come_in_the_order_of_time(
    minutes: tuple[SyntheticFeed, list[FeedEvent]],
) -> None:
    assert all(a.time_ns <= b.time_ns for a, b in pairwise(minutes[1]))


def test_quotes_are_never_crossed_and_agree_with_the_depth_messages(
    minutes: tuple[SyntheticFeed, list[FeedEvent]],
) -> None:
    feed, events = minutes
    del feed
    fresh = make_feed()
    books = {name: ClientBook(fresh.depth(name, ALL)) for name in fresh.specs}
    newest: dict[str, Quote] = {}
    compared = 0
    for event in events:
        if isinstance(event, Quote):
            assert event.bid_ticks < event.ask_ticks
            assert min(event.bid_lots, event.ask_lots) > 0
            newest[event.symbol] = event
        elif isinstance(event, DepthBatch):
            books[event.symbol].apply(event)
            quote = newest.get(event.symbol)
            if quote is not None:
                depth = books[event.symbol].depth()
                assert depth.bids[0] == (quote.bid_ticks, quote.bid_lots)
                assert depth.asks[0] == (quote.ask_ticks, quote.ask_lots)
                compared += 1
    assert compared > 5000


def test_closed_candles_are_the_trades(minutes: tuple[SyntheticFeed, list[FeedEvent]]) -> None:
    feed, events = minutes
    first = START // (60 * SECOND)
    for symbol, store in feed.candles.items():
        for minute in range(first, first + 10):
            trades = [
                e
                for e in events
                if isinstance(e, Print)
                and e.symbol == symbol
                and e.time_ns // (60 * SECOND) == minute
            ]
            candle = store.minute(minute)
            assert trades
            prices = [trade.ticks for trade in trades]
            assert (candle.open, candle.high, candle.low, candle.close) == (
                prices[0], max(prices), min(prices), prices[-1],
            )  # fmt: skip
            assert candle.lots == sum(trade.lots for trade in trades)
            assert candle.quote == sum(trade.lots * trade.ticks for trade in trades)
            assert candle.trades == len(trades)
            assert (candle.first_id, candle.last_id) == (trades[0].trade_id, trades[-1].trade_id)
            bought = [trade for trade in trades if not trade.buyer_is_maker]
            assert candle.buy_lots == sum(trade.lots for trade in bought)
            assert candle.buy_quote == sum(trade.lots * trade.ticks for trade in bought)


def test_the_feed_says_when_it_next_has_something() -> None:
    feed = make_feed()
    for _ in range(200):
        due = feed.next_ns()
        assert due > feed.now_ns
        assert feed.advance(due - 1) == []
        feed.advance(due)


def test_the_last_trades_are_kept_in_order(minutes: tuple[SyntheticFeed, list[FeedEvent]]) -> None:
    feed, events = minutes
    for symbol, kept in feed.trades.items():
        assert list(kept) == [e for e in events if isinstance(e, Print) and e.symbol == symbol]


def test_a_feed_begins_at_a_whole_minute_and_time_does_not_run_backwards() -> None:
    with pytest.raises(InvariantError, match="whole minute"):
        SyntheticFeed(SyntheticMarket(PAIR, 1, START + SECOND), PAIR, 0)
    feed = make_feed()
    feed.advance(START + SECOND)
    with pytest.raises(InvariantError):
        feed.advance(START)
