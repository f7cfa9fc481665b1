"""A venue that never lets a connection live, and what each reconnect costs the Aggregator's memory.

The venue runs in a process of its own. Each connection is subscribed to, gets its snapshot and some
changes, and ends in one of the ways in which connections end; now and then one is refused. The
process that is measured has nothing but the Aggregator and its books.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import uvloop
from aiohttp import WSMsgType, web
from hard_feeds import until
from hard_venue import BinanceSpot, BybitLinear, Dialect, HardVenue
from memory_kit import Holding, holding, slope

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus
from citadel_micro.shell.marketdata import aggregator as aggregator_module
from citadel_micro.shell.marketdata import connection as connection_module
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import Limits, venue_spec

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    import pytest

    from citadel_micro.shell.marketdata.spec import VenueSpec

DIALECTS: Final[dict[str, Dialect]] = {"binance-spot": BinanceSpot(), "bybit-linear": BybitLinear()}
"""One with snapshots over HTTP, one with snapshots in the stream."""
NATIVES: Final = ("C0USDT", "C1USDT", "C2USDT", "C3USDT")
SYMBOLS: Final = {
    "binance-spot": ("C0/USDT", "C1/USDT", "C2/USDT", "C3/USDT"),
    "bybit-linear": ("C0/USDT:USDT", "C1/USDT:USDT", "C2/USDT:USDT", "C3/USDT:USDT"),
}
EAGER: Final = Limits(
    symbols_per_connection=1,
    messages_per_s=500.0,
    connects_per_s=200.0,
    snapshots_per_s=5_000.0,
)
"""A connection a symbol, and nobody waits for anything but the backoff after a lost connection."""
CHANGES: Final = 8
STEP_S: Final = 0.004
SAMPLES: Final = 40
START_S: Final = 30.0
GRACE_S: Final = 3.0


class FlappingVenue(HardVenue):
    """Ends every connection, each time in another way."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, NATIVES)
        self._turn = 0

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self._turn += 1
        way = ("close", "abort", "torn", "close", "garbage", "abort", "close", "refuse")[
            self._turn % 8
        ]
        if way == "refuse":
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError, TimeoutError):
            message = await socket.receive(timeout=2.0)
            if message.type is WSMsgType.TEXT:
                await self._life(socket, json.loads(message.data))
            if way == "close":
                await socket.close(code=1001, message=b"going away")
                return socket
            transport = request.transport
            if transport is not None:
                if way == "torn":  # a frame of 512 bytes, of which a few come
                    transport.write(b"\x81\x7e\x02\x00half a fra")
                    await asyncio.sleep(STEP_S)
                elif way == "garbage":  # reserved bits and an unknown kind
                    transport.write(b"\xff\x03abc")
                    await asyncio.sleep(STEP_S)
                transport.abort()
        return socket

    async def _life(self, socket: web.WebSocketResponse, wanted: dict[str, Any]) -> None:
        self.sockets[socket] = set()
        try:
            await self._answer(socket, wanted)
            for _ in range(CHANGES):
                await asyncio.sleep(STEP_S)
                for native in self.sockets[socket]:
                    truth = self.truths[native]
                    await self._send(socket, self.dialect.frame(native, truth))
                    truth.history.clear()
        finally:
            del self.sockets[socket]


def _serve(pipe: Pipe) -> None:
    asyncio.run(_run(pipe))


async def _run(pipe: Pipe) -> None:
    venues = {name: FlappingVenue(dialect) for name, dialect in DIALECTS.items()}
    for venue in venues.values():
        await venue.start()
    pipe.send({name: venue.port for name, venue in venues.items()})
    # Ends when told to, and when whoever would tell it is gone.
    with contextlib.suppress(EOFError):
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    for venue in venues.values():
        await venue.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapped:
    """What so many reconnects have cost."""

    connects: int
    """Connections made in the measured time."""
    failures: int
    """Refused ones, in all."""
    seconds: float
    lives: int
    """How often a book came to LIVE."""
    faults: int
    tasks_left: tuple[str, ...]
    sockets_left: int
    """More open sockets after the end than before the beginning."""
    before: Holding
    """After the warm-up."""
    after: Holding
    in_use_a_connect: float
    """Growth of what is in use in both heaps, bytes a reconnect, by the line through 40 looks."""
    resident_a_connect: float
    """The same of resident memory."""
    blocks_a_connect: float
    """The same of blocks of Python memory: about one an object."""


class _Books:
    """What an engine would keep."""

    def __init__(self, feeds: list[FeedConfig]) -> None:
        self.markets = {
            (feed.venue, symbol): MarketBook(feed.venue, symbol, venue_spec(feed.venue).integrity)
            for feed in feeds
            for symbol in feed.symbols
        }
        self.faults = 0
        self.lives = 0
        self.aggregator = Aggregator(feeds, self.sink, time.time_ns, on_fault=self._fault)

    def _fault(self, _error: Exception) -> None:
        self.faults += 1

    def sink(self, event: object, recv_ns: int) -> None:  # noqa: ARG002
        if isinstance(event, DepthUpdate):
            market = self.markets[event.venue, event.symbol]
            changed = market.on_depth(event)
            if changed & Change.STATE and market.state == "LIVE":
                self.lives += 1
            if changed & Change.GAP:
                self.aggregator.request_snapshot(event.venue, event.symbol, market.reason)
        elif isinstance(event, FeedStatus):
            self.markets[event.venue, event.symbol].on_status(event)

    def connects(self) -> int:
        return sum(each.connects for each in self.aggregator.health())


def flap(
    patch: pytest.MonkeyPatch, *, connects: int, warm: int, deflate: bool, limit_s: float
) -> Flapped:
    """Reconnect so many times after so many that are not counted.

    Args:
        patch: sets the venues' limits, and that a short life is no failure.
        connects: to measure, over all connections.
        warm: before these.
        deflate: with aiohttp's client instead of the quick one.
        limit_s: gives up after this, with AssertionError.
    """

    def spec_of(venue: str) -> VenueSpec:
        return replace(venue_spec(venue), limits=EAGER, deflate=deflate)

    patch.setattr(aggregator_module, "venue_spec", spec_of)
    patch.setattr(connection_module, "SETTLED_S", 0.0)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    server.start()
    theirs.close()
    try:
        if not ours.poll(START_S):
            raise TimeoutError("the venue does not start")
        return uvloop.run(_measure(ours.recv(), connects, warm, limit_s))
    finally:
        ours.close()
        server.join(5.0)
        if server.is_alive():
            server.kill()
            server.join()


async def _measure(ports: dict[str, int], connects: int, warm: int, limit_s: float) -> Flapped:
    books = _Books(
        [
            FeedConfig(
                venue=venue,
                symbols=dict(zip(SYMBOLS[venue], NATIVES, strict=True)),
                websocket_url=f"ws://127.0.0.1:{port}{DIALECTS[venue].path}",
                rest_url=f"http://127.0.0.1:{port}",
                channels=("depth",),
            )
            for venue, port in ports.items()
        ]
    )
    sockets = holding(collect=True).sockets
    await books.aggregator.start()
    samples: list[tuple[int, Holding]] = []
    end_s = time.monotonic() + limit_s

    async def reach(connects: int) -> None:
        await until(lambda: books.connects() >= connects, end_s - time.monotonic())

    try:
        await reach(warm)
        began_s = time.monotonic()
        for number in range(SAMPLES + 1):
            await reach(warm + connects * number // SAMPLES)
            samples.append((books.connects(), holding(collect=True)))
        seconds = time.monotonic() - began_s
        failures = sum(each.failures for each in books.aggregator.health())
    finally:
        await books.aggregator.close()
    me = asyncio.current_task()

    def left() -> tuple[str, ...]:
        return tuple(sorted(repr(task) for task in asyncio.all_tasks() if task is not me))

    # What was being connected when it was closed hangs up as soon as it is.
    with contextlib.suppress(AssertionError):
        await until(lambda: not left() and holding(collect=True).sockets <= sockets, GRACE_S)
    at = [float(each) for each, _ in samples]
    return Flapped(
        connects=samples[-1][0] - samples[0][0],
        failures=failures,
        seconds=seconds,
        lives=books.lives,
        faults=books.faults,
        tasks_left=left(),
        sockets_left=holding(collect=True).sockets - sockets,
        before=samples[0][1],
        after=samples[-1][1],
        in_use_a_connect=slope(at, [float(each.in_use) for _, each in samples]),
        resident_a_connect=slope(at, [float(each.resident) for _, each in samples]),
        blocks_a_connect=slope(at, [float(each.blocks) for _, each in samples]),
    )
