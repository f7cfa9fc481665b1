"""Kraken's error texts: whether a request was certainly rejected, must wait, or may have been executed.

Source: the pages "Errors" and "Trading rate limits" of its documentation, and what its clients
know. A text that is not listed here is not conclusive, so the order is queried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.http.retry_after import seconds
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.venue.outcomes import Answered

CALLS: Final = "calls"
"""The counter of REST calls of a key."""
_OK: Final = range(200, 300)
_TOO_MANY: Final = "HTTP 429"
"""Of what stands before the venue, without a text of its own."""
LOCKOUT_S: Final = 900.0
"""A temporary lockout of a key is documented to last 15 minutes."""
_CODES: Final[Mapping[str, tuple[Fate, str]]] = {
    "EOrder:Unknown order": (Fate.NOT_FOUND, "OTHER"),
    "EOrder:Invalid order": (Fate.NOT_FOUND, "OTHER"),
    "EOrder:Rate limit exceeded": (Fate.WAIT, "RATE_LIMIT"),
    "EOrder:Domain rate limit exceeded": (Fate.WAIT, "RATE_LIMIT"),
    "EAPI:Rate limit exceeded": (Fate.WAIT, "RATE_LIMIT"),
    "EGeneral:Too many requests": (Fate.WAIT, "RATE_LIMIT"),
    "EGeneral:Temporary lockout": (Fate.WAIT, "RATE_LIMIT"),
    _TOO_MANY: (Fate.WAIT, "RATE_LIMIT"),
    "EOrder:Post only order": (Fate.REFUSED, "POST_ONLY"),
    "EOrder:Insufficient funds": (Fate.REFUSED, "INSUFFICIENT_FUNDS"),
    "EOrder:Insufficient margin": (Fate.REFUSED, "INSUFFICIENT_FUNDS"),
    "EOrder:Order minimum not met": (Fate.REFUSED, "BELOW_MIN"),
    "EOrder:Cost minimum not met": (Fate.REFUSED, "BELOW_MIN"),
    "EOrder:Tick size check failed": (Fate.REFUSED, "BAD_PRICE"),
    "EOrder:Invalid price": (Fate.REFUSED, "BAD_PRICE"),
    "EOrder:Orders limit exceeded": (Fate.REFUSED, "OTHER"),
    "EOrder:Positions limit exceeded": (Fate.REFUSED, "OTHER"),
    "EOrder:Trading agreement required": (Fate.REFUSED, "OTHER"),
    "EOrder:Reduce only:No position exists": (Fate.REFUSED, "OTHER"),
    "EService:Market in cancel_only mode": (Fate.REFUSED, "OTHER"),
    "EService:Market in post_only mode": (Fate.REFUSED, "OTHER"),
    "EService:Market in limit_only mode": (Fate.REFUSED, "OTHER"),
    "EService:Deadline elapsed": (Fate.REFUSED, "OTHER"),
    "EGeneral:Permission denied": (Fate.REFUSED, "OTHER"),
    "EAPI:Invalid key": (Fate.REFUSED, "OTHER"),
    "EAPI:Invalid signature": (Fate.REFUSED, "OTHER"),
    "EAPI:Invalid nonce": (Fate.REFUSED, "OTHER"),
    "ESession:Invalid session": (Fate.REFUSED, "OTHER"),
    "ETrade:User Locked": (Fate.REFUSED, "OTHER"),
}
_BEGINNINGS: Final[tuple[tuple[str, tuple[Fate, str]], ...]] = (
    ("EGeneral:Invalid arguments", (Fate.REFUSED, "OTHER")),
    ("Currency pair not supported", (Fate.REFUSED, "OTHER")),
    ("EQuery:Unknown asset pair", (Fate.REFUSED, "OTHER")),
)
KEY: Final = frozenset({"EAPI:Invalid key", "EAPI:Invalid signature", "EGeneral:Permission denied"})
NONCE: Final = "EAPI:Invalid nonce"
SESSION: Final = "ESession:Invalid session"
"""The token no longer holds: another connection gets another one, if the key still holds."""
USED_UP: Final = "EAPI:Rate limit exceeded"
"""Of REST alone: orders and cancels over the websocket have limits of their own."""
_NAME: Final = "cl_ord_id"
_LOCKOUT: Final = "EGeneral:Temporary lockout"
_ORDERS: Final = frozenset({"EOrder:Rate limit exceeded", "EOrder:Domain rate limit exceeded"})


class _Answer(msgspec.Struct):
    error: str | list[str] = ""
    success: bool = True


def error_of(answer: Answered) -> str | None:
    """The error's text; None for a success."""
    try:
        said = msgspec.json.decode(answer.body, type=_Answer)
    except msgspec.MsgspecError:
        # A page of what stands before the venue, whatever status it has.
        return f"HTTP {answer.status}" + (": not as documented" if answer.status in _OK else "")
    if isinstance(said.error, list):
        # Warnings begin with W and come with a result.
        errors = [each for each in said.error if not each.startswith("W")]
        if errors:
            return errors[0]
    elif said.error or not said.success:
        return said.error or "no reason given"
    return None if answer.status in _OK else f"HTTP {answer.status}"


def refusal(answer: Answered) -> Refusal | None:
    """What an answer rejects, and with what certainty; None for a success."""
    text = error_of(answer)
    if text is None:
        return None
    fate, code = _CODES.get(text, (Fate.UNKNOWN, "OTHER"))
    for beginning, meaning in _BEGINNINGS:
        if text.startswith(beginning):
            fate, code = meaning
    if fate is Fate.REFUSED and _NAME in text:
        code = "DUPLICATE_ID"  # of a name that has the right form, what else can be wrong
    return Refusal(
        fate=fate,
        code=code,
        text=text,
        key=text in KEY,
        retry_after_s=LOCKOUT_S
        if text == _LOCKOUT
        else seconds(answer.headers.get("retry-after", "")),
        counter=CALLS if text == USED_UP else "",
        orders_only=text in _ORDERS,
    )
