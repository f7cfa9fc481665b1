"""Decisions: what an algorithm wants becomes orders, changes of orders, or the end of a parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import Finish, Trigger, Wait, Withdraw, Work
from citadel_micro.core.execution.order_sender import Denied
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.exit_priority import crossed_by, in_the_way
from citadel_micro.core.orders.order_states import ParentEvent
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.parent_actions import ParentActions
    from citadel_micro.core.execution.reject_policy import RejectPolicy
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

_V = ParentEvent


class Decisions:
    """Carries them out for the executor, which asks the algorithms."""

    def __init__(
        self, context: EngineContext, executor: ParentActions, refusals: RejectPolicy
    ) -> None:
        self._config = context.config
        self._executor = executor
        self._reject_policy = refusals
        self._out = context.out

    def carry_out(
        self, parent: Parent, inst: InstrumentState, decision: Decision, now_ns: int
    ) -> None:
        """Make what is out what the algorithm wants, as far as gate, budget and rates permit."""
        if isinstance(decision, Wait):
            finish = self._reject_policy.wait(parent, decision, now_ns)
            if finish is not None:
                self._executor.close(parent, finish.end, finish.code, finish.reason, now_ns)
            return
        self._executor.order_store.touch(parent)
        if parent.algo is not None:
            parent.algo.forget()  # whether it can be carried out or not, decide afresh next time
        if isinstance(decision, Work):
            self._work(parent, inst, decision, now_ns)
        elif isinstance(decision, Finish):
            self._executor.close(parent, decision.end, decision.code, decision.reason, now_ns)
        elif isinstance(decision, Withdraw):
            parent.reason_code, parent.reason = decision.code, decision.reason
            for child in parent.live:
                self._executor.sender.cancel(parent, child, now_ns)
        elif isinstance(decision, Trigger):
            parent.triggered = True
            parent.reason_code, parent.reason = "TRIGGERED", decision.reason
            parent.step(_V.TRIGGER)
            self._executor.begin(parent, inst, now_ns)

    def _work(self, parent: Parent, inst: InstrumentState, work: Work, now_ns: int) -> None:
        if parent.live:
            self._rework(parent, inst, work, parent.live[0], now_ns)
            return
        if now_ns < parent.resume_ns or parent.awaits_book(inst.book_id(), now_ns):
            return
        down = self._executor.venue_down.get(inst.key[0])
        if down is not None:
            self._reject_policy.pause(parent, "VENUE_DOWN", down, FAR)
            return
        if not parent.arrival_half_ticks:  # there was no book to take it from
            parent.arrival_half_ticks = inst.mid_half_ticks()
        if parent.rank and parent.reduce_only:
            self._outrank(parent, inst, now_ns)
        answer = self._executor.sender.place(parent, inst, work, now_ns)
        if isinstance(answer, Denied):
            finish = self._reject_policy.denied(parent, answer, now_ns)
            if finish is not None:
                self._executor.close(parent, *finish, now_ns)
            if parent.exits and answer.fails(RiskCode.SELF_CROSS):
                self._clear_the_way(parent, inst, work.price_ticks, now_ns)
            return
        self._executor.order_store.index(parent, answer)
        if parent.ending is None:
            parent.reason_code = parent.reason = ""
        if parent.triggered and parent.stop_ticks is not None:
            through = inst.instrument.price(parent.stop_ticks)
            parent.reason_code, parent.reason = "TRIGGERED", f"the market went through {through}"

    def _outrank(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Withdraw the orders whose part of the position this exit needs."""
        lots = self._executor.sender.reducible(parent, inst, alone=True)
        for other in in_the_way(parent, inst, lots):
            what = "flattening" if parent.own else "stop"
            text = f"{what} {parent.id} goes before it"
            if other.signal.kind == "stop":
                self._executor.withdraw(
                    other, now_ns
                )  # it goes on should the flattening be told otherwise
            else:
                self._out.note("warning", "outranked", signal_id=other.id, by=parent.id)
                self._executor.close(other, _V.CANCEL, "OUTRANKED", text, now_ns)

    def _clear_the_way(
        self, parent: Parent, inst: InstrumentState, price_ticks: int, now_ns: int
    ) -> None:
        """Withdraw our own orders of the other side that this exit would trade with."""
        for other in crossed_by(parent, inst, price_ticks):
            if other.terminal or other.verdict is not None:
                continue
            text = f"exit {parent.id} would trade with it"
            self._out.note("warning", "self_cross", signal_id=other.id, by=parent.id)
            self._executor.close(other, _V.CANCEL, RiskCode.SELF_CROSS, text, now_ns)

    def _rework(
        self, parent: Parent, inst: InstrumentState, work: Work, child: Child, now_ns: int
    ) -> None:
        """Another price for what is out: amended in place, or cancelled, proven, placed anew."""
        if child.ioc or now_ns < parent.resume_ns or now_ns < child.cancel_after_ns:
            return
        if child.price_ticks == work.price_ticks and not work.ioc:
            return
        smallest = inst.instrument.min_lots_at(work.price_ticks, reduce_only=parent.reduce_only)
        if parent.remaining < smallest or inst.key[0] in self._executor.venue_down:
            return  # what could not be placed again stays where it is
        if inst.venue.amend_native and not work.ioc:
            answer = self._executor.sender.amend(parent, inst, work, now_ns)
            if answer is not None:
                if answer.size and parent.exits:
                    self._executor.sender.cancel(
                        parent, child, now_ns
                    )  # too much for one: in slices then
                    return
                wait_ns = answer.until_ns or now_ns + self._config.gate_retry_ns
                parent.resume_ns = wait_ns
                return
        else:
            wait_ns = self._executor.sender.make_room(parent, child, now_ns)
            if wait_ns:
                parent.resume_ns = wait_ns
                return
        parent.reprices += 1
