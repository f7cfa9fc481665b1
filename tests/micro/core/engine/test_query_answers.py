from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, signal

from citadel_micro.core.engine import query_answers as answers
from citadel_micro.core.model.commands import PublishAnswer
from citadel_micro.core.model.events import QueryReceived
from citadel_micro.core.orders import execution_reports as publishing
from citadel_micro.shell.bridge import wire
from citadel_proto.codec import MAX_FRAME, encode

if TYPE_CHECKING:
    import pytest


def ask(rig: Rig, **changes: object) -> PublishAnswer:
    values: dict[str, object] = {
        "query_id": "q1",
        "kind": "orders",
        "reply_to": "m",
        "signal_id": "",
        "venue": "",
        "symbol": "",
        "since_ns": 0,
    }
    commands = rig.send(QueryReceived(**{**values, **changes}))  # type: ignore[arg-type]
    (answer,) = [command for command in commands if isinstance(command, PublishAnswer)]
    return answer


def refused(rig: Rig, count: int) -> None:
    """So many orders that end at once."""
    for number in range(count):
        rig.now += MS
        rig.send(signal(f"s{number}", quantity=Decimal("0.0001"), created_ns=rig.now))


def pages(rig: Rig, **changes: object) -> list[list[str]]:
    """All pages of an answer, the first one first."""
    found, cursor = [], ""
    while True:
        answer = ask(rig, cursor=cursor, **changes)
        assert answer.error == ""
        found.append([report.signal_id for report in answer.reports])
        if not answer.truncated:
            assert answer.cursor == ""
            return found
        cursor = answer.cursor


def test_an_answer_holds_the_newest_orders_and_says_that_there_are_more() -> None:
    rig = Rig()
    refused(rig, answers.MOST_REPORTS + 7)
    answer = ask(rig)
    names = [report.signal_id for report in answer.reports]
    assert names == [f"s{number}" for number in range(7, answers.MOST_REPORTS + 7)]
    assert answer.truncated
    assert answer.error == "", "a cut answer is right as far as it goes"
    assert pages(rig) == [names, [f"s{number}" for number in range(7)]]
    later = ask(rig, since_ns=rig.now - 5 * MS)
    assert len(later.reports) == 6
    assert not later.truncated


def test_pages_are_as_small_as_asked_for_and_leave_out_nothing_that_changes_meanwhile() -> None:
    rig = Rig()
    rig.send(signal("oldest"))
    refused(rig, 10)
    first = ask(rig, limit=4)
    assert [report.signal_id for report in first.reports] == ["s6", "s7", "s8", "s9"]
    rig.send(signal("newer", created_ns=rig.now))
    rig.cancel("oldest")
    rig.run(50 * MS)
    rest = pages(rig, limit=4)
    assert rest == [
        ["s7", "s8", "s9", "newer"],
        ["s3", "s4", "s5", "s6"],
        ["oldest", "s0", "s1", "s2"],
    ]
    second = ask(rig, limit=4, cursor=first.cursor)
    assert [report.signal_id for report in second.reports] == ["s2", "s3", "s4", "s5"]


def test_working_orders_are_found_behind_thousands_that_ended() -> None:
    rig = Rig()
    rig.send(signal("oldest", expires_ns=rig.now + 600 * SECOND))
    refused(rig, 1_500)
    answer = ask(rig, working=True, since_ns=rig.now)
    assert [report.signal_id for report in answer.reports] == ["oldest"]
    assert not answer.truncated


def test_an_answer_holds_a_bounded_number_of_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_FILLS", 2)
    rig = Rig()
    rig.venue.partial_share = 0.0
    for number in range(4):
        created = rig.now
        values = {"order_type": "market", "quantity": Decimal("0.1")}
        rig.send(signal(f"s{number}", created_ns=created, **values))
        rig.run(1 * SECOND)
        rig.now += 1 * SECOND
        rig.book(rig.bid, rig.ask)
        rig.send(signal(f"x{number}", quantity=Decimal("0.0001"), created_ns=rig.now))
    answer = ask(rig)
    assert [report.signal_id for report in answer.reports] == ["x1", "s2", "x2", "s3", "x3"]
    assert answer.truncated
    assert pages(rig) == [["x1", "s2", "x2", "s3", "x3"], ["s0", "x0", "s1"]]


def test_one_order_is_always_answered_and_others_need_no_bound() -> None:
    rig = Rig()
    refused(rig, 3)
    assert [r.signal_id for r in ask(rig, kind="order", signal_id="s1").reports] == ["s1"]
    assert not ask(rig, kind="order", signal_id="nobody").found
    assert len(ask(rig, venue=VENUE, symbol=SYMBOL).reports) == 3
    assert ask(rig, symbol="ETH/USDT").reports == ()
    assert ask(rig, kind="limits").reports == ()
    assert ask(rig, kind="limits").error == ""


def test_a_page_fits_a_frame_whatever_its_orders_say() -> None:
    rig = Rig()
    refused(rig, answers.MOST_REPORTS)
    for parent in rig.engine.order_store.known.values():
        parent.reason = "\U0001f4a5" * 4_000
    found, cursor = 0, ""
    while True:
        answer = ask(rig, cursor=cursor)
        assert len(encode(wire.answer_of(answer, "micro", 1, rig.now))) < MAX_FRAME
        found += len(answer.reports)
        if not answer.truncated:
            break
        cursor = answer.cursor
    assert found == answers.MOST_REPORTS


def test_an_order_of_very_many_fills_is_reported_in_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "WHOLE_FILLS", 3)
    rig = Rig()
    rig.send(signal(algo="limit", limit_price=Decimal(59_000), quantity=Decimal("0.01")))
    rig.run(20 * MS)
    (order,) = rig.venue.open_orders()
    for lots in (1, 2, 3, 1):
        rig.venue.fill(order.place.client_id, lots)
        rig.run(10 * MS)
        if lots == 3:
            assert len(rig.report().fills) == 3
    (fill,) = rig.report().fills
    known = rig.parent().children[0].fills
    assert fill.trade_id == known[0].trade_id
    assert fill.quantity == rig.report().filled == Decimal("0.007")
    assert fill.fee == sum(each.fee for each in known)
    assert fill.ts_ns == known[-1].exchange_ns
