"""What an order adapter is to the rest of the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from citadel_micro.core.model.approval import Approved
    from citadel_micro.core.model.commands import (
        AmendOrder,
        CancelOrder,
        PlaceOrder,
        QueryOrder,
        QueryVenue,
    )

    VenueCommand = (
        Approved[PlaceOrder] | Approved[AmendOrder] | CancelOrder | QueryOrder | QueryVenue
    )


class VenueAdapter(Protocol):
    """Sends orders to one venue and feeds its reports back into the runner.

    New and amended orders are taken only as approvals, each of which the adapter has opened by the
    gate of the engine that it works for (``RiskManager.open``), right before it sends. Reports
    come later, through ``Runner.post``, never from inside ``submit``.
    """

    @property
    def venue(self) -> str:
        """Venue id, as in ``PlaceOrder.venue``."""

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        """Send a command. Every Persist of its ``handle`` call is durable by now."""

    def start(self) -> None:
        """Begin to deliver reports."""

    def close(self) -> None:
        """Deliver nothing more, and write down what must survive."""
