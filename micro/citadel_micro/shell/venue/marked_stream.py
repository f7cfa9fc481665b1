"""The account's stream of a venue of derivatives, and the mark prices beside it: both up, or none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from citadel_micro.shell.venue.reconnect import Session
from citadel_micro.shell.venue.request_socket import RequestSocket
from citadel_micro.shell.venue.unreadable import UNREADABLE, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from citadel_micro.shell.venue.dialect import Request, Wire
    from citadel_micro.shell.venue.outcomes import Outcome


class _Stream(Session, Protocol):
    @property
    def up(self) -> bool:
        """Whether it is."""


class MarkedStream:
    """Two connections as one, as ``shell.venue.dialect.WireSession``.

    Args:
        private: the account's stream.
        wire: what requests go over.
        on_mark: receives the frames of the mark prices.
    """

    def __init__(self, private: _Stream, wire: Wire, on_mark: Callable[[bytes], None]) -> None:
        self._account = private
        self._wire = wire
        self._marks = RequestSocket(lambda _frame: None, on_mark)
        self._task: asyncio.Task[None] | None = None
        self._why = ""

    @property
    def up(self) -> bool:
        """Whether both are."""
        return self._account.up and self._marks.up

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Over the other wire."""
        self._wire.send(request, done)

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """As the connection's."""
        return self._wire.prepare(request, done)

    async def closed(self) -> str:
        """Wait for the end of either and return the reason."""
        ends = [asyncio.ensure_future(each.closed()) for each in (self._account, self._marks)]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()
        self.close()
        return self._why or next(iter(done)).result()

    def close(self) -> None:
        """End both, without waiting."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._account.close()
        self._marks.close()

    async def _open_marks(self, url: str, where: str) -> None:
        """Connect to the mark prices, or end the account's stream. Raises PeerUnavailable."""
        try:
            await self._marks.open(url, where)
        except BaseException:
            self._account.close()
            raise

    def _begin_upkeep(self, upkeep: Coroutine[object, object, None]) -> None:
        """Run this until the end of both."""
        self._task = asyncio.get_running_loop().create_task(upkeep)
        self._task.add_done_callback(self._upkeep_ended)

    def _upkeep_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, UNREADABLE):
            self._why = f"an answer that is not understood: {cut(error)}"
            self._account.close()
        elif error is not None:
            raise error
