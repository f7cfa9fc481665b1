"""micro's end of what watchdogs and micro say to each other."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from citadel_micro.shell.ops.watchdog_server import GONE_S, WatchdogServer

if TYPE_CHECKING:
    from pathlib import Path

VENUE = "binance-spot"


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def question(name: str = "a", *, standing_by: bool = True, canceling: bool = False) -> bytes:
    return json.dumps(
        {
            "watchdog": name,
            "standing_by": [VENUE] * standing_by,
            "canceling": [VENUE] * canceling,
        }
    ).encode()


def post(folder: Path) -> tuple[WatchdogServer, Time]:
    time = Time()
    return WatchdogServer(folder, "micro-1", time), time


def test_armed_as_long_as_a_watchdog_stands_by(tmp_path: Path) -> None:
    its, time = post(tmp_path)
    assert not its.armed(VENUE)
    its.answer(question())
    assert its.armed(VENUE)
    assert not its.armed("another")
    time.now_s += GONE_S + 0.001
    assert not its.armed(VENUE)
    its.answer(question())
    assert its.armed(VENUE)


def test_one_that_cancels_disarms_whatever_another_says(tmp_path: Path) -> None:
    its, time = post(tmp_path)
    its.answer(question("a"))
    its.answer(question("b", standing_by=False, canceling=True))
    assert its.canceling(VENUE)
    assert not its.armed(VENUE)
    time.now_s += GONE_S + 0.001  # it has died
    its.answer(question("a"))
    assert its.armed(VENUE)


def test_its_answer_names_the_venues_that_micro_is_in_command_of(tmp_path: Path) -> None:
    its, _ = post(tmp_path)
    assert json.loads(its.answer(question()))["in_command"] == []
    its.in_command = lambda: (VENUE,)
    assert json.loads(its.answer(question())) == {"run": "micro-1", "in_command": [VENUE]}


def test_what_is_no_question_is_not_answered_and_arms_nothing(tmp_path: Path) -> None:
    its, _ = post(tmp_path)
    for line in (b"", b"{", b'{"watchdog": 1}', b'{"watchdog": "a", "halt": true}', b"\xff\n"):
        assert its.answer(line) == b""
    long = b'{"watchdog": "' + b"x" * 100_000 + b'"}'
    assert its.answer(long) == b""
    assert its.watchdogs() == {}


def test_ever_new_names_cost_no_more_memory(tmp_path: Path) -> None:
    its, _ = post(tmp_path)
    for number in range(1_000):
        its.answer(question(f"w{number}"))
    assert len(its.watchdogs()) <= 32
    assert "w999" in its.watchdogs()


def test_the_first_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        its, _ = post(tmp_path)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await its.wait_for_first(0.1)
        assert 0.05 < loop.time() - begun_s < 60
        loop.call_later(0.05, its.answer, question())
        async with asyncio.timeout(60):
            await its.wait_for_first(60)
        assert its.armed(VENUE)

    asyncio.run(main())


def test_the_socket_is_its_users_and_goes_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        its, _ = post(tmp_path)
        await its.start()
        path = tmp_path / "watchdog.sock"
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(question() + b"\n")
        assert json.loads(await reader.readline())["run"] == "micro-1"
        assert await reader.read() == b""  # one question a connection
        writer.close()
        await its.close()
        assert not path.exists()

    asyncio.run(main())
