"""The processes of a demo run: started, watched, killed on purpose, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from citadel_bridge.parent_process import PARENT_PID
from citadel_proto.errors import PeerUnavailable

_TAIL_LINES: Final = 15
"""Lines of a log that an error quotes."""
_STOP_S: Final = 15.0
"""How long a process has to end after SIGTERM, before it is killed."""
_POLL_S: Final = 0.05
_FIRST_PORT: Final = 20_000
_PORTS: Final = 12_000
_ports: Final = count()


class Terminated(KeyboardInterrupt):
    """Another process wants this one to end, and will not wait long."""


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does: we have to end the processes we started.

    One that is ignored (``nohup``) stays so.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise Terminated

    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Child:
    """One process of ours with its log file. Only its own pid is ever signalled.

    A program of ours ends with the demo, even if that is killed (Linux; ``parent_process``).
    """

    name: str
    argv: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again; the log is appended to. Called from the main thread only."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs, built from constants
                [sys.executable, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment | {PARENT_PID: str(os.getpid())},
                start_new_session=True,  # Ctrl-C is for us: we stop the others in their order
            )

    @property
    def status(self) -> str:
        """``running``, ``exited <code>`` or ``not started``."""
        if self.process is None:
            return "not started"
        code = self.process.poll()
        return "running" if code is None else f"exited {code}"

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def require(self) -> None:
        """Raise PeerUnavailable, with the end of the log, when the process has ended by itself."""
        if not self.running:
            raise PeerUnavailable(f"{self.name} {self.status}; its log ends:\n{self.tail()}")

    def kill(self) -> None:
        """SIGKILL, the fault that no process can prepare for."""
        if self.process is not None and self.running:
            self.process.kill()
            self.process.wait()

    @contextmanager
    def held(self) -> Iterator[None]:
        """SIGSTOP: it does nothing until the block ends, and can be killed in it."""
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)  # it may do something until then
            if not os.WIFSTOPPED(status):
                process.returncode = os.waitstatus_to_exitcode(status)
        try:
            yield
        finally:
            if process is not None:
                process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, then SIGKILL if it has not ended in time. Returns the exit code.

        Not SIGINT: a shell script has it ignored for what it starts with ``&``, a demo and so all of
        its processes, and Freqtrade keeps it so.
        """
        if self.process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def tail(self) -> str:
        """Last lines of the log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines)


def free_port() -> int:
    """A free TCP port on loopback, another one at each call.

    Below those that a system gives to connections (32,768 and up on Linux): one of these may be another
    program's before ours binds it. Two demos at once begin at different ones.
    """
    while True:
        port = _FIRST_PORT + (os.getpid() * 31 + next(_ports)) % _PORTS
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def wait_for_file(path: Path, child: Child, seconds: float) -> None:
    """Wait until a child has written its ready file.

    Raises PeerUnavailable when the child ends first or time is up.
    """
    deadline = time.monotonic() + seconds
    while not path.exists():
        child.require()
        if time.monotonic() > deadline:
            raise PeerUnavailable(
                f"{child.name} was not ready within {seconds:.0f} s; its log ends:\n{child.tail()}"
            )
        time.sleep(_POLL_S)
