"""Futures: mark and index, conditional orders, the countdown, margin calls, fees in BNB."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from effort import examples
from exchange_kit import BTC, SECOND, check_books, synthetic
from futures_kit import Pit, sum_of_all

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.futures_algos import AlgoRequest, AlgoType
from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.sim.exchange.model import OrderRefused, Side
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.sim.rng import SplitMix64

LOT = 1000


def algo(pit: Pit, side: Side, kind: AlgoType, ticks: int, **more: Any) -> AlgoRequest:  # noqa: ANN401 - any field
    spec = pit.feed.specs[BTC]
    more.setdefault("quantity_e8", 100 * spec.lot_e8)
    return AlgoRequest(symbol=BTC, side=side, type=kind, trigger_e8=ticks * spec.tick_e8, **more)


def states(pit: Pit) -> list[str]:
    return [each.status for each in pit.exchange.algos.drain()]


def push(pit: Pit, ticks: int) -> None:
    """Trade at a price by taking the book down to it."""
    book = pit.feed.book(BTC)
    lots = sum(n for price, n in book.bid_lots.items() if price >= ticks)
    pit.place("bob", "SELL", lots, ticks, time_in_force="IOC")


def test_a_trailing_stop_follows_from_its_activation_on() -> None:
    pit = Pit()
    bid, ask = pit.best()
    tick = pit.feed.specs[BTC].tick_e8
    wait = algo(pit, "SELL", "TRAILING_STOP_MARKET", ask + 1_000, trail_e4=100)
    added = pit.exchange.add_algo("ann", wait)
    algos = pit.exchange.algos

    def at(low: int, high: int) -> str:
        algos.trigger(BTC, "CONTRACT_PRICE", (low * tick, high * tick), pit.exchange.now_ns)
        return algos.find("ann", added.algo_id, "").status

    top = ask + 50_000
    edge = top - -(-top // 100)
    assert at(bid // 2, bid) == "NEW"  # not active
    assert at(bid, ask + 1_000) == "NEW"  # active from here on
    assert at(ask, top) == "NEW"  # it follows; what came before its best counts for nothing
    assert algos.find("ann", added.algo_id, "").best_e8 == top * tick
    assert at(edge + 1, top - 1) == "NEW"
    assert at(edge, top - 1) != "NEW"
    assert pit.lots() == -100


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_trailing_stop_without_a_price_is_active_at_once(side: Side) -> None:
    pit = Pit()
    last = pit.exchange.last_ticks(BTC)
    tick = pit.feed.specs[BTC].tick_e8
    added = pit.exchange.add_algo("ann", algo(pit, side, "TRAILING_STOP_MARKET", 0, trail_e4=10))
    assert added.best_e8 == last * tick
    off = last // 1_000 + 1
    low, high = (last, last + off) if side == "BUY" else (last - off, last)
    pit.exchange.algos.trigger(BTC, "CONTRACT_PRICE", (low * tick, high * tick), 1)
    assert abs(pit.lots()) == 100


def test_the_mark_is_a_median_that_one_book_cannot_push() -> None:
    feed = synthetic()
    index = 90_000 * E8
    exchange = FuturesExchange(feed, index=lambda _: index)
    middle = exchange.middle_e8(BTC)
    last = exchange.last_ticks(BTC) * feed.specs[BTC].tick_e8
    assert exchange.index_e8(BTC) == index
    fair = index + index * exchange.funding_e8[BTC] // E8
    low, high = sorted((middle, last))
    assert low <= exchange.mark_e8(BTC) <= max(high, min(fair, high))


@pytest.mark.parametrize(
    ("side", "kind", "factor"),
    [
        ("SELL", "STOP_MARKET", -200),
        ("SELL", "STOP", -200),
        ("BUY", "TAKE_PROFIT_MARKET", -200),
        ("BUY", "TAKE_PROFIT", -200),
    ],
)
def test_a_conditional_order_triggers_by_the_last_price(
    side: Side, kind: AlgoType, factor: int
) -> None:
    pit = Pit()
    bid, _ = pit.best()
    tick = pit.feed.specs[BTC].tick_e8
    limited = kind in {"STOP", "TAKE_PROFIT"}
    price = (bid - 5000 if side == "SELL" else bid + 5000) * tick if limited else 0
    added = pit.exchange.add_algo("ann", algo(pit, side, kind, bid + factor, price_e8=price))
    assert pit.exchange.balances("ann")["USDT"][1] == 0
    push(pit, bid - 100)
    assert states(pit) == ["NEW"]
    push(pit, bid - 250)
    done = pit.exchange.algos.find("ann", added.algo_id, "")
    order = pit.exchange.order("ann", BTC, order_id=done.order_id)
    assert order.client_id == added.client_id
    assert done.order_id > added.algo_id  # from one count: Freqtrade keeps both in one table
    assert abs(pit.lots()) == 100
    assert states(pit) == ["TRIGGERING", "TRIGGERED", "FINISHED"]
    check_books(pit.exchange, pit.feed, pit.accounts)


def test_what_would_trigger_at_once_is_refused_and_ids_are_unique_while_they_wait() -> None:
    pit = Pit()
    bid, ask = pit.best()
    with pytest.raises(OrderRefused) as refused:
        pit.exchange.add_algo("ann", algo(pit, "SELL", "STOP_MARKET", ask + 500))
    assert refused.value.reason == "WOULD_TRIGGER"
    named = algo(pit, "SELL", "STOP_MARKET", bid - 500, client_id="a")
    first = pit.exchange.add_algo("ann", named)
    with pytest.raises(OrderRefused) as refused:
        pit.exchange.add_algo("ann", named)
    assert refused.value.reason == "DUPLICATE_CLIENT_ID"
    pit.exchange.add_algo("bob", named)
    pit.exchange.algos.cancel("ann", first.algo_id, "", pit.exchange.now_ns)
    second = pit.exchange.add_algo("ann", named)
    assert pit.exchange.algos.find("ann", 0, "a") == second
    with pytest.raises(OrderRefused):
        pit.exchange.algos.cancel("bob", second.algo_id, "", pit.exchange.now_ns)


def test_a_conditional_order_whose_margin_is_gone_is_rejected_and_costs_nothing() -> None:
    pit = Pit(money=100)
    bid, _ = pit.best()
    tick = pit.feed.specs[BTC].tick_e8
    wide = algo(
        pit, "SELL", "STOP_MARKET", bid - 200, quantity_e8=10**6 * pit.feed.specs[BTC].lot_e8
    )
    pit.exchange.add_algo("ann", replace(wide, working="MARK_PRICE"))
    pit.exchange.set_mark(BTC, (bid - 300) * tick)
    assert states(pit) == ["NEW", "TRIGGERING", "REJECTED"]
    assert pit.exchange.balances("ann")["USDT"] == (100 * E8, 0)


def test_close_position_closes_what_is_held_then_and_expires_when_flat() -> None:
    pit = Pit()
    bid, _ = pit.best()
    tick = pit.feed.specs[BTC].tick_e8
    close = algo(pit, "SELL", "STOP_MARKET", bid - 200, quantity_e8=0, close_position=True)
    pit.exchange.add_algo("ann", replace(close, working="MARK_PRICE"))
    pit.place("ann", "BUY", 70)
    pit.exchange.set_mark(BTC, (bid - 300) * tick)
    assert pit.lots() == 0
    assert states(pit) == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    pit.exchange.set_mark(BTC, None)
    pit.exchange.add_algo("ann", replace(close, working="MARK_PRICE"))
    pit.exchange.set_mark(BTC, (bid - 300) * tick)
    assert states(pit) == ["NEW", "TRIGGERING", "EXPIRED"]


def test_the_countdown_cancels_one_symbol_at_its_time_and_can_be_stopped() -> None:
    pit = Pit()
    bid, _ = pit.best()
    mine = pit.place("ann", "BUY", 10, bid - 500)
    ada = pit.place("ann", "BUY", 1000, pit.best("ADA/USDT")[0] - 50, symbol="ADA/USDT")
    pit.exchange.count_down("ann", BTC, 5 * SECOND)
    pit.step(3 * SECOND)
    pit.exchange.count_down("ann", BTC, 5 * SECOND)
    due = pit.exchange.now_ns + 5 * SECOND
    pit.step(4 * SECOND)
    assert pit.order(mine).open
    pit.step(2 * SECOND)
    assert (pit.order(mine).status, pit.order(mine).update_ns) == ("CANCELED", due)
    assert pit.order(ada).open
    again = pit.place("ann", "BUY", 10, bid - 500)
    pit.exchange.count_down("ann", BTC, SECOND)
    pit.exchange.count_down("ann", BTC, 0)
    pit.step(10 * SECOND)
    assert pit.order(again).open


def test_margin_is_called_once_before_a_liquidation() -> None:
    pit = Pit()
    pit.exchange.set_isolated("ann", BTC, isolated=True)
    pit.place("ann", "BUY", 1000)
    view = pit.exchange.position("ann", BTC)
    near = view.liquidation_e8 + (view.entry_e8 - view.liquidation_e8) // 100
    pit.exchange.set_mark(BTC, near)
    pit.exchange.set_mark(BTC, near)
    assert pit.exchange.margin_calls == [("ann", (BTC,))]
    assert pit.lots() == 1000
    pit.exchange.set_mark(BTC, view.entry_e8)
    pit.exchange.set_mark(BTC, near)
    assert len(pit.exchange.margin_calls) == 2


def test_margin_of_orders_is_part_of_what_a_cross_position_stands_on() -> None:
    pit = Pit(money=200)
    bid, _ = pit.best()
    pit.exchange.set_leverage("ann", BTC, 20)
    pit.place("ann", "BUY", 2000)
    before = pit.exchange.position("ann", BTC).liquidation_e8
    resting = pit.place("ann", "BUY", 1500, bid - 4000)
    assert pit.exchange.balances("ann")["USDT"][1] > 0
    assert pit.exchange.position("ann", BTC).liquidation_e8 == before
    whole = sum_of_all(pit, pit.accounts)
    pit.exchange.set_mark(BTC, before * 1001 // 1000)
    assert pit.lots() == 2000
    pit.exchange.set_mark(BTC, before * 998 // 1000)
    assert pit.lots() == 0
    assert pit.order(resting).status == "CANCELED"
    assert sum_of_all(pit, pit.accounts) == whole


def test_fees_are_paid_in_bnb_where_it_is_held() -> None:
    feed = synthetic(names=(BTC, "BNB/USDT"))
    plan = FeePlan(maker_e8=20_000, taker_e8=50_000, asset="bnb", discount_e8=10_000_000)
    pit = Pit(feed=feed, fees=plan)
    pit.exchange.deposit("ann", "BNB", E8)
    (fill,) = pit.place("ann", "BUY", 1).fills
    mark = pit.exchange.mark_e8("BNB/USDT")
    assert fill.fee_asset == "BNB"
    assert fill.fee_e8 == fill.quote_e8 * 50_000 * 90_000_000 // (mark * E8)
    assert pit.exchange.balances("ann")["BNB"][0] == E8 - fill.fee_e8
    (other,) = pit.place("bob", "BUY", 1).fills
    assert (other.fee_asset, other.fee_e8) == ("USDT", other.quote_e8 * 50_000 // E8)


def test_exits_may_be_smaller_than_the_minimum_value() -> None:
    feed = synthetic()
    rules = {symbol: SymbolRules.linear(spec) for symbol, spec in feed.specs.items()}
    exchange = FuturesExchange(feed, rules)
    exchange.open_account("ann", {"USDT": 10**6 * E8})
    pit = Pit.__new__(Pit)
    pit.feed, pit.exchange, pit.accounts = feed, exchange, ("ann",)
    pit.place("ann", "BUY", 1000)
    with pytest.raises(OrderRefused) as refused:
        pit.place("ann", "SELL", 1)
    assert refused.value.filter == "NOTIONAL"
    assert pit.place("ann", "SELL", 1, reduce_only=True).order.status == "FILLED"


@pytest.mark.parametrize("seed", range(examples(3, 60)))
def test_random_conditional_orders_trigger_when_their_price_traded_and_never_before(
    seed: int,
) -> None:
    pit = Pit(still=False, money=5000)
    rng = SplitMix64(seed)
    whole = sum_of_all(pit, pit.accounts)
    tick = pit.feed.specs[BTC].tick_e8
    kinds: tuple[AlgoType, ...] = ("STOP_MARKET", "TAKE_PROFIT_MARKET")
    seen: dict[int, list[str]] = {}
    refusals: set[str] = set()
    while not pit.feed.trades[BTC]:  # before the first trade the middle stands for the last price
        pit.step(SECOND)
    for _ in range(200):
        pit.step(1 + int(1e8 * rng.exponential()))
        bid, _ask = pit.best()
        name = pit.accounts[rng.below(2)]
        side: Side = "BUY" if rng.uniform() < 0.5 else "SELL"
        wanted = algo(
            pit, side, kinds[rng.below(2)], bid + rng.below(400) - 200,
            quantity_e8=(1 + rng.below(500)) * LOT, reduce_only=rng.uniform() < 0.3,
        )  # fmt: skip
        try:
            pit.exchange.add_algo(name, wanted)
        except OrderRefused as refused:
            refusals.add(refused.reason)
        for each in pit.exchange.algos.drain():
            seen.setdefault(each.algo_id, []).append(each.status)
            if each.order_id:
                order = pit.exchange.order(each.account_id, BTC, order_id=each.order_id)
                assert order.client_id == each.client_id
        last = pit.exchange.last_ticks(BTC) * tick
        for account in pit.accounts:
            for each in pit.exchange.algos.open_of(account, BTC):
                assert not each.request.triggers(last, last)
        assert sum_of_all(pit, pit.accounts) == whole
        check_books(pit.exchange, pit.feed, pit.accounts)
    assert refusals <= {"WOULD_TRIGGER"}
    paths = {tuple(states) for states in seen.values()}
    assert paths <= {
        ("NEW",),
        ("NEW", "TRIGGERING", "TRIGGERED", "FINISHED"),
        ("NEW", "TRIGGERING", "REJECTED"),
    }
    assert ("NEW", "TRIGGERING", "TRIGGERED", "FINISHED") in paths
