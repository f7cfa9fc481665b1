from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.clock import Clock, goes_on_at, mark
from citadel_micro.shell.stats import Histogram, SignalTimes

if TYPE_CHECKING:
    from pathlib import Path


def test_steps_of_the_wall_clock_do_not_move_engine_time() -> None:
    times = {"wall": 1_000, "mono": 50}
    clock = Clock(wall=lambda: times["wall"], mono=lambda: times["mono"])
    assert clock.now() == 1_000
    times.update(wall=10, mono=60)
    assert clock.now() == 1_010
    assert clock.drift_ns() == -1_000
    times.update(wall=9_000, mono=61)
    assert clock.now() == 1_011


def test_engine_time_goes_on_after_the_last_run() -> None:
    clock = Clock(not_before_ns=5_000, wall=lambda: 1_000, mono=lambda: 0)
    assert clock.now() == 5_000


def test_histogram_counts_into_its_buckets() -> None:
    histogram = Histogram((10, 20, 30))
    for ns in (5, 10, 11, 30, 31):
        histogram.observe(ns)
    assert histogram.counts == [2, 1, 1, 1]
    assert (histogram.total, histogram.sum_ns) == (5, 87)
    assert histogram.quantile(0.5) == 20.0
    assert histogram.quantile(1.0) == float("inf")
    assert Histogram().quantile(0.5) is None


def test_only_the_first_order_of_a_signal_counts() -> None:
    times = SignalTimes()
    times.received("s", 100)
    times.received("s", 200)
    times.submitted("s", 350)
    times.submitted("s", 900)
    times.submitted("never received", 1)
    assert (times.histogram.total, times.histogram.sum_ns) == (1, 250)


def test_signals_that_never_place_do_not_pile_up() -> None:
    times = SignalTimes()
    for number in range(5_000):
        times.received(str(number), number)
    times.submitted("0", 10)
    assert times.histogram.total == 0
    times.submitted("4999", 5_000)
    assert times.histogram.total == 1


def test_the_time_between_two_runs_is_known_whatever_the_clock_was_set_to(tmp_path: Path) -> None:
    second = 1_000_000_000
    ahead = Clock(wall=lambda: 600 * second)
    began_ns = time.monotonic_ns()
    mark(tmp_path, ahead)
    last_ns = ahead.now()
    time.sleep(0.3)
    goes_on_ns = goes_on_at(tmp_path, last_ns)
    assert 0.3 * second <= goes_on_ns - last_ns <= time.monotonic_ns() - began_ns
    again = Clock(not_before_ns=goes_on_ns, wall=lambda: second)
    assert again.now() >= goes_on_ns
    assert (tmp_path / "clock.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"boot": "another", "engine_ns": 1, "mono_ns": 1}',
        '{"boot": "", "engine_ns": 1, "mono_ns": 1}',
        '{"boot": "another", "engine_ns": "x", "mono_ns": []}',
    ],
)
def test_engine_time_goes_on_behind_the_last_stamp_where_nothing_is_known(
    text: str, tmp_path: Path
) -> None:
    assert goes_on_at(tmp_path, 77) == 78
    (tmp_path / "clock.json").write_text(text)
    assert goes_on_at(tmp_path, 77) == 78


def test_a_mark_that_cannot_be_of_the_last_run_is_not_believed(tmp_path: Path) -> None:
    clock = Clock()
    mark(tmp_path, clock)
    for last_ns in (clock.now() - 10**12, clock.now() + 10**12):
        assert goes_on_at(tmp_path, last_ns) == last_ns + 1
