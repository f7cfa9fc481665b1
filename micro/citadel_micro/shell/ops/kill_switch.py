"""The kill switch: one door for its four ways, each of which works without the others.

`citadel operator kill` and the page post through a running micro's socket and server; a file named
``KILL`` in the run folder and the signal SIGUSR2 need neither, nor any program of ours: ``touch``
and ``kill`` are enough. All four post the same journaled ``OperatorCommand``: no order is sent from
then on, and the cancels of everything that works leave in the same call.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.core.model.events import OperatorCommand
from citadel_micro.core.risk.circuit_breakers import GLOBAL

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from citadel_micro.shell.runner import Runner

log: Final = structlog.get_logger("micro")

FILE: Final = "KILL"
"""In the run folder. While it exists, nothing is sent: a reset does not last."""
SIGNAL: Final[signal.Signals] = getattr(signal, "SIGUSR2", signal.SIGTERM)
"""No terminal, shell or supervisor sends it by itself. Windows has none, and no micro."""
POLL_S: Final = 0.03
"""New orders must stop within 100 ms of the file's appearance; one look takes some microseconds."""
_LONGEST: Final = 200
"""Bytes of the file that are taken as the reason."""


class KillSwitch:
    """Watches the file and remembers what was asked before the engine was there.

    Args:
        loop: the loop of the run.
        folder: the run folder.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self._loop = loop
        self._path = folder / FILE
        self._runner: Runner | None = None
        self._early = ""
        self._timer: asyncio.TimerHandle | None = None
        self._unreadable = False

    def pull(self, reason: str) -> None:
        """Stop sending orders, cancel everything. Before ``start`` it takes effect at ``start``.

        Raises nothing: whoever calls it has no better idea.
        """
        log.error("kill switch", reason=reason)
        if self._runner is None:
            self._early = reason
            return
        self._runner.post(
            OperatorCommand(action="kill", scope=GLOBAL, trip_id="", reason=reason or "unexplained")
        )

    def start(self, runner: Runner) -> None:
        """Act on what was asked meanwhile, and watch the file. After ``Started`` was posted."""
        self._runner = runner
        if self._early:
            self.pull(self._early)
        self._poll()

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._runner = None

    def _poll(self) -> None:
        runner = self._runner
        if runner is None:
            return
        self._timer = self._loop.call_later(POLL_S, self._poll)
        if not self._there() or runner.failed:
            return
        if runner.engine.risk.breakers.scope_state(GLOBAL) != "KILLED":
            self.pull(self._reason())

    def _there(self) -> bool:
        try:
            os.stat(self._path)  # noqa: PTH116 - a third of the time of pathlib's, 30 times a second
        except FileNotFoundError:
            return False
        except OSError as error:
            if not self._unreadable:
                self._unreadable = True
                log.error("kill file cannot be watched", path=str(self._path), error=str(error))  # noqa: TRY400 - no bug
            return False
        return True

    def _reason(self) -> str:
        try:
            with self._path.open("rb") as file:
                text = file.read(_LONGEST).decode(errors="replace").strip()
        except OSError:
            text = ""  # it is there, and that is enough
        return f"file {FILE}: {text}" if text else f"file {FILE}"
