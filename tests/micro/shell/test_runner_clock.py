from __future__ import annotations

from citadel_micro.shell.clock import Clock
from citadel_micro.shell.stats import Histogram, SignalTimes


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
