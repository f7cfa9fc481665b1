"""Plays the books of a capture to one websocket client, at a pace, over and over."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web

from citadel_micro.shell.capture.frames import read_capture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection

SUBSCRIBE_S: Final = 20.0
"""A client that has not asked for everything by then is hung up on."""
AHEAD_S: Final = 0.001
"""The server sleeps when it is ahead of its time by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What to play, and how.

    Args:
        capture: file in the capture format.
        books: text in the first characters of the frames to play.
        natives: venue symbols that a client must have asked for before it begins.
        speed: times real speed.
        loops: how often; each begins with the snapshots, so the books begin anew.
    """

    capture: Path
    books: bytes
    natives: Sequence[str]
    speed: float
    loops: int

    def frames(self) -> list[tuple[int, bytes]]:
        """(receive time, payload) of what is played in one loop."""
        found = []
        for _, record in read_capture(self.capture):
            data = record.text.encode()
            if record.kind == "frame" and self.books in data[:90] and b'"data"' in data:
                found.append((record.recv_ns, data))
        return found


def serve(pipe: Connection, play: Play) -> None:
    """Say the port and play to whoever connects, until told to stop."""
    asyncio.run(_serve(pipe, play))


async def _serve(pipe: Connection, play: Play) -> None:
    frames = play.frames()

    async def socket(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        try:
            async with asyncio.timeout(SUBSCRIBE_S):
                await _subscribed(client, set(play.natives))
            await _play(client, play, frames)
            await client.receive()  # it has all of it, and hangs up when it has read it
        except (TimeoutError, ConnectionError):
            pass
        return client

    await until_told(pipe, socket)


async def until_told(
    pipe: Connection, socket: Callable[[web.Request], Awaitable[web.WebSocketResponse]]
) -> None:
    """Serve a websocket, say the port, and go on until told to stop."""
    app = web.Application()
    app.router.add_get("/{path:.*}", socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    try:
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    except EOFError:
        pass
    finally:
        await runner.cleanup()


async def _subscribed(client: web.WebSocketResponse, wanted: set[str]) -> None:
    """Answer requests until all symbols were asked for."""
    while wanted:
        message = await client.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError("the client went away")
        wanted -= await answered(client, message.data)


async def answered(client: web.WebSocketResponse, text: str) -> set[str]:
    """Answer a request as OKX and Bybit do; the symbols that it asks for."""
    if text == "ping":
        await client.send_str("pong")
        return set()
    found = set()
    request: dict[str, Any] = json.loads(text)
    for topic in request.get("args", ()):
        if isinstance(topic, dict):
            await client.send_json({"event": "subscribe", "arg": topic, "connId": "1"})
            found.add(topic["instId"])
        else:
            found.add(topic.rpartition(".")[2])
    if "req_id" in request:
        answer = {"success": True, "ret_msg": "", "conn_id": "1", "op": request["op"]}
        await client.send_json({**answer, "req_id": request["req_id"]})
    return found


async def _play(
    client: web.WebSocketResponse, play: Play, frames: Sequence[tuple[int, bytes]]
) -> None:
    first_ns, last_ns = frames[0][0], frames[-1][0]
    period_s = (last_ns - first_ns) / 1e9 / play.speed
    began_s = time.monotonic()
    for number in range(play.loops):
        for recv_ns, data in frames:
            due_s = began_s + number * period_s + (recv_ns - first_ns) / 1e9 / play.speed
            ahead_s = due_s - time.monotonic()
            if ahead_s > AHEAD_S:
                await asyncio.sleep(ahead_s)
            await client.send_frame(data, WSMsgType.TEXT)
