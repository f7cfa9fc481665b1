from __future__ import annotations

import pytest

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.snapshot_buffer import BUFFER_LIMIT
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, Levels, QuoteTick, TradeTick
from citadel_proto.errors import BadInput

VENUE, SYMBOL = "binance-spot", "BTC/USDT"
SECOND = 1_000_000_000


def depth(
    first: int, last: int, bids: Levels | None = None, asks: Levels | None = None, at: int = 0
) -> DepthUpdate:
    return DepthUpdate(VENUE, SYMBOL, False, first, last, -1, None, bids or [], asks or [], at, at)


def snapshot(seq: int, bids: Levels | None = None, asks: Levels | None = None) -> DepthUpdate:
    return DepthUpdate(
        VENUE,
        SYMBOL,
        True,
        seq,
        seq,
        -1,
        None,
        [(99.0, 1.0)] if bids is None else bids,
        [(101.0, 3.0)] if asks is None else asks,
        0,
        0,
    )


def quote(seq: int, bid: float, ask: float, at: int = 0) -> QuoteTick:
    return QuoteTick(VENUE, SYMBOL, seq, bid, 1.0, ask, 1.0, at, at)


def status(*, up: bool, reason: str = "", refused: bool = False) -> FeedStatus:
    return FeedStatus(venue=VENUE, symbol=SYMBOL, up=up, reason=reason, refused=refused)


def state(market: MarketBook) -> str:
    """Read through a call: what a type checker knows of an attribute, a method may change."""
    return market.state


@pytest.fixture
def market() -> MarketBook:
    return MarketBook(VENUE, SYMBOL, "range_bridge_spot")


def test_updates_wait_for_their_snapshot(market: MarketBook) -> None:
    assert market.on_depth(depth(5, 6, [(98.0, 2.0)])) == Change.NONE
    assert market.on_depth(depth(7, 8, [(100.0, 4.0)])) == Change.NONE
    assert state(market) == "SYNCING"

    assert market.on_depth(snapshot(6)) == Change.UPDATED | Change.STATE

    assert state(market) == "LIVE"
    assert (market.last_seq, market.deltas, market.gaps, market.resyncs) == (8, 1, 0, 0)
    assert market.best() == (100.0, 4.0, 101.0, 3.0)
    assert market.book.size_at("buy", 98.0) == 0.0, "older than the snapshot"


def test_a_snapshot_older_than_what_waits_asks_for_another(market: MarketBook) -> None:
    market.on_depth(depth(10, 12, [(98.0, 2.0)]))

    assert market.on_depth(snapshot(7)) & Change.GAP
    assert (state(market), market.gaps) == ("SYNCING", 0)

    assert market.on_depth(snapshot(11)) & Change.STATE
    assert (state(market), market.last_seq) == ("LIVE", 12)


def test_a_gap_is_said_and_healed(market: MarketBook) -> None:
    market.on_depth(snapshot(6))
    market.on_depth(depth(7, 8))

    assert market.on_depth(depth(10, 11, [(98.5, 1.0)])) == Change.GAP | Change.STATE
    assert state(market) == "SYNCING"
    assert market.reason == "expected update 9, got 10"
    assert market.on_depth(depth(12, 12)) == Change.NONE

    market.on_depth(snapshot(10))
    assert (state(market), market.last_seq) == ("LIVE", 12)
    assert (market.gaps, market.resyncs) == (1, 1)
    assert market.book.size_at("buy", 98.5) == 1.0


def test_a_gap_among_the_waiting_updates_is_a_gap(market: MarketBook) -> None:
    for update in (depth(5, 6), depth(7, 8), depth(10, 11)):
        market.on_depth(update)
    assert market.on_depth(snapshot(6)) & Change.GAP
    assert (state(market), market.gaps) == ("SYNCING", 1)
    market.on_depth(snapshot(10))
    assert (state(market), market.last_seq) == ("LIVE", 11)


def test_duplicates_change_nothing(market: MarketBook) -> None:
    market.on_depth(snapshot(6))
    market.on_depth(depth(7, 8, [(98.0, 2.0)]))
    before = market.book.top(10)
    assert market.on_depth(depth(7, 8, [(98.0, 7.0)])) == Change.NONE
    assert market.on_depth(snapshot(7)) == Change.NONE
    assert (market.book.top(10), state(market), market.deltas) == (before, "LIVE", 1)


def test_a_crossed_snapshot_is_refused(market: MarketBook) -> None:
    assert market.on_depth(snapshot(6, [(102.0, 1.0)], [(101.0, 1.0)])) & Change.GAP
    assert state(market) == "SYNCING"
    assert market.best() is None


def test_the_buffer_is_bounded_and_keeps_the_newest(market: MarketBook) -> None:
    for seq in range(BUFFER_LIMIT + 10):
        market.on_depth(depth(seq + 1, seq + 1))
    assert len(market._buffer) == BUFFER_LIMIT
    assert market.on_depth(snapshot(3)) & Change.GAP, "what would have joined it is gone"
    assert market.on_depth(snapshot(BUFFER_LIMIT)) & Change.STATE
    assert market.last_seq == BUFFER_LIMIT + 10


def test_silence_makes_it_stale_and_the_next_update_revives_it(market: MarketBook) -> None:
    assert not market.check_age(99 * SECOND, SECOND), "only a LIVE book can go stale"
    market.on_depth(snapshot(6))
    assert not market.check_age(SECOND, SECOND)
    assert market.check_age(SECOND + 1, SECOND)
    assert not market.check_age(SECOND + 2, SECOND)
    assert state(market) == "STALE"
    assert market.on_depth(depth(7, 7, at=2 * SECOND)) == Change.UPDATED | Change.STATE
    assert (state(market), market.reason, market.resyncs) == ("LIVE", "", 0)


def test_a_duplicate_revives_as_well(market: MarketBook) -> None:
    market.on_depth(snapshot(6))
    market.check_age(5 * SECOND, SECOND)
    assert market.on_depth(depth(5, 6, at=5 * SECOND)) == Change.STATE
    assert not market.check_age(5 * SECOND, SECOND)


def test_a_lost_connection_voids_the_book(market: MarketBook) -> None:
    market.on_depth(snapshot(6))
    market.on_status(status(up=False, reason="connection closed"))
    assert (state(market), market.reason, market.gaps) == ("SYNCING", "connection closed", 0)
    market.on_status(status(up=True))
    assert (state(market), market.reason) == ("SYNCING", "waiting for a snapshot")
    market.on_depth(snapshot(9))
    assert (state(market), market.resyncs) == ("LIVE", 1)


def test_a_lower_sequence_after_a_reconnect_is_not_old(market: MarketBook) -> None:
    market.on_depth(snapshot(600))
    market.on_status(status(up=False))
    assert market.on_depth(snapshot(6)) & Change.STATE
    assert market.last_seq == 6


def test_a_refused_subscription_is_broken_until_it_comes_back(market: MarketBook) -> None:
    market.on_status(status(up=False, reason="Invalid symbol", refused=True))
    assert (state(market), market.reason) == ("BROKEN", "Invalid symbol")
    market.on_status(status(up=True))
    assert state(market) == "SYNCING"


def test_the_fresher_of_quote_and_depth_is_best(market: MarketBook) -> None:
    market.on_depth(snapshot(6))
    assert not market.on_quote(quote(6, 90.0, 91.0)), "not newer than the depth"
    assert market.on_quote(quote(9, 99.5, 100.5))
    assert not market.on_quote(quote(9, 99.5, 100.5)), "the same again"
    assert not market.on_quote(quote(8, 99.4, 100.5)), "older than the last quote"
    assert market.best() == (99.5, 1.0, 100.5, 1.0)

    market.on_depth(depth(7, 8, [(99.0, 7.0)]))
    assert market.mid() == 100.0, "the depth has not caught up"
    market.on_depth(depth(9, 9, [(99.5, 2.0)]))
    assert market.best() == (99.5, 2.0, 101.0, 3.0)


def test_quotes_without_numbers_go_by_the_venues_time(market: MarketBook) -> None:
    market.on_depth(snapshot(6))
    market.on_depth(depth(7, 7, at=10))
    assert not market.on_quote(quote(-1, 99.5, 100.5, at=9))
    assert market.on_quote(quote(-1, 99.5, 100.5, at=11))
    market.on_depth(depth(8, 8, at=12))
    assert market.best() == (99.0, 1.0, 101.0, 3.0)


def test_readings(market: MarketBook) -> None:
    assert market.mid() is None
    assert market.spread() is None
    assert market.microprice() is None
    assert market.imbalance(5) == 0.0
    assert not market.crossed
    market.on_depth(snapshot(6))
    assert market.mid() == 100.0
    assert market.spread() == 2.0
    assert market.microprice() == (99.0 * 3.0 + 101.0 * 1.0) / 4.0
    assert market.imbalance(5) == -0.5
    market.on_quote(quote(9, 101.0, 101.0))
    assert market.crossed, "locked counts"


def test_signed_flow_over_a_window(market: MarketBook) -> None:
    def trade(at: int, size: float, *, buy: bool) -> TradeTick:
        return TradeTick(VENUE, SYMBOL, str(at), 100.0, size, "buy" if buy else "sell", at, at)

    assert market.signed_flow(0, SECOND) == 0.0
    market.on_trade(trade(1 * SECOND, 5.0, buy=True))
    market.on_trade(trade(2_100_000_000, 1.0, buy=False))
    market.on_trade(last := trade(3 * SECOND, 2.0, buy=True))
    assert market.last_trade == last
    assert market.signed_flow(3 * SECOND, SECOND) == 1.0
    assert market.signed_flow(3 * SECOND, 60 * SECOND) == 6.0
    market.on_trade(trade(62 * SECOND, 1.0, buy=True))
    assert market.signed_flow(62 * SECOND, 60 * SECOND) == 2.0


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="range_bridge_spot"):
        MarketBook(VENUE, SYMBOL, "hope")
