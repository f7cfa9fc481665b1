"""How watchdogs ask micro whether it is alive: a socket file in the run folder.

A watchdog asks once a second; the question is its heartbeat, the answer micro's. The answer
is given by the event loop that also sends orders, so a dead, stopped or hung micro gives none. One
connection carries one question and one answer, each a line of JSON::

    {"watchdog": "a1b2c3", "standing_by": ["binance-spot"], "canceling": []}
    {"run": "micro-7", "in_command": ["binance-spot"]}

A watchdog can give no orders here.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import structlog

from citadel_micro.shell.ops.socket_file import listener
from citadel_proto.bounds import Name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.shell.runner import Runner

log: Final = structlog.get_logger("watchdog post")

SOCKET: Final = "watchdog.sock"
FIRST_WITHIN_S: Final = 2.5
"""A watchdog that runs has asked by then."""
GONE_S: Final = 5.0
"""A watchdog that has not asked for this long, five times its interval, is gone."""
LONGEST: Final = 16 * 1024
_TIMEOUT_S: Final = 2.0
_MOST_WATCHDOGS: Final = 32
"""More names than anybody runs; a program that asks under ever new ones costs no more memory."""

Venues = Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a watchdog."""

    watchdog: Name
    """Which one: each start of one makes another."""
    standing_by: Venues = ()
    """Venues on which it could cancel now, and is not canceling."""
    canceling: Venues = ()
    """Venues on which it cancels, because micro has not answered for too long."""


class Answer(msgspec.Struct, frozen=True):
    """Of micro."""

    run: str
    in_command: tuple[str, ...]
    """Venues whose order connection is up. What is not among them may have orders that nobody can
    cancel."""


@dataclass(slots=True)
class _Watchdog:
    asked_s: float
    standing_by: tuple[str, ...]
    canceling: tuple[str, ...]


class WatchdogServer:
    """Micro's end.

    Args:
        folder: the run folder; whoever holds its lock owns the file.
        run_id: of this run.
        time_s: monotonic, in seconds.
    """

    def __init__(self, folder: Path, run_id: str, time_s: Callable[[], float]) -> None:
        self._path = folder / SOCKET
        self._run_id = run_id
        self._time_s = time_s
        self._server: asyncio.Server | None = None
        self._watchdogs: dict[str, _Watchdog] = {}
        self._first = asyncio.Event()
        self.in_command: Callable[[], tuple[str, ...]] = tuple
        """Venues on which micro is in command of its orders; none until it says so."""

    async def start(self) -> None:
        """Listen."""
        found = listener(self._path)
        self._server = await asyncio.start_unix_server(self._serve, sock=found, limit=LONGEST)

    async def close(self) -> None:
        """Stop listening and remove the file."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None

    def armed(self, venue: str) -> bool:
        """Whether a watchdog would cancel at this venue if micro fell silent, and none does already.

        One that cancels has no answer of micro yet: a new order could be among those that it cancels.
        """
        return any(venue in each.standing_by for each in self._alive()) and not self.canceling(
            venue
        )

    def canceling(self, venue: str) -> bool:
        """Whether a watchdog cancels at this venue, or has not stopped yet."""
        return any(venue in each.canceling for each in self._alive())

    async def wait_for_first(self, within_s: float) -> None:
        """Wait until a watchdog has asked, as one that runs does every second; for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._first.wait()

    def watchdogs(self) -> dict[str, dict[str, object]]:
        """Every watchdog, for people."""
        now_s = self._time_s()
        return {
            name: {
                "silent_ms": int((now_s - each.asked_s) * 1_000),
                "standing_by": list(each.standing_by),
                "canceling": list(each.canceling),
            }
            for name, each in self._watchdogs.items()
        }

    def answer(self, line: bytes) -> bytes:
        """Note who asks; empty for what is no question."""
        try:
            question = msgspec.json.decode(line, type=Question)
        except (msgspec.MsgspecError, ValueError):
            return b""
        if question.watchdog not in self._watchdogs:
            log.info("a watchdog is connected", watchdog=question.watchdog)
        self._watchdogs.pop(question.watchdog, None)
        self._watchdogs[question.watchdog] = _Watchdog(
            self._time_s(), question.standing_by, question.canceling
        )
        self._first.set()
        while len(self._watchdogs) > _MOST_WATCHDOGS:
            del self._watchdogs[next(iter(self._watchdogs))]  # the one that was silent longest
        return msgspec.json.encode(Answer(self._run_id, self.in_command())) + b"\n"

    def _alive(self) -> list[_Watchdog]:
        oldest_s = self._time_s() - GONE_S
        return [each for each in self._watchdogs.values() if each.asked_s >= oldest_s]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
                if line:
                    writer.write(self.answer(line))
                    await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # the client hung up, was silent, or sent without end: there is nobody to answer
        finally:
            writer.close()


def in_command(runner: Runner, venues: tuple[str, ...]) -> tuple[str, ...]:
    """Venues whose orders this run can cancel itself: a watchdog leaves them alone."""
    if runner.failed or runner.stopped.done():
        return ()
    down = runner.engine.executor.venue_down
    return tuple(venue for venue in venues if venue not in down)
