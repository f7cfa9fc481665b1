"""One websocket connection of any venue: its requests, each a task of its own, its pings and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import WSCloseCode, WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from citadel_micro.simulator.client import Client

log: Final = logging.getLogger(__name__)
MAX_REQUEST: Final = 64 * 1024


def websocket(*, autoping: bool = False) -> web.WebSocketResponse:
    """Return a websocket that is not prepared yet. ``autoping``: aiohttp answers pings itself."""
    return web.WebSocketResponse(
        autoping=autoping, compress=False, max_msg_size=MAX_REQUEST, timeout=2.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When a connection is ended, and what is said then: a close code and its reason.

    ``check_s``: how often it is looked at, and pinged where there is a ``ping`` (its text).
    """

    check_s: float
    silent_s: float
    silent: tuple[int, bytes]
    too_old: tuple[int, bytes]
    cut_after_s: float = float("inf")
    ping: Callable[[], bytes] | None = None


class Conversation:
    """Serves one connection until it ends. ``patience`` None: its reader ends it."""

    def __init__(self, client: Client, patience: Patience | None) -> None:
        """Nothing was asked yet."""
        self._client = client
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, reading: Awaitable[None], end: Callable[[], None]) -> None:
        """Read to the end; then ``end`` forgets what the connection held, and what runs is canceled."""
        running = [asyncio.create_task(self._client.run_sender())]
        if self._patience is not None:
            running.append(asyncio.create_task(self._keep(self._patience)))
        try:
            await reading
        except ConnectionResetError:
            pass  # a client that has gone since its ping has nobody to answer
        finally:
            end()
            running += self._tasks
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def read(
        self,
        answer: Callable[[str], Coroutine[None, None, None]],
        *,
        pongs: bool = True,
        text_only: bool = False,
    ) -> None:
        """Answer every text. ``pongs``: pings too. ``text_only``: anything else ends it."""
        loop, client = asyncio.get_running_loop(), self._client
        async for message in client.socket:
            client.received = loop.time()
            if message.type is WSMsgType.TEXT:
                self.start(answer(message.data))
            elif text_only or message.type is WSMsgType.ERROR:
                return
            elif pongs and message.type is WSMsgType.PING:
                await client.socket.pong(message.data)

    def start(self, answering: Coroutine[None, None, None]) -> None:
        """Answer a request beside the others."""
        task = asyncio.create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Forget a request that was answered; one that failed here is ours: log it and hang up."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a websocket request was not answered", exc_info=error)
            self._client.close(WSCloseCode.INTERNAL_ERROR, b"internal error")

    async def _keep(self, patience: Patience) -> None:
        """End it when it is too old or silent; ping it."""
        loop, client = asyncio.get_running_loop(), self._client
        end = loop.time() + patience.cut_after_s
        while True:
            await asyncio.sleep(min(patience.check_s, max(end - loop.time(), 0.0)))
            now = loop.time()
            if now >= end:
                client.close(*patience.too_old)
                return
            if now - client.received > patience.silent_s:
                client.close(*patience.silent)
                return
            if patience.ping is not None:
                try:
                    await client.socket.ping(patience.ping())
                except ConnectionError:
                    return
