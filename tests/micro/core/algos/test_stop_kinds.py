"""Stop limits and trailing stops: what they do that a stop does not."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from engine_kit import KEY, MS, SECOND, signal
from holding_kit import WILD, holding, market
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_rig import settle, wander

from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ParentState

if TYPE_CHECKING:
    from engine_kit import Rig


def hold(rig: Rig, algo: str, stop: str = "59990", **changes: Any) -> None:  # noqa: ANN401 - of a signal
    values = {"side": "sell", "kind": "stop", "stop_price": Decimal(stop), "created_ns": rig.now}
    rig.send(signal("stop", algo=algo, **{**values, **changes}))
    rig.run(10 * MS)


# --- stop limit -----------------------------------------------------------------------------------


def test_a_stop_limit_rests_at_its_limit_once_the_stop_is_reached() -> None:
    rig = holding()
    hold(rig, "stop_limit", limit_price=Decimal(59_985))
    market(rig, 59_995.0)
    assert len(rig.venue.placed) == 1
    market(rig, 59_980.0)  # through both
    order = rig.venue.placed[-1]
    assert (order.price_ticks, order.time_in_force) == (599_850, "GTC")
    rig.run(5 * SECOND)
    assert rig.parent("stop").state is ParentState.WORKING
    rig.venue.fill(order.client_id, 500)
    rig.run(1 * SECOND)
    assert rig.report("stop").status == "filled"
    assert rig.report("stop").triggered


def test_a_stop_limit_takes_what_is_better_than_its_limit() -> None:
    rig = holding()
    hold(rig, "stop_limit", limit_price=Decimal(59_985))
    market(rig, 59_989.0)
    rig.run(1 * SECOND)
    assert rig.report("stop").status == "filled"


def test_a_stop_limit_without_a_limit_is_refused() -> None:
    rig = holding()
    hold(rig, "stop_limit")
    assert rig.report("stop").reason_code == "BAD_PARAMETER"
    assert "limit_price" in rig.report("stop").reason


# --- trailing stop --------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
def test_a_trailing_stop_follows_up_and_never_down(restarted: bool) -> None:
    rig = holding()
    hold(rig, "trailing_stop", params=(("step_bps", 0.0), ("trail_bps", 1.0)))
    market(rig, 60_100.0)  # 6.01 behind it: 60,093.9
    if restarted:
        rig.restart()
        rig.run(1 * SECOND)
    market(rig, 60_095.0)
    assert rig.parent("stop").state is ParentState.HELD
    market(rig, 60_093.9)
    rig.run(1 * SECOND)
    report = rig.report("stop")
    assert report.triggered
    assert report.status == "filled"
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_it_begins_at_its_stop_price_and_protects_from_there() -> None:
    rig = holding()
    hold(rig, "trailing_stop", params=(("trail_bps", 100.0),))  # 1 % is 600 below
    market(rig, 59_995.0)
    assert rig.parent("stop").state is ParentState.HELD
    market(rig, 59_990.0)
    assert rig.parent("stop").triggered
    assert any("59990" in each.reason for each in rig.reports if each.signal_id == "stop")


def test_the_trail_of_a_short_position_is_above_the_market() -> None:
    rig = holding()
    rig.send(signal("exit", side="sell", order_type="market", created_ns=rig.now))
    rig.run(1 * SECOND)
    hold(rig, "trailing_stop", "60010", side="buy", params=(("step_bps", 0.0), ("trail_bps", 1.0)))
    market(rig, 59_900.0)  # ask 59,900.1, and 5.99 above it: 59,906.1
    market(rig, 59_905.9)  # ask 59,906.0
    assert rig.parent("stop").state is ParentState.HELD
    market(rig, 59_906.0)
    assert rig.parent("stop").triggered


def test_it_is_stored_at_every_step_and_not_at_every_update() -> None:
    rig = holding()
    hold(rig, "trailing_stop", params=(("step_bps", 10.0), ("trail_bps", 1.0)))
    moves = set()
    for number in range(50):
        market(rig, 60_000.0 + 10 * number)  # 490 in all: 82 bps
        moves.add(rig.parent("stop").algo_state.get("stop_ticks"))
    assert 5 <= len(moves) <= 9


@pytest.mark.parametrize("algo", ["stop_limit", "trailing_stop"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(5, 100))
def test_wild_lines_and_crashes_sell_no_more_than_the_position(algo: str, seed: int) -> None:
    chance = Random(seed)
    rig = holding(chance=Random(seed + 1))
    rig.venue.faults = WILD
    limit = Decimal(59_990 - chance.randint(0, 20)) if algo == "stop_limit" else None
    params = (("trail_bps", 1.0),) if algo == "trailing_stop" else ()
    hold(rig, algo, str(60_000 - chance.randint(1, 30)), params=params, limit_price=limit)
    for _ in range(3):
        rig.drop_after = chance.choice((None, chance.randint(0, 6)))
        wander(rig, chance, 10)
        rig.restart()
    rig.drop_after = None
    wander(rig, chance, 10)
    rig.cancel("stop")
    settle(rig)
    parent = rig.parent("stop")
    assert parent.state in PARENT_TERMINAL
    assert parent.filled == rig.venue.filled_of("stop") <= 500
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(500 - parent.filled) / 1_000
