"""What a slow consumer is spared must not change what it ends with."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.capture.offline import CaptureDecoder
from citadel_micro.shell.marketdata.conflating_queue import ConflatingQueue, continues, strategy_of
from citadel_micro.shell.marketdata.decode import Control
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.marketdata.conflating_queue import Waiting

VENUE, SYMBOL = "somewhere", "BTC/USDT"
CAPTURES = {
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "okx-2026-checksum0.transcoded": "okx",
    "okx-2022": "okx",
    "bybit-v5-linear.transcoded": "bybit-linear",
    "kraken-v2.transcoded": "kraken-spot",
    "kraken-v1-2021": "kraken-v1",
    "kraken-futures-2021": "kraken-futures",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "coinbase-exchange-2021": "coinbase-exchange",
    "kucoin-spot-2021": "kucoin-spot",
    "bitget-spot-v1-2022": "bitget-v1",
}
NUMBERED = ("range_bridge_spot", "range_bridge_futures", "chain", "contiguous")


def change(
    first: int, last: int, prev: int, bids: list[tuple[float, float]], *, snapshot: bool = False
) -> DepthUpdate:
    return DepthUpdate(
        venue=VENUE,
        symbol=SYMBOL,
        snapshot=snapshot,
        first_seq=first,
        last_seq=last,
        prev_seq=prev,
        checksum=None,
        bids=bids,
        asks=[],
        exchange_ns=last,
        recv_ns=last,
    )


def trade(number: int) -> TradeTick:
    return TradeTick(VENUE, SYMBOL, str(number), 1.0, 1.0, "buy", number, number)


def quote(number: int) -> QuoteTick:
    return QuoteTick(VENUE, SYMBOL, number, 1.0, 1.0, 2.0, 1.0, number, number)


def stream(strategy: str, steps: list[tuple[float, float]], lost: int) -> list[DepthUpdate]:
    """A snapshot and so many changes; one of them may be missing."""
    updates = [change(10, 10, -1, [(1.0, 1.0)], snapshot=True)]
    for at, level in enumerate(steps):
        seq = 11 + at
        if at != lost:
            updates.append(change(seq, seq, seq - 1, [level]))
    assert strategy in NUMBERED
    return updates


@given(
    strategy=st.sampled_from(NUMBERED),
    steps=st.lists(
        st.tuples(st.integers(1, 5).map(float), st.integers(0, 3).map(float)), max_size=30
    ),
    lost=st.integers(-1, 40),
    pops=st.lists(st.integers(0, 3), min_size=31, max_size=31),
)
def test_joined_updates_come_to_the_same_book_and_hide_no_gap(
    strategy: str, steps: list[tuple[float, float]], lost: int, pops: list[int]
) -> None:
    plain, spared = (MarketBook(VENUE, SYMBOL, strategy) for _ in range(2))
    backlog = ConflatingQueue({VENUE: strategy})
    gaps = [0, 0]
    for update, count in zip(stream(strategy, steps, lost), pops, strict=False):
        gaps[0] += bool(plain.on_depth(update) & Change.GAP)
        backlog.push(update, update.recv_ns)
        for _ in range(min(count, len(backlog))):
            event, _ = backlog.pop()
            assert isinstance(event, DepthUpdate)
            gaps[1] += bool(spared.on_depth(event) & Change.GAP)
    while len(backlog):
        event, _ = backlog.pop()
        assert isinstance(event, DepthUpdate)
        gaps[1] += bool(spared.on_depth(event) & Change.GAP)
    assert gaps[0] == gaps[1], "a loss shows, whatever was joined before and after it"
    assert spared.state == plain.state
    if plain.state == "LIVE":
        assert spared.book.top(100) == plain.book.top(100)
        assert spared.last_seq == plain.last_seq


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_end_with_the_same_books_and_every_trade(shared_dir: Path, name: str) -> None:
    venue = CAPTURES[name]
    spec = venue_spec(venue)
    rng = random.Random(3)
    backlog = ConflatingQueue({venue: spec.integrity})
    books: tuple[dict[str, MarketBook], dict[str, MarketBook]] = ({}, {})
    trades: tuple[list[TradeTick], list[TradeTick]] = ([], [])

    def take(which: int, event: Waiting) -> None:
        if isinstance(event, TradeTick):
            trades[which].append(event)
        elif isinstance(event, DepthUpdate):
            book = books[which].get(event.symbol)
            if book is None:
                book = books[which][event.symbol] = MarketBook(venue, event.symbol, spec.integrity)
            book.on_depth(event)

    applied = 0
    path = shared_dir / "captures" / f"{name}.jsonl.gz"
    for decoded in CaptureDecoder(spec).decode(path):
        if decoded.line > 12_000:
            break
        for event in decoded.events:
            if not isinstance(event, Control):
                take(0, event)
                backlog.push(event, decoded.recv_ns)
        if rng.random() < 0.1:
            for _ in range(rng.randrange(1 + len(backlog))):
                applied += 1
                take(1, backlog.pop()[0])
    while len(backlog):
        take(1, backlog.pop()[0])
    assert trades[1] == trades[0]
    assert sum(backlog.conflated.values()) > applied / 10
    for symbol, plain in books[0].items():
        spared = books[1][symbol]
        assert (spared.state, spared.last_seq) == (plain.state, plain.last_seq), symbol
        # Changes before a fetched snapshot may set levels beyond its depth; joined, they are kept.
        assert spared.book.top(800) == plain.book.top(800), symbol
        assert spared.gaps == plain.gaps
        assert spared.checksums[1] == 0


def test_trades_and_states_keep_their_order_and_nothing_of_them_is_lost() -> None:
    backlog = ConflatingQueue({VENUE: "chain"})
    down = FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="gone", refused=False)
    events: list[Waiting] = [
        trade(1),
        change(2, 2, 1, [(1.0, 1.0)]),
        trade(3),
        quote(4),
        change(5, 5, 2, [(1.0, 2.0), (2.0, 1.0)]),
        quote(6),
        down,
        change(7, 7, 5, [(3.0, 1.0)]),
        trade(8),
        quote(9),
    ]
    for at, event in enumerate(events):
        backlog.push(event, at)
    assert backlog.oldest_ns() == 0
    assert backlog.conflated == {(VENUE, SYMBOL): 2}
    assert backlog.waiting == {(VENUE, SYMBOL): 8}
    left = [backlog.pop() for _ in range(len(backlog))]
    assert [type(event).__name__ for event, _ in left] == [
        *("TradeTick", "DepthUpdate", "TradeTick", "QuoteTick"),
        *("FeedStatus", "DepthUpdate", "TradeTick", "QuoteTick"),
    ]
    joined, since_ns = left[1]
    assert isinstance(joined, DepthUpdate)
    assert (joined.first_seq, joined.last_seq, joined.prev_seq) == (2, 5, 1)
    assert sorted(joined.bids) == [(1.0, 2.0), (2.0, 1.0)]
    assert (joined.recv_ns, since_ns) == (5, 1), "the levels are new, the wait is the oldest's"
    assert left[3][0] == events[5]
    assert backlog.oldest_ns() is None
    assert backlog.waiting == {(VENUE, SYMBOL): 0}


def test_a_snapshot_in_the_stream_takes_the_place_of_what_it_makes_void() -> None:
    backlog = ConflatingQueue({VENUE: "chain"})
    backlog.push(change(2, 2, 1, [(1.0, 1.0)]), 0)
    backlog.push(change(9, 9, -1, [(5.0, 1.0)], snapshot=True), 1)
    backlog.push(change(10, 10, 9, [(6.0, 1.0)]), 2)
    assert [backlog.pop()[0].recv_ns for _ in range(len(backlog))] == [9, 10]  # type: ignore[union-attr]


def test_a_fetched_snapshot_leaves_the_changes_that_join_it() -> None:
    backlog = ConflatingQueue({VENUE: "range_bridge_spot"})
    backlog.push(change(2, 9, 1, [(1.0, 1.0)]), 0)
    backlog.push(change(5, 5, -1, [(5.0, 1.0)], snapshot=True), 1)
    assert len(backlog) == 2


def test_what_does_not_continue_is_not_joined() -> None:
    for strategy in NUMBERED:
        last, gap = change(5, 5, 4, []), change(7, 7, 6, [])
        assert not continues(strategy, last, gap)
        assert not continues(strategy, last, last)
        assert continues(strategy, last, change(6, 6, 5, []))
    assert not continues("conn_seq", change(5, 5, 4, []), change(4, 4, 3, []))
    assert strategy_of("crc:kraken:10+unnumbered") == "unnumbered"
    assert strategy_of("chain+crc:colon:25") == "chain"
    assert strategy_of("crc:colon:25") == "unnumbered"
