"""Executing decisions of algorithms: orders, amends, cancels, or the end of a parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import Finish, Orders, Trigger, Wait, Withdraw, Work
from citadel_micro.core.execution.order_sender import Denied
from citadel_micro.core.execution.order_sizes import open_lots
from citadel_micro.core.execution.venue_steps import on_steps
from citadel_micro.core.execution.wanted import as_wanted, pair
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.exit_priority import crossed_by, in_the_way
from citadel_micro.core.orders.order_states import ChildState, ParentEvent, ParentPhase
from citadel_proto.errors import InvariantError
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
_IN_DOUBT: Final = (ChildState.UNKNOWN, ChildState.QUARANTINED)


class Decisions:
    """Executes them for the executor, which calls the algorithms."""

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
        """Bring the live orders to what the algorithm wants, within gate, budget and rate limits."""
        if isinstance(decision, Wait):
            finish = self._reject_policy.wait(parent, decision, now_ns)
            if finish is not None:
                self._executor.close(parent, finish.end, finish.code, finish.reason, now_ns)
            return
        if inst.steps.price > 1:
            decision = on_steps(decision, parent.sign, inst.steps.price)
            if isinstance(decision, Work) and as_wanted(parent.live, (decision,)):
                return  # it wants a price between two steps
        if isinstance(decision, Orders) and as_wanted(parent.live, decision.wanted):
            return
        self._executor.order_store.touch(parent)
        if parent.algo is not None:
            parent.algo.forget()  # whether it can be executed or not, decide from scratch next time
        if isinstance(decision, Work):
            self._orders(parent, inst, (decision,), now_ns)
        elif isinstance(decision, Orders):
            self._orders(parent, inst, decision.wanted, now_ns)
        elif isinstance(decision, Finish):
            self._executor.close(parent, decision.end, decision.code, decision.reason, now_ns)
        elif isinstance(decision, Withdraw):
            parent.reason_code, parent.reason = decision.code, decision.reason
            self._executor.withdraw(parent, now_ns)
        elif isinstance(decision, Trigger):
            parent.triggered = True
            parent.reason_code, parent.reason = "TRIGGERED", decision.reason
            if parent.phase is ParentPhase.HELD:
                parent.step(_V.TRIGGER)
                self._executor.begin(parent, inst, now_ns)
            else:
                self._executor.advance(parent, now_ns)

    def _orders(
        self, parent: Parent, inst: InstrumentState, wanted: tuple[Work, ...], now_ns: int
    ) -> None:
        """Cancel unwanted orders, reprice misplaced ones, place missing ones.

        Orders in flight and unknown ones are left alone, and count as what they may become.
        """
        if len(wanted) > parent.most_live:
            raise InvariantError(f"parent {parent.id}: {len(wanted)} orders at once are asked for")
        pairs, missing = pair(parent.live, wanted)
        for child, work in pairs:
            if work is None:
                if not child.ioc and child.state not in _IN_DOUBT:
                    self._executor.sender.cancel(parent, child, now_ns)
            elif child.state is ChildState.WORKING:
                self._rework(parent, inst, work, child, now_ns)
        for work in missing:
            if not self._place(parent, inst, work, now_ns):
                return

    def _place(self, parent: Parent, inst: InstrumentState, work: Work, now_ns: int) -> bool:
        """Place a missing one; False where it, and so every other, has to wait."""
        if now_ns < parent.resume_ns or parent.awaits_book(inst.book_id(), now_ns):
            return False
        barred = self._executor.sender.barred(inst.key[0])
        if barred is not None:
            self._reject_policy.pause(parent, *barred, FAR)
            return False
        if not parent.arrival_mid2_ticks:  # there was no usable book at arrival
            parent.arrival_mid2_ticks = inst.mid_half_ticks()
        if parent.rank and parent.reduce_only:
            self._outrank(parent, inst, now_ns)
        answer = self._executor.sender.place(parent, inst, work, now_ns)
        if isinstance(answer, Denied):
            if answer.dust and parent.live:
                return False  # live orders have the rest of it
            finish = self._reject_policy.denied(parent, answer, now_ns)
            if finish is not None:
                self._executor.close(parent, *finish, now_ns)
            if parent.exits and answer.fails(RiskCode.SELF_CROSS):
                self._clear_the_way(parent, inst, work.price_ticks, now_ns)
            return False
        self._executor.order_store.index(parent, answer)
        if parent.ending is None:
            parent.reason_code, parent.reason = parent.choice
        if parent.triggered and parent.stop_ticks is not None:
            level = None if parent.algo is None else parent.algo.trigger_ticks(parent)
            through = inst.instrument.price(level or parent.stop_ticks)
            parent.reason_code, parent.reason = "TRIGGERED", f"the market went through {through}"
        return True

    def _outrank(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Cancel the orders whose part of the position this exit needs."""
        lots = self._executor.sender.reducible(parent, inst, alone=True)
        for other in in_the_way(parent, inst, lots):
            what = "flattening" if parent.own else "stop"
            text = f"{what} {parent.id} goes before it"
            if other.signal.kind == "stop":
                self._executor.withdraw(other, now_ns)  # it stays if the flattening ends early
            else:
                self._out.note("warning", "outranked", signal_id=other.id, by=parent.id)
                self._executor.close(other, _V.CANCEL, "OUTRANKED", text, now_ns)

    def _clear_the_way(
        self, parent: Parent, inst: InstrumentState, price_ticks: int, now_ns: int
    ) -> None:
        """Cancel our own orders of the other side that this exit would trade with."""
        for other in crossed_by(parent, inst, price_ticks):
            if other.terminal or other.verdict is not None:
                continue
            text = f"exit {parent.id} would trade with it"
            self._out.note("warning", "self_cross", signal_id=other.id, by=parent.id)
            self._executor.close(other, _V.CANCEL, RiskCode.SELF_CROSS, text, now_ns)

    def _rework(
        self, parent: Parent, inst: InstrumentState, work: Work, child: Child, now_ns: int
    ) -> None:
        """Change price or quantity of a live order: amend in place, or cancel, confirm, place again."""
        if child.ioc or now_ns < parent.resume_ns or now_ns < child.cancel_after_ns:
            return
        smallest = inst.instrument.min_lots_at(work.price_ticks, reduce_only=parent.reduce_only)
        lots = child.filled + open_lots(child, work, smallest)
        same_price = child.price_ticks == work.price_ticks and not work.ioc
        if same_price and lots == child.quantity_lots:
            return
        rest = parent.available + child.reserved
        if rest < smallest or self._executor.sender.barred(inst.key[0]):
            return  # its rest would be too small to place again, so it stays
        can = inst.venue.amend_native or (inst.venue.amend_down and same_price)
        amends = can and not work.ioc and not child.amend_refused
        if amends and not child.may_be_cut(now_ns, self._config.late_ns(inst.key[0])):
            lots = child.quantity_lots
            if same_price:
                return
        if amends:
            answer = self._executor.sender.amend(
                parent, inst, child, work, lots=lots, now_ns=now_ns
            )
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
