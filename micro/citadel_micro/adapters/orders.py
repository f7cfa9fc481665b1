"""The makers of order adapters, by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.order_adapter import OrderAdapters

MODES: Final = ("paper", "live")


def check_venues(config: MicroConfig, orders: OrderAdapters) -> None:
    """Refuse what no order could be sent to, before anything is asked.

    Raises:
        BadInput: a venue without an adapter, or pairs on demand where each has to be prepared at the start.
    """
    for venue, section in config.venues.items():
        orders.abilities(venue)
        if section.on_demand and not orders.on_demand(venue):
            from citadel_micro.adapters.live import with_on_demand  # noqa: PLC0415 - as below

            raise BadInput(
                f"{', '.join(section.on_demand)} cannot be followed on demand live at {venue}: the terms "
                "of each pair are checked or set there before the first order",
                where=f"venues.{venue}.on_demand",
                allowed=f"live at {', '.join(with_on_demand())}; on paper anywhere",
                mend="name every pair that may be traded under symbols",
            )


def orders_of(mode: str) -> OrderAdapters:
    """The makers of a mode. Raises BadInput for one that this version has no adapters of."""
    # A run has one mode, and no use for the code of the other.
    if mode == "paper":
        from citadel_micro.adapters.paper.orders import PaperOrders  # noqa: PLC0415

        return PaperOrders()
    if mode == "live":
        from citadel_micro.adapters.live import LiveOrders  # noqa: PLC0415

        return LiveOrders()
    raise BadInput(
        f"this version has no order adapter for mode {mode!r}",
        where="mode",
        allowed=", ".join(MODES),
    )
