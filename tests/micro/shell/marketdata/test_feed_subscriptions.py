"""The Aggregator and subscriptions that fail: silent, mute, refused, quiet."""

from __future__ import annotations

import asyncio
import time

import pytest
from hard_feeds import Observer, run_hard, until
from hard_venue import BinanceSpot, Blackhole, BybitLinear, HardVenue
from hardship_kit import A_LINEAR, B_LINEAR, A, B, limits

from citadel_micro.core.marketdata import cross_check as crosscheck_module
from citadel_micro.shell.marketdata import quiet_symbols as quiet_module
from citadel_micro.shell.marketdata import snapshots as snapshots_module

PATIENCE_NS = 3_000_000_000
"""Oldest age of a live book here: twice the usual, for a machine that seldom lets us run."""


def test_a_symbol_without_messages_is_never_live_where_the_stream_brings_its_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(seen: Observer) -> None:
        await seen.agree([B_LINEAR])
        states: set[str] = set()
        asked: list[float] = []

        async def asked_again() -> bool:
            await seen.venue.push("C1USDT")
            await asyncio.sleep(0.02)
            states.add(seen.state(A_LINEAR))
            times = len([r for r in seen.venue.requests if r["op"] == "unsubscribe"])
            asked.extend([time.monotonic()] * (times - len(asked)))
            return times >= 2

        await until(asked_again)
        assert states == {"SYNCING"}
        assert "on a live connection" in seen.markets[A_LINEAR].reason
        assert seen.state(B_LINEAR) == "LIVE"
        assert seen.markets[B_LINEAR].gaps == 0
        assert asked[1] - asked[0] > 1.2, "twice the patience"
        assert len(seen.venue.connected_at) == 1
        seen.venue.muted.clear()
        await seen.agree()

    run_hard(
        monkeypatch,
        scenario,
        dialect=BybitLinear(),
        prepare=lambda venue: venue.muted.add("C0USDT"),
        quiet_s=0.8,
    )


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_a_quiet_venue_is_live_by_its_pongs_and_stale_without(
    monkeypatch: pytest.MonkeyPatch, *, deflate: bool
) -> None:
    """Nothing changes on either book; then the line is cut without a word."""
    holes: list[Blackhole] = []

    async def through(venue: HardVenue) -> int:
        holes.append(Blackhole(venue.port))
        await holes[0].start()
        return holes[0].port

    async def scenario(seen: Observer) -> None:
        def states() -> set[str]:
            seen.look_at_ages(PATIENCE_NS)
            return {seen.state(A), seen.state(B)}

        await seen.agree()
        events, end = seen.events, time.monotonic() + 4.0
        while time.monotonic() < end:
            await asyncio.sleep(0.1)
            assert states() == {"LIVE"}
        assert seen.events - events <= 10  # one for both books, about once a second
        holes[0].swallow()
        await until(lambda: states() == {"STALE"})
        assert seen.markets[A].reason.startswith("nothing heard of its stream for")
        await holes[0].stop()

    run_hard(monkeypatch, scenario, through=through, spec={"deflate": deflate}, quiet_s=30.0)


def test_one_busy_symbol_keeps_its_quiet_neighbours_live(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(seen: Observer) -> None:
        await seen.agree()
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
            await seen.venue.push("C1USDT")
            await asyncio.sleep(0.05)
            seen.look_at_ages(PATIENCE_NS)
            assert seen.state(A) == "LIVE"
        assert time.time_ns() - seen.markets[A].last_recv_ns > PATIENCE_NS

    run_hard(monkeypatch, scenario, quiet_s=30.0)


def test_a_mute_subscription_beside_a_live_one_is_found_by_a_poll_and_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Depth alone, so nothing but the venue's own book can tell; then it stays mute, and is BROKEN."""
    monkeypatch.setattr(quiet_module, "POLL_NS", 300_000_000)
    monkeypatch.setattr(crosscheck_module, "MUTE_NS", 300_000_000)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        seen.venue.muted.add("C0USDT")
        reasons: list[str] = []

        async def state(wanted: str) -> bool:
            await seen.venue.push("C1USDT")
            await seen.venue.push("C0USDT")
            seen.look_at_ages(PATIENCE_NS)
            reasons.append(seen.markets[A].reason)
            await asyncio.sleep(0.02)
            assert seen.state(B) == "LIVE"
            return seen.state(A) == wanted

        await until(lambda: state("SYNCING"))
        assert reasons[-1].startswith("depth mute for ")
        await until(lambda: state("BROKEN"))
        assert "has not helped" in seen.markets[A].reason
        again = [r for r in seen.venue.requests if r["method"] == "UNSUBSCRIBE"]
        assert len(again) == 2
        seen.venue.muted.clear()
        await seen.agree()

    run_hard(monkeypatch, scenario, quiet_s=60.0)


def test_damage_of_each_frame_spends_no_more_than_the_venues_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty unreadable books a second, and as many unreadable quotes beside them."""
    garbled = '{"topic":"orderbook.50.C0USDT","type":"delta","data":{"s":"C0USDT","u":"x"}}'
    beside = '{"topic":"orderbook.1.C1USDT","type":"delta","data":{"s":"C1USDT","u":"x"}}'

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        for _ in range(60):
            await seen.venue.raw(garbled, "C0USDT")
            await seen.venue.raw(beside, "C1USDT")
            await seen.venue.push("C1USDT")
            await asyncio.sleep(0.05)
            assert seen.state(B_LINEAR) == "LIVE"
        assert len([r for r in seen.venue.requests if r["op"] != "ping"]) <= 10
        assert seen.markets[B_LINEAR].gaps == 0
        assert len(seen.venue.connected_at) == 1

    run_hard(
        monkeypatch,
        scenario,
        dialect=BybitLinear(),
        spec={"limits": limits(requests_per_h=10)},
        quiet_s=30.0,
    )


def test_a_quiet_symbol_is_polled_ever_more_seldom_and_stays_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiet_module, "POLL_NS", 200_000_000)
    monkeypatch.setattr(snapshots_module, "LOOK_PAUSE_S", 0.01)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
            await asyncio.sleep(0.05)
            seen.look_at_ages(PATIENCE_NS)
            assert {seen.state(A), seen.state(B)} == {"LIVE"}
        # At 0.2, 0.6 and 1.8 s of each, about; and nothing is subscribed anew meanwhile.
        asked = len(seen.venue.asked) - 2
        assert 2 <= asked <= 9
        assert not [r for r in seen.venue.requests if r["method"] == "UNSUBSCRIBE"]

    run_hard(monkeypatch, scenario, quiet_s=3.5)


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (BinanceSpot(), "Invalid request: unknown stream"),
        (BybitLinear(), "error:handler not found,topic:orderbook.50.C3USDT"),
        (BybitLinear(), "Invalid symbol :[orderbook.50.C3USDT]"),
        (BybitLinear(), "too many topics"),
    ],
)
def test_one_refused_symbol_of_a_request_is_broken_and_the_others_live(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear, words: str
) -> None:
    """The venue refuses the whole request; whether it says because of which symbol or not."""
    refused = "C3/USDT" + (":USDT" if isinstance(dialect, BybitLinear) else "")

    async def scenario(seen: Observer) -> None:
        await until(lambda: seen.state(refused) == "BROKEN")
        assert words in seen.markets[refused].reason
        others = [symbol for symbol in seen.markets if symbol != refused]
        await seen.agree(others)
        assert seen.state(refused) == "BROKEN"
        assert len(seen.venue.connected_at) == 1

    def prepare(venue: HardVenue) -> None:
        venue.refused["C3USDT"] = words

    run_hard(monkeypatch, scenario, dialect=dialect, symbols=9, prepare=prepare)
