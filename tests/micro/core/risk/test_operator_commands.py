"""The operator's pause, halt, kill and reset at the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gate_kit import BTC, NOW, VENUE, limits
from risk_kit import operator, states

from citadel_micro.core.model.commands import Note, Persist
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.core.risk.manager import RiskManager
from citadel_proto.errors import BadInput, InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.model.events import (
        OperatorCommand,
    )


def test_an_operator_pauses_halts_kills_and_resets() -> None:
    manager = RiskManager(limits())
    assert manager.beat_state() == "active"
    found = []
    for action in ("pause", "halt", "kill"):
        commands = manager.on_operator(operator(action), NOW)
        assert isinstance(commands[-1], Persist)
        found.append(manager.beat_state())
    assert found == ["reducing", "halted", "killed"]
    for trip_id in ("trip-3", "trip-3", "trip-2", "trip-1"):
        manager.on_operator(operator("reset", trip_id=trip_id), NOW)
    assert manager.effective_state(VENUE, BTC, "trend") == "PROBATION"
    assert manager.beat_state() == "active"


@pytest.mark.parametrize(
    "command",
    [
        operator("halt", scope="everything"),
        operator("reset", trip_id="trip-7"),
        operator("reset", trip_id="trip-1", reason=""),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_so_and_changes_nothing(
    command: OperatorCommand,
) -> None:
    manager = RiskManager(limits())
    manager.trip("OPERATOR_HALT", GLOBAL, "", NOW)
    before = manager.to_state()
    (note,) = manager.on_operator(command, NOW)
    assert isinstance(note, Note)
    assert note.level == "error"
    assert dict(note.fields)["action"] == command.action
    assert manager.to_state() == before


def test_other_actions_are_not_the_gates() -> None:
    for command in (operator("cancel_all"), operator("flatten"), operator("shutdown")):
        assert RiskManager(limits()).on_operator(command, NOW) == []


def test_a_halt_cancels_everything_active_cancels_nothing() -> None:
    manager = RiskManager(limits())
    assert not manager.must_cancel(VENUE, BTC, "trend", exit_order=False)
    manager.trip("OPERATOR_HALT", f"strategy:{'trend'}", "", NOW)
    assert manager.must_cancel(VENUE, BTC, "trend", exit_order=True)
    assert not manager.must_cancel(VENUE, BTC, "other", exit_order=False)


def test_trips_have_to_be_known_and_scopes_to_exist() -> None:
    manager = RiskManager(limits())
    with pytest.raises(InvariantError, match="NO_SUCH"):
        manager.trip("NO_SUCH", GLOBAL, "", NOW)
    with pytest.raises(BadInput):
        manager.trip("OVERFILL", "nowhere", "", NOW)


def test_a_reconciliation_opens_the_way_for_a_reset() -> None:
    manager = RiskManager(limits())
    manager.trip("POSITION_MISMATCH", f"venue:{VENUE}", "", NOW)
    reset = operator("reset", trip_id="trip-1")
    assert isinstance(manager.on_operator(reset, NOW)[0], Note)
    assert isinstance(manager.on_reconciled(VENUE)[-1], Persist)
    assert states(manager.on_operator(reset, NOW)) == [
        (f"venue:{VENUE}", "PROBATION", "POSITION_MISMATCH")
    ]
