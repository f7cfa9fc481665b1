"""A venue on loopback that can be made to misbehave, with the true books that it shows.

``HardVenue`` speaks Binance spot (diffs, snapshots over HTTP) or Bybit linear (snapshots in the
stream).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    Answer = Callable[["HardVenue", str], Awaitable[web.Response]]

T = TypeVar("T")
Side = dict[float, float]


class Truth:
    """The venue's own book of one symbol, and what it was at every sequence."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seq = 1_000
        self.bids: Side = {float(price): 1.0 for price in range(90, 100)}
        self.asks: Side = {float(price): 1.0 for price in range(101, 111)}
        self.history: dict[int, int] = {}
        """Sequence to the fingerprint of the book at it."""
        self._remember()

    def change(self) -> tuple[list[list[str]], list[list[str]]]:
        """One level of each side set or deleted, one sequence further."""
        self.seq += 1
        rows: list[list[list[str]]] = []
        for levels, low in ((self.bids, 80), (self.asks, 101)):
            price, size = float(self.rng.randint(low, low + 19)), float(self.rng.randint(0, 9))
            if size:
                levels[price] = size
            else:
                levels.pop(price, None)
            rows.append([[f"{price:.2f}", f"{size:.1f}"]])
        self._remember()
        return rows[0], rows[1]

    def levels(self) -> tuple[list[list[str]], list[list[str]]]:
        """All levels, as the venue writes them."""
        return _texts(self.bids), _texts(self.asks)

    def _remember(self) -> None:
        self.history[self.seq] = fingerprint(self.bids, self.asks)


def fingerprint(bids: Side, asks: Side) -> int:
    """The same for the same levels, in whatever order they are held."""
    return hash((frozenset(bids.items()), frozenset(asks.items())))


def _texts(side: Side) -> list[list[str]]:
    return [[f"{price:.2f}", f"{size:.1f}"] for price, size in side.items()]


class Dialect(Protocol):
    """How one venue writes things."""

    venue: str
    path: str
    rest_path: str

    def wanted(self, message: dict[str, Any]) -> tuple[bool, list[str]]:
        """(subscribe rather than unsubscribe, venue symbols whose depth it is about)."""

    def accepted(self, message: dict[str, Any]) -> str:
        """The answer to a request that holds."""

    def refused(self, message: dict[str, Any], words: str) -> str:
        """The answer to one that does not."""

    def first(self, native: str, truth: Truth) -> str:
        """What follows a subscription; empty where the snapshot is fetched."""

    def frame(self, native: str, truth: Truth) -> str:
        """One change."""


class BinanceSpot:
    """Diffs on combined streams, snapshots over HTTP."""

    venue = "binance-spot"
    path = "/stream"
    rest_path = "/api/v3/depth"

    def wanted(self, message: dict[str, Any]) -> tuple[bool, list[str]]:
        names = [name.partition("@") for name in message["params"]]
        natives = [name.upper() for name, _, kind in names if kind.startswith("depth")]
        return message["method"] == "SUBSCRIBE", natives

    def accepted(self, message: dict[str, Any]) -> str:
        return json.dumps({"result": None, "id": message["id"]})

    def refused(self, message: dict[str, Any], words: str) -> str:
        return json.dumps({"error": {"code": 2, "msg": words}, "id": message["id"]})

    def first(self, native: str, truth: Truth) -> str:  # noqa: ARG002
        return ""

    def frame(self, native: str, truth: Truth) -> str:
        bids, asks = truth.change()
        data = {
            "e": "depthUpdate",
            "E": time.time_ns() // 1_000_000,
            "s": native,
            "U": truth.seq,
            "u": truth.seq,
            "b": bids,
            "a": asks,
        }
        frame = {"stream": f"{native.lower()}@depth@100ms", "data": data}
        return json.dumps(frame, separators=(",", ":"))


class BybitLinear:
    """Snapshots in the stream, numbered one by one."""

    venue = "bybit-linear"
    path = "/v5/public/linear"
    rest_path = ""

    def wanted(self, message: dict[str, Any]) -> tuple[bool, list[str]]:
        names = [name for name in message.get("args", ()) if name.startswith("orderbook.50.")]
        natives = [name.removeprefix("orderbook.50.") for name in names]
        return message["op"] == "subscribe", natives

    def accepted(self, message: dict[str, Any]) -> str:
        op = message["op"]
        return json.dumps({"success": True, "op": op, "req_id": message.get("req_id", "")})

    def refused(self, message: dict[str, Any], words: str) -> str:
        said = {"success": False, "ret_msg": words, "op": message["op"]}
        return json.dumps({**said, "req_id": message["req_id"]})

    def first(self, native: str, truth: Truth) -> str:
        return self._write(native, "snapshot", truth.seq, *truth.levels())

    def frame(self, native: str, truth: Truth) -> str:
        bids, asks = truth.change()
        return self._write(native, "delta", truth.seq, bids, asks)

    @staticmethod
    def _write(
        native: str, kind: str, seq: int, bids: list[list[str]], asks: list[list[str]]
    ) -> str:
        data = {"s": native, "b": bids, "a": asks, "u": seq, "seq": seq}
        at_ms = time.time_ns() // 1_000_000
        head = {"topic": f"orderbook.50.{native}", "type": kind, "ts": at_ms}
        return json.dumps({**head, "data": data, "cts": at_ms}, separators=(",", ":"))


class HardVenue:
    """Websocket and HTTP server of one venue, with a knob for each way to fail."""

    def __init__(self, dialect: Dialect, natives: Sequence[str]) -> None:
        self.dialect = dialect
        self.truths = {native: Truth(seed) for seed, native in enumerate(natives)}
        self.sockets: dict[web.WebSocketResponse, set[str]] = {}
        self.connected_at: list[float] = []
        self.requests: list[dict[str, Any]] = []
        self.asked: list[tuple[float, str]] = []
        """(time, venue symbol) of each snapshot asked for."""
        self.hang_up_on = ""
        """``accept``: closes at once. ``subscribe``: closes after the first request."""
        self.muted: set[str] = set()
        self.refused: dict[str, str] = {}
        """Venue symbol to the words with which it, and all asked for with it, is refused."""
        self.answers: deque[Answer] = deque()
        """What to answer the next snapshots with, instead of the snapshot."""
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(self.dialect.path, self._socket)
        if self.dialect.rest_path:
            app.router.add_get(self.dialect.rest_path, self._snapshot)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for socket in list(self.sockets):
            await socket.close(code=1001)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def subscribed(self, native: str) -> bool:
        return any(native in natives for natives in self.sockets.values())

    async def push(self, native: str, *, lose: bool = False) -> None:
        """One change of one book; with ``lose`` nobody hears of it."""
        text = self.dialect.frame(native, self.truths[native])
        if not lose and native not in self.muted:
            for socket, natives in list(self.sockets.items()):
                if native in natives:
                    await self._send(socket, text)

    async def push_all(self) -> None:
        for native in self.truths:
            await self.push(native)

    async def raw(self, data: str | bytes, native: str = "") -> None:
        """Send this, whatever it is, to those who receive this symbol, or to everybody."""
        for socket, natives in list(self.sockets.items()):
            if not native or native in natives:
                await self._send(socket, data)

    def snapshot(self, native: str) -> dict[str, Any]:
        truth = self.truths[native]
        bids, asks = truth.levels()
        return {"lastUpdateId": truth.seq, "bids": bids, "asks": asks}

    @staticmethod
    async def _send(socket: web.WebSocketResponse, data: str | bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it has hung up
            await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.connected_at.append(time.monotonic())
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.hang_up_on == "accept":
            await socket.close(code=1013, message=b"try again later")
            return socket
        self.sockets[socket] = set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(message.data))
        finally:
            self.sockets.pop(socket, None)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        self.requests.append(message)
        if self.hang_up_on == "subscribe":
            await socket.close(code=1008, message=b"policy")
            return
        subscribe, natives = self.dialect.wanted(message)
        words = [self.refused[native] for native in natives if native in self.refused]
        if subscribe and words:
            await self._send(socket, self.dialect.refused(message, words[0]))
            return
        if subscribe:
            self.sockets[socket].update(natives)
        else:
            self.sockets[socket].difference_update(natives)
        await self._send(socket, self.dialect.accepted(message))
        for native in natives if subscribe else ():
            text = self.dialect.first(native, self.truths[native])
            if text and native not in self.muted:
                await self._send(socket, text)

    async def _snapshot(self, request: web.Request) -> web.Response:
        native = request.query["symbol"]
        self.asked.append((time.monotonic(), native))
        if self.answers:
            return await self.answers.popleft()(self, native)
        return web.json_response(self.snapshot(native))


class Blackhole:
    """A TCP proxy that can stop passing anything on, either way, without closing."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def swallow(self) -> None:
        """Every connection of now goes silent; later ones work."""
        for pipe in self._pipes:
            pipe.set_name("dead")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._to)
        for source, sink in ((reader, forth), (back, writer)):
            pipe = asyncio.get_running_loop().create_task(self._pass(source, sink), name="pipe")
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    @staticmethod
    async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while data := await source.read(1 << 16):
                if task.get_name() != "dead":
                    sink.write(data)
                    await sink.drain()
            if task.get_name() == "dead":
                await asyncio.Event().wait()  # the end is not passed on either
        except ConnectionError:
            pass
        finally:
            sink.close()
            with contextlib.suppress(ConnectionError):
                await sink.wait_closed()


class Elsewhere:
    """A HardVenue in a thread with an event loop of its own, for consumers that block theirs."""

    def __init__(self, venue: HardVenue) -> None:
        self.venue = venue
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.call(self.venue.start())

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run this in the venue's thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Run this in the venue's thread; await what is returned in one's own."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def stop(self) -> None:
        self.call(self.venue.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
