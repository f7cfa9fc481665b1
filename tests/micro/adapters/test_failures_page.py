"""The page of other programs' failures: each has a test at every venue, or a reason why it needs none."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "reference" / "failures.md").read_text(encoding="utf-8")
AT_VENUES = "tests/micro/adapters/test_failures_at_venues.py"
STORIES = (REPOSITORY / AT_VENUES).read_text(encoding="utf-8").split("STORIES = (")[1].split(")")[0]
ENGINE = (
    "tests/micro/core/engine/test_failures_of_others.py",
    "tests/micro/core/engine/test_failures_of_others_fills.py",
)
ROOMS = ("binance", "bybit", "hyperliquid", "kraken", "okx")


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def table(heading: str) -> list[list[str]]:
    after = PAGE.split(f"| {heading} |", 1)[1].splitlines()[2:]
    rows = []
    for line in after:
        if not line.startswith("| "):
            break
        rows.append([cell.strip() for cell in line.strip("| ").split(" | ")])
    return rows


def test_every_failure_has_a_test_that_exists_or_a_reason_at_every_venue() -> None:
    rows, names = table("failure"), dict(table("name"))
    assert len(rows) == 18
    assert len(names) == len(table("name"))
    for named in names.values():
        found = re.match(r"`(tests/[\w/]+\.py)::(\w+)`", named)
        assert found is not None, named
        assert found[2] in functions(found[1]), named
    in_engine = functions(ENGINE[0]) | functions(ENGINE[1])
    reasons = set(re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE))
    used: set[str] = set()
    for failure, engine, *cells in rows:
        assert engine.strip("`") in in_engine, failure
        assert len(cells) == 6, failure
        for cell in cells:
            assert cell in names or cell.strip("()") in reasons, (failure, cell)
        used |= set(cells)
    assert used == set(names) | {f"({number})" for number in reasons}, "and nothing is left over"


def test_a_failure_that_is_said_to_be_a_story_is_one() -> None:
    told = set(re.findall(r"^    (\w+),$", STORIES, re.MULTILINE))
    for failure, _engine, *cells in table("failure"):
        if "story" in cells:
            project, _, number = failure.split(":")[0].partition("#")
            words = project.rpartition("/")[2].lower().replace(".", "_").replace("_trader", "")
            assert f"{words}_{number}" in told, failure


def test_no_adapter_sends_batches_or_knows_a_list_of_conditional_orders() -> None:
    """Two of the reasons of the page; with either, the failure could happen there."""
    for room in ROOMS:
        for path in (REPOSITORY / "micro/citadel_micro/adapters" / room).glob("*.py"):
            text = path.read_text(encoding="utf-8").lower()
            for word in ("batch", "algoorder", "order-algo", "orders-algo"):
                assert word not in text, (path.name, word)
