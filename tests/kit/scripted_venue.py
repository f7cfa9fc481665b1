"""A venue on loopback that does what a test says: websocket frames and HTTP answers, and their absence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    OnText = Callable[[web.WebSocketResponse, str], Awaitable[None]]
    OnRequest = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedVenue:
    """``async with ScriptedVenue() as venue``; then set ``on_text`` and ``on_request``."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """Everything that came over websockets."""
        self.requests: list[str] = []
        """Method and path with query of everything else."""
        self.sockets: list[web.WebSocketResponse] = []
        self.on_text: OnText = _say_nothing
        self.on_request: OnRequest = _fine
        self.url = ""
        self._runner: web.AppRunner | None = None

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_route("*", "/{path:.*}", self._request)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    async def cut(self) -> None:
        """Drop every websocket without a word."""
        for socket in self.sockets:
            transport = socket._req and socket._req.transport
            if transport:
                transport.abort()
        self.sockets.clear()
        await asyncio.sleep(0)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.texts.append(message.data)
                await self.on_text(socket, message.data)
        return socket

    async def _request(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        return await self.on_request(request)


async def _say_nothing(_socket: web.WebSocketResponse, _text: str) -> None:
    """A venue that takes everything and answers nothing."""


async def _fine(_request: web.Request) -> web.StreamResponse:
    return web.json_response({})
