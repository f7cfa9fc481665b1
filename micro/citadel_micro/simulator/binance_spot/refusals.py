"""What the exchange refuses, in Binance's codes and texts.

Texts as in Binance's list of messages for -1010, -2010, -2011 and -2038 and of filter failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.simulator.private.orders import UNKNOWN
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import OrderRefused, Reason

Doing = Literal["place", "cancel", "amend", "query"]

CODES: Final[dict[Doing, int]] = {"place": -2010, "cancel": -2011, "amend": -2038, "query": -2013}
_TEXTS: Final[dict[Reason, str]] = {
    "UNKNOWN_ORDER": UNKNOWN,
    "DUPLICATE_CLIENT_ID": "Duplicate order sent.",
    "INSUFFICIENT_BALANCE": "Account has insufficient balance for requested action.",
    "WOULD_TAKE": "Order would immediately match and take.",
    "WOULD_TRIGGER": "Order would trigger immediately.",
    "CANCEL_RESTRICTION": "Order was not canceled due to cancel restrictions.",
    "AMEND_QUANTITY": "Order amend (quantity increase) is not supported.",
    "AMEND_COUNT": "Filter failure: MAX_NUM_ORDER_AMENDS",
}


def refusal(refused: OrderRefused, doing: Doing) -> ApiError:
    """Return Binance's answer to a refusal."""
    reason = refused.reason
    match reason:
        case "UNKNOWN_ORDER" if doing == "query":
            return ApiError(-2013, "Order does not exist.")
        case "FILTER":
            return ApiError(-1013, f"Filter failure: {refused.filter}")
        case "UNKNOWN_SYMBOL":
            return ApiError(-1121, "Invalid symbol.")
        case "UNKNOWN_ACCOUNT" | "NO_PERMISSION":
            return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        case "MARKET_CLOSED":
            code = -1013 if doing == "place" else CODES[doing]
            return ApiError(code, "Market is closed.")
        case "STP_MODE":
            text = "This symbol does not allow the specified self-trade prevention mode."
            return ApiError(-1013, text)
        case "BAD_COMBINATION":
            return ApiError(-1014, "Unsupported order combination.")
    return ApiError(CODES[doing], _TEXTS.get(reason, UNKNOWN))
