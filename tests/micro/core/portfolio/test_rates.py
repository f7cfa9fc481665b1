"""Rates of currencies through another, where they have no pair of their own."""

from __future__ import annotations

from decimal import Decimal

import pytest

from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.core.portfolio.rates import Rates

VENUE = "binance-spot"


def rates(*, two_hops: bool = True, par: tuple[str, ...] = ()) -> Rates:
    return Rates("USDT", par, two_hops=two_hops)


@pytest.mark.parametrize(
    ("marks", "worth"),
    [
        ({"BNB/BTC": 0.01, "BTC/USDT": 60_000.0}, Decimal(600)),
        ({"BTC/BNB": 100.0, "BTC/USDT": 60_000.0}, Decimal(600)),
        ({"BNB/BTC": 0.01, "USDT/BTC": 0.00002}, Decimal(500)),
        ({"BTC/BNB": 50.0, "USDT/BTC": 0.00002}, Decimal(1_000)),
        # its own pair first, whatever the others say
        ({"BNB/BTC": 0.01, "BTC/USDT": 60_000.0, "BNB/USDT": 590.0}, Decimal(590)),
        # through the first in the alphabet of those that lead there
        ({"BNB/ETH": 0.2, "ETH/USDT": 3_100.0, "BNB/BTC": 0.01, "BTC/USDT": 60_000.0}, 600),
        ({"BNB/ETH": 0.2, "ETH/USDT": 3_100.0, "BNB/BTC": 0.01}, Decimal(620)),
        # no perpetual, and no third hop
        ({"BNB/BTC": 0.01, "BTC/USDT:USDT": 60_000.0}, None),
        ({"BNB/BTC": 0.01, "BTC/ETH": 20.0, "ETH/USDT": 3_000.0}, None),
    ],
)
def test_a_currency_is_worth_what_another_makes_of_it(
    marks: dict[str, float], worth: Decimal | None
) -> None:
    for order in (marks.items(), reversed(list(marks.items()))):
        found = rates()
        for symbol, mid in order:
            found.mark(VENUE, symbol, mid)
        assert found.rate("BNB") == worth


def test_par_is_before_a_detour_and_may_be_its_second_half() -> None:
    found = rates(par=("USDC",))
    found.mark(VENUE, "USDC/BTC", 0.00002)
    found.mark(VENUE, "BTC/USDT", 60_000.0)
    assert found.rate("USDC") == 1
    found.mark(VENUE, "BNB/USDC", 610.0)
    assert found.rate("BNB") == Decimal(610)


def test_a_mark_that_is_taken_back_ends_the_rate() -> None:
    found = rates()
    found.mark(VENUE, "BNB/BTC", 0.01)
    found.mark(VENUE, "BTC/USDT", 60_000.0)
    found.mark("kraken-spot", "BTC/USDT", 61_000.0)
    assert found.rate("BNB") == 600
    found.mark(VENUE, "BTC/USDT", None)
    assert found.rate("BNB") == 610
    found.mark("kraken-spot", "BTC/USDT", None)
    assert found.rate("BNB") is None


def test_journals_of_before_know_no_detours() -> None:
    found = rates(two_hops=False)
    found.mark(VENUE, "BNB/BTC", 0.01)
    found.mark(VENUE, "BTC/USDT", 60_000.0)
    assert found.rate("BNB") is None
    assert found.rate("BTC") == 60_000


def test_fees_in_any_currency_count_as_losses() -> None:
    for wide, profit in ((False, Decimal(0)), (True, Decimal(-6))):
        portfolio = Portfolio(two_hop_rates=wide)
        portfolio.foreign_fees[VENUE, "BNB"] = Decimal("0.01")
        portfolio.mark(VENUE, "BNB/BTC", 0.01)
        portfolio.mark(VENUE, "BTC/USDT", 60_000.0)
        assert portfolio.profit() == profit
        assert portfolio.unvalued_fees == (() if wide else ("BNB",))
