"""Comparing numbers too close for floats by the decimals that they were written as."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

_NEAR = 1e-9
"""Relative distance below which floats cannot tell which of two numbers is larger; such a pair is
compared by the decimals that both were written as."""


def near(found: float, limit: float) -> bool:
    """Whether floats cannot tell which of the two is larger."""
    return abs(found - limit) <= _NEAR * abs(limit)


def exact(number: float) -> Fraction:
    """The decimal that a float was read from: its shortest text."""
    return Fraction(repr(number))


def part_of(lots: float, bps: float) -> int:
    """Whole lots in a share of a sum of sizes, which is whole except for rounding of floats."""
    whole = round(lots)
    if abs(lots - whole) > _NEAR * lots:
        return int(Fraction(lots) * exact(bps) // 10_000)
    above, below = _ratio(bps)
    return whole * above // (below * 10_000)


@lru_cache(maxsize=64)
def _ratio(bps: float) -> tuple[int, int]:
    return exact(bps).as_integer_ratio()
