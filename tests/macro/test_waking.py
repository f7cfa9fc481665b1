from __future__ import annotations

import threading
import time

from citadel_macro.wakeup import BURST, PER_S, Budget, WakeUp


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
    assert loops <= BURST + 2 * PER_S + 1
    assert loops >= BURST
