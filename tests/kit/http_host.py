"""A host of HTTP/1.1 that counts what it is asked, and answers with the bytes that it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from citadel_micro.shell.venue.http_client import HttpClient

if TYPE_CHECKING:
    import ssl

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MANY = 1_000_000


class Host:
    """As a context it gives a client of itself.

    Args:
        answers: to the first requests; ``OK`` to the others.
        only: so many requests a connection, which it then ends.
        tls: with its certificate; None: in the clear.
    """

    def __init__(
        self, *answers: bytes, only: int = MANY, tls: ssl.SSLContext | None = None
    ) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._answers = list(answers)
        self._only = only
        self._tls = tls
        self._tasks: list[asyncio.Task[None] | None] = []

    async def __aenter__(self) -> HttpClient:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        scheme = "http" if self._tls is None else "https"
        self.client = HttpClient(f"{scheme}://127.0.0.1:{port}/base", "a test", timeout_s=30)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self._server.close()
        await asyncio.gather(*(each for each in self._tasks if each is not None))
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            for _ in range(self._only):
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answers.pop(0) if self._answers else OK)
                await writer.drain()
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
