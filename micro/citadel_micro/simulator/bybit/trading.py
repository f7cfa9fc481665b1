"""Methods that change orders: create, amend, cancel, cancel all.

An answer says only that the request was taken: what became of it is told on the private stream. So a
post-only order that would take is answered with 0 and then rejected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.simulator.bybit import params
from citadel_micro.simulator.bybit.envelope import BybitError, params_error, refusal
from citadel_micro.simulator.bybit.order_json import link_id
from citadel_micro.simulator.private.orders import cancel_order, note_new

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import Order
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
LOST: Final = "taken-lost"


def _named(order: Order) -> Json:
    return {
        "orderId": str(order.order_id),
        "orderLinkId": link_id(order),
    }


class Trading:
    """The methods, over one venue."""

    def __init__(self, venue: Venue, category: str) -> None:
        """Trade there."""
        self._venue = venue
        self._category = category

    def place(self, call: Call) -> Json:
        """Place an order. Its ``orderLinkId`` may be no other's, open or not."""
        request = params.read_order(call.query, self._category)
        exchange = self._venue.exchange
        if request.client_id and self._taken(call.account, request.client_id):
            raise refusal(OrderRefused("DUPLICATE_CLIENT_ID", request.client_id), self._category)
        try:
            if LOST in call.hits:
                exchange.check(call.account, request)
                return {"orderId": str(self._venue.now_ms), "orderLinkId": request.client_id}
            done = exchange.place(call.account, request)
        except OrderRefused as refused:
            raise refusal(refused, self._category) from refused
        note_new(self._venue, call, done.order)
        return _named(done.order)

    def _taken(self, account: str, client_id: str) -> bool:
        exchange = self._venue.exchange
        for symbol in exchange.rules:
            try:
                exchange.order(account, symbol, client_id=client_id)
            except OrderRefused:
                continue
            return True
        return False

    def amend(self, call: Call) -> Json:
        """Change an order's whole quantity, its price, or both."""
        query, exchange = call.query, self._venue.exchange
        params.category(query, self._category)
        symbol = params.symbol(query)
        order_id, name = params.names(query)
        quantity = params.amount_e8(query, "qty", finer=170137)
        price = params.amount_e8(query, "price", finer=170134)
        if not quantity and not price:
            raise params_error("qty or price is required")
        try:
            order = exchange.order(call.account, symbol, order_id=order_id, client_id=name)
            if not order.open:
                raise refusal(OrderRefused("UNKNOWN_ORDER"), self._category)
            spec = self._venue.spec(symbol)
            quantity = quantity or order.lots * spec.lot_e8
            price = price or order.ticks * spec.tick_e8
            if (quantity, price) == (order.lots * spec.lot_e8, order.ticks * spec.tick_e8):
                text = (
                    "The order remains unchanged as the parameters entered match the existing ones."
                )
                raise BybitError(params_error("").code, text)
            if quantity <= order.filled_lots * spec.lot_e8:
                text = "The modified quantity cannot be less than or equal to the filled quantity."
                raise BybitError(110064, text)
            if LOST in call.hits:
                return _named(order)
            changed = exchange.amend(
                call.account,
                symbol,
                order_id=order.order_id,
                quantity_e8=quantity,
                price_e8=price,
            )
        except OrderRefused as refused:
            raise refusal(refused, self._category) from refused
        return _named(changed)

    def cancel(self, call: Call) -> Json:
        """Cancel an order."""
        params.category(call.query, self._category)
        symbol = params.symbol(call.query)
        order_id, name = params.names(call.query)
        try:
            if LOST in call.hits:
                return _named(
                    self._venue.exchange.order(
                        call.account, symbol, order_id=order_id, client_id=name
                    )
                )
            order = cancel_order(self._venue, call, symbol, order_id=order_id, client_id=name)
        except OrderRefused as refused:
            raise refusal(refused, self._category) from refused
        return _named(order)

    def cancel_all(self, call: Call) -> Json:
        """Cancel all open orders of a symbol, or all."""
        params.category(call.query, self._category)
        symbol = call.query.symbol() if call.query.values.get("symbol") else None
        exchange, venue = self._venue.exchange, self._venue
        done = []
        for order in exchange.open_orders(call.account, symbol):
            if order.order_id in venue.confirmed:
                continue
            try:
                exchange.cancel(call.account, order.symbol, order_id=order.order_id)
            except OrderRefused as refused:
                raise refusal(refused, self._category) from refused
            done.append(_named(order))
        return {"list": done, "success": "1"}
