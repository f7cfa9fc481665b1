"""Every check and every limit of the gate is proven: without it, or weakened, a scene ends otherwise.

`make mutants` does the same to every comparison in the checks' source.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from gate_kit import NOW, calm, judge, limits, parent
from gate_mutants import in_place, mutants, without
from gate_scenes import DENIALS

from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.core.risk.codes import CODES
from citadel_micro.core.risk.manager import RiskManager

if TYPE_CHECKING:
    from citadel_micro.core.model.risk_limits import RiskLimits

LOOSER: dict[str, object] = {
    "lease_required": False,
    "dms_venues": (),
    "allowed_venues": ("*",),
    "allowed_symbols": ("*",),
    "reference_symbols": (),
    "groups": {},
}
"""Where more is not a larger number."""
ELSEWHERE = {
    # Of breakers, sizes of time and money, held stops: proven where they are tested.
    *("lease_dead_ns", "lease_dead_action", "mark_stale_ns", "max_held_orders"),
    *("reporting_currency", "par_currencies", "rolling_window_ns", "warn_fraction", "healthy_ns"),
    *("cooldown_ns", "probation_fraction", "probation_parents", "reject_burst", "reject_window_ns"),
    *("feed_trip_ns", "loss_streak", "flash_move_bps", "flash_window_ns", "max_ack_ns"),
    *("slow_acks", "identical_window_ns", "venue_rejects_window_ns", "unfilled_window_ns"),
    *("repeated_window_ns",),
    # Of the step before the gate.
    *("sizing", "sizing_capital", "sizing_fraction", "sizing_daily_volatility"),
    *("kelly_fraction", "kelly_payoff", "kelly_loss"),
}


def trip(code: str) -> RiskManager:
    manager = RiskManager(limits())
    manager.trip({"KILLED": "OPERATOR_KILL", "HALTED": "OPERATOR_HALT"}[code], GLOBAL, "t", NOW)
    return manager


@pytest.mark.parametrize("code", [code for _, code in CODES])
def test_without_a_check_what_it_denies_passes_or_is_denied_for_something_else(code: str) -> None:
    if code in ("KILLED", "HALTED"):
        assert trip(code).judge(parent(), calm(), NOW).code == code
        with without(code):
            assert trip(code).judge(parent(), calm(), NOW).ok
        return
    cases = [case for case in DENIALS if case[0] == code]
    assert cases
    for _, request, view, bounds, _ in cases:
        assert judge(request, view(), bounds).code == code
        with without(code):
            assert judge(request, view(), bounds).code != code


def looser(bounds: RiskLimits, name: str) -> RiskLimits:
    """The same limits, one of them a tenth weaker, or one unit where it counts."""
    value = getattr(bounds, name)
    if name in LOOSER:
        new: object = LOOSER[name]
    elif name == "liquidation_buffer":
        new = value * Decimal("0.9")
    elif isinstance(value, dict):
        new = {key: each + max(each / 10, Decimal(1)) for key, each in value.items()}
    elif isinstance(value, Decimal):
        new = value + max(value / 10, Decimal(1))
    elif isinstance(value, int):
        new = value + max(value // 10, 1)
    else:
        new = value * 1.1
    changes: dict[str, Any] = {name: new}
    if name == "lease_soft_ns":
        changes["lease_hard_ns"] = max(bounds.lease_hard_ns, cast("int", new))
    return dataclasses.replace(bounds, **changes)


@pytest.mark.parametrize(
    "name", [each.name for each in dataclasses.fields(limits()) if each.name not in ELSEWHERE]
)
def test_a_limit_a_tenth_weaker_lets_something_pass(name: str) -> None:
    changed = [
        code
        for code, request, view, bounds, lots in DENIALS
        if (verdict := judge(request, view(), looser(bounds, name))).ok
        or verdict.code != code
        or verdict.permitted_lots != lots
    ]
    assert changed, f"no scene depends on {name}"


def test_the_list_of_what_is_proven_elsewhere_is_no_longer_than_needed() -> None:
    assert {each.name for each in dataclasses.fields(limits())} >= ELSEWHERE


def test_a_mutant_of_a_comparison_differs_from_the_gate_which_is_whole_again_afterwards() -> None:
    (mutant,) = [each for each in mutants() if each.text == "total <= most" and not each.moved][1:]
    scene = next(case for case in DENIALS if case[0] == "STRATEGY_BUDGET")
    _, request, view, bounds, _ = scene
    with in_place(mutant):
        assert judge(request, view(), bounds).ok
    assert judge(request, view(), bounds).code == "STRATEGY_BUDGET"
