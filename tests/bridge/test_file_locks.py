"""A lock ends with its process, whatever that has left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from fork_kit import forking

from citadel_bridge.file_locks import lock

if TYPE_CHECKING:
    from pathlib import Path

LOCKS: Final = """
from citadel_bridge.file_locks import lock
closed, kept = (os.open(sys.argv[1] + each, os.O_RDWR | os.O_CREAT) for each in ("closed", "kept"))
lock(closed), lock(kept)
os.close(closed)
other = os.open(sys.argv[1] + "other", os.O_RDWR | os.O_CREAT)
assert other == closed, "its number is another file's by now"
"""
WRITES: Final = """
os.write(kept, b"of the fork")
os.write(other, b"of the fork")
"""


def test_a_fork_that_outlives_its_process_keeps_nothing_locked(tmp_path: Path) -> None:
    root = f"{tmp_path}/"
    with forking(LOCKS, root, in_the_fork=WRITES) as program:
        program.fork()
        again = os.open(f"{root}kept", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            lock(again)
        program.kill()
        lock(again)
        os.close(again)
        program.end()
    assert (tmp_path / "kept").read_bytes() == b""
    assert (tmp_path / "other").read_bytes() == b"of the fork"
