"""What Hyperliquid's errors mean. They are texts, without codes.

Source: the page "Error responses" of its API documentation, and texts that published clients know. An
error that is listed nowhere is not conclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.http.retry_after import seconds
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from citadel_micro.shell.venue.outcomes import Answered

NOT_MATCHED: Final = "Order could not immediately match against any resting orders."
"""An immediate order ends so when nothing has filled: an end, not a rejection."""
_LIMITED: Final = 429
_UNREADABLE: Final = 422
_SERVER: Final = 500
_PER_REQUEST_S: Final = 10.0
"""An address that has used up its requests may send one in this time."""
_REFUSED: Final = (
    ("Price must be divisible by tick size", "BAD_PRICE"),
    ("Order price cannot be more than", "BAD_PRICE"),
    ("Order must have minimum value of", "BELOW_MIN"),
    ("Order has invalid size", "BAD_QUANTITY"),
    ("Order has zero size", "BAD_QUANTITY"),
    ("Insufficient margin to place order", "INSUFFICIENT_FUNDS"),
    ("Insufficient spot balance", "INSUFFICIENT_FUNDS"),
    ("Must deposit before performing actions", "INSUFFICIENT_FUNDS"),
    ("Reduce only order would increase position", "NOTHING_TO_REDUCE"),
    ("Post only order would have immediately matched", "POST_ONLY"),
    ("No liquidity available for market order", "OTHER"),
    ("Cannot set scheduled cancel time", "OTHER"),
    ("Order would increase open interest", "OTHER"),
    (NOT_MATCHED, "OTHER"),
)
"""Beginning of the text -> code. None of these was executed."""
_CLOCK: Final = ("Invalid nonce", "Nonce", "Action expired", "Transaction expired")
_KEY: Final = "User or API Wallet"
_SPENT: Final = "Too many cumulative requests sent"
_NO_ORDER: Final = "Order was never placed, already canceled, or filled"


class _Error(msgspec.Struct):
    error: str = ""


class _Data(msgspec.Struct):
    statuses: list[_Error | str] = []


class _Done(msgspec.Struct):
    type: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


class _Outcome(msgspec.Struct):
    status: str = ""
    response: msgspec.Raw = msgspec.Raw()


_outcome: Final = msgspec.json.Decoder(_Outcome).decode
_done: Final = msgspec.json.Decoder(_Done).decode
_text: Final = msgspec.json.Decoder(str).decode


def refusal(answer: Answered) -> Refusal | None:
    """What an answer rejects, and with what certainty; None for a success."""
    if answer.status >= 300:  # noqa: PLR2004 - HTTP: redirects and errors
        return _by_status(answer)
    if not answer.body.lstrip().startswith(b"{"):
        return None
    try:
        outcome = _outcome(answer.body)
    except msgspec.MsgspecError:
        return None  # no outcome of an action
    if outcome.status == "err":
        return _by_text(_plain(outcome.response))
    if outcome.status != "ok" or not outcome.response:
        return None
    try:
        statuses = _done(outcome.response).data.statuses
    except msgspec.MsgspecError:
        return None
    first = statuses[0] if statuses else ""
    return _by_text(first.error) if isinstance(first, _Error) and first.error else None


def is_done(answer: Answered) -> bool:
    """Whether an answer says that an action which is about no order was carried out."""
    try:
        outcome = _outcome(answer.body)
        return outcome.status == "ok" and _done(outcome.response).type == "default"
    except msgspec.MsgspecError:
        return False


def succeeded(answer: Answered) -> bool:
    """Whether an answer says "success" of the one order that a request named."""
    try:
        outcome = _outcome(answer.body)
        return outcome.status == "ok" and _done(outcome.response).data.statuses == ["success"]
    except msgspec.MsgspecError:
        return False


def _plain(raw: msgspec.Raw) -> str:
    try:
        return _text(raw)
    except msgspec.MsgspecError:
        return bytes(raw).decode("utf-8", "replace")


def _by_status(answer: Answered) -> Refusal:
    text = f"{answer.status} {answer.body[:200].decode('utf-8', 'replace')}".rstrip()
    if answer.status == _LIMITED:
        after_s = seconds(answer.headers.get("retry-after", ""))
        return Refusal(fate=Fate.WAIT, text=text, retry_after_s=after_s)
    # 422: the venue could not read the request at all.
    fate = Fate.REFUSED if answer.status == _UNREADABLE else Fate.UNKNOWN
    return Refusal(fate=fate, text=text)


def _by_text(text: str) -> Refusal:
    if text.startswith(_NO_ORDER):
        return Refusal(fate=Fate.NOT_FOUND, text=text)
    if text.startswith(_SPENT):
        # Cancels have a larger allowance of their own.
        return Refusal(fate=Fate.WAIT, text=text, retry_after_s=_PER_REQUEST_S, orders_only=True)
    if text.startswith(_KEY):
        return Refusal(fate=Fate.REFUSED, text=text, key=True)
    if text.startswith(_CLOCK):
        return Refusal(fate=Fate.REFUSED, text=text, clock=True)
    for beginning, code in _REFUSED:
        if text.startswith(beginning):
            return Refusal(fate=Fate.REFUSED, text=text, code=code)
    return Refusal(fate=Fate.UNKNOWN, text=text)
