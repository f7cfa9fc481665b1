"""A mute stream is found by what it owes."""

from __future__ import annotations

from citadel_micro.shell.venue.stream_watch import StreamWatch

S = 1_000_000_000


def test_an_answer_without_its_event_is_overdue() -> None:
    watch = StreamWatch(3 * S)
    watch.expect_order("7", closed=False, now_ns=0)
    assert watch.overdue(3 * S - 1) == ""
    assert "order 7 is open" in watch.overdue(3 * S)


def test_the_event_may_come_before_the_answer() -> None:
    watch = StreamWatch(3 * S)
    watch.saw_order("7", closed=True)
    watch.expect_order("7", closed=False, now_ns=0)
    watch.expect_order("7", closed=True, now_ns=0)
    assert watch.overdue(100 * S) == ""


def test_an_open_order_is_not_yet_closed() -> None:
    watch = StreamWatch(3 * S)
    watch.expect_order("7", closed=False, now_ns=0)
    watch.saw_order("7", closed=False)
    watch.expect_order("7", closed=True, now_ns=S)
    assert "order 7 is closed" in watch.overdue(4 * S)
    watch.saw_order("7", closed=True)
    assert watch.overdue(9 * S) == ""


def test_an_answer_that_comes_twice_does_not_put_it_off() -> None:
    watch = StreamWatch(3 * S)
    watch.expect_order("7", closed=False, now_ns=0)
    watch.expect_order("7", closed=False, now_ns=2 * S)
    assert watch.overdue(3 * S)


def test_another_stream_owes_nothing_of_before() -> None:
    watch = StreamWatch(3 * S)
    watch.expect_order("7", closed=False, now_ns=0)
    watch.begin(100)
    assert watch.overdue(9 * S) == ""


def test_an_account_that_changed_without_a_word_of_the_stream() -> None:
    watch = StreamWatch(3 * S)
    watch.begin(100 * S)
    for _ in range(2):
        watch.expect_account(99 * S, 0)  # before the stream began
    assert watch.overdue(9 * S) == ""
    for second in range(120, 130):  # the time of the answer, which says nothing
        watch.expect_account(second * S, 10 * S)
    assert watch.overdue(99 * S) == ""
    for _ in range(2):
        watch.expect_account(120 * S, 10 * S)
    watch.saw(110 * S)  # of something older
    assert "nothing since" in watch.overdue(13 * S)
    watch.saw(120 * S)
    assert watch.overdue(99 * S) == ""
