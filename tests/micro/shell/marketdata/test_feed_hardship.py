"""The Aggregator against venues that fail in every way they are known to, on loopback.

In all of these a book that says LIVE is compared with the venue's own at that sequence, after every
event; ``run_hard`` fails on the first difference, and on a task that is left.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hard_venue import (
    QUICK,
    BinanceSpot,
    Blackhole,
    BybitLinear,
    Elsewhere,
    HardVenue,
    Observer,
    pairs,
    run_hard,
    unhurried,
    until,
)

from citadel_micro.core.marketdata import cross_check as crosscheck_module
from citadel_micro.shell.marketdata import aggregator as aggregator_module
from citadel_micro.shell.marketdata import quiet_symbols as quiet_module
from citadel_micro.shell.marketdata import snapshots as snapshots_module
from citadel_micro.shell.marketdata import websocket as link_module
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, venue_spec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

A, B = pairs(2)
A_LINEAR, B_LINEAR = pairs(2, ":USDT")


def limits(**changes: Any) -> Limits:  # noqa: ANN401 - fields of Limits
    return replace(QUICK, **changes)


# --- our side ------------------------------------------------------------------------------------


def test_a_consumer_that_keeps_failing_at_one_symbol_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unhurried(monkeypatch)  # writing down how it failed takes its time

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        deltas = seen.markets[B].deltas
        seen.bombs[A] = 200
        for _ in range(200):
            await seen.venue.push_all()
        await until(lambda: seen.bombs[A] == 0)
        assert len(seen.faults) == 200
        assert {str(fault) for fault in seen.faults} == {f"our own mistake about {A}"}
        await until(lambda: seen.agrees(B))
        assert seen.markets[B].gaps == 0
        assert seen.markets[B].deltas == deltas + 200
        await seen.agree()  # the failing one heals: what it missed shows as a gap
        assert seen.markets[A].gaps == 1
        assert seen.aggregator.health()[0].connects == 1

    run_hard(monkeypatch, scenario)


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="resident memory is read in /proc"
)
@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_a_slow_consumer_is_spared_old_books_and_grows_nothing(
    monkeypatch: pytest.MonkeyPatch, *, deflate: bool
) -> None:
    frames, padding = 5_000, "x" * 16_384
    spec: dict[str, Any] = {"limits": QUICK, "deflate": deflate}
    used = replace(venue_spec("bybit-linear"), **spec)
    monkeypatch.setattr(aggregator_module, "venue_spec", lambda _venue: used)

    class Wordy(BybitLinear):
        """Frames of 16 KiB: the same changes with something in them that is not read."""

        def frame(self, native: str, truth: Any) -> str:  # noqa: ANN401
            return super().frame(native, truth)[:-1] + f',"note":"{padding}"}}'

    venue = HardVenue(Wordy(), ["C0USDT"])
    elsewhere = Elsewhere(venue)
    elsewhere.start()

    async def flood() -> None:
        for _ in range(frames):
            await venue.push("C0USDT")

    async def main() -> None:
        feed = FeedConfig(
            venue="bybit-linear",
            symbols={A_LINEAR: "C0USDT"},
            websocket_url=f"ws://127.0.0.1:{venue.port}",
            channels=("depth",),
        )
        seen = Observer(venue, used, feed)
        await seen.aggregator.start()
        await until(lambda: seen.state(A_LINEAR) == "LIVE")
        seen.slow_s = 0.000_4
        before = peak = _resident()
        flooding = elsewhere.begin(flood())
        while not flooding.done():
            await asyncio.sleep(0.02)
            peak = max(peak, _resident())
        await until(lambda: seen.agrees(A_LINEAR))
        peak = max(peak, _resident())
        load = seen.aggregator.health()[0].load
        assert seen.markets[A_LINEAR].gaps == 0, "joined, not thrown away"
        assert seen.markets[A_LINEAR].deltas + load.conflated == frames
        assert seen.lies == []
        # 78 MiB were sent; what is in flight here is a few buffers, and what the venue remembers.
        assert peak - before < 24 << 20, f"{(peak - before) / 1e6:.0f} MB"
        await seen.aggregator.close()

    try:
        asyncio.run(main())
    finally:
        elsewhere.stop()


def test_a_loop_that_was_blocked_does_not_take_itself_for_a_silent_venue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a pause of ours longer than the venue's allowed silence, data is there to be read."""
    used = venue_spec("bybit-linear")
    used = replace(used, limits=QUICK, heartbeat=Heartbeat(silence_s=0.6))
    monkeypatch.setattr(aggregator_module, "venue_spec", lambda _venue: used)
    venue = HardVenue(BybitLinear(), ["C0USDT"])
    elsewhere = Elsewhere(venue)
    elsewhere.start()
    stop = False

    async def stream() -> None:
        while not stop:
            await venue.push("C0USDT")
            await asyncio.sleep(0.02)

    async def main() -> None:
        nonlocal stop
        feed = FeedConfig(
            venue="bybit-linear",
            symbols={A_LINEAR: "C0USDT"},
            websocket_url=f"ws://127.0.0.1:{venue.port}",
            channels=("depth",),
        )
        seen = Observer(venue, used, feed)
        await seen.aggregator.start()
        await until(lambda: seen.state(A_LINEAR) == "LIVE")
        streaming = elsewhere.begin(stream())
        for _ in range(3):
            time.sleep(1.0)  # noqa: ASYNC251 - blocking the loop is what is tested
            await asyncio.sleep(0.1)
        assert seen.aggregator.health()[0].connects == 1
        assert seen.markets[A_LINEAR].gaps == 0
        stop = True
        await streaming
        await until(lambda: seen.agrees(A_LINEAR))
        assert seen.lies == []
        await seen.aggregator.close()

    try:
        asyncio.run(main())
    finally:
        elsewhere.stop()


# --- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_connection", "connections"), [(1_000, 1), (300, 4)])
def test_a_thousand_symbols(
    monkeypatch: pytest.MonkeyPatch, per_connection: int, connections: int
) -> None:
    # A busy machine may take so long for a thousand books that the first of them count as quiet.
    monkeypatch.setattr(quiet_module, "LOOK_NS", 1 << 60)

    async def scenario(seen: Observer) -> None:
        await until(lambda: all(seen.venue.subscribed(n) for n in seen.natives.values()))
        await seen.venue.push_all()
        await until(lambda: all(seen.state(symbol) == "LIVE" for symbol in seen.markets), 90)
        await seen.agree()
        asked = [native for _, native in seen.venue.asked]
        assert len(asked) == len(set(asked)) == 1_000, "one snapshot each"
        assert len(seen.venue.connected_at) == connections
        assert [each.connects for each in seen.aggregator.health()] == [1] * connections
        # What is unreadable and names one symbol costs that one, not the thousand.
        garbled = '{"stream":"c7usdt@depth@100ms","data":{"e":"depthUpdate","s":"C7USDT","u":"x"}}'
        await seen.venue.raw(garbled, "C7USDT")
        await until(lambda: seen.state("C7/USDT") != "LIVE")
        lost = [symbol for symbol in seen.markets if seen.state(symbol) != "LIVE"]
        assert lost == ["C7/USDT"]
        await seen.agree(["C7/USDT"])

    run_hard(
        monkeypatch,
        scenario,
        symbols=1_000,
        spec={"limits": limits(symbols_per_connection=per_connection)},
    )


# --- the connection --------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["accept", "subscribe"])
def test_a_flapping_venue_is_not_stormed(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    async def scenario(seen: Observer) -> None:
        await until(lambda: len(seen.venue.connected_at) >= 4)
        waits = [later - earlier for earlier, later in pairwise(seen.venue.connected_at)]
        assert all(wait > least for wait, least in zip(waits[:3], (0.1, 0.2, 0.4), strict=True)), (
            waits
        )
        assert seen.state(A) == "SYNCING"
        await until(lambda: "closed" in seen.markets[A].reason)  # between one end and the next try
        seen.venue.hang_up_on = ""
        await seen.agree()

    def prepare(venue: HardVenue) -> None:
        venue.hang_up_on = when

    run_hard(monkeypatch, scenario, prepare=prepare)


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
@pytest.mark.parametrize("dialect", [BinanceSpot(), BybitLinear()], ids=["rest", "stream"])
def test_half_open_tcp_is_found_and_left(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear, *, deflate: bool
) -> None:
    holes: list[Blackhole] = []

    async def through(venue: HardVenue) -> int:
        holes.append(Blackhole(venue.port))
        await holes[0].start()
        return holes[0].port

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        holes[0].swallow()
        went = time.monotonic()
        await until(lambda: all(market.state == "SYNCING" for market in seen.markets.values()))
        assert time.monotonic() - went < 20.0
        assert all("no frame for" in market.reason for market in seen.markets.values())
        for native in seen.natives.values():
            await seen.venue.push(native, lose=True)
        await seen.agree()
        assert len(seen.venue.connected_at) == 2
        await seen.aggregator.close()
        await holes[0].stop()

    run_hard(
        monkeypatch,
        scenario,
        dialect=dialect,
        spec={"heartbeat": Heartbeat(silence_s=1.0), "deflate": deflate},
        through=through,
    )


# --- subscriptions ---------------------------------------------------------------------------------


def test_a_symbol_that_never_speaks_is_never_live_where_the_stream_brings_its_snapshot(
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
            seen.look_at_ages()
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
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            await seen.venue.push("C1USDT")
            await asyncio.sleep(0.05)
            seen.look_at_ages()
            assert seen.state(A) == "LIVE"
        assert time.time_ns() - seen.markets[A].last_recv_ns > 2_500_000_000

    run_hard(monkeypatch, scenario, quiet_s=30.0)


def test_a_mute_subscription_beside_a_live_one_is_found_by_a_look_and_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Depth alone, so nothing but the venue's own book can tell; then it stays mute, and is BROKEN."""
    monkeypatch.setattr(quiet_module, "LOOK_NS", 300_000_000)
    monkeypatch.setattr(crosscheck_module, "MUTE_NS", 300_000_000)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        seen.venue.muted.add("C0USDT")
        reasons: list[str] = []

        async def state(wanted: str) -> bool:
            await seen.venue.push("C1USDT")
            await seen.venue.push("C0USDT")
            seen.look_at_ages()
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


def test_a_quiet_symbol_is_looked_at_ever_more_seldom_and_stays_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiet_module, "LOOK_NS", 200_000_000)
    monkeypatch.setattr(snapshots_module, "LOOK_PAUSE_S", 0.01)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
            await asyncio.sleep(0.05)
            seen.look_at_ages()
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


# --- frames ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe garbage that is not text",
        "[" * 100_000,
        '{"stream":"' + "x" * 200_000,
        '{"stream":"a@depth","data":{"e":"depthUpdate","s":"A","U":1,"u":1,"E":1,"b":[["1e999","1"]]}}',
    ],
    ids=["binary", "nested", "long", "infinite"],
)
def test_garbage_costs_a_reconnect(monkeypatch: pytest.MonkeyPatch, garbage: str | bytes) -> None:
    async def scenario(seen: Observer) -> None:
        await seen.agree()
        await seen.venue.raw(garbage)
        await until(lambda: seen.state(A) == seen.state(B) == "SYNCING")
        assert len(seen.markets[A].reason) < 1_000
        await seen.agree()
        assert seen.aggregator.health()[0].violations == 1
        assert seen.faults == []

    run_hard(monkeypatch, scenario)


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_a_message_beyond_all_measure_costs_the_connection(
    monkeypatch: pytest.MonkeyPatch, *, deflate: bool
) -> None:
    monkeypatch.setattr(link_module, "MAX_MESSAGE", 1 << 16)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        await seen.venue.raw(" " * (1 << 20))
        await until(lambda: seen.state(A) == "SYNCING")
        await seen.agree()
        assert seen.aggregator.health()[0].connects == 2
        assert seen.faults == []

    run_hard(monkeypatch, scenario, spec={"deflate": deflate})


# --- snapshots -------------------------------------------------------------------------------------


async def _unavailable(_venue: HardVenue, _native: str) -> web.Response:
    return web.Response(status=503, headers={"Retry-After": "1"})


async def _too_many(_venue: HardVenue, _native: str) -> web.Response:
    return web.Response(status=429, headers={"Retry-After": "1"})


async def _hangs_up(_venue: HardVenue, _native: str) -> web.Response:
    raise ConnectionResetError


async def _not_json(_venue: HardVenue, _native: str) -> web.Response:
    return web.Response(text="<html>maintenance</html>")


async def _crossed(venue: HardVenue, native: str) -> web.Response:
    answer = venue.snapshot(native)
    answer["bids"], answer["asks"] = answer["asks"], answer["bids"]
    return web.json_response(answer)


async def _late(venue: HardVenue, native: str) -> web.Response:
    """Taken now, given when the stream has long gone on."""
    answer = venue.snapshot(native)
    for _ in range(20):
        await venue.push(native)
        await asyncio.sleep(0.01)
    return web.json_response(answer)


async def _before_the_stream(venue: HardVenue, native: str) -> web.Response:
    answer = venue.snapshot(native)
    answer["lastUpdateId"] -= 50
    return web.json_response(answer)


@pytest.mark.parametrize(
    "answer",
    [_unavailable, _too_many, _hangs_up, _not_json, _crossed, _late, _before_the_stream],
)
def test_a_snapshot_that_fails_is_fetched_again(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[HardVenue, str], Awaitable[web.Response]]
) -> None:
    async def scenario(seen: Observer) -> None:
        await seen.agree()
        assert len(seen.venue.connected_at) == 1
        if answer is not _late:
            times = [at for at, native in seen.venue.asked if native == "C0USDT"]
            assert len(times) >= 2
            if answer in (_unavailable, _too_many):
                assert times[1] - times[0] >= 0.95, "the venue had said when"

    def prepare(venue: HardVenue) -> None:
        venue.answers.append(answer)

    run_hard(monkeypatch, scenario, symbols=1, prepare=prepare)


def test_a_snapshot_of_another_book_does_not_stay_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it says of which symbol it is; but its numbers never meet the stream's."""

    async def foreign(venue: HardVenue, native: str) -> web.Response:
        answer = venue.snapshot(native)
        answer["lastUpdateId"] += 1_000_000
        return web.json_response(answer)

    def prepare(venue: HardVenue) -> None:
        venue.answers.append(foreign)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        assert len(seen.venue.asked) == 2
        # It cannot be known at once: the venue may be ahead of its own stream for a moment.
        assert all(int(lie.rpartition(" ")[2]) > 1_000_000 for lie in seen.lies)
        seen.lies.clear()

    run_hard(monkeypatch, scenario, symbols=1, prepare=prepare)
