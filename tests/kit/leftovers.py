"""What a failed test leaves behind is not found in the next one."""

from __future__ import annotations

import gc
import sys
import warnings


def forget_failed() -> None:
    """Collect what the traceback of a failed test has kept alive, and say nothing of what was not closed.

    Its sockets, pipes and loops are else collected in a later test of the worker, which then fails for a
    ``ResourceWarning`` that it has nothing to do with. Programs whose pipes are closed by this are killed
    (``fork_server``).
    """
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)
    told, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    finally:
        sys.unraisablehook = told
