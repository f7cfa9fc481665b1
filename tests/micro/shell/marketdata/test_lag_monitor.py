"""A consumer that is slower than the feed: what it is told, what it is spared, what it never loses.

The servers run in a thread of their own, so that a consumer which blocks its event loop does not
block them.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hard_feeds import QUICK, Observer, until
from hard_venue import BybitLinear, Elsewhere, HardVenue
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from citadel_micro.core.model.events import TradeTick
from citadel_micro.shell.marketdata import aggregator as aggregator_module
from citadel_micro.shell.marketdata import event_queue as outlet_module
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.event_queue import EventQueue
from citadel_micro.shell.marketdata.lag_monitor import (
    BEGIN_NS,
    CALM_NS,
    END_NS,
    Latencies,
    Load,
    OverloadGauge,
    Unread,
)
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

MS = 1_000_000
SYMBOL, NATIVE = "C0/USDT:USDT", "C0USDT"


# --- the gauge -------------------------------------------------------------------------------------


def test_overload_begins_at_once_and_ends_after_a_calm_time() -> None:
    gauge = OverloadGauge()
    assert gauge.sample(0, BEGIN_NS - 1) == ""
    assert gauge.sample(10 * MS, BEGIN_NS) == "began"
    assert gauge.sample(20 * MS, 0) == ""
    assert gauge.sample(500 * MS, END_NS) == "", "not calm: the calm time begins anew"
    assert gauge.sample(600 * MS, 0) == ""
    assert gauge.sample(600 * MS + CALM_NS - 1, 0) == ""
    assert gauge.overloaded_ns(600 * MS + CALM_NS) == 590 * MS + CALM_NS
    assert gauge.sample(600 * MS + CALM_NS, 0) == "ended"
    assert gauge.overloaded_ns(10**12) == 590 * MS + CALM_NS
    assert gauge.episodes == 1


def test_overload_does_not_end_while_only_conflation_makes_it_bearable() -> None:
    gauge = OverloadGauge()
    gauge.sample(0, BEGIN_NS)
    for at in range(1, 100):
        assert gauge.sample(at * 100 * MS, 0, demand=0.9) == ""
    assert gauge.overloaded


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200)), max_size=60))
def test_overloaded_time_is_the_sum_of_the_episodes(samples: list[tuple[int, int]]) -> None:
    gauge = OverloadGauge()
    now = began = total = 0
    for step, behind in samples:
        now += step * MS
        turn = gauge.sample(now, behind * MS)
        if turn == "began":
            began = now
        elif turn == "ended":
            total += now - began
            assert now - began >= CALM_NS
    expected = total + (now - began if gauge.overloaded else 0)
    assert gauge.overloaded_ns(now) == expected


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_percentiles_are_samples_in_order(samples: list[int]) -> None:
    latencies = Latencies()
    assert latencies.percentiles() == ()
    for sample in samples:
        latencies.add(sample)
    found = latencies.percentiles()
    assert list(found) == sorted(found)
    assert set(found) <= set(samples)
    assert found[-1] == sorted(samples)[-(len(samples) // 100) - 1]


# --- on the wire -----------------------------------------------------------------------------------


class Trader(Observer):
    """An observer that also keeps the trades."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as Observer
        super().__init__(*arguments)
        self.trades: list[int] = []

    def sink(self, event: object, recv_ns: int) -> None:
        if isinstance(event, TradeTick):
            self.events += 1
            if self.slow_s:
                time.sleep(self.slow_s)
            self.trades.append(int(event.trade_id))
        else:
            super().sink(event, recv_ns)


def trade_frame(number: int) -> str:
    row = {"T": number, "s": NATIVE, "S": "Buy", "v": "0.1", "p": "100.5", "i": str(number)}
    frame = {"topic": f"publicTrade.{NATIVE}", "type": "snapshot", "ts": number, "data": [row]}
    return json.dumps(frame, separators=(",", ":"))


def run(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Trader, Elsewhere], Coroutine[Any, Any, None]],
    *,
    deflate: bool = False,
) -> None:
    spec: dict[str, Any] = {"limits": QUICK, "deflate": deflate}
    used = replace(venue_spec("bybit-linear"), **spec)
    monkeypatch.setattr(aggregator_module, "venue_spec", lambda _venue: used)
    venue = HardVenue(BybitLinear(), [NATIVE])
    elsewhere = Elsewhere(venue)
    elsewhere.start()

    async def main() -> None:
        feed = FeedConfig(
            venue="bybit-linear",
            symbols={SYMBOL: NATIVE},
            websocket_url=f"ws://127.0.0.1:{venue.port}",
            channels=("depth", "trade"),
        )
        seen = Trader(venue, used, feed)
        await seen.aggregator.start()
        try:
            await until(lambda: seen.state(SYMBOL) == "LIVE")
            await scenario(seen, elsewhere)
        finally:
            seen.slow_s = 0.0
            await seen.aggregator.close()
        assert seen.lies == []
        assert seen.faults == []

    try:
        asyncio.run(main())
    finally:
        elsewhere.stop()


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_a_slow_consumer_is_reported_and_loses_nothing_but_superseded_books(
    monkeypatch: pytest.MonkeyPatch, *, deflate: bool
) -> None:
    changes, trades = 4_000, 400

    async def flood(venue: HardVenue) -> None:
        for number in range(changes):
            await venue.push(NATIVE)
            if number % (changes // trades) == 0:
                await venue.raw(trade_frame(number), NATIVE)

    async def scenario(seen: Trader, elsewhere: Elsewhere) -> None:
        before = seen.markets[SYMBOL].deltas
        quiet = seen.aggregator.health()[0].load
        assert not quiet.overloaded
        assert quiet.conflated == 0
        seen.slow_s = 0.001
        with capture_logs() as logs:
            flooding = elsewhere.begin(flood(seen.venue))
            await until(lambda: seen.aggregator.health()[0].load.overloaded)
            during = seen.aggregator.health()[0].load
            await flooding
            await until(lambda: seen.agrees(SYMBOL))
            await until(lambda: len(seen.trades) == trades)
            await until(lambda: not seen.aggregator.health()[0].load.overloaded)
        after = seen.aggregator.health()[0].load
        assert seen.trades == [n for n in range(changes) if n % (changes // trades) == 0]
        market = seen.markets[SYMBOL]
        assert market.gaps == 0
        assert market.deltas - before + after.conflated == changes, "each applied, or superseded"
        assert after.conflated > changes / 10
        assert during.overloads == 1
        assert after.overloaded_ns > 0
        assert after.behind_peak_ns >= BEGIN_NS
        assert after.waiting == 0
        assert after.waiting_peak > 0
        assert len(after.handled_ns) == 3
        assert after.handled_ns[0] >= seen.slow_s
        said = [entry["event"] for entry in logs if entry["event"] in ("overloaded", "caught up")]
        assert said[:2] == ["overloaded", "caught up"]
        assert said.count("overloaded") == said.count("caught up") == after.overloads
        # It is quick again, and so is the way to it: nothing is joined, unless this machine stalls.
        seen.slow_s = 0.0
        deltas = market.deltas
        for _ in range(20):
            await elsewhere.begin(seen.venue.push(NATIVE))
        await until(lambda: seen.agrees(SYMBOL))
        again = seen.aggregator.health()[0].load
        assert market.deltas - deltas + again.conflated - after.conflated == 20
        if again.overloads == after.overloads:
            assert again.conflated == after.conflated

    run(monkeypatch, scenario, deflate=deflate)


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_trades_that_do_not_fit_hold_the_venue_back_and_are_never_lost(
    monkeypatch: pytest.MonkeyPatch, *, deflate: bool
) -> None:
    """They cannot conflate, so what the consumer cannot take stays with the venue."""
    monkeypatch.setattr(outlet_module, "MOST", 500)
    monkeypatch.setattr(outlet_module, "ROOM", 450)
    trades, padding = 6_000, " " * 8_192

    async def flood(venue: HardVenue) -> None:
        for number in range(trades):
            await venue.raw(trade_frame(number) + padding, NATIVE)

    async def scenario(seen: Trader, elsewhere: Elsewhere) -> None:
        seen.slow_s = 0.000_4
        await elsewhere.begin(flood(seen.venue))
        await until(lambda: len(seen.trades) == trades)
        assert seen.trades == list(range(trades))
        load = seen.aggregator.health()[0].load
        assert load.conflated == 0
        # What one read brings comes on top of what fills the queue.
        assert 450 <= load.waiting_peak < trades / 2
        assert load.unread_octets_peak > 0
        assert load.overloaded_ns > 0
        assert seen.aggregator.health()[0].connects == 1

    run(monkeypatch, scenario, deflate=deflate)


def test_a_loop_that_is_blocked_by_somebody_else_is_said_to_lag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(seen: Trader, _elsewhere: Elsewhere) -> None:
        await asyncio.sleep(2 * outlet_module.TICK_S)
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is what is tested
        await until(lambda: seen.aggregator.health()[0].load.overloads == 1)
        load = seen.aggregator.health()[0].load
        assert load.loop_lag_peak_ns >= 0.2e9
        assert load.behind_peak_ns >= 0.2e9
        await until(lambda: not seen.aggregator.health()[0].load.overloaded)

    run(monkeypatch, scenario)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 1)), min_size=1, max_size=60))
def test_unread_octets_are_as_old_as_they_are(looks: list[tuple[int, float]]) -> None:
    """Never older than the oldest that waits, and younger by less than one look."""
    tick = 50 * MS
    unread = Unread()
    came: list[int] = []  # by octet: the look at which it was first seen
    read = 0
    for number, (fresh, part) in enumerate(looks):
        came += [number] * fresh
        read += int(part * (len(came) - read))
        waiting = len(came) - read
        age_ns = unread.age_ns(number * tick, read, waiting)
        assert age_ns == ((number - came[read]) * tick if waiting else 0)


def test_one_slow_small_frame_says_nothing_of_large_ones() -> None:
    """An estimate of reading time alone once said 92 s where nothing was 2.5 s late."""
    now = [0]
    outlet = EventQueue(lambda _event, _ns: None, lambda: now[0], {}, None)

    class Slow:
        load = Load()
        read = waiting = 0

        def octets_read(self) -> int:
            return self.read

        def unread(self) -> int:
            return self.waiting

        def hold(self, *, held: bool) -> None:
            """Never asked for here."""

    source = Slow()
    outlet.add(source, [])
    for _ in range(40):
        before = now[0]
        now[0] += 50 * MS
        source.read += 20
        outlet.done(source.load, before, 1)
        outlet._tick(0)
    source.waiting = 4_000_000
    for _ in range(4):
        now[0] += 50 * MS
        outlet._tick(0)
    assert outlet.health(source.load).behind_peak_ns <= 250 * MS
