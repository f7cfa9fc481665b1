"""What is left of a connection that nobody waited for, and of many that were lost: nothing.

That a reconnect leaves nothing in memory is measured by ``make flap``.
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode
from hashlib import sha1

import pytest
from cancelled_late import cancelled_at_each_wait
from hard_feeds import Observer, run_hard, until

from citadel_micro.shell.marketdata import connection as connection_module
from citadel_micro.shell.marketdata import websocket as link_module
from citadel_micro.shell.marketdata.connection import Connection
from citadel_micro.shell.marketdata.session import FeedSession
from citadel_micro.shell.marketdata.websocket import open_link
from citadel_proto.errors import PeerUnavailable


class LateServer:
    """Accepts TCP, and answers the websocket's handshake only when told to."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        """The client has hung up."""
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.set()
            await self.answer.wait()
            key = next(
                line.partition(": ")[2]
                for line in request.split("\r\n")
                if line.lower().startswith("sec-websocket-key")
            )
            writer.write(_accepted(key) + b"\x81\x05hello")
            while await reader.read(1 << 16):
                pass
        self.gone.set()
        writer.close()


def _accepted(key: str) -> bytes:
    """The answer of RFC 6455, section 4.2.2."""
    salted = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    proof = b64encode(sha1(salted, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
    )


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
@pytest.mark.parametrize("ended", ["cancelled", "too late"])
def test_a_connection_that_nobody_waits_for_is_not_made(
    monkeypatch: pytest.MonkeyPatch, ended: str, *, deflate: bool
) -> None:
    """The quick client completes a handshake whether or not its caller was cancelled meanwhile."""
    if ended == "too late":
        monkeypatch.setattr(link_module, "CONNECT_TIMEOUT_S", 0.2)
    heard: list[bytes] = []

    async def main() -> None:
        server = LateServer()
        await server.start()
        opening = asyncio.ensure_future(open_link(server.url, heard.append, deflate=deflate))
        await asyncio.wait_for(server.asked.wait(), 60.0)
        if ended == "cancelled":
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        else:
            with pytest.raises(PeerUnavailable, match="cannot connect to"):
                await opening
        server.answer.set()
        await asyncio.wait_for(server.gone.wait(), 60.0)
        await server.stop()
        me = asyncio.current_task()

        def alone() -> bool:
            return [task for task in asyncio.all_tasks() if task is not me] == []

        await until(alone)
        assert heard == []

    asyncio.run(main())


def test_a_book_gets_its_snapshot_at_once_however_often_its_connection_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connecting is what is paced; a book that waits besides would keep all updates meanwhile."""
    monkeypatch.setattr(connection_module, "SETTLED_S", 0.0)

    async def scenario(seen: Observer) -> None:
        for connects in range(1, 10):
            await until(lambda connects=connects: len(seen.venue.connected_at) >= connects)
            await seen.agree()
            for socket in list(seen.venue.sockets):
                await socket.close(code=1001)
        natives = [native for _, native in seen.venue.asked]
        assert max(map(natives.count, set(natives))) <= 10, "one a connection"

    run_hard(monkeypatch, scenario)


def test_a_successor_that_connects_as_its_connection_is_cancelled_is_closed() -> None:
    """As a subscription is given up while the venue's announced end is awaited."""

    class Opened(FeedSession):
        def __init__(self) -> None:
            self.ends = 0

        async def end(self) -> None:
            self.ends += 1

    class Renewing(Connection):
        def __init__(self) -> None:
            self.successor = Opened()

        async def _open(self) -> FeedSession:
            await asyncio.sleep(0)
            return self.successor

        async def renew(self) -> None:
            begun = await self._begin_successor(asyncio.get_running_loop().create_future())
            assert begun is not None
            begun[1].cancel()

    async def scenario() -> None:
        made: list[Renewing] = []

        async def renew() -> None:
            made.append(Renewing())
            await made[-1].renew()

        await cancelled_at_each_wait(renew)
        assert len(made) > 1
        assert [each.successor.ends for each in made[:-1]] == [1] * (len(made) - 1)
        assert made[-1].successor.ends == 0

    asyncio.run(scenario())
