"""From when on a resync asks: a report that was lost is younger than that, whoever has spoken since."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from citadel_bridge.conclusions import LOCAL
from citadel_bridge.resync import OVERLAP_NS, UNHEARD_NS, missed_since_ns

if TYPE_CHECKING:
    from citadel_proto.messages import ExecutionReport

S = 1_000_000_000
NOW = 1_800_000_000 * S
ROWS = [
    cast("ExecutionReport", SimpleNamespace(instance=instance, updated_ns=updated_ns))
    for instance, updated_ns in (
        ("a-run1", NOW - 900 * S),
        ("a-run2", NOW - 600 * S),
        ("b-run1", NOW - S),
        ("gone-run1", 1),
        (LOCAL, NOW),
    )
]


@pytest.mark.parametrize(
    ("alive", "since_ns"),
    [
        ({"a"}, NOW - 600 * S),
        ({"b"}, NOW - S),
        ({"a", "b"}, NOW - 600 * S),
        ({"a", "new"}, NOW - UNHEARD_NS),
        (set(), 1),
    ],
)
def test_it_asks_since_the_last_report_of_the_one_that_was_silent_for_longest(
    alive: set[str], since_ns: int
) -> None:
    """What we have concluded ourselves of an order that never came tells of nobody's reports."""
    assert missed_since_ns(ROWS, alive, NOW) == since_ns - OVERLAP_NS


def test_where_nobody_has_reported_it_looks_back_for_an_hour() -> None:
    for rows in ([], ROWS[-1:]):
        assert missed_since_ns(rows, set(), NOW) == NOW - UNHEARD_NS - OVERLAP_NS
