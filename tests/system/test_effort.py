"""What `make test` leaves to `make long` is run there, and no more than a part of any proof."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from campaign_order import FilesAndRandomTests
from effort import chosen, table

if TYPE_CHECKING:
    from pathlib import Path


def left(case: Any) -> bool:  # noqa: ANN401 - a parameter, or its value
    return [mark.name for mark in getattr(case, "marks", ())] == ["campaign"]


def test_a_selection_keeps_all_cases_and_leaves_some_to_the_campaign() -> None:
    cases = chosen(["a", "b", "c"], suite=["b"])
    assert [getattr(case, "values", (case,))[0] for case in cases] == ["a", "b", "c"]
    assert [left(case) for case in cases] == [True, False, True]
    with pytest.raises(AssertionError, match="not"):
        chosen(["a"], suite=["b"])
    with pytest.raises(AssertionError, match="at least one"):
        chosen(["a"], suite=[])


def test_a_table_has_every_pair_and_the_suite_every_value() -> None:
    rows = table("abc", [1, 2], "xy")
    assert len({row.values for row in rows}) == 3 * 2 * 2
    suite = [row.values for row in rows if not left(row)]
    assert len(suite) == 3
    for column, values in enumerate(("abc", [1, 2], "xy")):
        assert {row[column] for row in suite} == set(values)


def test_one_target_runs_what_the_other_leaves_out(repository: Path) -> None:
    made = dict(
        re.findall(
            r"^(test|long): .*\n((?:\t.*\n)+)", (repository / "Makefile").read_text(), re.MULTILINE
        )
    )
    assert '-m "not campaign"' in made["test"]
    assert '-m "hypothesis or long or campaign"' in made["long"]
    assert "CITADEL_LONG=1" in made["long"]
    for run in (".ci/run", ".github/workflows/ci.yml"):
        words = (repository / run).read_text().split()
        assert {"test", "long"} <= set(words), run


def test_the_campaign_keeps_a_file_together_unless_it_has_random_tests() -> None:
    """A file is one piece of work, and of random tests each."""
    of = object.__new__(FilesAndRandomTests)._split_scope
    file = "tests/system/test_house.py"
    assert of(f"{file}::test_one") == of(f"{file}::test_two[a::b@c]") == file
    random = "tests/bridge/test_gap_detector.py"
    assert of(f"{random}::test_one") == f"{random}::test_one"
    assert of(f"{random}::test_one") != of(f"{random}::test_two")
