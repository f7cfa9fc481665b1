"""The lock on what only one process may have open: a log of intents, a run folder.

It is on the opened file or folder itself, where filelock's is on a file of its own: removing a lock file
does not undo it, and it ends with the process however that ends.
"""

from __future__ import annotations

import errno
import sys

if sys.platform != "win32":
    import fcntl


def lock(descriptor: int, *, wait: bool = False) -> None:
    """Lock what is open, until it is closed.

    Raises:
        BlockingIOError: another process has it locked (without ``wait``).
        OSError: its file system, or this system, has no such locks.
    """
    if sys.platform == "win32":
        raise OSError(
            errno.ENOSYS, "only one process may have it open, and Windows has no such lock"
        )
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
