"""TWAP: equal parts over a time, each chased (time-weighted average price)."""

from __future__ import annotations

from citadel_micro.core.algos.sliced import COMMON, SCHEDULE, Scheduled


class Twap(Scheduled):
    """See the module; what a part leaves is worked with the next."""

    name = "twap"
    params = (*SCHEDULE, *COMMON)
