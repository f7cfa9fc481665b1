"""Binance USD-M's error codes beyond those of spot.

Source: the error list of the USD-M API. As on spot, a code that is listed nowhere is not conclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance import error_codes
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from citadel_micro.shell.venue.outcomes import Answered

_SERVER: Final = 500
_CODES: Final = {
    -2018: "INSUFFICIENT_FUNDS",
    -2019: "INSUFFICIENT_FUNDS",
    -2020: "OTHER",
    -2022: "NOTHING_TO_REDUCE",
    -2023: "OTHER",  # the account is being liquidated
    -2024: "NOTHING_TO_REDUCE",
    -2025: "OTHER",
    -2026: "OTHER",
    -2027: "OTHER",
    -2028: "INSUFFICIENT_FUNDS",
    -4001: "BAD_PRICE",
    -4002: "BAD_PRICE",
    -4003: "BAD_QUANTITY",
    -4004: "BAD_QUANTITY",
    -4005: "BAD_QUANTITY",
    -4013: "BAD_PRICE",
    -4014: "BAD_PRICE",
    -4015: "OTHER",
    -4016: "BAD_PRICE",
    -4023: "BAD_QUANTITY",
    -4024: "BAD_PRICE",
    -4061: "OTHER",  # hedge mode
    -4116: "DUPLICATE_ID",
    -4118: "NOTHING_TO_REDUCE",
    -4131: "BAD_PRICE",
    -4164: "BELOW_MIN",
    -4400: "OTHER",
    -5021: "NOT_FILLED",
    -5022: "POST_ONLY",
    -5026: "OTHER",
    -5027: "OTHER",
    -5028: "OTHER",
}
NO_LISTEN_KEY: Final = -1125
ALREADY_SO: Final = -4046
"""The margin mode is what was asked for."""


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


def refusal(answer: Answered) -> Refusal | None:
    """What an answer rejects, and with what certainty; None for a success."""
    found = error_codes.refusal(answer)
    if found is None or answer.status >= _SERVER:
        return found
    code = code_of(answer)
    if code not in _CODES:
        return found
    return Refusal(fate=Fate.REFUSED, code=_CODES[code], text=found.text)


def code_of(answer: Answered) -> int:
    """The venue's code; 0 where there is none."""
    try:
        return msgspec.json.decode(answer.body, type=_Error).code
    except msgspec.MsgspecError:
        return 0
