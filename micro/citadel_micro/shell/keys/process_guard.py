"""Protects the keys of a process: no core dump, and no other process may attach."""

from __future__ import annotations

import ctypes
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final

from citadel_bridge import cli
from citadel_micro.shell.keys.redaction import REDACTOR

if TYPE_CHECKING:
    from types import TracebackType

if sys.platform != "win32":
    import resource

_PR_SET_DUMPABLE: Final = 4


def guard_process() -> None:
    """Call before the first key is read.

    Core dumps are off, other processes of the same user may not attach (Linux), and an exception
    that nobody has caught is printed without what is secret.
    """
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Where a core goes to a program by a pipe, the limit does not count; this does.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    cli.filter_text(REDACTOR.text)
    sys.excepthook = _print
    threading.excepthook = _print_of_thread


def _print(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(REDACTOR.text(text))


def _print_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        _print(args.exc_type, args.exc_value, args.exc_traceback)
