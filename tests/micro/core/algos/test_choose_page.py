"""Every line of the page on choosing an algorithm is one that micro accepts."""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import START, Rig, config, rules, signal

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.model.config import VenueConfig

if TYPE_CHECKING:
    from pathlib import Path

DAY_NS = 86_400_000_000_000


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "howto" / "choose-an-algorithm.md").read_text()


def calls(page: str) -> list[dict[str, Any]]:
    """The keyword arguments of every request that a strategy makes there."""
    code = "".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    return [
        {each.arg or "": ast.literal_eval(each.value) for each in node.keywords}
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
    ]


def test_it_shows_every_algorithm_that_an_order_may_name(page: str) -> None:
    orders = {name for name, kind in ALGORITHMS.items() if not kind.traits.held}
    assert {each["algo"] for each in calls(page)} == orders
    for name in ALGORITHMS:
        assert f"`{name}`" in page or f'"{name}"' in page


def test_each_of_them_is_accepted_and_worked(page: str) -> None:
    venue = VenueConfig(shows_own_orders=False, fill_or_kill=True)
    for each in calls(page):
        rig = Rig(config(venue), instrument=rules())
        params = tuple(sorted((name, value) for name, value in each.items() if name != "algo"))
        rig.send(
            signal(
                algo=each["algo"],
                limit_price=Decimal(60_000),
                params=params,
                expires_ns=START + DAY_NS,
            )
        )
        assert rig.report().status != "rejected", rig.report()
        assert rig.report().reason_code in {"", "NOT_MARKETABLE", "CHASE"}, each
