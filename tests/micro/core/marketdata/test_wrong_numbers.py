"""Numbers that cannot be right are not believed: old is told from wrong by what has been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, QuoteTick

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000_000
STEP_NS = 100_000_000
NOW = 1_700_000_000 * SECOND
SHAPES = ["range_bridge_spot", "range_bridge_futures", "chain", "contiguous"]


class Venue:
    """A stream of one book in one of the four ways of numbering, and what is true of it."""

    def __init__(self, shape: str, *, begin: int = 1_000) -> None:
        self.shape = shape
        self.seq = begin
        self.now_ns = NOW
        self.bids = {100.0: 1.0, 99.0: 1.0}
        self.asks = {101.0: 1.0, 102.0: 1.0}
        self.count = 0

    def next(self, *, jump: int = 0, reset_to: int | None = None) -> DepthUpdate:
        """One change; its number too high by ``jump`` on the wire alone, or counted anew."""
        self.count += 1
        self.now_ns += STEP_NS
        size = 1.0 + self.count % 7
        self.bids[100.0] = size
        before = self.seq
        if reset_to is not None:
            before = self.seq = reset_to
        self.seq += 1
        last = self.seq + jump
        first = {"contiguous": last, "range_bridge_spot": before + 1}.get(self.shape, before + 1)
        prev = before if self.shape in ("range_bridge_futures", "chain") else -1
        return self._update([(100.0, size)], [], first, last, prev, snapshot=False)

    def snapshot(self) -> DepthUpdate:
        """All of it, as it is now."""
        bids, asks = list(self.bids.items()), list(self.asks.items())
        return self._update(bids, asks, self.seq, self.seq, -1, snapshot=True)

    def _update(
        self,
        bids: Sequence[tuple[float, float]],
        asks: Sequence[tuple[float, float]],
        first: int,
        last: int,
        prev: int,
        *,
        snapshot: bool,
    ) -> DepthUpdate:
        return DepthUpdate(
            "v", "A/B", snapshot, first, last, prev, None, bids, asks, self.now_ns, self.now_ns
        )

    def lies(self, market: MarketBook) -> bool:
        """Whether a book that says LIVE is another than the venue's."""
        return market.state == "LIVE" and (
            market.book.sizes("buy") != self.bids or market.book.sizes("sell") != self.asks
        )


def live(shape: str) -> tuple[Venue, MarketBook]:
    venue = Venue(shape)
    market = MarketBook("v", "A/B", shape)
    market.on_depth(venue.snapshot())
    for _ in range(5):
        market.on_depth(venue.next())
    assert market.state == "LIVE"
    return venue, market


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("jump", [1, 7, 1_000, 10**9])
def test_one_number_that_is_too_high_is_never_live_and_wrong(shape: str, jump: int) -> None:
    venue, market = live(shape)
    market.on_depth(venue.next(jump=jump))
    for _ in range(12):
        market.on_depth(venue.next())
        assert not venue.lies(market)
    market.on_depth(venue.snapshot())
    market.on_depth(venue.next())
    assert market.state == "LIVE"
    assert not venue.lies(market)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reset_to", [0, 1, 500, 990])
def test_numbers_that_begin_anew_are_never_live_and_wrong(shape: str, reset_to: int) -> None:
    venue, market = live(shape)
    market.on_depth(venue.next(reset_to=reset_to))
    for _ in range(12):
        assert not venue.lies(market)
        market.on_depth(venue.next())
    market.on_depth(venue.snapshot())
    market.on_depth(venue.next())
    assert market.state == "LIVE"
    assert not venue.lies(market)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_a_number_that_is_too_high_does_not_bar_the_snapshots_that_follow(shape: str) -> None:
    """It waits among the updates that the snapshot is to be joined with."""
    venue = Venue(shape)
    market = MarketBook("v", "A/B", shape)
    market.on_depth(venue.next())
    market.on_depth(venue.next(jump=10**6))
    for _ in range(3):
        market.on_depth(venue.next())
    market.on_depth(venue.snapshot())
    for _ in range(3):
        market.on_depth(venue.next())
    assert market.state == "LIVE"
    assert not venue.lies(market)


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=examples(12, 80))
@given(again=st.lists(st.lists(st.integers(0, 29), max_size=3), min_size=40, max_size=40))
def test_duplicates_and_replays_of_what_has_been_cost_nothing(
    shape: str, again: list[list[int]]
) -> None:
    venue, market = live(shape)
    sent: list[DepthUpdate] = []
    for backs in again:
        update = venue.next()
        market.on_depth(update)
        sent.append(update)
        for back in backs:
            twice = sent[-1 - min(back, len(sent) - 1)]._replace(recv_ns=venue.now_ns)
            assert market.on_depth(twice) == Change.NONE
    assert market.state == "LIVE"
    assert market.gaps == 0
    assert not venue.lies(market)


def whole(seq: int, stamp_ns: int, bid: float, now_ns: int) -> DepthUpdate:
    return DepthUpdate(
        "v", "A/B", True, seq, seq, -1, None, [(bid, 1.0)], [(bid + 1, 1.0)], stamp_ns, now_ns
    )


def test_a_stamp_an_hour_ahead_stops_no_whole_book() -> None:
    market = MarketBook("v", "A/B", "snapshot_only")
    hour_ms = 3_600_000
    for number in range(10):
        now_ns = NOW + number * SECOND
        stamp_ms = now_ns // 1_000_000 + (hour_ms if number == 4 else 0)
        change = market.on_depth(whole(stamp_ms, stamp_ms * 1_000_000, 100.0 + number, now_ns))
        assert change & Change.UPDATED
        assert market.book.best() == (100.0 + number, 1.0, 101.0 + number, 1.0)
    late = whole(NOW // 1_000_000 + 8_500, NOW + 8_500_000_000, 50.0, NOW + 9 * SECOND)
    assert market.on_depth(late) == Change.NONE, "half a second late, so left out"


def quote(seq: int, bid: float, now_ns: int, exchange_ns: int = 0) -> QuoteTick:
    return QuoteTick("v", "A/B", seq, bid, 1.0, 101.0, 1.0, exchange_ns, now_ns)


def test_a_quote_with_too_high_a_number_is_soon_outlived() -> None:
    venue, market = live("range_bridge_spot")
    assert market.on_quote(quote(10**9, 100.5, venue.now_ns))
    assert market.on_quote(quote(venue.seq + 1, 100.2, venue.now_ns + 300_000_000))
    assert market.best() == (100.2, 1.0, 101.0, 1.0)
    market.on_quote(quote(10**9, 100.5, venue.now_ns + 400_000_000))
    for _ in range(20):
        market.on_depth(venue.next())
    assert market.best() == market.book.best()


def test_a_depth_stamp_an_hour_ahead_bars_no_quote() -> None:
    venue, market = live("contiguous")
    ahead = venue.next()
    market.on_depth(ahead._replace(exchange_ns=ahead.exchange_ns + 3_600 * SECOND))
    now_ns = venue.now_ns + STEP_NS
    assert market.on_quote(quote(-1, 100.5, now_ns, now_ns))
    assert market.best() == (100.5, 1.0, 101.0, 1.0)


@pytest.mark.parametrize("integrity", ["range_bridge_spot", "range_bridge_futures"])
def test_a_snapshot_without_a_number_makes_no_book(integrity: str) -> None:
    """Nothing could ever join it, so it would stay what it was, and LIVE, while others trade."""
    market = MarketBook("v", "s", integrity)
    bids, asks = [(99.0, 1.0)], [(101.0, 1.0)]
    market.on_depth(DepthUpdate("v", "s", True, -1, -1, -1, None, bids, asks, 0, 1))
    states: list[str] = [market.state]
    market.on_depth(DepthUpdate("v", "s", False, 8, 8, 7, None, bids, asks, 0, 2))
    market.on_depth(DepthUpdate("v", "s", True, 8, 8, -1, None, bids, asks, 0, 3))
    states.append(market.state)
    assert states == ["SYNCING", "LIVE"]
