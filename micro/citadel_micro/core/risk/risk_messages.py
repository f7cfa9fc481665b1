"""What is published of the breakers: one message for a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.model.commands import PublishRisk
from citadel_micro.core.risk.codes import TRAITS
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.risk.circuit_breakers import Breakers


def risk_message(breakers: Breakers, scope: str) -> PublishRisk:
    """The state of a scope, and the trip that decides it."""
    trip = breakers.worst(scope)
    if trip is None:
        return PublishRisk(
            scope=scope,
            state="ACTIVE",
            trip_id="",
            code="",
            reason="",
            manual_reset=False,
            since_ns=0,
        )
    return PublishRisk(
        scope=scope,
        state=trip.state,
        trip_id=trip.trip_id,
        code=trip.code,
        reason=trip.reason,
        manual_reset=TRAITS[RiskCode(trip.code)].by_hand,
        since_ns=trip.since_ns,
    )
