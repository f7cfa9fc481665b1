"""Resting orders on paper: queue position, what a trade fills, own orders that meet."""

from __future__ import annotations

import pytest
from paper_kit import Bench, quiet_config
from paper_requests import cancel, rejection


def test_first_come_first_served() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)  # behind 1.0 that is shown
    bench.settle()
    bench.trade(100.0, 0.9, "sell")
    bench.settle()
    assert bench.fills(order) == []
    bench.trade(100.0, 0.3, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 20, "maker")]


def test_a_trade_through_our_price_fills_us_at_our_price_for_what_was_traded() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    bench.trade(99.0, 0.2, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 20, "maker")]
    bench.trade(99.0, 7.0, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 20, "maker"), (100, 30, "maker")]
    done = bench.done(order)
    assert done is not None
    assert done.status == "filled"


def test_a_buyer_does_not_fill_a_bid() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    bench.trade(100.0, 50.0, "buy")
    bench.settle()
    assert bench.fills(order) == []


def test_a_trade_beyond_our_price_leaves_nobody_ahead_of_us() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)  # behind 1.0 that is shown
    bench.settle()
    bench.trade(99.0, 0.1, "sell")
    bench.trade(100.0, 0.1, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 10, "maker"), (100, 10, "maker")]


@pytest.mark.parametrize("model", ["pessimistic", "expected"])
def test_an_offer_at_our_price_is_no_trade(model: str) -> None:
    bench = Bench(config=quiet_config(queue_model=model))
    order = bench.order("buy", 101, 50)
    bench.settle()
    for size in (0.2, 0.0, 0.2, 0.4):
        bench.depth([], [(101.0, size)])
    bench.settle()
    assert bench.fills(order) == []
    bench.trade(101.0, 0.1, "sell")
    bench.settle()
    assert bench.fills(order) == [(101, 10, "maker")]


def test_at_best_an_offer_fills_us_once_however_often_it_comes_back() -> None:
    bench = Bench(config=quiet_config(queue_model="optimistic"))
    first = bench.order("buy", 101, 50)
    bench.settle()
    for size in (0.2, 0.0, 0.2, 0.1, 0.2, 0.0):
        bench.depth([], [(101.0, size)])
    bench.settle()
    assert bench.fills(first) == [(101, 20, "maker")]
    bench.send(cancel(first))
    second = bench.order("buy", 101, 50)
    bench.settle()
    bench.depth([], [(101.0, 0.2)])
    bench.depth([], [(101.0, 0.3)])
    bench.settle()
    assert bench.fills(second) == [(101, 10, "maker")]


def test_one_trade_is_one_pool_for_all_our_orders_best_price_first_then_oldest() -> None:
    bench = Bench(bids=[(98.0, 1.0)])
    low = bench.order("buy", 99, 50)
    old = bench.order("buy", 100, 20)
    bench.settle()
    new = bench.order("buy", 100, 20)
    bench.settle()
    bench.trade(99.0, 0.3, "sell")
    bench.settle()
    assert bench.fills(old) == [(100, 20, "maker")]
    assert bench.fills(new) == [(100, 10, "maker")]
    assert bench.fills(low) == []
    bench.trade(99.0, 0.3, "sell")
    bench.settle()
    assert bench.fills(new) == [(100, 10, "maker"), (100, 10, "maker")]
    assert bench.fills(low) == [(99, 20, "maker")]


def test_two_of_our_orders_in_one_queue_share_what_reaches_them() -> None:
    bench = Bench()
    first = bench.order("buy", 100, 30)
    bench.settle()
    second = bench.order("buy", 100, 30)
    bench.settle()
    bench.trade(100.0, 1.2, "sell")
    bench.settle()
    assert (bench.fills(first), bench.fills(second)) == ([(100, 20, "maker")], [])
    bench.trade(100.0, 0.2, "sell")
    bench.settle()
    assert bench.fills(first)[1:] == [(100, 10, "maker")]
    assert bench.fills(second) == [(100, 10, "maker")]


def ending(bench: Bench, order: str) -> tuple[str, str]:
    done = bench.done(order)
    assert done is not None
    return done.status, done.reason


def test_a_taker_that_meets_our_own_order_ends_it_and_goes_on() -> None:
    bench = Bench()
    own = bench.order("sell", 102, 50)  # behind 1.0
    bench.settle()
    taker = bench.order("buy", 103, 200, ioc=True)
    bench.settle()
    assert bench.fills(taker) == [(102, 100, "taker"), (103, 100, "taker")]
    assert bench.fills(own) == []
    assert ending(bench, own) == ("expired", "self-trade prevention")


def test_a_taker_never_passes_our_own_order_to_the_book_behind_it() -> None:
    bench = Bench(config=quiet_config(self_trade="expire_taker"))
    own = bench.order("sell", 101, 50)  # alone between the best prices
    bench.settle()
    taker = bench.order("buy", 103, 200)
    bench.settle()
    assert bench.fills(taker) == []
    assert ending(bench, taker) == ("expired", "self-trade prevention")
    assert bench.venue.orders[own].open


def test_what_is_ahead_of_our_own_order_trades_first() -> None:
    bench = Bench(config=quiet_config(self_trade="expire_both"))
    own = bench.order("sell", 102, 50)
    bench.settle()
    bench.trade(102.0, 0.7, "buy")
    taker = bench.order("buy", 102, 200)
    bench.settle()
    assert bench.fills(taker) == [(102, 30, "taker")]
    assert {ending(bench, own)[0], ending(bench, taker)[0]} == {"expired"}
    assert bench.venue.ledger.purse("BTC").used == 0
    assert bench.venue.ledger.purse("USDT").used == 0


def test_post_only_is_rejected_at_the_price_of_our_own_order_too() -> None:
    bench = Bench()
    bench.order("sell", 101, 50)
    bench.settle()
    bench.order("buy", 101, 10, post_only=True)
    assert rejection(bench) == "POST_ONLY"


def test_what_ends_by_meeting_leaves_other_orders_alone() -> None:
    bench = Bench()
    far = bench.order("sell", 104, 50)
    bench.settle()
    taker = bench.order("buy", 103, 50, ioc=True)
    bench.settle()
    assert bench.fills(taker) == [(102, 50, "taker")]
    assert bench.venue.orders[far].open
