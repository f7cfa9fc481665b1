"""What trips a breaker: losses, silent macros, absent feeds, rejects."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from risk_kit import operator, states

from citadel_micro.core.model.commands import Note, Persist, PublishRisk
from citadel_micro.core.risk.circuit_breakers import GLOBAL, symbol_scope
from citadel_micro.core.risk.manager import LeaseAction, RiskManager

if TYPE_CHECKING:
    from collections.abc import Sequence


from gate_kit import BTC, ETH, NOW, VENUE, S, calm, failed, limits, losing, parent, with_view


def notes(commands: Sequence[object]) -> list[str]:
    return [dict(c.fields)["code"] for c in commands if isinstance(c, Note)]  # type: ignore[misc]


def test_losses_warn_at_eighty_percent_once_and_trip_at_the_limit() -> None:
    manager = RiskManager(limits(max_rolling_loss=Decimal(999), max_drawdown=Decimal(999)))
    view = calm("10")
    assert manager.on_tick(view, NOW) == []
    view.portfolio.mark(VENUE, BTC, 92.0)
    commands = manager.on_tick(view, NOW + 1)
    assert notes(commands) == ["DAILY_LOSS"]
    assert states(commands) == []
    assert manager.on_tick(view, NOW + 2) == []
    view.portfolio.mark(VENUE, BTC, 95.0)
    manager.on_tick(view, NOW + 3)
    view.portfolio.mark(VENUE, BTC, 92.0)
    assert notes(manager.on_tick(view, NOW + 4)) == ["DAILY_LOSS"]
    view.portfolio.mark(VENUE, BTC, 90.0)
    commands = manager.on_tick(view, NOW + 5)
    assert states(commands) == [(GLOBAL, "REDUCING", "DAILY_LOSS")]
    published = next(c for c in commands if isinstance(c, PublishRisk))
    assert published.manual_reset
    assert published.trip_id == "trip-1"
    assert isinstance(commands[-1], Persist)
    assert commands[-1].key == "risk"
    assert manager.beat_state() == "reducing"
    assert manager.on_tick(view, NOW + 6) == []


def test_a_loss_that_cannot_be_measured_trips_nothing_and_denies_all_entries() -> None:
    manager = RiskManager(limits())
    view = calm("10")
    view.portfolio.mark(VENUE, BTC, None)
    assert manager.on_tick(view, NOW) == []
    assert "DAILY_LOSS" in failed(manager.judge(parent(), view, NOW))


def test_a_new_day_does_not_clear_the_trip_but_the_check() -> None:
    manager = RiskManager(limits(max_rolling_loss=Decimal(999), max_drawdown=Decimal(999)))
    view = losing(90.0)
    manager.on_tick(view, NOW)
    assert manager.judge(parent(price_ticks=180), view, NOW).code == "REDUCE_ONLY"
    later = NOW + 86_400 * S
    for market in view.markets.values():
        market.proof_ns = later
    manager.on_tick(view, later)
    verdict = manager.judge(
        parent(price_ticks=180, signal_created_ns=later, signal_expires_ns=later + S), view, later
    )
    assert failed(verdict) == ["REDUCE_ONLY"]


def test_resetting_a_drawdown_accepts_the_fall_so_far() -> None:
    bounds = limits(max_rolling_loss=Decimal(999), max_daily_loss=Decimal(999))
    manager = RiskManager(bounds)
    view = losing(85.0)
    manager.on_tick(view, NOW)
    assert manager.breakers.find("DRAWDOWN", GLOBAL) is not None
    commands = manager.on_operator(operator("reset", trip_id="trip-1", reason="seen"), NOW)
    assert states(commands) == [(GLOBAL, "PROBATION", "DRAWDOWN")]
    again = RiskManager(bounds)
    again.restore(manager.to_state())
    for each in (manager, again):
        each.on_tick(view, NOW + 1)
        assert each.effective_state(VENUE, BTC, "trend") == "PROBATION"
    assert manager.judge(parent(price_ticks=170), view, NOW).ok


def test_a_silent_macro_stops_parents_then_cancels_entries_and_comes_back_slowly() -> None:
    manager = RiskManager(limits())
    view = calm()
    seen = []
    for age in (0, 5, 6, 15, 16):
        view.lease = age * S
        manager.on_tick(view, NOW + age * S)
        seen.append(manager.lease_action)
    assert seen == [
        LeaseAction.NONE,
        LeaseAction.NONE,
        LeaseAction.NO_NEW_PARENTS,
        LeaseAction.NO_NEW_PARENTS,
        LeaseAction.CANCEL_ENTRIES,
    ]
    assert manager.effective_state(VENUE, BTC, "trend") == "REDUCING"
    assert manager.must_cancel(VENUE, BTC, "trend", exit_order=False)
    assert not manager.must_cancel(VENUE, BTC, "trend", exit_order=True)
    view.lease = 0
    manager.on_tick(view, NOW + 20 * S)
    assert manager.lease_action is LeaseAction.NONE
    manager.on_tick(view, NOW + 29 * S)
    assert manager.effective_state(VENUE, BTC, "trend") == "REDUCING"
    commands = manager.on_tick(view, NOW + 30 * S)
    assert states(commands) == [(GLOBAL, "ACTIVE", "")]


def test_a_macro_without_a_heartbeat_stops_parents_only_where_one_is_required() -> None:
    view = with_view(lease=None)
    manager = RiskManager(limits())
    manager.on_tick(view, NOW)
    assert manager.lease_action is LeaseAction.NO_NEW_PARENTS
    assert not manager.breakers.trips
    manager = RiskManager(limits(lease_required=False))
    view.lease = 3600 * S
    manager.on_tick(view, NOW)
    assert manager.lease_action is LeaseAction.NONE


def test_a_feed_that_stays_away_trips_its_symbol_alone() -> None:
    manager = RiskManager(limits())
    view = calm()
    manager.on_feed(VENUE, BTC, NOW - S, live=True, reason="")
    assert manager.on_feed(VENUE, BTC, NOW, live=False, reason="gap") == []
    manager.on_feed(VENUE, BTC, NOW + 2 * S, live=False, reason="still")
    assert manager.on_tick(view, NOW + 3 * S - 1) == []
    commands = manager.on_tick(view, NOW + 3 * S)
    assert states(commands) == [(symbol_scope(VENUE, BTC), "REDUCING", "STALE_FEED")]
    assert isinstance(commands[0], PublishRisk)
    assert commands[0].reason == "gap"
    assert manager.effective_state(VENUE, ETH, "trend") == "ACTIVE"
    manager.on_tick(view, NOW + 60 * S)
    manager.on_feed(VENUE, BTC, NOW + 60 * S, live=True, reason="")
    manager.on_tick(view, NOW + 69 * S)
    assert manager.effective_state(VENUE, BTC, "trend") == "REDUCING"
    manager.on_tick(view, NOW + 70 * S)
    assert manager.effective_state(VENUE, BTC, "trend") == "ACTIVE"


def test_a_feed_that_was_never_there_trips_nothing() -> None:
    manager = RiskManager(limits())
    manager.on_feed(VENUE, BTC, NOW, live=False, reason="no snapshot yet")
    assert manager.on_tick(calm(), NOW + 60 * S) == []


def test_a_feed_that_comes_back_in_time_trips_nothing() -> None:
    manager = RiskManager(limits())
    manager.on_feed(VENUE, BTC, NOW - S, live=True, reason="")
    manager.on_feed(VENUE, BTC, NOW, live=False, reason="gap")
    manager.on_feed(VENUE, BTC, NOW + S, live=True, reason="")
    manager.on_feed(VENUE, ETH, NOW + S, live=True, reason="")
    assert manager.on_tick(calm(), NOW + 60 * S) == []


def test_a_burst_of_rejects_trips_its_symbol_for_a_minute() -> None:
    manager = RiskManager(limits())
    for i in range(4):
        assert manager.on_venue_reject(VENUE, BTC, NOW + i * S) == []
    assert manager.on_venue_reject(VENUE, BTC, NOW + 11 * S) == []
    assert manager.on_venue_reject(VENUE, ETH, NOW + 11 * S) == []
    commands = manager.on_venue_reject(VENUE, BTC, NOW + 11 * S)
    assert states(commands) == [(symbol_scope(VENUE, BTC), "REDUCING", "REJECT_BURST")]
    assert isinstance(commands[0], PublishRisk)
    assert not commands[0].manual_reset
    manager.on_tick(calm(), NOW + 71 * S)
    assert manager.effective_state(VENUE, BTC, "trend") == "PROBATION"


def test_the_venues_dead_mans_switch_opens_the_way_once_armed() -> None:
    manager = RiskManager(limits(dms_venues=(VENUE,)))
    assert manager.judge(parent(), calm(), NOW).code == "VENUE_DMS_NOT_ARMED"
    manager.set_dms_armed(VENUE, armed=True)
    assert manager.judge(parent(), calm(), NOW).ok
    manager.set_dms_armed(VENUE, armed=False)
    assert not manager.judge(parent(), calm(), NOW).ok
    manager.set_dms_armed(VENUE, armed=True)
    again = RiskManager(limits(dms_venues=(VENUE,)))
    again.restore(manager.to_state())
    assert again.judge(parent(), calm(), NOW).code == "VENUE_DMS_NOT_ARMED"
