"""The kill switch: each way works alone, at once, and nothing brings the orders back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from engine_kit import Rig, signal
from virtual_loop import VirtualLoop

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
from citadel_micro.core.model.events import TimerFired
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.shell.ops.kill_switch import FILE, KillSwitch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citadel_micro.shell.runner import Runner


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    asyncio.set_event_loop(made)
    yield made
    asyncio.set_event_loop(None)
    made.close()


def runner_of(rig: Rig) -> Runner:
    return cast("Runner", SimpleNamespace(engine=rig.engine, post=rig.send, failed=False))


def passes(loop: VirtualLoop, seconds: float) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))


def working() -> Rig:
    rig = Rig()
    rig.send(signal())
    rig.run(20_000_000)
    assert len(rig.venue.open_orders()) == 1
    return rig


def state(rig: Rig) -> str:
    return rig.engine.risk.breakers.scope_state(GLOBAL)


def test_a_file_stops_orders_within_a_tenth_of_a_second(loop: VirtualLoop, tmp_path: Path) -> None:
    rig = working()
    switch = KillSwitch(loop, tmp_path)
    switch.start(runner_of(rig))
    passes(loop, 1.0)
    assert state(rig) == "ACTIVE"
    (tmp_path / FILE).write_text("the bot has gone mad\n")
    passes(loop, 0.1)
    assert state(rig) == "KILLED"
    assert "the bot has gone mad" in rig.engine.risk.breakers.trips[-1].reason
    assert len(rig.sent(CancelOrder)) == 1
    placed = len(rig.sent(PlaceOrder))
    rig.send(signal("s2", created_ns=rig.now, expires_ns=rig.now + 10**10))
    rig.run(1_000_000_000)
    assert len(rig.sent(PlaceOrder)) == placed
    assert rig.report("s2").reason_code == "KILLED"
    switch.close()


def test_while_the_file_is_there_a_reset_does_not_last(loop: VirtualLoop, tmp_path: Path) -> None:
    rig = working()
    (tmp_path / FILE).touch()
    switch = KillSwitch(loop, tmp_path)
    switch.start(runner_of(rig))
    passes(loop, 0.1)
    (first,) = rig.engine.risk.breakers.trips
    rig.operate("reset", trip_id=first.trip_id, reason="too soon")
    assert state(rig) == "HALTED"
    passes(loop, 0.1)
    assert state(rig) == "KILLED"
    (again,) = rig.engine.risk.breakers.trips
    assert again.trip_id != first.trip_id
    (tmp_path / FILE).unlink()
    for _ in range(2):
        rig.operate("reset", trip_id=again.trip_id, reason="looked at it")
    passes(loop, 0.5)
    assert state(rig) == "PROBATION"
    switch.close()


def test_it_is_not_pulled_twice_and_survives_a_restart(loop: VirtualLoop, tmp_path: Path) -> None:
    rig = working()
    (tmp_path / FILE).touch()
    switch = KillSwitch(loop, tmp_path)
    switch.start(runner_of(rig))
    passes(loop, 2.0)
    trips = rig.engine.risk.breakers.trips
    switch.close()
    (tmp_path / FILE).unlink()
    rig.restart()
    rig.now += 2 * 86_400 * 1_000_000_000  # past a cooldown, and midnight
    rig.send(TimerFired())
    assert state(rig) == "KILLED"
    assert [trip for trip in rig.engine.risk.breakers.trips if trip.state == "KILLED"] == [*trips]


def test_asked_for_before_the_engine_is_there(loop: VirtualLoop, tmp_path: Path) -> None:
    rig = working()
    switch = KillSwitch(loop, tmp_path)
    switch.pull("signal SIGUSR2")
    assert state(rig) == "ACTIVE"
    switch.start(runner_of(rig))
    assert state(rig) == "KILLED"
    assert len(rig.sent(CancelOrder)) == 1
    switch.close()


def test_a_closed_switch_looks_no_more(loop: VirtualLoop, tmp_path: Path) -> None:
    rig = working()
    switch = KillSwitch(loop, tmp_path)
    switch.start(runner_of(rig))
    switch.close()
    (tmp_path / FILE).touch()
    passes(loop, 1.0)
    assert state(rig) == "ACTIVE"
