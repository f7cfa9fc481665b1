"""The websocket for venues that compress, which picows does not read: aiohttp's, imported only for them."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from citadel_micro.shell.marketdata.websocket_parts import (
    CLOSE_TIMEOUT_S,
    MAX_MESSAGE,
    PING_S,
    Pings,
    unread_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.shell.marketdata.websocket_parts import OnFrame, OnRoundTrip


async def opened(url: str, on_frame: OnFrame, on_round_trip: OnRoundTrip) -> _AiohttpLink:
    """Connect one. Raises OSError, whatever the reason."""
    sockets = _Sockets()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=sockets.new))
    link = _AiohttpLink(session, on_frame, on_round_trip)
    try:
        await link.open(url)
    except BaseException as error:
        sockets.let_go()
        await session.close()
        if isinstance(error, aiohttp.ClientError):
            raise OSError(str(error) or type(error).__name__) from None
        raise
    return link


class _Sockets:
    """Those of one attempt to connect."""

    def __init__(self) -> None:
        self._made: list[tuple[socket.socket, int]] = []

    def new(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        self._made.append((made, os.fstat(made.fileno()).st_ino))
        return made

    def let_go(self) -> None:
        """Part from those that are closed already.

        Where an attempt is cancelled before its transport has taken the socket, uvloop has closed the
        descriptor, whose number may be another one's, as a journal's, by the time that the object would close it.
        """
        for made, number in self._made:
            try:
                gone = made.fileno() >= 0 and os.fstat(made.fileno()).st_ino != number
            except OSError:
                gone = True
            if gone:
                made.detach()


class _AiohttpLink:
    def __init__(
        self, session: aiohttp.ClientSession, on_frame: OnFrame, on_round_trip: OnRoundTrip
    ) -> None:
        self._session = session
        self._on_frame = on_frame
        self._pings = Pings(on_round_trip)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reading = asyncio.Event()
        self._reading.set()
        self._done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, url: str) -> None:
        self._socket = await self._session.ws_connect(
            url,
            heartbeat=PING_S,
            autoping=False,
            max_msg_size=MAX_MESSAGE,
            compress=15,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        )
        self._start(self._read(self._socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._on_frame(message.data.encode())
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._on_frame(message.data)
                elif message.type is aiohttp.WSMsgType.PING:
                    await _quietly(partial(socket.pong, message.data))
                elif message.type is aiohttp.WSMsgType.PONG:
                    self._pings.pong(bytes(message.data))
                await self._reading.wait()
        finally:
            await self._session.close()
            if not self._done.done():
                code = socket.close_code
                self._done.set_result(f"closed: {code}" if code else "connection lost")

    def unread(self) -> int:
        return 0 if self._socket is None else unread_of(self._socket.get_extra_info("socket"))

    def hold(self, *, held: bool) -> None:
        if held:
            self._reading.clear()
        else:
            self._reading.set()

    def _start(self, coroutine: Any) -> None:  # noqa: ANN401 - any coroutine
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, text: str) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(_quietly(partial(self._socket.send_str, text)))

    def ping(self) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(_quietly(partial(self._socket.ping, self._pings.next())))

    def close(self) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(self._socket.close())

    async def closed(self) -> str:
        return await asyncio.shield(self._done)


async def _quietly(send: Callable[[], Awaitable[None]]) -> None:
    """Send; if the connection has ended, the reader reports that."""
    with suppress(ConnectionError, aiohttp.ClientError):
        await send()
