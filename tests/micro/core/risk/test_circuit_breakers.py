"""A breaker falls by its own way back and by no other: not by time, restart, or another's reset."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.risk.circuit_breakers import (
    GLOBAL,
    SEVERITY,
    Breakers,
    Trip,
    check_scope,
    strategy_scope,
    symbol_scope,
    venue_scope,
)
from citadel_micro.core.risk.codes import TRIPS
from citadel_proto.errors import BadInput

S = 1_000_000_000
HERE = ("okx", "BTC/USDT", "trend")


def breakers() -> Breakers:
    return Breakers(healthy_ns=10 * S, cooldown_ns=60 * S, probation_parents=3)


def copy_of(original: Breakers) -> Breakers:
    again = breakers()
    again.load(original.to_state())
    return again


def test_the_worst_scope_decides() -> None:
    b = breakers()
    assert b.state(*HERE) == "ACTIVE"
    b.trip("DAILY_LOSS", strategy_scope("trend"), "", 1)
    assert b.state(*HERE) == "REDUCING"
    b.trip("OVERFILL", symbol_scope("okx", "BTC/USDT"), "", 2)
    assert b.state(*HERE) == "HALTED"
    b.trip("OPERATOR_KILL", venue_scope("okx"), "", 3)
    assert b.state(*HERE) == "KILLED"
    assert b.state("okx", "ETH/USDT", "other") == "KILLED"
    assert b.state("deribit", "BTC/USDT", "trend") == "REDUCING"
    assert b.state("deribit", "BTC/USDT", "other") == "ACTIVE"
    b.trip("OPERATOR_HALT", GLOBAL, "", 4)
    assert b.state("deribit", "BTC/USDT", "other") == "HALTED"
    assert b.scope_state(GLOBAL) == "HALTED"
    assert b.scope_state(venue_scope("deribit")) == "ACTIVE"
    assert b.scopes() == ("strategy:trend", "symbol:okx:BTC/USDT", "venue:okx", "global")


def test_the_worst_trip_of_a_scope_speaks_for_it_the_oldest_of_equals() -> None:
    b = breakers()
    b.trip("DAILY_LOSS", GLOBAL, "first", 1)
    b.trip("DRAWDOWN", GLOBAL, "second", 2)
    assert b.worst(GLOBAL) == b.find("DAILY_LOSS", GLOBAL)
    b.trip("JOURNAL_FAULT", GLOBAL, "third", 3)
    assert b.worst(GLOBAL) == b.find("JOURNAL_FAULT", GLOBAL)
    assert b.worst("venue:okx") is None


def test_automatic_needs_ten_healthy_seconds_in_a_row_and_a_reconciled_venue() -> None:
    b = breakers()
    scope = symbol_scope("okx", "BTC/USDT")
    b.trip("STALE_FEED", scope, "quiet", 0)
    b.advance(3600 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"
    b.healthy("STALE_FEED", scope, 3600 * S, healthy=True)
    b.healthy("STALE_FEED", scope, 3605 * S, healthy=True)
    b.advance(3609 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"
    b.healthy("STALE_FEED", scope, 3609 * S, healthy=False)
    b.healthy("STALE_FEED", scope, 3610 * S, healthy=True)
    b.advance(3619 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"
    b.advance(3620 * S, reconciled=False)
    assert b.state(*HERE) == "REDUCING"
    b.advance(3620 * S, reconciled=True)
    assert b.state(*HERE) == "ACTIVE"
    assert not b.trips


def test_a_relapse_starts_the_ten_seconds_again() -> None:
    b = breakers()
    b.trip("LEASE_LOST", GLOBAL, "", 0)
    b.healthy("LEASE_LOST", GLOBAL, S, healthy=True)
    b.trip("LEASE_LOST", GLOBAL, "", 9 * S)
    b.advance(20 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"


def test_health_of_what_is_not_tripped_or_not_automatic_is_ignored() -> None:
    b = breakers()
    b.healthy("STALE_FEED", GLOBAL, 1, healthy=True)
    b.trip("OVERFILL", GLOBAL, "", 1)
    b.healthy("OVERFILL", GLOBAL, 1, healthy=True)
    b.advance(3600 * S, reconciled=True)
    assert b.state(*HERE) == "HALTED"


def test_timed_cools_down_into_probation_and_a_recurrence_cools_again() -> None:
    b = breakers()
    b.trip("REJECT_BURST", GLOBAL, "", 0)
    b.trip("REJECT_BURST", GLOBAL, "", 30 * S)
    b.advance(60 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"
    b.advance(90 * S, reconciled=False)
    assert b.state(*HERE) == "PROBATION"


def test_probation_ends_after_three_clean_parents_in_a_row() -> None:
    b = breakers()
    b.trip("REJECT_BURST", symbol_scope("okx", "BTC/USDT"), "", 0)
    b.advance(60 * S, reconciled=True)
    for clean in (True, True, False, True, True):
        b.parent_done(*HERE, clean=clean)
        assert b.state(*HERE) == "PROBATION"
    b.parent_done("okx", "ETH/USDT", "trend", clean=True)
    assert b.state(*HERE) == "PROBATION"
    b.parent_done(*HERE, clean=True)
    assert b.state(*HERE) == "ACTIVE"


def test_an_unclean_first_parent_leaves_the_count_where_it_was() -> None:
    b = breakers()
    b.trip("REJECT_BURST", GLOBAL, "", 0)
    b.advance(60 * S, reconciled=True)
    version = b.version
    b.parent_done(*HERE, clean=False)
    assert b.version == version


def test_a_manual_reset_names_the_trip_and_a_reason_and_leads_to_probation() -> None:
    b = breakers()
    trip = b.trip("DAILY_LOSS", GLOBAL, "lost 2,500", 1)
    for wrong_id, reason, words in [
        ("trip-9", "looked at it", r"no trip 'trip-9'.*trip-1"),
        (trip.trip_id, "  ", "no reason"),
    ]:
        with pytest.raises(BadInput, match=words):
            b.reset(wrong_id, reason, 2)
        assert b.trips == (trip,)
    assert b.reset(trip.trip_id, "looked at it", 2) == trip
    assert b.state(*HERE) == "PROBATION"
    assert b.trips[0].reset_reason == "looked at it"
    with pytest.raises(BadInput, match="nothing is tripped"):
        b.reset(trip.trip_id, "again", 3)


@pytest.mark.parametrize("code", ["STALE_FEED", "LEASE_LOST", "REJECT_BURST"])
def test_what_resets_by_itself_is_not_reset_by_hand(code: str) -> None:
    b = breakers()
    trip = b.trip(code, GLOBAL, "", 1)
    with pytest.raises(BadInput, match="by itself"):
        b.reset(trip.trip_id, "in a hurry", 2)
    assert b.state(*HERE) == "REDUCING"


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (GLOBAL, True),
        (venue_scope("okx"), True),
        (symbol_scope("okx", "BTC/USDT:USDT"), True),
        (strategy_scope("okx"), True),
        (venue_scope("okx2"), False),
        (symbol_scope("deribit", "BTC/USDT"), False),
    ],
)
def test_a_fault_of_ours_is_reset_only_after_its_venue_was_reconciled(
    scope: str, *, covered: bool
) -> None:
    b = breakers()
    trip = b.trip("OVERFILL", scope, "", 1)
    with pytest.raises(BadInput, match="reconciliation"):
        b.reset(trip.trip_id, "seems fine", 2)
    b.reconciled("okx")
    b.reconciled("okx")
    assert b.trips[0].reconciled is covered
    if covered:
        b.trip("OVERFILL", scope, "once more", 3)
        with pytest.raises(BadInput, match="reconciliation"):
            b.reset(trip.trip_id, "seems fine", 4)
        b.reconciled("okx")
        b.reset(trip.trip_id, "explained", 5)
        assert b.scope_state(scope) == "PROBATION"


def test_a_kill_is_reset_in_two_steps() -> None:
    b = breakers()
    trip = b.trip("OPERATOR_KILL", GLOBAL, "", 1)
    b.reset(trip.trip_id, "step one", 2)
    assert b.state(*HERE) == "HALTED"
    again = b.trip("OPERATOR_KILL", GLOBAL, "", 3)
    assert b.state(*HERE) == "KILLED"
    with pytest.raises(BadInput, match=trip.trip_id):
        b.reset(trip.trip_id, "step two, of the first kill", 4)
    b.reset(again.trip_id, "one", 5)
    b.reset(again.trip_id, "two", 6)
    assert b.state(*HERE) == "PROBATION"


def test_a_second_trip_of_the_same_cause_changes_nothing() -> None:
    b = breakers()
    first = b.trip("DAILY_LOSS", GLOBAL, "first", 1)
    epoch, version = b.epoch, b.version
    assert b.trip("DAILY_LOSS", GLOBAL, "second", 2) == first
    assert (b.epoch, b.version, b.trips) == (epoch, version, (first,))


def test_time_lets_no_manual_trip_go() -> None:
    b = breakers()
    codes = [c for c, (_, kind) in TRIPS.items() if kind in {"manual", "reconcile", "kill"}]
    for code in codes:
        b.trip(code, GLOBAL, "", 1)
    b.advance(10**18, reconciled=True)
    assert [t.code for t in b.trips] == codes
    assert copy_of(b).trips == b.trips


def test_a_clock_set_back_unlocks_nothing() -> None:
    b = breakers()
    b.advance(1000 * S, reconciled=True)
    b.trip("REJECT_BURST", GLOBAL, "", 5 * S)
    assert b.trips[0].since_ns == 1000 * S
    b.advance(70 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"
    b.advance(1059 * S, reconciled=True)
    assert b.state(*HERE) == "REDUCING"
    b.advance(1060 * S, reconciled=True)
    assert b.state(*HERE) == "PROBATION"


def test_every_change_of_what_is_permitted_moves_the_epoch() -> None:
    b = breakers()
    seen = [b.epoch]

    def moved() -> bool:
        seen.append(b.epoch)
        return seen[-1] > seen[-2]

    trip = b.trip("OPERATOR_KILL", GLOBAL, "", 1)
    assert moved()
    b.reset(trip.trip_id, "one", 2)
    assert moved()
    b.reset(trip.trip_id, "two", 3)
    assert moved()
    for _ in range(2):
        b.parent_done(*HERE, clean=True)
        assert not moved()
    b.parent_done(*HERE, clean=True)
    assert moved()
    again = copy_of(b)
    assert again.epoch > b.epoch


def test_changed_scopes_are_reported_once() -> None:
    b = breakers()
    b.trip("DAILY_LOSS", GLOBAL, "", 1)
    b.trip("OVERFILL", "venue:okx", "", 1)
    b.trip("DRAWDOWN", GLOBAL, "", 1)
    assert b.take_changed() == (GLOBAL, "venue:okx")
    assert not b.take_changed()
    assert copy_of(b).take_changed() == (GLOBAL, "venue:okx")


@pytest.mark.parametrize(
    "scope", ["", "global", "venue:okx", "symbol:okx:BTC/USDT:USDT", "strategy:a:b"]
)
def test_scopes_that_exist(scope: str) -> None:
    assert check_scope(scope) == (scope or GLOBAL)


@pytest.mark.parametrize(
    "scope",
    ["all", "venue:", "venue", "symbol:okx", "symbol:okx:", "symbol::BTC", "strategy:", "global:x"],
)
def test_scopes_that_do_not_exist_are_refused_with_those_that_do(scope: str) -> None:
    with pytest.raises(BadInput, match="symbol:<venue>:<symbol>"):
        check_scope(scope)


# --- properties ------------------------------------------------------------------------------

SCOPES = st.sampled_from(
    [GLOBAL, "venue:okx", "symbol:okx:BTC/USDT", "strategy:trend", "venue:deribit"]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trip"), st.sampled_from(list(TRIPS)), SCOPES),
        st.tuples(st.just("healthy"), st.sampled_from(list(TRIPS)), SCOPES, st.booleans()),
        st.tuples(st.just("advance"), st.integers(-100, 100), st.booleans()),
        st.tuples(st.just("reconciled"), st.sampled_from(["okx", "deribit"])),
        st.tuples(st.just("reset"), st.integers(1, 12), st.sampled_from(["", "because"])),
        st.tuples(st.just("done"), st.booleans()),
    ),
    max_size=40,
)


class Clock:
    """Wall time in the hands of chance: it may also be set back."""

    def __init__(self) -> None:
        self.now_ns = 1000 * S


def apply(b: Breakers, clock: Clock, step: tuple[Any, ...]) -> None:
    match step:
        case ("trip", code, scope):
            b.trip(code, scope, "r", clock.now_ns)
        case ("healthy", code, scope, healthy):
            b.healthy(code, scope, clock.now_ns, healthy=healthy)
        case ("advance", seconds, reconciled):
            clock.now_ns = max(0, clock.now_ns + seconds * S)
            b.advance(clock.now_ns, reconciled=reconciled)
        case ("reconciled", venue):
            b.reconciled(venue)
        case ("reset", number, reason):
            before = b.to_state()
            try:
                b.reset(f"trip-{number}", reason, clock.now_ns)
            except BadInput:
                after = b.to_state()
                assert after["trips"] == before["trips"]
                assert after["epoch"] == before["epoch"]
        case ("done", clean):
            b.parent_done(*HERE, clean=clean)
        case _:
            raise AssertionError(step)


def severity(trip: Trip | None) -> int:
    return 0 if trip is None else SEVERITY[trip.state]


def allowed_fall(old: Trip, new: Trip | None, step: tuple[Any, ...]) -> bool:
    """Whether this step is the way back of this trip."""
    if old.phase == "probation":
        return step[0] == "done" and step[1] is True and old.clean_left == 1
    if step[0] == "advance":
        if old.reset_class == "automatic":
            return step[2] is True and old.healthy_since_ns is not None and new is None
        return old.reset_class == "timed" and new is not None and new.phase == "probation"
    if step[0] == "reset":
        named = step[1:] == (int(old.trip_id.removeprefix("trip-")), "because")
        by_hand = old.reset_class in {"manual", "reconcile", "kill"}
        explained = old.reset_class != "reconcile" or old.reconciled
        stepwise = old.reset_class != "kill" or old.phase == "disarmed" or severity(new) == 3
        return named and by_hand and explained and stepwise
    return False


@given(STEPS)
def test_severity_never_falls_but_by_its_own_way_back(steps: list[tuple[Any, ...]]) -> None:
    b, clock = breakers(), Clock()
    for step in steps:
        before = {(t.code, t.scope): t for t in b.trips}
        epoch, worst = b.epoch, SEVERITY[b.state(*HERE)]
        apply(b, clock, step)
        after = {(t.code, t.scope): t for t in b.trips}
        for key, old in before.items():
            if severity(after.get(key)) < severity(old):
                assert allowed_fall(old, after.get(key), step), (old, step)
        if SEVERITY[b.state(*HERE)] != worst:
            assert b.epoch > epoch


@given(STEPS, st.integers(0, 40))
def test_a_restart_is_no_restart(steps: list[tuple[Any, ...]], cut: int) -> None:
    whole, first = breakers(), breakers()
    one, other = Clock(), Clock()
    for step in steps[:cut]:
        apply(whole, one, step)
        apply(first, other, step)
    second = copy_of(first)
    for step in steps[cut:]:
        apply(whole, one, step)
        apply(second, other, step)
    assert second.trips == whole.trips
    assert second.state(*HERE) == whole.state(*HERE)
    assert {**second.to_state(), "epoch": 0} == {**whole.to_state(), "epoch": 0}


@given(STEPS)
def test_a_clock_that_only_goes_back_releases_nothing(steps: list[tuple[Any, ...]]) -> None:
    b, clock = breakers(), Clock()
    for step in steps:
        if step[0] == "advance":
            before = [t for t in b.trips if t.reset_class in {"automatic", "timed"}]
            apply(b, clock, ("advance", -abs(step[1]), step[2]))
            assert [t for t in b.trips if t.reset_class in {"automatic", "timed"}] == before
        else:
            apply(b, clock, step)
