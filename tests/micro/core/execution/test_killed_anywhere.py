"""Killed between any two things that are written or sent: no order twice, nothing lost, the books the exchange's.

The suite tries each kind of boundary once, over the algorithms together; ``make long`` each kind in each
algorithm's story, at exchanges that amend too; ``make campaign-crash`` every boundary, and a second death after it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from engine_kit import MS, SECOND
from kill_scripts import AMENDS, STORIES, told

from citadel_micro.core.algos import ALGORITHMS

if TYPE_CHECKING:
    from killed_rig import Boundary


@cache
def kinds(name: str, amends: str) -> dict[Boundary, int]:
    """Each kind of boundary in a story, with the first of it."""
    found: dict[Boundary, int] = {}
    for number, kind in enumerate(told(name, amends).passed):
        found.setdefault(kind, number)
    return found


@cache
def shared_out() -> dict[str, dict[Boundary, int]]:
    """Each kind of boundary, given to one of the stories that have it: to that with the fewest."""
    having: dict[Boundary, list[str]] = {}
    for name in STORIES:
        for kind in kinds(name, "cancels"):
            having.setdefault(kind, []).append(name)
    given: dict[str, dict[Boundary, int]] = {name: {} for name in STORIES}
    for kind, names in having.items():
        name = min(names, key=lambda each: len(given[each]))
        given[name][kind] = kinds(name, "cancels")[kind]
    return given


def test_every_algorithm_has_its_story() -> None:
    assert {name.partition(" ")[0] for name in STORIES} == {*ALGORITHMS, "ladder"}


@pytest.mark.parametrize("name", STORIES)
def test_killed_at_each_kind_of_boundary(name: str) -> None:
    assert shared_out()[name]
    for kind, at in shared_out()[name].items():
        assert told(name, die_at=at, down_ns=300 * MS).deaths == [kind]


@pytest.mark.campaign
@pytest.mark.parametrize("amends", AMENDS)
@pytest.mark.parametrize("name", STORIES)
def test_killed_at_each_kind_of_boundary_of_each_story(name: str, amends: str) -> None:
    for at in kinds(name, amends).values():
        told(name, amends, die_at=at, again=at % 7, down_ns=(0, 20 * SECOND)[at % 2])
