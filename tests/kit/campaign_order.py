"""How ``make long`` gives its tests to its workers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_ROOT = Path(__file__).parents[2]


class FilesAndRandomTests(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A file to a worker, and each test to any where a file has random ones.

    Tests of a file share what is slow to start, and some go on where another has ended. Random ones are the
    longest of all: a worker would be alone with a file of them. xdist 3.8's own groups would say so test by
    test, but they do nothing beside pytest 9.2, whose items have no id that a plugin can add a group to.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return nodeid if _has_random_tests(file) else file


@cache
def _has_random_tests(file: str) -> bool:
    return "hypothesis" in (_ROOT / file).read_text(encoding="utf-8")
