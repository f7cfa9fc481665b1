"""Stop losses and take profits wait for the last trade and go to the book when it passes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exchange_kit import BTC, RICH, Floor, check_books, check_cash

from citadel_micro.sim.exchange.model import OrderEvent, OrderRefused

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import OrderType, Placed, Side


def stop(floor: Floor, side: Side, kind: OrderType, away: int, ticks: int = 0) -> Placed:
    """A stop ``away`` ticks from the last price."""
    spec = floor.feed.specs[BTC]
    at = floor.exchange.last_ticks(BTC) + away
    return floor.place("ann", side, 10, ticks, type=kind, stop_e8=at * spec.tick_e8)


def trade_at(floor: Floor, away: int) -> None:
    """Have bob take all up to ``away`` ticks from the last price, where one more lot is put."""
    ticks = floor.exchange.last_ticks(BTC) + away
    book = floor.feed.book(BTC)
    bid, ask = floor.best()
    assert ticks <= bid or ticks >= ask
    if ticks <= bid:
        book.put("bid", ticks, book.anonymous("bid", ticks) + 1)
        lots = sum(n for at, n in book.bid_lots.items() if at >= ticks)
        floor.place("bob", "SELL", lots, ticks, time_in_force="IOC")
    else:
        book.put("ask", ticks, book.anonymous("ask", ticks) + 1)
        lots = sum(n for at, n in book.ask_lots.items() if at <= ticks)
        floor.place("bob", "BUY", lots, ticks, time_in_force="IOC")


@pytest.mark.parametrize(
    ("side", "kind", "away", "quiet"),
    [
        ("SELL", "STOP_LOSS_LIMIT", -300, 300),
        ("SELL", "TAKE_PROFIT_LIMIT", 300, -300),
        ("BUY", "STOP_LOSS_LIMIT", 300, -300),
        ("BUY", "TAKE_PROFIT_LIMIT", -300, 300),
    ],
)
def test_each_kind_triggers_on_its_side_only(
    side: Side, kind: OrderType, away: int, quiet: int
) -> None:
    floor = Floor()
    last = floor.exchange.last_ticks(BTC)
    price = last + (3000 if side == "SELL" else -3000)  # rests once it is triggered
    mine = stop(floor, side, kind, away, price)
    assert (mine.order.status, mine.order.working) == ("NEW", False)
    check_books(floor.exchange, floor.feed, floor.accounts)
    trade_at(floor, quiet)
    assert not floor.order(mine).triggered
    floor.exchange.drain()
    trade_at(floor, last + away - floor.exchange.last_ticks(BTC))
    now = floor.order(mine)
    assert now.triggered
    assert now.working
    told = [
        event.cause
        for event in floor.exchange.drain()
        if isinstance(event, OrderEvent) and event.order.order_id == now.order_id
    ]
    assert told == ["NEW"]
    check_books(floor.exchange, floor.feed, floor.accounts)
    check_cash(floor.exchange, floor.accounts, RICH)


@pytest.mark.parametrize(
    ("side", "kind", "away"),
    [
        ("SELL", "STOP_LOSS", 5),
        ("SELL", "TAKE_PROFIT", -5),
        ("BUY", "STOP_LOSS", -5),
        ("BUY", "TAKE_PROFIT", 5),
        ("BUY", "TAKE_PROFIT", 0),
    ],
)
def test_a_stop_that_would_trigger_at_once_is_refused(
    side: Side, kind: OrderType, away: int
) -> None:
    floor = Floor()
    with pytest.raises(OrderRefused) as refused:
        stop(floor, side, kind, away)
    assert refused.value.reason == "WOULD_TRIGGER"
    assert floor.exchange.open_orders("ann") == []


def test_a_stop_at_market_sells_when_triggered_and_is_cancelled_before() -> None:
    floor = Floor()
    kept = stop(floor, "SELL", "STOP_LOSS", -100)
    gone = stop(floor, "SELL", "STOP_LOSS", -100)
    lot = floor.feed.specs[BTC].lot_e8
    assert floor.exchange.balances("ann")["BTC"][1] == 20 * lot
    floor.exchange.cancel("ann", BTC, order_id=gone.order.order_id)
    assert floor.exchange.balances("ann")["BTC"][1] == 10 * lot
    trade_at(floor, -200)
    assert floor.order(kept).status == "FILLED"
    assert floor.order(gone).status == "CANCELED"
    assert floor.exchange.balances("ann")["BTC"][1] == 0
    check_cash(floor.exchange, floor.accounts, RICH)


def test_a_stop_at_market_that_has_become_too_dear_expires() -> None:
    floor = Floor(accounts=("bob",))
    unit = floor.exchange.rules[BTC].unit_e8
    spec = floor.feed.specs[BTC]
    at = floor.exchange.last_ticks(BTC) + 100
    floor.exchange.open_account("ann", {"USDT": 10 * at * unit})
    mine = floor.place("ann", "BUY", 10, type="STOP_LOSS", stop_e8=at * spec.tick_e8)
    trade_at(floor, 600)
    now = floor.order(mine)
    assert (now.status, now.expiry, now.filled_lots) == ("EXPIRED", "FUNDS", 0)
    assert floor.exchange.balances("ann")["USDT"] == (10 * at * unit, 0)


def test_one_stops_trades_trigger_the_next() -> None:
    floor = Floor()
    lots = sum(floor.feed.book(BTC).bid_lots.values()) // 4
    spec = floor.feed.specs[BTC]
    last = floor.exchange.last_ticks(BTC)
    floor.exchange.deposit("ann", "BTC", 3 * lots * spec.lot_e8)
    mine = [
        floor.place("ann", "SELL", lots, type="STOP_LOSS", stop_e8=(last - away) * spec.tick_e8)
        for away in (100, 300)
    ]
    trade_at(floor, -150)
    assert [floor.order(each).status for each in mine] == ["FILLED", "FILLED"]


def test_the_flows_trades_trigger_as_well() -> None:
    floor = Floor(still=False)
    floor.step(2_000_000_000)
    mine = [stop(floor, "SELL", "STOP_LOSS", -1), stop(floor, "BUY", "STOP_LOSS", 1)]
    for _ in range(600):
        floor.step(100_000_000)
    assert all(floor.order(each).status == "FILLED" for each in mine)
    for each in mine:
        now = floor.order(each)
        assert now.time_ns < now.working_ns <= now.update_ns


def test_a_stop_counts_for_the_filter_until_it_has_triggered() -> None:
    floor = Floor()
    last = floor.exchange.last_ticks(BTC)
    for _ in range(5):
        stop(floor, "SELL", "STOP_LOSS_LIMIT", -100, last + 3000)
    with pytest.raises(OrderRefused) as refused:
        stop(floor, "SELL", "STOP_LOSS_LIMIT", -100, last + 3000)
    assert refused.value.filter == "MAX_NUM_ALGO_ORDERS"
    trade_at(floor, -150)
    stop(floor, "SELL", "STOP_LOSS_LIMIT", -100, last + 3000)
