"""Snipe: shows nothing; takes when enough is offered within the limit price.

Until then nothing of the order can be seen at the venue. It takes with immediate-or-cancel orders,
never beyond the limit, and keeps watching for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import KEEP, Algorithm, Param, Wait, Work, unfit
from citadel_micro.core.model.traits import Traits
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision, Value
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

LEVELS = 50
"""So many of the other side are counted."""


class Snipe(Algorithm):
    """See the module."""

    name = "snipe"
    traits = Traits(immediate=True)
    params = (
        Param("min_share_pct", 0.0, "Least that must be offered, of what is left", 0, 100),
        Param("max_spread_bps", 1_000.0, "Widest spread in which it takes", 0, 10_000),
        Param("time_limit_ms", 0, "Working time; 0: until the signal expires", 0, 86_400_000 * 365),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._share = self.real("min_share_pct") / 100
        self._spread = self.real("max_spread_bps") / 10_000

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if signal.limit_price is None:
            raise BadInput("a snipe waits for a limit price", mend="give limit_price")

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:  # noqa: ARG002
        """See ``Algorithm.decide``."""
        if parent.live:
            return KEEP
        best = inst.market.best()
        if best is None or not inst.fit or parent.limit_ticks is None:
            return unfit(inst)
        ticks, sign, limit = inst.instrument.ticks_of_float, parent.sign, parent.limit_ticks
        far = ticks(best[2] if sign > 0 else best[0])
        if sign * far > sign * limit:
            return Wait("NOT_MARKETABLE", "the limit does not reach the other side")
        if (best[2] - best[0]) * 2 > self._spread * (best[0] + best[2]):
            return Wait("NOT_MARKETABLE", "the spread is wider than max_spread_bps")
        price = limit
        if self._share:
            offered, price = _offered(parent, inst)
            if offered < self._share * parent.remaining:
                return Wait("NOT_MARKETABLE", "less is offered within the limit than min_share_pct")
        return Work(price, post_only=False, ioc=True, capped=False)


def _offered(parent: Parent, inst: InstrumentState) -> tuple[int, int]:
    """Lots of the other side within the limit, as far as they are needed, and the last one's price."""
    bids, asks = inst.market.top(LEVELS)
    rules, sign, limit = inst.instrument, parent.sign, parent.limit_ticks or 0
    lots, last = 0, limit
    for price, size in asks if sign > 0 else bids:
        ticks = rules.ticks_of_float(price)
        if sign * ticks > sign * limit or lots >= parent.remaining:
            break
        lots, last = lots + rules.lots_of_float(size), ticks
    return lots, last
