"""Requests of Binance USD-M: their names, parameters and costs.

Source: the websocket API and REST pages of the USD-M documentation. Only orders and their state go
over the websocket; it has no list of orders, trades or income.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.binance.spot_requests import SpotRequests, name_of
from citadel_micro.shell.venue.dialect import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.request_budget import Purpose

ROUTES: Final[Mapping[str, tuple[str, str]]] = {
    "time": ("GET", "/fapi/v1/time"),
    "price": ("GET", "/fapi/v1/ticker/price"),
    "order.place": ("POST", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "openOrders": ("GET", "/fapi/v1/openOrders"),
    "allOrders": ("GET", "/fapi/v1/allOrders"),
    "userTrades": ("GET", "/fapi/v1/userTrades"),
    "income": ("GET", "/fapi/v1/income"),
    "account": ("GET", "/fapi/v3/account"),
    "positionRisk": ("GET", "/fapi/v3/positionRisk"),
    "positionSide": ("GET", "/fapi/v1/positionSide/dual"),
    "multiAssets": ("GET", "/fapi/v1/multiAssetsMargin"),
    "symbolConfig": ("GET", "/fapi/v1/symbolConfig"),
    "leverageBracket": ("GET", "/fapi/v1/leverageBracket"),
    "leverage": ("POST", "/fapi/v1/leverage"),
    "marginType": ("POST", "/fapi/v1/marginType"),
    "countdownCancelAll": ("POST", "/fapi/v1/countdownCancelAll"),
    "listenKey.start": ("POST", "/fapi/v1/listenKey"),
    "listenKey.ping": ("PUT", "/fapi/v1/listenKey"),
}
"""Name -> method of HTTP, and path."""
OVER_WEBSOCKET: Final = frozenset(
    {"session.logon", "order.place", "order.cancel", "order.modify", "order.status"}
)
_SIDES: Final = {"buy": "BUY", "sell": "SELL"}
STP: Final = "EXPIRE_TAKER"
"""Always sent: the documentation names two defaults. It is void for post-only orders."""


class UsdmRequests(SpotRequests):
    """Builds the requests about the orders of some contracts."""

    def place(self, order: PlaceOrder) -> Request:
        """A limit order: good till canceled, immediate or cancel, or post-only (GTX)."""
        rules, ticks, lots = self._rules[order.symbol]
        params: dict[str, str | int] = {
            "newClientOrderId": order.client_id,
            # Otherwise the answer does not say whether it was filled.
            "newOrderRespType": "RESULT",
            "price": ticks.text(order.price_ticks),
            "quantity": lots.text(order.quantity_lots),
            "side": _SIDES[order.side],
            "symbol": rules.venue_symbol,
            "timeInForce": "GTX" if order.post_only else order.time_in_force,
            "type": "LIMIT",
        }
        if order.reduce_only:
            params["reduceOnly"] = "true"
        if not order.post_only:
            params["selfTradePreventionMode"] = STP
        return Request(
            purpose="place",
            method="order.place",
            params=params,
            costs={"orders": 1},
            expires_ns=order.expires_ns,
        )

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """Change price and quantity; the order goes to the back of the queue."""
        rules, ticks, lots = self._rules[command.symbol]
        if order is None or not order.side:
            return "nothing is remembered of the order"
        return Request(
            purpose="amend",
            method="order.modify",
            params={
                "symbol": rules.venue_symbol,
                **name_of(command.client_id, order),
                "price": ticks.text(command.price_ticks),
                "quantity": lots.text(command.quantity_lots),
                "side": _SIDES[order.side],
            },
            costs={"weight": 1, "orders": 1},
            expires_ns=command.expires_ns,
        )

    def status(self, symbol: str, name: Mapping[str, str | int]) -> Request:
        """One order, by either id."""
        return self._query("order.status", 1, symbol, name)

    def orders_since(self, symbol: str, **params: int) -> Request:
        """All orders, open and closed, of a period."""
        return self._query("allOrders", 5, symbol, {**params, "limit": 1000})

    def trades_of(self, symbol: str, venue_order_id: str, **params: int) -> Request:
        """The last fills of one order, or the first from ``fromId`` on."""
        params = {"orderId": int(venue_order_id), **params, "limit": 1000}
        return self._query("userTrades", 5, symbol, params)

    def trades_since(self, symbol: str, **params: int) -> Request:
        """All fills of a period."""
        return self._query("userTrades", 5, symbol, {**params, "limit": 1000})

    def funding_since(self, symbol: str, start: int) -> Request:
        """All payments of funding since a time of the venue in ms."""
        params: dict[str, str | int] = {
            "incomeType": "FUNDING_FEE",
            "startTime": start,
            "limit": 1000,
        }
        return self._query("income", 30, symbol, params)

    def open_orders(self, symbol: str = "") -> Request:
        """Of one symbol, or of all."""
        if symbol:
            return self._query("openOrders", 1, symbol, {})
        return simple("openOrders", 40)

    def account(self) -> Request:
        """All balances."""
        return simple("account", 5)

    def positions(self) -> Request:
        """All positions."""
        return simple("positionRisk", 5)

    def of_symbol(self, method: str, symbol: str, weight: int = 1, **params: str | int) -> Request:
        """A setting of one symbol, read or changed."""
        return self._query(method, weight, symbol, params)


def simple(method: str, weight: int, *, purpose: Purpose = "query", signed: bool = True) -> Request:
    """A request without parameters."""
    return Request(
        purpose=purpose, method=method, params={}, costs={"weight": weight}, signed=signed
    )
