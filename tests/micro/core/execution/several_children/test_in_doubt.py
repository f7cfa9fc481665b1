"""Several orders out at once: one in flight or unknown, the position, the balance, a restart."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, VENUE, Rig, config, rules, signal
from script_kit import LATE, Script, look, resting, started, venue, work

from citadel_micro.core.algos.base import Orders
from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
from citadel_micro.core.model.events import (
    VenueSnapshot,
)
from citadel_micro.core.orders.order_states import (
    ChildState,
    ParentPhase,
    ParentState,
)

if TYPE_CHECKING:
    from citadel_micro.core.model.config import VenueConfig
    from citadel_micro.core.risk.types import RiskRequest


def test_one_in_doubt_keeps_its_place_and_the_others_go_on(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    rig.venue.mute = True
    rig.engine.executor.sender.mark_unknown(rig.parent(), rig.parent().live[0], rig.now, "test")
    assert rig.parent().state is ParentState.UNKNOWN
    script.answer = Orders((work(599_990, 100), work(599_970, 100)))
    look(rig)
    states = [each.state for each in rig.parent().live]
    assert states == [ChildState.UNKNOWN, ChildState.CANCELING]
    assert len(rig.venue.placed) == 2, "nothing is placed beside what may still be there"
    assert rig.parent().reserved == 200


def test_one_in_doubt_is_asked_about_and_not_cancelled(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    rig.venue.mute = True
    rig.engine.executor.sender.mark_unknown(rig.parent(), rig.parent().live[0], rig.now, "test")
    script.answer = Orders((work(599_980, 100),))
    look(rig)
    assert rig.sent(CancelOrder) == []
    rig.venue.heal()
    rig.run(1 * SECOND)
    look(rig)
    assert resting(rig) == [(599_980, 100)]


def test_the_new_order_waits_for_the_end_of_the_one_that_it_replaces(
    script: type[Script],
) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    script.answer = Orders((work(599_995, 100), work(599_980, 100)))
    rig.book(rig.bid, rig.ask)
    assert len(rig.sent(CancelOrder)) == 1
    for _ in range(3):
        rig.book(rig.bid, rig.ask)
    assert len(rig.venue.placed) == 2
    rig.run(10 * MS)
    look(rig)
    assert resting(rig) == [(599_980, 100), (599_995, 100)]


def test_one_lost_order_is_placed_anew_after_proof_and_the_other_stays(
    script: type[Script],
) -> None:
    rig = started(script, work(599_990, 100))
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    script.answer = Orders((work(599_990, 100), work(599_980, 100)))
    look(rig)
    rig.venue.heal()
    rig.run(30 * SECOND)
    look(rig)
    assert resting(rig) == [(599_980, 100), (599_990, 100)]
    states = [each.state for each in rig.parent().children]
    assert states == [ChildState.WORKING, ChildState.LOST, ChildState.WORKING]


def test_an_immediate_order_beside_resting_ones_ends_by_itself(script: type[Script]) -> None:
    rig = started(script, work(600_001, 100, ioc=True), work(599_990, 100))
    look(rig)
    assert rig.venue.orders[rig.venue.placed[0].client_id].status in {"filled", "expired"}
    assert rig.sent(CancelOrder) == []
    assert (599_990, 100) in resting(rig)


def test_the_last_refused_order_of_several_ends_nothing(script: type[Script]) -> None:
    """What is too little for one more order is what the others have."""
    rig = Rig(config(venue()), instrument=rules(min_lots=200))
    script.answer = Orders((work(599_990, 200), work(599_980, 200), work(599_970, 200)))
    rig.send(signal(algo="ladder", expires_ns=LATE))
    rig.run(10 * MS)
    assert resting(rig) == [(599_980, 200), (599_990, 200)]
    assert rig.parent().phase is ParentPhase.ACTIVE
    assert rig.parent().reason_code == ""


def holding(script: type[Script], able: VenueConfig) -> Rig:
    """Long 300 lots, of which an exit has 100 out and would have 200 more."""
    rig = Rig(config(able), instrument=rules(kind="linear"))
    rig.venue.partial_share = 0.0
    rig.send(signal("in", quantity=Decimal("0.3"), algo="marketable_limit"))
    rig.run(1 * SECOND)
    script.answer = Orders((work(600_010, 100),))
    changes: dict[str, Any] = {"algo": "ladder", "reduce_only": True, "expires_ns": LATE}
    rig.send(signal("out", side="sell", quantity=Decimal("0.3"), created_ns=rig.now, **changes))
    rig.run(10 * MS)
    assert resting(rig) == [(600_010, 100)]
    return rig


@pytest.mark.parametrize("amend", [False, True])
def test_several_exits_never_ask_for_more_than_the_position(
    script: type[Script], amend: bool
) -> None:
    """Another order has sold half of it meanwhile: 50 lots are left beside what is out."""
    rig = holding(script, venue(amend_native=amend))
    other: dict[str, Any] = {"algo": "marketable_limit", "created_ns": rig.now}
    rig.send(signal("other", side="sell", quantity=Decimal("0.15"), expires_ns=LATE, **other))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.15")
    for first in (600_010, 600_020, 600_030):
        script.answer = Orders(tuple(work(first + n, 100) for n in range(3)))
        for _ in range(4):
            look(rig)
            assert sum(lots for _, lots in resting(rig)) <= 150
        assert sum(lots for _, lots in resting(rig)) == 150


def test_the_gate_knows_what_is_out_beside_an_order(
    script: type[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = holding(script, venue(amend_native=True))
    asked: list[RiskRequest] = []
    passes = rig.engine.risk._plain.passes

    def listen(request: RiskRequest, *rest: Any, **named: Any) -> object:  # noqa: ANN401 - as it was asked
        asked.append(request)
        return passes(request, *rest, **named)

    monkeypatch.setattr(
        rig.engine.risk._plain, "passes", listen
    )  # which is asked of every order first
    script.answer = Orders((work(600_010, 100), work(600_020, 150)))
    look(rig)
    script.answer = Orders((work(600_010, 100), work(600_030, 150)))
    look(rig)
    assert [each.quantity_lots for each in asked] == [150, 150]
    for each in asked:
        assert (each.exposure_lots, each.beside_lots) == (250, 100)
        assert each.beside_cost == 100 * 600_010


def test_the_balance_that_the_others_hold_is_not_spent_again(script: type[Script]) -> None:
    """Of 20,000 USDT the first has 12,000: the second is refused here, not by the venue."""
    rig = Rig(config(venue()))
    script.answer = Orders((work(599_990, 200),))
    rig.send(signal(algo="ladder", quantity=Decimal("0.4"), expires_ns=LATE))
    rig.run(10 * MS)
    free = rig.instrument.price(599_990) * rig.instrument.quantity(200)
    balances = (("USDT", 20_000 - free, free), ("BTC", Decimal(1), Decimal(0)))
    rows = tuple(rig.venue.state_of(order.client_id, "order") for order in rig.venue.placed)
    rig.send(VenueSnapshot(venue=VENUE, open_orders=rows, balances=balances, exchange_ns=rig.now))
    script.answer = Orders((work(599_990, 200), work(599_980, 200)))
    look(rig)
    assert len(rig.sent(PlaceOrder)) == 1
    assert rig.report().reason_code == "FREE_BALANCE"


def test_a_restart_gives_back_every_order_and_reports_the_same_fills() -> None:
    rig = Rig()
    params = (("levels", 3), ("step_ticks", 5), ("time_limit_ms", 600_000))
    rig.send(signal(algo="ladder", params=params, expires_ns=LATE))
    rig.run(10 * MS)
    first, second, _ = (order.client_id for order in rig.venue.placed)
    rig.venue.fill(second, 10)
    rig.run(10 * MS)
    rig.venue.fill(first, 10)
    rig.run(10 * MS)
    told = rig.report()
    assert [fill.child_id for fill in told.fills] == [first, second]
    rig.restart()
    rig.run(1 * SECOND)
    assert rig.report().fills == told.fills
    assert len(rig.venue.open_orders()) == len(rig.parent().live) == 3
    assert len(rig.venue.placed) == 3, "nothing is placed beside what was out"
