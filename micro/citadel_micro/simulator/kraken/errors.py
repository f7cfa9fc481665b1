"""What Kraken answers to a request that it does not carry out.

Errors are texts, ``E<category>:<what>``. Where the documentation gives none (a client id twice, an
expired deadline), the text is of this simulator's making; clients must not depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import OrderRefused

UNKNOWN_ORDER: Final = "EOrder:Unknown order"
BUSY: Final = "EService:Busy"
UNAVAILABLE: Final = "EService:Unavailable"
INTERNAL: Final = "EGeneral:Internal error"
INVALID_KEY: Final = "EAPI:Invalid key"
INVALID_SESSION: Final = "ESession:Invalid session"
LOCKED_OUT: Final = "EGeneral:Temporary lockout"
_BANNED: Final = 418
_OF_FAULTS: Final = {
    -1003: "EAPI:Rate limit exceeded",
    -1007: INTERNAL,
    -1008: BUSY,
    -1015: "EOrder:Rate limit exceeded",
    -2011: UNKNOWN_ORDER,
    -2015: INVALID_KEY,
}
"""Errors that the common parts raise, by their code."""
_REASONS: Final = {
    "UNKNOWN_ACCOUNT": "EAccount:Invalid account",
    "UNKNOWN_SYMBOL": "EQuery:Unknown asset pair",
    "UNKNOWN_ORDER": UNKNOWN_ORDER,
    "DUPLICATE_CLIENT_ID": "EOrder:Duplicate cl_ord_id",
    "INSUFFICIENT_BALANCE": "EOrder:Insufficient funds",
    "WOULD_TAKE": "EOrder:Post only order",
    "MARKET_CLOSED": "EService:Market in cancel_only mode",
    "NO_PERMISSION": "EGeneral:Permission denied",
}
_FILTERS: Final = {
    "PRICE_FILTER": "EOrder:Tick size check failed",
    "LOT_SIZE": "EOrder:Order minimum not met",
    "MARKET_LOT_SIZE": "EGeneral:Invalid arguments:volume",
    "NOTIONAL": "EOrder:Cost minimum not met",
    "MAX_NUM_ORDERS": "EOrder:Orders limit exceeded",
}


class KrakenError(ApiError):
    """An answer whose text is Kraken's."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        super().__init__(0, text)


def invalid(name: str) -> KrakenError:
    """Return the error for an argument that is missing or not of its form."""
    return KrakenError(f"EGeneral:Invalid arguments:{name}")


def text_of(error: ApiError) -> str:
    """Return Kraken's text of any error."""
    if isinstance(error, KrakenError):
        return error.text
    if error.status == _BANNED:
        return LOCKED_OUT
    return _OF_FAULTS.get(error.code, INTERNAL)


def refusal(refused: OrderRefused) -> KrakenError:
    """Return what the exchange's refusal is called."""
    if refused.reason == "FILTER":
        return KrakenError(_FILTERS.get(refused.filter, "EGeneral:Invalid arguments"))
    return KrakenError(_REASONS.get(refused.reason, f"EGeneral:Invalid arguments:{refused.detail}"))
