"""A depth that falls mute is found by what the other streams of its symbol say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.cross_check import MUTE_NS
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.snapshot_buffer import FEW_LEVELS
from citadel_micro.core.model.events import BookLook, DepthUpdate, QuoteTick, TradeTick

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side

VENUE, SYMBOL = "binance-spot", "BTC/USDT"
MS = 1_000_000
SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
STALE_NS = 1 << 60  # the stream is proven all the time


def depth(
    seq: int,
    bids: list[tuple[float, float]],
    asks: list[tuple[float, float]],
    now_ns: int,
    *,
    snapshot: bool = False,
) -> DepthUpdate:
    stamp = 0 if snapshot else now_ns
    return DepthUpdate(VENUE, SYMBOL, snapshot, seq, seq, -1, None, bids, asks, stamp, now_ns)


def live() -> MarketBook:
    """100 to 101 at sequence 11."""
    market = MarketBook(VENUE, SYMBOL, "range_bridge_spot")
    market.on_depth(depth(10, [(100.0, 1.0)], [(101.0, 1.0)], NOW, snapshot=True))
    market.on_depth(depth(11, [(99.0, 1.0)], [(102.0, 1.0)], NOW))
    assert market.state == "LIVE"
    return market


def quote(bid: float, ask: float, now_ns: int, seq: int = 12) -> QuoteTick:
    return QuoteTick(VENUE, SYMBOL, seq, bid, 1.0, ask, 1.0, now_ns, now_ns)


def trade(price: float, now_ns: int, number: int = 1, side: Side = "buy") -> TradeTick:
    return TradeTick(VENUE, SYMBOL, f"{number}", price, 1.0, side, now_ns, now_ns)


def test_a_best_bid_that_moves_away_from_the_depth_makes_it_mute() -> None:
    market = live()
    market.on_quote(quote(100.5, 101.0, NOW + SECOND))
    assert not market.check_age(NOW + SECOND + MUTE_NS, STALE_NS)
    assert market.check_age(NOW + SECOND + MUTE_NS + 1, STALE_NS)
    assert (market.state, market.mute) == ("STALE", True)
    assert market.reason == (
        "depth mute for 3.0 s: it shows 100.0 and 101.0, and best bid and ask are 100.5 and 101.0"
    )
    # The stream's life is no answer to that, its own next update is.
    assert not market.check_age(NOW + 4 * SECOND, STALE_NS)
    assert market.on_depth(depth(12, [(100.5, 1.0)], [], NOW + 5 * SECOND)) & Change.STATE
    assert (market.state, market.mute) == ("LIVE", False)


@pytest.mark.parametrize(("price", "mute"), [(101.0, False), (100.0, False), (101.5, True)])
def test_a_trade_outside_of_the_depth_makes_it_mute(price: float, *, mute: bool) -> None:
    market = live()
    for number in range(40):  # trades that go on must not put off the finding
        market.on_trade(trade(price, NOW + (number + 1) * 100 * MS, number))
    market.check_age(NOW + 4 * SECOND, STALE_NS)
    assert market.mute is mute


def test_a_trade_that_the_depth_has_outlived_says_nothing() -> None:
    market = live()
    market.on_trade(trade(101.5, NOW + 100 * MS))
    market.on_depth(depth(12, [], [(101.0, 0.0)], NOW + 200 * MS))
    assert not market.check_age(NOW + 60 * SECOND, STALE_NS)


def look(seq: int, bid: float, ask: float, now_ns: int) -> BookLook:
    bids, asks = [(99.0, 1.0), (bid, 1.0)], [(102.0, 1.0), (ask, 1.0)]
    return BookLook(VENUE, SYMBOL, seq, bids, asks, now_ns)


@pytest.mark.parametrize(
    ("seq", "bid", "mute"),
    [(11, 100.5, False), (12, 100.0, True), (12, 100.5, True), (5, 100.5, False)],
    ids=["the same number", "the same levels", "ahead", "an old answer"],
)
def test_a_poll_that_is_ahead_makes_the_depth_mute(seq: int, bid: float, *, mute: bool) -> None:
    """Of the same levels, too: something that is not among them has changed."""
    market = live()
    market.on_poll(look(seq, bid, 101.0, NOW + 5 * SECOND))
    assert not market.check_age(NOW + 5 * SECOND + MUTE_NS - 1, STALE_NS)
    market.check_age(NOW + 5 * SECOND + MUTE_NS + 1, STALE_NS)
    assert market.mute is mute


@pytest.mark.parametrize(("bid", "mute"), [(100.0, False), (100.5, True)])
def test_where_numbers_move_without_the_book_its_levels_decide(bid: float, *, mute: bool) -> None:
    market = MarketBook(VENUE, SYMBOL, "range_bridge_futures")
    bids, asks = [(99.0, 1.0), (100.0, 1.0)], [(102.0, 1.0), (101.0, 1.0)]
    market.on_depth(depth(10, bids, asks, NOW, snapshot=True))
    market.on_poll(look(500, bid, 101.0, NOW + SECOND))
    market.check_age(NOW + 4 * SECOND, STALE_NS)
    assert market.mute is mute


def test_a_depth_that_follows_the_poll_is_not_mute() -> None:
    market = live()
    market.on_poll(look(12, 100.5, 101.0, NOW + 5 * SECOND))
    market.on_depth(depth(12, [(100.5, 1.0)], [], NOW + 6 * SECOND))
    assert not market.check_age(NOW + 60 * SECOND, STALE_NS)


changes = st.lists(
    st.tuples(
        st.sampled_from(["bids", "asks"]), st.integers(0, 299), st.floats(0, 9).map(int).map(float)
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=examples(20, 160))
@given(st.lists(changes, min_size=2, max_size=30), st.data())
def test_a_whole_snapshot_deepens_a_book_of_few_levels_though_it_is_older(
    stream: list[list[tuple[str, int, float]]], data: st.DataObject
) -> None:
    """Whatever the lag of the whole one: the book is the venue's, all of it, and LIVE throughout."""
    truth: dict[str, dict[float, float]] = {
        "bids": {1_000.0 - n: 1.0 for n in range(300)},
        "asks": {1_001.0 + n: 1.0 for n in range(300)},
    }

    def whole(seq: int, count: int) -> DepthUpdate:
        bids = sorted(truth["bids"].items(), reverse=True)[:count]
        asks = sorted(truth["asks"].items())[:count]
        return depth(seq, bids, asks, NOW + seq * MS, snapshot=True)

    market = MarketBook(VENUE, SYMBOL, "range_bridge_spot")
    market.on_depth(whole(1, FEW_LEVELS))
    asked = data.draw(st.integers(1, len(stream) - 1), label="taken after")
    came = data.draw(st.integers(asked, len(stream)), label="came after")
    answer = None
    for number, change in enumerate(stream, start=1):
        levels: dict[str, list[tuple[float, float]]] = {"bids": [], "asks": []}
        for side, place, size in change:
            price = 1_000.0 - place if side == "bids" else 1_001.0 + place
            if place == 0:
                size = max(size, 1.0)  # noqa: PLW2901 - the best stays, or the book might be empty
            levels[side].append((price, size))
            if size:
                truth[side][price] = size
            else:
                truth[side].pop(price, None)
        market.on_depth(depth(number + 1, levels["bids"], levels["asks"], NOW + number * SECOND))
        if number == asked:
            answer = whole(number + 1, 1_000)
        if number == came and answer is not None:
            market.on_depth(answer)
        assert market.state == "LIVE"
    if max(len(answer.bids), len(answer.asks)) > FEW_LEVELS:  # type: ignore[union-attr]  # asked
        assert market.book.sizes("buy") == truth["bids"]
        assert market.book.sizes("sell") == truth["asks"]
    assert market.gaps == 0
