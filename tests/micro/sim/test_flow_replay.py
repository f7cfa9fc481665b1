"""A recording played again: re-stamped, complete, and without a gap where it starts over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.sim.flow_book import Depth, Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch, FeedEvent
from citadel_micro.sim.flow_replay import FOREVER_NS, Recorded, Recording, ReplayFeed
from citadel_micro.sim.flow_symbols import E8, SymbolSpec
from citadel_proto.errors import InvariantError

NOW = 1_763_800_043_000_000_000
MS = 1_000_000
SPEC = SymbolSpec(base="A", quote="USDT", tick_e8=E8 // 100, lot_e8=E8, min_notional_e8=E8)
OPENING = Depth(100, ((1000, 5), (999, 6)), ((1002, 7), (1003, 8)))
LENGTH = 1000 * MS


def recording(*, quotes: bool = True) -> Recording:
    events: list[Recorded] = [
        Recorded(0, DepthBatch(-20 * MS, "A/USDT", 101, 103, ((1001, 2),), ((1002, 0),))),
        Recorded(300 * MS, Print(290 * MS, "A/USDT", 9, 1001, 1, buyer_is_maker=True)),
        Recorded(400 * MS, DepthBatch(390 * MS, "A/USDT", 104, 104, ((1001, 1),), ())),
    ]
    if quotes:
        events.insert(1, Recorded(5 * MS, Quote(5 * MS, "A/USDT", 103, 1001, 2, 1003, 8)))
    return Recording({"A/USDT": SPEC}, {"A/USDT": OPENING}, tuple(events), LENGTH)


def make_feed(*, loop: bool, quotes: bool = True) -> ReplayFeed:
    return ReplayFeed(recording(quotes=quotes), NOW, loop=loop, seed=1, history_minutes=600)


def test_the_first_pass_is_the_recording_at_todays_time() -> None:
    feed = make_feed(loop=False)
    assert feed.depth("A/USDT", 9) == OPENING
    assert feed.next_ns() == NOW
    assert feed.advance(NOW + 300 * MS) == [
        DepthBatch(NOW - 20 * MS, "A/USDT", 101, 103, ((1001, 2),), ((1002, 0),)),
        Quote(NOW + 5 * MS, "A/USDT", 103, 1001, 2, 1003, 8),
        Print(
            NOW + 290 * MS,
            "A/USDT",
            9,
            1001,
            1,
            buyer_is_maker=True,
            aggregate_id=NOW // 40_000_000 + 1,
        ),
    ]
    assert feed.depth("A/USDT", 1) == Depth(103, ((1001, 2),), ((1003, 8),))
    ended = [feed.ended]
    assert len(feed.advance(NOW + LENGTH)) == 1
    assert [*ended, feed.ended] == [False, True]
    assert feed.next_ns() == FOREVER_NS
    assert feed.advance(NOW + 9 * LENGTH) == []


def test_quotes_are_made_from_the_book_where_the_capture_has_none() -> None:
    feed = make_feed(loop=False, quotes=False)
    assert Quote(NOW - 20 * MS, "A/USDT", 103, 1001, 2, 1003, 8) in feed.advance(NOW)


@given(st.lists(st.integers(0, 4 * LENGTH), max_size=20))
def test_starting_over_leaves_no_gap_for_a_client(stops: list[int]) -> None:
    feed = make_feed(loop=True)
    bids, asks, last = dict(OPENING.bids), dict(OPENING.asks), 100
    trades: list[int] = []
    for stop in [*sorted(stops), 4 * LENGTH]:
        for event in feed.advance(NOW + stop):
            if isinstance(event, DepthBatch):
                assert event.first_id == last + 1
                assert event.last_id >= event.first_id
                last = event.last_id
                for side, levels in ((bids, event.bids), (asks, event.asks)):
                    for ticks, lots in levels:
                        if lots:
                            side[ticks] = lots
                        else:
                            del side[ticks]
            elif isinstance(event, Quote):
                assert event.update_id == last
                assert bids[event.bid_ticks] == event.bid_lots
            else:
                trades.append(event.trade_id)
        assert feed.depth("A/USDT", 9) == Depth(
            last, tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items()))
        )
    # Four passes are over and the fifth has begun; its trade is yet to come.
    assert trades == [9, 10, 11, 12]


def test_the_stream_does_not_depend_on_the_steps() -> None:
    whole = make_feed(loop=True).advance(NOW + 3 * LENGTH)
    stepped: list[FeedEvent] = []
    feed = make_feed(loop=True)
    for step in range(1, 301):
        stepped += feed.advance(NOW + step * LENGTH // 100)
    assert stepped == whole


def test_drawn_history_ends_at_the_recordings_first_price() -> None:
    store = make_feed(loop=False).candles["A/USDT"]
    assert store.minute(store.start - 1).close == 1001
    assert store.start == NOW // 60_000_000_000
    assert store.listed == store.start - 600


def test_time_does_not_run_backwards() -> None:
    feed = make_feed(loop=True)
    feed.advance(NOW + MS)
    with pytest.raises(InvariantError):
        feed.advance(NOW)
