"""Balances, locks and commission, to the last unit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from exchange_kit import BTC, RICH, START, Floor, check_cash, synthetic

from citadel_micro.sim.exchange.accounts import FeePlan, OrderCounts
from citadel_micro.sim.exchange.model import BalanceEvent, OrderRefused
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow_symbols import E8, SymbolSpec
from citadel_proto.errors import BadInput, InvariantError

SECOND = 1_000_000_000


def test_placing_locks_and_cancelling_gives_back() -> None:
    floor = Floor()
    bid, ask = floor.best()
    unit = floor.exchange.rules[BTC].unit_e8
    buy = floor.place("ann", "BUY", 10, bid)
    sell = floor.place("ann", "SELL", 10, ask)
    balances = floor.exchange.balances("ann")
    lot = floor.feed.specs[BTC].lot_e8
    assert balances["USDT"] == (RICH["USDT"] - 10 * bid * unit, 10 * bid * unit)
    assert balances["BTC"] == (RICH["BTC"] - 10 * lot, 10 * lot)
    for placed in (buy, sell):
        floor.exchange.cancel("ann", BTC, order_id=placed.order.order_id)
    assert {a: n for a, (n, _) in floor.exchange.balances("ann").items()} == RICH


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_what_is_not_free_cannot_be_ordered_with(side: str) -> None:
    floor = Floor(accounts=("ann",))
    bid, ask = floor.best()
    lot, unit = floor.feed.specs[BTC].lot_e8, floor.exchange.rules[BTC].unit_e8
    floor.exchange.open_account("poor", {"USDT": 10 * bid * unit, "BTC": 10 * lot})
    ticks = bid if side == "BUY" else ask
    floor.exchange.place("poor", floor.ask("poor", "BUY" if side == "BUY" else "SELL", 6, ticks))
    before = floor.exchange.balances("poor")
    for lots in (5, 11):
        with pytest.raises(OrderRefused) as refused:
            floor.exchange.place(
                "poor", floor.ask("poor", "BUY" if side == "BUY" else "SELL", lots, ticks)
            )
        assert refused.value.reason == "INSUFFICIENT_BALANCE"
    assert floor.exchange.balances("poor") == before
    floor.exchange.place("poor", floor.ask("poor", "BUY" if side == "BUY" else "SELL", 4, ticks))


def test_a_market_buy_that_costs_more_than_there_is_is_refused_whole() -> None:
    floor = Floor(accounts=())
    unit = floor.exchange.rules[BTC].unit_e8
    _, ask = floor.best()
    floor.exchange.open_account("poor", {"USDT": 10 * ask * unit - 1})
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.place("poor", floor.ask("poor", "BUY", 10))
    assert refused.value.reason == "INSUFFICIENT_BALANCE"
    floor.exchange.deposit("poor", "USDT", 1)
    assert floor.exchange.place("poor", floor.ask("poor", "BUY", 10)).order.status == "FILLED"
    assert floor.exchange.balances("poor")["USDT"] == (0, 0)


def test_fees_are_taken_of_what_is_received() -> None:
    floor = Floor()
    bought = floor.place("ann", "BUY", 100).fills[0]
    sold = floor.place("ann", "SELL", 100).fills[0]
    assert (bought.fee_asset, sold.fee_asset) == ("BTC", "USDT")
    assert bought.fee_e8 == 100 * floor.feed.specs[BTC].lot_e8 // 1000
    assert sold.fee_e8 == sold.quote_e8 // 1000


def test_a_maker_pays_the_makers_rate() -> None:
    floor = Floor(fees=FeePlan(maker_e8=20_000, taker_e8=75_000, asset="quote"))
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 1000, bid)
    fill = floor.exchange.fill("ann", BTC, order_id=mine.order.order_id)
    assert (fill.fee_e8, fill.fee_asset) == (fill.quote_e8 * 20_000 // E8, "USDT")
    took = floor.place("ann", "BUY", 1000).fills[0]
    assert (took.fee_e8, took.fee_asset) == (took.quote_e8 * 75_000 // E8, "USDT")
    check_cash(floor.exchange, floor.accounts, RICH)


def test_fees_in_bnb_have_a_discount_and_fall_back_when_bnb_is_short() -> None:
    floor = Floor(feed=synthetic(1, (BTC, "BNB/USDT")), fees=FeePlan(asset="bnb"), accounts=())
    floor.exchange.open_account("ann", {"USDT": 10**6 * E8, "BNB": 100_000})
    plan = FeePlan(asset="bnb")
    floor.exchange.set_fees("ann", plan)
    first = floor.exchange.place("ann", floor.ask("ann", "BUY", 100)).fills[0]
    price = floor.exchange.last_ticks("BNB/USDT") * floor.feed.specs["BNB/USDT"].tick_e8
    assert first.fee_asset == "BNB"
    assert first.fee_e8 == first.quote_e8 * 75_000 // price
    second = floor.exchange.place("ann", floor.ask("ann", "BUY", 1000)).fills[0]
    assert second.fee_asset == "BTC"
    assert floor.exchange.balances("ann")["BNB"] == (100_000 - first.fee_e8, 0)


def test_without_a_market_for_bnb_its_fee_falls_back() -> None:
    floor = Floor(fees=FeePlan(asset="bnb"))
    assert floor.place("ann", "BUY", 100).fills[0].fee_asset == "BTC"


def test_a_rate_that_rises_under_a_resting_buy_never_makes_a_balance_negative() -> None:
    floor = Floor(accounts=())
    bid, _ = floor.best()
    unit = floor.exchange.rules[BTC].unit_e8
    floor.exchange.open_account("ann", {"USDT": 1000 * bid * unit})
    floor.exchange.set_fees("ann", FeePlan(maker_e8=0, taker_e8=0, asset="quote"))
    placed = floor.exchange.place("ann", floor.ask("ann", "BUY", 1000, bid))
    floor.exchange.set_fees("ann", FeePlan(maker_e8=E8 // 10, taker_e8=0, asset="quote"))
    fill = floor.exchange.fill("ann", BTC, order_id=placed.order.order_id)
    assert fill.fee_e8 == 0
    assert floor.exchange.balances("ann")["USDT"] == (0, 0)


def test_deposits_and_withdrawals_are_in_the_ledger_and_told() -> None:
    floor = Floor()
    floor.exchange.drain()
    floor.exchange.deposit("ann", "ETH", 5)
    floor.exchange.deposit("ann", "ETH", -2)
    with pytest.raises(OrderRefused):
        floor.exchange.deposit("ann", "ETH", -4)
    told = [event for event in floor.exchange.drain() if isinstance(event, BalanceEvent)]
    assert [(event.balances, event.delta_e8) for event in told] == [
        ((("ETH", 5, 0),), 5),
        ((("ETH", 3, 0),), -2),
    ]
    ledger = floor.exchange.ledger("ann")
    assert [(m.kind, m.amount_e8) for m in ledger.movements] == [("deposit", 5), ("withdrawal", -2)]
    assert ledger.balances["ETH"] == 3


def test_the_ledger_is_every_fill_and_adds_up() -> None:
    floor = Floor()
    for _ in range(5):
        floor.place("ann", "BUY", 70)
        floor.place("ann", "SELL", 70)
    ledger = floor.exchange.ledger("ann")
    assert list(ledger.fills) == floor.exchange.my_trades("ann", BTC)
    assert [fill.number for fill in ledger.fills] == list(range(1, len(ledger.fills) + 1))
    for asset, balance in ledger.balances.items():
        moved = sum(m.amount_e8 for m in ledger.movements if m.asset == asset)
        assert ledger.opening.get(asset, 0) + moved == balance


def test_an_account_without_the_permission_trades_nothing() -> None:
    floor = Floor()
    floor.exchange.open_account("reader", RICH, permissions=frozenset({"read"}))
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.place("reader", floor.ask("reader", "BUY", 10))
    assert refused.value.reason == "NO_PERMISSION"


def test_accounts_that_are_not_there_or_there_twice() -> None:
    floor = Floor()
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.balances("nobody")
    assert refused.value.reason == "UNKNOWN_ACCOUNT"
    with pytest.raises(InvariantError):
        floor.exchange.open_account("ann", {})
    with pytest.raises(InvariantError):
        floor.exchange.open_account("owing", {"USDT": -1})


def test_unfilled_orders_are_counted_in_windows_and_a_fill_gives_one_back() -> None:
    counts = OrderCounts()
    day = 86_400 * SECOND
    start = START // day * day
    for _ in range(3):
        counts.add(start + SECOND)
    counts.give_back(start + 2 * SECOND)
    assert counts.now(start + 9 * SECOND) == (2, 2)
    assert counts.now(start + 10 * SECOND) == (0, 2)
    counts.give_back(start + 10 * SECOND)
    assert counts.now(start + 10 * SECOND) == (0, 1)
    assert counts.now(start + day) == (0, 0)


def test_placing_counts_and_only_the_first_fill_gives_back() -> None:
    floor = Floor()
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 10, bid)
    floor.place("ann", "BUY", 10, bid - 1)
    assert floor.exchange.order_counts("ann") == (2, 2)
    for _ in range(2):
        floor.exchange.fill("ann", BTC, order_id=mine.order.order_id, lots=3)
    assert floor.exchange.order_counts("ann") == (1, 1)
    floor.place("ann", "BUY", 10)
    assert floor.exchange.order_counts("ann") == (1, 1)


def test_steps_whose_product_is_finer_than_cash_are_refused() -> None:
    spec = SymbolSpec(base="A", quote="B", tick_e8=1, lot_e8=1, min_notional_e8=0)
    with pytest.raises(BadInput, match="finer than eight decimals"):
        SymbolRules.of(spec)
    good = SymbolRules.of(replace(spec, lot_e8=E8))
    assert good.unit_e8 == 1
