"""A venue that is one file and nothing else: found, followed live, recorded, and rebuilt."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from citadel_micro import adapters
from citadel_micro.shell.capture.books import rebuild
from citadel_micro.shell.capture.recording import Recording
from citadel_micro.shell.marketdata import spec as specs
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.spec import venue_ids, venue_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOY = '''
"""Toy exchange."""
import json

import msgspec

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.decode import DECODE_ERRORS, Level, Symbols, violation
from citadel_micro.shell.marketdata.spec import VenueSpec


class Book(msgspec.Struct):
    pair: str
    seq: int
    prev: int
    bids: list[Level]
    asks: list[Level]


class Toy:
    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols

    def frame(self, data, recv_ns):
        try:
            b = msgspec.json.decode(data, type=Book, strict=False)
        except DECODE_ERRORS as error:
            raise violation("toy", data, error) from None
        seqs = (b.prev < 0, b.seq, b.seq, b.prev)
        return [DepthUpdate("toy", self.symbols[b.pair], *seqs, None, b.bids, b.asks, 0, recv_ns)]

    def rest(self, symbol, data, recv_ns):
        raise violation("toy", data, "nothing comes over HTTP")


SPECS = {
    "toy": VenueSpec(
        venue="toy",
        integrity="chain",
        websocket_url="wss://toy.example/ws",
        decoder=Toy,
        subscribe=lambda natives, channels, number: [json.dumps({"sub": natives})],
        unsubscribe=lambda natives, channels, number: [json.dumps({"unsub": natives})],
        unify=lambda native: native.replace("-", "/"),
        native=lambda symbol: symbol.replace("/", "-"),
    )
}
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file, where venues are found."""
    folder = tmp_path / "adapters"
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "__init__.py").write_text("")
    (folder / "toy" / "market_data.py").write_text(TOY)
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(folder)])
    specs._specs.cache_clear()
    yield
    for name in ("toy", "toy.market_data"):
        sys.modules.pop(f"{adapters.__name__}.{name}", None)
    monkeypatch.undo()
    specs._specs.cache_clear()


class ToyServer:
    """Sends a snapshot to whoever subscribes, then changes; leaves one out when told to."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, list[str]]] = []
        self.seq = 10
        self.lose = {25}
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"ws://{host}:{port}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        talking = asyncio.create_task(self._talk(socket))
        async for message in socket:
            wish = json.loads(message.data)
            self.requests.append(wish)
            if "sub" in wish:
                await self._send(socket, -1, [["99", "1"], ["98", "2"]], [["101", "3"]])
        talking.cancel()
        return socket

    async def _talk(self, socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.2)
        while not socket.closed:
            before = self.seq
            self.seq += 1
            if self.seq not in self.lose:
                await self._send(socket, before, [["98", str(self.seq)]], [])
            await asyncio.sleep(0.02)

    async def _send(
        self, socket: web.WebSocketResponse, prev: int, bids: list[list[str]], asks: list[list[str]]
    ) -> None:
        row = {"pair": "BTC-EUR", "seq": self.seq, "prev": prev, "bids": bids, "asks": asks}
        await socket.send_str(json.dumps(row))


@pytest.mark.usefixtures("toy")
def test_a_spec_file_alone_makes_a_venue(tmp_path: Path) -> None:
    assert "toy" in venue_ids()
    assert venue_spec("toy").native("BTC/EUR") == "BTC-EUR"
    out = tmp_path / "toy.jsonl.gz"

    async def main() -> Recording:
        server = ToyServer()
        await server.start()
        feed = FeedConfig(venue="toy", symbols={"BTC/EUR": ""}, websocket_url=server.url)
        recording = Recording(feed, out)
        running = asyncio.create_task(recording.run(90.0))
        end = time.monotonic() + 60
        while recording.markets["BTC/EUR"].deltas < 40:
            assert time.monotonic() < end, "waited in vain"
            await asyncio.sleep(0.02)
        recording.stop()
        await running
        await server.stop()
        assert server.requests[0] == {"sub": ["BTC-EUR"]}
        return recording

    live = asyncio.run(main()).markets["BTC/EUR"]
    assert (live.state, live.gaps, live.resyncs) == ("LIVE", 1, 1), "the lost change was seen"
    rebuilt, cut = rebuild(out, "toy")
    assert cut is None
    again = rebuilt.books["BTC-EUR"]
    assert (again.state, again.gaps, again.resyncs) == ("LIVE", 1, 1)
    assert again.last_seq == live.last_seq
    assert again.book.sizes("buy") == live.book.sizes("buy")


def test_the_toy_is_gone_again() -> None:
    assert "toy" not in venue_ids()
