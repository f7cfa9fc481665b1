"""Watches a run, and sends what its rules say is due. Sending never holds up the run."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.shell.alerts.rules import Alert, AlertRules, Condition
from citadel_micro.shell.keys.redaction import REDACTOR
from citadel_micro.shell.ops.health import reasons_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_micro.core.model.commands import Note
    from citadel_micro.shell.alerts.sender import Sender
    from citadel_micro.shell.config.model import AlertsSection
    from citadel_micro.shell.ops.health import Vitals

CHECK_S: Final = 0.5
SEND_S: Final = 20.0
"""How long one message may take; the next one waits for it."""
CLOSE_S: Final = 3.0
"""How long the end of a run waits for what is still to be sent: the journal is closed after it."""
QUEUE: Final = 100
HOLDS_S: Final = {"book": 5.0, "macro": 3.0, "state": 60.0, "recovery": 30.0, "venue": 2.0}
"""By kind of condition: for how long it must last, because shorter ones belong to every day."""
SAID_BY_CONDITIONS: Final = frozenset(
    {"operator_command_refused", "macro_refused", "cancel_refused"}
)
"""Errors of a request, which its sender has been answered."""

log = structlog.get_logger()


class AlertWatch:
    """Alerts of one run.

    Args:
        vitals: the run.
        section: what is told, and how often.
        sender: to whom.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        vitals: Vitals,
        section: AlertsSection,
        sender: Sender,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vitals = vitals
        self._rules = AlertRules(vitals.instance, section.least, section.most_per_hour)
        self._sender = sender
        self._clock = clock
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(QUEUE)
        self._tasks: list[asyncio.Task[None]] = []
        self.sent = 0
        self.failed = 0

    def start(self) -> None:
        """Start watching; returns at once."""
        self._rules.happened(
            "started",
            "info",
            f"micro is up: {self._vitals.mode}, run {self._vitals.run_id}",
            self._clock(),
        )
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch()), loop.create_task(self._send())]
        for task in self._tasks:
            task.add_done_callback(_said)

    async def close(self) -> None:
        """Send what is waiting, for a short while, and end."""
        if not self._tasks:
            return
        self._rules.happened("ended", "info", "micro is ending", self._clock())
        self._check(at_once=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def note(self, note: Note) -> None:
        """Take a line that the engine writes: its errors are events."""
        if note.level != "error" or note.event in SAID_BY_CONDITIONS:
            return
        fields = dict(note.fields)
        where = " ".join(str(fields[each]) for each in ("venue", "symbol") if each in fields)
        why = next((str(fields[each]) for each in ("text", "why", "reason") if each in fields), "")
        text = f"{note.event.replace('_', ' ')}{': ' if where or why else ''}{where} {why}".strip()
        self._rules.happened(f"{note.event} {where}", "critical", text, self._clock())

    def _check(self, *, at_once: bool = False) -> None:
        now_s = self._clock()
        self._rules.observe(self._conditions(), now_s)
        alert = self._rules.due(now_s, at_once=at_once)
        if alert is None:
            return
        if self._queue.full():
            self.failed += 1
            log.error("alert lost", why="the services are too slow", title=alert.title)
        else:
            self._queue.put_nowait(alert)

    def _conditions(self) -> Iterator[Condition]:
        for reason in reasons_of(self._vitals):
            yield Condition(
                key=reason.key,
                severity="critical" if reason.grave else "warning",
                text=REDACTOR.values(reason.text),
                hold_s=0.0 if reason.grave else HOLDS_S.get(reason.key.partition(" ")[0], 0.0),
            )

    async def _watch(self) -> None:
        while True:
            self._check()
            await asyncio.sleep(CHECK_S)

    async def _send(self) -> None:
        while True:
            alert = await self._queue.get()
            missed = await self._missed(alert)
            self.sent += 1
            if missed:
                self.failed += 1
                log.error("alert not taken", services=missed, title=alert.title)
            self._queue.task_done()

    async def _missed(self, alert: Alert) -> list[str]:
        """The services that did not take a message."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.to_thread(self._sender.send, alert), SEND_S)
        return [f"no answer within {SEND_S:g} s"]


def _said(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("alerts have ended", error=repr(task.exception()))
