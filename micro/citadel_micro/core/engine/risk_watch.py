"""What the gate watches between orders: losses, fills, acknowledgments, and what a trip takes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.model.risk_limits import UNUSED

if TYPE_CHECKING:
    from citadel_micro.core.engine.book_monitor import BookMonitor
    from citadel_micro.core.engine.operator_actions import OperatorActions
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import OrderAccepted


class RiskWatch:
    """Tells the gate what has happened, and carries out what follows for orders."""

    def __init__(
        self,
        context: EngineContext,
        executor: SmartOrderExecutor,
        book_monitor: BookMonitor,
        operations: OperatorActions,
    ) -> None:
        self._inst_states = context.inst_states
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._executor = executor
        self._book_monitor = book_monitor
        self._operations = operations
        self._portfolio = context.view.portfolio
        self._epoch = self._risk.risk_epoch
        self._unvalued: tuple[str, ...] = ()
        self._anchors = self._portfolio.curve.anchors

    def begin(self) -> None:
        """The durable state was restored."""
        self._anchors = self._portfolio.curve.anchors

    @property
    def quiet(self) -> bool:
        """Whether ``on_beat`` does nothing but take marks, as long as the only book is LIVE.

        Without a position ever, losses stay 0 whatever the marks are.
        """
        limits = self._risk.limits
        return not (
            self._risk.breakers.trips
            or limits.flash_move_bps < UNUSED
            or limits.lease_required
            or self._view.leases.last_beat_ns is not None
            or self._view.reconciling
            or self._portfolio.traded
        )

    def on_beat(self, now_ns: int) -> None:
        """Once a second: losses, leases, feeds, and what their breakers forbid."""
        for inst in self._inst_states.values():
            self._book_monitor.mark(inst, now_ns)
        self._out.commands.extend(self._risk.on_tick(self._view, now_ns))
        unvalued = self._portfolio.unvalued_fees
        if unvalued != self._unvalued:
            self._unvalued = unvalued
            self._out.note(
                "warning", "fees_not_in_losses", currencies=", ".join(unvalued) or "none"
            )
        anchors = self._portfolio.curve.anchors
        if anchors != self._anchors:
            # A peak or a midnight known to this process only would be lost in a crash.
            self._anchors = anchors
            self._order_store.holdings_changed()
        self._operations.watch_owners(now_ns)
        self._operations.enforce(now_ns)

    def on_accepted(self, event: OrderAccepted, now_ns: int) -> None:
        """Before the report is handled: how long the venue took to acknowledge a new order."""
        _, child = self._order_store.children[event.client_id]
        if child.acknowledged:
            return
        took_ns = now_ns - child.placed_ns
        cause = self._risk.conduct.acknowledged(event.venue, took_ns, self._risk.limits)
        if cause is not None:
            self._out.commands.extend(self._risk.trip_for(cause, now_ns))

    def after_fills(self, now_ns: int) -> None:
        """Losses are checked at once when a fill may have made one."""
        for fill in self._order_store.fills:
            key = (fill.venue, fill.symbol)
            inst = self._inst_states[key]
            self._book_monitor.mark(inst, now_ns)
            position = self._portfolio.position(*key)
            known = self._order_store.children.get(fill.client_id)
            if position is None or known is None:
                continue
            signal, rules = known[0].signal, inst.instrument
            _, change = traded(rules, fill)
            cause = self._risk.on_fill(
                key,
                change if signal.side == "buy" else -change,
                position,
                dust=rules.lot * max(1, rules.min_lots),
                whose=(signal.strategy, signal.owner),
            )
            if cause is not None:
                self._out.commands.extend(self._risk.trip_for(cause, now_ns))
        self._out.commands.extend(self._risk.on_tick(self._view, now_ns))

    def take_back(self, now_ns: int) -> None:
        """Orders approved in this call before something in it tripped are not sent."""
        if self._risk.risk_epoch == self._epoch:
            return
        self._epoch = self._risk.risk_epoch
        out, valid = self._out, self._risk.still_valid
        void = [each for each in out.commands if type(each) is Approved and not valid(each)]
        if void:
            out.commands = [each for each in out.commands if not any(each is one for one in void)]
        for approved in void:
            self._executor.on_report(not_sent(approved.order), now_ns)
