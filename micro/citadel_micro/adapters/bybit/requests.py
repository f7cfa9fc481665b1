"""Requests of Bybit v5: their names, parameters, signatures and bytes.

Source: the pages "Place Order", "Amend Order", "Cancel Order", "Get Open & Closed Orders", "Get Order
History", "Get Trade History", "Get Wallet Balance" and "Integration Guidance".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.decimal_text import DecimalText
from citadel_micro.shell.venue.dialect import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.request_budget import Purpose
    from citadel_micro.shell.venue.signing import Signer
    from citadel_micro.shell.venue.venue_clock import VenueClock

SPOT: Final = "spot"
LINEAR: Final = "linear"
USUAL_WINDOW_NS: Final = 5 * SECOND
"""Of requests without an expiry of their own: the venue's default."""
LOG_ON_NS: Final = 10 * SECOND
ORDERS_PAGE: Final = 50
TRADES_PAGE: Final = 100
_SIDES: Final = {"buy": "Buy", "sell": "Sell"}
STP: Final = "CancelTaker"
"""Of an order that could take: the default prevents nothing."""
ROUTES: Final[Mapping[str, tuple[str, str]]] = {
    "time": ("GET", "/v5/market/time"),
    "tickers": ("GET", "/v5/market/tickers"),
    "instruments": ("GET", "/v5/market/instruments-info"),
    "order.create": ("POST", "/v5/order/create"),
    "order.amend": ("POST", "/v5/order/amend"),
    "order.cancel": ("POST", "/v5/order/cancel"),
    "realtime": ("GET", "/v5/order/realtime"),
    "history": ("GET", "/v5/order/history"),
    "executions": ("GET", "/v5/execution/list"),
    "wallet": ("GET", "/v5/account/wallet-balance"),
    "fees": ("GET", "/v5/account/fee-rate"),
    "key": ("GET", "/v5/user/query-api"),
    "account": ("GET", "/v5/account/info"),
    "positions": ("GET", "/v5/position/list"),
    "leverage": ("POST", "/v5/position/set-leverage"),
    "tiers": ("GET", "/v5/market/risk-limit"),
}
"""Name -> method of HTTP, and path."""
OVER_WEBSOCKET: Final = frozenset({"order.create", "order.amend", "order.cancel"})
KINDS: Final[Mapping[str, str]] = {
    "order.create": "creates",
    "order.amend": "amends",
    "order.cancel": "cancels",
}
"""What the venue counts apart; all else is a query."""
LIMITS: Final[Mapping[tuple[str, int], int]] = {
    ("creates", 1): 20,
    ("amends", 1): 20,
    ("cancels", 1): 20,
    ("queries", 1): 50,
    ("requests", 5): 600,
}
"""Of an account by the second, and of an address (docs "Rate limit")."""


def simple(
    method: str,
    params: Mapping[str, str | int] | None = None,
    *,
    purpose: Purpose = "query",
    signed: bool = True,
) -> Request:
    """A query."""
    return Request(
        purpose=purpose,
        method=method,
        params=params or {},
        costs={"queries": 1, "requests": 1},
        signed=signed,
    )


TIME: Final = simple("time", purpose="upkeep", signed=False)


class BybitRequests:
    """Builds the requests about the orders of some instruments.

    Args:
        instruments: by unified symbol.
        category: of the market.
    """

    def __init__(self, instruments: Mapping[str, Instrument], category: str = SPOT) -> None:
        self.category = category
        self._rules = {
            symbol: (each.venue_symbol, DecimalText(each.tick), DecimalText(each.lot))
            for symbol, each in instruments.items()
        }

    def place(self, order: PlaceOrder) -> Request:
        """A limit order: good till canceled, immediate or cancel, or post-only."""
        name, ticks, lots = self._rules[order.symbol]
        params: dict[str, str | int] = {
            "category": self.category,
            "symbol": name,
            "side": _SIDES[order.side],
            "orderType": "Limit",
            "qty": lots.text(order.quantity_lots),
            "price": ticks.text(order.price_ticks),
            "timeInForce": "PostOnly" if order.post_only else order.time_in_force,
            "orderLinkId": order.client_id,
        }
        if not order.post_only:
            params["smpType"] = STP
        if order.reduce_only and self.category != SPOT:
            params["reduceOnly"] = True
        return _order("place", "order.create", params, order.expires_ns)

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """By the venue's id where it is known."""
        params = {"category": self.category, "symbol": self._rules[command.symbol][0]}
        return _order("cancel", "order.cancel", {**params, **name_of(command.client_id, order)})

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request:
        """Change price and whole quantity; what is more, or of another price, goes to the back.

        Both are sent, whatever is known: an amend whose outcome is unknown may have changed either.
        """
        name, ticks, lots = self._rules[command.symbol]
        params: dict[str, str | int] = {
            "category": self.category,
            "symbol": name,
            **name_of(command.client_id, order),
            "price": ticks.text(command.price_ticks),
            "qty": lots.text(command.quantity_lots),
        }
        return _order("amend", "order.amend", params, command.expires_ns)

    # queries

    def orders(self, method: str, symbol: str = "", cursor: str = "", **name: str) -> Request:
        """A page of ``realtime`` or ``history``: of one symbol or all, or one order by an id."""
        params: dict[str, str | int] = {"category": self.category, "limit": ORDERS_PAGE, **name}
        if symbol:
            params["symbol"] = self._rules[symbol][0]
        if cursor:
            params["cursor"] = cursor
        return simple(method, params)

    def executions(self, symbol: str, cursor: str = "", **params: str | int) -> Request:
        """A page of fills: of an order by an id, or of a period."""
        chosen: dict[str, str | int] = {
            "category": self.category,
            "symbol": self._rules[symbol][0],
            "limit": TRADES_PAGE,
            **params,
        }
        if cursor:
            chosen["cursor"] = cursor
        return simple("executions", chosen)

    def of_symbol(self, method: str, symbol: str, **params: str | int) -> Request:
        """A query, or a setting, of one symbol."""
        name = self._rules[symbol][0]
        return simple(method, {"category": self.category, "symbol": name, **params})


WALLET: Final = simple("wallet", {"accountType": "UNIFIED"})
"""All balances."""


def _order(
    purpose: Purpose, method: str, params: Mapping[str, str | int], expires_ns: int = 0
) -> Request:
    return Request(
        purpose=purpose,
        method=method,
        params=params,
        costs={KINDS[method]: 1, "requests": 1},
        expires_ns=expires_ns,
    )


def name_of(client_id: str, order: OurOrder | None) -> dict[str, str]:
    """Id parameter of an order: the venue's id where it is known, or else ours."""
    if order is not None and order.venue_order_id:
        return {"orderId": order.venue_order_id}
    return {"orderLinkId": client_id}


class BybitSigner:
    """Signs and encodes requests.

    Args:
        key: the account's.
        signer: signs with it.
        clock: the venue's time.
    """

    def __init__(self, key: ApiKey, signer: Signer, clock: VenueClock) -> None:
        self._key_id = key.id.reveal()
        self._signer = signer
        self._clock = clock
        self._encoder = msgspec.json.Encoder()

    def log_on(self) -> bytes:
        """The frame that logs a connection on."""
        expires = (self._clock.venue_ns() + LOG_ON_NS) // MS
        signature = self._signer.sign(f"GET/realtime{expires}".encode())
        args = [self._key_id, expires, signature]
        return self._encoder.encode({"op": "auth", "args": args})

    def frame(self, number: int, request: Request) -> bytes:
        """For the trade websocket, which signs no single request; empty for an expired one."""
        timestamp, window = self._times(request)
        if window < 1:
            return b""
        return self._encoder.encode(
            {
                "reqId": str(number),
                "header": {
                    "X-BAPI-TIMESTAMP": str(timestamp),
                    "X-BAPI-RECV-WINDOW": str(window),
                },
                "op": request.method,
                "args": [dict(request.params)],
            }
        )

    def http(self, request: Request) -> tuple[str, str, dict[str, str]] | None:
        """(path and query, body, headers) for HTTP; None for an expired request."""
        verb, path = ROUTES[request.method]
        query = body = ""
        if verb == "POST":
            body = self._encoder.encode(dict(request.params)).decode()
        else:
            query = "&".join(
                f"{name}={quote(str(value), safe='')}" for name, value in request.params.items()
            )
        target = f"{path}?{query}" if query else path
        if not request.signed:
            return target, body, {}
        timestamp, window = self._times(request)
        if window < 1:
            return None
        payload = f"{timestamp}{self._key_id}{window}{query or body}"
        return (
            target,
            body,
            {
                "X-BAPI-API-KEY": self._key_id,
                "X-BAPI-TIMESTAMP": str(timestamp),
                "X-BAPI-RECV-WINDOW": str(window),
                "X-BAPI-SIGN": self._signer.sign(payload.encode()),
            },
        )

    def _times(self, request: Request) -> tuple[int, int]:
        """Timestamp and receive window in ms."""
        if request.expires_ns:
            return self._clock.stamp(request.expires_ns)
        return self._clock.stamp_lasting(USUAL_WINDOW_NS)
