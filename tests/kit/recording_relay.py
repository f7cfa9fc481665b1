"""A relay between a client and an exchange on loopback, which keeps what passes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web
from yarl import URL

_REQUEST_HEADERS = ("X-MBX-APIKEY", "Content-Type")
_ANSWER_HEADERS = ("Content-Type", "Retry-After", "Location")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: of HTTP, or of a websocket, where ``verb`` is empty and ``path`` the method."""

    verb: str
    path: str
    params: dict[str, Any]
    key: str
    text: str
    """What was signed, with the signature: query and body, or the frame."""


@dataclass(slots=True)
class Relay:
    """Passes on every request, answer and frame unchanged.

    Args:
        rest: of the exchange, as its ready line says.
        ws: likewise.
    """

    rest: str
    ws: str
    url: str = ""
    ws_url: str = ""
    sent: list[Sent] = field(default_factory=list)
    """Requests with parameters or a key, in order."""
    answers: list[bytes] = field(default_factory=list)
    """Bodies of HTTP answers."""
    frames: list[tuple[str, bytes]] = field(default_factory=list)
    """Frames of the exchange: the method that they answer, or nothing."""
    _runner: web.AppRunner | None = None
    _http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._http = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url, self.ws_url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        assert self._http is not None
        await self._http.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        assert self._http is not None
        body = await request.read()
        path, _, query = request.raw_path.partition("?")
        text = query + body.decode()
        key = request.headers.get("X-MBX-APIKEY", "")
        if text or key:
            self.sent.append(Sent(request.method, path, dict(parse_qsl(text)), key, text))
        headers = {k: request.headers[k] for k in _REQUEST_HEADERS if k in request.headers}
        url = URL(f"{self.rest}{request.raw_path}", encoded=True)
        async with self._http.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            content = await answer.read()
            self.answers.append(content)
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name in _ANSWER_HEADERS or name.startswith("X-")
            }
            return web.Response(body=content, status=answer.status, headers=kept)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        assert self._http is not None
        ours = web.WebSocketResponse()
        await ours.prepare(request)
        methods: dict[Any, str] = {}
        async with self._http.ws_connect(f"{self.ws}{request.raw_path}") as theirs:

            async def back() -> None:
                async for message in theirs:
                    method = methods.get(json.loads(message.data).get("id"), "")
                    self.frames.append((method, message.data.encode()))
                    await ours.send_str(message.data)
                await ours.close()

            returning = asyncio.create_task(back())
            try:
                async for message in ours:
                    text = message.data
                    text = text if isinstance(text, str) else text.decode()
                    frame = json.loads(text)
                    methods[frame.get("id")] = frame["method"]
                    params = frame.get("params", {})
                    if isinstance(params, dict):
                        self.sent.append(Sent("", frame["method"], params, "", text))
                    await theirs.send_str(text)
            finally:
                returning.cancel()
                await asyncio.gather(returning, return_exceptions=True)
        return ours
