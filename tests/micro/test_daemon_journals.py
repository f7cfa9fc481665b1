"""Journals and faults of a whole micro: damage, verification, a full disk, clocks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from stack_kit import SECOND, Stack, paper, run, stack
from waiting import until

from citadel_micro.shell.journal.verify import verify, verify_journal
from citadel_micro.shell.ops.control import Request, ask
from citadel_proto.errors import InvariantError, PeerUnavailable
from citadel_proto.messages import (
    MicroHeartbeat,
    RiskState,
)
from citadel_proto.tape import TapeWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# --- journals


def test_a_damaged_journal_halts_until_a_person_has_looked(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        s.peer.send(signal)
        await s.peer.ended(signal.signal_id)
        path = micro.journal.path
        await micro.close()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(bytes(data))

        for _ in range(2):  # a restart does not heal it
            s.peer.heard.clear()
            micro = await s.up()
            refused = s.peer.signal()
            s.peer.send(refused)
            report = await s.peer.ended(refused.signal_id)
            assert (report.status, report.reason_code) == ("rejected", "HALTED")
            await until(lambda: any(r.state == "HALTED" for r in s.peer.of(RiskState)))
            assert s.peer.of(MicroHeartbeat)[-1].state == "halted"
            await micro.close()

        micro = await s.up()
        folder = s.folder / "run"
        status = await asyncio.to_thread(ask, folder, Request("status"))
        assert (status["ok"], status["risk"]) == (True, "halted")
        (trip,) = status["trips"]
        reset = Request("reset", trip_id=trip["trip_id"], reason="compared with the venue")
        answer = await asyncio.to_thread(ask, folder, reset)
        assert (answer["ok"], answer["risk"]) == (True, "active")
        allowed = s.peer.signal(quantity="0.001")
        s.peer.send(allowed)
        assert (await s.peer.ended(allowed.signal_id)).status == "filled"

    run(tmp_path, body)


def test_verification_finds_a_command_that_differs(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        s.peer.send(signal)
        await s.peer.ended(signal.signal_id)
        path = micro.journal.path
        # A command that the engine never gave, as a changed engine would give another.
        micro.runner._journal.command(micro.runner.clock.now(), _strange())
        await micro.close()
        found = verify(path)
        assert found.difference is not None
        assert "strange" in found.difference.expected
        assert found.difference.got == "no further command of this event"
        assert found.commands > 0
        said: list[str] = []
        assert verify_journal(path, said.append) == 1
        assert said[0].startswith(f"record {found.difference.record} differs")

    run(tmp_path, body)


def _strange() -> Any:  # noqa: ANN401 - a command
    from citadel_micro.core.model.commands import Note  # noqa: PLC0415

    return Note(level="info", event="strange", fields=())


def test_verification_of_a_run_that_ended_in_a_fault(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        real = micro.engine.handle

        def broken(event: object, now_ns: int) -> Any:  # noqa: ANN401 - commands
            if type(event).__name__ == "SignalReceived":
                raise InvariantError("broken on purpose")
            return real(event, now_ns)  # type: ignore[arg-type]

        micro.engine.handle = broken  # type: ignore[method-assign]
        s.peer.send(s.peer.signal())
        with pytest.raises(InvariantError, match="on purpose"):
            await micro.wait()
        path = micro.journal.path
        await micro.close()
        found = verify(path)  # the sound engine does not meet the fault: that is a difference
        assert found.difference is not None
        assert "broken on purpose" in found.difference.expected

    run(tmp_path, body)


def test_a_full_disk_ends_the_run_and_everything_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_writer: object) -> None:
        raise OSError(28, "No space left on device")

    async def body(s: Stack) -> None:
        micro = await s.up()
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        with monkeypatch.context() as patch:
            patch.setattr(TapeWriter, "flush", full)
            with pytest.raises(PeerUnavailable, match="No space left"):
                await micro.wait()
            orders = paper(micro).orders
            assert all(not order.open for order in orders.values())  # its last cancels went out
            await micro.close()
        await s.up()  # the folder and the ports are free again

    run(tmp_path, body)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_a_callback_lets_escape_halts_the_run(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        async with stack(tmp_path) as s:
            micro = await s.up()
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)
            with pytest.raises(InvariantError, match="ZeroDivisionError"):
                await micro.wait()
            assert micro.runner.failed

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def test_a_run_after_one_under_a_clock_ten_minutes_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns

    async def body(s: Stack) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: real() + 600 * SECOND)
            ahead = await s.up()
            order = s.peer.signal()
            s.peer.send(order)
            assert (await s.peer.ended(order.signal_id)).status == "filled"
            await ahead.stop("the clock is set right")
            await ahead.close()
        micro = await s.up()
        assert micro.vitals.clock.drift_ns() == pytest.approx(-600 * SECOND, abs=SECOND)
        order = s.peer.signal()
        s.peer.send(order)
        assert (await s.peer.ended(order.signal_id)).status == "filled"
        now = time.time_ns()
        expired = s.peer.signal(created_ns=now - 2 * SECOND, expires_ns=now - SECOND)
        s.peer.send(expired)
        assert (await s.peer.ended(expired.signal_id)).reason_code == "INTENT_EXPIRED"

    run(tmp_path, body)


def test_the_machines_clock_is_set_while_micro_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns

    async def body(s: Stack) -> None:
        await s.up()
        with monkeypatch.context() as patch:
            for step_s in (3, -3, 600):
                patch.setattr(time, "time_ns", lambda step_s=step_s: real() + step_s * SECOND)
                for _ in range(15):
                    s.peer.beat()
                    await asyncio.sleep(0.1)
                order = s.peer.signal()
                s.peer.send(order)
                report = await s.peer.ended(order.signal_id)
                assert (report.status, report.reason_code) == ("filled", ""), step_s

    run(tmp_path, body)
