"""Cancels a task in the very turn of the loop in which what it waits for has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import pytest
import uvloop
from waiting import until

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

Result = TypeVar("Result")

BY_EITHER_LOOP: Final = pytest.mark.parametrize(
    "run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"]
)


class _Watched(Generic[Result]):
    """Awaits a coroutine, and cancels its task as the future of its ``number``-th wait is done."""

    def __init__(self, coroutine: Coroutine[Any, Any, Result], number: int) -> None:
        self._coroutine = coroutine
        self._number = number
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, Result]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._coroutine.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                future = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                result: Result = end.value
                return result
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


async def cancelled_at_each_wait(make: Callable[[], Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run it again and again, cancelled late in its first wait, then in its second, until none is left.

    Returns:
        What it returned where the cancellation came too late, the last time at least.
    """
    results: list[Result] = []
    number = 0
    while True:
        number += 1
        watched = _Watched(make(), number)

        async def run(watched: _Watched[Result] = watched) -> Result:
            return await watched

        try:
            results.append(await asyncio.ensure_future(run()))
        except asyncio.CancelledError:
            continue
        if watched.waits < number:
            return results


async def all_are_closed(
    connect: Callable[[], Coroutine[Any, Any, Result]],
    close: Callable[[Result], Awaitable[None]],
    dialed: Sequence[socket.socket],
) -> None:
    """Cancel an opening just as it succeeds, in whichever of its waits: what it has dialed is closed, once only.

    Where uvloop closes a descriptor, the object that dialed it must not close that number again: it may be
    a journal's by then.
    """
    links = await cancelled_at_each_wait(connect)
    for link in links:
        await close(link)
    assert len(dialed) > len(links), "one was cancelled after it was dialed"
    await until(lambda: all(each.fileno() == -1 for each in dialed))
