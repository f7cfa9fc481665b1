"""Fill or kill: all of it at once at the limit price or better, or nothing.

The venue decides it, in one order. One that its book cannot fill is not sent at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Finish,
    Param,
    Work,
    cross_price,
    unfit,
)
from citadel_micro.core.model.traits import Traits
from citadel_micro.core.orders.order_states import ParentEvent

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


class FillOrKill(Algorithm):
    """See the module. One order in all; it waits for nothing but a book and the gate."""

    name = "fill_or_kill"
    traits = Traits(immediate=True, sliced=False, all_or_nothing=True)
    params = (
        Param("max_cross_bps", 20.0, "Worst price, from the touch", 0, 1_000),
        Param("time_limit_ms", 1_000, "How long it waits to be sent", 100, 60_000),
    )

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        del now_ns
        if parent.live:
            return KEEP
        if parent.children:
            return Finish(ParentEvent.EXPIRE, "NOT_FILLED", "the venue could not fill all of it")
        touch = inst.touch_ticks() if inst.fit else None
        if touch is None:
            return unfit(inst)
        far = touch[1] if parent.sign > 0 else -touch[0]
        limit = parent.limit_ticks
        cap = None if limit is None else parent.sign * limit
        price = cross_price(parent, far, self.real("max_cross_bps"), cap)
        if price is None:
            text = "the limit does not reach the other side"
            return Finish(ParentEvent.EXPIRE, "NOT_MARKETABLE", text)
        return Work(parent.sign * price, post_only=False, ioc=True, capped=False, whole=True)
