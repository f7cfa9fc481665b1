"""What the futures exchange refuses, in Binance USD-M's codes and texts (its list of error codes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.simulator.private.orders import UNKNOWN
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import OrderRefused, Reason

Doing = Literal["place", "cancel", "query"]

_ANSWERS: Final[dict[Reason, tuple[int, str]]] = {
    "UNKNOWN_SYMBOL": (-1121, "Invalid symbol."),
    "DUPLICATE_CLIENT_ID": (-4116, "ClientOrderId is duplicated."),
    "INSUFFICIENT_BALANCE": (-2019, "Margin is insufficient."),
    "MAX_LEVERAGE": (-2027, "Exceeded the maximum allowable position at current leverage."),
    "WOULD_TAKE": (
        -5022,
        (
            "Due to the order could not be executed as maker, the Post Only order will be rejected. "
            "The order will not be recorded in the order history"
        ),
    ),
    "FOK": (
        -5021,
        (
            "Due to the order could not be filled immediately, the FOK order has been rejected. The "
            "order will not be recorded in the order history"
        ),
    ),
    "WOULD_TRIGGER": (-2021, "Order would immediately trigger."),
    "MARKET_CLOSED": (-4140, "Invalid symbol status for opening position."),
    "BAD_COMBINATION": (-1128, "Combination of optional parameters invalid."),
    "AMEND_COUNT": (-5026, "Exceed maximum modify order limit."),
    "STP_MODE": (-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."),
}
_FILTERS: Final[dict[str, tuple[int, str]]] = {
    "PRICE_FILTER": (-4014, "Price not increased by tick size."),
    "LOT_SIZE": (-4023, "Qty not increased by step size."),
    "MARKET_LOT_SIZE": (-4005, "Quantity greater than max quantity."),
    "PERCENT_PRICE_BY_SIDE": (
        -4131,
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    ),
    "MAX_NUM_ORDERS": (-2025, "Reach max open order limit."),
    "MAX_NUM_ALGO_ORDERS": (-4045, "Reach max stop order limit."),
}
_REDUCE_REJECTED: Final = "ReduceOnly Order is rejected."
_REDUCE_FAILED: Final = (
    "ReduceOnly Order Failed. Please check your existing position and open orders"
)


def refusal(refused: OrderRefused, doing: Doing, *, min_notional: str = "5") -> ApiError:
    """Return Binance's answer to a refusal."""
    match refused.reason:
        case "UNKNOWN_ORDER" if doing == "cancel":
            return ApiError(-2011, UNKNOWN)
        case "UNKNOWN_ORDER":
            return ApiError(-2013, "Order does not exist.")
        case "UNKNOWN_ACCOUNT" | "NO_PERMISSION":
            return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        case "FILTER" if refused.filter == "NOTIONAL":
            text = f"Order's notional must be no smaller than {min_notional} (unless you choose"
            return ApiError(-4164, f"{text} reduce only).")
        case "FILTER":
            code, text = _FILTERS.get(refused.filter, (-1013, f"Filter failure: {refused.filter}"))
            return ApiError(code, text)
        case "REDUCE_ONLY":
            if refused.detail == "position":
                return ApiError(-2022, _REDUCE_REJECTED)
            return ApiError(-4118, _REDUCE_FAILED)
    code, text = _ANSWERS.get(refused.reason, (-1000, str(refused)))
    return ApiError(code, text)
