"""What ccxt's exceptions mean for a request.

ccxt's classes are a translation by others of codes of the venue's, so few of them count as a certain
reject. Every other is UNKNOWN: the order is queried, never sent again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.adapters.ccxt.order_rows import Frame

LONGEST: Final = 300
PAUSE_S: Final = 5.0
_ADDRESS: Final = re.compile(r"\b(?:https?|wss?)://\S+")
_REFUSED: Final[Mapping[str, str]] = {
    "BadRequest": "OTHER",
    "BadSymbol": "OTHER",
    "InsufficientFunds": "INSUFFICIENT_FUNDS",
    "InvalidOrder": "OTHER",
    "MarketClosed": "OTHER",
    "OrderImmediatelyFillable": "POST_ONLY",
    "OrderNotFillable": "OTHER",
}
_KEY: Final = frozenset(
    {"AccountNotEnabled", "AccountSuspended", "AuthenticationError", "PermissionDenied"}
)
_POST_ONLY: Final = re.compile(r"immediately match|post.?only|would (?:cross|take)", re.IGNORECASE)


def plain(error: BaseException) -> str:
    """An exception's text without addresses: their queries are signed."""
    return f"{type(error).__name__}: {_ADDRESS.sub('(address)', str(error))}"[:LONGEST]


def refusal_of(frame: Frame) -> Refusal:
    """The fate of a request whose answer is this error."""
    name, text = frame.error, frame.text
    if not frame.left:
        return Refusal(fate=Fate.REFUSED, text=text)
    if name == "OrderNotFound":
        return Refusal(fate=Fate.NOT_FOUND, text=text)
    if name == "RateLimitExceeded":
        return Refusal(fate=Fate.WAIT, text=text, code="RATE_LIMIT")
    if name == "DuplicateOrderId":
        return Refusal(fate=Fate.REFUSED, text=text, code="DUPLICATE_ID")
    if name in _KEY:
        return Refusal(fate=Fate.REFUSED, text=text, key=True)
    if name == "InvalidNonce":
        return Refusal(fate=Fate.REFUSED, text=text, clock=True)
    if name == "DDoSProtection":
        # What ccxt calls several things, a refused key among them; sending more would be worse.
        return Refusal(fate=Fate.UNKNOWN, text=text, retry_after_s=PAUSE_S)
    code = _REFUSED.get(name)
    if code is None:
        return Refusal(fate=Fate.UNKNOWN, text=text)
    if code == "OTHER" and name == "InvalidOrder" and _POST_ONLY.search(text):
        code = "POST_ONLY"
    return Refusal(fate=Fate.REFUSED, text=text, code=code)
