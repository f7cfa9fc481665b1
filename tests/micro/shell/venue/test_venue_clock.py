"""The venue's time, and requests that it must refuse after their expiry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.shell.venue.venue_clock import VenueClock

MS = 1_000_000
START = 1_800_000_000_000 * MS


class Time:
    """A clock of ours that a test moves."""

    def __init__(self) -> None:
        self.ns = START

    def now(self) -> int:
        return self.ns


@given(
    offset_ms=st.integers(-3_600_000, 3_600_000),
    out_ms=st.integers(0, 500),
    back_ms=st.integers(0, 500),
    left_ms=st.integers(1, 70_000),
)
def test_a_request_is_refused_by_its_expiry_whatever_the_clocks_and_the_way(
    offset_ms: int, out_ms: int, back_ms: int, left_ms: int
) -> None:
    time = Time()
    clock = VenueClock(time.now)
    for _ in range(3):
        sent_ns = time.ns
        time.ns += out_ms * MS
        told_ns = time.ns + offset_ms * MS
        time.ns += back_ms * MS
        clock.measured(sent_ns, told_ns)
    assert abs(clock.offset_ns - offset_ms * MS) <= clock.error_ns
    expires_ns = time.ns + left_ms * MS
    timestamp, window = clock.stamp(expires_ns)
    assert 0 <= window <= 60_000
    # The venue takes it while its time is at most timestamp + window. The estimate may be wrong by
    # its error, which shortens the window, as long as there is a window to shorten.
    last_taken_ns = (timestamp + window - offset_ms) * MS
    assert last_taken_ns <= expires_ns + max(0, clock.error_ns - left_ms * MS // 2)
    # And the timestamp does not lead the venue's clock, while there is as much time left.
    if clock.error_ns <= left_ms * MS // 2:
        assert (timestamp - offset_ms) * MS <= time.ns


@given(
    offset_ms=st.integers(-3_600_000, 3_600_000),
    out_ms=st.integers(0, 10_000),
    back_ms=st.integers(0, 10_000),
)
def test_a_query_is_taken_however_slow_the_answers_were_that_told_the_time(
    offset_ms: int, out_ms: int, back_ms: int
) -> None:
    time = Time()
    clock = VenueClock(time.now)
    sent_ns = time.ns
    time.ns += out_ms * MS
    told_ns = time.ns + offset_ms * MS
    time.ns += back_ms * MS
    clock.measured(sent_ns, told_ns)
    timestamp, window = clock.stamp_lasting(5_000 * MS)
    venue_ms = time.ns // MS + offset_ms
    assert timestamp <= venue_ms
    assert venue_ms - timestamp <= window - 4_000
    assert window <= 60_000


def test_what_has_expired_has_no_window() -> None:
    time = Time()
    clock = VenueClock(time.now)
    clock.measured(time.ns, time.ns)
    assert clock.stamp(time.ns) == (START // MS, 0)
    assert clock.stamp(time.ns - MS)[1] == 0


def test_a_clock_that_was_set_is_measured_anew_after_it_is_forgotten() -> None:
    time = Time()
    clock = VenueClock(time.now)
    clock.measured(time.ns, time.ns + 5_000 * MS)
    assert clock.offset_ns == 5_000 * MS
    clock.forget()
    time.ns += 1_000 * MS
    clock.measured(time.ns, time.ns)
    assert clock.offset_ns == 0


def tell(clock: VenueClock, time: Time, offset_ms: int, there_and_back_ms: int = 20) -> None:
    """One answer of a venue whose clock is ahead of ours by so much."""
    sent_ns = time.ns
    time.ns += there_and_back_ms // 2 * MS
    told_ns = time.ns + offset_ms * MS
    time.ns += there_and_back_ms // 2 * MS
    clock.measured(sent_ns, told_ns)


@pytest.mark.parametrize("wrong_ms", [5_000, -5_000, 3_600_000, -3_600_000])
@pytest.mark.parametrize("place", [1, 2, 5])
def test_one_wrong_answer_about_the_time_moves_nothing(wrong_ms: int, place: int) -> None:
    """It was believed: for a minute, trades of the next seconds were taken for older than a statement."""
    time = Time()
    clock = VenueClock(time.now)
    for number in range(8):
        tell(clock, time, wrong_ms if number == place else 40)
        time.ns += 15_000 * MS
        assert abs(clock.offset_ns - 40 * MS) <= clock.error_ns


@pytest.mark.parametrize("set_ms", [5_000, -5_000, 3_600_000, -3_600_000])
def test_a_clock_that_was_set_is_followed_from_the_second_answer(set_ms: int) -> None:
    time = Time()
    clock = VenueClock(time.now)
    for _ in range(5):
        tell(clock, time, 0)
    for _ in range(2):
        tell(clock, time, set_ms)
    assert abs(clock.offset_ns - set_ms * MS) <= clock.error_ns


def test_a_wrong_first_answer_counts_until_two_agree_on_another() -> None:
    time = Time()
    clock = VenueClock(time.now)
    tell(clock, time, 5_000)
    tell(clock, time, 40)
    tell(clock, time, 40)
    assert abs(clock.offset_ns - 40 * MS) <= clock.error_ns


@given(
    drift_ppm=st.integers(-1_000, 1_000),
    there_and_back_ms=st.lists(st.integers(0, 400), min_size=5, max_size=40),
)
def test_clocks_that_drift_are_never_doubted(drift_ppm: int, there_and_back_ms: list[int]) -> None:
    """Ten times as fast as a quartz, between answers as far apart as any."""
    time = Time()
    clock = VenueClock(time.now)
    for each in there_and_back_ms:
        tell(clock, time, 0, each)
        assert clock._doubted is None
        time.ns += 15_000 * MS
        time.ns += 15_000 * MS * drift_ppm // 1_000_000


def test_after_a_clock_is_forgotten_the_next_answer_counts() -> None:
    time = Time()
    clock = VenueClock(time.now)
    tell(clock, time, 0)
    clock.forget()
    tell(clock, time, 7_000)
    assert abs(clock.offset_ns - 7_000 * MS) <= clock.error_ns
