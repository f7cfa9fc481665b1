"""micro as a process: its event loop, its signals, and how it ends."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from citadel_bridge.exit_codes import Exit
from citadel_micro.daemon import Micro
from citadel_micro.shell.journal.run_index import replace_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.shell.config.config import MicroConfig

log: Final = structlog.get_logger("micro")

_INSISTING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGQUIT})
"""What a person or a supervisor sends who will not wait."""
SAME_WISH_S: Final = 1.0
"""Signals this close together are one wish: a terminal, a shell and a supervisor may each pass it
on, and nobody who waits for less has seen whether the cancels were confirmed."""
_OTHERS: Final = frozenset(
    getattr(signal, name)
    for name in (
        *("SIGKILL", "SIGSTOP"),  # cannot be caught
        *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"),  # faults
        *("SIGCHLD", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"),  # no end
        *("SIGPIPE", "SIGXFSZ"),  # Python makes errors of them
    )
    if hasattr(signal, name)
)


def run_micro(
    config: MicroConfig,
    ready_file: Path | None = None,
    reread: Callable[[], MicroConfig] | None = None,
) -> Exit:
    """Run micro until it is told to stop; the body of ``citadel micro``.

    The first signal that would end a process withdraws all orders and ends the run. A SIGINT,
    SIGTERM or SIGQUIT more than a second later ends it at once; any other is taken for the same wish
    said twice, as a terminal that closes says it.

    Args:
        config: what to run.
        ready_file: written when everything is up, see ``Micro.ready``; removed at the end.
        reread: reads the configuration anew, for `citadel operator limits`.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_main(config, ready_file, reread))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


async def _main(
    config: MicroConfig, ready_file: Path | None, reread: Callable[[], MicroConfig] | None
) -> Exit:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    forced = asyncio.Event()
    insist_s = 0.0

    def on_signal(number: int) -> None:
        nonlocal insist_s
        name = _name(number)
        if not asked.is_set():
            log.info("told to stop", signal=name)
            insist_s = loop.time() + SAME_WISH_S
            asked.set()
        elif number in _INSISTING and loop.time() >= insist_s:
            log.warning("told again to stop: ending at once", signal=name)
            forced.set()
        else:
            log.info("told again to stop", signal=name)

    for number in _ending_signals():
        loop.add_signal_handler(number, on_signal, number)
    micro = Micro(config, reread)
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


def _ending_signals() -> list[int]:
    """Every signal that would end this process, for each of them would leave orders at work.

    Those of faults (SIGSEGV and the like) are left alone: after them nothing can be relied on. One
    that our parent has told us to ignore stays ignored, which is what ``nohup`` is for.
    """
    by_hand = {signal.SIGINT, signal.SIGTERM}  # a shell ignores SIGINT for what it starts with &
    return [
        number
        for number in sorted(signal.valid_signals() - _OTHERS)
        if number in by_hand or signal.getsignal(number) is signal.SIG_DFL
    ]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


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
