"""Order-flow features from a recording: the definitions of ``core.marketdata.order_flow``, literally."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.order_flow import (
    DEPTHS,
    FLOW_S,
    GRID_NS,
    NAMES,
    VOLATILITY_S,
    depth_imbalance,
    imbalance_of,
    levels_of,
    whole_window,
)
from citadel_micro.core.marketdata.rolling_sums import CELL_NS
from citadel_micro.core.model.time_units import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.marketdata.book import Best
    from citadel_micro.core.marketdata.order_flow import Top

Observation = tuple[int, "Best | None"]
"""(receive time, best after the event); None where the book was not LIVE, or was resynchronized."""


def recompute(
    observations: Sequence[Observation],
    trades: Sequence[tuple[int, float]],
    top: Top,
    now_ns: int,
) -> dict[str, float]:
    """All features as of ``now_ns`` from all observations until then, by definition.

    For data sets and for checking. Costs the whole list each time.

    Args:
        observations: after each event of the book, in order; repetitions are harmless.
        trades: (receive time, size) of each trade, negative where the seller took.
        top: best bids and best asks at the end, at least as deep as ``DEPTHS``.
        now_ns: not before the last observation.
    """
    run: list[tuple[int, Best]] = []
    for at_ns, best in observations:
        if best is None:
            run.clear()
        else:
            run.append((max(at_ns, run[-1][0]) if run else at_ns, best))
    if not run:
        return dict.fromkeys(NAMES, math.nan)
    now_ns = max(now_ns, run[-1][0])
    since_ns = run[0][0]
    bid, bid_size, ask, ask_size = best = run[-1][1]
    values = [depth_imbalance(top, depth) for depth in DEPTHS]
    total = bid_size + ask_size
    microprice = (bid * ask_size + ask * bid_size) / total if total > 0 else (bid + ask) / 2
    values += levels_of(best, microprice)
    changes = [
        (at_ns, imbalance_of(before, after)) for (_, before), (at_ns, after) in pairwise(run)
    ]
    for numbers in (changes, trades):
        cells = _cell_sums(numbers)
        for seconds in FLOW_S:
            oldest = now_ns // CELL_NS - seconds * SECOND // CELL_NS
            flow = math.fsum(value for cell, value in cells.items() if cell > oldest)
            values.append(flow if whole_window(since_ns, now_ns, seconds) else math.nan)
    closes = {at_ns // GRID_NS: (best[0] + best[2]) / 2 for at_ns, best in run}
    first = run[0][1]
    mids = [(first[0] + first[2]) / 2, *closes.values()]
    grid = now_ns // GRID_NS
    for seconds in VOLATILITY_S:
        squares = [
            math.log(mids[n + 1] / mids[n]) ** 2
            for n, at in enumerate(closes)
            if grid - seconds <= at < grid
        ]
        seen = whole_window(since_ns, grid * GRID_NS, seconds)
        values.append(math.sqrt(math.fsum(squares)) if seen else math.nan)
    return dict(zip(NAMES, values, strict=True))


def _cell_sums(numbers: Sequence[tuple[int, float]]) -> dict[int, float]:
    sums: dict[int, float] = {}
    latest = -1
    for at_ns, number in numbers:
        latest = max(latest, at_ns // CELL_NS)
        sums[latest] = sums.get(latest, 0.0) + number
    return sums
