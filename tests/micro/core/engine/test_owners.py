"""Whose order is it: an order is withdrawn by its owner or the operator, and by nobody else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from effort import examples
from engine_kit import MS, SECOND, START, Rig, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.engine import owners
from citadel_micro.core.model.commands import PublishAnswer, PublishBeat
from citadel_micro.core.model.events import CancelReceived, MacroBeat, QueryReceived, SignalRefused

if TYPE_CHECKING:
    from typing import Any


def cancel(rig: Rig, signal_id: str = "s1", **who: Any) -> None:  # noqa: ANN401 - fields by name
    rig.send(CancelReceived(signal_id=signal_id, reason="test", **who))
    rig.run(20 * MS)


def beat(rig: Rig, instance: str, epoch: int, owner: str = "a", **changes: Any) -> None:  # noqa: ANN401
    rig.send(
        MacroBeat(
            instance=instance,
            strategy="same",
            epoch=epoch,
            seq=1,
            skew_ns=0,
            owner=owner,
            **changes,
        )
    )


def refused(rig: Rig) -> dict[str, str]:
    """Processes that micro's newest heartbeat names as refused."""
    before = len(rig.commands)
    rig.run(1_100 * MS)
    beats = [c for _, c in rig.commands[before:] if isinstance(c, PublishBeat)]
    return dict(beats[-1].macros_refused)


# --- cancels ------------------------------------------------------------------------------------


def test_a_stranger_of_the_same_strategy_cannot_cancel() -> None:
    rig = Rig()
    rig.send(signal(owner="a"))
    rig.run(20 * MS)
    cancel(rig, owner="b")
    assert rig.report().status == "working"
    cancel(rig)  # a publisher that names no owner
    assert rig.report().status == "working"
    assert rig.events_noted().count("cancel_refused") == 2
    cancel(rig, owner="a")
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "CANCELED_BY_MACRO")
    assert rig.report().owner == "a"


def test_the_operator_cancels_anybodys_order() -> None:
    rig = Rig()
    rig.send(signal(owner="a"))
    rig.run(20 * MS)
    cancel(rig, owner="cli", operator=True)
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "CANCELED_BY_OPERATOR")


def test_an_order_without_an_owner_may_be_withdrawn_by_whoever_sent_it() -> None:
    """By frames of releases that knew no owners, and by an upgraded macro after its restart."""
    for who in ({}, {"owner": "a"}):
        rig = Rig()
        rig.send(signal())
        rig.run(20 * MS)
        cancel(rig, **who)
        assert rig.report().status == "canceled"


def test_only_the_operator_withdraws_what_micro_does_by_itself() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.send(signal(order_type="market"))
    rig.run(1 * SECOND)
    rig.venue.fill_at_once = False
    rig.operate("flatten")
    rig.run(50 * MS)
    (own,) = [each for each in rig.engine.order_store.active.values() if each.own]
    cancel(rig, own.id, owner="a")
    assert rig.report(own.id).reason_code == ""
    cancel(rig, own.id, operator=True)
    assert rig.report(own.id).reason_code == "CANCELED_BY_OPERATOR"


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ({"owner": "a"}, "canceled"),
        ({"owner": "b"}, "working"),
        ({}, "working"),
        ({"owner": "cli", "operator": True}, "canceled"),
    ],
)
def test_a_cancel_that_came_first_counts_only_from_its_owner(
    who: dict[str, Any], status: str
) -> None:
    rig = Rig()
    cancel(rig, **who)
    rig.restart()
    rig.run(100 * MS)
    rig.send(signal(owner="a"))
    rig.run(20 * MS)
    assert rig.report().status == status


# --- names --------------------------------------------------------------------------------------


def test_a_name_that_another_owner_has_used_is_neither_executed_nor_answered() -> None:
    rig = Rig()
    rig.send(signal(owner="a"))
    rig.run(20 * MS)
    told, placed = len(rig.reports), len(rig.venue.placed)
    rig.send(signal(owner="b", side="sell"))
    rig.send(
        SignalRefused(
            signal_id="s1",
            strategy="",
            venue="v",
            symbol="s",
            side="buy",
            code="BAD_NUMBER",
            reason="",
            owner="b",
        )
    )
    rig.run(20 * MS)
    assert (len(rig.reports), len(rig.venue.placed)) == (told, placed)
    assert rig.events_noted().count("signal_id_of_another_owner") == 2
    rig.send(signal(owner="a"))
    assert len(rig.reports) == told + 1


def test_a_question_may_leave_out_the_orders_of_others() -> None:
    rig = Rig()
    for name, owner in (("a1", "a"), ("b1", "b"), ("old", ""), ("a2", "a")):
        rig.send(signal(name, owner=owner, quantity=Decimal("0.1")))
    rig.run(20 * MS)
    cancel(rig, "a1", owner="a")

    def ask(**changes: Any) -> list[str]:  # noqa: ANN401 - fields by name
        values: dict[str, Any] = {
            "query_id": "q",
            "kind": "orders",
            "reply_to": "m",
            "signal_id": "",
            "venue": "",
            "symbol": "",
            "since_ns": 0,
            "owner": "a",
        }
        commands = rig.send(QueryReceived(**{**values, **changes}))
        (answer,) = [c for c in commands if isinstance(c, PublishAnswer)]
        return [report.signal_id for report in answer.reports]

    assert ask() == ["a1", "b1", "old", "a2"]
    assert ask(mine=True) == ["a1", "old", "a2"]
    assert ask(mine=True, working=True, since_ns=rig.now + 1) == ["old", "a2"]


# --- one process for each owner -----------------------------------------------------------------


def test_a_second_process_of_one_owner_is_refused_by_name() -> None:
    rig = Rig()
    beat(rig, "macro-1", 10)
    beat(rig, "macro-2", 20)
    assert list(refused(rig)) == ["macro-2"]
    assert "macro-1" in refused(rig)["macro-2"]
    beat(rig, "macro-1", 10)
    rig.send(signal("second", owner="a", epoch=20, created_ns=rig.now))
    assert (rig.report("second").status, rig.report("second").reason_code) == (
        "rejected",
        owners.OWNER_IN_USE,
    )
    rig.send(signal("first", owner="a", epoch=10, created_ns=rig.now))
    rig.run(20 * MS)
    assert rig.report("first").status == "working"
    cancel(rig, "first", owner="a", epoch=20)
    assert rig.report("first").status == "working"
    cancel(rig, "next", owner="a", epoch=20)
    rig.send(signal("next", owner="a", epoch=10, created_ns=rig.now))
    rig.run(20 * MS)
    assert rig.report("next").status == "working"
    assert rig.engine._ticks.macro_seen[0] == "macro-1"


@pytest.mark.parametrize("how", ["silent", "stopped"])
def test_a_restarted_process_takes_over(how: str) -> None:
    rig = Rig()
    beat(rig, "macro-1", 10)
    rig.send(signal("first", owner="a", epoch=10))
    if how == "stopped":
        beat(rig, "macro-1", 10, state="stopping")
    else:
        rig.run(owners.ALIVE_NS + 1)
    beat(rig, "macro-2", 20)
    assert refused(rig) == {}
    rig.send(signal("second", owner="a", epoch=20, created_ns=rig.now, expires_ns=rig.now + SECOND))
    rig.run(20 * MS)
    assert rig.report("second").status == "working"
    cancel(rig, "first", owner="a", epoch=20)
    assert rig.report("first").status == "canceled"
    beat(rig, "macro-1", 10)
    assert list(refused(rig)) == ["macro-1"], "the first came back from a long pause"


def test_what_a_restarted_process_repeats_too_early_is_not_answered_and_taken_later() -> None:
    """A rejection would be the end of an order that only came a second too soon."""
    rig = Rig()
    now = rig.now
    beat(rig, "macro-1", now - SECOND)
    early = signal(owner="a", epoch=now, created_ns=now - 1, expires_ns=now + 60 * SECOND)
    rig.send(early)
    assert rig.reports == []
    rig.run(owners.ALIVE_NS + 1)
    rig.send(early)
    rig.run(20 * MS)
    assert rig.report().status == "working"


def test_micro_remembers_over_its_restart_who_speaks_for_an_owner() -> None:
    rig = Rig()
    beat(rig, "macro-1", 10)
    rig.restart()
    beat(rig, "macro-2", 20)
    assert list(refused(rig)) == ["macro-2"]
    rig.run(owners.ALIVE_NS)
    beat(rig, "macro-2", 20)
    assert refused(rig) == {}


def test_owners_are_bounded_and_the_silent_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "MOST_OWNERS", 2)
    rig = Rig()
    for name in ("a", "b", "c"):
        beat(rig, f"macro-{name}", 10, owner=name)
    assert list(refused(rig)) == ["macro-c"]
    rig.run(owners.ALIVE_NS)
    beat(rig, "macro-b", 10, owner="b")
    beat(rig, "macro-c", 10, owner="c")
    assert refused(rig) == {}
    assert sorted(key for key in rig.durable if key.startswith("owner/")) == ["owner/b", "owner/c"]


def test_no_more_refused_processes_are_named_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "MOST_REFUSED", 2)
    rig = Rig()
    beat(rig, "macro-1", 10)
    for number in range(2, 6):
        beat(rig, f"macro-{number}", number)
    assert len(refused(rig)) == 2
    rig.run(owners.REFUSED_NS)
    assert refused(rig) == {}


# --- random histories ---------------------------------------------------------------------------

_WHO = st.sampled_from(["a", "b", "", "*operator"])
_STEP = st.one_of(
    st.tuples(st.just("signal"), st.integers(0, 3), _WHO.filter(lambda who: who != "*operator")),
    st.tuples(st.just("cancel"), st.integers(0, 3), _WHO),
    st.tuples(st.just("restart"), st.just(0), st.just("")),
)


@settings(max_examples=examples(15, 120), deadline=None)
@given(st.lists(_STEP, min_size=2, max_size=15))
def test_no_history_lets_a_stranger_withdraw_an_order(history: list[tuple[str, int, str]]) -> None:
    rig = Rig()
    owner_of: dict[str, str] = {}
    may_be_over: set[str] = set()
    early: dict[str, set[str]] = {}
    for what, number, who in history:
        name = f"s{number}"
        operator = who == "*operator"
        if what == "signal":
            rig.send(signal(name, owner=who, quantity=Decimal("0.01"), created_ns=START))
            if name not in owner_of:
                owner_of[name] = who
                if early.get(name, set()) & {who, "*operator"}:
                    may_be_over.add(name)
        elif what == "cancel":
            rig.send(
                CancelReceived(
                    signal_id=name,
                    reason="",
                    owner="" if operator else who,
                    operator=operator,
                )
            )
            if name not in owner_of:
                early.setdefault(name, set()).add(who)
            elif operator or owner_of[name] in ("", who):
                may_be_over.add(name)
        else:
            rig.restart()
        rig.run(30 * MS)
        for known, owner in owner_of.items():
            report = rig.report(known)
            assert report.owner == owner
            assert (report.status == "canceled") == (known in may_be_over), known
