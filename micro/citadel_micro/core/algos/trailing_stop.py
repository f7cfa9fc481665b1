"""Trailing stop: a stop whose price follows the market at a distance, in one direction.

It begins at the signal's stop price. A sell stop rises with the highest best bid since it was held, a
buy stop falls with the lowest best ask, and neither ever goes back. Where it has come to is durable.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import Param
from citadel_micro.core.algos.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision, Value
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


class TrailingStop(Stop):
    """See the module."""

    name = "trailing_stop"
    params = (
        Param("trail_bps", 100.0, "Distance behind the best price it could have had", 0.1, 5_000),
        Param("step_bps", 1.0, "Smallest move of the stop price", 0, 1_000),
        *Stop.params,
    )
    armed = True  # every update may move it

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._trail = self.real("trail_bps") / 10_000
        self._step = self.real("step_bps") / 10_000

    def trigger_ticks(self, parent: Parent) -> int | None:
        """See ``Algorithm.trigger_ticks``."""
        moved = parent.algo_state.get("stop_ticks")
        return moved if isinstance(moved, int) else parent.stop_ticks

    def watch(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Stop.watch``."""
        stop = self.trigger_ticks(parent)
        touch = inst.touch_ticks() if inst.fit else None
        if stop is not None and touch is not None:
            sign = -parent.sign  # of the position that it protects
            best = touch[0] if sign > 0 else -touch[1]
            behind = best - math.ceil(abs(best) * self._trail)
            if behind - sign * stop >= max(1, math.ceil(stop * self._step)):
                parent.algo_state = {"stop_ticks": sign * behind}
        return super().watch(parent, inst, now_ns)
