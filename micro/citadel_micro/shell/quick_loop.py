"""What keeps an event loop quick: a collector with little to walk, and on request a poll that never sleeps."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FREEZE_AFTER_S: Final = 5.0
"""By then everything long-lived exists; the garbage collector need not walk it again."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - optional: Linux and macOS only
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class BusyPoll:
    """Keeps a loop awake from now until ``close``: it takes a whole core, and what arrives is read at once.

    A loop that sleeps has to be woken for each frame, and the core goes to sleep meanwhile. With this
    it asks for new data again and again. Nothing else changes: callbacks, timers and their order are
    the same.

    Args:
        loop: a loop with something to run does not wait in its poll, so something always is.
        busy: off, it does nothing.
        meanwhile: called in each turn.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        busy: bool = True,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._meanwhile = meanwhile
        self._handle: asyncio.Handle | None = None
        if busy:
            self._turn()

    def close(self) -> None:
        """Let it sleep again. Safe to repeat."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        self._handle = self._loop.call_soon(self._turn)
        if self._meanwhile is not None:
            self._meanwhile()


def quicken(
    loop: asyncio.AbstractEventLoop,
    *,
    busy_poll: bool,
    meanwhile: Callable[[], None] | None = None,
) -> BusyPoll:
    """Everything has been started: freeze what is there soon, and poll as asked, until it is closed."""
    loop.call_later(FREEZE_AFTER_S, _freeze)
    return BusyPoll(loop, busy=busy_poll, meanwhile=meanwhile)


def _freeze() -> None:
    gc.collect()
    gc.freeze()
