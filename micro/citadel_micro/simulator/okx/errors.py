"""OKX's error codes and texts, for what the exchange refuses and for faults.

Source: "Error Code" of the venue's documentation. A *row* error is one order's ``sCode``: the answer
itself then has code 1 and HTTP 200; every other one is the answer's code, with its HTTP status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.model import OrderRefused, Reason

Doing = Literal["place", "cancel", "amend", "query"]

UNKNOWN_TO_CANCEL: Final = (
    51400,
    "Order cancellation failed as the order has been filled, canceled or does not exist.",
)
_UNKNOWN: Final[Mapping[Doing, tuple[int, str]]] = {
    "place": (51001, "Instrument ID doesn't exist."),
    "cancel": UNKNOWN_TO_CANCEL,
    "amend": (51503, "Your order has already been filled or canceled."),
    "query": (51603, "Order does not exist"),
}
_REFUSED: Final[Mapping[Reason, tuple[int, str]]] = {
    "UNKNOWN_SYMBOL": (51001, "Instrument ID doesn't exist."),
    "DUPLICATE_CLIENT_ID": (51016, "Client order ID already exists."),
    "INSUFFICIENT_BALANCE": (51008, "Order failed. Insufficient balance in account."),
    "REDUCE_ONLY": (51169, "Order failed: there is no position that it could reduce."),
    "MAX_LEVERAGE": (51004, "Order amount exceeds the limit of the current tier."),
    "MARKET_CLOSED": (51022, "Instrument suspended."),
    "STP_MODE": (51000, "Parameter stpMode error"),
    "WOULD_TAKE": (
        51511,
        "Modification failed as the order price did not meet the requirement for Post Only.",
    ),
    "AMEND_COUNT": (51506, "Order modification unavailable for the order type."),
}
_FILTERS: Final[Mapping[str, tuple[int, str]]] = {
    "PRICE_FILTER": (51000, "Parameter px error"),
    "PERCENT_PRICE_BY_SIDE": (51006, "Order price is not within the price limit."),
    "LOT_SIZE": (51121, "Order quantity must be a multiple of the lot size."),
    "NOTIONAL": (51020, "Your order should meet or exceed the minimum order amount."),
    "MARKET_LOT_SIZE": (51202, "Market order amount exceeds the maximum amount."),
    "MAX_NUM_ORDERS": (51025, "Order count exceeds the limit."),
}
_TRANSLATED: Final[Mapping[int, tuple[int, int, str]]] = {
    -1000: (50026, 500, "System error. Try again later."),
    -1003: (50011, 429, "Too Many Requests"),
    -1007: (50004, 400, "API endpoint request timeout"),
    -1008: (50013, 429, "Systems are busy. Please try again later."),
    -1015: (50061, 429, "You've reached the maximum order rate limit for this account."),
    -1021: (50102, 401, "Timestamp request expired"),
    -2015: (50111, 401, "Invalid OK-ACCESS-KEY"),
}
"""What faults and keys mean to the common parts -> (code, HTTP status, text)."""


class OkxError(ApiError):
    """An answer of the form ``{"code": …, "msg": …, "data": []}``, or one order's part of it."""

    def __init__(self, code: int, text: str, *, status: int = 200, row: bool = False) -> None:
        """``row``: it is about one order."""
        super().__init__(code, text, status=status)
        self.row = row


def parameter(name: str, *, row: bool = True) -> OkxError:
    """Return the error for a parameter that is absent or not of its form."""
    return OkxError(51000, f"Parameter {name} error", row=row, status=200 if row else 400)


def refusal(refused: OrderRefused, doing: Doing) -> OkxError:
    """Return OKX's answer to what the exchange refuses."""
    reason = refused.reason
    if reason == "UNKNOWN_ORDER":
        code, text = _UNKNOWN[doing]
        return OkxError(code, text, row=doing != "query")
    if reason == "FILTER":
        code, text = _FILTERS.get(refused.filter, (51000, f"Parameter {refused.filter} error"))
    elif reason == "INSUFFICIENT_BALANCE" and doing == "amend":
        code, text = 51502, "Order modification failed for insufficient margin or balance."
    elif reason in {"UNKNOWN_ACCOUNT", "NO_PERMISSION"}:
        text = "This API key doesn't have permission to use this function."
        return OkxError(50120, text, status=401)
    else:
        code, text = _REFUSED.get(reason, (51000, f"Parameter {refused.detail or reason} error"))
    return OkxError(code, text, row=True)


def translated(error: ApiError) -> OkxError:
    """Return an error of the simulator's common parts as OKX's."""
    if isinstance(error, OkxError):
        return error
    if error.code == -2011:  # noqa: PLR2004 - an order that a cancel does not find
        return OkxError(*UNKNOWN_TO_CANCEL, row=True)
    code, status, text = _TRANSLATED.get(error.code, (50026, 500, error.text))
    return OkxError(code, text, status=status)
