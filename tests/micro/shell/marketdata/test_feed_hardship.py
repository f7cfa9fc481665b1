"""The Aggregator against venues that fail, on loopback: slow consumers, many symbols, connections."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from effort import campaign
from hard_feeds import QUICK, Observer, run_hard, unhurried, until
from hard_venue import BinanceSpot, Blackhole, BybitLinear, Elsewhere, HardVenue
from hardship_kit import A_LINEAR, A, B, limits

from citadel_micro.shell.marketdata import aggregator as aggregator_module
from citadel_micro.shell.marketdata import quiet_symbols as quiet_module
from citadel_micro.shell.marketdata import snapshots as snapshots_module
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.spec import Heartbeat, venue_spec


def test_a_consumer_that_keeps_failing_at_one_symbol_affects_no_other(
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


@pytest.mark.parametrize(("per_connection", "connections"), [campaign(1_000, 1), (300, 4)])
def test_a_thousand_symbols(
    monkeypatch: pytest.MonkeyPatch, per_connection: int, connections: int
) -> None:
    # A busy machine may take so long for a thousand books that the first of them count as quiet.
    monkeypatch.setattr(quiet_module, "POLL_NS", 1 << 60)
    # And so long for a snapshot that it would be asked for again.
    monkeypatch.setattr(snapshots_module, "REQUEST_TIMEOUT_S", 90.0)

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
