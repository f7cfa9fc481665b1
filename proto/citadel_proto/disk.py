"""Writing to the disk: waiting for it, and saying what it has not taken."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sync_data(descriptor: int) -> None:
    """Wait until the disk has what was written.

    Where a system has no ``fdatasync`` (macOS), ``fsync`` waits for the rest too.

    Raises:
        OSError: the disk has not taken it.
    """
    getattr(os, "fdatasync", os.fsync)(descriptor)


def start_writing(descriptor: int, begin: int, length: int) -> None:
    """Have the disk begin to write a part of a file, without waiting for it.

    What ``sync_data`` waits for is then partly done. On Linux, advice that data is not needed begins to
    write it, and drops nothing that is not written yet. What fails in the background, the next
    ``sync_data`` raises. Elsewhere, and where a file system takes no advice, nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, begin, length, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def writing(where: Path | str, mend: str | None = None) -> Iterator[None]:
    """Say what cannot be written, and how to go on.

    Args:
        where: a file, a folder, or the setting that names it.
        mend: what the user may do.

    Raises:
        BadInput: the block could not write it.
    """
    try:
        yield
    except OSError as error:
        text = f"cannot be written: {error.strerror}"
        raise BadInput(text, where=str(where), mend=mend) from error
