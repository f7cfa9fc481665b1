from __future__ import annotations

import threading
import time

import pytest

from citadel_macro.seen import SeenMixin
from citadel_macro.wakeup import BURST, MOST_PER_S, PER_S, SHARE, Budget, WakeUp


def test_news_before_the_sleep_is_not_slept_over() -> None:
    event = threading.Event()
    started = time.monotonic()
    WakeUp(event, lambda: True).sleep(30)
    assert time.monotonic() - started < 20


def test_news_during_the_sleep_ends_it() -> None:
    event, news = threading.Event(), threading.Event()

    def report() -> None:
        news.set()
        event.set()

    timer = threading.Timer(0.05, report)
    timer.start()
    started = time.monotonic()
    WakeUp(event, news.is_set).sleep(30)
    assert time.monotonic() - started < 20
    timer.join()


def test_a_report_that_is_no_news_does_not_end_the_sleep() -> None:
    event = threading.Event()
    stop = threading.Event()

    def chatter() -> None:
        while not stop.wait(0.01):
            event.set()

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        started = time.monotonic()
        WakeUp(event, lambda: False).sleep(0.2)
        assert time.monotonic() - started >= 0.2
    finally:
        stop.set()
        thread.join()


def test_news_without_end_does_not_end_every_sleep() -> None:
    event, budget = threading.Event(), Budget()
    started, loops = time.monotonic(), 0
    while time.monotonic() - started < 2:
        WakeUp(event, lambda: True, budget).sleep(5)
        loops += 1
    assert loops <= BURST + 2 * MOST_PER_S + 1
    assert loops >= BURST


class Asked(SeenMixin):
    """Requests, without an exchange below."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    def __del__(self) -> None:
        """Nothing was opened."""


def test_what_a_person_asks_for_while_it_is_looked_for_is_found_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking = Asked()
    requested = asking._requested
    looked = requested.is_set

    def looks() -> bool:
        """Just after the look, somebody asks."""
        found = looked()
        requested.set()
        return found

    monkeypatch.setattr(requested, "is_set", looks)
    assert not asking.take_request()
    monkeypatch.undo()
    assert asking.take_request()
    assert not asking.take_request()


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.worked_s = 0.0


@pytest.mark.parametrize(
    ("cost_s", "per_s"),
    [
        (0.0, MOST_PER_S),
        (0.02, MOST_PER_S),
        (SHARE / 2, 2.0),
        (SHARE / PER_S, PER_S),
        (3.0, PER_S),
    ],
)
def test_how_often_it_ends_early_depends_on_what_a_loop_costs(cost_s: float, per_s: float) -> None:
    clock = Clock()
    budget = Budget(lambda: clock.now_s, lambda: clock.worked_s)
    began, loops = 0.0, 0
    while clock.now_s < 1_000:
        clock.now_s += budget.spend()
        budget.loop_begins()
        clock.worked_s += cost_s  # in no time: how long it takes on a busy machine is no matter
        budget.loop_ended()
        loops += 1
        if loops == BURST:
            assert clock.now_s == 0, "those come at once"
            began = clock.now_s
    assert (loops - BURST) / (clock.now_s - began) == pytest.approx(per_s, rel=0.01)


def test_what_was_saved_in_a_quiet_hour_is_no_more_than_a_burst() -> None:
    clock = Clock()
    budget = Budget(lambda: clock.now_s, lambda: clock.worked_s)
    clock.now_s = 3_600.0
    assert [budget.spend() for _ in range(int(BURST))] == [0.0] * int(BURST)
    assert budget.spend() == 1 / PER_S


@pytest.mark.parametrize("busy", [False, True])
def test_what_a_person_asks_ends_it_whatever_the_budget_says(busy: bool) -> None:
    event, asked, watched = threading.Event(), threading.Event(), threading.Event()

    def ask() -> None:
        assert watched.wait(60)
        asked.set()
        event.set()

    def news() -> bool:
        watched.set()
        return busy

    budget = Budget()
    while not budget.spend():
        pass  # all of them are used up
    for _ in range(60):
        budget.spend()
    person = threading.Thread(target=ask)
    person.start()
    started = time.monotonic()
    WakeUp(event, news, budget, asked=asked.is_set).sleep(50)
    assert time.monotonic() - started < 40
    person.join()
