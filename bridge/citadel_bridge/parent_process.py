"""A program that another one of the project started ends when that one does, even by SIGKILL."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

PARENT_PID: Final = "CITADEL_PARENT_PID"
"""Environment variable: the process id of the parent with which this process has to end."""
_PR_SET_PDEATHSIG: Final = 1
"""From Linux's ``prctl.h``: the signal that the kernel sends when the parent has ended."""


def end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent that `PARENT_PID` names ends.

    Does nothing where that variable is not set, and on systems other than Linux. The kernel takes the
    thread that started this process for the parent: it must be one that lasts, such as the main thread.
    """
    parent = os.environ.pop(PARENT_PID, None)  # it is not for the processes that we start in turn
    if parent is None or sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - few programs have a parent to watch

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if str(os.getppid()) != parent:  # it had ended before the kernel was asked
        signal.raise_signal(signal.SIGTERM)
