"""The gate's checks, one by one: what each denies, and what would pass."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.core.risk.codes import CODES
from citadel_micro.core.risk.manager import RiskManager, RiskRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.risk_limits import RiskLimits

from gate_kit import (
    BTC,
    ETH,
    NOW,
    VENUE,
    FakeView,
    S,
    calm,
    child,
    failed,
    judge,
    limits,
    parent,
    pending_and_poor,
    poor,
    rules,
)
from gate_scenes import DENIALS, KEPT, Case


def test_on_a_calm_day_everything_passes_and_every_code_is_answered_in_order() -> None:
    for request in (parent(), child(), parent(price_ticks=None), child(side="sell")):
        verdict = judge(request)
        assert verdict.ok, verdict
        assert (verdict.code, verdict.reason, verdict.permitted_lots) == ("", "", 100)
        assert not verdict.reducing
        assert [(row.number, row.code) for row in verdict.checks] == list(CODES)


def test_every_check_is_evaluated_whatever_failed_before() -> None:
    manager = RiskManager(limits())
    manager.trip("OPERATOR_KILL", GLOBAL, "drill", NOW)
    view = calm()
    view.reconciling, view.skew_ns = True, S
    verdict = manager.judge(parent(quantity_lots=10_000, duplicate=True), view, NOW)
    assert [(row.number, row.code) for row in verdict.checks] == list(CODES)
    assert failed(verdict) == [
        "KILLED",
        "RECONCILING",
        "DUPLICATE",
        "CLOCK_SKEW",
        "DEPTH_PARTICIPATION",
        "MAX_ORDER_QTY",
        "MAX_ORDER_NOTIONAL",
        "MAX_POSITION",
    ]
    assert verdict.code == "KILLED"
    assert verdict.reason == "the kill switch is on"
    assert verdict.permitted_lots == 0


@pytest.mark.parametrize(
    ("code", "request_", "view", "bounds", "permitted"),
    DENIALS,
    ids=[f"{i}-{case[0]}" for i, case in enumerate(DENIALS)],
)
def test_each_check_denies_with_its_code_and_says_what_would_pass(
    code: str,
    request_: RiskRequest,
    view: Callable[[], FakeView],
    bounds: RiskLimits,
    permitted: int,
) -> None:
    verdict = judge(request_, view(), bounds)
    assert not verdict.ok
    assert verdict.code == code, failed(verdict)
    assert verdict.reason
    assert verdict.permitted_lots == permitted


def test_every_code_of_the_table_is_denied_by_some_test() -> None:
    by_state = {"KILLED", "HALTED"}
    assert {case[0] for case in DENIALS} | by_state == {code for _, code in CODES}


@pytest.mark.parametrize(
    "case", [case for case in DENIALS if case[4]], ids=[c[0] for c in DENIALS if c[4]]
)
def test_what_is_permitted_passes_and_one_lot_more_does_not(case: Case) -> None:
    _, request, view, bounds, lots = case
    request = replace(request, asked_quantity=None)

    def of(n: int) -> bool:
        return judge(replace(request, quantity_lots=n, exposure_lots=n), view(), bounds).ok

    assert of(lots)
    if lots < request.quantity_lots:
        assert not of(lots + 1)


@pytest.mark.parametrize(("request_", "view", "bounds"), KEPT)
def test_a_limit_exactly_met_is_kept(
    request_: RiskRequest, view: Callable[[], FakeView], bounds: RiskLimits
) -> None:
    verdict = judge(request_, view(), bounds)
    assert verdict.ok, verdict


def test_other_parents_orders_take_their_money_first() -> None:
    # ETH 0.5 at its mark of 50 with 20 bps; BTC 0.5 at this order's own price.
    assert judge(parent(), pending_and_poor(ETH, "buy", "125.25")).ok
    assert judge(parent(), pending_and_poor(ETH, "buy", "125.24")).code == "FREE_BALANCE"
    assert judge(parent(), pending_and_poor(BTC, "buy", "150.30")).ok
    assert judge(parent(), pending_and_poor(BTC, "buy", "150.29")).code == "FREE_BALANCE"
    assert judge(parent(side="sell"), pending_and_poor(BTC, "sell", "1.5")).ok
    assert judge(parent(side="sell"), pending_and_poor(BTC, "sell", "1.49")).code == "FREE_BALANCE"
    unmarked = pending_and_poor(ETH, "buy", "1000")
    unmarked.portfolio.mark(VENUE, ETH, None)
    assert "FREE_BALANCE" in failed(judge(parent(), unmarked))
    unruled = pending_and_poor(ETH, "sell", "1000")
    del unruled.instruments[(VENUE, ETH)]
    assert "FREE_BALANCE" in failed(judge(parent(side="sell"), unruled))


def test_base_sold_for_another_quote_is_promised_too() -> None:
    view = poor("1.49", currency="BTC")
    view.instruments[(VENUE, "BTC/EUR")] = rules("BTC/EUR")
    view.portfolio.mark(VENUE, "BTC/EUR", 90.0)
    view.portfolio.mark(VENUE, "EUR/USDT", 1.1)
    view.pending[(VENUE, "BTC/EUR", "sell")] = 50
    assert judge(parent(side="sell"), view).code == "FREE_BALANCE"
    view.portfolio.set_balances(VENUE, [("BTC", Decimal("1.5"), Decimal(0))])
    assert judge(parent(side="sell"), view).ok


def test_a_locked_amount_of_an_unlisted_order_is_not_free_for_a_parent() -> None:
    # 100.2 is needed and there, but an order that is not ours holds 50 of it.
    assert judge(parent(), poor("100.2", "50")).ok
    assert judge(parent(), poor("100.1", "50")).code == "FREE_BALANCE"
    # A child replaces its predecessor, whose lock may still be shown.
    assert judge(child(), poor("50.2", "50")).ok
