"""From ccxt's market structure to an ``Instrument``, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.adapters.ccxt.instruments import (
    DECIMAL_PLACES,
    FLOAT_DIGITS,
    SIGNIFICANT_DIGITS,
    TICK_SIZE,
    Unusable,
    exact,
    market_of,
    near,
    price_step,
    size_step,
)


def market(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields by name
    values: dict[str, Any] = {
        "id": "ABCUSDT",
        "symbol": "ABC/USDT",
        "type": "spot",
        "spot": True,
        "active": True,
        "precision": {"price": 0.01, "amount": 0.001},
        "limits": {"amount": {"min": 0.002}, "cost": {"min": 5.0}},
        "maker": 0.001,
        "taker": 0.0015,
        "info": {},
    }
    return {**values, **changes}


def perpetual(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields by name
    return market(
        **{
            "symbol": "ABC/USDT:USDT",
            "type": "swap",
            "spot": False,
            "swap": True,
            "linear": True,
            "inverse": False,
            "settle": "USDT",
            "contractSize": 0.01,
            **changes,
        }
    )


# Decimals as venues write them: up to 15 significant digits, anywhere between 1e-20 and 1e20.
written = st.builds(
    lambda digits, scale: Decimal(digits).scaleb(scale),
    st.integers(1, 10**FLOAT_DIGITS - 1),
    st.integers(-20, 5),
)


@given(written)
def test_a_decimal_survives_ccxts_binary_floats(number: Decimal) -> None:
    for text in (format(number, "f"), str(number)):
        assert exact(float(text), "tick") == number
        assert exact(text, "tick") == number


@given(written, st.integers(1, 1_000_000))
def test_prices_and_quantities_of_converted_rules_are_on_the_venues_grid(
    tick: Decimal, count: int
) -> None:
    rules = market_of(
        "okx",
        market(precision={"price": float(tick), "amount": float(tick)}, limits={}),
        mode=TICK_SIZE,
        name="ABC",
    ).rules
    assert (rules.tick, rules.lot) == (tick, tick)
    assert Fraction(rules.price(count)) == Fraction(tick) * count
    assert rules.ticks(rules.price(count), "nearest") == count
    assert rules.lots(rules.quantity(count)) == count


@given(written, written)
def test_the_least_quantity_is_never_below_the_venues(lot: Decimal, least: Decimal) -> None:
    each = market(
        precision={"price": 1, "amount": float(lot)}, limits={"amount": {"min": float(least)}}
    )
    rules = market_of("okx", each, mode=TICK_SIZE, name="ABC").rules
    assert Fraction(lot) * rules.min_lots >= Fraction(least)
    assert rules.min_lots == 1 or Fraction(lot) * (rules.min_lots - 1) < Fraction(least)


@given(written)
def test_contracts_and_amounts_are_the_same_thing_twice(size: Decimal) -> None:
    rules = market_of("okx", perpetual(contractSize=float(size)), mode=TICK_SIZE, name="ABC").rules
    for lots in (1, 2, 999):
        assert rules.amount(lots) == rules.quantity(lots) * size
        assert rules.lots(rules.units(rules.amount(lots))) == lots


@given(st.integers(-8, 20))
def test_decimal_places_are_a_step(places: int) -> None:
    step = Fraction(price_step(places, DECIMAL_PLACES, None) or 0)
    assert step == Fraction(10) ** -places
    assert Fraction(size_step(float(places), DECIMAL_PLACES) or 0) == step


@given(st.decimals(min_value="0.001", max_value="900000", places=6), st.integers(1, 7))
def test_significant_digits_are_a_step_at_a_price(price: Decimal, digits: int) -> None:
    step = price_step(digits, SIGNIFICANT_DIGITS, price)
    assert step is not None
    rounded = Decimal(f"{price:.{digits - 1}e}")  # so many significant digits
    assert step == Decimal("1e-8") or rounded % step == 0
    assert step * 10 ** (digits - 1) <= price < step * 10**digits or step == Decimal("1e-8")


def test_significant_digits_need_a_price() -> None:
    each = market(precision={"price": 5, "amount": 8})
    with pytest.raises(Unusable, match="follows its price"):
        market_of("ccxt-bitfinex", each, mode=SIGNIFICANT_DIGITS, name="tABC")
    rules = market_of(
        "ccxt-bitfinex", each, mode=SIGNIFICANT_DIGITS, name="tABC", price=Decimal("64123.5")
    ).rules
    assert (rules.tick, rules.lot) == (Decimal(1), Decimal("0.00000001"))


def test_all_fields_of_a_spot_market() -> None:
    found = market_of("okx", market(), mode=TICK_SIZE, name="ABC-USDT")
    rules = found.rules
    assert found.active
    assert (rules.venue_symbol, rules.base, rules.quote, rules.settle) == (
        "ABC-USDT", "ABC", "USDT", "USDT",
    )  # fmt: skip
    assert (rules.min_lots, rules.min_notional, rules.contract_size) == (2, Decimal(5), Decimal(1))
    assert (str(rules.maker_fee), str(rules.taker_fee)) == ("0.001", "0.0015")
    assert rules.fee_side == "received"


def test_what_is_not_said_has_a_safe_meaning() -> None:
    each = market(limits={}, maker=None, taker=None, active=None)
    found = market_of("okx", each, mode=TICK_SIZE, name="ABC", fee_side="quote")
    assert found.active
    assert (found.rules.min_lots, found.rules.min_notional) == (1, Decimal(0))
    assert found.rules.taker_fee == Decimal("0.001")
    assert found.rules.fee_side == "quote"
    assert not market_of("okx", market(active=False), mode=TICK_SIZE, name="A").active


def test_contracts() -> None:
    linear = market_of("okx", perpetual(), mode=TICK_SIZE, name="A", fee_side="quote").rules
    assert (linear.kind, linear.settle, linear.contract_size) == ("linear", "USDT", Decimal("0.01"))
    inverse = market_of(
        "okx",
        perpetual(symbol="ABC/USD:ABC", linear=False, inverse=True, settle="ABC", contractSize=100),
        mode=TICK_SIZE,
        name="A",
    ).rules
    assert (inverse.kind, inverse.settle, inverse.contract_size) == ("inverse", "ABC", Decimal(100))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"precision": {"price": None, "amount": 1}}, "no tick"),
        ({"precision": {"price": 1}}, "no lot"),
        ({"precision": {"price": 0, "amount": 1}}, "no tick"),
        ({"precision": {"price": -0.1, "amount": 1}}, "tick is -0.1"),
        ({"precision": {"price": 0.1 * 3, "amount": 1}}, "noise of binary arithmetic"),
        ({"precision": {"price": float("inf"), "amount": 1}}, "no number"),
        ({"precision": {"price": "0,1", "amount": 1}}, "no number"),
        ({"precision": {"price": True, "amount": 1}}, "no number"),
        ({"precision": {"price": [1], "amount": 1}}, "no number"),
        ({"option": True}, "options"),
        ({"spot": False, "type": "index"}, "index is not supported"),
        ({"spot": False, "swap": True, "settle": "EUR"}, "settles in EUR"),
        ({"limits": {"amount": {"min": "nan"}}}, "no number"),
    ],
)
def test_what_cannot_be_traded_on_says_why(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Unusable, match=why):
        market_of("okx", market(**changes), mode=TICK_SIZE, name="A")


def test_an_unknown_way_to_count_precision_is_refused() -> None:
    with pytest.raises(Unusable, match="unknown way"):
        market_of("okx", market(), mode=7, name="A")
    with pytest.raises(Unusable, match="no number of digits"):
        price_step(2.5, DECIMAL_PLACES, None)


def test_bounds_may_have_more_digits_than_a_float_carries() -> None:
    assert near(26.7187147229469674, "least") == Decimal("26.718714722946967")
    assert exact("26.7187147229469674", "least") == Decimal("26.7187147229469674")
    assert exact("", "least") is None
