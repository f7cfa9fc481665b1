"""The parameters of a USD-M order: read, checked per type, and made a request to the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.binance_usdm.texts import decimals
from citadel_micro.simulator.private.params import USDM_CLIENT_ID, client_id, decimal_e8
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.model import OrderType, Side, StpMode, TimeInForce
    from citadel_micro.sim.exchange.rules import SymbolRules

_MOVED: Final = {
    "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
}  # fmt: skip
_STP: Final = {"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"}
_MS_NS: Final = 1_000_000
_SHORTEST_GTD_MS: Final = 600_000
_LONGEST_GTD_MS: Final = 253_402_300_799_000


def mandatory(name: str) -> ApiError:
    """Return the error for a parameter that was not sent."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return ApiError(-1102, text)


def order_name(query: Query, name: str) -> str:
    """Return a client id, or nothing.

    Raises:
        ApiError: -1100, or -4015 for one that is too long.
    """
    text = query.optional(name)
    if text is not None and len(text) > 36:  # noqa: PLR2004 - Binance's
        raise ApiError(-4015, "Client order id length should be less than 36 chars.")
    return client_id(query, name, USDM_CLIENT_ID)


def side_of(query: Query) -> Side:
    """Return the side.

    Raises:
        ApiError: -1117.
    """
    side = query.text("side")
    if side not in {"BUY", "SELL"}:
        raise ApiError(-1117, "Invalid side.")
    return cast("Side", side)


def flag(query: Query, name: str) -> bool:
    """Return a parameter that is true or false; false when it was not sent.

    Raises:
        ApiError: -1130 for anything else.
    """
    text = (query.optional(name) or "false").lower()
    if text not in {"true", "false"}:
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return text == "true"


def amount(query: Query, name: str, step_e8: int, error: ApiError) -> int:
    """Return a mandatory amount above 0 in 1e-8.

    Raises:
        ApiError: -1102 without one, -1111 for more decimals than the symbol's, else ``error``.
    """
    value = decimal_e8(query, name)
    if value is None:
        raise mandatory(name)
    if value <= 0:
        raise error
    places = decimals(step_e8)
    if value % 10 ** (8 - places):
        raise ApiError(-1111, "Precision is over the maximum defined for this asset.")
    return value


def check_position_side(query: Query, *, hedged: bool) -> None:
    """Refuse a position side that the account's mode does not have.

    Raises:
        ApiError: -4061; in hedge mode always, as its positions are not simulated.
    """
    side = query.optional("positionSide") or "BOTH"
    if side not in {"BOTH", "LONG", "SHORT"}:
        raise ApiError(-4060, "Invalid position side.")
    if hedged or side != "BOTH":
        raise ApiError(-4061, "Order's position side does not match user's setting.")


def read_order(query: Query, rules_of: Callable[[str], SymbolRules], now_ns: int) -> OrderRequest:
    """Return the order that a request asks for.

    Raises:
        ApiError: for a parameter that is missing, unknown or impossible.
    """
    symbol = query.symbol()
    spec = rules_of(symbol).spec
    side = side_of(query)
    kind = query.text("type")
    if kind in _MOVED:
        text = "Order type not supported for this endpoint. Please use the Algo Order API endpoints"
        raise ApiError(-4120, f"{text} instead.")
    if kind not in {"LIMIT", "MARKET"}:
        raise ApiError(-1116, "Invalid orderType.")
    name = order_name(query, "newClientOrderId")
    stp = stp_mode(query)
    quantity = amount(
        query, "quantity", spec.lot_e8, ApiError(-4003, "Quantity less than or equal to zero.")
    )
    time_in_force: TimeInForce = "GTC"
    price = good_till = 0
    if kind == "LIMIT":
        time_in_force = read_time_in_force(query)
        price = amount(query, "price", spec.tick_e8, ApiError(-4001, "Price less than 0."))
        if time_in_force == "GTD":
            good_till = read_good_till(query, now_ns)
    elif query.optional("price") is not None:
        raise ApiError(-1106, "Parameter 'price' sent when not required.")
    elif query.optional("timeInForce") not in {None, "GTC"}:
        raise ApiError(-1106, "Parameter 'timeInForce' sent when not required.")
    return OrderRequest(
        symbol=symbol,
        side=side,
        type=cast("OrderType", kind),
        time_in_force=time_in_force,
        quantity_e8=quantity,
        price_e8=price,
        client_id=name,
        stp="NONE" if time_in_force == "GTX" else stp,
        good_till_ns=good_till,
        reduce_only=flag(query, "reduceOnly"),
    )


def read_time_in_force(query: Query) -> TimeInForce:
    """Return the mandatory time in force.

    Raises:
        ApiError: -1102, -1115.
    """
    text = query.text("timeInForce")
    if text not in {"GTC", "IOC", "FOK", "GTX", "GTD"}:
        raise ApiError(-1115, "Invalid timeInForce.")
    return cast("TimeInForce", text)


def stp_mode(query: Query) -> StpMode | None:
    """Return the self-trade prevention mode that was asked for.

    Raises:
        ApiError: -1130.
    """
    text = query.optional("selfTradePreventionMode")
    if text is None:
        return None
    if text not in _STP:
        raise ApiError(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    return cast("StpMode", text)


def read_good_till(query: Query, now_ns: int) -> int:
    """Return when a GTD order ends (ns), to the second as Binance cuts it.

    Raises:
        ApiError: -1102 without it, -5040 for a time too near or too far.
    """
    till = query.integer("goodTillDate")
    if till is None:
        raise mandatory("goodTillDate")
    if not now_ns // _MS_NS + _SHORTEST_GTD_MS < till < _LONGEST_GTD_MS:
        text = "The goodTillDate timestamp must be greater than the current time plus 600 seconds"
        raise ApiError(-5040, f"{text} and smaller than 253402300799000")
    return till // 1000 * 1000 * _MS_NS


def is_result(query: Query) -> bool:
    """Whether the answer is to say what became of the order (RESULT), or only that it came (ACK).

    Raises:
        ApiError: -1130 for anything else.
    """
    text = query.optional("newOrderRespType") or "ACK"
    if text not in {"ACK", "RESULT"}:
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return text == "RESULT"
