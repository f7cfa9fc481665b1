"""A loop that never sleeps does what any other does, and sleeps again when told to."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from citadel_micro.shell.quick_loop import BusyPoll

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
NAP_S = 0.1


async def _processor_of_a_nap() -> float:
    """Processor seconds of this thread while its loop has nothing to do."""
    began_s = time.thread_time()
    await asyncio.sleep(NAP_S)
    return time.thread_time() - began_s


@pytest.mark.parametrize("make", LOOPS)
def test_it_takes_a_core_until_it_is_closed(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> None:
        quiet_s = await _processor_of_a_nap()
        poll = BusyPoll(asyncio.get_running_loop())
        # Of the processor time that a busy machine leaves us: several times that of a sleeping loop.
        busy_s = await _processor_of_a_nap()
        poll.close()
        poll.close()
        again_s = await _processor_of_a_nap()
        assert busy_s > 5 * quiet_s
        assert busy_s > 5 * again_s

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())


@pytest.mark.parametrize("make", LOOPS)
def test_callbacks_timers_and_sockets_come_in_their_order(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def story() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        loop.call_later(0.02, seen.append, "late")
        loop.call_later(0.01, seen.append, "timer")
        loop.call_soon(seen.append, "soon")
        numbers = []
        for number in range(3):
            theirs.send(b"%d\n" % number)
            numbers.append((await reader.readline()).decode().strip())
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        theirs.close()
        return numbers + seen

    async def with_it() -> list[str]:
        poll = BusyPoll(asyncio.get_running_loop())
        try:
            return await story()
        finally:
            poll.close()

    with asyncio.Runner(loop_factory=make) as runner:
        plain = runner.run(story())
    with asyncio.Runner(loop_factory=make) as runner:
        busy = runner.run(with_it())
    assert plain == busy == ["0", "1", "2", "soon", "timer", "late"]


def test_what_is_done_meanwhile_ends_with_it() -> None:
    async def main() -> None:
        turns: list[int] = []
        enough = asyncio.Event()

        def turn() -> None:
            turns.append(len(turns))
            if len(turns) == 3:
                enough.set()

        poll = BusyPoll(asyncio.get_running_loop(), meanwhile=turn)
        await enough.wait()
        poll.close()
        count = len(turns)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(turns) == count
        BusyPoll(asyncio.get_running_loop(), busy=False, meanwhile=turn)
        await asyncio.sleep(0)
        assert len(turns) == count

    asyncio.run(main())
