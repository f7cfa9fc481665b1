"""The Aggregator and what a venue refuses, damages or slows down."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from fake_binance import PAIRS, VENUE, FakeBinance, Rig, with_rig
from waiting import until

from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.connection import Connection
from citadel_proto.errors import BadInput


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


def test_an_unreadable_quote_is_dropped_and_counted_and_affects_no_book() -> None:
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


def test_a_sink_that_raises_is_reported_and_the_feed_lives_on() -> None:
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
