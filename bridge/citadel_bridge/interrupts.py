"""Ctrl-C and SIGTERM: held back while something is half done, and not lost in a finalizer."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# ``signal`` turns every handler into an enumeration and back, by an exception where it is a function:
# 15 of the 17 us that a hold took. What it calls inside does not.
_NUMBERS: Final = (int(signal.SIGINT), int(signal.SIGTERM))
_inner: Final = sys.modules.get("_signal", signal)
_handler_of: Final[Callable[[int], Any]] = _inner.getsignal
_set_handler: Final[Callable[[int, Any], object]] = _inner.signal


class interrupts_held:  # noqa: N801 - reads as what it does, like ``suppress``
    """Handle a SIGINT or SIGTERM that comes while the block runs when it has ended.

    An exception in the middle of ``zmq.Context.socket`` leaves a socket that nobody knows, and a context
    waits for all of its sockets when it ends: for ever. Signals reach Python's main thread only; in another
    there is nothing to hold back.

    Args:
        notify: called when one has come, between any two steps of the block: so that a block which
            waits may end soon. It must take no lock that the block takes too.
    """

    __slots__ = ("_before", "_came", "_notify")

    def __init__(self, notify: Callable[[], object] | None = None) -> None:
        self._notify = notify
        self._came: list[int] = []
        self._before: list[tuple[int, Any]] = []

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            for number in _NUMBERS:
                handler = _handler_of(number)
                # One that is ignored, or handled outside Python, is left as it is.
                if handler is not None and handler != signal.SIG_IGN:
                    self._before.append((number, handler))
                    _set_handler(number, self._remember)
        except BaseException:
            self._release()
            raise

    def __exit__(self, *_error: object) -> None:
        self._release()

    def _release(self) -> None:
        try:
            if self._before:
                _set_handler(*self._before.pop())
        finally:
            if self._before:  # also where a signal of the first comes just now
                self._release()
        while self._came:
            signal.raise_signal(self._came.pop(0))

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
        if self._notify is not None:
            self._notify()


AGAIN_S: Final = 0.01
"""After this a lost interrupt is sent again: what it was lost in has ended by then, or it is lost again."""


class lost_interrupts_repeated:  # noqa: N801 - as above
    """Send an interrupt again that came inside a finalizer.

    Python raises ``KeyboardInterrupt`` wherever the main thread is just then. Where that is a finalizer, or a
    callback of compiled code, the interpreter prints the exception and goes on, and so would the program.
    """

    def __enter__(self) -> Self:
        self._before = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        return self

    def __exit__(self, *_error: object) -> None:
        sys.unraisablehook = self._before

    def _unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._before(lost)
            return
        # Not from here, which is inside the same finalizer; and without the locks of ``threading``, which
        # it may have come in between.
        _thread.start_new_thread(_interrupt_again, ())


def _interrupt_again() -> None:
    time.sleep(AGAIN_S)
    main = threading.main_thread().ident
    if main is None or sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        # One that this thread raises for itself ends no system call of the main thread, and would be
        # handled when that has waited to its end.
        signal.pthread_kill(main, signal.SIGINT)
