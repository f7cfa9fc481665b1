"""A stop that is asked for once, and is not lost.

Freqtrade answers SIGTERM, as Python does Ctrl-C, by raising ``KeyboardInterrupt`` wherever it is just then.
Where that is a finalizer, or a callback of compiled code, the interpreter prints the exception and goes on,
and so does the bot. Who supervises it asks once, and then kills it: orders stay as they are, and micro's
goodbye is never said. So it is remembered that a stop was asked for, and Freqtrade stops before its next turn
at the latest.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class StopRequest:
    """Whether a stop was asked for, of one run of Freqtrade. Entered, it ends as it has found the signals."""

    def __init__(self) -> None:
        self._asked = False
        self._theirs: dict[int, Callable[[int, FrameType | None], object]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._theirs.items():
            signal.signal(number, handler)
        self._theirs.clear()

    def listening(self, original: Callable[..., None], _: object) -> object:
        """Hook of the worker's construction, before which Freqtrade installs its handler."""

        def __init__(worker: object, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, N807 - Freqtrade's
            self._listen()
            original(worker, *args, **kwargs)

        return __init__

    def asked_again(self, original: Callable[..., Any], _: object) -> object:
        """Hook of one turn of the worker."""

        def _worker(worker: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Freqtrade's
            if self._asked:
                raise KeyboardInterrupt
            return original(worker, *args, **kwargs)

        return _worker

    def _listen(self) -> None:
        # Signals reach Python's main thread only.
        if self._theirs or threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                self._theirs[number] = handler
                signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._theirs[number](number, frame)
