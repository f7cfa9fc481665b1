"""A websocket and HTTP server on loopback that speaks Binance spot, and an Aggregator on it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from waiting import until

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


VENUE = "binance-spot"


PAIRS = {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"}


class FakeBook:
    """The venue's truth about one symbol."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seq = 1_000
        self.bids = {f"{price}.00": "1.0" for price in range(90, 100)}
        self.asks = {f"{price}.00": "1.0" for price in range(101, 111)}

    def change(self) -> dict[str, Any]:
        """One random update of one to three sequence numbers, as the diff stream sends it."""
        first = self.seq + 1
        self.seq += self.rng.randint(1, 3)
        sides: dict[str, list[list[str]]] = {"b": [], "a": []}
        for key, levels, low in (("b", self.bids, 85), ("a", self.asks, 101)):
            price = f"{self.rng.randint(low, low + 14)}.00"
            size = f"{self.rng.randint(0, 9)}.5"
            if size == "0.5":
                size = "0.0"
                levels.pop(price, None)
            else:
                levels[price] = size
            sides[key].append([price, size])
        return {"U": first, "u": self.seq, **sides}


class FakeBinance:
    """Combined streams with SUBSCRIBE and UNSUBSCRIBE, and ``/api/v3/depth``."""

    def __init__(self) -> None:
        self.books = {native: FakeBook(seed) for seed, native in enumerate(PAIRS.values())}
        self.sockets: dict[web.WebSocketResponse, set[str]] = {}
        self.connected_at: list[float] = []
        self.requests: list[dict[str, Any]] = []
        self.snapshots: list[str] = []
        self.muted: set[str] = set()
        self.refuse_streams: set[str] = set()
        self.unknown_symbols: set[str] = set()
        self.snapshot_status: list[int] = []
        self.snapshot_gate = asyncio.Event()
        self.snapshot_gate.set()
        self.old_snapshot: dict[str, Any] | None = None
        self.refuse_connections = False
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._socket)
        app.router.add_get("/api/v3/depth", self._depth)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self.kick()
            await self._runner.cleanup()
            self._runner = None

    async def kick(self) -> None:
        for socket in list(self.sockets):
            await socket.close(code=1001)

    async def push(self, native: str, *, lose: bool = False) -> None:
        """One change of one book; with ``lose`` nobody hears of it."""
        change = {"e": "depthUpdate", "E": 1, "s": native, **self.books[native].change()}
        if not lose:
            await self.send(f"{native.lower()}@depth@100ms", change)

    async def send(self, stream: str, data: dict[str, Any]) -> None:
        if stream not in self.muted:
            await self.raw(
                json.dumps({"stream": stream, "data": data}, separators=(",", ":")), stream
            )

    async def raw(self, text: str, stream: str = "") -> None:
        for socket, streams in list(self.sockets.items()):
            if not stream or stream in streams:
                await socket.send_str(text)

    def subscribed(self, native: str) -> bool:
        stream = f"{native.lower()}@depth@100ms"
        return any(stream in streams for streams in self.sockets.values())

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.connected_at.append(time.monotonic())
        if self.refuse_connections:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[socket] = set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(message.data))
        finally:
            self.sockets.pop(socket, None)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, wanted: dict[str, Any]) -> None:
        self.requests.append(wanted)
        if self.refuse_streams & set(wanted["params"]):
            error = {"code": 2, "msg": "Invalid request: unknown stream"}
            await socket.send_json({"error": error, "id": wanted["id"]})
            return
        if wanted["method"] == "SUBSCRIBE":
            self.sockets[socket] |= set(wanted["params"])
        else:
            self.sockets[socket] -= set(wanted["params"])
        await socket.send_json({"result": None, "id": wanted["id"]})

    async def _depth(self, request: web.Request) -> web.Response:
        native = request.query["symbol"]
        self.snapshots.append(native)
        if native in self.unknown_symbols:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        if self.snapshot_status:
            return web.Response(status=self.snapshot_status.pop(0), headers={"Retry-After": "0"})
        await self.snapshot_gate.wait()
        if self.old_snapshot is not None:
            answer, self.old_snapshot = self.old_snapshot, None
            return web.json_response(answer)
        return web.json_response(self.snapshot(native))

    def snapshot(self, native: str) -> dict[str, Any]:
        book = self.books[native]
        return {
            "lastUpdateId": book.seq,
            "bids": [list(level) for level in book.bids.items()],
            "asks": [list(level) for level in book.asks.items()],
        }


class Rig:
    """Aggregator, and the books that an engine would keep from its events."""

    def __init__(self, fake: FakeBinance, **changes: Any) -> None:  # noqa: ANN401 - config fields
        self.fake = fake
        self.markets = {symbol: MarketBook(VENUE, symbol, "range_bridge_spot") for symbol in PAIRS}
        self.events: list[object] = []
        self.raw: list[tuple[str, str]] = []
        self.faults: list[Exception] = []
        self.bomb: Exception | None = None
        fields: dict[str, Any] = {
            "venue": VENUE,
            "symbols": PAIRS,
            "websocket_url": f"ws://127.0.0.1:{fake.port}/stream",
            "rest_url": f"http://127.0.0.1:{fake.port}",
        }
        config = FeedConfig(**{**fields, **changes})
        self.aggregator = Aggregator(
            [config],
            self.sink,
            time.time_ns,
            seed=7,
            on_fault=self.faults.append,
            tap=lambda _at, kind, _conn, _url, text: self.raw.append((kind, text)),
        )

    def sink(self, event: object, recv_ns: int) -> None:
        self.events.append(event)
        if self.bomb is not None:
            bomb, self.bomb = self.bomb, None
            raise bomb
        if isinstance(event, DepthUpdate):
            assert event.recv_ns == recv_ns
            market = self.markets[event.symbol]
            if market.on_depth(event) & Change.GAP:
                self.aggregator.request_snapshot(event.venue, event.symbol, market.reason)
        elif isinstance(event, FeedStatus):
            self.markets[event.symbol].on_status(event)

    def state(self, symbol: str) -> str:
        return self.markets[symbol].state

    def agrees(self, symbol: str) -> bool:
        """LIVE, and the same as the venue's truth."""
        market, book = self.markets[symbol], self.fake.books[PAIRS[symbol]]
        return (
            market.state == "LIVE"
            and market.last_seq == book.seq
            and market.book.sizes("buy") == {float(p): float(size) for p, size in book.bids.items()}
            and market.book.sizes("sell")
            == {float(p): float(size) for p, size in book.asks.items()}
        )

    async def live(self) -> None:
        """Wait until both books are, pushing changes as a venue does."""
        await until(lambda: all(self.fake.subscribed(native) for native in PAIRS.values()))
        await self.agree()

    async def agree(self) -> None:
        async def step() -> bool:
            for native in PAIRS.values():
                await self.fake.push(native)
            await asyncio.sleep(0.005)
            return all(self.agrees(symbol) for symbol in PAIRS)

        await until(step)


async def with_rig(scenario: Callable[[Rig], Coroutine[Any, Any, None]], **changes: Any) -> None:  # noqa: ANN401
    """Run a scenario; afterwards nothing may be left running."""
    fake = FakeBinance()
    await fake.start()
    rig = Rig(fake, **changes)
    await rig.aggregator.start()
    try:
        await scenario(rig)
    finally:
        await rig.aggregator.close()
        await fake.stop()
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    names = [task.get_name() for task in left]
    assert not [name for name in names if name.startswith(("feed ", "snapshot "))], names
