"""An account's order that meets another one of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exchange_kit import BTC, Floor, check_books, inside

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import (
        StpMode,
    )


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.parametrize(
    ("mode", "sizes", "taker", "maker"),
    [
        ("EXPIRE_TAKER", (10, 30), ("EXPIRED_IN_MATCH", 10), ("NEW", 0)),
        ("EXPIRE_MAKER", (10, 30), ("NEW", 0), ("EXPIRED_IN_MATCH", 30)),
        ("EXPIRE_BOTH", (10, 30), ("EXPIRED_IN_MATCH", 10), ("EXPIRED_IN_MATCH", 30)),
        ("DECREMENT", (10, 30), ("EXPIRED_IN_MATCH", 10), ("NEW", 10)),
        ("DECREMENT", (30, 10), ("NEW", 10), ("EXPIRED_IN_MATCH", 10)),
        ("DECREMENT", (10, 10), ("EXPIRED_IN_MATCH", 10), ("EXPIRED_IN_MATCH", 10)),
    ],
)
def test_self_trades_are_prevented_as_the_taker_says(
    floor: Floor,
    mode: StpMode,
    sizes: tuple[int, int],
    taker: tuple[str, int],
    maker: tuple[str, int],
) -> None:
    price = inside(floor)
    rest = floor.place("ann", "BUY", sizes[1], price)
    placed = floor.place("ann", "SELL", sizes[0], price, stp=mode)
    assert placed.fills == ()
    assert (placed.order.status, placed.order.prevented_lots) == taker
    now = floor.order(rest)
    assert (now.status, now.prevented_lots) == maker
    assert len(placed.preventions) == 1
    assert floor.exchange.preventions("ann", BTC) == list(placed.preventions)
    check_books(floor.exchange, floor.feed, floor.accounts)


def test_without_prevention_both_sides_trade_under_one_trade_id(floor: Floor) -> None:
    price = inside(floor)
    floor.place("ann", "BUY", 10, price)
    before = floor.exchange.balances("ann")
    placed = floor.place("ann", "SELL", 10, price, stp="NONE")
    mine = floor.exchange.my_trades("ann", BTC)
    assert [fill.trade_id for fill in mine] == [placed.fills[0].trade_id] * 2
    assert sorted((fill.side, fill.maker) for fill in mine) == [("BUY", True), ("SELL", False)]
    after = floor.exchange.balances("ann")
    fees = {fill.fee_asset: fill.fee_e8 for fill in mine}
    for asset in ("BTC", "USDT"):
        assert sum(after[asset]) == sum(before[asset]) - fees[asset]


def test_the_operator_makes_an_order_trade_with_its_own_account(floor: Floor) -> None:
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 10, bid)  # behind anonymous size
    fill = floor.exchange.fill("ann", BTC, order_id=mine.order.order_id, against_self=True)
    assert fill.maker
    assert floor.order(mine).status == "FILLED"
    assert [f.trade_id for f in floor.exchange.my_trades("ann", BTC)] == [fill.trade_id] * 2
    other = floor.exchange.self_trade("ann", BTC, "SELL", 10)
    assert other.trade_id == fill.trade_id + 1
    assert [order.origin for order in floor.exchange.all_orders("ann", BTC)].count("foreign") == 3
    check_books(floor.exchange, floor.feed, floor.accounts)
