"""Complete: buys the small quantity that is missing until the position can be sold again.

Never requested by a signal: the executor gives it to an ending entry (``core.execution.completion``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Decision,
    Finish,
    Wait,
    Work,
    cross_price,
    unfit,
)
from citadel_micro.core.orders.order_states import ParentEvent

if TYPE_CHECKING:
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

COMPLETE_BPS: Final = 20.0
"""Worst price of a completing order, from the touch."""
DONE: Final = Finish(ParentEvent.CANCEL, "", "")


class Complete(Algorithm):
    """Immediate orders up to ``need`` lots in all, at no price worse than the entry's.

    Args:
        need: lots that the parent shall have filled.
        cap: worst price in ticks times the side's sign; None for the signal's limit only.
        out: orders that are live already; it waits for their ends.
    """

    name = "complete"
    params = ()

    def __init__(self, need: int, cap: int | None, out: int = 0) -> None:
        super().__init__({})
        self.most_live = max(1, out)
        self._need = need
        self._cap = cap

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        del now_ns
        if parent.live:
            return KEEP
        if parent.filled >= self._need:
            return DONE
        touch = inst.touch_ticks() if inst.fit else None
        if touch is None:
            return unfit(inst)
        sign, limit = parent.sign, parent.limit_ticks
        far = touch[1] if sign > 0 else -touch[0]
        caps = [
            cap for cap in (self._cap, None if limit is None else sign * limit) if cap is not None
        ]
        price = cross_price(parent, far, COMPLETE_BPS, min(caps, default=None))
        if price is None:
            return Wait("NOT_MARKETABLE", "the worst price does not reach the other side")
        smallest = inst.instrument.min_lots_at(sign * price)
        most = min(max(self._need - parent.filled, smallest), parent.available)
        if most < smallest:
            return DONE
        return Work(sign * price, post_only=False, ioc=True, capped=False, quantity_lots=most)
