"""SmartOrderExecutor: parents from admission to their end.

A parent has one algorithm, which says what order should be out, and at most one live child. What
the algorithm wants is compared with what is out; the difference is sent, through the gate and
within the parent's budget. Everything that may change a decision (market, report, timer, operator)
ends in ``advance``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.admission import admission_request, choose_algorithm, set_terms
from citadel_micro.core.algos.base import KEEP, Finish, Trigger, Withdraw, Work
from citadel_micro.core.breakers import symbol_scope
from citadel_micro.core.commands import RequestSnapshot
from citadel_micro.core.events import FeedStatus, OrderFilled
from citadel_micro.core.lifecycle import ChildState, ParentEvent, ParentState
from citadel_micro.core.sender import Denied, Sender
from citadel_micro.core.times import FAR, MS
from citadel_micro.core.venue_reports import ReportReader
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.config import EngineConfig
    from citadel_micro.core.desk import Desk
    from citadel_micro.core.events import SignalReceived
    from citadel_micro.core.orders import Child, Parent
    from citadel_micro.core.outbox import Outbox
    from citadel_micro.core.register import Register
    from citadel_micro.core.risk import RiskManager
    from citadel_micro.core.risk_types import Verdict
    from citadel_micro.core.venue_reports import ChildReport
    from citadel_micro.core.view import EngineView

_P, _V = ParentState, ParentEvent
_MIRRORED: Final = {
    ChildState.WORKING: _V.LIVE,
    ChildState.UNKNOWN: _V.DOUBT,
    ChildState.QUARANTINED: _V.DOUBT,
}
_ENTRY_ENDS: Final = (
    "KILLED",
    "HALTED",
    "REDUCE_ONLY",
    "MACRO_LEASE_LOST",
    "VENUE_DMS_NOT_ARMED",
    "SYMBOL_DISALLOWED",
    "VENUE_DISALLOWED",
    "MAX_POSITION",
    "GROSS",
    "NET",
    "VENUE",
    "GROUP",
    "FREE_BALANCE",
    "DAILY_LOSS",
    "ROLLING_LOSS",
    "DRAWDOWN",
)
"""Denials that end an entry; every other one is waited out, and so is every one by an exit."""
POST_ONLY_BACKOFF_NS: Final = 50 * MS
POST_ONLY_LIMIT: Final = 5
REJECT_BACKOFF_NS: Final = 100 * MS
REJECT_LIMIT: Final = 5
RATE_PAUSE_NS: Final = 1_000 * MS
CROSS_PAUSE_NS: Final = 50 * MS
"""Between immediate orders, which also wait for a newer book."""


class SmartOrderExecutor:
    """See the module. ``register`` holds the parents; commands go to the outbox."""

    def __init__(
        self,
        config: EngineConfig,
        desks: Mapping[tuple[str, str], Desk],
        register: Register,
        *,
        risk: RiskManager,
        view: EngineView,
        out: Outbox,
    ) -> None:
        self.register = register
        self.sender = Sender(config, risk, view, out)
        self.due_ns = FAR
        """Earliest time at which a parent wants to be looked at."""
        self.stopping = False
        self.venue_down: dict[str, str] = {}
        """Venues whose order connection is down, with the reason."""
        self._config = config
        self._desks = desks
        self._risk = risk
        self._view = view
        self._out = out
        self._reader = ReportReader(config, self.sender)

    # admission

    def on_signal(self, signal: SignalReceived, now_ns: int) -> None:
        """Take a signal once; a repeated one gets its present report again."""
        known = self.register.known.get(signal.signal_id)
        if known is not None:
            self.register.repeat(known)
            return
        parent = self.register.open(signal, now_ns, own=False)
        if self._view.reconciling:
            self.register.touch(parent)  # durable and acknowledged; judged when recovery is done
        else:
            self.admit(parent, now_ns)

    def admit(self, parent: Parent, now_ns: int) -> None:
        """Judge a parent that is GATING, and begin it or say why not."""
        self.register.touch(parent)
        signal = parent.signal
        withdrawn = self.register.tombstone(parent.id)
        if withdrawn is not None:
            self._end(parent, _V.CANCEL, "CANCELED_BY_MACRO", withdrawn, now_ns)
            return
        if now_ns >= signal.expires_ns + self._config.max_signal_skew_ns:
            late = (now_ns - signal.expires_ns) / 1e6
            text = f"the signal expired {late:.0f} ms before it could be acted on"
            self._end(parent, _V.DENY, "INTENT_EXPIRED", text, now_ns)
            return
        if self.stopping:
            self._end(parent, _V.DENY, "SHUTTING_DOWN", "micro is shutting down", now_ns)
            return
        desk = self._desks.get((signal.venue, signal.symbol))
        if desk is None:
            known = signal.venue in self._config.venues
            code = "SYMBOL_DISALLOWED" if known else "VENUE_DISALLOWED"
            names = ", ".join(":".join(key) for key in self._desks) or "none"
            text = f"{signal.venue} {signal.symbol} is not configured; configured: {names}"
            self._end(parent, _V.DENY, code, text, now_ns)
            return
        try:
            set_terms(parent, desk.instrument)
        except BadInput as error:
            self._end(parent, _V.DENY, "BAD_NUMBER", str(error), now_ns)
            return
        try:
            parent.algo = choose_algorithm(signal, self._config.algo_defaults)
        except BadInput as error:
            self._end(parent, _V.DENY, "BAD_PARAMETER", str(error), now_ns)
            return
        if signal.kind == "stop":
            self._hold(parent, desk, now_ns)
            return
        post_only = bool(parent.algo.values.get("post_only", False))
        verdict = self._risk.judge(admission_request(parent, post_only, now_ns), self._view, now_ns)
        if not verdict.ok:
            parent.permitted = verdict.permitted_lots
            self._end(parent, _V.DENY, verdict.code, verdict.reason, now_ns)
            return
        parent.reducing = verdict.reducing
        parent.step(_V.ADMIT)
        self._begin(parent, desk, now_ns)

    def _hold(self, parent: Parent, desk: Desk, now_ns: int) -> None:
        if parent.target < desk.instrument.min_lots:
            smallest = desk.instrument.quantity(desk.instrument.min_lots)
            text = f"quantity {parent.signal.quantity} is below the minimum {smallest}"
            self._end(parent, _V.DENY, "BELOW_MIN", text, now_ns)
            return
        parent.step(_V.HOLD)
        desk.parents.append(parent)
        self.advance(parent, now_ns)

    def _begin(self, parent: Parent, desk: Desk, now_ns: int) -> None:
        parent.accepted_ns = now_ns
        parent.arrival_half_ticks = desk.mid_half_ticks()
        if parent not in desk.parents:
            desk.parents.append(parent)
        self.advance(parent, now_ns)

    def refuse(self, parent: Parent, code: str, reason: str, now_ns: int) -> None:
        """End a parent that cannot even be judged."""
        self._end(parent, _V.DENY, code, reason, now_ns)

    def on_cancel(self, signal_id: str, reason: str, now_ns: int) -> None:
        """Withdraw the unfilled rest. Before its signal has come, the signal's name is kept."""
        parent = self.register.known.get(signal_id)
        if parent is None:
            self.register.bury(signal_id, reason, now_ns)
            self._out.note("warning", "cancel_of_unknown_signal", signal_id=signal_id)
        elif parent.terminal or parent.verdict is not None:
            self.register.repeat(parent)
        else:
            self.close(parent, _V.CANCEL, "CANCELED_BY_MACRO", reason, now_ns)

    # what happens

    def on_market(self, desk: Desk, now_ns: int) -> None:
        """Show a changed market to every parent of the desk that could act on it."""
        for parent in desk.parents if len(desk.parents) == 1 else tuple(desk.parents):
            algo = parent.algo
            if algo is None or parent.verdict is not None or self.stopping or parent.terminal:
                continue
            live = parent.live
            if live:
                if live[0].state is not ChildState.WORKING or len(live) > 1:
                    continue
            elif now_ns < parent.resume_ns or desk.market.last_seq <= parent.resume_seq:
                continue
            decision = algo.decide(parent, desk, now_ns)
            if decision is not KEEP:
                self._act(parent, desk, decision, now_ns)
                self._plan(parent, now_ns)
            elif algo.wake_ns < self.due_ns:
                self.due_ns = algo.wake_ns

    def on_report(self, report: ChildReport | OrderFilled, now_ns: int) -> None:
        """Route what a venue says about one order."""
        found = self.register.children.get(report.client_id)
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
        before = child.state
        if isinstance(report, OrderFilled):
            self._fill(parent, child, report, now_ns)
        else:
            self._reader.read(parent, child, report, now_ns)
        self._took(parent, child, before, now_ns)

    def on_venue(self, venue: str, down: str | None, now_ns: int) -> None:
        """The order connection went down (with its reason) or came back.

        After an interruption nothing that we believe about our orders there is sure.
        """
        was_down = self.venue_down.pop(venue, None) is not None
        if down is not None:
            self.venue_down[venue] = down
            return
        for parent in tuple(self.register.active.values()):
            if was_down and parent.signal.venue == venue:
                parent.resume_ns = min(parent.resume_ns, now_ns)
                for child in parent.live:
                    child.query_due_ns = min(child.query_due_ns, now_ns)
                self.advance(parent, now_ns)

    def on_timer(self, now_ns: int) -> None:
        """Look at every parent that is due."""
        if now_ns < self.due_ns:
            return
        for parent in tuple(self.register.active.values()):
            if self._due(parent, now_ns) <= now_ns:
                self.advance(parent, now_ns)
        due_ns = min((self._due(p, now_ns) for p in self.register.active.values()), default=FAR)
        self.due_ns = max(due_ns, now_ns + MS)

    def advance(self, parent: Parent, now_ns: int) -> None:
        """Do what is due for a parent: questions, cancels, its end, or its algorithm's decision."""
        for child in parent.children if not parent.settled else parent.live:
            if child.terminal and child.settled:
                continue
            self.sender.tend(parent, child, now_ns)
            self.register.touch(parent)
        if parent.terminal or parent.verdict is not None:
            self._wind_up(parent, now_ns)
        elif self.stopping:
            for child in parent.live:
                self.sender.cancel(parent, child, now_ns)
        elif parent.algo is not None and not self._view.reconciling:
            self._decide(parent, now_ns)
        self._plan(parent, now_ns)

    def _decide(self, parent: Parent, now_ns: int) -> None:
        algo = parent.algo
        live = parent.live
        if algo is None or parent.state is _P.GATING or len(live) > 1:
            return
        if live and live[0].state is not ChildState.WORKING:
            return
        if not live and parent.state is not _P.HELD and parent.remaining == 0:
            self.close(parent, _V.FILL, "", "", now_ns)
            return
        desk = self._desks[parent.rules.venue, parent.rules.symbol]
        algo.forget()
        decision = algo.decide(parent, desk, now_ns)
        if decision is not KEEP:
            self._act(parent, desk, decision, now_ns)

    # decisions

    def _act(self, parent: Parent, desk: Desk, decision: Decision, now_ns: int) -> None:
        self.register.touch(parent)
        if isinstance(decision, Work):
            self._work(parent, desk, decision, now_ns)
        elif isinstance(decision, Finish):
            self.close(parent, decision.end, decision.code, decision.reason, now_ns)
        elif isinstance(decision, Withdraw):
            parent.reason_code, parent.reason = decision.code, decision.reason
            for child in parent.live:
                self.sender.cancel(parent, child, now_ns)
        elif isinstance(decision, Trigger):
            parent.triggered = True
            parent.reason_code, parent.reason = "TRIGGERED", decision.reason
            parent.step(_V.TRIGGER)
            self._begin(parent, desk, now_ns)

    def _work(self, parent: Parent, desk: Desk, work: Work, now_ns: int) -> None:
        if parent.live:
            self._rework(parent, desk, work, parent.live[0], now_ns)
            return
        if now_ns < parent.resume_ns or desk.market.last_seq <= parent.resume_seq:
            return
        down = self.venue_down.get(desk.key[0])
        if down is not None:
            self._pause(parent, "VENUE_DOWN", down, FAR)
            return
        answer = self.sender.place(parent, desk, work, now_ns)
        if isinstance(answer, Denied):
            self._denied(parent, answer, now_ns)
            return
        self.register.index(parent, answer)
        parent.reason_code, parent.reason = (
            ("TRIGGERED", parent.reason)
            if parent.triggered
            else (
                "",
                "",
            )
        )

    def _rework(self, parent: Parent, desk: Desk, work: Work, child: Child, now_ns: int) -> None:
        """Another price for what is out: amended in place, or cancelled, proven, placed anew."""
        if now_ns < parent.resume_ns or now_ns < child.cancel_after_ns:
            return
        if child.price_ticks == work.price_ticks and not work.ioc:
            return
        smallest = desk.instrument.min_lots_at(work.price_ticks)
        if parent.remaining < smallest:
            return  # what could not be placed again stays where it is
        if desk.venue.amend_native and not work.ioc:
            answer = self.sender.amend(parent, desk, work, now_ns)
            if answer is not None:
                wait_ns = answer.until_ns or now_ns + self._config.gate_retry_ns
                parent.resume_ns = wait_ns
                return
        else:
            self.sender.cancel(parent, child, now_ns)
        parent.reprices += 1

    def _denied(self, parent: Parent, denied: Denied, now_ns: int) -> None:
        verdict = denied.verdict
        if verdict is not None:
            self._refused(parent, verdict, now_ns)
        elif denied.until_ns:
            self._pause(parent, "MESSAGE_RATE", "the venue's message rate", denied.until_ns)
        elif not denied.dust:
            text = "other orders are reducing the position"
            self._pause(parent, "POSITION_BUSY", text, now_ns + self._config.gate_retry_ns)
        elif parent.filled:
            self.close(parent, _V.DUST, "DUST", "the rest is below the venue's minimum", now_ns)
        elif parent.reduce_only:
            text = "there is no position left to reduce"
            self.close(parent, _V.CANCEL, "POSITION_CLOSED", text, now_ns)
        else:
            text = "below the venue's minimum at this price"
            self.close(parent, _V.CANCEL, "BELOW_MIN", text, now_ns)

    def _refused(self, parent: Parent, verdict: Verdict, now_ns: int) -> None:
        exits = parent.reduce_only or parent.reducing
        if verdict.code in _ENTRY_ENDS and not exits:
            parent.permitted = verdict.permitted_lots
            end = _V.CANCEL if parent.children else _V.DENY
            self.close(parent, end, verdict.code, verdict.reason, now_ns)
            return
        until_ns = now_ns + self._config.gate_retry_ns
        self._pause(parent, verdict.code, verdict.reason, until_ns)

    def _pause(self, parent: Parent, code: str, reason: str, until_ns: int) -> None:
        parent.resume_ns = until_ns
        parent.reason_code, parent.reason = code, reason
        if parent.state is _P.READY:
            parent.step(_V.PAUSE)

    # reports

    def _fill(self, parent: Parent, child: Child, report: OrderFilled, now_ns: int) -> None:
        rules = parent.rules
        desk = self._desks[rules.venue, rules.symbol]
        was_settled = child.terminal and child.settled
        fill = child.note_fill(report, now_ns, desk.mid_half_ticks())
        child.stored = False
        self._reader.alive(child, now_ns)
        if fill is not None:
            self._view.portfolio.apply_fill(rules, parent.signal.side, report, now_ns)
            self.register.booked(report, fill.mid_half_ticks)
            if was_settled:
                self._out.note(
                    "error",
                    "fill_after_proof",
                    client_id=child.client_id,
                    trade_id=report.trade_id,
                    lots=report.quantity_lots,
                )
        self._reader.filled_up(child, now_ns)

    def _took(self, parent: Parent, child: Child, before: ChildState, now_ns: int) -> None:
        """After a child has changed: count, judge what it means, and go on."""
        parent.recount()
        self.register.touch(parent)
        if parent.algo is not None:
            parent.algo.forget()
        if parent.live:
            self.register.activate(parent)
        if parent.overfilled and parent.state is not _P.ANOMALY:
            self._anomaly(parent, child, now_ns)
        elif child.state is not before:
            if child.terminal:
                self._child_ended(parent, child, now_ns)
            elif not parent.terminal:
                self._mirror(parent, child)
        if child.state is ChildState.WORKING and child.capped and parent.state is _P.WORKING:
            parent.step(_V.CAP)
        self.advance(parent, now_ns)

    def _mirror(self, parent: Parent, child: Child) -> None:
        event = _MIRRORED.get(child.state)
        if event is _V.DOUBT and parent.state is _P.UNKNOWN:
            return
        if event is not None:
            parent.step(event)

    def _child_ended(self, parent: Parent, child: Child, now_ns: int) -> None:
        if not parent.terminal and not parent.live:
            parent.step(_V.GONE)
        rules = parent.rules
        desk = self._desks[rules.venue, rules.symbol]
        if child.ioc and child.state is not ChildState.REJECTED:
            parent.resume_ns = now_ns + CROSS_PAUSE_NS
            parent.resume_seq = desk.market.last_seq
        if child.state is ChildState.REJECTED:
            self._child_rejected(parent, child, desk, now_ns)

    def _child_rejected(self, parent: Parent, child: Child, desk: Desk, now_ns: int) -> None:
        code, _, text = child.reason.partition(": ")
        self._out.note("warning", "order_rejected", client_id=child.client_id, code=code, text=text)
        if code == "POST_ONLY":
            parent.post_only_rejects += 1
            backoff = POST_ONLY_BACKOFF_NS << (parent.post_only_rejects - 1)
            parent.resume_ns = now_ns + min(backoff, RATE_PAUSE_NS)
            parent.resume_seq = desk.market.last_seq
            if parent.post_only_rejects % POST_ONLY_LIMIT == 0:
                text = f"{POST_ONLY_LIMIT} post-only orders in a row would have taken"
                self.resync(desk, text, now_ns)
                parent.resume_ns = now_ns + RATE_PAUSE_NS
            return
        self._out.commands.extend(self._risk.on_venue_reject(*desk.key, now_ns))
        if code == "RATE_LIMIT":
            parent.resume_ns = now_ns + RATE_PAUSE_NS
            return
        parent.rejects += 1
        parent.resume_ns = now_ns + (REJECT_BACKOFF_NS << min(parent.rejects, 5))
        exits = parent.reduce_only or parent.reducing
        if (code == "INSUFFICIENT_FUNDS" or parent.rejects >= REJECT_LIMIT) and (
            not exits or not parent.triggered
        ):
            end = _V.CANCEL if parent.filled else _V.DENY
            self.close(parent, end, code or "VENUE_REJECT", text or child.reason, now_ns)

    def resync(self, desk: Desk, reason: str, now_ns: int) -> None:
        """Distrust the book and ask for it anew; nothing is placed on it until it comes."""
        venue, symbol = desk.key
        desk.market.on_status(FeedStatus(venue=venue, symbol=symbol, up=False, reason=reason))
        desk.crossed_since_ns = 0
        desk.asked_ns = now_ns
        desk.dirty = True
        self._out.commands.append(RequestSnapshot(venue=venue, symbol=symbol, reason=reason))

    def _anomaly(self, parent: Parent, child: Child, now_ns: int) -> None:
        """More than was asked is filled or may fill: freeze the symbol, a person must look."""
        over = parent.filled + parent.reserved - parent.target
        text = f"{child.client_id}: {over} lots beyond the target of {parent.target}"
        self._out.note("error", "anomaly", signal_id=parent.id, text=text)
        scope = symbol_scope(parent.signal.venue, parent.signal.symbol)
        self._out.commands.extend(self._risk.trip("OVERFILL", scope, text, now_ns))
        self._end(parent, _V.ANOMALY, "OVERFILL", text, now_ns)

    # the end

    def close(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        """Place nothing more; end it once everything that is out is proven over."""
        self.register.touch(parent)
        parent.reason_code, parent.reason = code, reason
        parent.verdict = end
        if parent.state not in (_P.HELD, _P.GATING):
            parent.step(_V.CLOSE)
        self._wind_up(parent, now_ns)

    def _wind_up(self, parent: Parent, now_ns: int) -> None:
        for child in parent.live:
            if child.state not in (ChildState.UNKNOWN, ChildState.QUARANTINED):
                self.sender.cancel(parent, child, now_ns)
                self.register.touch(parent)
        if parent.live or not parent.settled:
            return
        if parent.terminal:
            self.register.retire(parent)
            return
        end = parent.verdict or _V.CANCEL
        if parent.target and parent.filled >= parent.target:
            end = _V.FILL
            parent.reason_code, parent.reason = "", ""
        elif end is _V.DENY and parent.filled:
            end = _V.CANCEL
        self._end(parent, end, parent.reason_code, parent.reason, now_ns)

    def _end(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        admitted = parent.state is not _P.GATING
        parent.step(end)
        parent.verdict = None
        parent.reason_code, parent.reason = code, reason
        parent.done_ns = now_ns
        if parent.instrument is not None:
            desk = self._desks[parent.instrument.venue, parent.instrument.symbol]
            parent.final_half_ticks = desk.mid_half_ticks()
        self.register.touch(parent)
        if parent.over:
            self.register.retire(parent)
        if admitted:
            signal = parent.signal
            clean = end not in (_V.DENY, _V.ANOMALY)
            self._out.commands.extend(
                self._risk.on_parent_done(signal.venue, signal.symbol, signal.strategy, clean=clean)
            )

    # time

    def _plan(self, parent: Parent, now_ns: int) -> None:
        due_ns = self._due(parent, now_ns)
        if due_ns < self.due_ns:
            self.due_ns = max(due_ns, now_ns + MS) if due_ns <= now_ns else due_ns

    def _due(self, parent: Parent, now_ns: int) -> int:
        """When a parent wants to be looked at next."""
        due_ns = FAR
        for child in parent.live if parent.settled else parent.children:
            due_ns = min(due_ns, child.answer_due_ns, child.query_due_ns)
            if not child.terminal and child.cancel_after_ns > now_ns:
                due_ns = min(due_ns, child.cancel_after_ns)
        if parent.terminal or parent.verdict is not None or parent.algo is None:
            return due_ns
        live = parent.live
        if not live or live[0].state is ChildState.WORKING:
            due_ns = min(due_ns, parent.algo.wake_ns)
            if parent.resume_ns > now_ns:
                due_ns = min(due_ns, parent.resume_ns)
        return due_ns
