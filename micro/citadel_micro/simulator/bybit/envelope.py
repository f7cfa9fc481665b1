"""Bybit's answers: the envelope around every result, and its codes for what is refused.

Codes and texts of the venue's pages "Error codes" (v5, spot and common).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.model import OrderRefused, Reason

Json = dict[str, Any]
Doing = Literal["place", "cancel", "amend", "query"]

PARAMS: Final = 10001
TOO_OFTEN: Final = 10006
NO_ORDER: Final = 170213
BAD_KEY: Final = 10003
BAD_SIGN: Final = 10004
NO_PERMISSION: Final = 10005
_FORBIDDEN: Final = 403
_BANNED: Final = 418
_BACKEND: Final = (170007, "Timeout waiting for response from backend server.")
_SERVER: Final = (10016, "Server error.")
_TAKEN: Final = (TOO_OFTEN, "Too many visits. Exceeded the API Rate Limit.")

_COMMON: Final[Mapping[int, tuple[int, str]]] = {
    # The codes that all protocols of the simulator share, in Bybit's words.
    -1000: _SERVER,
    -1003: _TAKEN,
    -1007: _BACKEND,
    -1008: _SERVER,
    -1015: (170005, "Too many new orders; current limit is 20 orders per second."),
    -1021: (10002, "The request time exceeds the time window range."),
    -1022: (BAD_SIGN, "Error sign, please check your signature generation algorithm."),
    -1121: (170121, "Invalid symbol."),
    -2011: (NO_ORDER, "Order does not exist."),
    -2013: (NO_ORDER, "Order does not exist."),
    -2014: (BAD_KEY, "API key is invalid."),
    -2015: (BAD_KEY, "API key is invalid."),
}
_REASONS: Final[Mapping[Reason, tuple[int, str]]] = {
    "UNKNOWN_SYMBOL": (170121, "Invalid symbol."),
    "UNKNOWN_ORDER": (NO_ORDER, "Order does not exist."),
    "DUPLICATE_CLIENT_ID": (170141, "Duplicate clientOrderId"),
    "INSUFFICIENT_BALANCE": (170131, "Insufficient balance."),
    "WOULD_TAKE": (170218, "The LIMIT-MAKER order is rejected due to invalid price."),
    "MARKET_CLOSED": (170151, "The trading pair is not open yet."),
    "NO_PERMISSION": (NO_PERMISSION, "Permission denied, please check your API key permissions."),
    "UNKNOWN_ACCOUNT": (NO_PERMISSION, "Permission denied, please check your API key permissions."),
    "STP_MODE": (PARAMS, "params error: smpType invalid"),
    "BAD_COMBINATION": (170115, "Invalid timeInForce."),
    "AMEND_QUANTITY": (170135, "Order quantity exceeded upper limit."),
}
_LINEAR: Final[Mapping[str, tuple[int, str]]] = {
    # The codes of the unified account, where they differ from spot's.
    "UNKNOWN_ORDER": (110001, "order not exists or too late to cancel"),
    "DUPLICATE_CLIENT_ID": (110072, "OrderLinkedID is duplicate"),
    "INSUFFICIENT_BALANCE": (110007, "ab not enough for new order"),
    "REDUCE_ONLY": (110017, "current position is zero, cannot fix reduce-only order qty"),
    "MAX_LEVERAGE": (110013, "cannot set leverage due to risk limit"),
    "MARGIN_TYPE": (110028, "there are open orders or positions"),
    "PRICE_FILTER": (10001, "params error: price invalid"),
    "PERCENT_PRICE_BY_SIDE": (110003, "Order price exceeds the allowable range."),
    "LOT_SIZE": (10001, "params error: qty invalid"),
    "NOTIONAL": (110094, "Order does not meet minimum order value 5USDT"),
    "FOK": (110100, "the order cannot be filled at once"),
}
_FILTERS: Final[Mapping[str, tuple[int, str]]] = {
    "PRICE_FILTER": (170134, "Order price has too many decimals."),
    "PERCENT_PRICE_BY_SIDE": (170132, "Order price exceeded upper limit."),
    "LOT_SIZE": (170137, "Order quantity has too many decimals."),
    "MARKET_LOT_SIZE": (170135, "Order quantity exceeded upper limit."),
    "NOTIONAL": (170140, "Order value exceeded lower limit."),
    "MAX_NUM_ORDERS": (170810, "Cannot exceed maximum of 500 active orders."),
}


class BybitError(ApiError):
    """An answer whose ``retCode`` is not 0. Over HTTP its status is 200 nearly always."""

    def __init__(self, code: int, text: str, *, status: int = 200, retry_at_ms: int = 0) -> None:
        """Keep the parts."""
        super().__init__(code, text, status=status, retry_at_ms=retry_at_ms)


def params_error(text: str) -> BybitError:
    """Return the answer to a parameter that is missing or wrong."""
    return BybitError(PARAMS, f"params error: {text}")


def refusal(refused: OrderRefused, category: str) -> BybitError:
    """Return the answer to what the exchange refused."""
    if category != "spot":
        known = _LINEAR.get(refused.filter or refused.reason)
        if known is not None:
            return BybitError(*known)
    if refused.reason == "FILTER":
        return BybitError(*_FILTERS.get(refused.filter, (170210, "New order rejected.")))
    return BybitError(*_REASONS.get(refused.reason, (170210, "New order rejected.")))


def as_bybit(error: ApiError) -> BybitError:
    """Return an error of the common machinery as Bybit has it; Bybit's own as they are."""
    if isinstance(error, BybitError):
        return error
    if error.status == _BANNED:
        return BybitError(
            10018, "access too frequent", status=_FORBIDDEN, retry_at_ms=error.retry_at_ms
        )
    code, text = _COMMON.get(error.code, (PARAMS, f"params error: {error.text}"))
    return BybitError(code, text, retry_at_ms=error.retry_at_ms)


def envelope(result: object, time_ms: int, *, code: int = 0, text: str = "OK") -> Json:
    """Return an answer of REST."""
    return {
        "retCode": code,
        "retMsg": text,
        "result": {} if result is None else result,
        "retExtInfo": {},
        "time": time_ms,
    }
