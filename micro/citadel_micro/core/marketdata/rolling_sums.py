"""Sums over sliding windows, at a constant cost and without accumulated rounding.

Time is cut into cells of 100 ms. A window of n cells is the current cell, so far,
and the n - 1 before it: a window of 10 s reaches back between 9.9 and 10 s. Within a
cell numbers are added in order, over the cells with ``fsum``; a running sum that also subtracts
would keep the rounding errors of everything that has left it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CELL_NS: Final = 100_000_000


def added(numbers: Iterable[float]) -> float:
    """Their sum, from left to right and rounded at each step, as the compiled kernel adds them.

    Since Python 3.12 ``sum`` carries on what rounding loses: a journal would be recomputed differently.
    """
    total = 0.0
    for number in numbers:
        total += number
    return total


class CellSums:
    """Sums of numbers by the cell of their time, for windows of up to ``longest_ns``."""

    __slots__ = ("_cell", "_cells", "_keep", "_sum")

    def __init__(self, longest_ns: int) -> None:
        self._keep: Final = longest_ns // CELL_NS
        self._cells: Final[deque[tuple[int, float]]] = deque()
        self._cell = -1
        self._sum = 0.0

    def add(self, number: float, at_ns: int) -> None:
        """Add one number; a time before the last one counts as the last one."""
        cell = at_ns // CELL_NS
        if cell > self._cell:
            cells = self._cells
            if self._cell >= 0:
                cells.append((self._cell, self._sum))
            oldest = cell - self._keep
            while cells and cells[0][0] <= oldest:
                cells.popleft()
            self._cell = cell
            self._sum = 0.0
        self._sum += number

    def clear(self) -> None:
        """Forget everything."""
        self._cells.clear()
        self._cell = -1
        self._sum = 0.0

    def sums(self, now_ns: int, windows_ns: Sequence[int]) -> list[float]:
        """The sums over windows of these lengths, shortest first."""
        now = now_ns // CELL_NS
        found: list[float] = []
        values: list[float] = []
        older = reversed(self._cells)
        cell, value = self._cell, self._sum
        for length_ns in windows_ns:
            oldest = now - length_ns // CELL_NS
            while cell > oldest:
                values.append(value)
                cell, value = next(older, (-1, 0.0))
                if cell < 0:
                    break
            found.append(math.fsum(values))
        return found
