"""Peg: rest at a fixed distance from the market, and move with it.

A primary peg follows the best price of its own side, a mid peg the middle of the spread (rounded
away from the other side). It never takes, and never pays more than the signal's limit price.

All prices in here are ticks times the side's sign, so that every side is a buy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Finish,
    Param,
    Unmoved,
    Work,
    resting_price,
)
from citadel_micro.core.model.time_units import FAR, MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Best, Decision, Value
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


class Peg(Algorithm):
    """See the module."""

    name = "peg"
    params = (
        Param("reference", "primary", "What it follows", choices=("primary", "mid")),
        Param(
            "offset_ticks", 0, "Added to that; above 0 is more aggressive", -1_000_000, 1_000_000
        ),
        Param("min_move_ticks", 1, "Smallest change worth a new price", 1, 1_000_000),
        Param("min_dwell_ms", 250, "Shortest life of a price", 0, 3_600_000),
        Param("time_limit_ms", 0, "Working time; 0: until the signal expires", 0, 86_400_000 * 365),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self.post_only = True
        self._mid = values["reference"] == "mid"
        self._offset = self.number("offset_ticks")
        self._min_move = self.number("min_move_ticks")
        self._dwell_ns = self.number("min_dwell_ms") * MS
        self._kept_at: Best | None = None
        """Best prices at which its order stayed where it is."""

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._kept_at = None

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        self.wake_ns = FAR
        self._kept_at = None
        child = parent.live[0] if parent.live else None
        best = inst.market.best()
        if best is None or not inst.fit:
            return self.on_unfit_book(child, inst, now_ns)
        self.on_fit_book()
        sign = parent.sign
        bid, ask = inst.instrument.ticks_of_float(best[0]), inst.instrument.ticks_of_float(best[2])
        near, far = (bid, ask) if sign > 0 else (-ask, -bid)
        others = inst.external_best(parent.signal.side, best)
        if others is not None:
            near = sign * others
        elif child is not None:
            return KEEP  # it is the whole side, and would follow itself
        reference = (near + far) // 2 if self._mid else near
        price = resting_price(parent, reference + self._offset, far)
        if isinstance(price, Finish):
            return price if child is None else KEEP
        cap = self.cap(parent)
        capped = price > cap
        price = min(price, cap)
        if child is not None and not self._worth(sign * child.price_ticks, price, child, now_ns):
            self._kept_at = best
            return KEEP
        return Work(sign * price, post_only=True, ioc=False, capped=capped)

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:
        """See ``Algorithm.unmoved``."""
        if self._kept_at is None or not parent.live or inst.venue.shows_own_orders:
            return None
        return Unmoved(self._kept_at)

    def _worth(self, own: int, price: int, child: Child, now_ns: int) -> bool:
        """Whether a new price is worth the place in the queue."""
        if abs(price - own) < self._min_move:
            return False
        dwelt_ns = child.changed_ns + self._dwell_ns
        if now_ns < dwelt_ns:
            self.wake_ns = dwelt_ns
            return False
        return True
