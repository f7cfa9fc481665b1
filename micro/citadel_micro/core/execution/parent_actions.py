"""The executor's actions on a parent, as its own parts use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from citadel_micro.core.execution.order_sender import OrderSender
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.order_states import ParentEvent
    from citadel_micro.core.orders.order_store import OrderStore
    from citadel_micro.core.orders.orders import Parent


class ParentActions(Protocol):
    """See ``SmartOrderExecutor``, which is one."""

    order_store: OrderStore
    sender: OrderSender
    stopping: bool

    def begin(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Start the working time of a parent that is READY."""

    def advance(self, parent: Parent, now_ns: int) -> None:
        """Do what is due for a parent."""

    def withdraw(self, parent: Parent, now_ns: int) -> None:
        """Cancel its live orders."""

    def close(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        """Place nothing more; end it once all its live orders are confirmed closed."""

    def end(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        """End it now: nothing of it may be live, except for an anomaly."""
