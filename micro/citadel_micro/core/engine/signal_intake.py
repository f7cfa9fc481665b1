"""Intake: signals, refused signals and cancels become parents, or the reasons why not."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.engine.owners import OWNER_IN_USE, Owners
from citadel_micro.core.execution.admission import (
    admission_request,
    choose_algorithm,
    may_wait,
    set_terms,
)
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.orders.order_life import life_ends_ns
from citadel_micro.core.orders.order_states import ParentEvent
from citadel_micro.core.orders.remembered_ids import (
    ADMISSION_NS,
    LONGEST_LIFE_NS,
    TOO_MANY_NAMES,
    Ended,
)
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import CancelReceived, SignalRefused
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

_V = ParentEvent
HOUR_NS: Final = 3_600 * SECOND
DAY_NS: Final = 24 * HOUR_NS


class SignalIntake:
    """The way of an intent into the executor. Every intent counts once, whatever arrives when."""

    def __init__(
        self, context: EngineContext, executor: SmartOrderExecutor, owners: Owners
    ) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._executor = executor
        self._owners = owners
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._noted_ns = 0
        self._out = context.out

    def on_signal(self, signal: SignalReceived, now_ns: int) -> None:
        """Take a signal once; a repeated one gets its present report again."""
        if self._repeated(signal.signal_id, signal.owner):
            return
        verdict, text = self._owners.judge(signal, now_ns)
        if verdict == "wait":
            self._out.note("warning", "signal_not_taken", signal_id=signal.signal_id, text=text)
            return
        if self._too_many(signal, now_ns):
            return
        parent = self._order_store.open(signal, now_ns, own=False)
        if verdict == "deny":
            self._executor.end(parent, _V.DENY, OWNER_IN_USE, text, now_ns)
            return
        if self._view.reconciling:
            self._order_store.touch(
                parent
            )  # durable and acknowledged; judged when recovery is done
            parent.ends_ns = life_ends_ns(parent, self._config.max_signal_skew_ns)
            self._executor.advance(parent, now_ns)
        else:
            self.admit(parent, now_ns)

    def admit(self, parent: Parent, now_ns: int) -> None:
        """Judge a parent that is GATING, and begin it or say why not."""
        self._order_store.touch(parent)
        parent.ends_ns = FAR
        signal = parent.signal
        withdrawn = self._order_store.remembered.take_withdrawn(signal)
        if withdrawn is not None:
            self._executor.end(parent, _V.CANCEL, "CANCELED_BY_MACRO", withdrawn, now_ns)
            return
        if not parent.own and (refusal := self._unknowable(signal, now_ns)):
            self._executor.end(parent, _V.DENY, *refusal, now_ns)
            return
        if now_ns >= signal.expires_ns + self._config.max_signal_skew_ns:
            late = (now_ns - signal.expires_ns) / 1e6
            text = f"the signal expired {late:.0f} ms before it could be acted on"
            self._executor.end(parent, _V.DENY, RiskCode.INTENT_EXPIRED, text, now_ns)
            return
        if self._executor.stopping:
            self._executor.end(parent, _V.DENY, "SHUTTING_DOWN", "micro is shutting down", now_ns)
            return
        inst = self._inst_states.get((signal.venue, signal.symbol))
        if inst is None:
            known = signal.venue in self._config.venues
            code = RiskCode.SYMBOL_DISALLOWED if known else RiskCode.VENUE_DISALLOWED
            names = ", ".join(":".join(key) for key in self._inst_states) or "none"
            text = f"{signal.venue} {signal.symbol} is not configured; configured: {names}"
            self._executor.end(parent, _V.DENY, code, text, now_ns)
            return
        try:
            set_terms(parent, inst.instrument)
        except BadInput as error:
            self._executor.end(parent, _V.DENY, RiskCode.BAD_NUMBER, str(error), now_ns)
            return
        try:
            parent.algo = choose_algorithm(signal, self._config.algo_defaults)
        except BadInput as error:
            self._executor.end(parent, _V.DENY, "BAD_PARAMETER", str(error), now_ns)
            return
        if parent.target < 1:
            # What rounds down to nothing is no order; the gate judges the minimum of the others.
            ticks = parent.limit_ticks or parent.stop_ticks or inst.mid_half_ticks() // 2
            rules = inst.instrument
            smallest = rules.amount(rules.min_lots_at(ticks, reduce_only=parent.reduce_only))
            text = f"quantity {signal.quantity} {rules.base} is below the minimum {smallest}"
            parent.permitted = 0
            self._executor.end(parent, _V.DENY, RiskCode.BELOW_MIN, text, now_ns)
            return
        if parent.own:
            # What stands in the way of a flattening now will not for long; its orders are judged.
            parent.reducing = True
            parent.step(_V.ADMIT)
            self._executor.begin(parent, inst, now_ns)
            return
        request = admission_request(
            parent,
            post_only=parent.algo.post_only,
            duplicate=self._judged_before(parent),
            now_ns=now_ns,
            reference_mid=self._view.reference_mid(signal.venue, signal.symbol, now_ns),
        )
        stop = signal.kind == "stop"
        judge = self._risk.judge_held if stop else self._risk.judge
        verdict = judge(request, self._view, now_ns)
        if not verdict.ok and (stop or not may_wait(verdict)):
            failed = ", ".join(check.code for check in verdict.checks if not check.ok)
            self._out.note("info", "signal_denied", signal_id=parent.id, checks=failed)
            parent.permitted = verdict.permitted_lots
            self._executor.end(parent, _V.DENY, verdict.code, verdict.reason, now_ns)
            return
        if stop:
            self._hold(parent, inst, now_ns)
            return
        parent.reducing = verdict.reducing
        parent.step(_V.ADMIT)
        self._executor.begin(parent, inst, now_ns)

    def _judged_before(self, parent: Parent) -> bool:
        """A second lock on top of ``on_signal``: what was judged under this name is not again."""
        other = self._order_store.known.get(parent.id)
        return other is not parent or parent.id in self._order_store.remembered.ended

    def _hold(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        parent.step(_V.HOLD)
        self._order_store.hold(parent, inst)
        self._executor.advance(parent, now_ns)

    def on_refused(self, refused: SignalRefused, now_ns: int) -> None:
        """Answer a signal that cannot even be expressed, once and for all repetitions."""
        if self._repeated(refused.signal_id, refused.owner):
            return
        signal = SignalReceived(
            signal_id=refused.signal_id,
            strategy=refused.strategy,
            venue=refused.venue,
            symbol=refused.symbol,
            side=refused.side,
            quantity=Decimal(0),
            kind="order",
            order_type="limit",
            limit_price=None,
            stop_price=None,
            time_in_force="GTC",
            reduce_only=False,
            leverage=Decimal(1),
            algo="",
            params=(),
            confidence=None,
            model_id="",
            tag="",
            candle_ns=0,
            created_ns=now_ns,
            expires_ns=now_ns,
            epoch=0,
            seq=0,
            owner=refused.owner,
        )
        if self._too_many(signal, now_ns):
            return
        parent = self._order_store.open(signal, now_ns, own=False)
        self._executor.end(parent, _V.DENY, refused.code, refused.reason, now_ns)

    def on_cancel(self, cancel: CancelReceived, now_ns: int) -> None:
        """Withdraw the unfilled rest. Before its signal has come, the signal's name is kept."""
        signal_id, reason = cancel.signal_id, cancel.reason
        parent = self._order_store.known.get(signal_id)
        if parent is None:
            ended = self._order_store.remembered.ended.get(signal_id)
            if ended is not None:
                self._tell_ended(signal_id, ended)
                return
            text = (
                "" if cancel.operator else self._owners.second(cancel.owner, cancel.epoch, now_ns)
            )
            if text:
                self._out.note("error", "cancel_refused", signal_id=signal_id, text=text)
                return
            heard = self._owners.heard(cancel.owner)
            self._order_store.remembered.withdraw(cancel, now_ns, heard=heard)
            self._out.note("warning", "cancel_of_unknown_signal", signal_id=signal_id)
        elif (
            parent.terminal
            or parent.verdict is not None
            or (parent.ending is not None and not cancel.operator)
        ):
            self._order_store.repeat(parent)  # it is ending already
        else:
            why_not = self._owners.may_cancel(cancel, parent.signal.owner, now_ns, own=parent.own)
            if why_not:
                self._out.note("error", "cancel_refused", signal_id=signal_id, text=why_not)
                self._order_store.repeat(parent)
                return
            code = "CANCELED_BY_OPERATOR" if cancel.operator else "CANCELED_BY_MACRO"
            self._executor.close(parent, _V.CANCEL, code, reason, now_ns)

    # names

    def _repeated(self, signal_id: str, owner: str) -> bool:
        """Answer a signal whose name is known, with what became of it; False for a new name."""
        parent = self._order_store.known.get(signal_id)
        ended = None if parent is not None else self._order_store.remembered.ended.get(signal_id)
        if parent is None and ended is None:
            return False
        theirs = parent.signal.owner if parent is not None else ended.owner if ended else ""
        if owner and theirs and owner != theirs:
            # An answer under this name would book one's order on the other.
            self._out.note(
                "error", "signal_id_of_another_owner", signal_id=signal_id, owner=owner, of=theirs
            )
        elif parent is not None:
            self._order_store.repeat(parent)
        elif ended is not None:
            self._tell_ended(signal_id, ended)
        return True

    def _tell_ended(self, signal_id: str, ended: Ended) -> None:
        self._out.commands.append(ended.report(signal_id))

    def _too_many(self, signal: SignalReceived, now_ns: int) -> bool:
        """Refuse a new name while too many are remembered that may still act."""
        remembered = self._order_store.remembered
        text = remembered.full(signal.owner, now_ns, heard=self._owners.heard(signal.owner))
        if not text:
            return False
        if remembered.names.may_refuse(signal.owner):
            refused = remembered.refuse(signal, now_ns)
            self._out.commands.append(refused.report(signal.signal_id, text))
        # Beyond that it stays unanswered: a refusal that is not remembered might be taken back.
        if now_ns - self._noted_ns >= SECOND:
            self._noted_ns = now_ns
            self._out.note("error", "signal_not_taken", signal_id=signal.signal_id, text=text)
        return True

    def _unknowable(self, signal: SignalReceived, now_ns: int) -> tuple[str, str] | None:
        """Code and reason for a signal that may have been here and be forgotten, or might be."""
        age_ns = now_ns - signal.created_ns
        if age_ns > ADMISSION_NS:
            text = (
                f"the signal was made {age_ns / HOUR_NS:.1f} h ago, and nothing older than "
                f"{ADMISSION_NS / HOUR_NS:.0f} h is begun"
            )
            return RiskCode.INTENT_EXPIRED, text
        life_ns = signal.expires_ns - signal.created_ns
        if life_ns > LONGEST_LIFE_NS or signal.created_ns > now_ns + ADMISSION_NS:
            days = LONGEST_LIFE_NS // DAY_NS
            text = (
                f"created_ns {signal.created_ns} and expires_ns {signal.expires_ns}: a signal is "
                f"not made in the future, and lives for {days} days at most"
            )
            return RiskCode.BAD_NUMBER, text
        heard = self._owners.heard(signal.owner)
        if self._order_store.remembered.perhaps_withdrawn(signal, heard=heard):
            text = (
                "so many unknown signals were cancelled that not all could be remembered, and this "
                "may be one of them"
            )
            return TOO_MANY_NAMES, text
        return None
