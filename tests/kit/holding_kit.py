"""A position of 0.5 bought from the fake exchange, for the tests of what protects and closes it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, config, signal
from strict_rig import StrictRig

from citadel_micro.core.model.config import VenueConfig

if TYPE_CHECKING:
    from engine_kit import Rig

WILD = Faults(
    lose_request=0.1, lose_report=0.1, duplicate=0.2, slow=0.2, slow_ns=6 * SECOND, silent_loss=0.5
)


def holding(**changes: object) -> StrictRig:
    """A rig that has bought 0.5, and whose exchange sells no less than the whole from then on."""
    venue = VenueConfig(shows_own_orders=False, messages_per_second=100, message_burst=500)
    rig = StrictRig(config(venue), **changes)  # type: ignore[arg-type]
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    return rig


def market(rig: Rig, bid: float) -> None:
    """Two looks at the same price."""
    for _ in range(2):
        rig.book(bid, round(bid + 0.1, 1))
        rig.run(20 * MS, refresh_ns=0)
