"""A simulator, and plain HTTP to it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp

from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


PAIR = ("BTC/USDT", "ADA/USDT")


BASE = SimulatorConfig(symbols=PAIR, history_days=5, warm_minutes=1)


Json = Any


def config(**changes: Json) -> SimulatorConfig:
    return replace(BASE, **changes)


def serve(
    body: Callable[[SimulatorServer, aiohttp.ClientSession], Awaitable[None]], **changes: Json
) -> None:
    async def run() -> None:
        async with (
            SimulatorServer(config(**changes)) as server,
            aiohttp.ClientSession() as session,
        ):
            async with asyncio.timeout(150):
                await body(server, session)

    asyncio.run(run())


async def get(session: aiohttp.ClientSession, server: SimulatorServer, path: str) -> Json:
    async with session.get(server.rest_url + path) as response:
        return response.status, await response.json()


# ---------------------------------------------------------------------- websocket


async def receive(
    ws: aiohttp.ClientWebSocketResponse, wanted: Callable[[Any], bool], count: int = 1
) -> list[Any]:
    out: list[Any] = []
    while len(out) < count:
        message = json.loads(await ws.receive_str(timeout=60))
        if wanted(message):
            out.append(message)
    return out
