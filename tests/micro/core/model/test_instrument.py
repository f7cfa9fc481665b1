"""Rounding never gives more than was asked, and book floats come back to their exact tick."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.instrument import Instrument
from citadel_proto.errors import BadInput


def instrument(
    tick: str = "0.01",
    lot: str = "0.00001",
    *,
    min_lots: int = 1,
    min_notional: str = "5",
    kind: Literal["spot", "linear", "inverse"] = "spot",
    contract_size: str = "1",
) -> Instrument:
    return Instrument(
        venue="binance-spot",
        symbol="BTC/USDT",
        venue_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        settle="USDT",
        kind=kind,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_lots=min_lots,
        min_notional=Decimal(min_notional),
        contract_size=Decimal(contract_size),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        fee_side="received",
    )


STEPS = st.sampled_from(["0.01", "0.00001", "1", "5", "0.25", "0.00000001", "0.5", "10"])
AMOUNTS = st.decimals(
    min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False, places=12
)


@given(STEPS, AMOUNTS)
def test_quantity_is_rounded_down_and_by_less_than_a_lot(lot: str, asked: Decimal) -> None:
    rules = instrument(lot=lot)
    lots = rules.lots(asked)
    assert Fraction(rules.quantity(lots)) <= Fraction(asked)
    assert Fraction(asked) < Fraction(rules.quantity(lots + 1))


@given(STEPS, AMOUNTS)
def test_buy_prices_are_floored_and_sell_prices_ceiled(tick: str, asked: Decimal) -> None:
    rules = instrument(tick=tick)
    buy, sell = rules.ticks(asked, "floor"), rules.ticks(asked, "ceil")
    assert rules.price(buy) <= asked <= rules.price(sell)
    assert sell - buy == (0 if Fraction(asked) % Fraction(tick) == 0 else 1)


@given(STEPS, AMOUNTS)
def test_nearest_is_nowhere_farther_than_half_a_step(tick: str, asked: Decimal) -> None:
    rules = instrument(tick=tick)
    away = Fraction(asked) - Fraction(rules.price(rules.ticks(asked, "nearest")))
    assert abs(away) * 2 <= Fraction(tick)


def test_a_tie_goes_to_the_even_tick() -> None:
    rules = instrument(tick="1")
    assert [rules.ticks(Decimal(text), "nearest") for text in ("0.5", "1.5", "2.5")] == [0, 2, 2]


@given(st.integers(1, 10**9), STEPS)
def test_negative_values_mirror(units: int, tick: str) -> None:
    rules = instrument(tick=tick)
    value = rules.price(units) + rules.tick / 4
    assert rules.ticks(-value, "floor") == -rules.ticks(value, "ceil")
    assert rules.ticks(-value, "ceil") == -rules.ticks(value, "floor")
    assert rules.ticks(-value, "nearest") == -rules.ticks(value, "nearest")


def test_digits_beyond_the_decimal_context_do_not_round_up_to_a_lot() -> None:
    # 28 significant digits would make this a whole one.
    almost = Decimal("0." + "9" * 40)
    assert instrument(lot="1").lots(almost) == 0
    assert instrument(lot="1").lots(Decimal(1) + Decimal("1e-40")) == 1
    assert instrument(tick="1").ticks(Decimal("1." + "0" * 40 + "1"), "ceil") == 2


@given(st.integers(1, 10**12), STEPS)
def test_a_float_price_on_the_grid_comes_back_exactly(ticks: int, tick: str) -> None:
    rules = instrument(tick=tick)
    text = format(rules.price(ticks), "f")
    assert rules.price_float(ticks) == float(text)
    assert rules.ticks_of_float(float(text)) == ticks


@given(st.integers(0, 10**12), STEPS)
def test_a_float_size_on_the_grid_comes_back_exactly(lots: int, lot: str) -> None:
    rules = instrument(lot=lot)
    assert rules.lots_of_float(float(format(rules.quantity(lots), "f"))) == lots


@given(
    st.integers(1, 10**8),
    STEPS,
    STEPS,
    st.integers(1, 1000),
    st.decimals(min_value=0, max_value=10**5, places=4),
)
def test_min_lots_is_the_smallest_placeable_quantity(
    ticks: int, tick: str, lot: str, min_lots: int, min_notional: Decimal
) -> None:
    rules = instrument(tick, lot, min_lots=min_lots, min_notional=str(min_notional))
    least = rules.min_lots_at(ticks)
    assert least >= min_lots
    assert rules.notional(ticks, least) >= min_notional
    if least > min_lots:
        assert rules.notional(ticks, least - 1) < min_notional


def test_inverse_notional_is_in_base_currency_and_its_minimum_in_lots() -> None:
    rules = instrument(tick="0.5", lot="1", min_lots=2, kind="inverse", contract_size="100")
    assert rules.notional(100_000, 5) == Decimal(500) / 50_000
    assert rules.min_lots_at(100_000) == 2


def test_linear_notional_counts_the_contract_size() -> None:
    rules = instrument(tick="0.1", lot="1", kind="linear", contract_size="0.01")
    assert rules.notional(600_000, 3) == Decimal(1800)


def test_without_a_price_only_the_lots_minimum_holds() -> None:
    assert instrument(min_lots=7).min_lots_at(0) == 7


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e500"])
def test_what_is_no_number_to_trade_on_is_refused(text: str) -> None:
    rules = instrument()
    with pytest.raises(BadInput):
        rules.lots(Decimal(text))
    with pytest.raises(BadInput):
        rules.ticks(Decimal(text), "floor")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_floats_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(BadInput):
        instrument().ticks_of_float(value)
    with pytest.raises(BadInput):
        instrument().lots_of_float(value)


@pytest.mark.parametrize(
    "rules",
    [
        {"tick": "0"},
        {"tick": "-0.1"},
        {"lot": "NaN"},
        {"contract_size": "Infinity"},
        {"min_lots": 0},
    ],
)
def test_rules_that_cannot_be_traded_on_are_refused(rules: dict[str, str | int]) -> None:
    with pytest.raises(BadInput):
        instrument(**rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "decimals"), [("0.01", 2), ("1", 0), ("10", 0), ("0.25", 2), ("0.00001000", 5)]
)
def test_decimals_are_those_of_the_step(step: str, decimals: int) -> None:
    assert instrument(tick=step).price_decimals == decimals
    assert instrument(lot=step).quantity_decimals == decimals


@given(tick=STEPS, lot=STEPS, worth=st.decimals(0, 1_000, places=3), ticks=st.integers(1, 10**7))
def test_the_smallest_order_is_the_first_that_is_worth_the_minimum(
    tick: str, lot: str, worth: Decimal, ticks: int
) -> None:
    lots = instrument(tick, lot, min_notional=str(worth)).min_lots_at(ticks)
    unit = Fraction(tick) * Fraction(lot) * ticks
    assert lots * unit >= worth
    assert lots == 1 or (lots - 1) * unit < worth
