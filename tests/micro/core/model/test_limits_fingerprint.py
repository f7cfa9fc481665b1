"""The fingerprint of limits: the same for equal limits, another for every single change."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any, cast

import pytest

from citadel_micro.core.model.risk_limits import RiskLimits, fingerprint, paper_defaults


def other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float | Decimal):
        return value / 2 if value else value + 1
    if isinstance(value, tuple):
        return (*value, "XRP/USDT")
    if isinstance(value, dict):
        return {**value, "XRP/USDT": Decimal(1)}
    return {"hold": "flatten", "USDT": "EUR"}[str(value)]


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(RiskLimits)])
def test_every_limit_counts(name: str) -> None:
    limits = paper_defaults()
    changed = other(getattr(limits, name))
    if name.startswith("lease_") and name.endswith("_ns"):
        changed = getattr(limits, name) + 1
        limits = paper_defaults(lease_hard_ns=20 * 10**9)
        if name == "lease_hard_ns":
            changed = 21 * 10**9
    if name == "sizing":
        changed = {"*": "kelly"}
    if name == "groups":
        changed = {"majors": ("BTC/USDT",)}
        limits = paper_defaults(max_group_exposure={"majors": Decimal(1)})
    assert fingerprint(dataclasses.replace(limits, **cast("Any", {name: changed}))) != fingerprint(
        limits
    )


def test_how_a_number_is_written_does_not_count() -> None:
    one = paper_defaults(
        max_daily_loss=Decimal(5), max_venue_exposure={"a": Decimal(1), "b": Decimal(2)}
    )
    two = paper_defaults(
        max_daily_loss=Decimal("5.00"), max_venue_exposure={"b": Decimal("2.0"), "a": Decimal(1)}
    )
    assert fingerprint(one) == fingerprint(two)
