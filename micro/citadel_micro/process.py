"""micro as a process: its event loop, its signals, and how it ends."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from citadel_bridge.exits import Exit
from citadel_micro.modes import PaperMicro
from citadel_micro.shell.run_index import replace_whole

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.config import MicroConfig

log: Final = structlog.get_logger("micro")


def run_paper(config: MicroConfig, ready_file: Path | None = None) -> Exit:
    """Run micro on paper until it is told to stop; the body of ``citadel micro --mode paper``.

    The first SIGINT or SIGTERM withdraws all orders and ends the run; the second ends it at once.

    Args:
        config: what to run.
        ready_file: written when everything is up, see ``PaperMicro.ready``; removed at the end.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_main(config, ready_file))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


async def _main(config: MicroConfig, ready_file: Path | None) -> Exit:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    forced = asyncio.Event()

    def on_signal(name: str) -> None:
        if asked.is_set():
            log.warning("told again to stop: ending at once", signal=name)
            forced.set()
        else:
            log.info("told to stop", signal=name)
            asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number.name)
    micro = PaperMicro(config)
    try:
        starting = asyncio.create_task(micro.start())
        if not await _first(starting, asked):
            return Exit.OK
        if ready_file is not None:
            replace_whole(ready_file, msgspec.json.encode(micro.ready()))
        ending = asyncio.create_task(micro.wait())
        if await _first(ending, asked):
            return Exit.OK if ending.result() else Exit.UNAVAILABLE
        stopping = asyncio.create_task(micro.stop("told to stop"))
        if not await _first(stopping, forced):
            return Exit.INTERRUPTED
        if stopping.result():
            log.info("micro is down", clean=True)
            return Exit.OK
        log.error("the venue has not confirmed that all orders are withdrawn")
        return Exit.UNAVAILABLE
    finally:
        await micro.close()


async def _first(task: asyncio.Task[Any], event: asyncio.Event) -> bool:
    """Wait for a task or an event: True, or the task's error, when the task was first."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait({task})
    return False


def _loop_factory() -> Any:  # noqa: ANN401 - a loop factory of whichever library is there
    try:
        import uvloop  # noqa: PLC0415 - optional: Linux and macOS only
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
