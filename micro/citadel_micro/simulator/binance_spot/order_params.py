"""The parameters of an order: read, checked per type, and made a request to the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast, get_args

from citadel_micro.sim.exchange.model import STOP_TYPES, OrderRequest, OrderType, Side, StpMode
from citadel_micro.simulator.private.params import client_id, decimal_e8, positive
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import TimeInForce

_PRICED: Final = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
_TIMED: Final = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})

ORDER: Final = (
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "stopPrice",
    "icebergQty",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "strategyId",
    "strategyType",
    "trailingDelta",
    "pegPriceType",
    "pegOffsetType",
    "pegOffsetValue",
)


def _unwanted(query: Query, *names: str) -> None:
    for name in names:
        if query.optional(name) is not None:
            raise ApiError(-1106, f"Parameter '{name}' sent when not required.")


def read_order(query: Query) -> OrderRequest:
    """Return the order that a request asks for.

    Raises:
        ApiError: for a parameter that is missing, superfluous, unknown or impossible.
    """
    symbol = query.symbol()
    side = query.text("side")
    if side not in get_args(Side):
        raise ApiError(-1117, "Invalid side.")
    kind = query.text("type")
    if kind not in get_args(OrderType):
        raise ApiError(-1116, "Invalid orderType.")
    stp = query.optional("selfTradePreventionMode")
    if stp is not None and stp not in get_args(StpMode):
        text = "Data sent for parameter 'selfTradePreventionMode' is not valid."
        raise ApiError(-1130, text)
    _not_here(query)
    name = client_id(query, "newClientOrderId")
    time_in_force = _time_in_force(query, kind)
    quantity, quote = _sizes(query, kind)
    price = stop = 0
    if kind in _PRICED:
        price = positive(query, "price", "price")
    else:
        _unwanted(query, "price")
    if kind in STOP_TYPES:
        stop = positive(query, "stopPrice", "price")
    else:
        _unwanted(query, "stopPrice")
    visible = decimal_e8(query, "icebergQty") or 0
    if visible and time_in_force != "GTC":
        raise ApiError(-1014, "Unsupported order combination.")
    return OrderRequest(
        symbol=symbol,
        side=cast("Side", side),
        type=cast("OrderType", kind),
        time_in_force=time_in_force,
        quantity_e8=quantity,
        quote_e8=quote,
        price_e8=price,
        stop_e8=stop,
        visible_e8=visible,
        client_id=name,
        stp=cast("StpMode | None", stp),
    )


def _not_here(query: Query) -> None:
    """Refuse what exchangeInfo says is not supported."""
    if query.optional("trailingDelta") is not None:
        raise ApiError(-1013, "Trailing stop orders are not supported for this symbol.")
    if query.optional("pegPriceType") is not None:
        raise ApiError(-1013, "Pegged orders are not supported for this symbol.")


def _time_in_force(query: Query, kind: str) -> TimeInForce:
    if kind not in _TIMED:
        _unwanted(query, "timeInForce")
        return "GTC"
    text = query.text("timeInForce")
    if text not in {"GTC", "IOC", "FOK"}:
        raise ApiError(-1115, "Invalid timeInForce.")
    return cast("TimeInForce", text)


def _sizes(query: Query, kind: str) -> tuple[int, int]:
    """Return the quantity and the quote quantity, one of them 0."""
    quote = decimal_e8(query, "quoteOrderQty")
    if kind != "MARKET":
        _unwanted(query, "quoteOrderQty")
        return positive(query, "quantity", "quantity"), 0
    if quote is None:
        if query.optional("quantity") is None:
            text = "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
            raise ApiError(-1102, text)
        return positive(query, "quantity", "quantity"), 0
    _unwanted(query, "quantity")
    if quote == 0:
        raise ApiError(-1013, "Invalid quoteOrderQty.")
    return 0, quote


def response_type(query: Query, kind: str) -> str:
    """Return ACK, RESULT or FULL: what was asked for, else what the order's type gets.

    Raises:
        ApiError: -1130 for anything else.
    """
    text = query.optional("newOrderRespType")
    if text is None:
        return "FULL" if kind in {"LIMIT", "MARKET"} else "ACK"
    if text not in {"ACK", "RESULT", "FULL"}:
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return text
