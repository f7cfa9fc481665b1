"""From a signal to a parent order, or to a reject with its reason."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, rules, signal
from executor_kit import CHILD, working

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.events import (
    SignalRefused,
)

if TYPE_CHECKING:
    from citadel_micro.core.engine.engine import Command


def reports_in(commands: list[Command]) -> list[PublishReport]:
    return [command for command in commands if isinstance(command, PublishReport)]


def test_a_signal_is_acknowledged_in_the_same_call_and_stored_before_it_is_sent() -> None:
    rig = Rig()
    commands = rig.send(signal())
    names = [type(command).__name__ for command in commands]
    assert [r.status for r in reports_in(commands)] == ["working"]
    assert names.index("Approved") > max(i for i, name in enumerate(names) if name == "Persist")
    assert {"seq", "parent/s1", f"child/{CHILD}"} <= set(rig.durable)


def test_a_repeated_signal_gets_the_present_report_and_nothing_else() -> None:
    rig = working()
    rig.venue.fill(CHILD, 100)
    rig.run(10 * MS)
    commands = rig.send(signal())
    assert [type(command).__name__ for command in commands] == ["PublishReport"]
    assert reports_in(commands)[0] == rig.report()
    assert rig.report().filled == Decimal("0.1")
    assert len(rig.venue.placed) == 1


def test_what_is_too_little_names_the_least_that_the_venue_takes_at_this_price() -> None:
    """Also where the quantity is off the grid, or rounds down to nothing."""
    rig = Rig(instrument=rules(min_notional=Decimal(100), lot=Decimal("0.0001")))
    for name, quantity in (("a", "0.00001"), ("b", "0.00105"), ("c", "0.0012")):
        rig.send(signal(name, quantity=Decimal(quantity)))
        report = rig.report(name)
        assert (report.status, report.reason_code) == ("rejected", "BELOW_MIN")
        assert "0.0017" in report.reason
        assert report.permitted == 0
    rig.send(signal("d", quantity=Decimal("0.0017")))
    assert rig.report("d").status == "working"


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"expires_ns": START}, "INTENT_EXPIRED", "expired"),
        ({"created_ns": START - 60 * SECOND}, "INTENT_EXPIRED", "old"),
        ({"venue": "kraken"}, "VENUE_DISALLOWED", "kraken"),
        ({"symbol": "DOGE/USDT"}, "SYMBOL_DISALLOWED", "BTC/USDT"),
        ({"quantity": Decimal("NaN")}, "BAD_NUMBER", "NaN"),
        ({"quantity": Decimal(-1)}, "BAD_NUMBER", "above 0"),
        ({"limit_price": Decimal("Infinity")}, "BAD_NUMBER", "limit price"),
        ({"quantity": Decimal("0.0105")}, "BAD_LOT", "lot"),
        ({"quantity": Decimal("0.0005")}, "BELOW_MIN", "0.001"),
        ({"algo": "market_maker"}, "BAD_PARAMETER", "chase_limit"),
        ({"quantity": Decimal(100)}, "MAX_ORDER_NOTIONAL", "50000"),
        ({"reduce_only": True}, "REDUCE_ONLY", "reduc"),
        ({"algo": "stop"}, "BAD_PARAMETER", "kind"),
        ({"algo": "limit", "limit_price": Decimal(70_000)}, "PRICE_COLLAR", "bps"),
    ],
)
def test_what_cannot_be_is_rejected_with_code_and_reason(
    changes: dict[str, Any], code: str, text: str
) -> None:
    rig = Rig()
    rig.send(signal(**changes))
    report = rig.report()
    assert (report.status, report.reason_code) == ("rejected", code)
    assert text in report.reason
    assert rig.venue.placed == []
    rig.reports.clear()
    rig.send(signal(**changes))
    assert rig.report().status == "rejected"


def test_a_rejection_names_the_largest_quantity_that_would_pass() -> None:
    rig = Rig()
    rig.send(signal(quantity=Decimal(1)))
    assert rig.report().reason_code == "MAX_ORDER_NOTIONAL"
    assert rig.report().permitted == Decimal("0.833")
    rig.send(signal("s2", quantity=Decimal("0.833")))
    assert rig.report("s2").status == "working"


def test_a_signal_that_could_not_be_expressed_is_answered() -> None:
    rig = Rig()
    refused = SignalRefused(
        signal_id="s1",
        strategy="test",
        venue=VENUE,
        symbol=SYMBOL,
        side="buy",
        code="BAD_NUMBER",
        reason="quantity is 'lots'",
    )
    for _ in range(2):
        rig.send(refused)
    assert [(r.status, r.reason_code, r.revision) for r in rig.reports] == [
        ("rejected", "BAD_NUMBER", 1)
    ] * 2
