"""Mean, tail and t of costs whose parents overlap in time.

Two orders that begin 3 s apart and last 60 s see the same market, so their costs are not two
observations. The variance of the mean is that of Newey and West (1987) with Bartlett weights, over as
many lags as starts lie within one order's time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Mean(NamedTuple):
    """A mean, its standard error, and t: mean over error (0 where there is no error)."""

    mean: float
    error: float

    @property
    def t(self) -> float:
        """Against zero."""
        return self.mean / self.error if self.error > 0 else 0.0


def newey_west(values: Sequence[float], lags: int) -> Mean:
    """Mean of values in the order of time, with its error corrected for overlap.

    The error is never below that of independent values, which chance would sometimes make it, and
    infinite for one value.
    """
    count = len(values)
    if not count:
        return Mean(math.nan, math.inf)
    mean = math.fsum(values) / count
    if count == 1:
        return Mean(mean, math.inf)
    apart = [value - mean for value in values]
    alone = math.fsum(each * each for each in apart)
    total = alone
    lags = min(lags, count - 1)
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        both = math.fsum(apart[i] * apart[i - lag] for i in range(lag, count))
        total += 2 * weight * both
    return Mean(mean, math.sqrt(max(total, alone)) / count * math.sqrt(count / (count - 1)))


def paired(ours: Mapping[int, float], theirs: Mapping[int, float], lags: int) -> Mean:
    """Mean difference of two plans at the same starts; negative: ours cost less."""
    starts = sorted(ours.keys() & theirs.keys())
    return newey_west([ours[start] - theirs[start] for start in starts], lags)


def quantile(values: Sequence[float], share: float) -> float:
    """The value at a share of the sorted values, interpolated; NaN without any."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
