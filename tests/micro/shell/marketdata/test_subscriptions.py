"""Subscriptions: each symbol once, ever more seldom, and never beyond the venue's hour."""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from citadel_micro.shell.marketdata.backoff import HOUR_S, Hourly
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec, venue_spec
from citadel_micro.shell.marketdata.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NATIVES = {f"C{n}/USDT": f"C{n}USDT" for n in range(100)}


@given(st.integers(1, 20), st.lists(st.tuples(st.floats(0, 900), st.integers(1, 3)), max_size=80))
def test_no_hour_holds_more_than_its_budget(most: int, story: list[tuple[float, int]]) -> None:
    hour, now_s, spent = Hourly(most), 0.0, []
    for wait_s, count in story:
        now_s += wait_s
        if count > most or hour.wait_s(now_s, count):
            continue
        for _ in range(count):
            hour.spend(now_s)
            spent.append(now_s)
        assert sum(1 for at_s in spent if at_s > now_s - HOUR_S) <= most
    for count in range(1, most + 1):
        then_s = now_s + hour.wait_s(now_s, count)
        assert sum(1 for at_s in spent if at_s > then_s - HOUR_S + 1e-6) + count <= most


def test_no_budget_is_no_wait() -> None:
    hour = Hourly(0)
    for _ in range(10_000):
        assert hour.wait_s(1.0) == 0.0
        hour.spend(1.0)


def asking(requests_per_h: int = 0, **beat: object) -> tuple[Subscriptions, VenueSpec]:
    spec = replace(
        venue_spec("bitget-spot"),
        limits=Limits(messages_per_s=1_000.0, requests_per_h=requests_per_h),
        heartbeat=Heartbeat(**beat),  # type: ignore[arg-type]  # its fields
    )
    return Subscriptions(spec, NATIVES, ("depth",), random.Random(1)), spec


def sent_within(
    made: Subscriptions,
    seconds: float,
    work: Callable[[], Coroutine[object, object, None]],
    enough: Callable[[list[str]], bool],
) -> list[str]:
    """What leaves while some work goes on, for some time after, and until it is enough."""
    sent: list[str] = []

    async def main() -> None:
        sending = asyncio.ensure_future(made.send(sent.append))
        await work()
        await asyncio.sleep(seconds)
        await until(lambda: enough(sent))
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    asyncio.run(main())
    return sent


def test_a_symbol_that_is_wanted_a_thousand_times_is_asked_for_ever_more_seldom() -> None:
    made, _ = asking()
    begun = time.monotonic()

    async def work() -> None:
        for _ in range(500):
            made.again("C1/USDT")
            await asyncio.sleep(0.002)

    sent = sent_within(made, 0.1, work, lambda sent: len(sent) >= 4 and len(sent) % 2 == 0)
    # At once, and after some 0.2, 0.4 and 0.8 s: not with each of 500 frames. On a busy machine they
    # take longer, and twice as long is one time more.
    most = 4 + math.ceil(math.log2(max(1.0, (time.monotonic() - begun) / 1.5)))
    assert 4 <= len(sent) <= 2 * most
    assert ["unsub" in text for text in sent] == [True, False] * (len(sent) // 2)


def test_the_hour_is_never_overspent_and_no_symbol_is_left_unsubscribed() -> None:
    made, _ = asking(requests_per_h=9)
    waits: list[float] = []

    async def work() -> None:
        made.subscribe(["C0/USDT"])
        waits.extend(made.again(f"C{number}/USDT") for number in range(40))
        loop = asyncio.get_running_loop()
        await until(lambda: made._hour.wait_s(loop.time()) > 0)
        waits.append(made.again("C50/USDT"))

    sent = sent_within(made, 0.1, work, lambda sent: len(sent) >= 9)
    assert len(sent) == 9
    assert ["unsub" in text for text in sent] == [False, *([True, False] * 4)]
    assert made.busy
    assert waits[-1] == pytest.approx(HOUR_S, abs=5)


def test_heartbeats_go_on_when_the_hour_is_spent_and_while_requests_do() -> None:
    made, _ = asking(requests_per_h=1, text="ping", interval_s=0.05)

    async def work() -> None:
        for number in range(10):
            made.again(f"C{number}/USDT")
            await asyncio.sleep(0.03)

    sent = sent_within(made, 0.2, work, lambda sent: sent.count("ping") >= 6)
    assert sent == ["ping"] * len(sent)  # two requests do not fit into an hour of one


def test_venues_that_count_by_the_hour_have_their_budget_in_their_spec() -> None:
    assert venue_spec("okx").limits.requests_per_h <= 480
    assert venue_spec("bitget-spot").limits.requests_per_h <= 240
