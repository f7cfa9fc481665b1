from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, signal

from citadel_micro.core import answers
from citadel_micro.core.commands import PublishAnswer
from citadel_micro.core.events import QueryReceived

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


def test_an_answer_holds_the_newest_orders_and_says_that_there_are_more() -> None:
    rig = Rig()
    refused(rig, answers.MOST_REPORTS + 7)
    answer = ask(rig)
    names = [report.signal_id for report in answer.reports]
    assert names == [f"s{number}" for number in range(7, answers.MOST_REPORTS + 7)]
    assert "7 older orders are left out" in answer.error
    later = ask(rig, since_ns=rig.now - 5 * MS)
    assert len(later.reports) == 6
    assert later.error == ""


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
    assert "3 older orders are left out" in answer.error


def test_one_order_is_always_answered_and_others_need_no_bound() -> None:
    rig = Rig()
    refused(rig, 3)
    assert [r.signal_id for r in ask(rig, kind="order", signal_id="s1").reports] == ["s1"]
    assert not ask(rig, kind="order", signal_id="nobody").found
    assert len(ask(rig, venue=VENUE, symbol=SYMBOL).reports) == 3
    assert ask(rig, symbol="ETH/USDT").reports == ()
    assert ask(rig, kind="limits").reports == ()
    assert ask(rig, kind="limits").error == ""
