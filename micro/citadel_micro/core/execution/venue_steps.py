"""Prices in the steps that a venue takes, where those have become coarser than our ticks.

A run counts in the ticks and lots that it started with, and so does the next one while it holds orders
in them, such as the stop of a position. An order between the venue's new steps would be refused, an exit
again and again: so prices are rounded to the order's safe side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import Orders, Work
from citadel_micro.core.model.steps import Steps

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.model.events import StepsChanged


class VenueSteps:
    """Applies what venues have changed."""

    def __init__(self, context: EngineContext) -> None:
        self._inst_states = context.inst_states
        self._out = context.out

    def on_steps(self, event: StepsChanged, now_ns: int) -> None:
        """Order in other steps from now on; what rests stays until its algorithm moves it."""
        del now_ns
        inst = self._inst_states.get((event.venue, event.symbol))
        steps = Steps(max(1, event.price_ticks), max(1, event.quantity_lots))
        if inst is None or inst.steps == steps:
            return
        inst.steps = steps
        for parent in inst.parents:
            if parent.algo is not None:
                parent.algo.forget()
        self._out.note(
            "warning",
            "steps_changed",
            venue=event.venue,
            symbol=event.symbol,
            price_ticks=steps.price,
            quantity_lots=steps.quantity,
        )


def on_steps(decision: Decision, sign: int, step: int) -> Decision:
    """A decision with prices that the venue takes: a buy's rounded down, a sell's up."""
    if isinstance(decision, Work):
        return at_step(decision, sign, step)
    if isinstance(decision, Orders):
        return Orders(tuple(at_step(work, sign, step) for work in decision.wanted))
    return decision


def at_step(work: Work, sign: int, step: int) -> Work:
    """One order's; a buy below the first step keeps its price, which the venue refuses."""
    price = sign * (sign * work.price_ticks // step * step)
    return work._replace(price_ticks=price) if price > 0 else work
