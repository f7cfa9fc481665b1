"""The Aggregator against a real websocket and HTTP server on loopback that speaks Binance spot."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSMsgType, web
from waiting import until

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.connection import Connection
from citadel_proto.errors import BadInput

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


def test_books_follow_the_venue() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        for _ in range(50):
            await rig.fake.push("BTCUSDT")
        await until(lambda: rig.agrees("BTC/USDT"))
        assert rig.fake.snapshots.count("BTCUSDT") == 1, "one snapshot is enough"
        assert not rig.faults
        (health,) = rig.aggregator.health()
        assert health.up
        assert health.connects == 1
        assert health.frames >= 52

    asyncio.run(with_rig(scenario))


def test_quotes_and_trades_come_through() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        quote = {"u": 9_999, "s": "BTCUSDT", "b": "99.00", "B": "1.5", "a": "101.00", "A": "2.5"}
        trade = {"e": "trade", "E": 5, "s": "BTCUSDT", "t": 77, "p": "99.00", "q": "0.5", "T": 4}
        await rig.fake.send("btcusdt@bookTicker", quote)
        await rig.fake.send("btcusdt@trade", {**trade, "m": True, "M": True})
        await until(lambda: any(isinstance(event, TradeTick) for event in rig.events))
        ticks = [event for event in rig.events if isinstance(event, QuoteTick | TradeTick)]
        at = [tick.recv_ns for tick in ticks]
        assert ticks == [
            QuoteTick(VENUE, "BTC/USDT", 9_999, 99.0, 1.5, 101.0, 2.5, 0, at[0]),
            TradeTick(VENUE, "BTC/USDT", "77", 99.0, 0.5, "sell", 4_000_000, at[1]),
        ]

    asyncio.run(with_rig(scenario))


def test_a_lost_frame_is_noticed_and_healed() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        await rig.fake.push("BTCUSDT", lose=True)
        rig.fake.snapshot_gate.clear()
        await rig.fake.push("BTCUSDT")
        await until(lambda: rig.state("BTC/USDT") == "SYNCING")
        assert rig.markets["BTC/USDT"].reason.startswith("expected update")
        assert rig.state("ETH/USDT") == "LIVE", "the other book is none the worse"
        for _ in range(5):
            await rig.fake.push("BTCUSDT")
        rig.fake.snapshot_gate.set()
        await until(lambda: rig.agrees("BTC/USDT"))
        market = rig.markets["BTC/USDT"]
        assert (market.gaps, market.resyncs) == (1, 1)

    asyncio.run(with_rig(scenario))


def test_a_snapshot_that_is_too_old_is_fetched_again() -> None:
    async def scenario(rig: Rig) -> None:
        await until(lambda: rig.fake.subscribed("ETHUSDT"))
        rig.fake.old_snapshot = rig.fake.snapshot("BTCUSDT")
        await rig.fake.push("BTCUSDT", lose=True)
        await rig.fake.push("BTCUSDT")
        await until(lambda: rig.agrees("BTC/USDT"))
        assert rig.fake.snapshots.count("BTCUSDT") == 2
        assert rig.markets["BTC/USDT"].gaps == 0

    asyncio.run(with_rig(scenario))


def test_a_disconnect_voids_the_books_and_is_repaired() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        await rig.fake.kick()
        await until(lambda: rig.state("BTC/USDT") == rig.state("ETH/USDT") == "SYNCING")
        for _ in range(3):
            await rig.fake.push("BTCUSDT")  # nobody hears these
        await rig.live()
        assert rig.aggregator.health()[0].connects == 2
        assert rig.markets["BTC/USDT"].resyncs == 1

    asyncio.run(with_rig(scenario))


def test_an_absent_venue_is_retried_at_a_bounded_rate() -> None:
    async def scenario(rig: Rig) -> None:
        rig.fake.refuse_connections = True
        await until(lambda: rig.aggregator.health()[0].failures >= 3)
        gaps = [
            b - a for a, b in zip(rig.fake.connected_at, rig.fake.connected_at[1:], strict=False)
        ]
        assert min(gaps) > 0.1, "no storm"
        assert rig.state("BTC/USDT") == "SYNCING"
        rig.fake.refuse_connections = False
        await rig.live()

    asyncio.run(with_rig(scenario))


def test_a_venue_that_asks_to_reconnect_is_obeyed() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        await rig.fake.raw('{"e":"serverShutdown","E":1770123456789}')
        await until(lambda: rig.aggregator.health()[0].connects == 2)
        await rig.live()

    asyncio.run(with_rig(scenario))


def test_a_silent_subscription_on_a_live_connection_is_subscribed_anew() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        rig.fake.muted.add("btcusdt@depth@100ms")

        async def only_the_other_speaks() -> bool:
            await rig.fake.push("ETHUSDT")
            await asyncio.sleep(0.02)
            return rig.state("BTC/USDT") == "SYNCING"

        await until(only_the_other_speaks)
        assert "on a live connection" in rig.markets["BTC/USDT"].reason
        assert rig.state("ETH/USDT") == "LIVE"
        rig.fake.muted.clear()
        await until(lambda: len(rig.fake.requests) >= 3)
        await until(lambda: rig.fake.subscribed("BTCUSDT"))
        await rig.agree()
        methods = [request["method"] for request in rig.fake.requests]
        assert methods[:3] == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
        assert rig.aggregator.health()[0].connects == 1

    asyncio.run(with_rig(scenario, quiet_s=1.0))


def test_a_refused_symbol_is_broken_in_the_venues_words_and_the_others_live() -> None:
    async def scenario(rig: Rig) -> None:
        rig.fake.unknown_symbols.add("ETHUSDT")
        await until(lambda: rig.fake.subscribed("BTCUSDT"))
        await rig.fake.push("ETHUSDT")
        await rig.fake.push("BTCUSDT")
        await until(lambda: rig.state("ETH/USDT") == "BROKEN" and rig.agrees("BTC/USDT"))
        assert "Invalid symbol." in rig.markets["ETH/USDT"].reason

    asyncio.run(with_rig(scenario))


def test_a_refused_subscription_is_broken() -> None:
    async def scenario(rig: Rig) -> None:
        await until(lambda: rig.state("BTC/USDT") == "BROKEN")
        assert "unknown stream" in rig.markets["BTC/USDT"].reason

    async def main() -> None:
        fake = FakeBinance()
        fake.refuse_streams.add("btcusdt@depth@100ms")
        await fake.start()
        rig = Rig(fake)
        await rig.aggregator.start()
        try:
            await scenario(rig)
        finally:
            await rig.aggregator.close()
            await fake.stop()

    asyncio.run(main())


@pytest.mark.parametrize("garbage", ["not json", '{"stream":5}'])
def test_a_frame_that_names_no_book_costs_a_reconnect_and_all_trust(garbage: str) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        await rig.fake.raw(garbage)
        await until(lambda: rig.state("BTC/USDT") == rig.state("ETH/USDT") == "SYNCING")
        assert "unreadable frame" in rig.markets["BTC/USDT"].reason
        await until(lambda: rig.aggregator.health()[0].connects == 2)
        await rig.live()
        assert rig.aggregator.health()[0].violations == 1
        assert not rig.faults

    asyncio.run(with_rig(scenario))


BAD_DEPTH = (
    '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":1,'
    '"E":1,"b":[["nan","1"]],"a":[]}}'
)
BAD_QUOTE = (
    '{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"5","B":"1","a":"4","A":"1"}}'
)


def test_an_unreadable_quote_is_dropped_and_counted_and_harms_no_book() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        for _ in range(20):
            await rig.fake.raw(BAD_QUOTE)
        await rig.agree()
        (health,) = rig.aggregator.health()
        assert (health.connects, health.violations, health.resubscribed) == (1, 20, 0)
        assert rig.state("BTC/USDT") == rig.state("ETH/USDT") == "LIVE"
        assert rig.markets["BTC/USDT"].resyncs == 0

    asyncio.run(with_rig(scenario))


@pytest.mark.parametrize("garbage", [BAD_DEPTH, BAD_DEPTH[:60]])
def test_a_damaged_frame_costs_the_book_that_it_names(garbage: str) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        rig.fake.snapshot_gate.clear()
        await rig.fake.raw(garbage)
        await until(lambda: rig.state("BTC/USDT") == "SYNCING")
        assert "unreadable frame" in rig.markets["BTC/USDT"].reason
        assert rig.state("ETH/USDT") == "LIVE"
        rig.fake.snapshot_gate.set()
        await rig.agree()
        (health,) = rig.aggregator.health()
        assert (health.connects, health.violations) == (1, 1)
        assert not rig.faults

    asyncio.run(with_rig(scenario))


def test_snapshots_are_retried_when_the_venue_says_slow_down() -> None:
    async def scenario(rig: Rig) -> None:
        rig.fake.snapshot_status = [429, 500]
        await rig.live()
        assert len(rig.fake.snapshots) >= 4

    asyncio.run(with_rig(scenario))


def test_a_sink_that_raises_is_told_of_and_the_feed_lives_on() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        rig.bomb = RuntimeError("our own mistake")
        await rig.fake.push("BTCUSDT")
        await until(lambda: bool(rig.faults))
        assert str(rig.faults[0]) == "our own mistake"
        # The update was lost on the way, so the next one shows a gap, and the book heals.
        await rig.agree()
        assert rig.aggregator.health()[0].connects == 1

    asyncio.run(with_rig(scenario))


def test_messages_are_paced_and_symbols_are_split_over_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, ...]] = []
    plain = Connection.__init__

    def watched(self: Connection, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        plain(self, *args, **kwargs)
        made.append(self.symbols)

    monkeypatch.setattr(Connection, "__init__", watched)

    async def main() -> None:
        symbols = {f"C{number}/USDT": f"C{number}USDT" for number in range(700)}
        config = FeedConfig(venue=VENUE, symbols=symbols, websocket_url="ws://127.0.0.1:9/stream")
        aggregator = Aggregator([config], lambda _event, _at: None, time.time_ns)
        await aggregator.start()
        await aggregator.close()

    asyncio.run(main())
    assert [len(symbols) for symbols in made] == [300, 300, 100]
    assert len({symbol for symbols in made for symbol in symbols}) == 700


def test_raw_traffic_can_be_tapped() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.live()
        kinds = {kind for kind, _ in rig.raw}
        assert kinds == {"open", "sent", "frame", "rest"}
        sent = json.loads(next(text for kind, text in rig.raw if kind == "sent"))
        assert sent == rig.fake.requests[0]

    asyncio.run(with_rig(scenario))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean binance-spot"):
        Aggregator(
            [FeedConfig(venue="binance-sport", symbols=PAIRS)],
            lambda _event, _at: None,
            time.time_ns,
        )

    async def scenario(rig: Rig) -> None:
        with pytest.raises(BadInput, match="BTC/USDT"):
            rig.aggregator.request_snapshot(VENUE, "BTC/USD", "gap")
        with pytest.raises(BadInput, match="no feed of"):
            rig.aggregator.request_snapshot("okx", "BTC/USDT", "gap")

    asyncio.run(with_rig(scenario))
