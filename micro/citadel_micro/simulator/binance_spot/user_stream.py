"""Spot's user data stream: frames ``{"subscriptionId": …, "event": …}`` on the websocket API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from citadel_micro.sim.exchange.model import OrderEvent
from citadel_micro.simulator.binance_spot import order_json
from citadel_micro.simulator.private.user_streams import Subscription, UserStreams, encode, kind_of

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import AccountEvent

Json = dict[str, Any]


@dataclass(slots=True, eq=False, kw_only=True)
class SpotSubscription(Subscription):
    """A subscription by its number. ``by_logon``: it ends when the session logs out."""

    number: int
    by_logon: bool

    def frame(self, event: Json) -> bytes:
        """Return an event in its envelope."""
        return encode({"subscriptionId": self.number, "event": event})


class SpotStreams(UserStreams):
    """Spot's events."""

    def __init__(self) -> None:
        """Start with no subscription."""
        super().__init__()
        self._names: dict[int, str] = {}

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        venue = self.venue
        if venue is None:
            return []
        if not isinstance(event, OrderEvent):
            return [(kind_of(event), body) for body in order_json.balance_events(event)]
        order = event.order
        before = self._names.get(order.order_id, order.client_id)
        if order.open:
            self._names[order.order_id] = order.client_id
        else:
            self._names.pop(order.order_id, None)
        original = before if event.cause == "REPLACED" else ""
        report = order_json.execution_report(venue.spec(order.symbol), event, original)
        return [(kind_of(event), report)]
