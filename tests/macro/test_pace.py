from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from citadel_macro.retry_pace import LONGEST_ENTRY_S, LONGEST_S, Key, Pace

KEY: Key = ("BTC/USDT", "sell", "stop")


@given(
    loop_s=st.floats(0.05, 5),
    ends_s=st.floats(60, 400),
    entry=st.booleans(),
    reasons=st.lists(st.sampled_from(["BELOW_MIN", "DUST", "STALE"]), min_size=1),
)
def test_what_fails_every_time_is_tried_rarely_and_never_given_up(
    loop_s: float, ends_s: float, entry: bool, reasons: list[str]
) -> None:
    pace, now, tries = Pace(), 0.0, []
    while now < ends_s:
        if not pace.held(KEY, now):
            tries.append(now)
            pace.failed(KEY, reasons[len(tries) % len(reasons)], now, entry=entry)
        now += loop_s
    longest = LONGEST_ENTRY_S if entry else LONGEST_S
    assert len(tries) <= 8 + ends_s / longest
    gaps = [b - a for a, b in itertools.pairwise(tries)]
    assert all(gap <= longest + loop_s + 1e-6 for gap in gaps)


def test_a_fill_or_a_person_ends_the_pause() -> None:
    pace = Pace()
    for _ in range(3):
        pace.failed(KEY, "BELOW_MIN (scripted)", 10.0, entry=False)
    held = pace.held(KEY, 11.0)
    assert (
        held
        == "stop to sell BTC/USDT is retried in 1.0 s, after 3 without a fill: BELOW_MIN (scripted)"
    )
    assert not pace.held(("ETH/USDT", "sell", "stop"), 11.0)
    assert not pace.held(("BTC/USDT", "sell", "order"), 11.0)
    pace.filled(KEY)
    assert not pace.held(KEY, 11.0)
    for _ in range(2):
        pace.failed(KEY, "x", 11.0, entry=False)
    assert pace.held(KEY, 11.5)
    pace.forget("BTC/USDT")
    assert not pace.held(KEY, 11.0)


def test_an_old_failure_is_forgotten() -> None:
    pace = Pace()
    for now in (0.0, 1.0, 3.0, 7.0):
        pace.failed(KEY, "x", now, entry=False)
    assert pace.held(KEY, 10.9)
    pace.failed(KEY, "x", 2_000.0, entry=False)
    assert not pace.held(KEY, 2_000.0), "one failure may be chance"
    pace.failed(KEY, "x", 2_000.0, entry=False)
    assert pace.held(KEY, 2_000.9)
    assert not pace.held(KEY, 2_001.1)
