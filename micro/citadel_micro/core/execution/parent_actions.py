"""What can be done with a parent: the executor, as its own parts are given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    @property
    def venue_down(self) -> Mapping[str, str]:
        """Venues whose order connection is down, with the reason."""

    def begin(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        """Start the working time of a parent that is READY."""

    def advance(self, parent: Parent, now_ns: int) -> None:
        """Do what is due for a parent."""

    def withdraw(self, parent: Parent, now_ns: int) -> None:
        """Cancel what is out."""

    def close(self, parent: Parent, end: ParentEvent, code: str, reason: str, now_ns: int) -> None:
        """Place nothing more; end it once everything that is out is proven over."""
