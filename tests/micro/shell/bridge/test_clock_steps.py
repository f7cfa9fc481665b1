"""A clock that is set, on either side or on both, neither stops trading for good nor revives a signal."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from effort import chosen
from uplink_kit import SECOND, Macro, Micro, Wall

from citadel_micro.shell.journal.verify import verify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_proto.messages import ExecutionReport, Signal

STEPS = (3 * SECOND, -3 * SECOND, 600 * SECOND, -600 * SECOND)


class Pair:
    """A macro and a micro on one machine, unless their clocks are set apart."""

    def __init__(self, macro: Macro, micro: Micro) -> None:
        self.macro, self.micro = macro, micro

    def set_machine(self, by_ns: int) -> None:
        for wall in (self.macro.wall, self.micro.wall):
            assert isinstance(wall, Wall)
            wall.shift_ns += by_ns

    async def send(self, signal: Signal) -> ExecutionReport:
        self.macro.send(signal)
        await self.micro.until(lambda: self.micro.report(signal.signal_id) is not None)
        report = self.micro.report(signal.signal_id)
        assert report is not None
        return report

    async def code(self, **changes: Any) -> str:  # noqa: ANN401 - fields by name
        return (await self.send(self.macro.signal(**changes))).reason_code


def run(folder: Path, body: Callable[[Pair], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    async def main() -> None:
        macro = Macro()
        micro = Micro(folder / "run", (macro.address,), **options)
        try:
            await micro.until(micro.beats)
            await macro.watch(micro, 2.0)
            await body(Pair(macro, micro))
        finally:
            micro.close()
            macro.close()
        assert verify(micro.journal.path).difference is None

    asyncio.run(main())


@pytest.mark.parametrize("step_ns", chosen(STEPS, suite=[3 * SECOND, -600 * SECOND]))
def test_the_machines_clock_is_set(step_ns: int, tmp_path: Path) -> None:
    async def body(pair: Pair) -> None:
        macro, micro = pair.macro, pair.micro
        assert await pair.code() == ""
        old = macro.signal()
        pair.set_machine(step_ns)
        await macro.watch(micro, 1.5)
        assert await pair.code() == ""
        expired = macro.signal(
            created_ns=macro.wall() - 6 * SECOND, expires_ns=macro.wall() - SECOND
        )
        assert (await pair.send(expired)).reason_code == "INTENT_EXPIRED"
        beat = micro.beats()[-1]
        assert abs(beat.wall_ns - macro.wall()) < 2 * SECOND
        assert beat.clock_drift_ns == pytest.approx(step_ns, abs=SECOND // 10)
        assert micro.clock.steps == 1
        # What was signed before the step is no longer good once its five seconds have passed.
        await macro.watch(micro, 5.0)
        assert (await pair.send(old)).status == "rejected"
        pair.set_machine(-step_ns)
        await macro.watch(micro, 1.5)
        assert await pair.code() == ""
        assert micro.beats()[-1].clock_drift_ns == pytest.approx(0, abs=SECOND // 10)

    run(tmp_path, body)


@pytest.mark.parametrize("step_ns", STEPS)
def test_macros_clock_alone_is_set(step_ns: int, tmp_path: Path) -> None:
    async def body(pair: Pair) -> None:
        macro, micro = pair.macro, pair.micro
        macro.wall.shift_ns += step_ns
        await macro.watch(micro, 0.5)
        report = await pair.send(macro.signal())
        assert report.reason_code == "CLOCK_SKEW"
        told = re.search(r"by ([+-]\d+) ms", report.reason)
        assert told is not None, report.reason
        assert int(told[1]) * 1_000_000 == pytest.approx(step_ns, abs=SECOND // 10)
        assert micro.uplink.skews(micro.clock.now())["macro-1"] == pytest.approx(
            step_ns, abs=SECOND // 10
        )
        expired = macro.signal(
            created_ns=macro.wall() - 6 * SECOND, expires_ns=macro.wall() - SECOND
        )
        assert (await pair.send(expired)).reason_code == "INTENT_EXPIRED"
        macro.wall.shift_ns -= step_ns
        await macro.watch(micro, 0.5)
        assert await pair.code() == ""

    run(tmp_path, body)


def test_a_run_after_one_under_a_clock_ten_minutes_ahead(tmp_path: Path) -> None:
    async def body(pair: Pair) -> None:
        micro = pair.micro
        assert micro.clock.drift_ns() == pytest.approx(-600 * SECOND, abs=SECOND)
        assert await pair.code() == ""
        macro = pair.macro
        expired = macro.signal(
            created_ns=macro.wall() - 6 * SECOND, expires_ns=macro.wall() - SECOND
        )
        assert (await pair.send(expired)).reason_code == "INTENT_EXPIRED"
        beat = micro.beats()[-1]
        assert abs(beat.wall_ns - macro.wall()) < 2 * SECOND

    run(tmp_path, body, not_before_ns=Wall()() + 600 * SECOND)


def test_signals_held_up_with_their_heartbeats_are_not_revived(tmp_path: Path) -> None:
    """A connection that stalled from its first heartbeat on: what comes late looks like a slow clock."""

    async def main() -> None:
        macro = Macro()
        micro = Micro(tmp_path / "run", (macro.address,))
        try:
            await micro.until(micro.beats)
            made = macro.signal()
            macro.beat()
            late = 20 * SECOND
            for number in range(5):  # all of them were made twenty seconds ago
                macro.beat(
                    wall_ns=macro.wall() - late + number * SECOND,
                    mono_ns=micro.clock.mono() - late + number * SECOND,
                )
            old = macro.signal(created_ns=made.created_ns - late, expires_ns=made.expires_ns - late)
            with contextlib.closing(macro):
                macro.send(old)
                await micro.until(lambda: micro.report(old.signal_id) is not None)
                report = micro.report(old.signal_id)
                assert report is not None
                assert report.reason_code == "INTENT_EXPIRED"
        finally:
            micro.close()

    asyncio.run(main())


def test_anothers_clock_and_heartbeat_concern_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        mine, other = Macro("a", owner="owner-a", epoch=5), Macro("b", owner="owner-b", epoch=6)
        micro = Micro(tmp_path / "run", (mine.address, other.address))
        try:
            await micro.until(micro.beats)
            other.wall.shift_ns = 600 * SECOND

            async def both(count: int) -> None:
                for _ in range(count):
                    mine.beat()
                    other.beat()
                    await asyncio.sleep(0.1)
                    micro.book()

            await both(20)
            ours, theirs = mine.signal(), other.signal()
            for macro, signal in ((mine, ours), (other, theirs)):
                macro.send(signal)
            await micro.until(
                lambda: micro.report(ours.signal_id) and micro.report(theirs.signal_id)
            )
            accepted, refused = micro.report(ours.signal_id), micro.report(theirs.signal_id)
            assert accepted is not None
            assert refused is not None
            assert (accepted.reason_code, refused.reason_code) == ("", "CLOCK_SKEW")
        finally:
            micro.close()
            mine.close()
            other.close()

    asyncio.run(main())
