"""A signal before which others of its publisher were lost brings no new risk; exits go through."""

from __future__ import annotations

from decimal import Decimal

from engine_kit import MS, SECOND, Rig, signal

from citadel_micro.core.orders.remembered_ids import Ended


def send(rig: Rig, name: str, missed: int, *, age_ns: int = 0, **changes: object) -> str:
    """The reason code that a signal ends with; empty when it is taken."""
    created_ns = rig.now - age_ns
    times = {"created_ns": created_ns, "expires_ns": created_ns + 10 * SECOND}
    values = {"algo": "marketable_limit", "missed": missed, **times, **changes}
    rig.send(signal(name, **values))
    return rig.report(name).reason_code


def test_one_behind_lost_ones_is_refused_and_the_next_is_taken() -> None:
    rig = Rig()
    assert send(rig, "first", 0) == ""
    assert send(rig, "fourth", 2) == "SEQ_GAP"
    assert "2 earlier signals were lost" in rig.report("fourth").reason
    assert send(rig, "fifth", 0) == "", "it knows no more than before, and tells that it goes on"


def test_what_may_have_been_lost_itself_and_sent_again_is_taken() -> None:
    rig = Rig()
    assert send(rig, "again", 1, age_ns=50 * MS) == ""
    assert send(rig, "new", 1, age_ns=49 * MS) == "SEQ_GAP"


def test_an_exit_is_taken_all_the_same() -> None:
    rig = Rig()
    assert send(rig, "first", 0) == ""
    rig.run(2 * SECOND)
    assert rig.report("first").filled == Decimal("0.5")
    assert send(rig, "entry", 1) == "SEQ_GAP"
    assert send(rig, "exit", 4, side="sell") == ""


def test_what_ended_under_a_name_is_not_begun_again_whoever_hands_it_in() -> None:
    """A second lock, behind the intake that answers a repeated signal with what became of it."""
    rig = Rig()
    order_store = rig.engine.order_store
    order_store.remembered.end("s1", Ended.refused(signal("s1"), "KILLED", rig.now), rig.now)
    parent = order_store.open(signal("s1", created_ns=rig.now), rig.now, own=False)
    rig.engine._intake.admit(parent, rig.now)
    assert (parent.reason_code, rig.venue.placed) == ("DUPLICATE", [])
