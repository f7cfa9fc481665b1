"""Sizes and prices of an order, exactly."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.execution.order_sizes import worst_within


@given(
    bps=st.floats(0, 100_000, allow_nan=False),
    sign=st.sampled_from([1, -1]),
    bid=st.integers(1, 10**12),
    spread=st.integers(1, 10**6),
)
def test_the_collar_is_the_decimal_that_was_written(
    bps: float, sign: int, bid: int, spread: int
) -> None:
    share = Fraction(repr(bps)) / 10_000
    mid = Fraction(bid + bid + spread, 2)
    assert worst_within(bps, sign, bid + bid + spread) == math.floor(sign * mid + mid * share)


def test_a_price_on_the_collar_is_within_it() -> None:
    assert worst_within(500.0, 1, 2 * 2_000) == 2_100
    assert worst_within(500.0, -1, 2 * 2_000) == -1_900
    assert worst_within(0.1, 1, 2 * 100_000) == 100_001
