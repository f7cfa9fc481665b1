"""What the mirror keeps, and what it lets go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from citadel_bridge import micro_state as module
from citadel_bridge.micro_state import MicroStateCache
from citadel_bridge.read_api import MicroView
from citadel_proto import topics
from citadel_proto.messages import (
    Answer,
    Balance,
    ConsolidatedBook,
    ExecutionReport,
    MicroHeartbeat,
    Position,
)

if TYPE_CHECKING:
    import pytest


def beat(instance: str, seq: int = 1, **seen: str) -> MicroHeartbeat:
    return MicroHeartbeat(
        instance=instance,
        seq=seq,
        state="active",
        started_ns=0,
        wall_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        **seen,  # type: ignore[arg-type]
    )


def report(signal_id: str, revision: int = 1, **changes: object) -> ExecutionReport:
    values: dict[str, object] = dict.fromkeys(ExecutionReport.__struct_fields__, "")
    values |= {
        "signal_id": signal_id,
        "revision": revision,
        "fills": (),
        "balances": (),
        "position": None,
        "status": "working",
        "venue": "v",
        "own": False,
        "updated_ns": revision,
        "instance": "m",
        "seq": revision,
    }
    return ExecutionReport(**values | changes)  # type: ignore[arg-type]


def balance(total: str) -> tuple[Balance, ...]:
    return (Balance(currency="USDT", free=total, used="0", total=total),)


def test_runs_of_micro_that_are_long_dead_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = MicroStateCache("macro-1")
    mirror.apply(topics.HEARTBEAT, beat("old", 9))
    mirror.apply(topics.HEARTBEAT, beat("newer"))
    assert set(mirror.peers) == {"old", "newer"}
    monkeypatch.setattr(module, "FORGET_NS", -1)
    mirror.apply(topics.HEARTBEAT, beat("newest"))
    assert set(mirror.peers) == {"newest"}
    assert mirror.sequences.observe("old", topics.HEARTBEAT, 1) == 0


def test_being_connected_needs_both_directions() -> None:
    heard: list[str] = []
    mirror = MicroStateCache("macro-1")
    mirror.on_heartbeat = heard.append
    mirror.apply(topics.HEARTBEAT, beat("m", 1, macro_instance_seen="macro-2"))
    assert heard == []
    mirror.apply(topics.HEARTBEAT, beat("m", 2, macro_instance_seen="macro-1"))
    assert heard == ["m"]
    answering = MicroStateCache("macro-1")
    answering.on_heartbeat = heard.append
    answer = Answer(query_id="q", kind="order", found=False, instance="n", seq=1)
    answering.apply(topics.answer("macro-1"), answer)
    assert heard == ["m"]  # it hears us, but has no heartbeat yet
    answering.apply(topics.HEARTBEAT, beat("n"))
    assert heard == ["m", "n"]


def test_an_instance_that_appears_may_have_said_something_before() -> None:
    reasons: list[str] = []
    mirror = MicroStateCache()
    mirror.on_lost = reasons.append
    mirror.apply(topics.HEARTBEAT, beat("m", 1))
    mirror.apply(topics.HEARTBEAT, beat("m", 2))
    assert len(reasons) == 1
    mirror.apply(b"report/s/x", report("a", 1))
    mirror.apply(b"report/s/x", report("a", 4))
    assert reasons[1:] == ["2 messages missing on report/s/x"]


def test_missing_heartbeats_say_that_the_last_report_of_a_topic_may_be_lost() -> None:
    """Such a loss shows in no later report, and of an order that micro made itself nobody would ask."""
    reasons: list[str] = []
    mirror = MicroStateCache()
    mirror.on_lost = reasons.append
    for seq in (1, 2, 5, 5, 6):
        mirror.apply(topics.HEARTBEAT, beat("m", seq))
    assert reasons[1:] == ["2 heartbeats of m missing"]


def test_balances_are_there_before_the_report_that_carries_them() -> None:
    mirror = MicroStateCache()
    seen: list[str] = []
    mirror.on_report = lambda _report: seen.append(mirror.balances["v", "m"]["USDT"].total)
    mirror.apply_report(report("a", balances=balance("5")))
    assert seen == ["5"]


def test_an_answer_without_a_time_is_the_newest() -> None:
    mirror = MicroStateCache("macro-1")
    mirror.apply_report(report("a", 7, balances=balance("5")))
    old = Answer(
        query_id="q",
        kind="balances",
        found=True,
        balances=balance("1"),
        instance="m",
        seq=1,
        answered_ns=6,
    )
    mirror.set_answered_balances("v", old)
    assert mirror.balances["v", "m"]["USDT"].total == "5"
    mirror.set_answered_balances("v", msgspec.structs.replace(old, answered_ns=0))
    assert mirror.balances["v", "m"]["USDT"].total == "1"


def test_a_position_is_the_newest_one() -> None:
    def position(quantity: str) -> Position:
        return Position(
            venue="v", symbol="x", quantity=quantity, entry_price="1", realised="0", unrealised="0"
        )

    mirror = MicroStateCache()
    mirror.apply_report(report("a", 5, position=position("2")))
    mirror.apply_report(report("b", 3, position=position("1")))  # older, of another order
    assert mirror.positions["v", "x"].quantity == "2"


def test_a_run_after_one_under_a_clock_far_ahead_is_believed() -> None:
    def position(quantity: str) -> Position:
        return Position(
            venue="v", symbol="x", quantity=quantity, entry_price="1", realised="0", unrealised="0"
        )

    mirror = MicroStateCache("macro-1")
    ahead = 10**12
    mirror.apply_report(
        report("a", 1, updated_ns=ahead, balances=balance("5"), position=position("5"))
    )
    now = 10**9
    mirror.apply_report(
        report(
            "b", 1, updated_ns=now, balances=balance("4"), position=position("4"), instance="m-n"
        )
    )
    assert mirror.balances["v", "m"]["USDT"].total == "4"
    assert mirror.positions["v", "x"].quantity == "4"
    older = report(
        "c", 1, updated_ns=now - 1, balances=balance("3"), position=position("3"), instance="m-n"
    )
    mirror.apply_report(older)
    assert mirror.balances["v", "m"]["USDT"].total == "4"
    assert mirror.positions["v", "x"].quantity == "4"


def test_finished_reports_go_first_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_REPORTS", 20)
    mirror = MicroStateCache()
    mirror.apply_report(report("working"))
    for n in range(50):
        mirror.apply_report(report(f"done-{n}", n + 2, status="filled"))
    assert len(mirror.reports) <= 20
    assert {"working", "done-49"} <= set(mirror.reports)


def test_micros_own_orders_are_kept_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REPORTS", 20)
    mirror = MicroStateCache()
    mirror.apply_report(report("own-1", 1, own=True))
    mirror.apply_report(report("own-1", 2, own=True, status="filled"))
    mirror.apply_report(report("own-1", 1, own=True))  # an older one, late
    mirror.apply_report(report("ours", 3))
    assert {name: each.revision for name, each in mirror.own.items()} == {"own-1": 2}
    for n in range(50):
        mirror.apply_report(report(f"done-{n}", n + 4, status="filled", updated_ns=n))
    assert set(mirror.own) <= set(mirror.reports)


def test_what_others_have_filled_waits_to_be_taken() -> None:
    mirror = MicroStateCache()
    mirror.apply_report(report("before", 1, owner="them", status="filled", filled="1"))
    assert not mirror.of_others, "nobody is told apart"
    mirror.owner = "us"
    for number, (name, owner, own, status, filled) in enumerate(
        [
            ("ours", "us", False, "filled", "1"),
            ("nobodys", "", False, "filled", "1"),  # of before orders had owners
            ("theirs", "them", False, "filled", "0.50"),
            ("working", "them", False, "working", "0.5"),
            ("empty", "them", False, "canceled", "0.00"),
            ("flatten", "", True, "filled", "1"),
            ("bracket", "us", True, "filled", "1"),
        ],
        start=2,
    ):
        each = report(name, number, owner=owner, own=own, status=status, filled=filled)
        mirror.apply_report(each)
        mirror.apply_report(each)  # told twice
    view = MicroView(mirror, 1.0)
    assert [each.signal_id for each in view.take_of_others()] == ["theirs", "flatten", "bracket"]
    assert view.take_of_others() == []


def test_the_newest_consolidated_book_is_kept() -> None:
    mirror = MicroStateCache("macro-1")
    topic = topics.consolidated("BTC/USDT")
    for seq in (1, 3, 2):
        book = ConsolidatedBook(
            symbol="BTC/USDT",
            bids=b"",
            asks=b"",
            venues=(),
            left_out={},
            published_ns=seq,
            instance="m",
            seq=seq,
        )
        mirror.apply(topic, book)
    view = MicroView(mirror, dead_after=1.0)
    kept = view.consolidated("BTC/USDT")
    assert kept is not None
    assert kept.seq == 3
    assert view.consolidated("ETH/USDT") is None
