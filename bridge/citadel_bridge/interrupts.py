"""Ctrl-C and SIGTERM, held back while something is half done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Handle a SIGINT or SIGTERM that comes while the block runs when it has ended.

    An exception in the middle of ``zmq.Context.socket`` leaves a socket that nobody knows, and a context
    waits for all of its sockets when it ends: for ever. Signals reach Python's main thread only; in another
    there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    # One that is ignored, or handled outside Python, is left as it is.
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) not in {None, signal.SIG_IGN}
    }
    try:
        for number in before:
            signal.signal(number, remember)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in came:
            signal.raise_signal(each)
