"""Signal intake: signals, invalid signals and cancels become parents, or rejects."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.engine.brackets import Brackets
from citadel_micro.core.engine.owners import OWNER_IN_USE, Owners
from citadel_micro.core.execution.admission import (
    Algorithms,
    admission_request,
    give,
    may_wait,
    set_reach,
    set_terms,
)
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.orders.order_life import life_ends_ns
from citadel_micro.core.orders.order_states import ChildState, ParentEvent
from citadel_micro.core.orders.remembered_ids import (
    ADMISSION_NS,
    LONGEST_LIFE_NS,
    TOO_MANY_NAMES,
    Ended,
)
from citadel_micro.core.risk.checks_market import not_ready
from citadel_micro.core.risk.codes import NEEDS_PRICE
from citadel_micro.core.risk.sizing import Sizing
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import OWN_ID, RESERVED_ID, SIZED, SIZING_UNKNOWN, RiskCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import CancelReceived, OrderFilled, SignalRefused
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.types import Verdict

_V = ParentEvent
HOUR_NS: Final = 3_600 * SECOND
DAY_NS: Final = 24 * HOUR_NS


class SignalIntake:
    """From a signal to the executor. Every signal counts once, in whatever order copies and cancels arrive."""

    def __init__(
        self, context: EngineContext, executor: SmartOrderExecutor, owners: Owners
    ) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._executor = executor
        self._owners = owners
        self._brackets = Brackets(context, executor)
        self._algorithms = Algorithms(context.config.algo_defaults)
        self._order_store = context.order_store
        self._risk = context.risk
        self._sizing = Sizing(context.risk)
        self._view = context.view
        self._noted_ns = 0
        self._out = context.out

    def on_signal(self, signal: SignalReceived, now_ns: int) -> None:
        """Take a signal once; a repeated one gets its present report again."""
        if self._reserved(signal, now_ns):
            return
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
            )  # durable and acknowledged; checked when recovery is done
            parent.ends_ns = life_ends_ns(parent, self._config.max_signal_skew_ns)
            self._executor.advance(parent, now_ns)
        else:
            self.admit(parent, now_ns)

    def admit(self, parent: Parent, now_ns: int) -> None:
        """Check a parent that is GATING, and start it or report why not."""
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
            text = f"{signal.venue} {signal.symbol} is not configured; configured: {self._names()}"
            self._executor.end(parent, _V.DENY, code, text, now_ns)
            return
        try:
            set_terms(parent, inst.instrument)
        except BadInput as error:
            self._executor.end(parent, _V.DENY, RiskCode.BAD_NUMBER, str(error), now_ns)
            return
        try:
            parent.algo = self._algorithms.choose(
                signal, fill_or_kill=self._config.venues[signal.venue].fill_or_kill
            )
            set_reach(parent)
        except BadInput as error:
            self._executor.end(parent, _V.DENY, "BAD_PARAMETER", str(error), now_ns)
            return
        if parent.target < 1:
            # A quantity that rounds down to nothing is no order; the gate checks the others' minimum.
            ticks = parent.limit_ticks or parent.stop_ticks or inst.mid_half_ticks() // 2
            rules = inst.instrument
            smallest = rules.amount(rules.min_lots_at(ticks, reduce_only=parent.reduce_only))
            text = f"quantity {signal.quantity} {rules.base} is below the minimum {smallest}"
            parent.permitted = 0
            self._executor.end(parent, _V.DENY, RiskCode.BELOW_MIN, text, now_ns)
            return
        if parent.own:
            self._begin_own(parent, inst, now_ns)
            return
        self._judge(parent, inst, post_only=parent.algo.post_only, now_ns=now_ns)

    def _judge(
        self, parent: Parent, inst: InstrumentState, *, post_only: bool, now_ns: int
    ) -> None:
        """Size it and show it to the gate; start it, hold it, or report why not."""
        signal = parent.signal
        replaced = self._brackets.replaced_by(parent)
        features = inst.features if self._sizing.method(signal.strategy) else None
        request = admission_request(
            parent,
            post_only=post_only,
            duplicate=self._judged_before(parent),
            now_ns=now_ns,
            reference_mid=self._view.reference_mid(signal.venue, signal.symbol, now_ns),
            sliced=self._config.slice_entries,
            round_exits=self._config.round_exits,
            replaced_lots=sum(each.claims for each in replaced),
            daily_volatility=None if features is None else features.daily_volatility(now_ns),
        )
        size = None
        if signal.kind == "order":
            size = self._sizing.size(request, self._view, now_ns)
        if size is not None and size.lots < parent.target:
            if signal.time_in_force == "FOK":
                size = size._replace(lots=0)
            request = give(parent, request, size)
            self._out.note("info", "entry_sized", signal_id=parent.id, text=parent.sized)
            if not parent.target:
                self._risk.judge(request, self._view, now_ns)  # for who explains it
                code = SIZING_UNKNOWN if size.unknown else SIZED
                self._executor.end(parent, _V.DENY, code, parent.sized, now_ns)
                return
        stop = signal.kind == "stop"
        judge = self._risk.judge_held if stop else self._risk.admit
        verdict = judge(request, self._view, now_ns)
        if not stop:
            self._out.commands.extend(self._risk.on_admission(request, verdict, now_ns))
        if not verdict.ok and (stop or not may_wait(verdict)):
            failed = ", ".join(check.code for check in verdict.checks if not check.ok)
            self._out.note("info", "signal_denied", signal_id=parent.id, checks=failed)
            parent.permitted = verdict.permitted_lots
            self._executor.end(parent, _V.DENY, *_first_reason(verdict, inst), now_ns)
            return
        if stop and (parent.algo is None or not parent.algo.traits.works_held):
            self._hold(parent, inst, now_ns)
            return
        parent.reducing = verdict.reducing
        if parent.exits:
            self._brackets.give_way(parent, replaced, now_ns)
        parent.step(_V.ADMIT)
        self._executor.begin(parent, inst, now_ns)

    def _begin_own(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Obstacles to a flattening, or to the exit of a bracket, are temporary; its orders are checked."""
        parent.reducing = True
        parent.step(_V.ADMIT)
        self._executor.begin(parent, inst, now_ns)

    def protect(self, fills: Iterable[OrderFilled], now_ns: int) -> None:
        """Cover what the entries of brackets have filled, with orders of micro's own."""
        self._admit_own(self._brackets.on_fills(fills, now_ns), now_ns)

    def on_reconciled(self, now_ns: int) -> None:
        """Cover what they had filled before a crash."""
        self._admit_own(self._brackets.on_reconciled(now_ns), now_ns)

    def _admit_own(self, signals: Iterable[SignalReceived], now_ns: int) -> None:
        for signal in signals:
            self.admit(self._order_store.open(signal, now_ns, own=True), now_ns)
            self._brackets.watch(signal.signal_id)

    def _names(self) -> str:
        """What may be traded; of what is on demand, which may be hundreds, the number."""
        its = self._inst_states.items()
        names = [":".join(key) for key, inst in its if not inst.market.on_demand]
        if len(names) < len(self._inst_states):
            names.append(f"and {len(self._inst_states) - len(names)} on demand")
        return ", ".join(names) or "none"

    def _judged_before(self, parent: Parent) -> bool:
        """A second guard after ``on_signal``: an id that was checked is not checked again."""
        other = self._order_store.known.get(parent.id)
        return other is not parent or parent.id in self._order_store.remembered.ended

    def _hold(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        parent.step(_V.HOLD)
        self._order_store.hold(parent, inst)
        self._executor.advance(parent, now_ns)

    def on_refused(self, refused: SignalRefused, now_ns: int) -> None:
        """Answer a signal that cannot even be expressed, once and for all repetitions."""
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
        if self._reserved(signal, now_ns) or self._repeated(refused.signal_id, refused.owner):
            return
        if self._too_many(signal, now_ns):
            return
        parent = self._order_store.open(signal, now_ns, own=False)
        self._executor.end(parent, _V.DENY, refused.code, refused.reason, now_ns)

    def on_cancel(self, cancel: CancelReceived, now_ns: int) -> None:
        """Cancel the unfilled rest. Before its signal has come, the signal's id is kept."""
        signal_id, reason = cancel.signal_id, cancel.reason
        parent = self._order_store.known.get(signal_id)
        if parent is None:
            ended = self._order_store.remembered.ended.get(signal_id)
            if ended is not None:
                self._report_ended(signal_id, ended)
                return
            if signal_id.startswith(OWN_ID):
                # Kept, the name would end micro's own order of that id when it is made.
                self._out.note("warning", "cancel_of_reserved_id", signal_id=signal_id)
                return
            text = (
                "" if cancel.operator else self._owners.second(cancel.owner, cancel.epoch, now_ns)
            )
            if text:
                self._out.note("error", "cancel_refused", signal_id=signal_id, text=text)
                return
            known = self._owners.known(cancel.owner)
            self._order_store.remembered.withdraw(cancel, now_ns, known=known)
            self._out.note("warning", "cancel_of_unknown_signal", signal_id=signal_id)
        elif (
            parent.terminal
            or parent.verdict is not None
            or (parent.ending is not None and not cancel.operator)
        ):
            if cancel.operator:
                self._give_up(parent, reason, now_ns)
            self._order_store.repeat(parent)  # it is ending already
        else:
            why_not = self._owners.may_cancel(cancel, parent.signal.owner, now_ns, own=parent.own)
            if why_not:
                self._out.note("error", "cancel_refused", signal_id=signal_id, text=why_not)
                self._order_store.repeat(parent)
                return
            code = "CANCELED_BY_OPERATOR" if cancel.operator else "CANCELED_BY_MACRO"
            self._executor.close(parent, _V.CANCEL, code, reason, now_ns)

    def _give_up(self, parent: Parent, reason: str, now_ns: int) -> None:
        """A second cancel of the operator's: what is quarantined is gone, as he has seen.

        The parent places nothing any more, so that no more than was asked is filled even where he
        errs.
        """
        for child in [each for each in parent.live if each.state is ChildState.QUARANTINED]:
            self._out.note(
                "warning",
                "child_given_up",
                client_id=child.client_id,
                signal_id=parent.id,
                reserved_lots=child.reserved,
                why=reason,
            )
            self._executor.give_up(parent, child, now_ns)

    # ids

    def _reserved(self, signal: SignalReceived, now_ns: int) -> bool:
        """Refuse an id of micro's own orders, and remember nothing under it.

        The answer is older than any report of micro's order of that id, which it must not hide.
        """
        if not signal.signal_id.startswith(OWN_ID):
            return False
        refused = Ended.refused(signal, RESERVED_ID, now_ns)._replace(revision=0)
        text = (
            f"ids that begin with {OWN_ID} are those of micro's own orders; send it under another"
        )
        self._out.commands.append(refused.report(signal.signal_id, text))
        self._out.note("error", "signal_id_reserved", signal_id=signal.signal_id)
        return True

    def _repeated(self, signal_id: str, owner: str) -> bool:
        """Answer a signal whose id is known, with its state; False for a new id."""
        parent = self._order_store.known.get(signal_id)
        ended = None if parent is not None else self._order_store.remembered.ended.get(signal_id)
        if parent is None and ended is None:
            return False
        theirs = parent.signal.owner if parent is not None else ended.owner if ended else ""
        if owner and theirs and owner != theirs:
            # A report under this id would book one owner's order on the other.
            self._out.note(
                "error", "signal_id_of_another_owner", signal_id=signal_id, owner=owner, of=theirs
            )
        elif parent is not None:
            self._order_store.repeat(parent)
        elif ended is not None:
            self._report_ended(signal_id, ended)
        return True

    def _report_ended(self, signal_id: str, ended: Ended) -> None:
        self._out.commands.append(ended.report(signal_id))

    def _too_many(self, signal: SignalReceived, now_ns: int) -> bool:
        """Reject a new id while too many are remembered that may still act."""
        remembered = self._order_store.remembered
        text = remembered.full(signal.owner, now_ns, known=self._owners.known(signal.owner))
        if not text:
            return False
        if remembered.names.may_refuse(signal.owner):
            refused = remembered.refuse(signal, now_ns)
            self._out.commands.append(refused.report(signal.signal_id, text))
        # Beyond that it stays unanswered: a reject that is not remembered might be reversed.
        if now_ns - self._noted_ns >= SECOND:
            self._noted_ns = now_ns
            self._out.note("error", "signal_not_taken", signal_id=signal.signal_id, text=text)
        return True

    def _unknowable(self, signal: SignalReceived, now_ns: int) -> tuple[str, str] | None:
        """Code and reason for a signal that may have been here and dropped, or could be."""
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
        known = self._owners.known(signal.owner)
        if self._order_store.remembered.perhaps_withdrawn(signal, known=known):
            text = (
                "so many unknown signals were cancelled that not all could be remembered, and this "
                "may be one of them"
            )
            return TOO_MANY_NAMES, text
        return None


def _first_reason(verdict: Verdict, inst: InstrumentState) -> tuple[str, str]:
    """Code and text of a reject; without a price, of a book on demand, the price is what is missing."""
    market = inst.market
    if market.on_demand and market.state == "SYNCING" and verdict.code in NEEDS_PRICE:
        return RiskCode.BOOK_NOT_LIVE, not_ready(market)
    return verdict.code, verdict.reason
