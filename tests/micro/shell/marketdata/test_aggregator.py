"""The Aggregator against a real websocket and HTTP server on loopback that speaks Binance spot."""

from __future__ import annotations

import asyncio

from fake_binance import VENUE, Rig, with_rig
from waiting import until

from citadel_micro.core.model.events import QuoteTick, TradeTick


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


def test_a_venue_that_asks_to_reconnect_is_followed() -> None:
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
