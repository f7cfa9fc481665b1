"""Socket files in the run folder: of the user who runs micro, and of this machine."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def listener(path: Path) -> socket.socket:
    """A bound socket file of mode 0600. The caller holds the folder's lock: an old file is removed."""
    path.unlink(missing_ok=True)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with short_name(path) as short:
        before = os.umask(0o177)  # private from its first moment
        try:
            found.bind(short)
        finally:
            os.umask(before)
    return found


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name of at most 107 bytes for a socket file, the kernel's maximum."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        named = f"/proc/self/fd/{descriptor}"
        yield f"{named}/{path.name}" if os.path.isdir(named) else str(path)  # noqa: PTH112 - text
    finally:
        os.close(descriptor)
