"""A local venue that plays captures to real ccxt.pro clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def frames_of(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Payloads of a capture's frames that are wanted, in order."""
    found = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record["kind"] == "frame" and wanted(json.loads(record["text"])):
                found.append(record["text"])
    return found


def okx_row(name: str) -> dict[str, str]:
    base, quote = name.split("-")
    return {
        "instId": name,
        "instType": "SPOT",
        "baseCcy": base,
        "quoteCcy": quote,
        "settleCcy": "",
        "tickSz": "0.1",
        "lotSz": "0.00000001",
        "minSz": "0.00001",
        "state": "live",
        "ctVal": "",
        "ctType": "",
        "uly": "",
        "expTime": "",
        "optType": "",
        "stk": "",
        "listTime": "1548133413000",
        "lever": "10",
    }


class Player:
    """A venue that answers a subscription with a capture's frames, as often as it is asked to."""

    def __init__(self, frames: list[str], rest: dict[str, Any]) -> None:
        self.frames = frames
        self.rest = rest
        self.url = ""
        self.connects = 0
        self.sent: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.answers: dict[str, str] = {}
        """Part of a request -> what is answered instead of playing."""
        self.stop_at: int | None = None
        """Play so many frames only; the connection stays open."""
        self.connected_at: list[float] = []
        self.pause_s = 0.0
        """After every frame."""
        self.again = False
        """Begin anew at the end, with the snapshot."""
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._any)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        address = self._runner.addresses[0]
        self.url = f"{address[0]}:{address[1]}"

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self.sockets:
            await socket.close()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _any(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        for path, body in self.rest.items():
            if path in str(request.rel_url):
                return web.json_response(body)
        return web.Response(status=404, text="no such thing")

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connects += 1
        self.connected_at.append(time.monotonic())
        self.sockets.append(socket)
        playing = False
        async for message in socket:
            if message.type is not WSMsgType.TEXT or message.data == "ping":
                continue
            self.sent.append(message.data)
            for part, answer in self.answers.items():
                if part in message.data:
                    await socket.send_str(answer)
                    break
            else:
                if not playing:
                    playing = True
                    self._tasks.append(asyncio.create_task(self._play(socket)))
        return socket

    async def _play(self, socket: web.WebSocketResponse) -> None:
        while True:
            for number, frame in enumerate(self.frames):
                if number == self.stop_at:
                    return
                await socket.send_str(frame)
                await asyncio.sleep(self.pause_s)
            if not self.again:
                return

    async def say(self, text: str) -> None:
        await self.sockets[-1].send_str(text)


def okx(shared_dir: Path) -> Player:
    def wanted(frame: dict[str, Any]) -> bool:
        arg = frame.get("arg", {})
        return arg.get("instId") == "BTC-USDT" and arg.get("channel") in ("books", "trades")

    frames = frames_of(shared_dir / "captures" / "okx-2022.jsonl.gz", wanted)
    rows = [okx_row("BTC-USDT"), okx_row("ETH-USDT")]
    empty = {"code": "0", "msg": "", "data": []}
    return Player(frames, {"instType=SPOT": {**empty, "data": rows}, "public/instruments": empty})
