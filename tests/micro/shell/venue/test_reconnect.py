"""A connection that is kept up: anew after a loss, replaced before its end, and no storms."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from waiting import until

from citadel_micro.shell.venue.reconnect import Reconnector
from citadel_proto.errors import BadInput, PeerUnavailable, Refused

if TYPE_CHECKING:
    import pytest


class FakeSession:
    def __init__(self, number: int) -> None:
        self.number = number
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def closed(self) -> str:
        return await asyncio.shield(self.end)

    def close(self) -> None:
        if not self.end.done():
            self.end.set_result("closed by us")


class Bench:
    def __init__(self, *, renew_s: float = 60.0) -> None:
        self.made: list[FakeSession] = []
        self.log: list[str] = []
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.keeper: Reconnector[FakeSession] = Reconnector(
            "test",
            self.open,
            on_up=lambda session: self.log.append(f"up {session.number}"),
            on_down=lambda why: self.log.append(f"down {why}"),
            rng=random.Random(1),
            renew_s=renew_s,
        )

    async def open(self) -> FakeSession:
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.made.append(FakeSession(len(self.made)))
        return self.made[-1]

    async def until(self, *log: str) -> None:
        await until(lambda: self.log == list(log))


def test_it_is_opened_anew_after_a_loss() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.failures.append(PeerUnavailable("nobody there"))
        bench.keeper.start()
        await bench.until("down nobody there", "up 0")
        bench.made[0].end.set_result("cut")
        await bench.until("down nobody there", "up 0", "down cut", "up 1")
        assert bench.keeper.opened == 2
        await bench.keeper.close()
        assert bench.made[1].end.done()

    asyncio.run(scenario())


def test_one_that_is_not_understood_is_opened_again() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.failures += [ValueError("no number"), BadInput("price is NaN")]
        bench.keeper.start()
        await bench.until("down no number", "down price is NaN", "up 0")
        await bench.keeper.close()

    asyncio.run(scenario())


def test_a_replacement_is_up_before_the_old_one_closes() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.keeper.start()
        await bench.until("up 0")
        bench.gate = asyncio.Event()
        bench.keeper.replace()
        await asyncio.sleep(0.4)
        assert not bench.made[0].end.done()
        bench.gate.set()
        await bench.until("up 0", "up 1")
        assert bench.made[0].end.done()
        await asyncio.sleep(0.05)
        assert bench.log == ["up 0", "up 1"]  # the end of the old one is no loss
        await bench.keeper.close()

    asyncio.run(scenario())


def test_it_is_renewed_by_age_and_lost_meanwhile_all_the_same() -> None:
    async def scenario() -> None:
        bench = Bench(renew_s=0.1)
        bench.keeper.start()
        await bench.until("up 0")
        bench.gate = asyncio.Event()
        await asyncio.sleep(0.5)  # another one is being opened
        bench.made[0].end.set_result("cut at its age")
        await bench.until("up 0", "down cut at its age")
        bench.gate.set()
        await bench.until("up 0", "down cut at its age", "up 1")
        await bench.keeper.close()

    asyncio.run(scenario())


def test_one_that_is_distrusted_is_down_at_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.keeper.start()
        await bench.until("up 0")
        bench.keeper.drop("mute")
        assert bench.log == ["up 0", "down mute"]
        assert bench.keeper.current is None
        await bench.until("up 0", "down mute", "up 1")
        await bench.keeper.close()

    asyncio.run(scenario())


def test_a_refused_key_is_tried_again_only_after_long(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    async def scenario() -> None:
        bench = Bench()
        bench.failures += [Refused("the venue refuses the key")] * 4
        with monkeypatch.context() as patch:
            patch.setattr("citadel_micro.shell.venue.reconnect.asyncio.sleep", note)
            bench.keeper.start()
            end = asyncio.get_running_loop().time() + 5
            while bench.keeper.current is None:
                assert asyncio.get_running_loop().time() < end
                await sleep(0.01)
            bench.keeper.drop("401", refused=True)
            while bench.keeper.opened < 2:
                assert asyncio.get_running_loop().time() < end
                await sleep(0.01)
            await bench.keeper.close()

    asyncio.run(scenario())
    assert len(pauses) == 5
    assert all(pause >= 30 for pause in pauses)
    assert pauses[3] > pauses[0]


def test_it_can_be_closed_in_the_moment_in_which_it_goes_down() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.keeper.start()
        await bench.until("up 0")
        bench.keeper.drop("mute")
        await asyncio.wait_for(bench.keeper.close(), 60)
        assert bench.keeper.opened == 1

    asyncio.run(scenario())


def test_a_venue_that_announces_its_end_again_and_again_is_not_stormed() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.keeper.start()
        end = asyncio.get_running_loop().time() + 1.0
        while asyncio.get_running_loop().time() < end:
            bench.keeper.replace()
            await asyncio.sleep(0.001)
        assert 1 <= bench.keeper.opened <= 5
        await bench.keeper.close()

    asyncio.run(scenario())
