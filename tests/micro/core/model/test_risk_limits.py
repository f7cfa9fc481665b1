"""Limits that cannot be limits are refused, with words that help; tables find the closest entry."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from decimal import Decimal

import pytest

from citadel_micro.core.model.risk_limits import (
    RiskLimits,
    for_symbol,
    for_venue,
    listed,
    paper_defaults,
)
from citadel_proto.errors import BadInput


def test_limits_that_are_required_have_no_default() -> None:
    with pytest.raises(TypeError, match="max_drawdown"):
        RiskLimits()  # type: ignore[call-arg]


def test_paper_defaults_replace_single_fields() -> None:
    limits = paper_defaults(max_open_orders=3, lease_required=False)
    assert limits.max_open_orders == 3
    assert not limits.lease_required
    assert limits.max_daily_loss == paper_defaults().max_daily_loss
    with pytest.raises(TypeError, match="max_opne_orders"):
        paper_defaults(max_opne_orders=3)


def test_limits_do_not_change_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        paper_defaults().max_open_orders = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_order_notional", Decimal("NaN")),
        ("max_order_notional", Decimal("Infinity")),
        ("max_daily_loss", Decimal(-1)),
        ("price_collar_bps", float("nan")),
        ("max_spread_bps", float("inf")),
        ("stale_ns", -1),
        ("max_open_orders", 10**19),
        ("max_position_quantity", {"BTC/USDT": Decimal(-2)}),
        ("max_venue_exposure", {"*": Decimal("NaN")}),
        ("probation_fraction", Decimal(25)),
        ("warn_fraction", Decimal(80)),
    ],
)
def test_a_number_that_is_no_limit_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=name) as error:
        paper_defaults(**{name: value})
    assert error.value.where == "risk limits"
    assert error.value.mend


def test_the_hard_lease_is_no_shorter_than_the_soft_one() -> None:
    with pytest.raises(BadInput, match="lease_hard_ns"):
        paper_defaults(lease_soft_ns=10, lease_hard_ns=9)


def test_a_group_needs_a_limit() -> None:
    groups = {"majors": ("BTC/USDT", "okx:ETH/USDT")}
    with pytest.raises(BadInput, match=r"max_group_exposure\.majors"):
        paper_defaults(groups=groups)
    limits = paper_defaults(groups=groups, max_group_exposure={"majors": Decimal(1)})
    assert limits.groups_of("binance-spot", "BTC/USDT") == ("majors",)
    assert limits.groups_of("okx", "ETH/USDT") == ("majors",)
    assert not limits.groups_of("kraken-spot", "ETH/USDT")
    assert not paper_defaults().groups_of("okx", "ETH/USDT")


def test_the_closest_entry_of_a_table_counts() -> None:
    table = {"okx:BTC/USDT": Decimal(1), "BTC/USDT": Decimal(2), "*": Decimal(3)}
    assert for_symbol(table, "okx", "BTC/USDT") == 1
    assert for_symbol(table, "kraken-spot", "BTC/USDT") == 2
    assert for_symbol(table, "okx", "ETH/USDT") == 3
    assert for_symbol({}, "okx", "ETH/USDT") is None
    assert for_symbol({"BTC/USDT": Decimal(0), "*": Decimal(3)}, "okx", "BTC/USDT") == 0
    venues = {"okx": Decimal(1), "*": Decimal(2)}
    assert for_venue(venues, "okx") == 1
    assert for_venue(venues, "deribit") == 2
    assert for_venue({"okx": Decimal(1)}, "deribit") is None


def test_lists_name_instruments_three_ways_and_nothing_by_default() -> None:
    assert listed(("BTC/USDT",), "okx", "BTC/USDT")
    assert listed(("okx:BTC/USDT",), "okx", "BTC/USDT")
    assert listed(("*",), "okx", "BTC/USDT")
    assert not listed(("okx:BTC/USDT",), "deribit", "BTC/USDT")
    assert not listed((), "okx", "BTC/USDT")


def test_every_field_is_plain_enough_for_a_configuration_file() -> None:
    for each in fields(RiskLimits):
        value = getattr(paper_defaults(), each.name)
        assert isinstance(value, int | float | Decimal | str | tuple | dict), each.name
