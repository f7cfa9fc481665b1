"""One connection of HTTP/1.1, kept alive: a request is written at once, and its answer awaited."""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, cast

from citadel_micro.shell.http.answers import AnswerReader

if TYPE_CHECKING:
    from citadel_micro.shell.http.answers import Answered


def _seen(answer: asyncio.Future[Answered]) -> None:
    """Nobody may be left to see how it failed: its task can end before it has begun."""
    if not answer.cancelled():
        answer.exception()


class HttpLink(asyncio.Protocol):
    """See the module.

    Args:
        most: bytes of an answer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answered] | None = None
        self._reader: AnswerReader | None = None
        self.idle_since = 0.0
        """Time of the loop, of its last answer."""
        self._ready = False
        self._poll = select.poll()

    @property
    def ready(self) -> bool:
        """Whether a request can be written now.

        The end of a connection that has arrived, and that the loop has not come to yet, counts: else a
        request that was never read would be of unknown fate.
        """
        transport = self._transport
        if not self._ready or transport is None or transport.is_closing():
            return False
        return not self._poll.poll(0)

    @property
    def waits(self) -> bool:
        """Whether an answer is awaited."""
        return self._answer is not None

    def ask(self, request: bytes) -> asyncio.Future[Answered]:
        """Write a request.

        Its answer's future fails with ConnectionError where the connection ends first, and with
        ValueError for an answer that cannot be read.
        """
        loop = asyncio.get_running_loop()
        self._ready = False
        self._answer, self._reader = loop.create_future(), AnswerReader(self._most)
        self._answer.add_done_callback(_seen)
        cast("asyncio.Transport", self._transport).write(request)
        return self._answer

    def close(self) -> None:
        """End it, now."""
        self._ready = False
        if self._transport is not None:
            self._transport.abort()

    # as the loop calls it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._ready = True

    def data_received(self, data: bytes) -> None:
        """A part of an answer came."""
        reader = self._reader
        if reader is None:
            self.close()  # nobody asked
            return
        try:
            answer = reader.feed(data)
        except ValueError as error:
            self._fail(error)
            return
        if answer is not None:
            self._done(answer, keeps=reader.keeps)

    def eof_received(self) -> None:
        """The other side sends no more: an answer may end so."""
        reader = self._reader
        if reader is not None:
            try:
                answer = reader.end()
            except ValueError as error:
                self._fail(error)
                return
            if answer is not None:
                self._done(answer, keeps=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        del exc
        self._ready = False
        self._fail(ConnectionError("the connection has ended"))

    # inside

    def _done(self, answer: Answered, *, keeps: bool) -> None:
        waiting, self._answer, self._reader = self._answer, None, None
        if keeps:
            self._ready, self.idle_since = True, asyncio.get_running_loop().time()
        else:
            self.close()
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _fail(self, error: Exception) -> None:
        waiting, self._answer, self._reader = self._answer, None, None
        self.close()
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
