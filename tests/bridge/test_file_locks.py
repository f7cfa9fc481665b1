"""A lock ends with its process, whatever that has left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from citadel_bridge.file_locks import lock

if TYPE_CHECKING:
    from pathlib import Path

FORKS = """
import os, signal, sys
from citadel_bridge.file_locks import lock
closed, kept = (os.open(sys.argv[1] + each, os.O_RDWR | os.O_CREAT) for each in ("closed", "kept"))
lock(closed), lock(kept)
os.close(closed)
other = os.open(sys.argv[1] + "other", os.O_RDWR | os.O_CREAT)
assert other == closed, "its number is another file's by now"
if os.fork():
    signal.pause()
os.write(kept, b"of the fork")
os.write(other, b"of the fork")
print("forked", flush=True)
sys.stdin.read()
"""


def test_a_fork_that_outlives_its_process_keeps_nothing_locked(tmp_path: Path) -> None:
    root = f"{tmp_path}/"
    with subprocess.Popen(
        [sys.executable, "-c", FORKS, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "forked\n"
        again = os.open(f"{root}kept", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            lock(again)
        program.kill()
        program.wait()
        lock(again)
        os.close(again)
        program.stdin.close()
        assert not program.stdout.read(), "the fork has ended"
    assert (tmp_path / "kept").read_bytes() == b""
    assert (tmp_path / "other").read_bytes() == b"of the fork"
