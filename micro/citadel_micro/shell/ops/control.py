"""A person at the controls: operator commands over a socket file in the run folder.

The file belongs to the user who runs micro (mode 0600), so whoever can write to it may give orders;
nothing of it can be reached from another machine. One connection carries one request and one
answer, each a line of JSON::

    {"action": "reset", "scope": "", "trip_id": "t3", "reason": "compared with the venue"}
    {"ok": true, "error": "", "risk": "active", "trips": [...], …}

``status`` asks without doing anything. ``limits`` reads the configuration anew and judges by its
``[risk]`` table from then on; nothing else of it takes effect. Everything else is an
``OperatorCommand``. All of it is journaled as any event.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast, get_args, get_type_hints

import msgspec

from citadel_micro.core.model.events import LimitsChanged, OperatorCommand
from citadel_micro.shell import logs
from citadel_micro.shell.ops.health import check
from citadel_proto.bounds import Name, Scope
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from citadel_micro.core.model.commands import Note
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.ops.health import Vitals

SOCKET: Final = "control.sock"
ACTIONS: Final = ("status", "limits", *get_args(get_type_hints(OperatorCommand)["action"]))
"""What may be asked for."""

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


class ControlServer:
    """Answers on the socket file of one run.

    Args:
        folder: the run folder; whoever holds its lock owns the file.
        vitals: the run.
        reread: reads the configuration anew; None where nobody knows from where.
    """

    def __init__(
        self, folder: Path, vitals: Vitals, reread: Callable[[], MicroConfig] | None = None
    ) -> None:
        self._folder = folder
        self._vitals = vitals
        self._reread = reread
        self._server: asyncio.Server | None = None
        self._heard: list[Note] | None = None

    async def start(self) -> None:
        """Listen."""
        path = self._folder / SOCKET
        path.unlink(missing_ok=True)  # of a run that was killed: the folder's lock is ours
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with _short(path) as short:
            before = os.umask(0o177)  # private from its first moment
            try:
                listener.bind(short)
            finally:
                os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_LONGEST)

    async def close(self) -> None:
        """Stop listening and remove the file."""
        if self._server is not None:
            self._server.close()
            (self._folder / SOCKET).unlink(missing_ok=True)
            self._server = None

    def note(self, command: Note) -> None:
        """Write a log line, and remember it for whoever is being answered."""
        logs.note(command)
        if self._heard is not None:
            self._heard.append(command)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
                writer.write(msgspec.json.encode(self.answer(line)) + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # they hung up, were silent, or wrote without end: there is nobody to tell
        finally:
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out one request; returns the answer."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, ValueError) as error:
            return self._state(f"not a request: {error}")
        if request.action not in ACTIONS:
            return self._state(f"no action {request.action!r}; allowed: {', '.join(ACTIONS)}")
        if request.action == "status":
            return self._state("")
        if request.through_halt and request.action != "flatten":
            return self._state("through_halt is of flatten only")
        event: OperatorCommand | LimitsChanged = OperatorCommand(
            action=cast('Literal["halt"]', request.action),  # one of them, checked above
            scope=request.scope,
            trip_id=request.trip_id,
            reason=request.reason,
            through_halt=request.through_halt,
        )
        if request.action == "limits":
            if self._reread is None:
                return self._state("this micro was given its configuration by a program")
            try:
                event = LimitsChanged(limits=self._reread().limits(), reason=request.reason)
            except BadInput as error:
                return self._state(str(error))
        self._heard = []
        self._vitals.runner.post(event)
        heard, self._heard = self._heard, None
        refusals = [dict(note.fields).get("error") for note in heard if note.event == _REFUSED]
        return self._state("; ".join(str(each) for each in refusals))

    def _state(self, error: str) -> dict[str, Any]:
        return {"ok": not error, "error": error, **check(self._vitals)[1]}


def ask(folder: Path, request: Request) -> dict[str, Any]:
    """Send one request to the micro of a run folder, and return its answer.

    Raises:
        PeerUnavailable: no micro runs there, or it does not answer.
        BadInput: the folder's socket belongs to somebody else.
        DecodeError: the answer is none.
    """
    path = folder / SOCKET
    try:
        with _short(path) as short, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(short)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as file:
                line = file.readline()
    except PermissionError as error:
        raise BadInput(
            "the socket belongs to another user", where=str(path), mend="be the user who runs micro"
        ) from error
    except OSError as error:
        raise PeerUnavailable(
            f"no micro answers at {path}: {error.strerror or error}; is it running? Its folder is "
            "named by --run-dir"
        ) from error
    try:
        found: dict[str, Any] = msgspec.json.decode(line, type=dict)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(f"{path} gave no answer that can be read: {error}") from error
    return found


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of at most 107 bytes for a socket file, which is all that the kernel takes."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        named = f"/proc/self/fd/{descriptor}"
        yield f"{named}/{path.name}" if os.path.isdir(named) else str(path)  # noqa: PTH112 - text
    finally:
        os.close(descriptor)
