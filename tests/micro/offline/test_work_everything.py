"""Every algorithm, side and size on a capture: nothing beyond what was asked. ``make work`` takes all captures."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from effort import LONG
from work_kit import NAMES, Touch, first_touch, orders, violations

from citadel_micro.offline.work import WorkOrder, work

if TYPE_CHECKING:
    from pathlib import Path

SYMBOL = "AAA/USDT"


@pytest.fixture(scope="module")
def touch(capture: Path) -> Touch:
    found = first_touch(capture, "binance-spot", SYMBOL)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_beyond_what_was_asked(
    capture: Path, touch: Touch, prepared: Path, name: str
) -> None:
    found: list[WorkOrder] = [
        each
        for each in orders(capture, "binance-spot", SYMBOL, touch, prepared)
        if each.algo == name
    ]
    assert len(found) in {6, 12}
    fills = 0
    # Of each size, side and kind of limit some; ``make long`` and ``make work`` take all.
    for order in found if LONG else found[::5]:
        outcome: Any = work(order).outcome
        assert violations(order, outcome) == []
        fills += sum(len(child["fills"]) for child in outcome["children"])
    assert fills > 0


def test_what_must_not_be_is_found(capture: Path, touch: Touch) -> None:
    order = next(
        each
        for each in orders(capture, "binance-spot", SYMBOL, touch)
        if each.algo == "marketable_limit" and each.limit_price is not None
    )
    outcome: Any = work(order).outcome
    assert violations(order, outcome) == []
    child = outcome["children"][0]
    fill = child["fills"][0]
    child["post_only"] = True
    assert any("post-only" in text for text in violations(order, outcome))
    child["post_only"], child["done_ns"] = False, 0
    assert any("never ended" in text for text in violations(order, outcome))
    child["done_ns"] = 1
    fill["price"] = str(Decimal(fill["price"]) + 1)
    assert any("cap" in text for text in violations(order, outcome))
    fill["price"], fill["quantity"] = str(Decimal(fill["price"]) - 1), "1000"
    assert any("overfill" in text for text in violations(order, outcome))
