"""History and repeated trades, as venues send them: nobody is told of them as news."""

from __future__ import annotations

import gzip
import json
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until
from ws_kit import ScriptedVenue, follow

from citadel_micro.adapters.ccxt.conversions import trade_ticks
from citadel_micro.core.model.events import TradeTick
from citadel_micro.shell.capture.books import rebuild
from citadel_micro.shell.marketdata.decode import Symbols
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from citadel_micro.shell.marketdata.aggregator import Aggregator


def iso(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns / 1e9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def trades_of(events: list[Any]) -> list[TradeTick]:
    return [event for event in events if isinstance(event, TradeTick)]


def more(heard: list[Any], than: int) -> bool:
    return len(heard) > than


def coinbase_trade(number: int, at_ns: int) -> dict[str, Any]:
    return {
        "trade_id": str(number),
        "product_id": "BTC-USD",
        "price": "100",
        "size": "1",
        "side": "BUY",
        "time": iso(at_ns),
    }


class Coinbase:
    """Counts its messages; tells its last 100 trades, newest first, to whoever subscribes."""

    def __init__(self) -> None:
        self.trades: list[dict[str, Any]] = []
        self.count = 0

    def message(self, kind: str, trades: list[dict[str, Any]]) -> str:
        self.count += 1
        return json.dumps(
            {
                "channel": "market_trades",
                "timestamp": iso(time.time_ns()),
                "sequence_num": self.count,
                "events": [{"type": kind, "trades": trades}],
            }
        )

    async def heard(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said.get("channel") == "market_trades":
            self.count = 0
            await socket.send_str(self.message("snapshot", self.trades[:-101:-1]))


def test_coinbase_sends_its_history_at_every_connection_and_it_is_no_news() -> None:
    coinbase = Coinbase()
    now_ns = time.time_ns()
    coinbase.trades = [coinbase_trade(n, now_ns - (200 - n) * 10**9) for n in range(100)]

    told: list[dict[str, Any]] = []

    async def story(server: ScriptedVenue, events: list[Any], _feeds: Aggregator) -> None:
        for round_ in range(2):
            await until(lambda: server.connected > len(told) // 3 and coinbase.count == 1)
            for number in range(3):
                one = coinbase_trade(100 + 3 * round_ + number, time.time_ns())
                coinbase.trades.append(one)
                told.append(one)
                message = coinbase.message("update", [one])
                await server.say(message)
            await until(lambda: len(trades_of(events)) >= len(told))
            await server.kick()

    events = follow("coinbase-advanced", {"BTC/USD": ""}, coinbase.heard, story, channels=["trade"])
    assert [trade.trade_id for trade in trades_of(events)] == [str(n) for n in range(100, 106)]


def test_an_unmarked_history_is_known_by_its_time() -> None:
    """Kraken v1 does not say that its first message tells of the past."""
    now_ns = time.time_ns()

    def row(at_ns: int) -> list[str]:
        return ["100.0", "1.0", f"{at_ns // 10**9}.{at_ns % 10**9:09d}"[:-3], "b", "m", ""]

    async def script(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said.get("event") == "subscribe":
            past = [row(now_ns - age * 10**9) for age in range(1, 51)]
            await socket.send_str(json.dumps([1, past, "trade", "XBT/USD"]))

    async def story(server: ScriptedVenue, events: list[Any], _feeds: Aggregator) -> None:
        for _ in range(2):
            seen = len(trades_of(events))
            await until(partial(more, server.heard, seen))
            message = json.dumps([1, [row(time.time_ns())], "trade", "XBT/USD"])
            await server.say(message)
            await server.say(message)
            await until(lambda: len(trades_of(events)) >= server.connected)
            await server.kick()

    events = follow("kraken-v1", {"BTC/USD": ""}, script, story, channels=["trade"])
    assert len(trades_of(events)) == 2


MARKED: dict[str, str] = {
    "coinbase-advanced": (
        '{"channel":"market_trades","timestamp":"2026-09-01T00:00:00Z","sequence_num":1,'
        '"events":[{"type":"snapshot","trades":['
        '{"trade_id":"12","product_id":"BTC-USD","price":"2","size":"1","side":"BUY",'
        '"time":"2026-09-01T00:00:02Z"},'
        '{"trade_id":"11","product_id":"BTC-USD","price":"2","size":"1","side":"BUY",'
        '"time":"2026-09-01T00:00:01Z"}]}]}'
    ),
    "kraken-spot": (
        '{"channel":"trade","type":"snapshot","data":['
        '{"symbol":"BTC/USD","side":"buy","price":2.0,"qty":1.0,"trade_id":12,'
        '"timestamp":"2026-09-01T00:00:02Z"},'
        '{"symbol":"BTC/USD","side":"buy","price":2.0,"qty":1.0,"trade_id":11,'
        '"timestamp":"2026-09-01T00:00:02Z"}]}'
    ),
    "bitget-spot": (
        '{"action":"snapshot","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},'
        '"data":[{"ts":"2000","price":"2","size":"1","side":"buy","tradeId":"12"},'
        '{"ts":"1000","price":"2","size":"1","side":"buy","tradeId":"11"}]}'
    ),
}


@pytest.mark.parametrize("venue", MARKED)
def test_a_snapshot_of_trades_is_marked_and_oldest_first(venue: str) -> None:
    spec = venue_spec(venue)
    decoder = spec.decoder(Symbols(spec.unify))
    events = decoder.frame(MARKED[venue].encode(), 1)
    assert [event.trade_id for event in events if isinstance(event, TradeTick)] == ["11", "12"]
    assert all(isinstance(event, TradeTick) and event.history for event in events)
    update = MARKED[venue].replace("snapshot", "update").replace('num":1,', 'num":2,')
    for event in decoder.frame(update.encode(), 1):
        assert isinstance(event, TradeTick)
        assert not event.history


def test_trades_through_ccxt_are_oldest_first() -> None:
    rows = [
        {"id": str(n), "side": "buy", "price": 1.0, "amount": 1.0, "timestamp": n}
        for n in range(5, 0, -1)
    ]
    assert [tick.trade_id for tick in trade_ticks("v", "S", rows, 9)] == list("12345")


def test_a_capture_has_each_trade_once(tmp_path: Path) -> None:
    """Offline as live: a doubled message and a history are left out."""
    text = MARKED["kraken-spot"]
    rows = [text, *[text.replace("snapshot", "update").replace("1,", "31,")] * 2]
    path = tmp_path / "doubled.jsonl.gz"
    with gzip.open(path, "wt") as file:
        for number, row in enumerate(rows):
            record = {"recv_ns": 10**18 + number, "kind": "frame", "conn": 0, "text": row}
            file.write(json.dumps(record) + "\n")
    rebuilt, _ = rebuild(path, "kraken-spot")
    assert rebuilt.trades == 2
