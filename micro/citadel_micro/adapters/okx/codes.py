"""OKX's error codes: whether a request was certainly rejected, must wait, or may have been executed.

Source: "Error Code" of the venue's documentation. An answer has a code, and where it is about an
order, that order's own (``sCode``), which counts. A code that is not listed here is not conclusive, so
the order is queried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.venue.outcomes import Answered

_SERVER: Final = 500
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429

UNKNOWN: Final = frozenset({50001, 50004, 50013, 50026})
"""Unavailable, timed out, busy, system error: "does not indicate success or failure"."""
WAIT: Final = frozenset({50011, 50061, 60014})
TOO_MANY_ORDERS: Final = 50061
WINDOW_S: Final = 2.0
"""The windows of the rate limits; the venue names no time to wait."""
NO_SUCH_ORDER: Final = 51603
NOT_FOUND: Final = frozenset({51400, 51401, 51402, 51410, 51503, 51509, 51510, NO_SUCH_ORDER})
"""Gone, canceled, filled or being canceled: only a query shows which."""
CLOCK: Final = frozenset({50102, 50112, 60004, 60006})
KEY: Final = frozenset(
    {
        *(
            50100,
            50101,
            50103,
            50104,
            50105,
            50106,
            50107,
            50110,
            50111,
            50113,
            50114,
            50119,
            50120,
        ),
        *(60001, 60002, 60003, 60005, 60007, 60009, 60011, 60024, 60032),
    }
)
_CODES: Final[Mapping[int, str]] = {
    **dict.fromkeys((51008, 51119, 51127, 51131, 51502), "INSUFFICIENT_FUNDS"),
    51016: "DUPLICATE_ID",
    **dict.fromkeys((51006, 51116, 51122, 51135, 51136, 51137, 51138), "BAD_PRICE"),
    **dict.fromkeys((51004, 51005, 51101, 51105, 51106, 51121, 51201, 51202), "BAD_QUANTITY"),
    **dict.fromkeys((51007, 51020, 51100, 51120), "BELOW_MIN"),
    51511: "POST_ONLY",
    **dict.fromkeys((51112, 51169, 51170), "NOTHING_TO_REDUCE"),
}
"""Of what is certainly rejected -> as in ``core.model.events.OrderRejected``."""
PARAMETER: Final = 51000
"""``Parameter {name} error``."""
_OTHERS: Final = frozenset(
    {
        # The request itself: body, parameters, account.
        *(50000, 50002, 50006, 50007, 50009, 50012, 50014, 50015, 50016, 50024, 50025, 50027),
        # The instrument: it does not exist, is suspended, expired, or not for this account.
        *(PARAMETER, 51001, 51003, 51009, 51010, 51012, 51014, 51015, 51021, 51022, 51024, 51025),
        *(51027, 51028, 51029, 51030, 51103, 51104, 51107, 51108, 51155, 51174),
        # A cancel or an amend that this order cannot have.
        *(51403, 51404, 51407, 51500, 51506, 51508),
        # A leverage or a position mode that the account cannot have.
        *(59000, 59101, 59102, 59103, 59104, 59105, 59106, 59107),
        # The websocket's: not a request, wrong arguments, not an operation of it.
        *(60012, 60013, 60019),
    }
)


class _Row(msgspec.Struct):
    sCode: str = ""  # noqa: N815 - the venue's names
    sMsg: str = ""  # noqa: N815


class _Envelope(msgspec.Struct):
    code: str = ""
    msg: str = ""
    data: list[msgspec.Raw] = []


_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_row: Final = msgspec.json.Decoder(_Row).decode


def refusal(answer: Answered) -> Refusal | None:
    """What an answer rejects, and with what certainty; None for a success."""
    try:
        told = _envelope(answer.body)
        code, text = told.code, told.msg
        if code in {"1", "2"} and told.data:
            row = _row(bytes(told.data[0]))
            code, text = row.sCode or code, row.sMsg or text
    except msgspec.MsgspecError:
        return _without_code(answer.status)
    if code == "0":
        return None
    if not code.isdecimal():
        return _without_code(answer.status)
    return _meaning(int(code), f"{code} {text}".strip(), answer.status)


def key_refused(code: str) -> bool:
    """Whether a code means that the key, or the login by it, is not accepted."""
    return code.isdecimal() and int(code) in KEY


def _meaning(code: int, text: str, status: int) -> Refusal:
    if code in WAIT or (status == _TOO_MANY and code not in UNKNOWN):
        return Refusal(
            fate=Fate.WAIT,
            code="RATE_LIMIT",
            text=text,
            retry_after_s=WINDOW_S,
            orders_only=code == TOO_MANY_ORDERS,
        )
    if code in UNKNOWN or status >= _SERVER:
        return Refusal(fate=Fate.UNKNOWN, text=text)
    if code in NOT_FOUND:
        return Refusal(fate=Fate.NOT_FOUND, text=text)
    key, clock = code in KEY, code in CLOCK
    if key or clock or code in _OTHERS or code in _CODES:
        meant = _CODES.get(code) or (_parameter(text) if code == PARAMETER else "OTHER")
        return Refusal(fate=Fate.REFUSED, code=meant, text=text, key=key, clock=clock)
    return Refusal(fate=Fate.UNKNOWN, text=text)


def _parameter(text: str) -> str:
    """What is wrong with an order, where the venue names the parameter alone: a price between two ticks."""
    words = text.split()
    return "BAD_PRICE" if "px" in words else "BAD_QUANTITY" if "sz" in words else "OTHER"


def _without_code(status: int) -> Refusal:
    """Of an answer that is not the API's: a page of whatever stands before it."""
    text = f"HTTP {status}"
    if status == _TOO_MANY:
        return Refusal(fate=Fate.WAIT, code="RATE_LIMIT", text=text, retry_after_s=WINDOW_S)
    return Refusal(fate=Fate.REFUSED if status == _FORBIDDEN else Fate.UNKNOWN, text=text)
