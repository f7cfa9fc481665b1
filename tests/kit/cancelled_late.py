"""Cancels a task in the very turn of the loop in which what it waits for has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator


class _Watched:
    """Awaits a coroutine, and cancels its task as the future of its ``number``-th wait is done."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], number: int) -> None:
        self._coroutine = coroutine
        self._number = number
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, object]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._coroutine.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                future = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            self.waits += 1
            if self.waits == self._number:
                # Before the task has added its own callback: it is cancelled, and then woken.
                if future is None:
                    task.cancel()
                else:
                    future.add_done_callback(lambda _done: task.cancel())
            thrown = None
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - passed on
                thrown = error


async def cancelled_at_each_wait(make: Callable[[], Coroutine[Any, Any, object]]) -> list[object]:
    """Run it again and again, cancelled late in its first wait, then in its second, until none is left.

    Returns:
        What it returned where the cancellation came too late, the last time at least.
    """
    results: list[object] = []
    number = 0
    while True:
        number += 1
        watched = _Watched(make(), number)

        async def run(watched: _Watched = watched) -> object:
            return await watched

        try:
            results.append(await asyncio.ensure_future(run()))
        except asyncio.CancelledError:
            continue
        if watched.waits < number:
            return results
