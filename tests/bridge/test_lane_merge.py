"""One sequence of two ways: whatever a lane does, what comes is what ZeroMQ alone would have brought."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from citadel_bridge.lane_merge import MOST, Merge, Run, Way

STEPS: Final = ("send", "send", "send", "zmq", "zmq", "zmq", "lane", "lane", "lane")
TROUBLES: Final = ("lost", "left out", "repeated", "ended", "begun", "book")


def frame(publisher: int, number: int) -> bytes:
    return b"report/s%d/BTC\0%d" % (publisher, number)


@dataclass
class Publisher:
    """Sends by both ways; what a receiver takes waits in queues."""

    merge: Merge
    name: int
    sent: int = 0
    by_zmq: deque[bytes] = field(default_factory=deque)
    by_lane: deque[tuple[int, bytes]] = field(default_factory=deque)
    brought: list[bytes] = field(default_factory=list)
    """By ZeroMQ, in the end: what came without a lane."""
    delivered: list[bytes] = field(default_factory=list)
    books: int = 0
    _number: int = 0
    _run: Run | None = None

    def __post_init__(self) -> None:
        self.way: Way = self.merge.way(self._deliver)

    def _deliver(self, each: bytes) -> None:
        if each.startswith(b"book/"):
            self.books += 1
        else:
            self.delivered.append(each)

    def do(self, step: str) -> None:
        if step in ("send", "lost", "left out"):
            self.sent += 1
            made = frame(self.name, self.sent)
            if step != "lost":
                self.by_zmq.append(made)
                self.brought.append(made)
            self._number += 1
            if self._run is not None and step != "left out":
                self.by_lane.append((self._number, made))
        elif step == "book":
            self.by_zmq.append(b"book/x\0")
        elif step == "zmq" and self.by_zmq:
            self.way.by_zmq(self.by_zmq.popleft())
        elif step in ("lane", "repeated") and self.by_lane and self._run is not None:
            for _ in range(1 + (step == "repeated")):
                self.merge.by_lane(self._run, *self.by_lane[0])
            self.by_lane.popleft()
        elif step == "ended" and self._run is not None:
            self.merge.end(self._run)
            self._run = None
            self.by_lane.clear()
        elif step == "begun" and self._run is None:
            self._run, self._number = self.merge.begin(), 0


def play(steps: list[tuple[int, str]], last: tuple[str, str] = ("zmq", "lane")) -> list[Publisher]:
    merge = Merge()
    publishers = [Publisher(merge, name) for name in range(2)]
    for each in publishers:
        each.do("begun")
    for name, step in steps:
        publishers[name].do(step)
    for step in last:
        for each in publishers:
            while each.by_zmq if step == "zmq" else each.by_lane:
                each.do(step)
    return publishers


ANY: Final = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(STEPS + TROUBLES)), max_size=120)
LOSSLESS: Final = ANY.map(lambda steps: [each for each in steps if each[1] != "lost"])


@given(LOSSLESS, st.permutations(["zmq", "lane"]))
def test_where_zeromq_loses_nothing_a_lane_changes_nothing(
    steps: list[tuple[int, str]], last: list[str]
) -> None:
    for each in play(steps, (last[0], last[1])):
        assert each.delivered == [frame(each.name, n + 1) for n in range(each.sent)]
        assert each.books == sum(step == (each.name, "book") for step in steps)


@given(ANY, st.permutations(["zmq", "lane"]))
def test_of_what_zeromq_loses_a_lane_can_only_bring_some_back(
    steps: list[tuple[int, str]], last: list[str]
) -> None:
    for each in play(steps, (last[0], last[1])):
        numbers = [int(one.partition(b"\0")[2]) for one in each.delivered]
        assert numbers == sorted(set(numbers))  # each once, in order: no gap that there is not
        assert set(each.delivered) >= set(each.brought)
        assert each.sent >= len(numbers)


def test_in_step_the_first_copy_is_taken_and_the_second_is_counted() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "lane", "zmq"):
        one.do(step)
    assert (merge.in_step, merge.first, merge.second, merge.left) == (1, 0, 1, 1)
    for step in ("send", "lane"):
        one.do(step)
    assert one.delivered == [frame(0, 1), frame(0, 2)]  # before ZeroMQ
    one.do("zmq")
    assert len(one.delivered) == 2
    for step in ("send", "zmq", "lane"):
        one.do(step)
    assert (merge.first, merge.second, merge.left) == (1, 3, 1)


def test_a_message_that_zeromq_brings_first_puts_a_lane_in_step_as_well() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "send", "zmq", "zmq", "lane"):
        one.do(step)
    assert (merge.in_step, merge.second) == (1, 1)
    for step in ("lane", "send", "lane"):
        one.do(step)
    assert merge.first == 1
    assert one.delivered == [frame(0, n) for n in (1, 2, 3)]


def test_what_waited_for_its_turn_is_not_waited_for_again() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "send", "send", "lane", "lane", "lane", "zmq"):
        one.do(step)
    assert one.delivered == [frame(0, n) for n in (1, 2, 3)]  # with the first, those behind it
    assert merge.first == 2


def test_nothing_is_taken_after_a_hole_until_zeromq_has_filled_it() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq", "lane", "left out", "send", "lane"):
        one.do(step)
    assert one.delivered == [frame(0, 1)]
    assert (merge.in_step, merge.missed) == (0, 1)
    one.do("zmq")
    assert one.delivered == [frame(0, 1), frame(0, 2)]
    one.do("zmq")
    assert one.delivered == [frame(0, n) for n in (1, 2, 3)]
    assert merge.in_step == 1
    one.do("send")
    one.do("lane")
    assert one.delivered[-1] == frame(0, 4)


def test_a_lane_stays_ahead_for_ever() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq", "lane") + ("send", "lane", "zmq") * 2 * MOST:
        one.do(step)
    assert merge.first == 2 * MOST
    for step in ("lost", "lane") * 2 * MOST + ("send", "lane", "zmq", "send", "lane"):
        one.do(step)
    assert merge.first == 3 * MOST + 1  # as many as it may be ahead; then ZeroMQ was heard of again


def test_what_zeromq_has_lost_and_the_lane_brings_too_late_stays_lost() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq", "lane", "lost", "send", "zmq", "lane", "lane"):
        one.do(step)
    assert one.delivered == [frame(0, 1), frame(0, 3)]
    assert merge.late == 1


def test_what_zeromq_has_lost_comes_by_a_lane_that_is_in_time() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq", "lane", "lost", "lane", "send", "zmq", "lane"):
        one.do(step)
    assert one.delivered == [frame(0, n) for n in (1, 2, 3)]


def test_nothing_is_taken_from_a_lane_whose_messages_zeromq_does_not_bring() -> None:
    merge = Merge()
    heard = Publisher(merge, 0)
    stranger = merge.begin()
    for number in range(1, 4 * MOST):
        merge.by_lane(stranger, number, frame(7, number))
        heard.do("send")
        heard.do("zmq")
    assert len(heard.delivered) == heard.sent
    assert not any(each.startswith(b"report/s7") for each in heard.delivered)
    assert len(stranger.waiting) <= MOST  # nor does it take memory
    assert len(heard.way.behind) <= MOST


def test_a_lane_that_is_too_far_ahead_waits_for_zeromq() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq", "lane"):
        one.do(step)
    for _ in range(2 * MOST):
        one.do("send")
        one.do("lane")
    assert len(one.delivered) == 1 + MOST
    while one.by_zmq:
        one.do("zmq")
    assert one.delivered == [frame(0, n + 1) for n in range(one.sent)]


def test_a_revoked_key_ends_what_comes_by_the_lane() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq", "lane"):
        one.do(step)
    one.way.cut = True
    for step in ("send", "lane", "send", "lane"):
        one.do(step)
    assert one.delivered == [frame(0, 1)]
    one.way.cut = False
    for step in ("zmq", "zmq"):
        one.do(step)
    assert one.delivered == [frame(0, n) for n in (1, 2, 3)]


def test_a_key_that_is_revoked_before_a_lane_is_in_step_keeps_it_out() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    one.do("begun")
    for step in ("send", "zmq"):
        one.do(step)
    one.way.cut = True
    for step in ("lane", "send", "lane"):
        one.do(step)
    assert one.delivered == [frame(0, 1)]
    assert merge.in_step == 0


def test_a_lane_brings_only_what_is_subscribed_to_and_no_books() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    merge.want([b"report/s0/BTC\0"])
    run = merge.begin()
    merge.by_lane(run, 1, frame(0, 1))
    one.way.by_zmq(frame(0, 1))
    merge.by_lane(run, 2, b"answer/other\0x")
    merge.by_lane(run, 3, b"book/x\0y")
    merge.by_lane(run, 4, frame(0, 2))
    assert one.delivered == [frame(0, 1), frame(0, 2)]
    assert merge.in_step == 1


def test_a_second_lane_of_one_publisher_takes_the_place_of_the_first() -> None:
    merge = Merge()
    one = Publisher(merge, 0)
    first, second = merge.begin(), merge.begin()
    for number in (1, 2):
        made = frame(0, number)
        merge.by_lane(first, number, made)
        merge.by_lane(second, number, made)
        one.way.by_zmq(made)
    merge.by_lane(first, 3, frame(0, 3))
    merge.by_lane(second, 3, frame(0, 3))
    one.way.by_zmq(frame(0, 3))
    merge.end(first)
    merge.end(first)
    merge.by_lane(second, 4, frame(0, 4))
    one.way.by_zmq(frame(0, 4))
    assert one.delivered == [frame(0, n) for n in (1, 2, 3, 4)]
