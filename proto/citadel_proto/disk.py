"""Waiting for the disk, on every system that a log can be written on."""

from __future__ import annotations

import os


def sync_data(descriptor: int) -> None:
    """Wait until the disk has what was written.

    Where a system has no ``fdatasync`` (macOS), ``fsync`` waits for the rest too.

    Raises:
        OSError: the disk has not taken it.
    """
    getattr(os, "fdatasync", os.fsync)(descriptor)
