"""What looks at the page without a browser: one request, one viewer, and what it would show."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from engine_kit import SYMBOL
from page_kit import PageRun, Served, served
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


BOOK = f"fake:{SYMBOL}"


def serve(
    folder: Path,
    body: Callable[[Served, PageRun], Awaitable[None]],
    **options: Any,  # noqa: ANN401 - of ``served``
) -> None:
    async def main() -> None:
        run = PageRun()
        async with served(folder / "run", run, **options) as page:
            await body(page, run)

    asyncio.run(main())


async def get(page: Served, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.get(page.url + path, headers=named) as response,
    ):
        return response.status, await response.read(), dict(response.headers)


async def frames(socket: aiohttp.ClientWebSocketResponse, number: int) -> list[dict[str, Any]]:
    return [await asyncio.wait_for(socket.receive_json(), 60) for _ in range(number)]


class Screen:
    """What a browser that applies every frame would show."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.rows: dict[str, dict[str, Any]] = {}
        self.frames: list[dict[str, Any]] = []
        self.courses: dict[str, Any] = {}

    async def until(self, condition: Callable[[], object]) -> None:
        async def seen() -> bool:
            if condition():
                return True
            self.take(await self.socket.receive_json(timeout=60))
            return bool(condition())

        await until(seen)

    def take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        if frame.get("whole"):
            self.rows.clear()
        for section, rows in frame.get("set", {}).items():
            self.rows.setdefault(section, {}).update(rows)
        for section, keys in frame.get("gone", {}).items():
            for key in keys:
                self.rows.get(section, {}).pop(key, None)
        self.courses.update(frame.get("courses", {}))

    def all(self, section: str) -> list[dict[str, Any]]:
        return list(self.rows.get(section, {}).values())


async def closed(socket: aiohttp.ClientWebSocketResponse) -> bool:
    kinds = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)
    return (await socket.receive()).type in kinds
