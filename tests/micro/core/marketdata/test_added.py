"""Sums of floats that are the same in every Python."""

from __future__ import annotations

from citadel_micro.core.marketdata.rolling_sums import added


def test_each_step_is_rounded() -> None:
    """``sum`` gives 1.0 for the first since Python 3.12, and 0.1 ten times gives 1.0."""
    assert added([1e16, 1.0, -1e16]) == 0.0
    assert added([0.1] * 10) == 0.9999999999999999
    assert added(iter(())) == 0.0
