"""Writing to the disk: waiting for it, and saying what it has not taken."""

from __future__ import annotations

import contextlib
import os
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
