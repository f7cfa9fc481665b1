"""Sizing: what the methods give, that it is never more, and what stays as asked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from gate_kit import BTC, NOW, hold, limits, margined, parent
from gate_mutants import SIZING, in_place, mutants
from hypothesis import given
from hypothesis import strategies as st
from sizing_scenes import FIXED, SCENES, Found, lots, outcome, size, told

from citadel_micro.core.risk.manager import RiskManager
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from gate_kit import FakeView

    from citadel_micro.core.risk.types import RiskRequest


@pytest.mark.parametrize(("given_lots", "request_", "view", "bounds"), SCENES)
def test_each_method_gives_what_its_figures_say(
    given_lots: Found, request_: RiskRequest, view: FakeView, bounds: dict[str, object]
) -> None:
    assert outcome(request_, view, **bounds) == given_lots


def test_a_cap_is_named() -> None:
    found = size(**FIXED, max_order_notional=Decimal(70))
    assert found is not None
    assert "MAX_ORDER_NOTIONAL" in found.why


@pytest.mark.parametrize(
    "bounds",
    [
        {"sizing": {"*": "martingale"}},
        {"sizing_fraction": Decimal("1.01")},
        {"sizing_daily_volatility": Decimal(2)},
        {"kelly_fraction": Decimal(2)},
        {"kelly_loss": Decimal(2)},
        {"kelly_loss": Decimal(0)},
        {"kelly_payoff": Decimal(0)},
        {"sizing_capital": Decimal(-1)},
    ],
)
def test_figures_that_are_none_are_refused(bounds: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="risk limits"):
        limits(**bounds)


BOUNDS = st.fixed_dictionaries(
    {
        "sizing": st.sampled_from(["fixed_fraction", "volatility_target", "kelly"]).map(
            lambda method: {"*": method}
        ),
        "sizing_capital": st.integers(0, 5_000).map(Decimal),
        "sizing_fraction": st.decimals(0, 1, places=3),
        "sizing_daily_volatility": st.decimals(0, 1, places=3),
        "kelly_fraction": st.decimals(0, 1, places=2),
        "kelly_payoff": st.decimals(Decimal("0.1"), 5, places=1),
        "kelly_loss": st.decimals(Decimal("0.01"), 1, places=2),
        "max_order_notional": st.integers(1, 3_000).map(Decimal),
        "max_position_notional": st.integers(1, 3_000).map(Decimal),
    }
)
REQUESTS = st.builds(
    parent,
    side=st.sampled_from(["buy", "sell"]),
    quantity_lots=st.integers(1, 3_000),
    confidence=st.none() | st.floats(0, 1),
    daily_volatility=st.none() | st.floats(0, 2),
)
POSITIONS = st.integers(-300, 300).map(lambda held: str(Decimal(held) / 100))


@given(bounds=BOUNDS, request_=REQUESTS, position=POSITIONS)
def test_nobody_is_given_more_and_a_reduction_keeps_what_it_reduces(
    bounds: dict[str, Any], request_: RiskRequest, position: str
) -> None:
    view = margined("5000")
    hold(view, BTC, position, 200)
    found = size(request_, view, **bounds)
    held = abs(Decimal(position)) * 100
    opposite = (request_.side == "buy") is (Decimal(position) < 0)
    if found is None:
        assert opposite
        assert request_.quantity_lots <= held
        return
    assert 0 <= found.lots <= request_.quantity_lots
    if found.lots and found.lots < request_.quantity_lots:
        # What it was cut to is not denied for its size, unless nothing at all would pass.
        verdict = RiskManager(limits(**bounds)).judge(
            replace(request_, quantity_lots=found.lots, exposure_lots=found.lots), view, NOW
        )
        large = [row.code for row in verdict.checks if not row.ok and 12 <= row.number <= 13]
        assert not large or verdict.permitted_lots == 0


@given(bounds=BOUNDS, request_=REQUESTS, factor=st.integers(1, 3))
def test_more_capital_more_confidence_or_a_calmer_market_gives_no_less(
    bounds: dict[str, Any], request_: RiskRequest, factor: int
) -> None:
    view = margined("5000")
    small = size(request_, view, **bounds)
    assert small is not None
    if bounds["sizing_capital"]:
        richer = {**bounds, "sizing_capital": bounds["sizing_capital"] * factor}
        assert lots(request_, view, **richer) >= small.lots
    surer = replace(request_, confidence=min(1.0, (request_.confidence or 0.0) * factor))
    assert lots(surer, view, **bounds) >= small.lots
    if request_.daily_volatility and request_.daily_volatility / factor > 0:
        calmer = replace(request_, daily_volatility=request_.daily_volatility / factor)
        assert lots(calmer, view, **bounds) >= small.lots


@pytest.mark.parametrize("mutant", [each for each in mutants((SIZING,)) if not each.moved], ids=str)
def test_no_comparison_is_for_nothing(mutant: Any) -> None:  # noqa: ANN401 - of the kit
    with in_place(mutant):
        assert told()
