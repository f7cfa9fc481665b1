"""Plays made-up books of many symbols, at a rate, to one client of as many websockets as it likes: Bybit's format."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web
from socket_server import answered, until_told

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LEVELS: Final = 50
CHANGES: Final = 3
"""Levels a side in a frame."""
TURN_S: Final = 0.001
CONNECT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What to play."""

    symbols: int
    per_s: int
    """Frames of all together."""
    frames: int
    """Changes of books after the snapshots."""

    @property
    def natives(self) -> list[str]:
        """The venue's names."""
        return [f"C{number}USDT" for number in range(self.symbols)]


def frame_of(native: str, update: int, now_ms: int) -> bytes:
    """A whole book as the first update, then changes of sizes near its best price."""
    first = update == 1
    count = LEVELS if first else CHANGES
    sides = [
        ",".join(
            f'["{100 + sign * (1 + (at + (0 if first else update % 7))) / 100:.2f}"'
            f',"{1 + (update * 7 + at) % 90}.5"]'
            for at in range(count)
        )
        for sign in (-1, 1)
    ]
    return (
        f'{{"topic":"orderbook.50.{native}","type":"{"snapshot" if first else "delta"}"'
        f',"ts":{now_ms},"data":{{"s":"{native}","b":[{sides[0]}],"a":[{sides[1]}]'
        f',"u":{update},"seq":{update + 1_000_000}}},"cts":{now_ms}}}'
    ).encode()


def serve(pipe: Connection, crowd: Crowd) -> None:
    """Say the port, and play until told to stop once all symbols were asked for."""
    asyncio.run(_serve(pipe, crowd))


async def _serve(pipe: Connection, crowd: Crowd) -> None:
    by_native: dict[str, web.WebSocketResponse] = {}
    everything = asyncio.Event()

    async def socket(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        try:
            async for message in client:
                if message.type is WSMsgType.TEXT:
                    for native in await answered(client, message.data):
                        by_native[native] = client
                    if len(by_native) == crowd.symbols:
                        everything.set()
        except ConnectionError:
            pass
        return client

    playing = asyncio.create_task(_play(crowd, by_native, everything))
    try:
        await until_told(pipe, socket)
    finally:
        playing.cancel()


async def _play(
    crowd: Crowd, by_native: dict[str, web.WebSocketResponse], everything: asyncio.Event
) -> None:
    async with asyncio.timeout(CONNECT_S):
        await everything.wait()
    clients = [(native, by_native[native]) for native in crowd.natives]
    began_s = time.monotonic()
    for number in range(crowd.symbols + crowd.frames):
        update, at = divmod(number, crowd.symbols)
        native, client = clients[at]
        if number / crowd.per_s > time.monotonic() - began_s:
            await asyncio.sleep(TURN_S)
        data = frame_of(native, update + 1, int(time.time() * 1_000))
        try:
            await client.send_frame(data, WSMsgType.TEXT)
        except ConnectionError:
            return
