"""Exposure in money: derivatives, rates, marks, and what cannot be valued."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.manager import RiskRequest

from gate_kit import (
    BTC,
    ETH,
    VENUE,
    FakeMarket,
    FakeView,
    calm,
    failed,
    hold,
    judge,
    limits,
    parent,
    poor,
    rules,
    with_pending,
    without,
)


def derivative(kind: Literal["linear", "inverse"]) -> tuple[FakeView, RiskRequest, RiskLimits]:
    settle = "USDT" if kind == "linear" else "BTC"
    symbol = f"BTC/USDT:{settle}"
    view = calm()
    view.instruments[("okx", symbol)] = rules(symbol, venue="okx", kind=kind, settle=settle)
    view.markets[("okx", symbol)] = FakeMarket()
    bounds = limits(
        allowed_venues=("*",),
        allowed_symbols=("*",),
        max_venue_exposure={"*": Decimal(20_000)},
        max_order_quantity={"*": Decimal(50)},
        max_position_quantity={"*": Decimal(60)},
        depth_participation_bps=10_000.0,
    )
    return view, parent(venue="okx", symbol=symbol, quantity_lots=20), bounds


def test_linear_contracts_are_judged_in_quote_and_need_no_free_balance() -> None:
    view, request, bounds = derivative("linear")
    verdict = judge(request, view, bounds)
    assert verdict.ok
    row = next(row for row in verdict.checks if row.code == "MAX_ORDER_NOTIONAL")
    assert row.value == 20
    row = next(row for row in verdict.checks if row.code == "FREE_BALANCE")
    assert "spot only" in row.text


def test_inverse_contracts_are_worth_their_size_at_any_price() -> None:
    view, request, bounds = derivative("inverse")
    verdict = judge(request, view, bounds)
    assert verdict.ok, verdict
    row = next(row for row in verdict.checks if row.code == "MAX_ORDER_NOTIONAL")
    assert row.value == 2_000
    verdict = judge(replace(request, quantity_lots=21, exposure_lots=21), view, bounds)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_NOTIONAL", 20)
    # A position in it counts for the exposure of a spot order: 10 contracts of 100 USD.
    hold(view, "BTC/USDT:BTC", "10", 200, venue="okx")
    view.portfolio.mark("okx", "BTC/USDT:BTC", 100.0)
    bounds = replace(bounds, max_gross_exposure=Decimal(1_050))
    verdict = judge(parent(), view, bounds)
    assert (verdict.code, verdict.permitted_lots) == ("GROSS", 50)


def test_a_derivative_pending_at_the_same_venue_promises_no_spot_money() -> None:
    view = poor("100.2")
    view.instruments[(VENUE, "X/USDT:USDT")] = rules("X/USDT:USDT", kind="linear")
    view.portfolio.mark(VENUE, "X/USDT:USDT", 10.0)
    view.pending[(VENUE, "X/USDT:USDT", "buy")] = 100
    assert judge(parent(), view).ok


def test_a_currency_without_a_rate_denies_everything_in_money() -> None:
    view = calm()
    view.portfolio.rates.reporting = "EUR"
    verdict = judge(parent(), view)
    assert failed(verdict) == [
        "MAX_ORDER_NOTIONAL",
        "MAX_POSITION",
        "GROSS",
        "NET",
        "VENUE",
        "GROUP",
    ]


@pytest.mark.parametrize("how", ["mark of a position", "mark of an order", "rules of an order"])
def test_exposure_that_cannot_be_valued_denies(how: str) -> None:
    view = calm("0", "3") if how == "mark of a position" else with_pending(ETH, "buy", 5)
    if how == "rules of an order":
        del view.instruments[(VENUE, ETH)]
    else:
        view.portfolio.mark(VENUE, ETH, None)
    codes = failed(judge(parent(side="sell"), view))
    assert {"GROSS", "NET", "VENUE", "GROUP"} <= set(codes)
    if how == "mark of a position":
        assert {"DAILY_LOSS", "ROLLING_LOSS", "DRAWDOWN"} <= set(codes)


def test_a_position_whose_rules_are_gone_cannot_be_valued() -> None:
    view = calm("0", "3")
    del view.instruments[(VENUE, ETH)]
    assert judge(parent(), view).code == "GROSS"


def test_a_symbol_with_nothing_pending_needs_no_mark() -> None:
    view = with_pending(ETH, "buy", 0)
    view.portfolio.mark(VENUE, ETH, None)
    assert judge(parent(), view).ok


def test_a_parent_without_price_or_book_is_denied_by_all_that_need_one() -> None:
    assert failed(judge(parent(price_ticks=None), without("market"))) == [
        "BELOW_MIN",
        "BOOK_STALE",
        "BOOK_CROSSED",
        "BOOK_NOT_LIVE",
        "SPREAD_WIDE",
        "DEPTH_PARTICIPATION",
        "MAX_ORDER_NOTIONAL",
        "MAX_POSITION",
        "GROSS",
        "NET",
        "VENUE",
        "GROUP",
        "FREE_BALANCE",
    ]


def test_a_group_counts_its_members_alone() -> None:
    bounds = limits(groups={"coins": (BTC,)}, max_group_exposure={"coins": Decimal(100)})
    assert judge(parent(), calm("0", "20"), bounds).ok
    assert judge(parent(quantity_lots=101), calm(), bounds).code == "GROUP"


def test_exposure_elsewhere_counts_for_gross_but_not_for_the_venue() -> None:
    view = calm()
    view.instruments[("okx", ETH)] = rules(ETH, venue="okx")
    view.pending[("okx", ETH, "buy")] = 100
    view.portfolio.mark("okx", ETH, 50.0)
    bounds = limits(max_venue_exposure={"*": Decimal(100)}, max_gross_exposure=Decimal(149))
    assert failed(judge(parent(), view, bounds)) == ["GROSS"]
