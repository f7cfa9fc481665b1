"""What changes while micro runs: the limits, and whether the venue would cancel for us."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import SECOND, VENUE, Rig, config, signal

from citadel_micro.core.model.commands import PublishAnswer
from citadel_micro.core.model.events import LimitsChanged, QueryReceived, VenueStatus
from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults
from citadel_micro.shell.journal import records


def limits(**changes: object) -> RiskLimits:
    values: dict[str, object] = {"lease_required": False, "depth_participation_bps": 10_000.0}
    return paper_defaults(**{**values, **changes})


def ask(rig: Rig, name: str) -> str:
    rig.send(signal(name, created_ns=rig.now, expires_ns=rig.now + 10 * SECOND))
    return rig.report(name).reason_code


def change(rig: Rig, new: RiskLimits) -> None:
    event = LimitsChanged(limits=new, reason="a calm day")
    assert records.decode_event(records.encode(event)) == event
    rig.send(event)


def test_new_limits_hold_from_the_next_order_on() -> None:
    rig = Rig(config(limits=limits()))
    assert ask(rig, "before") == ""
    change(rig, limits(max_order_notional=Decimal(100)))
    assert ask(rig, "tight") == "MAX_ORDER_NOTIONAL"
    change(rig, limits())
    assert ask(rig, "wide") == ""
    assert "limits_changed" in rig.events_noted()


def test_an_answer_has_the_limits_of_now() -> None:
    rig = Rig(config(limits=limits()))
    change(rig, limits(max_open_orders=7))
    query = QueryReceived(
        query_id="q",
        kind="limits",
        reply_to="m",
        signal_id="",
        venue="",
        symbol="",
        since_ns=0,
    )
    (answer,) = [each for each in rig.send(query) if isinstance(each, PublishAnswer)]
    assert dict(answer.limits)["max_open_orders"] == "7"


def test_a_book_is_stale_by_the_limit_of_now() -> None:
    rig = Rig(config(limits=limits()))
    change(rig, limits(stale_ns=10 * SECOND))
    rig.run(5 * SECOND, refresh_ns=0)
    assert ask(rig, "quiet") == ""


@pytest.mark.parametrize(
    "fixed",
    [
        {"reporting_currency": "EUR"},
        {"par_currencies": ("USDC",)},
        {"rolling_window_ns": 60 * SECOND},
    ],
)
def test_what_past_profit_was_counted_by_stays(fixed: dict[str, object]) -> None:
    rig = Rig(config(limits=limits()))
    epoch = rig.engine.risk.risk_epoch
    change(rig, limits(max_order_notional=Decimal(100), **fixed))
    assert rig.engine.risk.risk_epoch == epoch
    assert ask(rig, "s") == ""
    assert "operator_command_refused" in rig.events_noted()


def status(rig: Rig, *, up: bool, armed: bool) -> None:
    rig.send(VenueStatus(venue=VENUE, up=up, reason="", dms_armed=armed))


def test_a_venue_that_must_cancel_for_us_has_to_say_that_it_will() -> None:
    rig = Rig(config(limits=limits(dms_venues=(VENUE,))))
    assert ask(rig, "before") == "VENUE_DMS_NOT_ARMED"
    status(rig, up=True, armed=True)
    assert ask(rig, "armed") == ""
    status(rig, up=True, armed=False)
    assert ask(rig, "disarmed") == "VENUE_DMS_NOT_ARMED"


def test_a_connection_that_is_gone_arms_nothing() -> None:
    rig = Rig(config(limits=limits(dms_venues=(VENUE,))))
    status(rig, up=True, armed=True)
    status(rig, up=False, armed=True)
    status(rig, up=True, armed=False)
    assert ask(rig, "s") == "VENUE_DMS_NOT_ARMED"


def test_it_has_to_say_so_again_after_a_restart() -> None:
    rig = Rig(config(limits=limits(dms_venues=(VENUE,))))
    status(rig, up=True, armed=True)
    rig.restart()
    rig.run(SECOND)
    assert ask(rig, "s") == "VENUE_DMS_NOT_ARMED"
