"""Threads that wait read by themselves, in turns: each frame is taken once, and in order."""

from __future__ import annotations

import random
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge import turns
from citadel_bridge.channels import Publisher
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_bridge.turns import Waiter
from citadel_proto import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Context

    Until = Callable[..., None]

LONG_S = 3_600.0
"""No test waits for it to pass."""
NUMBERS = 400
leads = pytest.mark.skipif(not turns.LEADS, reason="waiting threads do not read here")


class Rig:
    """A publisher of numbers, and a reader that sets the waiter of each."""

    def __init__(self, context: Context) -> None:
        self.publisher = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "m"})
        end = Endpoint(self.publisher.address)
        self.reader = SubscriberThread(context, [end], [topics.ALL], self)
        self.waiters: dict[int, Waiter] = {}
        self.came: list[int] = []
        self.by: dict[int, int] = {}
        self.on: Callable[[int], object] = lambda _number: None

    def feed(self, frame: bytes) -> None:
        number = int(topics.split(frame)[1])
        self.by[number] = threading.get_ident()
        self.on(number)
        self.came.append(number)
        if number in self.waiters:
            self.waiters[number].set()

    def flush(self) -> None:
        """The batch has ended."""

    def publish(self, *numbers: int) -> bool:
        for number in numbers:
            self.publisher.send_raw(topics.join(topics.RISK, str(number).encode()))
        return True

    def waiter(self, number: int) -> Waiter:
        return self.waiters.setdefault(number, Waiter())

    def reads(self, number: int) -> bool:
        """Whether the thread that waits for a number reads."""
        return self.reader._turns.has(self.waiter(number))

    def wait(self, number: int, seconds: float = LONG_S) -> bool:
        return self.reader.wait(self.waiter(number), seconds)

    def waiting(self, number: int) -> threading.Thread:
        """A thread that waits for a number."""
        self.waiter(number)
        thread = threading.Thread(target=self.wait, args=(number,))
        thread.start()
        return thread

    def close(self) -> None:
        self.reader.close()
        self.publisher.close()


@pytest.fixture
def rig(until: Until) -> Iterator[Rig]:
    context: Context = zmq.Context()
    rig = Rig(context)
    rig.reader.start()
    joined = threading.Event()
    rig.on = lambda _number: joined.set()
    until(lambda: rig.publish(0) and joined.wait(0.02))
    # One more that says that none of those before is on its way any more.
    rig.publish(1)
    until(lambda: 1 in rig.came)
    rig.came.clear()
    rig.on = lambda _number: None
    yield rig
    rig.close()
    context.destroy(linger=0)


@leads
def test_the_thread_that_waits_takes_its_own_answer(rig: Rig, until: Until) -> None:
    thread = rig.waiting(7)
    until(lambda: rig.reads(7))
    rig.publish(6, 7)
    thread.join()
    assert rig.by[6] == rig.by[7] == thread.ident
    rig.publish(8)  # nobody waits: the own thread has its turn
    until(lambda: 8 in rig.came)
    assert rig.by[8] == rig.reader._thread.ident
    assert rig.came == [6, 7, 8]


@leads
def test_the_next_that_waits_has_its_turn_when_one_has_its_answer(rig: Rig, until: Until) -> None:
    first = rig.waiting(10)
    until(lambda: rig.reads(10))
    second, third = rig.waiting(11), rig.waiting(12)
    until(lambda: len(rig.reader._turns._waiting) == 2)
    rig.publish(12)  # of one that does not read: it is called
    third.join()
    assert rig.by[12] == first.ident
    rig.publish(10)
    first.join()
    until(lambda: rig.reads(11))
    rig.publish(11)
    second.join()
    assert rig.by[11] == second.ident
    assert rig.came == [12, 10, 11]


def test_no_number_is_lost_doubled_or_out_of_order(rig: Rig, until: Until) -> None:
    """Threads wait for numbers, some for too short a time, while they come."""
    for number in range(2, NUMBERS):
        rig.waiter(number)
    told: list[tuple[int, bool]] = []

    def work(which: int) -> None:
        chance = random.Random(which)
        for number in sorted(chance.sample(range(2 + which, NUMBERS, 4), 60)):
            patience = chance.choice((0.0, 0.0005, 0.003, LONG_S))
            told.append((number, rig.wait(number, patience) or patience < LONG_S))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    pause = random.Random(9)
    for number in range(2, NUMBERS):
        rig.publish(number)
        if number % 7 == 0:
            time.sleep(pause.random() / 1_000)
    until(lambda: rig.came and rig.came[-1] == NUMBERS - 1)
    for thread in threads:
        thread.join()
    assert rig.came == list(range(2, NUMBERS))
    assert len(told) == 240
    assert all(right for _, right in told)


def test_another_thread_may_bring_the_answer(rig: Rig, until: Until) -> None:
    thread = rig.waiting(20)
    until(lambda: rig.reads(20) or not turns.LEADS)
    rig.waiter(20).set()
    thread.join()
    assert not rig.wait(21, 0.001)  # and one that has not come has not
    assert rig.wait(20, 0.0)


def test_closing_ends_every_wait(rig: Rig, until: Until) -> None:
    threads = [rig.waiting(number) for number in (30, 31, 32)]
    until(lambda: sum(rig.reads(number) for number in (30, 31, 32)) == turns.LEADS)
    rig.close()
    for thread in threads:
        thread.join()
    assert not rig.wait(33)
    rig.reader.subscribe(frozenset([b"x"]))  # too late, and harmless


def test_an_error_of_whoever_takes_a_frame_ends_the_receiving_and_every_wait(
    rig: Rig, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_number: int) -> None:
        raise RuntimeError("a bug")

    threads = [rig.waiting(number) for number in (40, 41)]
    until(lambda: rig.reads(40) or rig.reads(41) or not turns.LEADS)
    rig.on = broken
    rig.publish(42)
    for thread in threads:
        thread.join()
    assert isinstance(rig.reader.failure, RuntimeError)
    assert "receiving has ended" in caplog.text
    assert not rig.wait(43)
    rig.reader._thread.join()


def test_an_error_while_nothing_comes_ends_the_receiving_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> list[int]:
        raise OSError("a descriptor is gone")

    monkeypatch.setattr(rig.reader._turns, "next", broken)
    rig.publish(45)  # the own thread looks again whose turn it is
    rig.reader._thread.join()
    assert isinstance(rig.reader.failure, OSError)
    assert "receiving has ended" in caplog.text
    assert not rig.wait(46)


@leads
def test_who_reads_changes_the_subscriptions_too(rig: Rig, until: Until) -> None:
    changed: list[int] = []
    rig.reader.on_subscribed = lambda _before, _now: changed.append(threading.get_ident())
    thread = rig.waiting(50)
    until(lambda: rig.reads(50))
    rig.reader.subscribe(frozenset([topics.RISK]))
    until(lambda: changed)
    assert changed == [thread.ident]
    rig.publish(50)
    thread.join()
    assert rig.came == [50]


@leads
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_wait_after_the_frame_at_hand(
    rig: Rig, until: Until, number: signal.Signals
) -> None:
    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    def act() -> None:
        until(lambda: rig.reads(61))
        rig.publish(60, 62)

    before = signal.signal(number, stop)
    try:
        rig.on = lambda at: signal.raise_signal(number) if rig.reads(61) and at == 60 else None
        publishing = threading.Thread(target=act)
        publishing.start()
        with pytest.raises(KeyboardInterrupt):
            rig.wait(61)
        publishing.join()
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    until(lambda: 62 in rig.came)
    assert rig.came == [60, 62]


def test_a_signal_that_is_only_noted_ends_no_wait(rig: Rig, until: Until) -> None:
    noted: list[int] = []

    def act() -> None:
        until(lambda: rig.reads(70) or not turns.LEADS)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        until(lambda: noted)
        rig.publish(70)

    before = signal.signal(signal.SIGINT, lambda _number, _frame: noted.append(1))
    try:
        acting = threading.Thread(target=act)
        rig.waiter(70)
        acting.start()
        assert rig.wait(70)
        acting.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert noted == [1]


def test_where_descriptors_cannot_be_watched_in_turns_the_own_thread_reads(
    monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(turns, "LEADS", False)
    monkeypatch.delattr(select, "epoll", raising=False)
    context: Context = zmq.Context()
    rig = Rig(context)
    rig.reader.start()
    try:
        thread = rig.waiting(1)
        until(lambda: rig.publish(1) and rig.waiter(1).done)
        thread.join()
        assert rig.by[1] == rig.reader._thread.ident
    finally:
        rig.close()
        context.destroy(linger=0)
