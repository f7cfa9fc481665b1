"""A bad network between a client and a server: an asyncio TCP relay that delays, stalls, cuts and heals."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from random import Random

TOWARDS_SERVER: Final = "up"
TOWARDS_CLIENT: Final = "down"
BOTH: Final = frozenset({TOWARDS_SERVER, TOWARDS_CLIENT})
_LOOK_S: Final = 0.005


class Way(Protocol):
    """From clients to one server, over a network whose faults can be set."""

    stalled: frozenset[str]
    delay_s: float
    jitter_s: float

    @property
    def address(self) -> str: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def cut(self) -> None: ...
    async def reset(self) -> None: ...
    def heal(self) -> None: ...


class FaultyRelay:
    """``async with FaultyRelay(port, chance) as relay``: clients connect to ``relay.port``.

    Bytes keep their order, as TCP's do; what is in transit when a connection is cut is lost.
    """

    def __init__(self, to: int, chance: Random) -> None:
        self._to = to
        self._chance = chance
        self.port = 0
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.stalled: frozenset[str] = frozenset()
        """Directions in which nothing moves, on connections that stay up: half-open with one."""
        self._cut = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Every connection breaks, and no new one comes about until ``heal``."""
        self._cut = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reset(self) -> None:
        """Every connection breaks; the clients may connect again at once."""
        await self.cut()
        self._cut = False

    def heal(self) -> None:
        self._cut = False
        self.stalled = frozenset()
        self.delay_s = self.jitter_s = 0.0

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        far: asyncio.StreamWriter | None = None
        try:
            if self._cut:
                return
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._to)
            ways = [
                asyncio.create_task(self._pass(reader, far, TOWARDS_SERVER)),
                asyncio.create_task(self._pass(far_reader, writer, TOWARDS_CLIENT)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody listens there now
        except asyncio.CancelledError:
            pass  # cut
        finally:
            for each in (writer, far):
                if each is not None:
                    each.transport.abort()
            self._tasks.discard(task)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        """Read on while what was read before is still on its way."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sender = asyncio.create_task(self._send(queue, writer, way))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 16):
                    late = self.delay_s + self._chance.random() * self.jitter_s
                    queue.put_nowait((loop.time() + late, data))
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _send(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: str
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            while way in self.stalled:  # noqa: ASYNC110 - one of many lines, looked at while it is stalled
                await asyncio.sleep(_LOOK_S)
            writer.write(data)
            await writer.drain()
