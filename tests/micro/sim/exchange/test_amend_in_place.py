"""Amends in price and quantity on spot, as at Kraken, OKX and Bybit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from exchange_kit import BTC, RICH, Floor, check_books, check_cash, synthetic

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.model import Order, OrderRefused, Placed
from citadel_micro.sim.exchange.rules import SymbolRules

ACCOUNTS = ("ann", "bob")


@pytest.fixture
def floor() -> Floor:
    feed = synthetic()
    rules = {
        symbol: replace(
            SymbolRules.of(spec),
            min_notional_e8=0,
            max_notional_e8=10**20,
            max_amends=1_000,
            in_place=True,
        )
        for symbol, spec in feed.specs.items()
    }
    return Floor(feed=feed, rules=rules, fees=FeePlan(asset="quote"))


def amend(floor: Floor, placed: Placed, lots: int, ticks: int, *, post_only: bool = False) -> Order:
    spec = floor.feed.specs[BTC]
    return floor.exchange.amend(
        "ann",
        BTC,
        order_id=placed.order.order_id,
        quantity_e8=lots * spec.lot_e8,
        price_e8=ticks * spec.tick_e8,
        post_only=post_only,
    )


def checked(floor: Floor) -> None:
    check_books(floor.exchange, floor.feed, ACCOUNTS)
    check_cash(floor.exchange, ACCOUNTS, RICH)


def test_a_smaller_order_keeps_its_place_and_its_name(floor: Floor) -> None:
    price = floor.best()[0] + 1
    mine = floor.place("ann", "BUY", 100, price, client_id="mine")
    floor.place("bob", "BUY", 100, price)
    changed = amend(floor, mine, 60, price)
    assert (changed.lots, changed.client_id, changed.status) == (60, "mine", "NEW")
    floor.place("bob", "SELL", 60, price)
    assert floor.order(mine).status == "FILLED"
    checked(floor)


def test_a_larger_order_goes_to_the_back(floor: Floor) -> None:
    price = floor.best()[0] + 1
    mine = floor.place("ann", "BUY", 100, price)
    floor.place("bob", "BUY", 50, price, stp="NONE")
    amend(floor, mine, 101, price)
    floor.place("bob", "SELL", 50, price, stp="NONE")
    assert floor.order(mine).filled_lots == 0
    checked(floor)


def test_a_new_price_moves_the_order_and_what_it_locks(floor: Floor) -> None:
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 100, bid - 100)
    before = floor.exchange.balances("ann")["USDT"]
    moved = amend(floor, mine, 100, bid - 50)
    assert moved.ticks == bid - 50
    assert floor.exchange.balances("ann")["USDT"][1] > before[1]
    assert floor.causes() == ["NEW", "REPLACED"]
    checked(floor)


def test_an_amend_that_crosses_takes(floor: Floor) -> None:
    bid, ask = floor.best()
    mine = floor.place("ann", "BUY", 100, bid - 100)
    assert amend(floor, mine, 100, ask).filled_lots > 0
    checked(floor)


@pytest.mark.parametrize("kind", ["LIMIT", "LIMIT_MAKER"])
def test_a_post_only_amend_that_crosses_is_refused_and_the_order_stays(
    floor: Floor, kind: str
) -> None:
    bid, ask = floor.best()
    mine = floor.place("ann", "BUY", 100, bid - 100, type=kind)
    with pytest.raises(OrderRefused) as refused:
        amend(floor, mine, 100, ask, post_only=kind == "LIMIT")
    assert refused.value.reason == "WOULD_TAKE"
    still = floor.order(mine)
    assert (still.ticks, still.status, still.amends) == (bid - 100, "NEW", 0)
    checked(floor)


def test_not_more_than_is_filled_cancels_the_rest(floor: Floor) -> None:
    price = floor.best()[0] + 1
    mine = floor.place("ann", "BUY", 100, price)
    floor.place("bob", "SELL", 40, price)
    ended = amend(floor, mine, 40, price)
    assert (ended.status, ended.filled_lots) == ("CANCELED", 40)
    checked(floor)


def test_what_cannot_be_paid_changes_nothing(floor: Floor) -> None:
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 100, bid - 100)
    floor.exchange.deposit("ann", "USDT", -floor.exchange.available("ann", "USDT"))
    before = floor.exchange.balances("ann")
    with pytest.raises(OrderRefused) as refused:
        amend(floor, mine, 200, bid - 100)
    assert refused.value.reason == "INSUFFICIENT_BALANCE"
    assert floor.exchange.balances("ann") == before
    assert floor.order(mine).lots == 100
