"""Binance's error codes: whether a request was certainly rejected, must wait, or may have been executed.

Source: the error list of the spot API, with what its general information says about HTTP 5xx, -1006
and -1007. A code that is not listed here is not conclusive, so the order is queried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.http.retry_after import seconds
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from citadel_micro.shell.venue.outcomes import Answered

_OK: Final = range(200, 300)
_SERVER: Final = 500
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_BANNED: Final = 418

CLOCK: Final = frozenset({-1021})
KEY: Final = frozenset({-1002, -1022, -2014, -2015})
TOO_MANY_ORDERS: Final = -1015
WAIT: Final = frozenset({-1003, TOO_MANY_ORDERS})
UNKNOWN: Final = frozenset({-1000, -1001, -1006, -1007, -1008})
"""-1008, overload, is documented to come before the order is accepted; that was never proven."""
NO_SUCH_SYMBOL: Final = -1121
NO_SUCH_ORDER: Final = -2013
ARCHIVED: Final = -2026
"""It was canceled or has expired without a fill, more than 90 days ago."""
CANCEL_REJECTED: Final = -2011
ORDER_REJECTED: Final = -2010
FILTER: Final = -1013
_REFUSED: Final = frozenset({-1013, -1021, -1022, -2010, -2014, -2015, -2038, *range(-1199, -1099)})

_TEXTS: Final = {
    "Order would immediately match and take.": "POST_ONLY",
    "Account has insufficient balance for requested action.": "INSUFFICIENT_FUNDS",
    "Duplicate order sent.": "DUPLICATE_ID",
}
_FILTERS: Final = {
    "PRICE_FILTER": "BAD_PRICE",
    "PERCENT_PRICE": "BAD_PRICE",
    "PERCENT_PRICE_BY_SIDE": "BAD_PRICE",
    "LOT_SIZE": "BAD_QUANTITY",
    "MARKET_LOT_SIZE": "BAD_QUANTITY",
    "MIN_NOTIONAL": "BELOW_MIN",
    "NOTIONAL": "BELOW_MIN",
}
_UNKNOWN_ORDER: Final = "Unknown order sent."


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


def refusal(answer: Answered) -> Refusal | None:
    """What an answer rejects, and with what certainty; None for a success."""
    status = answer.status
    if status in _OK:
        return None
    try:
        error = msgspec.json.decode(answer.body, type=_Error)
    except msgspec.MsgspecError:
        error = _Error()
    text = f"{status} {error.code} {error.msg}".strip()
    if status in {_TOO_MANY, _BANNED} or error.code in WAIT:
        return Refusal(
            fate=Fate.WAIT,
            code="RATE_LIMIT",
            text=text,
            retry_after_s=seconds(answer.headers.get("retry-after", "")),
            orders_only=error.code == TOO_MANY_ORDERS and status != _BANNED,
            banned=status == _BANNED,
        )
    if status >= _SERVER or error.code in UNKNOWN:
        return Refusal(fate=Fate.UNKNOWN, text=text)
    if error.code in {NO_SUCH_ORDER, ARCHIVED}:
        return Refusal(fate=Fate.NOT_FOUND, text=text)
    if error.code == CANCEL_REJECTED:
        found = error.msg != _UNKNOWN_ORDER and "not" in error.msg.lower()
        return Refusal(fate=Fate.REFUSED if found else Fate.NOT_FOUND, text=text)
    if error.code in _REFUSED or (status == _FORBIDDEN and not error.code):
        return Refusal(
            fate=Fate.REFUSED,
            code=_code(error),
            text=text,
            key=error.code in KEY,
            clock=error.code in CLOCK,
        )
    return Refusal(fate=Fate.UNKNOWN, text=text, key=error.code in KEY)


def reject_code(reason: str) -> str:
    """The engine's code for the reason of an order that the matching engine rejected."""
    return {
        "INSUFFICIENT_BALANCES": "INSUFFICIENT_FUNDS",
        "DUPLICATE_ORDER": "DUPLICATE_ID",
        "PRICE_FILTER": "BAD_PRICE",
        "LOT_SIZE": "BAD_QUANTITY",
        "MIN_NOTIONAL": "BELOW_MIN",
    }.get(reason, "OTHER")


def _code(error: _Error) -> str:
    if error.code == ORDER_REJECTED:
        return _TEXTS.get(error.msg, "OTHER")
    if error.code == FILTER:
        return _FILTERS.get(error.msg.rpartition(": ")[2], "OTHER")
    return "OTHER"
