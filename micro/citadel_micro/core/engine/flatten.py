"""Flattening: long positions are sold, short ones bought back, until nothing is left.

Started by the operator and durable, so it continues after a restart. It waits for its own order
only: that one has priority over all others of its side, is worked in slices, and reports
what it waits for. It ends when the position is flat, or too small for an order, or early: by another
operator command, or by a halt that it was not requested to pass. What orders that came after it add to a
position is not its to close: entries are paused, and who resets that before it has ended goes on trading.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.core.algos import FOR_MARKET
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_proto.reason_codes import OWN_ID

if TYPE_CHECKING:
    from citadel_micro.core.engine.signal_intake import SignalIntake
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.command_buffer import Level
    from citadel_micro.core.model.events import OperatorCommand, Side
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

OWN_STRATEGY: Final = "citadel"
FLATTEN_KEY: Final = "flatten/"
TAG: Final = "flatten"
RETRY_NS: Final = SECOND
"""Between two orders of one flattening, each of which works until it is filled or canceled."""
ADMISSION_NS: Final = 60 * SECOND
_ZERO: Final = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Flattening:
    """One active flattening."""

    reason: str
    through_halt: bool
    since: int = -1
    """Orders of a higher number came after it; -1 where their fills are not told apart."""
    signal_id: str = ""
    """Its current order, or its last one."""
    next_ns: int = 0
    reported: str = ""
    """The last reported code of what it waits for."""


class Flattener:
    """All flattenings, by (venue, symbol)."""

    def __init__(
        self, context: EngineContext, executor: SmartOrderExecutor, intake: SignalIntake
    ) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._executor = executor
        self._intake = intake
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._tasks: dict[tuple[str, str], Flattening] = {}
        self._done = {ParentState.DONE_DUST}
        """Of its last order: what is left may be too small for another."""
        if context.config.flatten_ends_small:
            self._done.add(ParentState.FILLED)

    @property
    def pending(self) -> bool:
        """Whether ``on_tick`` has something to do."""
        return bool(self._tasks)

    def possible(self, scope: str, command: OperatorCommand) -> bool:
        """Whether a command would not be refused for everything in its scope."""
        through = command.through_halt
        keys = [key for key in self._inst_states if covers(scope, *key)]
        return not all(self._blocked(key, through_halt=through) for key in keys)

    def begin(self, scope: str, command: OperatorCommand, now_ns: int) -> None:
        """Flatten every position of a scope, and what its orders in flight may still fill."""
        for position in self._view.portfolio.positions():
            key = (position.venue, position.symbol)
            if position.quantity and key not in self._inst_states and covers(scope, *key):
                text = f"{position.quantity} of {' '.join(key)} is held, which is not configured"
                self._refuse(f"{text}; add the symbol to the configuration and restart micro")
        for key, inst in self._inst_states.items():
            if not covers(scope, *key):
                continue
            if not self._view.portfolio.quantity(*key) and not any(p.pending for p in inst.parents):
                continue
            blocked = self._blocked(key, through_halt=command.through_halt)
            if blocked:
                self._refuse(blocked)
                continue
            self._tasks[key] = Flattening(
                reason=command.reason,
                through_halt=command.through_halt,
                since=self._order_store.count if self._config.flatten_spares_later else -1,
            )
            self._store(key)
        self.on_tick(now_ns)

    def drop(self, scope: str, action: str, now_ns: int) -> None:
        """The operator has given another command."""
        why = f"the operator has given the order {action}"
        for key, task in tuple(self._tasks.items()):
            if not covers(scope, *key) and scope != f"strategy:{OWN_STRATEGY}":
                continue
            self._end(key, "flatten_stopped", "warning", why=why)
            parent = self._order_store.known.get(task.signal_id)
            if parent is not None and not parent.terminal and parent.verdict is None:
                end = ParentEvent.CANCEL
                self._executor.close(parent, end, "CANCELED_BY_OPERATOR", why, now_ns)

    def restore(self, state: dict[str, object]) -> None:
        """Continue the last run's flattenings."""
        for name, value in state.items():
            if not name.startswith(FLATTEN_KEY):
                continue
            row = dict(cast("dict[str, Any]", value))
            key = (row.pop("venue"), row.pop("symbol"))
            self._tasks[key] = Flattening(**row)
            if key in self._inst_states:
                self._out.note("warning", "flatten_goes_on", venue=key[0], symbol=key[1])
            else:
                why = "it is no longer configured; add it and flatten again"
                self._end(key, "flatten_stopped", "error", why=why)

    def on_tick(self, now_ns: int) -> None:
        """Continue each of them."""
        if self._view.reconciling or self._executor.stopping:
            return
        for key in tuple(self._tasks):
            self._go_on(key, self._tasks[key], self._inst_states[key], now_ns)

    # inside

    def _go_on(
        self, key: tuple[str, str], task: Flattening, inst: InstrumentState, now_ns: int
    ) -> None:
        blocked = self._blocked(key, through_halt=task.through_halt)
        if blocked:
            self._end(key, "flatten_stopped", "error", why=blocked)
            return
        parent = self._order_store.known.get(task.signal_id)
        if parent is not None and not parent.closed:
            self._report(key, task, parent)
            return
        held = self._view.portfolio.quantity(*key)
        held -= self._added_later(task, inst, held)
        lots = int(abs(held) // inst.instrument.lot)
        done = parent is not None and parent.state in self._done
        if lots == 0 or (done and not _placeable(inst, lots)):
            coming = any(p.pending for p in inst.parents if p.terminal or p.verdict is not None)
            if not coming:
                level: Level = "warning" if held else "info"
                self._end(key, "flattened", level, rest=str(held), why=task.reason)
            return
        if parent is not None and parent.state is ParentState.ANOMALY:
            self._end(key, "flatten_stopped", "error", why=parent.reason)
        elif now_ns >= task.next_ns:
            self._order(key, task, held, lots, now_ns)

    def _added_later(self, task: Flattening, inst: InstrumentState, held: Decimal) -> Decimal:
        """The part of a position that orders after the flattening have opened, signed as the position."""
        if task.since < 0 or not held:
            return _ZERO
        lots, key = 0, inst.key
        for parent in reversed(self._order_store.known.values()):
            if parent.number <= task.since:
                break
            signal = parent.signal
            flattens = parent.own and signal.tag == TAG
            if (signal.venue, signal.symbol) == key and not flattens:
                lots += parent.sign * (parent.filled - parent.unbooked)
        sign = 1 if held > 0 else -1
        rules, opened = inst.instrument, max(sign * lots, 0)
        exact = self._config.flatten_counts_contracts
        added = rules.quantity(opened) if exact else rules.amount(opened)
        return sign * min(added, abs(held))

    def _blocked(self, key: tuple[str, str], *, through_halt: bool) -> str:
        """Why it cannot continue, with how to fix it; empty when it can."""
        of = (*key, OWN_STRATEGY)
        state = self._risk.effective_state(*of)
        if state != "KILLED" and (state != "HALTED" or through_halt):
            return ""
        for trip in self._risk.breakers.trips:
            if trip.state == state and trip.covers(*of):
                text = f"{' '.join(key)} is {state} ({trip.trip_id} {trip.code}: {trip.reason})"
                if state == "KILLED":
                    return f"{text}; nothing passes that: reset {trip.trip_id}, then flatten"
                return f"{text}; reset {trip.trip_id}, or flatten with --through-halt"
        return f"{' '.join(key)} is {state}"

    def _report(self, key: tuple[str, str], task: Flattening, parent: Parent) -> None:
        code = parent.reason_code if parent.state is ParentState.PAUSED else ""
        if code != task.reported:
            task.reported = code
            if code:
                names = {"venue": key[0], "symbol": key[1], "signal_id": parent.id}
                self._out.note("warning", "flatten_waits", code=code, why=parent.reason, **names)

    def _refuse(self, error: str) -> None:
        self._out.note("error", "operator_command_refused", error=error)

    def _end(
        self,
        key: tuple[str, str],
        event: str,
        level: Level,
        **fields: str,
    ) -> None:
        del self._tasks[key]
        self._out.durable[_name(key)] = None
        self._out.note(level, event, venue=key[0], symbol=key[1], **fields)

    def _store(self, key: tuple[str, str]) -> None:
        task = self._tasks[key]
        row: dict[str, object] = {
            "venue": key[0],
            "symbol": key[1],
            "reason": task.reason,
            "through_halt": task.through_halt,
            "signal_id": task.signal_id,
        }
        self._out.durable[_name(key)] = row if task.since < 0 else row | {"since": task.since}

    def _order(
        self, key: tuple[str, str], task: Flattening, held: Decimal, lots: int, now_ns: int
    ) -> None:
        order_store = self._order_store
        venue, symbol = key
        side: Side = "sell" if held > 0 else "buy"
        signal = SignalReceived(
            signal_id=f"{OWN_ID}{self._config.run_id}-{order_store.count + 1}",
            strategy=OWN_STRATEGY,
            venue=venue,
            symbol=symbol,
            side=side,
            quantity=self._inst_states[key].instrument.amount(lots),
            kind="order",
            order_type="market",
            limit_price=None,
            stop_price=None,
            time_in_force="GTC",
            reduce_only=True,
            leverage=Decimal(1),
            algo=FOR_MARKET,
            params=(("max_cross_bps", self._config.flatten_cross_bps), ("time_limit_ms", 0)),
            confidence=None,
            model_id="",
            tag=TAG,
            candle_ns=0,
            created_ns=now_ns,
            expires_ns=now_ns + ADMISSION_NS,
            epoch=0,
            seq=0,
        )
        parent = order_store.open(signal, now_ns, own=True)
        parent.through_halt = task.through_halt
        task.signal_id, task.next_ns = parent.id, now_ns + RETRY_NS
        self._store(key)
        self._intake.admit(parent, now_ns)
        self._report(key, task, parent)


def covers(scope: str, venue: str, symbol: str) -> bool:
    """Whether a scope contains this instrument."""
    return scope in (GLOBAL, f"venue:{venue}", f"symbol:{venue}:{symbol}")


def _name(key: tuple[str, str]) -> str:
    return FLATTEN_KEY + ":".join(key)


def _placeable(inst: InstrumentState, lots: int) -> bool:
    touch = inst.touch_ticks()
    return touch is not None and lots >= inst.instrument.min_lots_at(touch[0], reduce_only=True)
