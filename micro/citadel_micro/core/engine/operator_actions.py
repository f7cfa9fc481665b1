"""Effects of operator commands, breakers and lost leases on working orders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from citadel_micro.core.engine.flatten import Flattener
from citadel_micro.core.model.commands import Stopped
from citadel_micro.core.model.events import OperatorCommand
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.core.risk.leases import COMMAND_LINE
from citadel_micro.core.risk.scopes import known_scope
from citadel_micro.core.risk.types import LeaseAction
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.engine.signal_intake import SignalIntake
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.orders.orders import Parent

_WITHDRAWN: Final = ("REDUCING", "HALTED", "KILLED")
"""States under which orders are canceled; under any other it was for their macro's silence."""


class OperatorActions:
    """Executes operator commands, and enforces the gate's decisions on working orders."""

    def __init__(
        self, context: EngineContext, executor: SmartOrderExecutor, intake: SignalIntake
    ) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._executor = executor
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._seen: tuple[int, LeaseAction, object] = (-1, LeaseAction.NONE, None)
        self._silent: frozenset[tuple[str, int]] = frozenset()
        self._dead_since_ns = 0
        """The last heartbeat of any sender, when positions were flattened because of its age."""
        self._flattener = Flattener(context, executor, intake)
        self._names = {
            key: inst.instrument.venue_symbol for key, inst in context.inst_states.items()
        }
        self._stop_by_ns = FAR
        self._stopped = False

    def on_operator(self, command: OperatorCommand, now_ns: int) -> None:
        """Execute one command. One that cannot be executed becomes an error note and changes nothing."""
        self._out.note(
            "warning",
            "operator",
            action=command.action,
            scope=command.scope or GLOBAL,
            trip_id=command.trip_id,
            reason=command.reason,
        )
        try:
            scope = known_scope(command.scope, self._names, self._strategies())
        except BadInput as error:
            self._out.note(
                "error", "operator_command_refused", action=command.action, error=str(error)
            )
            return
        if command.action == "shutdown":
            self._shutdown(command.reason, now_ns)
        elif command.action in ("cancel_all", "flatten"):
            if command.action == "flatten" and scope.startswith("strategy:"):
                text = "positions belong to a venue and symbol, not to a strategy"
                self._out.note("error", "operator_command_refused", error=text)
                return
            self._flattener.drop(scope, command.action, now_ns)
            if command.pause and self._flattener.possible(scope, command):
                pause = replace(command, action="pause", reason=f"flatten: {command.reason}")
                self._out.commands.extend(self._risk.on_operator(pause, now_ns))
                self.enforce(now_ns)
            self._cancel_all(scope, command, now_ns)
            if command.action == "flatten":
                self._flattener.begin(scope, command, now_ns)
        else:
            if command.action in ("halt", "kill"):
                self._flattener.drop(command.scope or GLOBAL, command.action, now_ns)
            self._out.commands.extend(self._risk.on_operator(command, now_ns))
            self.enforce(now_ns)

    def watch_owners(self, now_ns: int) -> None:
        """Find the owners whose macro is silent for longer than the hard lease."""
        limits, leases = self._risk.limits, self._view.leases
        required = limits.lease_required
        owners = {
            (parent.signal.owner, parent.signal.epoch): None
            for parent in self._executor.order_store.active.values()
            if required or parent.signal.strategy != COMMAND_LINE
        }
        self._silent = frozenset(
            each
            for each in owners
            if leases.expired(*each, now_ns, limits.lease_hard_ns, required=required)
        )
        beat_ns = leases.last_beat_ns
        if (
            limits.lease_dead_action == "flatten"
            and beat_ns is not None
            and now_ns - beat_ns > limits.lease_dead_ns
            and beat_ns != self._dead_since_ns
        ):
            self._dead_since_ns = beat_ns
            text = f"no macro was heard for {limits.lease_dead_ns / 1e9:g} s"
            self._out.note("error", "flatten_for_silence", reason=text)
            command = OperatorCommand(action="flatten", scope=GLOBAL, trip_id="", reason=text)
            self._flattener.begin(GLOBAL, command, now_ns)

    def enforce(self, now_ns: int) -> None:
        """Cancel what the breakers or the lease no longer permit. Cheap when nothing changed."""
        now_is = (self._risk.risk_epoch, self._risk.lease_action, self._silent)
        if now_is == self._seen:
            return
        self._seen = now_is
        for parent in tuple(self._executor.order_store.active.values()):
            signal = parent.signal
            if parent.terminal or parent.state in (ParentState.GATING, ParentState.HELD):
                continue
            unwatched = not parent.own and (signal.owner, signal.epoch) in self._silent
            if not self._executor.forbidden(parent, unwatched=unwatched):
                continue
            code, reason = self._why(parent)
            if signal.kind == "stop":
                # Its protection must outlive the halt: only its live orders are canceled.
                self._executor.withdraw(parent, now_ns)
            elif parent.verdict is None:
                self._executor.close(parent, ParentEvent.CANCEL, code, reason, now_ns)

    def restore(self, state: dict[str, object]) -> None:
        """Continue what the last run had started."""
        self._flattener.restore(state)

    def on_tick(self, now_ns: int) -> None:
        """Continue a flattening or a shutdown."""
        self._flattener.on_tick(now_ns)
        if self._stop_by_ns != FAR and not self._stopped:
            active = self._executor.order_store.active.values()
            live = sum(len(parent.live) for parent in active)
            if live == 0 or now_ns >= self._stop_by_ns:
                self._stopped = True
                self._out.commands.append(Stopped(clean=live == 0))

    @property
    def pending(self) -> bool:
        """Whether ``on_tick`` has something to wait for."""
        return self._flattener.pending or (self._stop_by_ns != FAR and not self._stopped)

    # inside

    def _strategies(self) -> list[str]:
        """All known ones: from heartbeats, orders and trips."""
        known = self._executor.order_store.known.values()
        scopes = (trip.scope.partition(":") for trip in self._risk.breakers.trips)
        return [
            *self._view.leases.strategies,
            *(parent.signal.strategy for parent in known),
            *(name for kind, _, name in scopes if kind == "strategy"),
        ]

    def _why(self, parent: Parent) -> tuple[str, str]:
        """Code and reason why the gate wants this parent canceled."""
        signal = parent.signal
        of = (signal.venue, signal.symbol, signal.strategy)
        state = self._risk.effective_state(*of)
        for trip in self._risk.breakers.trips:
            if state in _WITHDRAWN and trip.state == state and trip.covers(*of):
                if trip.code == RiskCode.LEASE_LOST:
                    return RiskCode.MACRO_LEASE_LOST, trip.reason
                code = RiskCode.REDUCE_ONLY if state == "REDUCING" else RiskCode(state)
                return code, f"{trip.code} ({trip.trip_id}): {trip.reason}"
        return RiskCode.MACRO_LEASE_LOST, "its macro has fallen silent"

    def _shutdown(self, reason: str, now_ns: int) -> None:
        """Cancel the live orders. Stops stay: they are stored, and the next run holds them."""
        self._executor.stopping = True
        if self._stop_by_ns == FAR:
            self._stop_by_ns = now_ns + self._config.shutdown_ns
        for parent in tuple(self._executor.order_store.active.values()):
            if parent.terminal or parent.state in (ParentState.GATING, ParentState.HELD):
                continue
            if parent.signal.kind == "stop":
                self._executor.advance(parent, now_ns)
            elif parent.verdict is None:
                self._executor.close(
                    parent, ParentEvent.CANCEL, "SHUTDOWN", reason or "micro shuts down", now_ns
                )

    def _cancel_all(self, scope: str, command: OperatorCommand, now_ns: int) -> None:
        for parent in tuple(self._executor.order_store.active.values()):
            if parent.terminal or parent.verdict is not None or not _covers(scope, parent):
                continue
            if parent.state is ParentState.HELD:
                continue
            if parent.signal.kind == "stop" and command.action == "flatten":
                # It waits, and continues if the flattening ends early.
                self._executor.withdraw(parent, now_ns)
            else:
                self._executor.close(
                    parent, ParentEvent.CANCEL, "CANCELED_BY_OPERATOR", command.reason, now_ns
                )


def _covers(scope: str, parent: Parent) -> bool:
    signal = parent.signal
    return scope in (
        GLOBAL,
        f"venue:{signal.venue}",
        f"symbol:{signal.venue}:{signal.symbol}",
        f"strategy:{signal.strategy}",
    )
