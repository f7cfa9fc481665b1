"""A triggered stop goes first: take-profits are withdrawn for it, and nothing is sold twice."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules
from exit_kit import AMENDS, exit_, fall, held, holding, stop
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import (
    OrderRejected,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ChildState

if TYPE_CHECKING:
    from citadel_micro.core.model.config import VenueConfig


@pytest.mark.parametrize("reduce_only", [True, False])
@pytest.mark.parametrize("venue", [None, AMENDS])
@pytest.mark.parametrize("algo", ["limit", "chase_limit"])
def test_a_triggered_stop_withdraws_a_resting_take_profit(
    algo: str, venue: VenueConfig | None, reduce_only: bool
) -> None:
    rig = holding(venue=venue)
    exit_(rig, "profit", reduce_only=reduce_only, algo=algo)
    stop(rig)
    rig.run(100 * MS)
    assert rig.report("profit").status == "working"
    fall(rig)
    rig.run(200 * MS)
    assert held(rig) == 0
    assert rig.report("stop").status == "filled"
    profit = rig.report("profit")
    assert (profit.status, profit.reason_code) == ("canceled", "OUTRANKED")
    assert profit.filled == 0
    assert "stop" in profit.reason
    assert rig.parent("profit").closed


def test_it_fires_only_when_the_take_profit_is_proven_gone() -> None:
    rig = holding()
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    rig.venue.mute = True
    fall(rig)
    rig.run(2 * SECOND)
    assert [o for o in rig.venue.placed if o.parent_id == "stop"] == []
    assert rig.report("stop").reason_code == "POSITION_BUSY"
    rig.venue.heal()
    rig.run(5 * SECOND)
    assert held(rig) == 0


def test_it_takes_what_is_free_meanwhile() -> None:
    rig = holding()
    exit_(rig, "profit", "0.2")
    stop(rig)
    rig.run(100 * MS)
    fall(rig)
    fired = [o for o in rig.venue.placed if o.parent_id == "stop"]
    assert [o.quantity_lots for o in fired] == [300]
    rig.run(300 * MS)
    fired = [o for o in rig.venue.placed if o.parent_id == "stop"]
    assert [o.quantity_lots for o in fired] == [300, 200]
    assert held(rig) == 0


def test_what_is_free_meanwhile_leaves_a_rest_that_can_be_placed() -> None:
    """The venue takes 10 lots at least: 495 of 500 would leave 5 behind."""
    rig = holding(instrument=rules(min_lots=10))
    exit_(rig, "profit", "0.01")
    stop(rig)
    rig.run(100 * MS)
    rig.venue.fill(rig.live("profit").place.client_id, 5)
    rig.run(10 * MS)
    fall(rig)
    assert rig.venue.placed[-1].quantity_lots == 485
    rig.run(300 * MS)
    assert held(rig) == 0


def test_what_the_take_profit_sells_on_its_way_out_is_not_sold_twice() -> None:
    rig = holding()
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    fall(rig)
    rig.venue.fill(rig.live("profit").place.client_id, 300)
    rig.run(300 * MS)
    assert rig.report("profit").filled == Decimal("0.3")
    assert rig.report("profit").status == "canceled"
    assert rig.report("stop").filled == Decimal("0.2")
    assert held(rig) == 0


def test_an_order_that_leaves_room_stays() -> None:
    rig = holding()
    exit_(rig, "profit", "0.3")
    stop(rig, quantity="0.2")
    rig.run(100 * MS)
    fall(rig)
    rig.run(300 * MS)
    assert rig.report("stop").status == "filled"
    assert rig.report("profit").status == "working"


def test_of_several_no_more_are_withdrawn_than_needed() -> None:
    rig = holding()
    exit_(rig, "other", "0.1", strategy="other")
    exit_(rig, "mine", "0.1")
    stop(rig, quantity="0.4")
    rig.run(100 * MS)
    fall(rig)
    rig.run(300 * MS)
    assert rig.report("stop").status == "filled"
    assert rig.report("mine").reason_code == "OUTRANKED"
    assert rig.report("other").status == "working"


def test_entries_stay() -> None:
    rig = holding()
    exit_(rig, "more", "0.1", side="buy", limit_price=Decimal(59_000))
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    fall(rig)
    rig.run(300 * MS)
    assert held(rig) == 0
    assert rig.report("more").status == "working"


def test_an_order_of_which_nobody_knows_holds_back_its_own_lots_only() -> None:
    rig = holding()
    exit_(rig, "profit", "0.2")
    rig.run(100 * MS)
    rig.venue.mute = True
    stop(rig)
    rig.cancel("profit")
    rig.run(4 * SECOND)
    assert rig.parent("profit").live[0].state is ChildState.UNKNOWN
    fall(rig)
    rig.venue.mute = False
    rig.run(1 * MS)
    assert [o.quantity_lots for o in rig.venue.placed if o.parent_id == "stop"] == [300]
    rig.run(10 * SECOND)
    assert held(rig) == 0


def test_two_stops_do_not_wait_for_each_other() -> None:
    rig = holding()
    stop(rig, "first")
    stop(rig, "second")
    rig.venue.fill_at_once = False
    fall(rig)
    rig.run(2 * SECOND)
    rig.venue.fill_at_once = True
    rig.run(2 * SECOND)
    assert held(rig) == 0
    assert rig.report("first").status == "filled"
    assert rig.report("second").reason_code == "POSITION_CLOSED"


def test_a_restart_in_the_middle_changes_nothing() -> None:
    rig = holding()
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    fall(rig)
    rig.run(10 * MS)
    rig.venue.heal()
    rig.restart()
    rig.run(10 * SECOND)
    assert held(rig) == 0
    assert rig.report("stop").status == "filled"
    assert (rig.report("profit").status, rig.report("profit").reason_code) == (
        "canceled",
        "OUTRANKED",
    )


@pytest.mark.parametrize("algo", ["limit", "marketable_limit"])
def test_an_exit_that_waits_does_not_sell_again_what_a_stop_has_sold(algo: str) -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    stop(rig)
    exit_(rig, "exit", algo=algo, limit_price=None if algo != "limit" else Decimal(60_500))
    if algo == "limit":
        rig.venue._inbox.clear()  # refused, so that it waits with nothing out
        child = rig.parent("exit").live[0].client_id
        rig.send(
            OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=child, code="OTHER", text="no")
        )
    else:
        rig.run(10 * MS)
    assert rig.parent("exit").live == []
    rig.venue.fill_at_once = True
    fall(rig)
    rig.run(10 * SECOND)
    assert held(rig) == 0
    assert rig.report("exit").status == "canceled"
    assert rig.report("exit").reason_code == "POSITION_CLOSED"


@given(seed=st.integers(0, 2**32))
def test_whatever_exits_do_together_never_too_much_and_in_the_end_nothing_is_held(
    seed: int,
) -> None:
    """Stops, take-profits, exits by hand and flattenings on a bad line; then on a good one."""
    chance = Random(seed)
    venue = chance.choice([None, AMENDS])
    limits = paper_defaults(
        lease_required=False,
        max_open_orders=1_000,
        max_order_notional=Decimal(chance.choice([3_000, 10_000, 50_000])),
        depth_participation_bps=float(chance.choice([2, 50, 10_000])),
        reject_burst=1_000,
    )
    rig = holding(chance.choice(["0.05", "0.5"]), venue)
    rig.venue.chance.seed(seed)
    rig.engine.risk.replace_limits(limits)
    rig.settings = config(venue, limits=limits)
    start = int(held(rig) * 1_000)
    rig.venue.faults = Faults(lose_request=0.1, lose_report=0.1, duplicate=0.1, slow=0.2)
    rig.venue.partial_share = 0.5
    stop(rig, "stop0", str(held(rig)))
    for number in range(1, 12):
        quantity = str(Decimal(chance.randint(1, start)) / 1_000)
        kind = chance.choice(["profit", "chase", "market", "stop", "flatten", "restart", "cancel"])
        if kind == "stop":
            after = chance.choice(["ioc", "chase"])
            stop(rig, f"stop{number}", quantity, algo="stop", params=(("after", after),))
        elif kind == "flatten":
            if chance.random() < 0.3:
                rig.operate("flatten")
        elif kind == "restart":
            rig.restart()
        elif kind == "cancel":
            rig.cancel(f"exit{chance.randint(1, number)}")
        else:
            limit = Decimal(60_000 + chance.randint(5, 50))
            kinds: dict[str, dict[str, object]] = {
                "profit": {"limit_price": limit},
                "chase": {"algo": "chase_limit", "limit_price": None},
                "market": {"algo": "", "order_type": "market", "limit_price": None},
            }
            pending = rig.engine.view.pending_lots(*KEY, "sell", "")
            covered = Decimal(quantity) * 1_000 + pending <= held(rig) * 1_000  # else it is a short
            reduce_only = not covered or rig.engine.reconciling or chance.random() < 0.5
            exit_(rig, f"exit{number}", quantity, reduce_only=reduce_only, **kinds[kind])
        base = 59_995.0 + chance.randint(-10, 10)
        rig.book(base, base + 0.1)
        rig.run(chance.randint(1, 800) * MS)
        if chance.random() < 0.3:
            rig.venue.fill_something()
        _not_too_much(rig, start)
    rig.venue.heal()
    rig.run(10 * SECOND)
    fall(rig)
    for _ in range(10):
        rig.run(15 * SECOND)
        _not_too_much(rig, start)
        if not held(rig):
            break
    assert held(rig) == 0, [
        (p.id, p.state, p.reason_code, p.reason) for p in rig.engine.order_store.active.values()
    ]
    for name, parent in rig.engine.order_store.known.items():
        if parent.triggered:
            assert parent.state in PARENT_TERMINAL, name


def _not_too_much(rig: Rig, start: int) -> None:
    sells = [o for o in rig.venue.orders.values() if o.place.side == "sell"]
    out = sum(o.quantity_lots - o.filled_lots for o in sells if o.status == "open")
    assert sum(o.filled_lots for o in sells) + out <= start
