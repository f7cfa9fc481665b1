"""The processes of a demo run: started, watched, killed where the story asks for it, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from citadel_proto.errors import PeerUnavailable

_TAIL_LINES: Final = 15
"""Lines of a log that an error quotes."""
_STOP_S: Final = 15.0
"""How long a process has to end after SIGINT, before it is killed."""
_POLL_S: Final = 0.05


class Terminated(KeyboardInterrupt):
    """Somebody else wants this process to end, and will not wait long."""


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does: who has started processes must end them.

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
    """One process of ours with its log file. Only its own pid is ever signalled."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again; the log is appended to."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs, built from constants
                [sys.executable, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
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
        """SIGKILL, the fault that no process can prepare for at the last moment."""
        if self.process is not None and self.running:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGINT, then SIGKILL if it has not ended in time. Returns the exit code."""
        if self.process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGINT)
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
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
