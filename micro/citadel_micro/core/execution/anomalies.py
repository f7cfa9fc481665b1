"""When a venue breaks its own rules: the order ends, the symbol is halted, a person looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_micro.core.risk.circuit_breakers import symbol_scope, venue_scope
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.parent_actions import ParentActions
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.orders import Parent


class Anomalies:
    """Checks what a report has made of a parent."""

    def __init__(self, context: EngineContext, executor: ParentActions) -> None:
        self._executor = executor
        self._risk = context.risk
        self._out = context.out

    def found(self, parent: Parent, child: Child, lie: str, now_ns: int) -> bool:
        """End a parent that is or may be overfilled, or about which the venue has made a false report.

        ``lie``: the impossible statement, empty for none. True where it was an anomaly.
        """
        known = parent.outcome is ParentState.ANOMALY
        if parent.overfilled and not known:
            over = parent.filled + parent.reserved - parent.target
            code, text = RiskCode.OVERFILL, f"{over} lots beyond the target of {parent.target}"
        elif lie:
            code, text = RiskCode.VENUE_ANOMALY, lie
        else:
            return False
        text = f"{child.client_id}: {text}"
        self.freeze(parent.signal.venue, parent.signal.symbol, code, text, now_ns)
        if not known:
            self._executor.end(parent, ParentEvent.ANOMALY, code, text, now_ns)
        return True

    def freeze(self, venue: str, symbol: str, code: RiskCode, text: str, now_ns: int) -> None:
        """Halt a symbol, or the venue where none is named, until a person has looked."""
        scope = symbol_scope(venue, symbol) if symbol else venue_scope(venue)
        self._out.note("error", "anomaly", venue=venue, symbol=symbol, text=text)
        self._out.commands.extend(self._risk.trip(code, scope, text, now_ns))
