"""A websocket server on loopback that says what a test tells it to, to whoever connects."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Script = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]


class ScriptedVenue:
    """Hands each text message of each client to ``script``; keeps what was heard."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.heard: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.connected = 0
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._socket)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self.kick()
        if self._runner is not None:
            await self._runner.cleanup()

    async def kick(self) -> None:
        """Close every connection."""
        for socket in self.sockets:
            await socket.close(code=1001)
        self.sockets.clear()

    async def say(self, message: object) -> None:
        """Send to all that are connected."""
        text = message if isinstance(message, str) else json.dumps(message)
        for socket in self.sockets:
            await socket.send_str(text)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connected += 1
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("{"):
                heard = json.loads(message.data)
                self.heard.append(heard)
                await self._script(socket, heard)
        if socket in self.sockets:
            self.sockets.remove(socket)
        return socket


def follow(
    venue: str,
    symbols: dict[str, str],
    script: Script,
    story: Callable[[ScriptedVenue, list[Any], Aggregator], Awaitable[None]],
    **config: Any,  # noqa: ANN401 - of FeedConfig
) -> list[Any]:
    """Follow a scripted venue while ``story`` runs. Returns every event that came out."""
    events: list[Any] = []

    async def main() -> None:
        server = ScriptedVenue(script)
        await server.start()
        feed = FeedConfig(
            venue=venue,
            symbols=symbols,
            **{"websocket_url": server.url, "rest_url": "http://127.0.0.1:9", **config},
        )
        aggregator = Aggregator([feed], lambda event, _recv_ns: events.append(event), time.time_ns)
        await aggregator.start()
        try:
            await story(server, events, aggregator)
        finally:
            await aggregator.close()
            await server.stop()

    asyncio.run(main())
    return events
