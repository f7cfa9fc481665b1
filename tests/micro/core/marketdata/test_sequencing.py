"""Each strategy on streams that a model venue numbers its way, with and without faults."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.sequence_verdict import APPLY, GAP, IGNORE, OLD_LIMIT
from citadel_micro.core.marketdata.sequencing import ConnectionSequence, make_integrity
from citadel_micro.core.marketdata.snapshot_buffer import CROSSED_LIMIT_NS
from citadel_micro.core.model.events import DepthUpdate, Levels, TextLevels
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERED = ("range_bridge_spot", "range_bridge_futures", "chain", "contiguous")
CHECKED = ("unnumbered+crc:kraken:10", "unnumbered+crc:colon:25")
Sides = tuple[dict[float, float], dict[float, float]]


class Venue:
    """A venue's truth, and the updates that it would send about it."""

    def __init__(self, integrity: str, seed: int) -> None:
        self.integrity = integrity
        self.rng = random.Random(seed)
        self.seq = 1_000
        self.bids = {float(price): 1.0 for price in range(80, 100)}
        self.asks = {float(price): 1.0 for price in range(101, 121)}
        self.history: dict[int, Sides] = {}
        self.steps = 0

    def truth(self) -> Sides:
        return dict(self.bids), dict(self.asks)

    def snapshot(self) -> DepthUpdate:
        return self._update(self.seq, -1, list(self.bids.items()), list(self.asks.items()), True)

    def change(self) -> DepthUpdate:
        """One update; every one changes the best level, so that none may be missed unseen."""
        before = self.seq
        self.seq += 1 if self.integrity == "contiguous" else self.rng.randint(1, 4)
        self.steps += 1
        bids = [(99.0, float(self.steps))]
        asks = [(101.0, float(self.steps))]
        for levels, book, low in ((bids, self.bids, 80), (asks, self.asks, 102)):
            price = float(self.rng.randint(low, low + 17))
            levels.append((price, float(self.rng.randint(0, 3))))
            for each, size in levels:
                if size:
                    book[each] = size
                else:
                    book.pop(each, None)
        first = before + 1
        return self._update(first, before, bids, asks, False)

    def _update(
        self,
        first: int,
        prev: int,
        bids: Levels,
        asks: Levels,
        snapshot: bool,
    ) -> DepthUpdate:
        seq = self.seq
        checksum = None
        texts: tuple[TextLevels, TextLevels] | None = None
        if "crc" in self.integrity:
            first = prev = seq = -1
            checksum = self._crc()
            texts = (_texts(bids), _texts(asks))
        elif self.integrity in ("chain", "contiguous"):
            first = seq
        return DepthUpdate(
            "v", "A/B", snapshot, first, seq, prev, checksum, bids, asks, self.steps, 0, texts
        )

    def _crc(self) -> int:
        count = 10 if "kraken" in self.integrity else 25
        bids = [(f"{p:.2f}", f"{self.bids[p]:.3f}") for p in sorted(self.bids)[::-1][:count]]
        asks = [(f"{p:.2f}", f"{self.asks[p]:.3f}") for p in sorted(self.asks)[:count]]
        if "kraken" in self.integrity:
            text = "".join(
                price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")
                for price, size in asks + bids
            )
            return zlib.crc32(text.encode())
        parts: list[str] = []
        for level in range(count):
            for side in (bids, asks):
                if level < len(side):
                    parts += side[level]
        value = zlib.crc32(":".join(parts).encode())
        return value - 2**32 if value >= 2**31 else value  # written signed


def _texts(levels: Levels) -> TextLevels:
    return [(f"{price:.2f}", f"{size:.3f}") for price, size in levels]


def state(market: MarketBook) -> str:
    return market.state


def same(market: MarketBook, truth: Sides) -> bool:
    return (market.book.sizes("buy"), market.book.sizes("sell")) == truth


def run(
    market: MarketBook, feed: Sequence[tuple[DepthUpdate, Sides | None]]
) -> tuple[int, list[str]]:
    """Feed updates with the truth as of each. Returns how many gaps, and lies told while LIVE."""
    lies = []
    for number, (update, truth) in enumerate(feed):
        market.on_depth(update)
        if market.state == "LIVE" and truth is not None and not same(market, truth):
            lies.append(f"after {number}: {update}")
    return market.gaps, lies


@pytest.mark.parametrize("integrity", [*NUMBERED, *CHECKED])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 40))
def test_an_undisturbed_stream_is_live_and_right(integrity: str, seed: int, count: int) -> None:
    venue = Venue(integrity, seed)
    market = MarketBook("v", "A/B", integrity)
    assert market.on_depth(venue.snapshot()) & Change.STATE
    for _ in range(count):
        assert market.on_depth(venue.change()) == Change.UPDATED
        assert (state(market), market.gaps) == ("LIVE", 0)
        assert same(market, venue.truth())
    passed, failed = market.checksums
    assert (passed, failed) == ((count + 1) if "crc" in integrity else 0, 0)


@pytest.mark.parametrize("integrity", [*NUMBERED, *CHECKED])
@given(seed=st.integers(0, 2**32), at=st.integers(0, 8), data=st.data())
def test_a_lost_update_is_always_found_at_the_next(
    integrity: str, seed: int, at: int, data: st.DataObject
) -> None:
    venue = Venue(integrity, seed)
    market = MarketBook("v", "A/B", integrity)
    market.on_depth(venue.snapshot())
    for _ in range(at):
        market.on_depth(venue.change())
    for _ in range(data.draw(st.integers(1, 3), label="lost")):
        venue.change()

    change = market.on_depth(venue.change())

    if "crc" in integrity and same(market, venue.truth()):
        return  # what was lost has been overwritten since: nothing is missing
    if "crc" in integrity and change == Change.UPDATED:
        # Beyond the levels that the checksum covers nothing can be known.
        count = 10 if "kraken" in integrity else 25
        bids, asks = venue.truth()
        assert [price for price, _ in market.book.top(count)[0]] == sorted(bids)[::-1][:count]
        assert [price for price, _ in market.book.top(count)[1]] == sorted(asks)[:count]
        return
    assert change & Change.GAP
    assert (state(market), market.gaps) == ("SYNCING", 1)
    assert market.reason

    market.on_depth(venue.snapshot())
    market.on_depth(venue.change())
    assert (state(market), market.resyncs) == ("LIVE", 1)
    assert same(market, venue.truth())


@pytest.mark.parametrize("integrity", NUMBERED)
@given(
    seed=st.integers(0, 2**32),
    order=st.lists(st.integers(0, 11), max_size=30),
)
@example(seed=0, order=[11, *[0] * 7, 11, *[0] * 8])
def test_any_disorder_is_healed_and_never_believed(
    integrity: str, seed: int, order: list[int]
) -> None:
    """Drop, repeat and reorder at will: while LIVE, the book is the venue's as of its sequence."""
    venue = Venue(integrity, seed)
    start = venue.snapshot()
    truths = {venue.seq: venue.truth()}
    updates = []
    for _ in range(12):
        updates.append(venue.change())
        truths[venue.seq] = venue.truth()
    market = MarketBook("v", "A/B", integrity)
    market.on_depth(start)
    for index in order:
        change = market.on_depth(updates[index])
        if state(market) == "LIVE":
            assert same(market, truths[market.last_seq])
        elif change & Change.GAP:
            assert market.reason
    # What waited in disorder may itself say that something is wrong; then one more is fetched.
    if market.on_depth(venue.snapshot()) & Change.GAP:
        market.on_depth(venue.snapshot())
    assert state(market) == "LIVE"
    assert same(market, venue.truth())


@pytest.mark.parametrize("integrity", ["range_bridge_spot", "range_bridge_futures"])
@given(seed=st.integers(0, 2**32), early=st.integers(0, 10), late=st.integers(0, 10))
def test_updates_on_both_sides_of_a_late_snapshot_are_joined(
    integrity: str, seed: int, early: int, late: int
) -> None:
    venue = Venue(integrity, seed)
    market = MarketBook("v", "A/B", integrity)
    for _ in range(early):
        market.on_depth(venue.change())
    snapshot = venue.snapshot()
    for _ in range(late):
        market.on_depth(venue.change())
    assert state(market) == "SYNCING"
    market.on_depth(snapshot)
    assert (state(market), market.gaps) == ("LIVE", 0)
    assert same(market, venue.truth())


def update(
    first: int, last: int, prev: int = -1, *, snapshot: bool = False, at: int = 0
) -> DepthUpdate:
    bids, asks = ([(99.0, 1.0)], [(101.0, 1.0)]) if snapshot else ([], [])
    return DepthUpdate("v", "A/B", snapshot, first, last, prev, None, bids, asks, at, at)


def judged(name: str, snapshot: DepthUpdate, *updates: DepthUpdate) -> list[int]:
    rules = make_integrity(name).sequence
    assert rules.snapshot(snapshot) == APPLY
    return [rules.judge(each) for each in updates]


@pytest.mark.parametrize("integrity", NUMBERED)
@given(seed=st.integers(0, 2**32), ahead=st.integers(50, 10**9))
def test_a_number_that_was_damaged_does_not_freeze_the_book(
    integrity: str, seed: int, ahead: int
) -> None:
    """A sequence that is far too high makes all that follows look old: only for a moment."""
    venue = Venue(integrity, seed)
    market = MarketBook("v", "A/B", integrity)
    market.on_depth(venue.snapshot())
    market.on_depth(venue.change())
    damaged = venue.change()
    market.on_depth(damaged._replace(last_seq=damaged.last_seq + ahead))
    for _ in range(OLD_LIMIT):
        if market.on_depth(venue.change()) & Change.GAP:
            break
    assert state(market) == "SYNCING"
    market.on_depth(venue.snapshot())
    market.on_depth(venue.change())
    assert state(market) == "LIVE"
    assert same(market, venue.truth())


def test_range_bridge_spot_by_the_book() -> None:
    start = update(10, 10, snapshot=True)
    assert judged("range_bridge_spot", start, update(8, 9), update(9, 12), update(13, 13)) == [
        IGNORE, APPLY, APPLY,
    ]  # fmt: skip
    assert judged("range_bridge_spot", start, update(12, 13)) == [GAP]
    assert judged("range_bridge_spot", start, update(11, 12), update(12, 14)) == [APPLY, GAP]
    assert judged("range_bridge_spot", start, update(13, 11)) == [GAP], "backwards"


def test_range_bridge_futures_by_the_book() -> None:
    start = update(10, 10, snapshot=True)
    name = "range_bridge_futures"
    assert judged(name, start, update(5, 9, 4), update(6, 10, 9), update(40, 41, 10)) == [
        IGNORE, APPLY, APPLY,
    ]  # fmt: skip
    assert judged(name, start, update(12, 14, 11)) == [GAP]
    assert judged(name, start, update(12, 14, 10)) == [APPLY], "it names the snapshot itself"
    assert judged(name, start, update(12, 14, 10), update(15, 16, 13)) == [APPLY, GAP]
    assert judged(name, start, update(14, 12, 9)) == [GAP], "backwards"
    assert judged(name, start, update(9, 12, 8), update(9, 12, 8)) == [APPLY, IGNORE]


def test_chains_may_repeat_and_start_lower() -> None:
    start = update(10, 10, -1, snapshot=True)
    assert judged("chain", start, update(10, 10, 10), update(15, 15, 10)) == [APPLY, APPLY]
    # After maintenance the number falls, and the chain goes on from there.
    assert judged("chain", start, update(3, 3, 10), update(5, 5, 3)) == [APPLY, APPLY]
    # A number below the snapshot's that has never been is no old one: the venue counts anew.
    assert judged("chain", start, update(7, 7, 6)) == [GAP]
    twice = update(15, 15, 10)
    assert judged("chain", start, twice, update(16, 16, 15), twice) == [APPLY, APPLY, IGNORE]
    assert judged("chain", start, update(17, 17, 16)) == [GAP]


@pytest.mark.parametrize("name", ["chain", "contiguous"])
def test_older_shapes_without_numbers_are_taken_as_they_come(name: str) -> None:
    start = update(-1, 700, snapshot=True)
    assert judged(name, start, update(-1, 900), update(-1, 800)) == [APPLY, APPLY]
    numbered = update(7, 7, -1, snapshot=True)
    assert judged(name, numbered, update(-1, 900, 800)) == [GAP], "numbers do not just stop"


def test_contiguous_by_the_book() -> None:
    start = update(10, 10, snapshot=True)
    assert judged("contiguous", start, update(11, 11), update(11, 11), update(13, 13)) == [
        APPLY, IGNORE, GAP,
    ]  # fmt: skip


def test_connection_sequence() -> None:
    sequence = ConnectionSequence()
    assert [sequence.judge(seq) for seq in (0, 1, 1, 2, 4, 5)] == [
        APPLY, APPLY, IGNORE, APPLY, GAP, APPLY,
    ]  # fmt: skip
    assert sequence.reason == "expected message 3 of the connection, got 4"
    again = [sequence.judge(5) for _ in range(OLD_LIMIT)]
    assert again == [IGNORE] * (OLD_LIMIT - 1) + [GAP]
    assert sequence.judge(3) == GAP, "below its beginning, so it is counted anew"
    assert sequence.judge(4) == APPLY, "it has taken the stream's word for where it is"


def test_within_a_connection_numbers_only_rise() -> None:
    start = update(10, 10, snapshot=True)
    assert judged("conn_seq", start, update(12, 12), update(12, 12), update(11, 11)) == [
        APPLY, APPLY, IGNORE,
    ]  # fmt: skip


def test_whole_books_must_not_go_back_in_time() -> None:
    market = MarketBook("v", "A/B", "snapshot_only")
    assert market.on_depth(update(20, 20, snapshot=True)) & Change.STATE
    assert market.on_depth(update(19, 19, snapshot=True)) == Change.NONE
    assert market.on_depth(update(21, 21, snapshot=True)) == Change.UPDATED
    assert market.on_depth(update(22, 22)) & Change.GAP


@pytest.mark.parametrize("name", ["chain", "contiguous", "conn_seq", "unnumbered"])
def test_what_comes_before_the_snapshot_is_not_kept(name: str) -> None:
    market = MarketBook("v", "A/B", name)
    assert market.on_depth(update(11, 11, 10)) == Change.NONE
    assert not market._buffer
    assert market.on_depth(update(20, 20, snapshot=True)) & Change.STATE
    assert (state(market), market.deltas) == ("LIVE", 0)


def test_a_depth_is_kept_as_the_venue_keeps_it() -> None:
    def book(count: int) -> DepthUpdate:
        bids = [(100.0 - level, 1.0) for level in range(count)]
        asks = [(101.0 + level, 1.0) for level in range(count)]
        return DepthUpdate("v", "A/B", True, -1, -1, -1, None, bids, asks, 0, 0)

    def add(bid: float) -> DepthUpdate:
        return DepthUpdate("v", "A/B", False, -1, -1, -1, None, [(bid, 1.0)], [], 0, 0)

    market = MarketBook("v", "A/B", "unnumbered+depth:10,25")
    market.on_depth(book(10))
    market.on_depth(add(100.5))
    assert market.book.bid_count == 10
    market.on_depth(book(24))
    market.on_depth(add(100.5))
    assert market.book.bid_count == 25, "not full, so it is of the next depth"
    market.on_depth(add(100.6))
    assert market.book.bid_count == 25
    assert min(market.book.sizes("buy")) == 78.0


def test_a_crossed_book_is_not_live_until_it_uncrosses() -> None:
    def bid(price: float, size: float, seq: int, at: int) -> DepthUpdate:
        return DepthUpdate("v", "A/B", False, seq, seq, -1, None, [(price, size)], [], at, at)

    market = MarketBook("v", "A/B", "contiguous")
    market.on_depth(update(10, 10, snapshot=True))
    assert market.on_depth(bid(101.0, 1.0, 11, 1)) == Change.UPDATED | Change.STATE
    assert (state(market), market.reason) == ("STALE", "the book is crossed: bid 101.0, ask 101.0")
    assert market.crossed
    assert market.on_depth(bid(98.0, 1.0, 12, 2)) == Change.UPDATED
    assert market.on_depth(bid(98.0, 1.0, 12, 2)) == Change.NONE, "a duplicate does not revive it"
    assert market.on_depth(bid(101.0, 0.0, 13, 3)) == Change.UPDATED | Change.STATE
    assert (state(market), market.gaps) == ("LIVE", 0)

    market.on_depth(bid(102.0, 1.0, 14, 4))
    assert market.on_depth(bid(97.0, 1.0, 15, 5 + CROSSED_LIMIT_NS)) & Change.GAP
    assert (state(market), market.reason) == ("SYNCING", "the book stays crossed")


@pytest.mark.parametrize(
    "name", ["", "hope", "chain+contiguous", "crc", "crc:kraken", "crc:md5:10", "crc:kraken:0",
             "chain:5", "depth:x", "unnumbered+depth:"],
)  # fmt: skip
def test_names_that_are_not_understood(name: str) -> None:
    with pytest.raises(BadInput, match=r"allowed: "):
        make_integrity(name)


def test_a_checksum_without_its_text_proves_nothing() -> None:
    market = MarketBook("v", "A/B", "unnumbered+crc:colon:25")
    whole = update(-1, -1, snapshot=True)._replace(checksum=5)
    assert market.on_depth(whole) & Change.GAP
    assert market.checksums == (0, 1)
