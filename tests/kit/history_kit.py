"""An account whose venue lists its trades."""

from __future__ import annotations

from decimal import Decimal

from engine_kit import KEY, SECOND, Rig, config, signal

from citadel_micro.core.model.config import VenueConfig

FORCED = (("autoclose-", "liquidation"), ("adl_autoclose", "adl"))


def telling(**changes: object) -> VenueConfig:
    """A venue that can be asked for the account's trades."""
    values: dict[str, object] = {
        "shows_own_orders": False,
        "messages_per_second": 100,
        "message_burst": 500,
        "tells_trades": True,
        "forced_ids": FORCED,
    }
    return VenueConfig(**{**values, **changes})  # type: ignore[arg-type]


def spot() -> Rig:
    rig = Rig(config(telling()))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(SECOND)
    assert quantity(rig) == Decimal("0.5")
    return rig


def quantity(rig: Rig) -> Decimal:
    return rig.engine.portfolio.quantity(*KEY)


def trips(rig: Rig) -> list[str]:
    return [trip.code for trip in rig.engine.risk.breakers.trips]
