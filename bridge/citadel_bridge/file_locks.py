"""The lock on what only one process may have open: a log of intents, a run folder.

It is on the opened file or folder itself, where filelock's is on a file of its own: removing a lock file
does not undo it, and it ends with the process however that ends. Programs that it starts do not have it
(their descriptors are closed); a fork of it, as of ``multiprocessing``, would keep it locked for as long as
that lives, and write to the same file: so a fork gives up what was locked before it.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Final

if sys.platform != "win32":
    import fcntl

_locked: Final[dict[int, tuple[int, int]]] = {}
"""By descriptor: device and number of what no fork is to have. It may be closed by now."""


def lock(descriptor: int, *, wait: bool = False) -> None:
    """Lock what is open, until it is closed; not in a fork of this process.

    Raises:
        BlockingIOError: another process has it locked (without ``wait``).
        OSError: its file system, or this system, has no such locks.
    """
    if sys.platform == "win32":
        raise OSError(
            errno.ENOSYS, "only one process may have it open, and Windows has no such lock"
        )
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    not_in_forks(descriptor)


def not_in_forks(descriptor: int) -> None:
    """Let forks of this process give up what is open there, as they do what is locked."""
    _locked[descriptor] = _file(descriptor)


def _file(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _give_up() -> None:
    """In a fork: what it has locked open becomes nothing, so that it neither keeps nor writes it."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor, file in _locked.items():
        with suppress(OSError):  # it was closed
            if _file(descriptor) == file:
                os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _locked.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_give_up)
