"""What all protocols do with orders alike: cancels that lie on request, and queries that lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.model import OrderEvent
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import Order, Status
    from citadel_micro.simulator.private.venue import Call, Venue

UNKNOWN: Final = "Unknown order sent."


def cancel_order(
    venue: Venue,
    call: Call,
    symbol: str,
    *,
    order_id: int,
    client_id: str,
    name: str = "",
    only: Status | None = None,
) -> Order:
    """Cancel an order, or whatever a fault makes of it; ``name`` is the cancel's own id.

    Raises:
        ApiError: -2011.
        OrderRefused: as the exchange.
    """
    exchange = venue.exchange
    if "cancel-unknown" in call.hits:
        raise ApiError(-2011, UNKNOWN)
    order = exchange.order(call.account, symbol, order_id=order_id, client_id=client_id)
    if order.open and "fill-wins" in call.hits:
        exchange.fill(call.account, symbol, order_id=order.order_id)
    if order.order_id in venue.confirmed:
        raise ApiError(-2011, UNKNOWN)
    lie = call.hits.get("fill-after-cancel") if order.open else None
    if lie is not None:
        return _pretend(venue, call.account, order, name, lie.seconds)
    return exchange.cancel(call.account, symbol, order_id=order.order_id, cancel_id=name, only=only)


def _pretend(venue: Venue, account: str, order: Order, name: str, seconds: float) -> Order:
    """Confirm a cancel that does not happen; the order is filled later."""
    exchange = venue.exchange
    order.status, order.cancel_id, order.update_ns = "CANCELED", name, venue.now_ns
    venue.confirmed[order.order_id] = order
    sequence = venue.last_sequence.get(account, 0)
    venue.inject(OrderEvent(sequence, account, venue.now_ns, "CANCELED", order.snapshot()))

    def fill() -> None:
        venue.confirmed.pop(order.order_id, None)
        if exchange.order(account, order.symbol, order_id=order.order_id).open:
            exchange.fill(account, order.symbol, order_id=order.order_id)

    venue.later(seconds, fill)
    return order


def note_new(venue: Venue, call: Call, order: Order) -> None:
    """Note a new order, and let queries not know it yet where a fault says so."""
    call.placed.append(order)
    lag = call.hits.get("query-lag")
    if lag is not None:
        venue.hidden[order.order_id] = venue.now_ns + round(lag.seconds * 1e9)


def known(venue: Venue, order: Order) -> Order | None:
    """Return an order as queries know it now: some lag, and some lie."""
    until = venue.hidden.get(order.order_id)
    if until is not None:
        if venue.now_ns < until:
            return None
        del venue.hidden[order.order_id]
    return venue.confirmed.get(order.order_id, order)
