"""A venue on loopback that can be made to misbehave, and an observer that knows its true books.

``HardVenue`` speaks Binance spot (diffs, snapshots over HTTP) or Bybit linear (snapshots in the
stream). ``Observer`` keeps the books that an engine would keep from the Aggregator's events, and
after every event checks the one promise that matters: a book that says LIVE is what the venue's
book was at that sequence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiohttp import WSMsgType, web

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.streams import WHOLE_VENUE, Streams
from citadel_micro.core.model.events import BookLook, DepthUpdate, FeedStatus, StreamProof
from citadel_micro.shell.marketdata import aggregator as aggregator_module
from citadel_micro.shell.marketdata import event_queue as outlet_module
from citadel_micro.shell.marketdata import lag_monitor as overload_module
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import Limits, venue_spec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    import pytest

    from citadel_micro.shell.marketdata.spec import VenueSpec

    Answer = Callable[["HardVenue", str], Awaitable[web.Response]]

T = TypeVar("T")
Side = dict[float, float]

QUICK = Limits(
    symbols_per_connection=1_000,
    symbols_per_message=100,
    messages_per_s=500.0,
    connects_per_s=200.0,
    snapshots_per_s=5_000.0,
)
"""Limits of a venue that takes all that a test sends."""


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


class Observer:
    """An Aggregator, the books that an engine would keep, and whether they are honest."""

    def __init__(self, venue: HardVenue, spec: VenueSpec, config: FeedConfig) -> None:
        self.venue = venue
        self.natives = dict(config.symbols)
        self.markets = {
            symbol: MarketBook(spec.venue, symbol, spec.integrity) for symbol in config.symbols
        }
        self.streams = Streams()
        self.looks = 0
        self.faults: list[Exception] = []
        self.lies: list[str] = []
        """Moments at which a book said LIVE and was not what the venue's had been."""
        self.slow_s = 0.0
        """How long each event keeps the consumer busy."""
        self.bombs: dict[str, int] = {}
        """Unified symbol to how many of its next events the consumer fails at."""
        self.not_live_s: dict[str, float] = {}
        """Unified symbol to the longest time that it was not LIVE, after it first was."""
        self._left_live: dict[str, float] = {}
        self.events = 0
        self.aggregator = Aggregator(
            [config], self.sink, time.time_ns, seed=7, on_fault=self.faults.append
        )

    def sink(self, event: object, recv_ns: int) -> None:
        self.events += 1
        if self.slow_s:
            time.sleep(self.slow_s)
        symbol = getattr(event, "symbol", "")
        if self.bombs.get(symbol, 0):
            self.bombs[symbol] -= 1
            raise RuntimeError(f"our own mistake about {symbol}")
        if isinstance(event, DepthUpdate):
            assert event.recv_ns == recv_ns
            market = self.markets[event.symbol]
            changed = market.on_depth(event)
            self._check(market)
            self._note(market)
            if changed & Change.GAP:
                self.aggregator.request_snapshot(event.venue, event.symbol, market.reason)
        elif isinstance(event, FeedStatus):
            market = self.markets[event.symbol]
            if event.up:
                assert event.stream > WHOLE_VENUE
                market.stream = self.streams.of(event.venue, event.stream)
            market.on_status(event)
            self._note(market)
        elif isinstance(event, BookLook):
            self.looks += 1
            self.markets[event.symbol].on_look(event)
        elif isinstance(event, StreamProof):
            assert event.recv_ns == recv_ns
            self.streams.on_proof(event, time.time_ns())

    def look_at_ages(self, stale_ns: int = 1_500_000_000) -> None:
        """What an engine does about the ages of its books."""
        for market in self.markets.values():
            if market.check_age(time.time_ns(), stale_ns) and market.mute:
                self.aggregator.request_snapshot(
                    market.venue, market.symbol, market.reason, mute=True
                )

    def _check(self, market: MarketBook) -> None:
        if market.state == "LIVE":
            truth = self.venue.truths[self.natives[market.symbol]]
            was = truth.history.get(market.last_seq)
            if was != fingerprint(market.book.sizes("buy"), market.book.sizes("sell")):
                self.lies.append(f"{market.symbol} at {market.last_seq}")

    def _note(self, market: MarketBook) -> None:
        now_s, symbol = time.monotonic(), market.symbol
        if market.state == "LIVE":
            left_s = self._left_live.pop(symbol, now_s)
            self.not_live_s[symbol] = max(self.not_live_s.get(symbol, 0.0), now_s - left_s)
        elif symbol in self.not_live_s:
            self._left_live.setdefault(symbol, now_s)

    def state(self, symbol: str) -> str:
        return self.markets[symbol].state

    def agrees(self, symbol: str) -> bool:
        """LIVE, and at the venue's newest sequence, with the same levels."""
        market, truth = self.markets[symbol], self.venue.truths[self.natives[symbol]]
        return (
            market.state == "LIVE"
            and market.last_seq == truth.seq
            and (market.book.sizes("buy"), market.book.sizes("sell")) == (truth.bids, truth.asks)
        )

    async def agree(self, symbols: Sequence[str] = (), seconds: float = 60.0) -> None:
        """Push changes, as a venue does, until these books agree; all if none is named."""
        names = list(symbols or self.markets)

        async def step() -> bool:
            for symbol in names:
                native = self.natives[symbol]
                if self.venue.subscribed(native):
                    await self.venue.push(native)
            patience_s = time.monotonic() + 0.005 * len(names)
            while time.monotonic() < patience_s:
                await asyncio.sleep(0.005)
                if all(self.agrees(symbol) for symbol in names):
                    return True
            return False

        await until(step, seconds)


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 60.0
) -> None:
    """Wait for a condition; AssertionError when it does not come."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if not isinstance(result, bool):
            result = await result
        if result:
            return
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)


def pairs(count: int, settle: str = "") -> dict[str, str]:
    """Unified symbol to venue symbol of so many instruments."""
    return {f"C{number}/USDT{settle}": f"C{number}USDT" for number in range(count)}


def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every update be counted, however late this machine is: none is joined to another."""
    monkeypatch.setattr(overload_module, "BEGIN_NS", 1 << 60)
    monkeypatch.setattr(outlet_module, "_LATE_NS", 1 << 60)


def run_hard(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Observer], Coroutine[Any, Any, None]],
    *,
    dialect: Dialect | None = None,
    symbols: int = 2,
    spec: dict[str, Any] | None = None,
    prepare: Callable[[HardVenue], None] | None = None,
    through: Callable[[HardVenue], Coroutine[Any, Any, int]] | None = None,
    **config: Any,  # noqa: ANN401 - fields of FeedConfig
) -> None:
    """Run a scenario against a venue; afterwards no task may be left and no book may have lied.

    ``spec`` is what differs from the venue's real spec, timers above all; ``prepare`` turns the
    venue's knobs before anybody connects; ``through`` starts a proxy and returns its port.
    """
    speech = dialect or BinanceSpot()
    real = venue_spec(speech.venue)
    used = replace(real, **{"limits": QUICK, **(spec or {})})
    monkeypatch.setattr(aggregator_module, "venue_spec", lambda _venue: used)
    names = pairs(symbols, ":USDT" if speech.venue == "bybit-linear" else "")

    async def main() -> None:
        venue = HardVenue(speech, list(names.values()))
        if prepare is not None:
            prepare(venue)
        await venue.start()
        port = await through(venue) if through is not None else venue.port
        feed = FeedConfig(
            venue=speech.venue,
            symbols=names,
            websocket_url=f"ws://127.0.0.1:{port}",
            rest_url=f"http://127.0.0.1:{venue.port}",
            **{"channels": ("depth",), **config},
        )
        observer = Observer(venue, used, feed)
        await observer.aggregator.start()
        try:
            await scenario(observer)
        finally:
            await observer.aggregator.close()
            await venue.stop()
        assert observer.lies == []
        await asyncio.sleep(0)
        left = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in left if name.startswith(("feed ", "snapshot "))], left

    asyncio.run(main())


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
