"""What the place of a resting order in its queue is worth, against a better price at the back of another.

After Moallemi and Yuan, *A model for queue position valuation in a limit order book* (2016): an order is worth its chance
of being filled times what the fill gains, and the chance depends on what is in front of it. Here the chance is that
more than that trades within ``HORIZON_NS``, exponentially distributed about what has traded since the order began; the
gain is the price that is not given away; and what a miss costs is the parameter.

What is in front is estimated: all that was shown when the order joined, less what has traded at its price since, and never
more than is shown now. What cancels behind it counts as in front, so the estimate is a cautious one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.time_units import SECOND

if TYPE_CHECKING:
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

HORIZON_NS: Final = 10 * SECOND
RATE_NS: Final = SECOND
"""A rate of trades that was watched for less is not one."""
LEVELS: Final = 20
"""An order behind more prices than these is not waited for."""
BPS: Final = 10_000


class QueueValue:
    """Of the order of one parent.

    Args:
        miss_bps: what it costs not to be filled at the held place.
    """

    def __init__(self, miss_bps: float) -> None:
        self._miss_bps = miss_bps
        self._began: tuple[int, float] | None = None
        """When watching began, in this run, and what had traded by then."""
        self._traded = 0.0
        """By the last look."""
        self._at_touch = False
        """It was the best price then."""
        self._ahead = 0.0
        self._client_id = ""

    def look(
        self, parent: Parent, inst: InstrumentState, child: Child | None, near: int, now_ns: int
    ) -> None:
        """Follow the order's queue. To be called with every decision.

        ``near``: the best price of its side without it, in ticks times the side's sign. What an order
        joined behind is durable, in ``Parent.algo_state``.
        """
        traded = inst.market.traded
        if self._began is None:
            self._began = now_ns, traded
        since, self._traded = traded - self._traded, traded
        was_at_touch, self._at_touch = self._at_touch, False
        if child is None or child.ioc:
            self._client_id = ""
            return
        self._at_touch = parent.sign * child.price_ticks >= near
        shown = self._shown(parent, inst, child)
        place = f"{child.client_id}@{child.price_ticks}"  # an amend may keep the id
        if place != self._client_id:
            self._client_id, self._ahead = place, shown
            known = parent.algo_state.get("queue")
            if isinstance(known, list) and known[0] == place:
                self._ahead = float(known[1])
            else:
                parent.algo_state = {**parent.algo_state, "queue": [place, shown]}
        elif was_at_touch:
            self._ahead -= since / 2  # of both sides
        self._ahead = max(0.0, min(self._ahead, shown))

    def holds(
        self, parent: Parent, inst: InstrumentState, child: Child, gain: int, now_ns: int
    ) -> bool:
        """Whether its place is worth more than a price that is better by ``gain`` ticks."""
        if self._began is None or now_ns - self._began[0] < RATE_NS:
            return False
        before = self._before(parent, inst, child)
        volume = (self._traded - self._began[1]) / 2
        if before is None or volume <= 0.0:
            return False
        expected = volume * HORIZON_NS / (now_ns - self._began[0])
        chance = math.exp(-(before + self._ahead) / expected)
        gain_bps = gain / child.price_ticks * BPS
        return chance * gain_bps >= (1.0 - chance) * self._miss_bps

    def _shown(self, parent: Parent, inst: InstrumentState, child: Child) -> float:
        """Size shown at its price, without it; in the units of the book."""
        side, ticks = parent.signal.side, child.price_ticks
        size = inst.market.book.size_at(side, inst.instrument.price_float(ticks))
        if inst.venue.shows_own_orders:
            size -= inst.own_lots(side, ticks) * inst.instrument.lot_float
        return max(0.0, size)

    def _before(self, parent: Parent, inst: InstrumentState, child: Child) -> float | None:
        """Size shown at better prices of its side; None where there are too many."""
        bids, asks = inst.market.top(LEVELS)
        ticks_of, sign = inst.instrument.ticks_of_float, parent.sign
        own, size = sign * child.price_ticks, 0.0
        for price, shown in bids if sign > 0 else asks:
            if sign * ticks_of(price) <= own:
                return size
            size += shown
        return None
