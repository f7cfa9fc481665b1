"""Clients' orders in a recorded market: it plays on, and what it tells hits them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from effort import examples
from exchange_kit import RICH, Floor, check_books, check_cash

from citadel_micro.sim.exchange.model import OrderEvent
from citadel_micro.sim.flow_book import Depth, Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch, FeedEvent
from citadel_micro.sim.flow_replay import Recorded, Recording, ReplayFeed
from citadel_micro.sim.flow_symbols import E8, SymbolSpec
from citadel_micro.sim.rng import SplitMix64

MS = 1_000_000
START = 1_763_800_020_000_000_000
SYMBOL = "BTC/USDT"
SPEC = SymbolSpec(base="BTC", quote="USDT", tick_e8=E8 // 100, lot_e8=E8 // 1000, min_notional_e8=0)
OPENING = Depth(100, ((1000, 50), (999, 60), (995, 70)), ((1003, 50), (1004, 60), (1010, 70)))


def batch(at: int, first: int, last: int, bids: dict[int, int], asks: dict[int, int]) -> Recorded:
    event = DepthBatch(at * MS, SYMBOL, first, last, tuple(bids.items()), tuple(asks.items()))
    return Recorded(at * MS, event)


def trade(at: int, number: int, ticks: int, lots: int, *, seller: bool) -> Recorded:
    return Recorded(at * MS, Print(at * MS, SYMBOL, number, ticks, lots, seller))


def floor_of(*events: Recorded, length: int = 10_000, loop: bool = False) -> Floor:
    recording = Recording({SYMBOL: SPEC}, {SYMBOL: OPENING}, events, length * MS)
    feed = ReplayFeed(recording, START, loop=loop, seed=1, history_minutes=10)
    return Floor(feed=feed, still=False)


def place(floor: Floor, side: str, lots: int, ticks: int) -> int:
    placed = floor.place("ann", "BUY" if side == "BUY" else "SELL", lots, ticks, symbol=SYMBOL)
    return placed.order.order_id


def filled(floor: Floor, order_id: int) -> int:
    return floor.exchange.order("ann", SYMBOL, order_id=order_id).filled_lots


def test_a_recorded_trade_hits_the_queue_behind_what_stood_there_first() -> None:
    floor = floor_of(
        trade(10, 7, 1000, 45, seller=True),
        trade(20, 8, 1000, 9, seller=True),
        batch(30, 101, 101, {1000: 20}, {}),
    )
    mine = place(floor, "BUY", 10, 1000)
    floor.step(15 * MS)
    assert filled(floor, mine) == 0
    floor.exchange.take_public()
    public = floor.exchange.advance(START + 25 * MS)
    assert filled(floor, mine) == 4
    prints = [event for event in public if isinstance(event, Print)]
    assert [(p.trade_id, p.lots) for p in prints] == [(8, 5), (9, 4)]
    floor.step(10 * MS)
    book = floor.feed.book(SYMBOL)
    assert (book.bid_lots[1000], book.anonymous("bid", 1000)) == (26, 20)


def test_a_recorded_trade_at_a_worse_price_meets_a_clients_better_order_first() -> None:
    floor = floor_of(trade(10, 7, 1000, 12, seller=True))
    mine = place(floor, "BUY", 10, 1001)
    public = floor.exchange.advance(START + 20 * MS)
    assert filled(floor, mine) == 10
    prints = [event for event in public if isinstance(event, Print)]
    assert [(p.trade_id, p.ticks, p.lots) for p in prints] == [(7, 1001, 10), (8, 1000, 2)]


@pytest.mark.parametrize("offered", [4, 10, 30])
def test_a_recorded_level_that_crosses_an_order_matches_it(offered: int) -> None:
    floor = floor_of(batch(10, 101, 103, {1000: 0, 999: 0}, {999: offered, 1003: 50}))
    mine = place(floor, "BUY", 10, 1001)
    public = floor.exchange.advance(START + 20 * MS)
    done = min(offered, 10)
    assert filled(floor, mine) == done
    (fill,) = floor.exchange.my_trades("ann", SYMBOL)
    assert (fill.ticks, fill.maker) == (1001, True)
    book = floor.feed.book(SYMBOL)
    assert book.ask_lots.get(999, 0) == offered - done
    assert book.bid_lots.get(1001, 0) == 10 - done
    shown = next(event for event in public if isinstance(event, DepthBatch) and event.asks)
    assert dict(shown.asks)[999] == offered - done
    check_books(floor.exchange, floor.feed, floor.accounts)
    check_cash(floor.exchange, floor.accounts, RICH)


def test_what_a_client_ate_is_gone_until_the_level_is_reported_again() -> None:
    floor = floor_of(batch(10, 101, 101, {}, {1004: 61}), batch(20, 102, 102, {}, {1003: 55}))
    place(floor, "BUY", 50, 1003)
    book = floor.feed.book(SYMBOL)
    assert 1003 not in book.ask_lots
    floor.step(15 * MS)
    assert book.asks[0] == 1004
    floor.step(10 * MS)
    assert book.ask_lots[1003] == 55


def test_quotes_show_clients_orders_and_return_to_the_recorded_ones_when_it_starts_over() -> None:
    recorded = Recorded(10 * MS, Quote(10 * MS, SYMBOL, 100, 1000, 50, 1003, 50))
    floor = floor_of(recorded, length=100, loop=True)
    mine = place(floor, "BUY", 10, 1001)
    quotes = [event for event in floor.exchange.take_public() if isinstance(event, Quote)]
    assert [(q.bid_ticks, q.bid_lots) for q in quotes] == [(1001, 10)]
    public = floor.exchange.advance(START + 90 * MS)
    assert [event for event in public if isinstance(event, Quote)] == []
    floor.exchange.cancel("ann", SYMBOL, order_id=mine)
    public = floor.exchange.advance(START + 120 * MS)
    assert [e.bid_ticks for e in public if isinstance(e, Quote)][-1] == 1000


def test_orders_stay_when_the_recording_starts_over_and_ids_go_on() -> None:
    floor = floor_of(
        batch(10, 101, 102, {1000: 30}, {1003: 30}),
        trade(20, 7, 1000, 3, seller=True),
        length=100,
        loop=True,
    )
    mine = place(floor, "BUY", 10, 1001)
    public: list[FeedEvent] = floor.exchange.take_public()
    for _ in range(7):
        public += floor.exchange.advance(floor.exchange.now_ns + 50 * MS)
        check_books(floor.exchange, floor.feed, floor.accounts)
    assert filled(floor, mine) == 10  # three lots a pass, and the last one of the fourth
    batches = [event for event in public if isinstance(event, DepthBatch)]
    trades = [event.trade_id for event in public if isinstance(event, Print)]
    assert all(b.first_id == a.last_id + 1 for a, b in pairwise(batches))
    assert all(b == a + 1 for a, b in pairwise(trades))


def test_a_stop_is_triggered_by_a_recorded_trade() -> None:
    floor = floor_of(trade(5, 6, 1003, 1, seller=False), trade(10, 7, 999, 1, seller=True))
    floor.step(6 * MS)
    stop = floor.place(
        "ann", "SELL", 10, symbol=SYMBOL, type="STOP_LOSS", stop_e8=1000 * SPEC.tick_e8
    )
    floor.step(10 * MS)
    assert floor.order(stop).status == "FILLED"


@pytest.mark.parametrize("seed", range(examples(6, 100)))
def test_a_random_recording_and_random_clients_keep_every_book(seed: int) -> None:
    """The recorded market wanders over the clients' prices; nothing crosses, nothing is lost."""
    rng = SplitMix64(seed)
    bids, asks = dict(OPENING.bids), dict(OPENING.asks)
    events: list[Recorded] = []
    number, middle = 101, 1001
    for at in range(1, 300):
        middle += rng.below(3) - 1
        changes: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for levels, change, low, high in (
            (bids, changes[0], middle - 6, middle),
            (asks, changes[1], middle + 1, middle + 7),
        ):
            for ticks in [ticks for ticks in levels if not low <= ticks < high]:
                change[ticks] = 0
                del levels[ticks]
            ticks = low + rng.below(high - low)
            change[ticks] = levels[ticks] = 1 + rng.below(40)
        size = len(changes[0]) + len(changes[1])
        events.append(batch(at * 10, number, number + size - 1, *changes))
        number += size
        if rng.uniform() < 0.5:
            events.append(
                trade(at * 10 + 2, at + 6, middle + rng.below(2), 1 + rng.below(20),
                      seller=rng.uniform() < 0.5)
            )  # fmt: skip
    floor = floor_of(*events, length=3_100, loop=True)
    public: list[FeedEvent] = []
    for _ in range(900):
        public += floor.exchange.advance(floor.exchange.now_ns + rng.below(15 * MS))
        account = floor.accounts[rng.below(2)]
        out = floor.exchange.open_orders(account)
        if out and rng.uniform() < 0.5:
            order_id = out[rng.below(len(out))].order_id
            floor.exchange.cancel(account, SYMBOL, order_id=order_id)
        else:
            book = floor.feed.book(SYMBOL)
            base = (book.bids or [1000])[-1] + rng.below(5) - 2
            side = "BUY" if rng.uniform() < 0.5 else "SELL"
            more = {"visible_e8": 5 * SPEC.lot_e8} if rng.uniform() < 0.3 else {}
            floor.place(
                account, "BUY" if side == "BUY" else "SELL", 1 + rng.below(30), base,
                symbol=SYMBOL, stp="NONE", **more,
            )  # fmt: skip
        public += floor.exchange.take_public()
        check_books(floor.exchange, floor.feed, floor.accounts)
    check_cash(floor.exchange, floor.accounts, RICH)
    trades = [event for event in floor.exchange.drain() if isinstance(event, OrderEvent)]
    makers = {event.fill.maker for event in trades if event.fill is not None}
    assert makers == {True, False}
    batches = [event for event in public if isinstance(event, DepthBatch)]
    assert all(b.first_id == a.last_id + 1 for a, b in pairwise(batches))
    shown = (dict(OPENING.bids), dict(OPENING.asks))
    for each in batches:
        for levels, told in zip(shown, (each.bids, each.asks), strict=True):
            levels.update(told)
        live = [{t for t, n in levels.items() if n} for levels in shown]
        assert max(live[0], default=0) < min(live[1], default=10**9)
    book = floor.feed.book(SYMBOL)
    assert {t: n for t, n in shown[0].items() if n} == book.bid_lots
    assert {t: n for t, n in shown[1].items() if n} == book.ask_lots
