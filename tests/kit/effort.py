"""What ``make test`` runs of what is dear, and what it leaves to ``make long``; CI runs both.

Random tests try enough to notice in the suite, much more in the campaign (``examples``). Of one proof for
many cases the suite runs a selection, and the campaign the rest (``chosen``, ``table``). A whole story whose
parts are proven elsewhere is marked ``@pytest.mark.campaign``.
"""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis.internal.conjecture import providers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

LONG: Final = os.environ.get("CITADEL_LONG") == "1"


def campaign(*values: Any, id: str | None = None) -> Any:  # noqa: A002, ANN401 - as of pytest.param
    """One set of parameters that ``make long`` alone tries."""
    return pytest.param(*values, marks=pytest.mark.campaign, id=id)


def chosen(cases: Iterable[Any], suite: Collection[Any]) -> list[Any]:
    """All cases, of which ``make test`` tries those of ``suite`` only. A tuple is one of several parameters.

    Raises:
        AssertionError: a case of ``suite`` is none.
    """
    cases = list(cases)
    assert suite, "the suite tries at least one"
    assert all(case in cases for case in suite), f"of {cases}, not {suite}"
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [
        case if case in suite else campaign(*row) for case, row in zip(cases, rows, strict=True)
    ]


def table(*columns: Sequence[Any]) -> list[Any]:
    """Every combination of the columns, of which ``make test`` tries as many as the longest column has.

    Each value of each column is among those.
    """
    sizes = [len(column) for column in columns]
    kept = {tuple(row % size for size in sizes) for row in range(max(sizes))}
    rows: list[Any] = []
    for place in product(*map(range, sizes)):
        values = [column[index] for column, index in zip(columns, place, strict=True)]
        rows.append(pytest.param(*values, marks=[] if place in kept else [pytest.mark.campaign]))
    return rows


def examples(suite: int, campaign: int) -> int:
    """For ``settings(max_examples=...)`` of a test whose examples cost more than most, or less.

    CI's campaign tries the same ones each time, and is content with half of them.
    """
    if not LONG:
        return suite
    return max(suite, campaign // 2) if os.environ.get("CI") else campaign


def take_no_constants() -> None:
    """Make what hypothesis tries independent of which modules have been imported.

    It takes some of its values from the constants of modules of ours that are imported by then: by which
    tests ran before in this worker, and by each change of any of these modules. What is otherwise the
    same examples each time would not be.
    """
    setattr(providers, "is_local_module_file", lambda _path: False)  # noqa: B010 - typed as a cache
