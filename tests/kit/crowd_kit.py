"""Very many symbols of Binance spot on loopback: deep books, and a venue that weighs every request."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.streams import Streams
from citadel_micro.core.model.events import BookLook, DepthUpdate, FeedStatus, StreamProof
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

VENUE = "binance-spot"
LEVELS = 300
WEIGHT_A_MINUTE = 6_000
TOP = 20

Top = tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]


def weight(limit: int) -> int:
    """What Binance spot counts a snapshot of so many levels as."""
    return next(
        cost for most, cost in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if limit <= most
    )


class DeepBook:
    """The venue's own book of one symbol, and its best at every sequence."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seq = 1_000
        self.bids = {10_000.0 - n: 1.0 for n in range(LEVELS)}
        self.asks = {10_001.0 + n: 1.0 for n in range(LEVELS)}
        self.tops: dict[int, Top] = {self.seq: self.top()}

    def top(self) -> Top:
        """Best levels of both sides."""
        bids = sorted(self.bids.items(), reverse=True)[:TOP]
        return tuple(bids), tuple(sorted(self.asks.items())[:TOP])

    def change(self, native: str) -> str:
        """One level of a side, one sequence further, as a message of the stream."""
        self.seq += 1
        buy = self.rng.random() < 0.5
        place = 1 + int(self.rng.expovariate(0.05))
        price = 10_000.0 - place if buy else 10_001.0 + place
        size = float(self.rng.randint(0, 9))
        side = self.bids if buy else self.asks
        if size:
            side[price] = size
        else:
            side.pop(price, None)
        self.tops[self.seq] = self.top()
        rows = [[f"{price:.2f}", f"{size:.1f}"]]
        data = {
            "e": "depthUpdate",
            "E": time.time_ns() // 1_000_000,
            "s": native,
            "U": self.seq,
            "u": self.seq,
            "b": rows if buy else [],
            "a": [] if buy else rows,
        }
        return json.dumps({"stream": f"{native.lower()}@depth@100ms", "data": data})

    def snapshot(self, limit: int) -> dict[str, Any]:
        """As ``/api/v3/depth`` answers."""
        bids = sorted(self.bids.items(), reverse=True)[:limit]
        asks = sorted(self.asks.items())[:limit]
        return {
            "lastUpdateId": self.seq,
            "bids": [[f"{price:.2f}", f"{size:.1f}"] for price, size in bids],
            "asks": [[f"{price:.2f}", f"{size:.1f}"] for price, size in asks],
        }


class WeighingVenue:
    """Streams and snapshots; answers 429 beyond its weight a minute, and counts what was asked."""

    def __init__(self, natives: Sequence[str]) -> None:
        self.books = {native: DeepBook(seed) for seed, native in enumerate(natives)}
        self.sockets: dict[web.WebSocketResponse, set[str]] = {}
        self.weighed: deque[tuple[float, int]] = deque()
        self.limits: list[int] = []
        self.refused = 0
        self.peak = 0
        """Most weight within any minute."""
        self.received: list[float] = []
        """When each message of a client came."""
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._socket)
        app.router.add_get("/api/v3/depth", self._depth)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for socket in list(self.sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def push(self, native: str) -> None:
        """One change of one book."""
        text = self.books[native].change(native)
        for socket, natives in list(self.sockets.items()):
            if native in natives and not socket.closed:
                await socket.send_str(text)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[socket] = set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.received.append(time.monotonic())
                asked = json.loads(message.data)
                names = {each.partition("@")[0].upper() for each in asked["params"]}
                if asked["method"] == "SUBSCRIBE":
                    self.sockets[socket] |= names
                else:
                    self.sockets[socket] -= names
                await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        self.sockets.pop(socket, None)
        return socket

    async def _depth(self, request: web.Request) -> web.Response:
        now_s, limit = time.monotonic(), int(request.query["limit"])
        self.limits.append(limit)
        self.weighed.append((now_s, weight(limit)))
        while self.weighed[0][0] < now_s - 60:
            self.weighed.popleft()
        total = sum(cost for _, cost in self.weighed)
        self.peak = max(self.peak, total)
        if total > WEIGHT_A_MINUTE:
            self.refused += 1
            return web.Response(status=429, headers={"Retry-After": "10"})
        return web.json_response(self.books[request.query["symbol"]].snapshot(limit))


class Crowd:
    """An Aggregator with the venue's real limits, and the books that an engine would keep."""

    def __init__(self, venue: WeighingVenue) -> None:
        spec = venue_spec(VENUE)
        self.venue = venue
        self.natives = {f"{native[:-4]}/USDT": native for native in venue.books}
        self.markets = {
            symbol: MarketBook(VENUE, symbol, spec.integrity) for symbol in self.natives
        }
        self.streams = Streams()
        self.lies: list[str] = []
        self.was_live: set[str] = set()
        self.left_live: list[str] = []
        self.aggregator = Aggregator(
            [
                FeedConfig(
                    venue=VENUE,
                    symbols=self.natives,
                    websocket_url=f"ws://127.0.0.1:{venue.port}",
                    rest_url=f"http://127.0.0.1:{venue.port}",
                    channels=("depth",),
                )
            ],
            self.sink,
            time.time_ns,
        )

    def sink(self, event: object, recv_ns: int) -> None:
        if isinstance(event, StreamProof):
            self.streams.on_proof(event, recv_ns)
            return
        market = self.markets[event.symbol]  # type: ignore[attr-defined]  # all others have one
        if isinstance(event, DepthUpdate):
            if market.on_depth(event) & Change.GAP:
                self.aggregator.request_snapshot(VENUE, market.symbol, market.reason)
            self._check(market)
        elif isinstance(event, FeedStatus):
            market.stream = self.streams.of(VENUE, event.stream)
            market.on_status(event)
        elif isinstance(event, BookLook):
            market.on_poll(event)

    def _check(self, market: MarketBook) -> None:
        if market.state != "LIVE":
            if market.symbol in self.was_live:
                self.left_live.append(f"{market.symbol}: {market.reason}")
            return
        self.was_live.add(market.symbol)
        bids, asks = market.book.top(TOP)
        truth = self.venue.books[self.natives[market.symbol]].tops[market.last_seq]
        if (tuple(bids), tuple(asks)) != truth:
            self.lies.append(f"{market.symbol} at {market.last_seq}")

    def look_at_ages(self) -> None:
        """What an engine does on a tick."""
        for market in self.markets.values():
            if market.check_age(time.time_ns(), 1_500_000_000) and market.mute:
                self.aggregator.request_snapshot(VENUE, market.symbol, market.reason, mute=True)

    def live(self) -> int:
        """Books that are LIVE."""
        return sum(market.state == "LIVE" for market in self.markets.values())

    def deep(self) -> int:
        """Books that hold more than a quick snapshot does."""
        return sum(market.book.bid_count > 2 * LEVELS // 3 for market in self.markets.values())


async def start_crowd(
    count: int, changes_a_second: float, seconds: float, *, after_s: float = 0.0
) -> tuple[Crowd, float | None]:
    """Follow so many symbols until all are LIVE, at most ``seconds``, and for some time after.

    Returns what was seen, and how long it took; None when it took too long.
    """
    venue = WeighingVenue([f"C{number}USDT" for number in range(count)])
    await venue.start()
    crowd = Crowd(venue)
    rng, names = random.Random(5), list(venue.books)
    began_s = time.monotonic()
    took_s: float | None = None
    await crowd.aggregator.start()
    try:
        while time.monotonic() < began_s + (seconds if took_s is None else took_s + after_s):
            await asyncio.sleep(0.05)
            for _ in range(max(1, int(changes_a_second * 0.05))):
                await venue.push(rng.choice(names))
            crowd.look_at_ages()
            if took_s is None and crowd.live() == count:
                took_s = time.monotonic() - began_s
    finally:
        await crowd.aggregator.close()
        await venue.stop()
    return crowd, took_s
