"""Entries that would end with less than can be sold: completed to the minimum, or ended as dust.

A chase whose time is up, or an entry that macro cancels, may have bought a few lots: less than
the venue's minimum, so that they can never be sold. Within its own target and worst price such
an entry continues for a moment and buys the little that is missing. Where that is not available it
ends as it would have, with the code ``DUST``.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.complete import Complete
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_proto.reason_codes import DUST

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.parent_actions import ParentActions
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

COMPLETED: Final = (
    "CANCELED_BY_MACRO",
    "TIME_LIMIT",
    "EXPIRED",
    "CAP_REACHED",
    "IOC_REMAINDER",
    "NOT_MARKETABLE",
    "POST_ONLY",
)
"""Ends before which an entry is completed. After a halt, a lost lease or an operator command
nothing more is bought."""
COMPLETE_NS: Final = 5 * SECOND
KEEP_NS: Final = 30 * SECOND
"""For an order whose rest is below the minimum, so that nothing but itself can complete it."""
MARGIN: Final = Fraction(95, 100)
"""Of the current price: it may fall this far and the bought quantity can still be sold."""


class Completion:
    """Decides it, and records in the parent (``ending``) how it will end after that."""

    def __init__(self, context: EngineContext, executor: ParentActions) -> None:
        self._inst_states = context.inst_states
        self._executor = executor
        self._view = context.view
        self._out = context.out

    def keeps(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> bool:
        """Whether live orders stay for a while, since their rest would be too small to place again.

        Called before they are canceled.
        """
        if parent.ending is not None or parent.exits or not parent.filled or not parent.live:
            return False
        if code not in COMPLETED or self._executor.stopping or self._view.reconciling:
            return False
        inst = self._inst_states[parent.rules.venue, parent.rules.symbol]
        smallest = min(inst.instrument.min_lots_at(each.price_ticks) for each in parent.live)
        if parent.remaining >= smallest or not self._missing(parent, inst, Fraction(1)):
            return False
        self._put_off(parent, (end, code, reason), parent.target, now_ns + KEEP_NS)
        return True

    def goes_on(self, parent: Parent, now_ns: int) -> bool:
        """Whether an ending parent without live orders is completed instead."""
        if parent.ending is not None or parent.exits or not parent.filled:
            return False
        if parent.reason_code not in COMPLETED or parent.verdict is None:
            return False
        if parent.state is not ParentState.CLOSING:
            return False
        if self._executor.stopping or self._view.reconciling:
            return False
        inst = self._inst_states[parent.rules.venue, parent.rules.symbol]
        more = self._missing(parent, inst, MARGIN)
        touch = inst.touch_ticks()
        if not more or touch is None:
            return False
        more = max(more, inst.instrument.min_lots_at(touch[0]))
        need = min(parent.filled + more, parent.target)
        if need - parent.filled < inst.instrument.min_lots_at(touch[1]):
            return False
        put_off = (parent.verdict, parent.reason_code, parent.reason)
        parent.step(ParentEvent.RESUME)
        parent.rule(None)
        parent.resume_ns = 0
        self._put_off(parent, put_off, need, now_ns + COMPLETE_NS)
        self._executor.advance(parent, now_ns)
        return True

    def _put_off(
        self, parent: Parent, ending: tuple[ParentEvent, str, str], need: int, until_ns: int
    ) -> None:
        end, code, reason = ending
        parent.ending = [end.value, code, reason]
        cap = FAR if parent.algo is None else parent.algo.cap(parent)
        parent.algo = Complete(need, None if cap == FAR else cap, len(parent.live))
        parent.ends_ns = until_ns
        rules = parent.rules
        text = (
            f"{code}, but {rules.amount(parent.filled)} {rules.base} are too little to be sold "
            f"again: completed to {rules.amount(need)}"
        )
        parent.reason_code, parent.reason = "COMPLETING", text
        self._out.note("info", "entry_completed", signal_id=parent.id, text=text)
        self._executor.order_store.touch(parent)

    def ending(self, parent: Parent, end: ParentEvent) -> tuple[ParentEvent, str, str]:
        """How it ends: as it was to end before it was completed, or as dust if that is left."""
        code, reason = parent.reason_code, parent.reason
        if end is ParentEvent.FILL:
            return end, code, reason
        if parent.ending is not None and code in (*COMPLETED, ""):
            end = ParentEvent(parent.ending[0])
            code, reason = parent.ending[1:]
        if parent.exits or not parent.filled or end is ParentEvent.ANOMALY:
            return end, code, reason
        inst = self._inst_states[parent.rules.venue, parent.rules.symbol]
        if self._missing(parent, inst, Fraction(1)):
            rest = f"{inst.instrument.amount(parent.filled)} {inst.instrument.base}"
            text = f"{code}: {reason}; the {rest} that it has are too little to be sold again"
            self._out.note("warning", "dust_left", signal_id=parent.id, rest=rest)
            return end, DUST, text
        return end, code, reason

    def _missing(self, parent: Parent, inst: InstrumentState, margin: Fraction) -> int:
        """Lots missing for the position to be sellable at a fraction of the current price."""
        rules = inst.instrument
        touch = inst.touch_ticks()
        half_ticks = inst.mid_half_ticks() if touch is not None else parent.arrival_mid2_ticks
        ticks = int(half_ticks * margin // 2)
        if ticks <= 0:
            return 0
        least = rules.min_lots_at(ticks, reduce_only=rules.kind != "spot")
        held = self._view.portfolio.quantity(rules.venue, rules.symbol) * parent.sign
        lots = int(held // rules.lot)
        if held <= 0 or lots >= least:
            return 0
        kept = Fraction(1)
        if rules.fee_side == "received" and rules.kind == "spot" and parent.sign > 0:
            kept -= Fraction(rules.taker_fee)
        return math.ceil((least - Fraction(held) / Fraction(rules.lot)) / kept)
