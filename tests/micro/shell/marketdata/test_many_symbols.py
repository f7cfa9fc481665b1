"""Hundreds of symbols at the venue's own limits: LIVE soon, within its weight, and deep in time."""

from __future__ import annotations

import asyncio

import pytest
from crowd_kit import WEIGHT_A_MINUTE, start_crowd

USUAL_S = 10.0
"""Until all are LIVE, here; a machine that takes longer has time for more of what follows."""


@pytest.mark.parametrize("count", [260])
def test_hundreds_of_symbols_are_live_soon_and_within_the_weight(count: int) -> None:
    crowd, took_s = asyncio.run(start_crowd(count, 200.0, 60.0, after_s=11.0))
    assert took_s is not None, f"{crowd.live()} of {count} LIVE"
    assert crowd.lies == []
    assert crowd.left_live == []
    venue = crowd.venue
    assert venue.refused == 0
    assert venue.peak <= WEIGHT_A_MINUTE
    # The quick ones first; then whole ones follow, at the rate that the weight leaves.
    assert venue.limits[:count] == [100] * count
    assert 3 <= venue.limits.count(1_000) <= 15 * max(1.0, took_s / USUAL_S)
    assert crowd.deep() >= 3
    # No more than five messages a second and connection.
    for at_s in venue.received:
        within = [each for each in venue.received if at_s <= each < at_s + 1.0]
        assert len(within) <= 5 * len(crowd.aggregator.health() or [0])
