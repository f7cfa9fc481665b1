"""What a person, a breaker or a lost lease does to orders that are under way."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.breakers import GLOBAL, check_scope
from citadel_micro.core.commands import Stopped
from citadel_micro.core.events import SignalReceived
from citadel_micro.core.lifecycle import ParentEvent, ParentState
from citadel_micro.core.risk_types import LeaseAction
from citadel_micro.core.times import FAR
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.desk import Desk
    from citadel_micro.core.events import OperatorCommand, Side
    from citadel_micro.core.executor import SmartOrderExecutor
    from citadel_micro.core.intake import Intake
    from citadel_micro.core.orders import Parent
    from citadel_micro.core.parts import Parts

OWN_STRATEGY: Final = "citadel"
FLATTEN_WAIT_NS: Final = 10_000_000_000
"""Longest wait for the withdrawal of other orders before a flattening."""
FLATTEN_MS: Final = 60_000


class Operations:
    """Carries out operator commands, and enforces what the gate says about working orders."""

    def __init__(self, parts: Parts, executor: SmartOrderExecutor, intake: Intake) -> None:
        self._config = parts.config
        self._desks = parts.desks
        self._executor = executor
        self._intake = intake
        self._risk = parts.risk
        self._view = parts.view
        self._out = parts.out
        self._seen: tuple[int, LeaseAction, object] = (-1, LeaseAction.NONE, None)
        self._silent: frozenset[tuple[str, int]] = frozenset()
        self._flattening: dict[tuple[str, str], int] = {}
        self._stop_by_ns = FAR
        self._stopped = False

    def on_operator(self, command: OperatorCommand, now_ns: int) -> None:
        """Carry out one command. One that cannot be becomes an error note and changes nothing."""
        self._out.note(
            "warning",
            "operator",
            action=command.action,
            scope=command.scope or GLOBAL,
            trip_id=command.trip_id,
            reason=command.reason,
        )
        if command.action == "shutdown":
            self._shutdown(command.reason, now_ns)
        elif command.action in ("cancel_all", "flatten"):
            try:
                scope = check_scope(command.scope)
            except BadInput as error:
                self._out.note("error", "operator_command_refused", error=str(error))
                return
            self._cancel_all(scope, command.reason, now_ns)
            if command.action == "flatten":
                self._flatten(scope, now_ns)
        else:
            self._out.commands.extend(self._risk.on_operator(command, now_ns))
            self.enforce(now_ns)

    def watch_owners(self, now_ns: int) -> None:
        """Find out whose macro is silent for longer than the hard lease, whoever else is heard."""
        if not self._risk.limits.lease_required:
            return
        owners = {
            (parent.signal.owner, parent.signal.epoch): None
            for parent in self._executor.register.active.values()
        }
        hard_ns = self._risk.limits.lease_hard_ns
        ages = {each: self._view.owner_age_ns(*each, now_ns) for each in owners}
        self._silent = frozenset(each for each, age in ages.items() if age is None or age > hard_ns)

    def enforce(self, now_ns: int) -> None:
        """Cancel what the breakers or the lease no longer permit. Cheap when nothing changed."""
        now_is = (self._risk.risk_epoch, self._risk.lease_action, self._silent)
        if now_is == self._seen:
            return
        self._seen = now_is
        for parent in tuple(self._executor.register.active.values()):
            signal = parent.signal
            if parent.terminal or parent.state in (ParentState.GATING, ParentState.HELD):
                continue
            exits = parent.exits
            if not self._risk.must_cancel(
                signal.venue,
                signal.symbol,
                signal.strategy,
                exit_order=exits,
                unwatched=not parent.own and (signal.owner, signal.epoch) in self._silent,
            ):
                continue
            code, reason = self._why(parent)
            if signal.kind == "stop":
                # Its protection must outlive the halt: only what is out is withdrawn.
                for child in parent.live:
                    self._executor.sender.cancel(parent, child, now_ns)
                self._executor.register.touch(parent)
            elif parent.verdict is None:
                self._executor.close(parent, ParentEvent.CANCEL, code, reason, now_ns)

    def on_tick(self, now_ns: int) -> None:
        """Go on with a flattening or a shutdown."""
        for key, by_ns in tuple(self._flattening.items()):
            desk = self._desks[key]
            if not any(parent.pending for parent in desk.parents) or now_ns >= by_ns:
                del self._flattening[key]
                self._flatten_one(desk, now_ns)
        if self._stop_by_ns != FAR and not self._stopped:
            active = self._executor.register.active.values()
            live = sum(len(parent.live) for parent in active)
            if live == 0 or now_ns >= self._stop_by_ns:
                self._stopped = True
                self._out.commands.append(Stopped(clean=live == 0))

    @property
    def pending(self) -> bool:
        """Whether ``on_tick`` has something to wait for."""
        return bool(self._flattening) or (self._stop_by_ns != FAR and not self._stopped)

    # inside

    def _why(self, parent: Parent) -> tuple[str, str]:
        """Code and reason of the gate's wish that this parent be cancelled."""
        signal = parent.signal
        of = (signal.venue, signal.symbol, signal.strategy)
        state = self._risk.effective_state(*of)
        for trip in self._risk.breakers.trips:
            if trip.state == state and trip.covers(*of):
                if trip.code == "LEASE_LOST":
                    return "MACRO_LEASE_LOST", trip.reason
                code = "REDUCE_ONLY" if state == "REDUCING" else state
                return code, f"{trip.code} ({trip.trip_id}): {trip.reason}"
        return "MACRO_LEASE_LOST", "its macro has fallen silent"

    def _shutdown(self, reason: str, now_ns: int) -> None:
        """Withdraw what is out. Stops stay: they are stored, and the next run holds them."""
        self._executor.stopping = True
        if self._stop_by_ns == FAR:
            self._stop_by_ns = now_ns + self._config.shutdown_ns
        for parent in tuple(self._executor.register.active.values()):
            if parent.terminal or parent.state in (ParentState.GATING, ParentState.HELD):
                continue
            if parent.signal.kind == "stop":
                self._executor.advance(parent, now_ns)
            elif parent.verdict is None:
                self._executor.close(
                    parent, ParentEvent.CANCEL, "SHUTDOWN", reason or "micro shuts down", now_ns
                )

    def _cancel_all(self, scope: str, reason: str, now_ns: int) -> None:
        for parent in tuple(self._executor.register.active.values()):
            if parent.terminal or parent.verdict is not None or not _covers(scope, parent):
                continue
            if parent.state is not ParentState.HELD:
                self._executor.close(
                    parent, ParentEvent.CANCEL, "CANCELED_BY_OPERATOR", reason, now_ns
                )

    def _flatten(self, scope: str, now_ns: int) -> None:
        kind, _, rest = scope.partition(":")
        if kind == "strategy":
            text = "positions belong to a venue and symbol, not to a strategy"
            self._out.note("error", "operator_command_refused", error=text)
            return
        for key in self._desks:
            chosen = kind == GLOBAL or rest in (key[0], ":".join(key))
            if chosen and self._view.portfolio.quantity(*key):
                self._flattening[key] = now_ns + FLATTEN_WAIT_NS
        self.on_tick(now_ns)

    def _flatten_one(self, desk: Desk, now_ns: int) -> None:
        venue, symbol = desk.key
        held = self._view.portfolio.quantity(venue, symbol)
        lots = int(abs(held) // desk.instrument.lot)
        if lots == 0:
            return
        side: Side = "sell" if held > 0 else "buy"
        register = self._executor.register
        signal = SignalReceived(
            signal_id=f"own-{self._config.run_id}-{register.count + 1}",
            strategy=OWN_STRATEGY,
            venue=venue,
            symbol=symbol,
            side=side,
            quantity=desk.instrument.amount(lots),
            kind="order",
            order_type="market",
            limit_price=None,
            stop_price=None,
            time_in_force="GTC",
            reduce_only=True,
            leverage=Decimal(1),
            algo="marketable_limit",
            params=(
                ("max_cross_bps", self._config.flatten_cross_bps),
                ("time_limit_ms", FLATTEN_MS),
            ),
            confidence=None,
            model_id="",
            tag="flatten",
            candle_ns=0,
            created_ns=now_ns,
            expires_ns=now_ns + FLATTEN_MS * 1_000_000,
            epoch=0,
            seq=0,
        )
        self._intake.admit(register.open(signal, now_ns, own=True), now_ns)


def _covers(scope: str, parent: Parent) -> bool:
    signal = parent.signal
    return scope in (
        GLOBAL,
        f"venue:{signal.venue}",
        f"symbol:{signal.venue}:{signal.symbol}",
        f"strategy:{signal.strategy}",
    )
