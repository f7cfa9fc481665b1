"""Extremes of everything that a signal may say, and positions with two protectors: what holds, and what is said."""

from __future__ import annotations

import math
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from algo_signals import HELD, NEED_A_LIMIT, params_of
from effort import examples
from engine_kit import KEY, MS, SECOND, START, VENUE, Rig, config, rules, signal
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_rig import StrictRig

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import CancelReceived, TimerFired
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ParentState

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Param, Value

MOST: Final = Decimal(10) ** 18
WIDE: Final = paper_defaults(
    lease_required=False,
    depth_participation_bps=10_000.0,
    price_collar_bps=10_000.0,
    fat_finger_bps=10_000.0,
    max_spread_bps=10_000.0,
    max_order_quantity={"*": MOST},
    max_position_quantity={"*": MOST},
    max_venue_exposure={"*": MOST},
    **dict.fromkeys(
        ("max_order_notional", "max_position_notional", "max_gross_exposure", "max_net_exposure",
         "max_daily_loss", "max_rolling_loss", "max_drawdown"),
        MOST,
    ),
)  # fmt: skip
STOPS: Final = (*HELD, "stop")
PLAIN: Final = ("limit", "marketable_limit", "peg", "stop")
"""Their defaults are drawn nowhere else."""


def extremes(param: Param) -> list[Value]:
    if param.choices:
        return list(param.choices)
    if isinstance(param.default, bool):
        return [True, False]
    if isinstance(param.default, str):
        return ["", "0", "1", "0.5,2", "1e9", "1e-9,5"]
    high = param.high if math.isfinite(param.high) else 10.0**15
    return [param.low, high, param.default]


def begun(chance: Random, *, in_one_tick: bool) -> StrictRig:
    """A rich account in a market, which may have no price but one and two ticks."""
    venue = VenueConfig(
        shows_own_orders=chance.random() < 0.5,
        fill_or_kill=True,
        messages_per_second=100,
        message_burst=500,
    )
    rich = chance.random() < 0.7
    settings_ = config(venue, **({"limits": WIDE} if rich else {}), slice_entries=True)
    rig = StrictRig(
        settings_, chance=chance, instrument=rules(min_notional=Decimal(0)) if in_one_tick else None
    )
    if rich:
        rows = [(name, Decimal(10) ** 20, Decimal(0)) for name in ("USDT", "BTC")]
        rig.engine.portfolio.set_balances(VENUE, rows)
    rig.book(*((0.1, 0.2) if in_one_tick else (60_000.0, 60_000.1)))
    return rig


def extreme_signal(rig: Rig, name: str, chance: Random, *, in_one_tick: bool) -> None:
    kind = ALGORITHMS[name]
    params = {} if name in PLAIN else params_of(name, chance)
    if kind.params:
        param = chance.choice(kind.params)
        params[param.name] = chance.choice(extremes(param))
    lots = chance.choice((1, 500, 5_000, 10**9))
    values: dict[str, Any] = {
        "algo": name,
        "params": tuple(sorted(params.items())),
        "side": chance.choice(("buy", "sell")),
        "quantity": Decimal(lots) / 1_000,
        "created_ns": rig.now,
        "expires_ns": rig.now + chance.choice((0, 1, 60 * SECOND, 3_600 * SECOND)),
        "seq": 2,
    }
    if name in NEED_A_LIMIT or name == "limit" or chance.random() < 0.2:
        values["limit_price"] = Decimal("0.2") if in_one_tick else Decimal(60_001)
    if name in STOPS:
        level = Decimal("0.1") if in_one_tick else Decimal(59_970)
        rig.send(signal("open", algo="marketable_limit", expires_ns=START + 3_600 * SECOND))
        rig.run(2 * SECOND)
        values |= {"kind": "stop", "stop_price": level, "side": "sell"}
    rig.send(signal("s1", **values))


def live_on(rig: Rig, chance: Random, *, in_one_tick: bool) -> None:
    """The market jumps, and once or twice the time that the engine is told steps back."""
    for step in range(10):
        if step in (3, 6) and chance.random() < 0.25:
            rig.now -= 5 * SECOND
            rig.send(TimerFired())
        if in_one_tick:
            rig.book(*chance.choice(((0.1, 0.2), (0.1, 0.3), (0.2, 0.3))))
        else:
            bid = round(rig.bid + chance.choice((-300.0, -3.0, 0.0, 0.1, 3.0, 200.0)), 1)
            rig.book(bid, round(bid + 0.1, 1))
        rig.trade(rig.bid, chance.choice((0.001, 1.0, 1e6)))
        rig.venue.fill_something()
        rig.run(300 * MS)


@pytest.mark.parametrize("name", ALGORITHMS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(2, 100))
def test_whatever_a_signal_says_the_invariants_hold_and_its_outcome_is_stated(
    name: str, seed: int
) -> None:
    chance = Random(seed)
    in_one_tick = chance.random() < 0.3
    rig = begun(chance, in_one_tick=in_one_tick)
    extreme_signal(rig, name, chance, in_one_tick=in_one_tick)
    live_on(rig, chance, in_one_tick=in_one_tick)
    rig.send(CancelReceived(signal_id="s1", reason="enough"))
    rig.venue.heal()
    if not in_one_tick:
        rig.book(60_000.0, 60_000.1)
    rig.run(30 * SECOND)
    report = rig.report("s1")
    assert rig.parent("s1").state in PARENT_TERMINAL
    assert rig.parent("s1").state is not ParentState.ANOMALY
    assert report.status == "filled" or report.reason_code
    for parent in rig.engine.order_store.known.values():
        assert parent.filled == rig.venue.filled_of(parent.id)
        assert parent.fills_complete


# --- two protectors ---------------------------------------------------------------------------------


def protect(rig: Rig, name: str, algo: str, lots: int, **params: Value) -> None:
    values: dict[str, Any] = {"kind": "stop", "side": "sell", "stop_price": Decimal(59_970)}
    rig.send(
        signal(
            name,
            algo=algo,
            quantity=Decimal(lots) / 1_000,
            params=tuple(sorted(params.items())),
            created_ns=rig.now,
            expires_ns=START + 3_600 * SECOND,
            **values,
        )
    )
    rig.run(10 * MS)


def holding() -> StrictRig:
    """0.5 BTC, bought at about 60,000."""
    rig = StrictRig()
    rig.venue.partial_share = 0.0
    rig.send(signal("open", algo="marketable_limit", expires_ns=START + 3_600 * SECOND))
    rig.run(SECOND)
    assert rig.venue.held_lots == 500
    return rig


def test_two_brackets_on_one_position_sell_each_its_own_part_and_no_more() -> None:
    rig = StrictRig()
    rig.venue.partial_share = 0.0
    params = (("entry", "marketable_limit"), ("stop_bps", 5.0), ("take_profits_bps", "30, 40"))
    for number, name in enumerate(("one", "two"), 1):
        values = {"created_ns": rig.now, "expires_ns": START + 3_600 * SECOND, "seq": number}
        rig.send(signal(name, algo="bracket", quantity=Decimal("0.1"), params=params, **values))
        rig.run(SECOND)
    assert rig.venue.held_lots == 200
    assert sum(order.quantity_lots for order in rig.venue.open_orders()) == 200
    rig.book(59_900.0, 59_900.1)  # through both stops at once
    rig.run(20 * MS)
    rig.book(59_900.0, 59_900.1)
    rig.run(10 * SECOND)
    assert rig.venue.held_lots == 0
    assert rig.venue.open_orders() == []
    assert rig.engine.portfolio.quantity(*KEY) == 0


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_take_profit_that_fills_while_its_stop_triggers_is_sold_once(share: float) -> None:
    """One trade through both: the venue has filled the one, and tells it after the other has been triggered."""
    rig = holding()
    protect(rig, "both", "oco", 500, take_profits="60010")
    (resting,) = rig.venue.open_orders()
    rig.venue.fill(resting.place.client_id, int(500 * share))
    for _ in range(3):
        rig.book(59_900.0, 59_900.1)
    assert rig.parent("both").triggered
    rig.run(10 * SECOND)
    assert rig.report("both").status == "filled"
    assert rig.venue.held_lots == 0
    assert rig.parent("both").filled == 500


def test_a_trailing_stop_that_a_gap_jumps_over_sells_on_the_other_side_of_it() -> None:
    rig = holding()
    protect(rig, "trail", "trailing_stop", 500, trail_bps=10.0)
    for bid in (60_100.0, 60_300.0, 60_500.0):
        rig.book(bid, round(bid + 0.1, 1))
        rig.run(SECOND)
    assert not rig.parent("trail").triggered
    for _ in range(3):
        rig.book(59_000.0, 59_000.1)  # 2.5 percent below, with nothing in between
    assert rig.parent("trail").triggered
    rig.run(10 * SECOND)
    report = rig.report("trail")
    assert (report.status, rig.venue.held_lots) == ("filled", 0)
    assert report.average is not None
    assert report.average <= 59_000


def test_of_a_stop_and_a_trailing_stop_on_one_position_one_sells_it() -> None:
    rig = holding()
    protect(rig, "stop", "stop", 500)
    protect(rig, "trail", "trailing_stop", 500, trail_bps=10.0)
    for _ in range(3):
        rig.book(59_000.0, 59_000.1)
    rig.run(10 * SECOND)
    assert rig.venue.held_lots == 0
    assert rig.parent("stop").filled + rig.parent("trail").filled == 500
    assert all(rig.parent(name).state in PARENT_TERMINAL for name in ("stop", "trail"))
