"""Leverage and margin mode that others have changed are seen, and adopted where they cannot be restored."""

from __future__ import annotations

from decimal import Decimal

import pytest

from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.shell.venue.margin_settings import MarginSettings, Stated
from citadel_proto.errors import Refused

SYMBOL = "BTC/USDT:USDT"
TIERS = [
    MarginTier(Decimal(500), 50, Decimal("0.01"), Decimal(1)),
    MarginTier(Decimal(100), 125, Decimal("0.004"), Decimal(0)),
]
HELD = Decimal("-0.1")


def settings() -> MarginSettings:
    made = MarginSettings("binance-usdm", 5, "isolated")
    made.confirm(SYMBOL)
    return made


def test_confirmed_settings_are_those_configured() -> None:
    terms = settings().terms(SYMBOL, TIERS)
    assert (terms.leverage, terms.mode, terms.text) == (5, "isolated", "")
    assert [tier.max_notional for tier in terms.tiers] == [100, 500]


@pytest.mark.parametrize(
    ("leverage", "mode", "said"),
    [
        (Decimal("5.00"), "isolated", ""),
        (Decimal(5), "", ""),
        (None, "", ""),
        (
            Decimal(20),
            "isolated",
            "leverage of BTC/USDT:USDT was changed by others: 20 instead of 5",
        ),
        (Decimal("5.5"), "", "5.5 instead of 5"),
        (Decimal(2), "", "2 instead of 5"),
        (Decimal("1E+999999"), "", "was changed by others: 1.000E+999999 instead of 5"),
        (Decimal("1E-999999"), "", "was changed by others: 1.000E-999999 instead of 5"),
        (Decimal("9" * 5_000), "", "was changed by others: 1.000E+5000 instead of 5"),
        (Decimal(5), "cross", "margin mode of BTC/USDT:USDT was changed by others: cross"),
    ],
)
def test_what_a_survey_shows_is_compared(leverage: Decimal | None, mode: str, said: str) -> None:
    for quantity in (HELD, Decimal(0)):
        found = settings().changed([Stated(SYMBOL, quantity, leverage, mode)])
        assert said in found
        assert bool(found) is bool(said)


def test_a_symbol_that_was_not_verified_is_not_compared() -> None:
    assert settings().changed([Stated("ETH/USDT:USDT", HELD, Decimal(20))]) == ""


def test_what_cannot_be_restored_counts_until_the_position_is_closed() -> None:
    made = settings()
    made.adopt(SYMBOL, Decimal("12.5"), "cross", Refused("it does not set leverage 5"))
    terms = made.terms(SYMBOL, TIERS)
    assert (terms.leverage, terms.mode) == (13, "cross")
    assert terms.text.startswith("it does not set leverage 5. ")
    assert "While there is a position" in terms.text
    assert "cross margin and leverage 12.5" in terms.text
    # What is adopted is no reason to verify it again, what others make of it next is one.
    assert made.changed([Stated(SYMBOL, HELD, Decimal("12.5"), "cross")]) == ""
    assert "20 instead of 13" in made.changed([Stated(SYMBOL, HELD, Decimal(20), "cross")])
    assert "is closed" in made.changed([Stated(SYMBOL, Decimal(0))])
    made.confirm(SYMBOL)
    assert made.changed([Stated(SYMBOL, Decimal(0))]) == ""


def test_a_setting_of_the_account_is_kept_by_any_position() -> None:
    made, other = settings(), "ETH/USDT:USDT"
    for symbol in (SYMBOL, other):
        made.adopt(symbol, Decimal(5), "cross", Refused("multi-assets mode"), (SYMBOL, other))
    flat = Decimal(0)
    assert made.changed([Stated(SYMBOL, flat), Stated(other, HELD)]) == ""
    assert made.changed([Stated(SYMBOL, HELD), Stated(other, flat)]) == ""
    assert "is closed" in made.changed([Stated(SYMBOL, flat), Stated(other, flat)])
