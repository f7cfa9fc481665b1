"""What goes by the clock: candles and tickers, in virtual time."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_book import Depth, Print
from citadel_micro.sim.flow_feed import DepthBatch, SyntheticFeed
from citadel_micro.sim.flow_replay import Recorded, Recording, ReplayFeed
from citadel_micro.sim.flow_symbols import E8, SymbolSpec, choose_symbols
from citadel_micro.simulator.streams import Streams

if TYPE_CHECKING:
    from citadel_micro.simulator.client import Client

SECOND = 1_000_000_000
START = 1_763_800_020 * SECOND


class Listener:
    """Stands where a connection stands, and keeps what it is sent."""

    def __init__(self, *, combined: bool = False) -> None:
        self.combined = combined
        self.streams: dict[str, None] = {}
        self.heard: list[Any] = []

    def push(self, message: bytes) -> None:
        self.heard.append(json.loads(message))


class Bench:
    """A feed and its streams, moved by hand."""

    def __init__(self, *names: str, drop_depth: float = 0.0) -> None:
        chosen = choose_symbols(("ETH/USDT", "ADA/USDT"))
        self.feed = SyntheticFeed(SyntheticMarket(chosen, 1, START), chosen, 2 * 1440)
        self.streams = Streams(self.feed, drop_depth=drop_depth, seed=1)
        self.listener = Listener()
        for name in names:
            self.streams.subscribe(self.client, name)

    @property
    def client(self) -> Client:
        return cast("Client", self.listener)

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 50):
            now = self.feed.now_ns + SECOND // 50
            self.streams.publish(self.feed.advance(now))
            self.streams.tick(now)


def test_a_candle_is_sent_every_two_seconds_and_once_more_when_it_closes() -> None:
    bench = Bench("ethusdt@kline_1m")
    bench.run(185)
    events = bench.listener.heard
    closed = [event["k"] for event in events if event["k"]["x"]]
    assert [k["t"] for k in closed] == [START // 10**6 + i * 60_000 for i in range(3)]
    store, spec = bench.feed.candles["ETH/USDT"], bench.feed.specs["ETH/USDT"]
    for k in closed:
        candle = store.minute(k["t"] // 60_000)
        assert [k["o"], k["h"], k["l"], k["c"]] == [
            spec.price_text(x) for x in (candle.open, candle.high, candle.low, candle.close)
        ]
        assert (k["v"], k["n"]) == (spec.size_text(candle.lots), candle.trades)
        assert (k["f"], k["L"]) == (candle.first_id, candle.last_id)
        assert k["T"] == k["t"] + 59_999
    running = [event for event in events if not event["k"]["x"]]
    assert 60 < len(running) <= 93  # unchanged candles are not repeated
    assert all(b["E"] - a["E"] >= 1990 for a, b in pairwise(running))


def test_longer_candles_close_on_their_own_boundary() -> None:
    bench = Bench("ethusdt@kline_3m", "adausdt@kline_1h")
    bench.run(200)
    closed = [event["k"] for event in bench.listener.heard if event["k"]["x"]]
    assert [k["i"] for k in closed] == ["3m"]
    assert (closed[0]["t"] // 60_000) % 3 == 0


def test_every_second_has_one_closed_candle_and_they_add_up_to_the_minute() -> None:
    bench = Bench("ethusdt@kline_1s", "ethusdt@kline_1m")
    bench.run(121)
    seconds = [e["k"] for e in bench.listener.heard if e["k"]["i"] == "1s"]
    minute = next(e["k"] for e in bench.listener.heard if e["k"]["i"] == "1m" and e["k"]["x"])
    assert all(k["x"] for k in seconds)
    assert [k["t"] for k in seconds] == [START // 10**6 + i * 1000 for i in range(len(seconds))]
    inside = [k for k in seconds if minute["t"] <= k["t"] <= minute["T"]]
    assert len(inside) == 60
    assert sum(k["n"] for k in inside) == minute["n"]
    assert max(float(k["h"]) for k in inside if k["n"]) == float(minute["h"])
    assert inside[-1]["c"] == minute["c"]


def test_a_clock_that_jumps_closes_every_candle_it_passed() -> None:
    bench = Bench("ethusdt@kline_1s")
    now = START + 5 * SECOND
    bench.streams.publish(bench.feed.advance(now))
    bench.streams.tick(now)
    assert [e["k"]["t"] for e in bench.listener.heard] == [
        START // 10**6 + i * 1000 for i in range(5)
    ]


def test_trades_of_one_order_at_one_price_are_one_aggregate() -> None:
    """Two resting orders of clients at one price, and the flow behind them: one taker hits all."""
    chosen = choose_symbols(("ETH/USDT",))
    feed = SyntheticFeed(SyntheticMarket(chosen, 1, START), chosen, 1440)
    feed.pause("ETH/USDT", paused=True)
    exchange = Exchange(feed)
    for name in ("ann", "bob", "cid"):
        exchange.open_account(name, {"USDT": 10**9 * E8, "ETH": 10**5 * E8})
    streams = Streams(feed, drop_depth=0.0, seed=1)
    single, joined = Listener(), Listener()
    streams.subscribe(cast("Client", single), "ethusdt@trade")
    streams.subscribe(cast("Client", joined), "ethusdt@aggTrade")
    spec, ask = feed.specs["ETH/USDT"], feed.book("ETH/USDT").asks[0]
    price = (ask - 1) * spec.tick_e8
    for name in ("ann", "bob"):
        exchange.place(
            name,
            OrderRequest(
                symbol="ETH/USDT", side="SELL", type="LIMIT", quantity_e8=E8, price_e8=price
            ),
        )
    exchange.place(
        "cid",
        OrderRequest(symbol="ETH/USDT", side="BUY", type="MARKET", quantity_e8=2 * E8 + E8 // 100),
    )
    streams.publish(exchange.take_public())
    prints, sums = single.heard, joined.heard
    assert [p["q"] for p in prints] == ["1.00000000", "1.00000000", "0.01000000"]
    assert [a["q"] for a in sums] == ["2.00000000", "0.01000000"]
    assert [(a["f"], a["l"]) for a in sums] == [
        (prints[0]["t"], prints[1]["t"]),
        (prints[2]["t"], prints[2]["t"]),
    ]
    assert sums[1]["a"] == sums[0]["a"] + 1


def test_recorded_trades_at_one_time_and_price_are_one_aggregate() -> None:
    spec = SymbolSpec(base="A", quote="USDT", tick_e8=E8 // 100, lot_e8=E8, min_notional_e8=0)
    opening = Depth(100, ((1000, 50),), ((1003, 50),))
    trades = [
        Print(SECOND, "A/USDT", 7, 1003, 2, buyer_is_maker=False),
        Print(SECOND, "A/USDT", 8, 1003, 3, buyer_is_maker=False),
        Print(SECOND, "A/USDT", 9, 1004, 4, buyer_is_maker=False),
        Print(2 * SECOND, "A/USDT", 10, 1004, 5, buyer_is_maker=False),
    ]
    events = tuple(Recorded(place * SECOND // 2, each) for place, each in enumerate(trades, 2))
    recording = Recording({"A/USDT": spec}, {"A/USDT": opening}, events, 10 * SECOND)
    feed = ReplayFeed(recording, START, loop=False, seed=1, history_minutes=1440)
    streams = Streams(feed, drop_depth=0.0, seed=1)
    listener = Listener()
    streams.subscribe(cast("Client", listener), "ausdt@aggTrade")
    for step in range(20):
        streams.publish(feed.advance(START + step * SECOND // 4))
    assert [(a["f"], a["l"], a["q"]) for a in listener.heard] == [
        (7, 8, "5.00000000"),
        (9, 9, "4.00000000"),
        (10, 10, "5.00000000"),
    ]


def test_tickers_are_sent_every_second() -> None:
    bench = Bench("ethusdt@ticker", "!miniTicker@arr")
    bench.run(5)
    single = [event for event in bench.listener.heard if isinstance(event, dict)]
    arrays = [event for event in bench.listener.heard if isinstance(event, list)]
    assert len(single) == len(arrays) == 5
    assert single[-1]["C"] - single[-1]["O"] <= 86_400_000
    assert [row["s"] for row in arrays[0]] == ["ETHUSDT", "ADAUSDT"]


def test_a_side_that_a_client_emptied_is_reported_as_zero() -> None:
    """A recorded book is not refilled before the recording tells its levels again."""
    spec = SymbolSpec(base="A", quote="USDT", tick_e8=E8 // 100, lot_e8=E8, min_notional_e8=0)
    opening = Depth(100, ((1000, 50),), ((1003, 50),))
    event = DepthBatch(5000, "A/USDT", 101, 101, ((999, 1),), ())
    recording = Recording(
        {"A/USDT": spec}, {"A/USDT": opening}, (Recorded(5 * SECOND, event),), 10 * SECOND
    )
    feed = ReplayFeed(recording, START, loop=False, seed=1, history_minutes=2 * 1440)
    exchange = Exchange(feed)
    exchange.open_account("ann", {"USDT": 10**6 * E8})
    streams = Streams(feed, drop_depth=0.0, seed=1)
    listener = Listener()
    streams.subscribe(cast("Client", listener), "ausdt@ticker")
    exchange.place(
        "ann", OrderRequest(symbol="A/USDT", side="BUY", type="MARKET", quantity_e8=60 * E8)
    )
    streams.publish(exchange.advance(START + 2 * SECOND))
    streams.tick(START + 2 * SECOND)
    told = listener.heard[-1]
    assert (told["a"], told["A"], told["b"]) == ("0.00000000", "0.00000000", "10.00000000")


def test_slow_depth_messages_hold_what_the_quick_ones_held() -> None:
    bench = Bench("ethusdt@depth@100ms")
    slow = Listener(combined=True)
    bench.streams.subscribe(cast("Client", slow), "ethusdt@depth")
    bench.run(4)
    quick_levels: dict[str, str] = {}
    for event in bench.listener.heard:
        quick_levels.update(event["b"])
        if event["u"] == slow.heard[-1]["data"]["u"]:
            break
    slow_levels: dict[str, str] = {}
    for frame in slow.heard:
        assert frame["stream"] == "ethusdt@depth"
        slow_levels.update(frame["data"]["b"])
    assert slow_levels == quick_levels
    assert slow.heard[0]["data"]["U"] == bench.listener.heard[0]["U"]


def test_nobody_is_sent_anything_after_leaving() -> None:
    bench = Bench("ethusdt@trade", "ethusdt@kline_1m", "nothing@such")
    bench.run(3)
    assert bench.listener.heard
    bench.streams.drop(bench.client)
    bench.listener.heard.clear()
    bench.run(3)
    assert bench.listener.heard == []
    assert bench.listener.streams == {}


def test_the_share_of_lost_depth_messages_is_what_was_asked_for() -> None:
    bench = Bench("ethusdt@depth@100ms", drop_depth=0.3)
    bench.run(100)
    sent = len(bench.listener.heard)
    assert 0.6 < sent / 1000 < 0.75
    again = Bench("ethusdt@depth@100ms", drop_depth=0.3)
    again.run(100)
    assert again.listener.heard == bench.listener.heard
