"""Where a venue's clock is: by arithmetic, and against a server whose clock is wrong."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hard_feeds import Observer, run_hard, until
from hard_venue import BinanceSpot, BybitLinear
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.shell.marketdata import liveness as pulse_module
from citadel_micro.shell.marketdata.clock_offset import MS_NS, PARTS, ClockOffset

if TYPE_CHECKING:
    from hard_venue import Truth

S = 1_000_000_000
DELAYS = st.integers(0, 400 * MS_NS)


@given(
    offset=st.integers(-3_600 * S, 3_600 * S),
    there=st.integers(0, 300 * MS_NS),
    back=st.integers(0, 300 * MS_NS),
    queues=st.lists(DELAYS, min_size=1, max_size=50),
    trips=st.lists(st.tuples(DELAYS, DELAYS), min_size=1, max_size=10),
)
def test_the_estimate_is_within_half_a_round_trip_of_the_truth(
    offset: int, there: int, back: int, queues: list[int], trips: list[tuple[int, int]]
) -> None:
    """Both ways take what they take, however uneven, and queues come on top."""
    estimator = ClockOffset()
    now = 10**18
    for queue in [*queues, 0]:  # the quickest of many met no queue
        now += 7 * MS_NS + 13
        sent = now - back - queue
        estimator.message(sent + offset, now)
    assert estimator.estimate() is None, "without a round trip there is no bound"
    for waited_there, waited_back in [*trips, (0, 0)]:
        estimator.round_trip(there + back + waited_there + waited_back, now)
    found = estimator.estimate()
    assert found is not None
    assert found.rtt_ns == there + back
    assert abs(found.offset_ns - offset) <= found.error_ns
    assert found.error_ns <= (there + back + 1) // 2 + MS_NS
    assert found.late_ns == 0


@given(
    offset=st.integers(-S, S),
    delays=st.lists(st.integers(0, 50 * MS_NS), min_size=1, max_size=50),
)
def test_stamps_in_whole_milliseconds_widen_the_bound_by_one(
    offset: int, delays: list[int]
) -> None:
    estimator = ClockOffset()
    now = 10**18
    for delay in [*delays, 0]:
        now += 3 * MS_NS + 777
        stamp = now - 2 * MS_NS - delay + offset
        estimator.message(stamp // MS_NS * MS_NS, now)
    estimator.round_trip(4 * MS_NS, now)
    found = estimator.estimate()
    assert found is not None
    assert found.error_ns == 3 * MS_NS
    assert abs(found.offset_ns - offset) <= found.error_ns


def test_a_step_of_either_clock_is_followed() -> None:
    """Ahead at once, for such messages are quicker than any; back when the window has passed."""
    estimator = ClockOffset(60 * S)
    now = 10**18

    def live(seconds: int, offset: int) -> int:
        nonlocal now
        for _ in range(seconds):
            now += S
            estimator.message(now - 5 * MS_NS - 1 + offset, now)
            estimator.round_trip(10 * MS_NS, now)
        found = estimator.estimate()
        assert found is not None
        return found.offset_ns

    assert abs(live(30, 0)) <= 6 * MS_NS
    assert abs(live(1, 500 * MS_NS) - 500 * MS_NS) <= 6 * MS_NS
    assert abs(live(10, 0) - 500 * MS_NS) <= 6 * MS_NS
    assert abs(live(60 + 60 // PARTS, 0)) <= 6 * MS_NS


def test_what_is_older_than_the_window_is_forgotten_even_after_a_long_silence() -> None:
    estimator = ClockOffset(60 * S)
    estimator.message(10**18, 10**18 + MS_NS)
    estimator.round_trip(MS_NS, 10**18)
    assert estimator.estimate() is not None
    estimator.roll(10**18 + 3_600 * S)
    assert estimator.estimate() is None


# --- against a server ------------------------------------------------------------------------------

SHIFTS = [-3_600 * S, -250 * MS_NS, 0, 250 * MS_NS, 86_400 * S]


class Shifted(BinanceSpot):
    """Its clock is wrong by so much, in whole milliseconds."""

    def __init__(self, shift_ns: int) -> None:
        self.shift_ns = shift_ns

    def frame(self, native: str, truth: Truth) -> str:
        frame = json.loads(super().frame(native, truth))
        frame["data"]["E"] += self.shift_ns // MS_NS
        return json.dumps(frame, separators=(",", ":"))


class ShiftedBybit(BybitLinear):
    """The same for the other client, which needs a venue that deflates."""

    def __init__(self, shift_ns: int) -> None:
        self.shift_ns = shift_ns

    def first(self, native: str, truth: Truth) -> str:
        return self._shifted(super().first(native, truth))

    def frame(self, native: str, truth: Truth) -> str:
        return self._shifted(super().frame(native, truth))

    def _shifted(self, text: str) -> str:
        frame = json.loads(text)
        frame["cts"] += self.shift_ns // MS_NS
        frame["ts"] += self.shift_ns // MS_NS
        return json.dumps(frame, separators=(",", ":"))


@pytest.mark.parametrize("shift_ns", SHIFTS)
@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_a_server_with_a_wrong_clock(
    monkeypatch: pytest.MonkeyPatch, shift_ns: int, *, deflate: bool
) -> None:
    monkeypatch.setattr(pulse_module, "PROBE_NS", 50_000_000)
    dialect = ShiftedBybit(shift_ns) if deflate else Shifted(shift_ns)

    async def scenario(seen: Observer) -> None:
        def clock() -> Any:  # noqa: ANN401 - of the first connection
            return seen.aggregator.health()[0].clock

        await seen.agree()
        await until(lambda: clock() is not None)
        for _ in range(20):
            await seen.agree()
            await asyncio.sleep(0.01)
        found = clock()
        # Between its stamp and the wire a busy server takes a moment, too.
        assert abs(found.offset_ns - shift_ns) <= found.error_ns + 20 * MS_NS
        assert found.error_ns < S
        assert found.rtt_ns > 0
        # Nothing is made of it: books live by their numbers, and times stay as they were.
        for symbol in seen.markets:
            market = seen.markets[symbol]
            assert market.state == "LIVE"
            assert abs(market.exchange_ns - shift_ns - time.time_ns()) < 5 * S
            assert abs(market.last_recv_ns - time.time_ns()) < 5 * S

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"deflate": deflate})


def test_a_server_that_never_answers_pings_is_kept_and_has_no_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse_module, "PROBE_NS", 50_000_000)
    monkeypatch.setattr("aiohttp.web.WebSocketResponse.pong", _deaf)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        await asyncio.sleep(0.3)
        await seen.agree()
        health = seen.aggregator.health()[0]
        assert health.clock is None
        assert health.connects == 1

    run_hard(monkeypatch, scenario)


async def _deaf(_socket: object, _message: bytes = b"") -> None:
    """Swallow it."""
