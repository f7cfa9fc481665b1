"""What goes by the clock: candles and tickers, in virtual time."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_feed import SyntheticFeed
from citadel_micro.sim.flow_symbols import choose_symbols
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


def test_tickers_are_sent_every_second() -> None:
    bench = Bench("ethusdt@ticker", "!miniTicker@arr")
    bench.run(5)
    single = [event for event in bench.listener.heard if isinstance(event, dict)]
    arrays = [event for event in bench.listener.heard if isinstance(event, list)]
    assert len(single) == len(arrays) == 5
    assert single[-1]["C"] - single[-1]["O"] <= 86_400_000
    assert [row["s"] for row in arrays[0]] == ["ETHUSDT", "ADAUSDT"]


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
