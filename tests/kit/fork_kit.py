"""A program that forks and is killed: what it held must end with it, though its fork lives on."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM: Final = """
import os, signal, sys
{hold}
print("holds", flush=True)
sys.stdin.readline()
if os.fork():
    signal.pause()
{in_the_fork}
print("forked", flush=True)
sys.stdin.read()
"""


class Forking:
    """A program that holds something, and its fork once it has one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._orders, self._lines = process, process.stdin, process.stdout
        self.said: Final = list(iter(self._line, "holds"))
        """What it printed before: an address, say."""

    def fork(self) -> None:
        """Let it fork; its fork has done what it is to do."""
        self._orders.write("fork\n")
        self._orders.flush()
        assert self._line() == "forked"

    def kill(self) -> None:
        """End the program, and not its fork."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End the fork."""
        self._orders.close()
        assert not self._lines.read(), "the fork has ended"

    def _line(self) -> str:
        line = self._lines.readline()
        assert line, "it has ended"
        return line.rstrip("\n")


@contextmanager
def forking(hold: str, *arguments: str, in_the_fork: str = "") -> Iterator[Forking]:
    """Run Python that takes hold of something, with ``arguments`` in its ``sys.argv``."""
    source = _PROGRAM.format(hold=hold, in_the_fork=in_the_fork)
    with subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Forking(process)
        finally:
            process.kill()
