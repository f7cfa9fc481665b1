"""Operator commands over a socket file in the run folder.

The file belongs to the user who runs micro (mode 0600), so only that user can give commands, and
only on this machine. One connection carries one request and one
answer, each a line of JSON::

    {"action": "reset", "scope": "", "trip_id": "t3", "reason": "compared with the venue"}
    {"ok": true, "error": "", "risk": "active", "trips": [...], …}

``status`` only reads. ``limits`` re-reads the configuration and applies its ``[risk]`` table from
then on; nothing else of it takes effect. Everything else is an
``OperatorCommand``. All of it is journaled like any event.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast, get_args, get_type_hints

import msgspec

from citadel_micro.core.model.events import LimitsChanged, OperatorCommand
from citadel_micro.shell import logs
from citadel_micro.shell.ops.health import check
from citadel_micro.shell.ops.overview import overview
from citadel_micro.shell.ops.risk_overview import risk_overview
from citadel_micro.shell.ops.socket_file import listener, short_name
from citadel_proto.bounds import Name, Scope
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.core.model.commands import Note
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.ops.health import Vitals

SOCKET: Final = "control.sock"
OVERVIEW: Final = "overview"
"""Asks for the whole run at a glance instead of acting; see ``shell.ops.overview``."""
RISK: Final = "risk"
"""Asks for the gate: limits, how much is used, trips; see ``shell.ops.risk_overview``."""
ACTIONS: Final = ("status", "limits", *get_args(get_type_hints(OperatorCommand)["action"]))
"""Allowed actions."""

_LONGEST: Final = 64 * 1024
_TIMEOUT_S: Final = 5.0
_REFUSED: Final = "operator_command_refused"


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request."""

    action: Name
    scope: Scope = ""
    trip_id: Name = ""
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    through_halt: bool = False
    keep_trading: bool = False


class ControlServer:
    """Serves the socket file of one run.

    Args:
        folder: the run folder; whoever holds its lock owns the file.
        vitals: the run.
        reread: re-reads the limits; None where their source is not known.
    """

    def __init__(
        self, folder: Path, vitals: Vitals, reread: Callable[[], RiskLimits] | None = None
    ) -> None:
        self._folder = folder
        self._vitals = vitals
        self._reread = reread
        self._server: asyncio.Server | None = None
        self._notes: list[Note] | None = None

    async def start(self) -> None:
        """Listen."""
        found = listener(self._folder / SOCKET)
        self._server = await asyncio.start_unix_server(self._serve, sock=found, limit=_LONGEST)

    async def close(self) -> None:
        """Stop listening and remove the file."""
        if self._server is not None:
            self._server.close()
            (self._folder / SOCKET).unlink(missing_ok=True)
            self._server = None

    def note(self, command: Note) -> None:
        """Write a log line, and add it to the answer that is being made."""
        logs.note(command)
        if self._notes is not None:
            self._notes.append(command)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
                writer.write(msgspec.json.encode(self.answer(line)) + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # the client hung up, was silent, or sent without end: there is nobody to answer
        finally:
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Execute one request; returns the answer."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, ValueError) as error:
            return self._state(f"not a request: {error}")
        if request.action == OVERVIEW:
            return {"ok": True, "error": "", **overview(self._vitals)}
        if request.action == RISK:
            return {"ok": True, "error": "", **risk_overview(self._vitals)}
        if request.action not in ACTIONS:
            return self._state(f"no action {request.action!r}; allowed: {', '.join(ACTIONS)}")
        if request.action == "status":
            return self._state("")
        if request.through_halt and request.action != "flatten":
            return self._state("through_halt is for flatten only")
        if request.keep_trading and request.action != "flatten":
            return self._state("keep_trading is for flatten only")
        event: OperatorCommand | LimitsChanged = OperatorCommand(
            action=cast('Literal["halt"]', request.action),  # one of them, checked above
            scope=request.scope,
            trip_id=request.trip_id,
            reason=request.reason,
            through_halt=request.through_halt,
            pause=request.action == "flatten" and not request.keep_trading,
        )
        if request.action == "limits":
            if self._reread is None:
                return self._state("this micro was configured by a program, not from a file")
            try:
                event = LimitsChanged(limits=self._reread(), reason=request.reason)
            except BadInput as error:
                return self._state(str(error))
        self._notes = []
        self._vitals.runner.post(event)
        notes, self._notes = self._notes, None
        refusals = [dict(note.fields).get("error") for note in notes if note.event == _REFUSED]
        return self._state("; ".join(str(each) for each in refusals))

    def _state(self, error: str) -> dict[str, Any]:
        return {"ok": not error, "error": error, **check(self._vitals)[1]}


def ask(folder: Path, request: Request) -> dict[str, Any]:
    """Send one request to the micro of a run folder, and return its answer.

    Raises:
        PeerUnavailable: no micro runs there, or it does not answer.
        BadInput: the folder's socket belongs to somebody else.
        DecodeError: the answer is invalid.
    """
    path = folder / SOCKET
    try:
        with short_name(path) as short, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(short)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as file:
                line = file.readline()
    except PermissionError as error:
        raise BadInput(
            "the socket belongs to another user",
            where=str(path),
            mend="use the user who runs micro",
        ) from error
    except OSError as error:
        raise PeerUnavailable(
            f"no micro answers at {path}: {error.strerror or error}; is it running? Its folder is "
            "named by --run-dir"
        ) from error
    try:
        found: dict[str, Any] = msgspec.json.decode(line, type=dict)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(f"{path} gave an unreadable answer: {error}") from error
    return found
