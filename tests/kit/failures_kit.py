"""Orders as the failures of other programs meet them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_kit import MS, SYMBOL, VENUE, Rig, config, signal

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    OrderRejected,
)
from citadel_micro.core.orders.order_states import ChildState

if TYPE_CHECKING:
    from citadel_micro.core.orders.children import Child


CHILD = "sctest-1-1"


def child(rig: Rig, number: int = 0) -> Child:
    return rig.parent().children[number]


def venue(**changes: object) -> VenueConfig:
    values: dict[str, object] = {
        "shows_own_orders": False,
        "messages_per_second": 100,
        "message_burst": 500,
    }
    return VenueConfig(**{**values, **changes})  # type: ignore[arg-type]


def rejected(rig: Rig, code: str, client_id: str = CHILD, text: str = "no") -> None:
    rig.send(OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=client_id, code=code, text=text))


def resting(**changes: object) -> Rig:
    """A limit order for half a coin that the exchange has, and nothing more is said by itself."""
    rig = Rig(config(venue(**changes)))
    rig.send(
        signal(algo="limit", limit_price=Decimal(60_000), params=(("time_limit_ms", 900_000),))
    )
    rig.run(10 * MS)
    assert child(rig).state is ChildState.WORKING
    rig.venue.mute = True
    return rig
