"""Limit rests at its price; MarketableLimit takes what is there within a cap, never a market order.

Prices with a sign are ticks times the side's sign, so that every side is a buy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import (
    KEEP,
    WHATEVER,
    Algorithm,
    Decision,
    Finish,
    Param,
    Unmoved,
    Wait,
    Work,
    cross_price,
    resting_price,
    unfit,
)
from citadel_micro.core.model.traits import Traits
from citadel_micro.core.orders.order_states import ChildState, ParentEvent
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


class Limit(Algorithm):
    """One resting order at the signal's limit price until it is filled or canceled.

    Post-only (or a signal with ``time_in_force`` PO) it stays one tick away from the other side
    where the limit would reach it. Its price does not depend on the book, so a stale book does not
    cancel it.
    """

    name = "limit"
    traits = Traits(rests_at_limit=True)
    params = (
        Param("post_only", default=False, text="Never take"),
        Param("time_limit_ms", 0, "Working time; 0: until the signal expires", 0, 86_400_000 * 365),
    )

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if signal.limit_price is None:
            raise BadInput("a limit order needs a limit price", mend="give limit_price")

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:  # noqa: ARG002
        """See ``Algorithm.decide``."""
        if parent.live:
            return KEEP
        touch = inst.touch_ticks() if inst.fit else None
        if touch is None or parent.limit_ticks is None:
            return unfit(inst)
        price = parent.sign * parent.limit_ticks
        post_only = self.post_only or parent.signal.time_in_force == "PO"
        if post_only:
            far = touch[1] if parent.sign > 0 else -touch[0]
            resting = resting_price(parent, price, far)
            if isinstance(resting, Finish):
                return resting
            price = resting
        return Work(parent.sign * price, post_only=post_only, ioc=False, capped=False)

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:  # noqa: ARG002
        """See ``Algorithm.unmoved``."""
        return WHATEVER if parent.live else None


class MarketableLimit(Algorithm):
    """Immediate-or-cancel orders through the touch, within ``max_cross_bps`` and the limit price.

    The unfilled rest is retried on a newer book until the time is up; with ``repeat`` off, or
    a signal with ``time_in_force`` IOC, only once.
    """

    name = "marketable_limit"
    traits = Traits(immediate=True)
    params = (
        Param("max_cross_bps", 20.0, "Worst price, from the touch", 0, 1_000),
        Param("time_limit_ms", 10_000, "Working time; 0: until the signal expires", 0, 86_400_000),
        Param("repeat", default=True, text="Retry the unfilled rest"),
    )

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:  # noqa: ARG002
        """See ``Algorithm.decide``."""
        if parent.live:
            return KEEP  # wait for its end
        once = not self.values["repeat"] or parent.signal.time_in_force == "IOC"
        if once and any(_found_too_little(child) for child in parent.children):
            return Finish(ParentEvent.EXPIRE, "IOC_REMAINDER", "the rest was not there to take")
        touch = inst.touch_ticks() if inst.fit else None
        if touch is None:
            return unfit(inst)
        far = touch[1] if parent.sign > 0 else -touch[0]
        cap = None if parent.limit_ticks is None else parent.sign * parent.limit_ticks
        price = cross_price(parent, far, self.real("max_cross_bps"), cap)
        if price is None:
            if once:
                return Finish(
                    ParentEvent.EXPIRE, "NOT_MARKETABLE", "the limit does not reach the other side"
                )
            return Wait("NOT_MARKETABLE", "the limit does not reach the other side")
        return Work(parent.sign * price, post_only=False, ioc=True, capped=False)


def _found_too_little(child: Child) -> bool:
    """A slice that filled completely: there may be more for the next one."""
    if child.state is ChildState.REJECTED or child.state is ChildState.LOST:
        return False
    return child.filled < child.quantity_lots
