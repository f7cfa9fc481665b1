"""Exits at the collar, and exits that cannot leave: they hold back no other one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import MS, SECOND, Rig, config, rules, signal
from exit_kit import exit_, fall, held, holding, stop


@pytest.mark.parametrize("spread", [0.1, 900.0, 1_190.0])
@pytest.mark.parametrize("cross_bps", [20.0, 100.0, 300.0, 1_000.0])
@pytest.mark.parametrize("how", ["stop", "market", "late", "flatten"])
def test_a_worst_price_beyond_the_collar_is_drawn_in_and_traps_no_exit(
    how: str, cross_bps: float, spread: float
) -> None:
    rig = Rig(config(flatten_cross_bps=cross_bps))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(SECOND)
    worst = ("max_cross_bps", cross_bps)
    low, high = round(60_000.05 - spread / 2, 1), round(60_000.05 + spread / 2, 1)
    if how == "stop":
        stop(rig, stop_price=Decimal(60_000), algo="stop", params=(worst,))
    rig.book(low, high)
    rig.book(low, high)
    if how == "market":
        exit_(rig, "exit", order_type="market", limit_price=None, algo="", params=(worst,))
    elif how == "late":
        late = (("time_limit_ms", 200), ("on_timeout", "cross_ioc"), ("max_chase_bps", 1_000.0))
        params = (worst, *late)
        exit_(rig, "exit", algo="chase_limit", limit_price=None, params=params)
    elif how == "flatten":
        rig.operate("flatten")
    rig.run(2 * SECOND)
    assert held(rig) == 0
    for order in rig.venue.placed:
        if order.side == "sell" and order.time_in_force == "IOC":
            assert order.price_ticks >= 594_001  # 100 bps below the mid


def test_a_touch_beyond_the_collar_is_waited_out_and_said() -> None:
    rig = holding()
    rig.book(59_000.0, 61_000.0)
    rig.operate("flatten")
    rig.run(2 * SECOND)
    assert held(rig) == Decimal("0.5")
    assert rig.reports[-1].reason_code == "PRICE_COLLAR"
    rig.book(59_800.0, 60_200.0)
    rig.run(2 * SECOND)
    assert held(rig) == 0


@pytest.mark.parametrize("how", ["flatten", "market", "stop"])
def test_a_coin_that_has_fallen_to_a_few_ticks_can_still_be_sold(how: str) -> None:
    """One tick is 2 % of its price, more than the collar on each side of the mid."""
    coin = rules(tick=Decimal("0.1"), lot=Decimal(1), min_notional=Decimal(0))
    rig = Rig(config(), instrument=coin)
    rig.venue.partial_share = 0.0
    rig.book(60.0, 60.1)
    rig.send(signal("buy", order_type="market", quantity=Decimal(5)))
    rig.run(SECOND)
    if how == "stop":
        stop(rig, quantity="5", stop_price=Decimal(10))
    rig.book(3.0, 3.1)
    rig.book(3.0, 3.1)
    if how == "flatten":
        rig.operate("flatten")
    elif how == "market":
        exit_(rig, "exit", "5", order_type="market", limit_price=None, algo="")
    rig.run(2 * SECOND)
    assert held(rig) == 0
    entry = {"order_type": "market", "quantity": Decimal(5), "created_ns": rig.now}
    rig.send(signal("again", expires_ns=rig.now + SECOND, **entry))
    assert rig.report("again").status == "rejected"


def _beyond_its_limit(rig: Rig) -> None:
    """A stop with a limit that has triggered below it."""
    stop(rig, "limited", limit_price=Decimal(59_950))
    rig.run(100 * MS)
    fall(rig, 59_900.0)
    rig.run(SECOND)
    assert rig.report("limited").reason_code == "NOT_MARKETABLE"


@pytest.mark.parametrize("kind", ["spot", "linear"])
@pytest.mark.parametrize("how", ["stop", "market", "limit", "chase_limit"])
def test_a_stop_that_waits_for_its_limit_holds_back_no_other_exit(how: str, kind: str) -> None:
    rig = holding(instrument=rules(kind=kind))
    if how == "stop":
        stop(rig, "other", stop_price=Decimal(59_500))
    _beyond_its_limit(rig)
    if how == "market":
        exit_(rig, "other", order_type="market", limit_price=None, algo="", reduce_only=True)
    elif how == "limit":
        exit_(rig, "other", limit_price=Decimal(59_890), reduce_only=True)
    elif how == "chase_limit":
        params = (("time_limit_ms", 500), ("on_timeout", "cross_ioc"))
        exit_(rig, "other", algo=how, limit_price=None, params=params, reduce_only=True)
    fall(rig, 59_400.0 if how == "stop" else 59_900.0)
    rig.run(2 * SECOND)
    assert rig.report("other").status == "filled"
    assert held(rig) == 0
    assert rig.report("limited").reason_code == "POSITION_CLOSED"


def test_a_stop_of_a_halted_strategy_holds_back_no_other_one() -> None:
    rig = holding()
    stop(rig, "one", strategy="halted", stop_price=Decimal(59_990))
    stop(rig, "two", strategy="test", stop_price=Decimal(59_900))
    rig.operate("halt", "strategy:halted")
    fall(rig)
    rig.run(SECOND)
    assert rig.report("one").reason_code == "HALTED"
    fall(rig, 59_890.0)
    rig.run(SECOND)
    assert held(rig) == 0
    assert rig.report("two").status == "filled"


def test_when_the_price_comes_back_both_sell_no_more_than_is_held() -> None:
    rig = holding()
    stop(rig, "other", stop_price=Decimal(59_500), limit_price=Decimal(59_480))
    _beyond_its_limit(rig)
    fall(rig, 59_400.0)
    rig.run(SECOND)
    assert rig.report("other").reason_code == "NOT_MARKETABLE"
    fall(rig, 59_960.0)
    rig.run(2 * SECOND)
    assert held(rig) == 0
    sold = sum(o.filled_lots for o in rig.venue.orders.values() if o.place.side == "sell")
    assert sold == 500
