"""SmartOrderExecutor: parents from admission to their end.

A parent has one algorithm, which decides which order, or which few, should be working. Its decision
is compared with the live orders; the difference is sent, through the gate and within the parent's
budget. Everything that may change a decision (market, report, timer, operator)
ends in ``advance``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import KEEP
from citadel_micro.core.execution.anomalies import Anomalies
from citadel_micro.core.execution.completion import Completion
from citadel_micro.core.execution.decisions import Decisions
from citadel_micro.core.execution.order_sender import OrderSender
from citadel_micro.core.execution.pauses import cross_pause_ns
from citadel_micro.core.execution.reject_policy import BUSY, RejectPolicy, Resync
from citadel_micro.core.execution.report_handler import ReportHandler
from citadel_micro.core.execution.venue_honesty import unbookable, untrue_fill
from citadel_micro.core.model.commands import RequestSnapshot
from citadel_micro.core.model.events import FeedStatus, OrderFilled
from citadel_micro.core.model.time_units import FAR, MS
from citadel_micro.core.orders.order_life import end_of_life, life_ends_ns, whole_fill
from citadel_micro.core.orders.order_states import (
    CHILD_TERMINAL,
    ChildState,
    ParentEvent,
    ParentPhase,
)
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.report_handler import ChildReport
    from citadel_micro.core.model.events import VenueAnomaly
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent, ParentAlgorithm

_P, _V = ParentPhase, ParentEvent
_IN_DOUBT: Final = (ChildState.UNKNOWN, ChildState.QUARANTINED)


class SmartOrderExecutor:
    """See the module."""

    def __init__(self, context: EngineContext) -> None:
        self.order_store = context.order_store
        self.sender = OrderSender(context.config, context.risk, context.view, context.out)
        self.due_ns = FAR
        """Earliest time at which a parent has something due."""
        self.stopping = False
        self.venue_down = self.sender.down
        """Venues whose order connection is down, with the reason."""
        self._config = context.config
        self._inst_states = context.inst_states
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._reader = ReportHandler(context.config, self.sender)
        self._reject_policy = RejectPolicy(context)
        self._decisions = Decisions(context, self, self._reject_policy)
        self._completion = Completion(context, self)
        self._anomalies = Anomalies(context, self)

    # events

    def begin(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Start the working time of a parent that is READY."""
        parent.accepted_ns = now_ns
        parent.ends_ns = life_ends_ns(parent, self._config.max_signal_skew_ns)
        # A stop may be triggered without a book; its arrival is then that of its first order.
        parent.arrival_mid2_ticks = inst.mid_half_ticks() if inst.fit else 0
        parent.arrival_traded = inst.market.traded
        self.order_store.release(parent, inst)
        inst.admit(parent)
        self.advance(parent, now_ns)

    def on_market(self, inst: InstrumentState, now_ns: int) -> None:
        """Offer a changed market to every parent of the instrument that could act on it."""
        parents = inst.parents
        for parent in parents if len(parents) == 1 else tuple(parents):
            algo = parent.algo
            if parent.verdict is not None or parent.done_ns or algo is None or self.stopping:
                continue
            live = parent.live
            if live:  # nearly always one, and working
                if (len(live) != 1 or live[0].state is not ChildState.WORKING) and parent.busy:
                    continue
            elif now_ns < parent.resume_ns or parent.awaits_book(inst.book_id(), now_ns):
                continue
            if now_ns >= parent.ends_ns:
                self.advance(parent, now_ns)
                continue
            known = parent.algo_state  # as ``_ask``, without the call
            decision = algo.decide(parent, inst, now_ns)
            if parent.algo_state is not known:
                self.order_store.touch(parent)
            if decision is not KEEP:
                self._decisions.carry_out(parent, inst, decision, now_ns)
                self._plan(parent, now_ns)
            elif algo.wake_ns < self.due_ns:
                self.due_ns = algo.wake_ns
        if inst.held.waiting and not self.stopping:
            for parent in inst.held.reached():
                self._check_held(parent, inst, now_ns)

    def _check_held(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Check a held stop against the market."""
        algo = parent.algo
        if algo is None or parent.phase is not _P.HELD or parent.verdict is not None:
            return
        if (decision := self._ask(algo, parent, inst, now_ns)) is not KEEP:
            self._decisions.carry_out(parent, inst, decision, now_ns)
            self._plan(parent, now_ns)
            return
        self.order_store.rearm(parent, inst)
        self.due_ns = min(self.due_ns, algo.wake_ns)

    def on_report(self, report: ChildReport | OrderFilled, now_ns: int) -> None:
        """Route a venue's report on one order."""
        found = self.order_store.children.get(report.client_id)
        if found is None:
            self._out.note(
                "warning",
                "report_on_unknown_order",
                venue=report.venue,
                client_id=report.client_id,
                report=type(report).__name__,
            )
            return
        parent, child = found
        if parent.instrument_unknown:
            self._out.note("warning", "report_on_lost_order", client_id=report.client_id)
            return
        before = child.state
        self._reader.lie = ""
        if (report.venue, report.symbol) != (parent.signal.venue, parent.signal.symbol):
            self._reader.lie = f"{type(report).__name__} says that it is of {report.symbol}"
            self.sender.mark_unknown(parent, child, now_ns, "told of another symbol")
        elif isinstance(report, OrderFilled):
            self._fill(parent, child, report, now_ns)
        else:
            self._reader.read(parent, child, report, now_ns)
        self._after_report(parent, child, before, now_ns)

    def on_anomaly(self, said: VenueAnomaly, now_ns: int) -> None:
        """A venue sent something that its adapter could not decode, or that is impossible."""
        found = self.order_store.children.get(said.client_id)
        if found is None or found[0].instrument_unknown:
            code = RiskCode.VENUE_ANOMALY
            self._anomalies.freeze(said.venue, said.symbol, code, said.text, now_ns)
            return
        parent, child = found
        before = child.state
        self.sender.mark_unknown(parent, child, now_ns, said.text)
        self._reader.lie = said.text
        self._after_report(parent, child, before, now_ns)

    def give_up(self, parent: Parent, child: Child, now_ns: int) -> None:
        """Take the operator's word that a quarantined order is gone from its venue."""
        self._reader.give_up(parent, child, now_ns)
        self._after_report(parent, child, ChildState.QUARANTINED, now_ns)

    def resume(self, venue: str, now_ns: int) -> None:
        """Continue with what waited for a venue."""
        for parent in tuple(self.order_store.active.values()):
            if parent.signal.venue == venue:
                parent.resume_ns = min(parent.resume_ns, now_ns)
                self.advance(parent, now_ns)

    def on_venue(self, venue: str, down: str | None, now_ns: int, *, missed: bool = False) -> None:
        """The order connection went down (with its reason) or came back.

        After an interruption the state of our orders there is uncertain, as it is where
        reports were ``missed``.
        """
        was_down = self.venue_down.pop(venue, None) is not None or missed
        if down is not None:
            self.venue_down[venue] = down
            return
        if not was_down:
            return
        parents = [p for p in self.order_store.active.values() if p.signal.venue == venue]
        asked: list[Child] = []
        for parent in parents:
            parent.resume_ns = min(parent.resume_ns, now_ns)
            waiting = [child for child in parent.live if child.cancel_after_ns == FAR]
            for child in waiting:
                child.cancel_after_ns = 0
            # An unknown order is not canceled but queried, whatever else it waited for.
            asked += [c for c in parent.watched if c not in waiting or c.state in _IN_DOUBT]
            if waiting:  # before any query, which may wait longer
                self.advance(parent, now_ns)
        for child in asked:
            child.query_due_ns = min(child.query_due_ns, now_ns)
        for parent in parents:
            self.advance(parent, now_ns)

    def on_timer(self, now_ns: int) -> None:
        """Visit every parent that is due."""
        if now_ns < self.due_ns:
            return
        for parent in tuple(self.order_store.awake.values()):
            if self._due(parent) <= now_ns:
                self.advance(parent, now_ns)
        due_ns = min((self._due(p) for p in self.order_store.awake.values()), default=FAR)
        self.due_ns = max(due_ns, now_ns + MS)

    def advance(self, parent: Parent, now_ns: int) -> None:
        """Do what is due for a parent: queries, cancels, its end, or its algorithm's decision."""
        for child in parent.watched:
            self.sender.check_timeouts(parent, child, now_ns)
            self.order_store.touch(parent)
        if now_ns >= parent.resume_ns:
            parent.resume_ns = 0
        if now_ns >= parent.same_book_ns:
            parent.same_book_ns, parent.resume_book = FAR, (-1, 0)
        if parent.terminal or parent.verdict is not None:
            self._wind_up(parent, now_ns)
        elif now_ns >= parent.ends_ns and not parent.taking:
            self.close(parent, *end_of_life(parent), now_ns)
        elif self.stopping or len(parent.live) > parent.most_live or self._forbidden(parent):
            self.withdraw(parent, now_ns)
        elif parent.algo is not None and not self._view.reconciling:
            self._decide(parent, now_ns)
        self._plan(parent, now_ns)

    def _forbidden(self, parent: Parent) -> bool:
        """Live orders must be canceled although the parent continues: a stop under a halt.

        Checked every time, since a cancel that was rejected, had to wait or came before its order
        leaves the order where it is.
        """
        return bool(parent.live) and self.forbidden(parent)

    def forbidden(self, parent: Parent, *, unwatched: bool = False) -> bool:
        """Whether the breakers or the lease (``unwatched``: of its own macro) require its cancel."""
        signal = parent.signal
        return self._risk.must_cancel(
            signal.venue,
            signal.symbol,
            signal.strategy,
            exit_order=parent.exits,
            unwatched=unwatched,
            through_halt=parent.through_halt,
        )

    def _decide(self, parent: Parent, now_ns: int) -> None:
        algo = parent.algo
        live = parent.live
        if algo is None or parent.phase is _P.GATING:
            return
        if parent.busy:
            return
        if not live and parent.phase is not _P.HELD and parent.remaining == 0:
            self.close(parent, _V.FILL, "", "", now_ns)
            return
        inst = self._inst_states[parent.rules.venue, parent.rules.symbol]
        if parent.phase is _P.HELD:
            self._check_held(parent, inst, now_ns)
            return
        algo.forget()
        decision = self._ask(algo, parent, inst, now_ns)
        if decision is not KEEP:
            self._decisions.carry_out(parent, inst, decision, now_ns)

    def _ask(
        self, algo: ParentAlgorithm, parent: Parent, inst: InstrumentState, now_ns: int
    ) -> Decision:
        """The algorithm's decision; its state is stored."""
        known = parent.algo_state
        decision: Decision = algo.decide(parent, inst, now_ns)
        if parent.algo_state is not known:
            self.order_store.touch(parent)
        return decision

    # reports

    def _fill(self, parent: Parent, child: Child, report: OrderFilled, now_ns: int) -> None:
        rules = parent.rules
        inst = self._inst_states[rules.venue, rules.symbol]
        self._reader.lie = unbookable(report)
        if self._reader.lie:
            self.sender.mark_unknown(parent, child, now_ns, self._reader.lie)
            return
        was_settled = child.terminal and child.fills_complete
        fill = child.note_fill(report, now_ns, inst.mid_half_ticks())
        parent.changed(child)
        if fill is not None:
            self._reader.lie = untrue_fill(parent, child, report, settled=was_settled)
        self._reader.alive(child, now_ns)
        if fill is not None:
            self._view.portfolio.apply_fill(rules, parent.signal.side, report, now_ns)
            self.order_store.booked(report, fill.mid_half_ticks)
        self._reader.filled_up(child, now_ns)

    def _after_report(self, parent: Parent, child: Child, before: ChildState, now_ns: int) -> None:
        """After a child has changed: count, evaluate the consequences, and continue."""
        parent.count(child)
        self.order_store.touch(parent)
        if parent.algo is not None:
            parent.algo.forget()
        if parent.live:
            self.order_store.activate(parent)
        lie, self._reader.lie = self._reader.lie, ""
        if self._anomalies.found(parent, child, lie, now_ns):
            pass
        elif child.terminal and before not in CHILD_TERMINAL:
            self._child_ended(parent, child, now_ns)
        self.advance(parent, now_ns)

    def _child_ended(self, parent: Parent, child: Child, now_ns: int) -> None:
        rules = parent.rules
        inst = self._inst_states[rules.venue, rules.symbol]
        if child.ioc and child.state is not ChildState.REJECTED:
            parent.resume_ns = now_ns + cross_pause_ns(parent)
            parent.await_book(inst.book_id(), now_ns)
        for other in inst.parents:
            # Its part of the position is free now.
            if other.resume_ns > now_ns and other.reason_code == BUSY:
                other.resume_ns = now_ns
                self.due_ns = min(self.due_ns, now_ns + MS)
        if child.state is ChildState.REJECTED:
            answer = self._reject_policy.by_venue(parent, child, inst, now_ns)
            if isinstance(answer, Resync):
                self.resync(inst, answer.reason, now_ns)
            elif answer is not None:
                self.close(parent, *answer, now_ns)

    def resync(self, inst: InstrumentState, reason: str, now_ns: int) -> None:
        """Distrust the book and resynchronize; nothing is placed on it until then."""
        venue, symbol = inst.key
        inst.market.on_status(FeedStatus(venue=venue, symbol=symbol, up=False, reason=reason))
        self._view.portfolio.mark(venue, symbol, None)
        self._out.commands.extend(
            self._risk.on_feed(venue, symbol, now_ns, live=False, reason=reason)
        )
        inst.crossed_since_ns = 0
        inst.asked_ns = now_ns
        inst.dirty = True
        self._out.commands.append(RequestSnapshot(venue=venue, symbol=symbol, reason=reason))

    # the end

    def close(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        """Place nothing more; end it once all its live orders are confirmed closed."""
        if self._completion.keeps(parent, end, code, reason, now_ns):
            return
        self.order_store.touch(parent)
        parent.reason_code, parent.reason = code, reason
        parent.rule(end)
        if parent.phase not in (_P.HELD, _P.GATING):
            parent.step(_V.CLOSE)
        self._wind_up(parent, now_ns)

    def withdraw(self, parent: Parent, now_ns: int) -> None:
        """Cancel the live orders; unknown ones are queried first."""
        for child in parent.live:
            if child.state not in _IN_DOUBT:
                self.sender.cancel(parent, child, now_ns)
                self.order_store.touch(parent)

    def _wind_up(self, parent: Parent, now_ns: int) -> None:
        self.withdraw(parent, now_ns)
        if parent.live or not parent.fills_complete:
            return
        if parent.terminal:
            self.order_store.retire(parent)
            return
        end = parent.verdict or _V.CANCEL
        if parent.target and parent.filled >= parent.target:
            end, parent.reason_code, parent.reason = whole_fill(parent)
        elif end is _V.DENY and parent.filled:
            end = _V.CANCEL
        if end is not _V.FILL and self._completion.goes_on(parent, now_ns):
            return
        self.end(parent, *self._completion.ending(parent, end), now_ns)

    def end(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        """End it now: nothing of it may be live, except for an anomaly."""
        admitted = parent.phase is not _P.GATING
        parent.step(end)
        parent.rule(None)
        parent.reason_code, parent.reason = code, reason
        parent.done_ns = now_ns
        if parent.instrument is not None:
            inst = self._inst_states[parent.instrument.venue, parent.instrument.symbol]
            parent.final_mid2_ticks = inst.mid_half_ticks()
        self.order_store.touch(parent)
        if parent.closed:
            self.order_store.retire(parent)
        if admitted:
            signal = parent.signal
            clean = end not in (_V.DENY, _V.ANOMALY)
            self._out.commands.extend(
                self._risk.on_parent_done(signal.venue, signal.symbol, signal.strategy, clean=clean)
            )

    # time

    def _plan(self, parent: Parent, now_ns: int) -> None:
        due_ns = self._due(parent)
        if due_ns < self.due_ns:
            self.due_ns = max(due_ns, now_ns + MS) if due_ns <= now_ns else due_ns

    def _due(self, parent: Parent) -> int:
        """When a parent has something due next."""
        due_ns = FAR
        if parent.instrument_unknown:
            return due_ns
        for child in parent.watched:
            due_ns = min(due_ns, child.answer_due_ns, child.query_due_ns)
            if child.cancel_after_ns:
                due_ns = min(due_ns, child.cancel_after_ns)
        if parent.terminal or parent.verdict is not None:
            return due_ns
        if parent.ends_ns < due_ns and not parent.taking:
            due_ns = parent.ends_ns
        if parent.algo is None or self.stopping:
            return due_ns
        live = parent.live
        if not live or live[0].state is ChildState.WORKING or not parent.busy:
            due_ns = min(due_ns, parent.algo.wake_ns)
            if parent.resume_ns:
                due_ns = min(due_ns, parent.resume_ns)
            if len(live) < parent.algo.most_live:
                due_ns = min(due_ns, parent.same_book_ns)
        return due_ns
