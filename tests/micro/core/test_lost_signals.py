"""A signal before which others of its publisher were lost brings no new risk; exits go through."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import MS, SECOND, START, Rig, signal

ALGO = {"algo": "marketable_limit"}


@pytest.fixture
def rig() -> Rig:
    """Micro that has heard signal 1 of a publisher."""
    rig = Rig()
    rig.send(signal("first", **ALGO, created_ns=rig.now, expires_ns=rig.now + 10 * SECOND))
    assert rig.report("first").status != "rejected"
    return rig


def send(rig: Rig, name: str, seq: int, **changes: object) -> str:
    """The reason code that a signal ends with; empty when it is taken."""
    now_ns = rig.now
    times = {"created_ns": now_ns, "expires_ns": now_ns + 10 * SECOND}
    rig.send(signal(name, **{**ALGO, "seq": seq, **times, **changes}))
    return rig.report(name).reason_code


def test_the_next_is_taken_and_one_behind_a_gap_is_not(rig: Rig) -> None:
    assert send(rig, "second", 2) == ""
    assert send(rig, "fifth", 5) == "SEQ_GAP"
    assert "2 earlier signals were lost" in rig.report("fifth").reason
    assert send(rig, "sixth", 6) == "", "it knows no more than before, and tells that it goes on"


def test_what_was_lost_itself_and_sent_again_is_taken(rig: Rig) -> None:
    assert send(rig, "again", 3, created_ns=rig.now - 60 * MS) == ""


def test_an_exit_is_taken_all_the_same(rig: Rig) -> None:
    rig.run(2 * SECOND)
    assert rig.report("first").filled == Decimal("0.5")
    assert send(rig, "entry", 4) == "SEQ_GAP"
    assert send(rig, "exit", 9, side="sell") == ""


def test_another_run_of_the_publisher_and_another_publisher_begin_anew(rig: Rig) -> None:
    assert send(rig, "restarted", 7, epoch=2) == ""
    assert send(rig, "of the first", 3) == "SEQ_GAP"


def test_an_older_one_that_comes_late_is_no_gap(rig: Rig) -> None:
    assert send(rig, "third", 3) == "SEQ_GAP"
    assert send(rig, "second", 2) == ""
    assert send(rig, "fourth", 4) == ""
    assert rig.now >= START
