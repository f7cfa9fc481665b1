"""micro as a process: its event loop, its signals, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from citadel_bridge.exit_codes import Exit
from citadel_micro.daemon import Micro
from citadel_micro.shell.journal.run_index import replace_whole
from citadel_micro.shell.ops import kill_switch
from citadel_micro.shell.quick_loop import loop_factory
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.shell.config.config import MicroConfig

log: Final = structlog.get_logger("micro")

_INSISTING: Final = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGQUIT") if hasattr(signal, name)
)
"""Signals of a person or a supervisor who will not wait."""
SAME_WISH_S: Final = 1.0
"""Signals this close together count as one: a terminal, a shell and a supervisor may each pass it
on, and whoever waits for less cannot know whether the cancels were confirmed."""
_OTHERS: Final = frozenset(
    getattr(signal, name)
    for name in (
        *("SIGKILL", "SIGSTOP"),  # cannot be caught
        *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"),  # faults
        *("SIGCHLD", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"),  # no end
        *("SIGPIPE", "SIGXFSZ"),  # Python turns them into errors
    )
    if hasattr(signal, name)
)


def run_micro(
    config: MicroConfig,
    ready_file: Path | None = None,
    reread: Callable[[], MicroConfig] | None = None,
) -> Exit:
    """Run micro until it is told to stop; the body of ``citadel micro``.

    The first signal that would end a process cancels all orders and ends the run. A SIGINT,
    SIGTERM or SIGQUIT more than a second later ends it at once; any other counts as a repetition of
    the first, as from a closing terminal. SIGUSR2 is the kill switch: everything is canceled, nothing
    more is sent, and micro stays up.

    Args:
        config: what to run.
        ready_file: written when everything is up, see ``Micro.ready``; removed at the end.
        reread: reads the configuration anew, for `citadel operator limits`.
    """
    if sys.platform == "win32":
        raise BadInput(
            "micro runs on Linux and macOS: it needs their locks, signals and sockets",
            where="this system",
            mend="run it in WSL or in Docker; Freqtrade may stay where it is",
        )
    if config.mode == "live":
        from citadel_micro.shell.keys.process_guard import guard_process  # noqa: PLC0415 - with keys only

        guard_process()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
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
    loop.add_signal_handler(kill_switch.SIGNAL, micro.kill_switch.pull, "signal SIGUSR2")
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
        log.error("the venue has not confirmed that all orders are canceled")
        return Exit.UNAVAILABLE
    finally:
        await micro.close()


def _ending_signals() -> list[int]:
    """Every signal that would end this process, since each would leave orders working.

    Those of faults (SIGSEGV and the like) are left alone: after them nothing can be relied on. One
    that our parent has set to ignored stays ignored, which is what ``nohup`` is for.
    """
    by_hand = {signal.SIGINT, signal.SIGTERM}  # a shell ignores SIGINT for what it starts with &
    return [
        number
        for number in sorted(signal.valid_signals() - _OTHERS - {kill_switch.SIGNAL})
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
