"""An event loop whose time is virtual: it waits for nothing, and the same run is the same every time."""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from _typeshed import FileDescriptorLike

T = TypeVar("T")
START_NS = 1_763_800_020_000_000_000
"""Virtual time begins at a full minute, as the synthetic market does."""


class StuckError(AssertionError):
    """Everything waits, and nothing will ever happen."""


class _Selector(selectors.BaseSelector):
    """No files: what the loop would wait for moves the time instead."""

    def __init__(self) -> None:
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}
        self.now_ns = 0

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys[fileobj]

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("nothing is left that could happen")
        if timeout > 0:
            self.now_ns += math.ceil(timeout * 1e9)
        return []

    def close(self) -> None:
        self._keys.clear()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Callbacks in their order, timers at their time, and no real time between them.

    ``faults`` has what escaped callbacks and tasks.
    """

    def __init__(self) -> None:
        self._virtual = _Selector()
        self.faults: list[BaseException] = []
        super().__init__(self._virtual)
        self.set_exception_handler(self._on_fault)

    def time(self) -> float:
        return self._virtual.now_ns / 1e9

    def now_ns(self) -> int:
        """Virtual time in ns since 1970."""
        return START_NS + self._virtual.now_ns

    def mono_ns(self) -> int:
        """Virtual time since the loop was made, in ns."""
        return self._virtual.now_ns

    def _on_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, BaseException):
            error = AssertionError(str(context.get("message")))
        self.faults.append(error)


def run_virtual(loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine, then end everything that it has left."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
