"""The paper venue as an exchange: latency, rejects, taking, money."""

from __future__ import annotations

from decimal import Decimal

import pytest
from paper_kit import MS, SYMBOL, Bench, spot
from paper_requests import cancel, rejection

from citadel_micro.core.model.events import (
    BalancesUpdated,
    OrderAccepted,
    OrderRejected,
)


def test_nothing_happens_before_a_request_arrives_and_nothing_is_known_before_a_report_does() -> (
    None
):
    bench = Bench()
    bench.order("buy", 100, 10)
    assert bench.at(MS - 1) == []
    assert bench.venue.orders == {}
    assert bench.at(MS) == []
    assert len(bench.venue.orders) == 1
    (accepted, balances) = bench.at(2 * MS)
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(balances, BalancesUpdated)
    assert bench.venue.next_timer() is None


def test_below_the_minimum_quantity() -> None:
    bench = Bench(spot(min_lots=10))
    bench.order("buy", 100, 9)
    assert rejection(bench) == "BELOW_MIN"


def test_below_the_minimum_notional() -> None:
    bench = Bench()
    bench.order("buy", 100, 4)  # 4.00 of at least 5
    assert rejection(bench) == "BELOW_MIN"


def test_more_than_the_account_holds() -> None:
    bench = Bench()
    bench.order("buy", 100, 100_001)
    assert rejection(bench) == "INSUFFICIENT_FUNDS"
    bench.order("sell", 102, 1_001)
    assert rejection(bench) == "INSUFFICIENT_FUNDS"


def test_what_rests_is_locked_and_cannot_be_spent_twice() -> None:
    bench = Bench()
    first = bench.order("sell", 150, 600)
    bench.settle()
    bench.order("sell", 150, 600)
    assert rejection(bench) == "INSUFFICIENT_FUNDS"
    bench.send(cancel(first))
    bench.settle()
    bench.order("sell", 150, 600)
    assert isinstance(bench.settle()[0], OrderAccepted)


@pytest.mark.parametrize(("side", "price"), [("buy", 102), ("sell", 100), ("buy", 105)])
def test_post_only_never_takes(side: str, price: int) -> None:
    bench = Bench()
    bench.order("buy" if side == "buy" else "sell", price, 10, post_only=True)
    assert rejection(bench) == "POST_ONLY"


def test_a_request_that_arrives_after_its_window() -> None:
    bench = Bench()
    bench.order("buy", 100, 10, expires_ns=MS - 1)
    (report,) = bench.settle()
    assert isinstance(report, OrderRejected)
    assert "recvWindow" in report.text


def test_the_same_client_id_twice() -> None:
    bench = Bench()
    bench.order("buy", 100, 10)
    bench.settle()
    bench._orders = 0
    bench.order("buy", 100, 10)
    assert rejection(bench) == "DUPLICATE_ID"


def test_a_taker_walks_the_book_up_to_its_limit_and_the_rest_stays() -> None:
    bench = Bench()
    order = bench.order("buy", 102, 150)
    bench.settle()
    assert bench.fills(order) == [(102, 100, "taker")]
    assert bench.venue.orders[order].left == 50
    assert bench.done(order) is None


def test_an_ioc_remainder_expires_with_proof() -> None:
    bench = Bench()
    order = bench.order("buy", 103, 1_000, ioc=True)
    bench.settle()
    assert bench.fills(order) == [(102, 100, "taker"), (103, 200, "taker")]
    done = bench.done(order)
    assert done is not None
    assert (done.status, done.cumulative_lots) == ("expired", 300)


def taken(bench: Bench) -> list[tuple[int, int, str]]:
    order = bench.order("buy", 102, 1_000, ioc=True)
    bench.settle()
    return bench.fills(order)


def test_what_was_eaten_is_gone_and_only_growth_is_new() -> None:
    bench = Bench()
    assert taken(bench) == [(102, 100, "taker")]
    assert taken(bench) == []
    bench.depth([(98.0, 1.0)], [])  # elsewhere; 102 shows what it showed
    assert taken(bench) == []
    bench.depth([], [(102.0, 1.3)])
    assert taken(bench) == [(102, 30, "taker")]
    bench.depth([], [(102.0, 0.5)])
    assert taken(bench) == []
    bench.depth([], [(102.0, 0.8)])
    assert taken(bench) == [(102, 30, "taker")]


def test_a_level_that_vanished_starts_anew() -> None:
    bench = Bench()
    assert taken(bench) == [(102, 100, "taker")]
    bench.depth([], [(102.0, 0.0)])
    assert taken(bench) == []
    bench.depth([], [(102.0, 0.4)])
    assert taken(bench) == [(102, 40, "taker")]


def test_a_level_that_vanished_between_two_orders_starts_anew_too() -> None:
    bench = Bench()
    assert taken(bench) == [(102, 100, "taker")]
    bench.depth([], [(102.0, 0.0)])
    bench.depth([], [(102.0, 0.4)])
    assert taken(bench) == [(102, 40, "taker")]


def test_a_round_trip_costs_the_spread_and_two_fees() -> None:
    bench = Bench()
    bench.order("buy", 102, 100, ioc=True)
    bench.settle()
    purse = bench.venue.ledger.purse
    assert purse("BTC").free == Decimal("10.999")
    assert purse("USDT").free == Decimal(99_898)
    bench.order("sell", 100, 99, ioc=True)
    bench.settle()
    assert purse("BTC").free == Decimal("10.009")
    assert purse("USDT").free == Decimal(99_898) + Decimal(99) - Decimal("0.099")


def test_reduce_only_never_opens_a_perpetual_position() -> None:
    bench = Bench(spot(kind="linear", fee_side="quote"))
    bench.order("sell", 100, 10, reduce_only=True, ioc=True)
    assert rejection(bench) == "OTHER"
    bench.order("buy", 102, 10, ioc=True)
    bench.settle()
    close = bench.order("sell", 100, 10, reduce_only=True, ioc=True)
    bench.settle()
    assert bench.fills(close) == [(100, 10, "taker")]
    assert bench.venue.ledger.positions[SYMBOL].quantity == 0
