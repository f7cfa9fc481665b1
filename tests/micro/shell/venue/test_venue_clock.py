"""The venue's time, and requests that it must refuse after their expiry."""

from __future__ import annotations

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
