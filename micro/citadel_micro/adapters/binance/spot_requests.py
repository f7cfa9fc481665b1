"""Requests of Binance spot: their names, parameters and bytes.

Source: the websocket API and REST API pages of the spot documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.decimal_text import DecimalText
from citadel_micro.shell.venue.dialect import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.signing import Signer
    from citadel_micro.shell.venue.venue_clock import VenueClock

USUAL_WINDOW_NS: Final = 5 * SECOND
"""``recvWindow`` of requests without an expiry of their own: the venue's default."""
_SIDES: Final = {"buy": "BUY", "sell": "SELL"}
ROUTES: Final[Mapping[str, tuple[str, str]]] = {
    "time": ("GET", "/api/v3/time"),
    "order.place": ("POST", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.status": ("GET", "/api/v3/order"),
    "order.amend.keepPriority": ("PUT", "/api/v3/order/amend/keepPriority"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "account.status": ("GET", "/api/v3/account"),
}
"""Method of the websocket API -> method of HTTP, and path."""
TIME: Final = Request(purpose="upkeep", method="time", params={}, costs={"weight": 1}, signed=False)
_ORDER: Final = {"weight": 1, "orders": 1}
_CHANGE: Final = {"weight": 1}
_AMEND: Final = {"weight": 4}
OPEN_ORDERS_ALL: Final = 80
OPEN_ORDERS_ONE: Final = 6


class SpotRequests:
    """Builds the requests about the orders of some instruments.

    Args:
        instruments: by unified symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._rules = {
            symbol: (each, DecimalText(each.tick), DecimalText(each.lot))
            for symbol, each in instruments.items()
        }

    def place(self, order: PlaceOrder) -> Request:
        """A limit order: good till canceled, immediate or cancel, or post-only."""
        rules, ticks, lots = self._rules[order.symbol]
        params: dict[str, str | int] = {
            "newClientOrderId": order.client_id,
            "price": ticks.text(order.price_ticks),
            "quantity": lots.text(order.quantity_lots),
            "side": _SIDES[order.side],
            "symbol": rules.venue_symbol,
        }
        if order.post_only:
            # Its default answer is an acknowledgement without a status.
            params["newOrderRespType"] = "RESULT"
            params["type"] = "LIMIT_MAKER"
        else:
            # With the fills: a taker order's fills are then known at once.
            params["newOrderRespType"] = "FULL"
            params["timeInForce"] = order.time_in_force
            params["type"] = "LIMIT"
        return Request(
            purpose="place",
            method="order.place",
            params=params,
            costs=_ORDER,
            expires_ns=order.expires_ns,
        )

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """By the venue's id where it is known."""
        return Request(
            purpose="cancel",
            method="order.cancel",
            params={
                "symbol": self._rules[command.symbol][0].venue_symbol,
                **name_of(command.client_id, order),
            },
            costs=_CHANGE,
        )

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """Reduce the quantity at the same price, which keeps the order's priority; or why it cannot."""
        rules, _, lots = self._rules[command.symbol]
        if order is None or not order.quantity_lots:
            return "nothing is remembered of the order"
        if command.price_ticks != order.price_ticks:
            return "the venue does not change the price of an order that rests"
        if command.quantity_lots >= order.quantity_lots:
            return "the venue only makes an order smaller"
        return Request(
            purpose="amend",
            method="order.amend.keepPriority",
            params={
                "symbol": rules.venue_symbol,
                **name_of(command.client_id, order),
                # Otherwise the order would get another id.
                "newClientOrderId": command.client_id,
                "newQty": lots.text(command.quantity_lots),
            },
            costs=_AMEND,
            expires_ns=command.expires_ns,
        )

    def status(self, symbol: str, name: Mapping[str, str | int]) -> Request:
        """One order, by either id."""
        return self._query("order.status", 4, symbol, name)

    def orders_since(self, symbol: str, **params: int) -> Request:
        """All orders, open and closed, of a period."""
        return self._query("allOrders", 20, symbol, {**params, "limit": 1000})

    def trades_of(self, symbol: str, venue_order_id: str, **params: int) -> Request:
        """The last fills of one order, or the first from ``fromId`` on."""
        params = {"orderId": int(venue_order_id), **params, "limit": 1000}
        return self._query("myTrades", 5, symbol, params)

    def trades_since(self, symbol: str, **params: int) -> Request:
        """All fills of a period."""
        return self._query("myTrades", 20, symbol, {**params, "limit": 1000})

    def open_orders(self, symbol: str = "") -> Request:
        """Of one symbol, or of all."""
        return Request(
            purpose="query",
            method="openOrders.status",
            params={"symbol": self._rules[symbol][0].venue_symbol} if symbol else {},
            costs={"weight": OPEN_ORDERS_ONE if symbol else OPEN_ORDERS_ALL},
        )

    def account(self) -> Request:
        """All balances."""
        return Request(purpose="query", method="account.status", params={}, costs={"weight": 20})

    def _query(
        self, method: str, weight: int, symbol: str, params: Mapping[str, str | int]
    ) -> Request:
        return Request(
            purpose="query",
            method=method,
            params={"symbol": self._rules[symbol][0].venue_symbol, **params},
            costs={"weight": weight},
        )


def name_of(client_id: str, order: OurOrder | None) -> dict[str, str | int]:
    """Id parameter of an order: the venue's id, which a cancel does not change, or else ours."""
    if order is not None and order.venue_order_id:
        return {"orderId": int(order.venue_order_id)}
    return {"origClientOrderId": client_id}


class SpotSigner:
    """Signs and encodes requests.

    Args:
        key: the account's.
        signer: signs with it.
        clock: the venue's time.
        routes: method of HTTP and path by the name of a request.
    """

    def __init__(
        self,
        key: ApiKey,
        signer: Signer,
        clock: VenueClock,
        routes: Mapping[str, tuple[str, str]] = ROUTES,
    ) -> None:
        self._routes = routes
        self._key_id = key.id.reveal()
        self.headers: Final = {"X-MBX-APIKEY": self._key_id}
        self.logs_on: Final = key.kind == "ed25519"
        """The venue accepts ``session.logon`` with Ed25519 keys only."""
        self._signer = signer
        self._clock = clock
        self._encoder = msgspec.json.Encoder()

    def frame(self, number: int, request: Request, *, logged_on: bool) -> bytes:
        """For the websocket; empty for an expired request.

        The signature is over the parameters, sorted by name, as they are in the frame.
        """
        params: dict[str, str | int] = dict(request.params)
        if request.signed and not self._stamp(params, request):
            return b""
        if request.signed and not logged_on:
            params["apiKey"] = self._key_id
            payload = "&".join([f"{name}={params[name]}" for name in sorted(params)])
            params["signature"] = self._signer.sign(payload.encode())
        return self._encoder.encode({"id": number, "method": request.method, "params": params})

    def target(self, request: Request) -> str:
        """Path and query for HTTP; empty for an expired request."""
        path = self._routes[request.method][1]
        params: dict[str, str | int] = dict(request.params)
        if not request.signed:
            query = "&".join(f"{name}={quote(str(value))}" for name, value in params.items())
            return f"{path}?{query}" if query else path
        if not self._stamp(params, request):
            return ""
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in params.items())
        signature = quote(self._signer.sign(query.encode()), safe="")
        return f"{path}?{query}&signature={signature}"

    def _stamp(self, params: dict[str, str | int], request: Request) -> bool:
        """Add its time to a request. False where it has expired."""
        clock = self._clock
        if request.expires_ns:
            timestamp, window = clock.stamp(request.expires_ns)
            if window < 1:
                return False
        else:
            timestamp, window = clock.stamp_lasting(USUAL_WINDOW_NS)
        params["recvWindow"] = window
        params["timestamp"] = timestamp
        return True
