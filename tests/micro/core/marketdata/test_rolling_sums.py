"""Sliding sums: what is in a window, exactly, whatever has left it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.rolling_sums import CELL_NS, CellSums

SECOND = 1_000_000_000
WINDOWS = (SECOND, 10 * SECOND, 60 * SECOND)

stories = st.lists(st.tuples(st.integers(0, 5 * SECOND), st.floats(-1e9, 1e9)), max_size=80)


@given(stories, st.integers(0, 70 * SECOND))
def test_a_window_holds_its_cells_and_nothing_else(
    story: list[tuple[int, float]], later: int
) -> None:
    sums = CellSums(WINDOWS[-1])
    now_ns = 0
    cells: dict[int, float] = {}
    for wait_ns, number in story:
        now_ns += wait_ns
        sums.add(number, now_ns)
        cells[now_ns // CELL_NS] = cells.get(now_ns // CELL_NS, 0.0) + number
    now_ns += later
    last = now_ns // CELL_NS
    expected = [
        math.fsum(v for cell, v in cells.items() if cell > last - window // CELL_NS)
        for window in WINDOWS
    ]
    assert sums.sums(now_ns, WINDOWS) == expected
    assert sums.sums(now_ns, WINDOWS) == expected, "reading changes nothing"
    assert [sums.sums(now_ns, (window,))[0] for window in WINDOWS] == expected


def test_what_has_left_leaves_nothing_behind() -> None:
    sums = CellSums(SECOND)
    sums.add(1e16, 0)
    sums.add(0.1, 2 * SECOND)
    assert sums.sums(2 * SECOND, (SECOND,)) == [0.1]


def test_a_time_that_goes_back_counts_as_the_last_one_and_clear_forgets() -> None:
    sums = CellSums(SECOND)
    sums.add(1.0, 5 * SECOND)
    sums.add(2.0, 1 * SECOND)
    assert sums.sums(5 * SECOND, (SECOND,)) == [3.0]
    sums.clear()
    assert sums.sums(5 * SECOND, (SECOND,)) == [0.0]
    sums.add(4.0, SECOND)
    assert sums.sums(SECOND, (SECOND,)) == [4.0]
