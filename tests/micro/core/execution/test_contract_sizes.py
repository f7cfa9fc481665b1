"""Signals and reports count coins; the venue counts contracts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from engine_kit import SECOND, SYMBOL, VENUE, Rig, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import OperatorCommand

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument


def linear(size: str) -> Instrument:
    return rules(
        kind="linear", lot=Decimal("0.01"), contract_size=Decimal(size), min_notional=Decimal(0)
    )


def traded(instrument: Instrument, quantity: str, *, size: float = 1e9) -> Rig:
    rig = Rig(instrument=instrument)
    rig.venue.partial_share = 0.0
    rig.book(60_000.0, 60_000.1, size=size)
    rig.send(signal(quantity=Decimal(quantity), algo="marketable_limit"))
    rig.run(2 * SECOND)
    return rig


@pytest.mark.parametrize(
    ("size", "quantity", "lots"),
    [
        ("0.01", "0.5", 5_000),  # OKX BTC-USDT-SWAP: 0.5 BTC are 50 contracts
        ("0.0001", "0.5", 500_000),  # Gate BTC_USDT
        ("1", "0.5", 50),
        ("10", "0.5", 5),  # 0.05 contracts of ten coins
    ],
)
def test_coins_become_contracts_and_contracts_coins(size: str, quantity: str, lots: int) -> None:
    rig = traded(linear(size), quantity)
    (placed,) = rig.venue.placed
    assert placed.quantity_lots == lots
    report = rig.reports[-1]
    filled = lots * Decimal("0.01") * Decimal(size)
    assert (report.status, report.quantity, report.filled) == ("filled", Decimal(quantity), filled)
    assert sum(fill.quantity for fill in report.fills) == filled
    assert report.position is not None
    assert report.position.quantity == filled
    assert report.position.entry_price == report.average
    # What it is worth is what so many coins are worth.
    held = rig.engine.view.portfolio.position(VENUE, SYMBOL)
    assert held is not None
    assert held.quantity * held.value(Decimal(60_000)) == filled * 60_000


def test_inverse_contracts_are_counted_in_quote_currency() -> None:
    coinm = rules(
        kind="inverse",
        settle="BTC",
        lot=Decimal(1),
        contract_size=Decimal(100),
        min_notional=Decimal(0),
    )
    rig = traded(coinm, "1000")
    assert rig.parent().target == 10
    assert coinm.amount(10) == 1000


def test_what_is_no_whole_lot_is_refused_with_what_would_do() -> None:
    rig = traded(linear("0.01"), "0.50009")
    report = rig.reports[-1]
    assert (report.status, report.reason_code) == ("rejected", "BAD_LOT")
    assert report.permitted == Decimal("0.5")


def test_what_is_less_than_a_lot_is_denied_in_coins() -> None:
    rig = traded(linear("10"), "0.05")
    assert rig.venue.placed == []
    report = rig.reports[-1]
    assert (report.status, report.reason_code) == ("rejected", "BELOW_MIN")
    assert "0.05 BTC is below the minimum 0.1" in report.reason


def test_a_position_in_contracts_is_flattened_whole() -> None:
    rig = traded(linear("0.01"), "0.5")
    flatten = OperatorCommand(action="flatten", scope="global", trip_id="", reason="done")
    rig.send(flatten)
    for _ in range(5):
        rig.book(60_000.0, 60_000.1, size=1e9)
        rig.run(SECOND)
    assert rig.venue.placed[-1].quantity_lots == 5_000
    assert rig.engine.view.portfolio.quantity(VENUE, SYMBOL) == 0


@given(
    st.integers(1, 10**9),
    st.sampled_from(["0.00001", "0.01", "0.125", "1", "10", "100", "10000000"]),
    st.sampled_from(["0.001", "0.1", "1", "5"]),
)
def test_amounts_of_whole_lots_come_back_whole(lots: int, size: str, lot: str) -> None:
    one = rules(kind="linear", lot=Decimal(lot), contract_size=Decimal(size))
    assert one.lots(one.units(one.amount(lots))) == lots
    assert one.amount(lots) == one.quantity(lots) * Decimal(size)
    assert one.units(one.amount(lots)) == one.quantity(lots)
