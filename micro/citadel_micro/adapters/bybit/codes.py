"""Bybit's error codes: whether a request was certainly rejected, must wait, or may have been executed.

Source: the page "Error codes" of the v5 API: common codes (10000 to 10429, 20003), unified account (110xxx),
spot (170xxx). A code that is not listed here is not conclusive, so the order is queried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.http.retry_after import seconds
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.venue.outcomes import Answered

_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_BANNED_S: Final = 600.0
""""Rate limit": an address that asked too often is banned for ten minutes."""
RETRY_AFTER: Final = "retry-after"

PARAMETER: Final = 10001
_UNCHANGED: Final = "remains unchanged"
CLOCK: Final = 10002
KEY: Final = frozenset({10003, 10004, 10005, 10007, 10008, 10009, 10010, 33004})
"""Key, signature, permission, user or address; 33004: the key has expired."""
WAIT: Final = frozenset({10006, 10018, 10403, 10429, 20003, 170005, 170222})
NOT_FOUND: Final = frozenset(
    {110001, 110008, 110010, 110019, 170139, 170142, 170143, 170190, 170213}
)
"""There is no such order *now*: filled, canceled, never placed, or not yet."""
_REFUSED: Final[Mapping[int, str]] = {
    PARAMETER: "OTHER",
    CLOCK: "OTHER",
    10014: "OTHER",
    10017: "OTHER",
    10019: "OTHER",  # the trade service restarts: "new requests are rejected"
    10024: "OTHER",
    10027: "OTHER",
    10028: "OTHER",
    10029: "OTHER",
    10404: "OTHER",
    110003: "BAD_PRICE",
    110004: "INSUFFICIENT_FUNDS",
    110006: "INSUFFICIENT_FUNDS",
    110007: "INSUFFICIENT_FUNDS",
    110012: "INSUFFICIENT_FUNDS",
    110014: "INSUFFICIENT_FUNDS",
    110017: "NOTHING_TO_REDUCE",
    110020: "OTHER",  # too many open orders
    110044: "INSUFFICIENT_FUNDS",
    110045: "INSUFFICIENT_FUNDS",
    110064: "OTHER",
    110072: "DUPLICATE_ID",
    110079: "OTHER",  # the order is being processed: an amend is too late
    110094: "BELOW_MIN",
    170031: "OTHER",
    170115: "OTHER",
    170116: "OTHER",
    170117: "OTHER",
    170121: "OTHER",
    170124: "BAD_QUANTITY",
    170130: "OTHER",
    170131: "INSUFFICIENT_FUNDS",
    170132: "BAD_PRICE",
    170133: "BAD_PRICE",
    170134: "BAD_PRICE",
    170135: "BAD_QUANTITY",
    170136: "BAD_QUANTITY",
    170137: "BAD_QUANTITY",
    170140: "BELOW_MIN",
    170141: "DUPLICATE_ID",
    170151: "OTHER",
    170157: "OTHER",
    170192: "BAD_PRICE",
    170193: "BAD_PRICE",
    170194: "BAD_PRICE",
    170201: "OTHER",
    170202: "OTHER",
    170209: "OTHER",
    170210: "OTHER",
    170217: "OTHER",
    170218: "POST_ONLY",
    170810: "OTHER",
}
NO_ERROR: Final = "EC_NoError"
WOULD_TAKE: Final = "EC_PostOnlyWillTakeLiquidity"
_REASONS: Final[Mapping[str, str]] = {
    WOULD_TAKE: "POST_ONLY",
    "EC_ClOrdIDAlreadyExists": "DUPLICATE_ID",
    "EC_LimitOrderInvalidPrice": "BAD_PRICE",
    "EC_QtyCannotBeZero": "BAD_QUANTITY",
    "EC_CancelForNoFullFill": "NOT_FILLED",
}


class _Answer(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""


_decode: Final = msgspec.json.Decoder(_Answer).decode


def refusal(answer: Answered) -> Refusal | None:
    """What an answer rejects, and with what certainty; None for one that only says it was taken."""
    try:
        said = _decode(answer.body)
    except msgspec.MsgspecError:
        return _without_code(answer)
    code = said.ret_code
    text = f"{code} {said.ret_msg}".strip()
    if answer.status == _FORBIDDEN:
        return _banned(text)
    if code == 0:
        return None
    if code in WAIT:
        return Refusal(
            fate=Fate.WAIT,
            code="RATE_LIMIT",
            text=text,
            retry_after_s=seconds(answer.headers.get(RETRY_AFTER, "")),
        )
    if code == PARAMETER and _UNCHANGED in said.ret_msg:
        # An amend before it was carried out after all: a query shows the terms.
        return Refusal(fate=Fate.UNKNOWN, text=text)
    if code in NOT_FOUND:
        return Refusal(fate=Fate.NOT_FOUND, text=text)
    if code in KEY:
        return Refusal(fate=Fate.REFUSED, text=text, key=True)
    if code in _REFUSED:
        return Refusal(fate=Fate.REFUSED, code=_REFUSED[code], text=text, clock=code == CLOCK)
    return Refusal(fate=Fate.UNKNOWN, text=text)


def code_of(answer: Answered) -> int:
    """The venue's code; 0 where there is none."""
    try:
        return _decode(answer.body).ret_code
    except msgspec.MsgspecError:
        return 0


def _without_code(answer: Answered) -> Refusal:
    """A page of a server before the exchange, or nothing that can be read."""
    if answer.status == _FORBIDDEN:
        return _banned(f"{answer.status} access too frequent")
    if answer.status == _TOO_MANY:
        after_s = seconds(answer.headers.get(RETRY_AFTER, ""))
        text = f"{answer.status} too many requests"
        return Refusal(fate=Fate.WAIT, code="RATE_LIMIT", text=text, retry_after_s=after_s)
    return Refusal(fate=Fate.UNKNOWN, text=f"{answer.status} an answer without a code".strip())


def _banned(text: str) -> Refusal:
    return Refusal(
        fate=Fate.WAIT, code="RATE_LIMIT", text=text, retry_after_s=_BANNED_S, banned=True
    )


def reject_code(reason: str) -> str:
    """The engine's code for the reason of an order that the matching engine rejected."""
    return _REASONS.get(reason, "OTHER")
