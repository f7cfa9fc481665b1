"""Our programs as processes, forked from one that has imported them: 30 ms instead of half a second and more.

What starts is a process of its own, with its own files, environment, folder and signals; only the start of
the interpreter and the imports are not repeated. Tests of these, and of what reads the environment while it
is imported, start the interpreter: they use ``subprocess`` themselves.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Final, Protocol, Self

import fork_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

COMMAND: Final = (sys.executable, "-m", "citadel_bridge.cli")
_AT_IMPORT: Final = "CITADEL_KERNEL"
"""The one variable of ours that is read while a module is imported."""


class Process(Protocol):
    """What a started program and a ``subprocess.Popen`` have in common."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Started:
    """A program that was forked; behaves as a ``subprocess.Popen`` of text does.

    Args:
        words: what follows ``citadel``.
        stdin: a file, or ``DEVNULL``; None is this process's own.
        stdout, stderr: as for ``subprocess.Popen``.
        environment: all of it.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.args = [*COMMAND, *words]
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        ours: list[int] = []
        files = [_file(stdin, 0, ours)]
        for number, sink in ((1, stdout), (2, stderr)):
            if sink == subprocess.PIPE:
                end, theirs = os.pipe()
                ours.append(theirs)
                pipe = os.fdopen(end, encoding="utf-8")
                if number == 1:
                    self.stdout = pipe
                else:
                    self.stderr = pipe
                files.append(theirs)
            elif sink == subprocess.STDOUT:
                files.append(files[1])
            else:
                files.append(_file(sink, number, ours))
        self._answers, answering = socket.socketpair()
        try:
            start = {
                "words": list(words),
                "folder": str(Path.cwd()),
                "environment": dict(os.environ if environment is None else environment),
            }
            _server().ask(json.dumps(start).encode(), [answering.fileno(), *files])
        finally:
            answering.close()
            for file in ours:
                os.close(file)
        self._lines = self._answers.makefile("r", encoding="ascii")
        self.pid = int(self._lines.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.wait()

    def poll(self) -> int | None:
        """Its exit code, minus the signal's number if one has ended it; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutExpired: ``subprocess``'s.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        """As of ``kill``; nothing when it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read all that it writes, and wait for its end.

        Raises:
            TimeoutExpired: ``subprocess``'s.
        """
        end = None if timeout is None else time.monotonic() + timeout
        read = {1: "", 2: ""}

        def drain(number: int, pipe: IO[str]) -> None:
            with pipe:
                read[number] = pipe.read()

        readers = [
            Thread(target=drain, args=(number, pipe), daemon=True)
            for number, pipe in ((1, self.stdout), (2, self.stderr))
            if pipe is not None
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return read[1], read[2]

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], timeout)[0]:
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._answers.close()
        return self.returncode


def run(
    *words: str, timeout: float = 120, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``citadel`` to its end, as ``subprocess.run`` with what it has written."""
    process = Started(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environment=environment,
    )
    try:
        out, err = process.communicate(timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def start(arguments: Sequence[str], *, log: IO[bytes], environment: Mapping[str, str]) -> Process:
    """Start a program that writes to a log: forked if that makes no difference, else as it says.

    It makes one if something else is started (``nohup``, say), or something is set that the
    interpreter or a library may read when it starts.
    """
    mine = len(COMMAND)
    if tuple(arguments[:mine]) == COMMAND and _outside(environment) == _server().outside:
        return Started(arguments[mine:], stdout=log, stderr=log, environment=environment)
    return subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)


def _outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables which are not our programs' own settings, or are read before these are."""
    passing = ("CITADEL_", "PYTEST_")
    return {
        name: value
        for name, value in environment.items()
        if name == _AT_IMPORT or not name.startswith(passing)
    }


def _file(given: IO[bytes] | int | None, own: int, opened: list[int]) -> int:
    if given is None:
        return own
    if given == subprocess.DEVNULL:
        opened.append(os.open(os.devnull, os.O_RDWR))
        return opened[-1]
    return given if isinstance(given, int) else given.fileno()


_usual: dict[str, str] = {}


def remember_environment() -> None:
    """Take this one for what programs are started in: the first of them may be started by a test with another."""
    _usual.clear()
    _usual.update(os.environ)


class _Server:
    """The process that forks; ends with this one."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        environment = _usual or os.environ
        self.outside = _outside(environment)
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, fork_server.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )

    def ask(self, start: bytes, files: list[int]) -> None:
        socket.send_fds(self._control, [start], files)

    def end(self) -> None:
        self._control.close()
        self._process.wait()


_lock: Final = Lock()
_servers: list[_Server] = []


def _server() -> _Server:
    with _lock:
        if not _servers:
            _servers.append(_Server())
        return _servers[-1]


def end() -> None:
    """End the process that forks, and what it has started; the next start begins another."""
    with _lock:
        while _servers:
            _servers.pop().end()
