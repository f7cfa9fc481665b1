"""What each code means for a request whose outcome money depends on, at Binance, OKX and Bybit.

A place that was certainly refused frees its budget, one that waits may be sent later, and of all else the order
is asked about: so is of every code that is not known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from citadel_micro.adapters.binance import error_codes, usdm_codes
from citadel_micro.adapters.bybit import codes as bybit_codes
from citadel_micro.adapters.okx import codes as okx_codes
from citadel_micro.shell.venue.outcomes import Answered, Fate

if TYPE_CHECKING:
    from citadel_micro.shell.venue.outcomes import Refusal

REFUSED, UNKNOWN, WAIT, NOT_FOUND = Fate.REFUSED, Fate.UNKNOWN, Fate.WAIT, Fate.NOT_FOUND


def binance(code: int, status: int, text: str = "words") -> Answered:
    return Answered(status=status, body=json.dumps({"code": code, "msg": text}).encode())


def spot(code: int, status: int = 400, text: str = "words") -> Refusal | None:
    return error_codes.refusal(binance(code, status, text))


def usdm(code: int, status: int = 400, text: str = "words") -> Refusal | None:
    return usdm_codes.refusal(binance(code, status, text))


def okx(code: int, status: int = 200) -> Refusal | None:
    row = [{"sCode": str(code), "sMsg": "words"}]
    own = json.dumps({"code": "1", "msg": "", "data": row}).encode()
    whole = json.dumps({"code": str(code), "msg": "words", "data": []}).encode()
    ofs = [okx_codes.refusal(Answered(status=status, body=each)) for each in (own, whole)]
    assert ofs[0] == ofs[1], "of the order, or of the whole request"
    return ofs[0]


def bybit(code: int, status: int = 200) -> Refusal | None:
    body = json.dumps({"retCode": code, "retMsg": "words", "result": {}}).encode()
    return bybit_codes.refusal(Answered(status=status, body=body))


TAKE = "Order would immediately match and take."
MEANINGS = {
    "spot: an internal error": (spot(-1000), UNKNOWN, "OTHER"),
    "spot: disconnected": (spot(-1001), UNKNOWN, "OTHER"),
    "spot: an unexpected answer of its back end": (spot(-1006), UNKNOWN, "OTHER"),
    "spot: its back end has timed out": (spot(-1007, 408), UNKNOWN, "OTHER"),
    "spot: overloaded": (spot(-1008, 503), UNKNOWN, "OTHER"),
    "spot: a definite code with the status of a server's fault": (
        spot(-2010, 500),
        UNKNOWN,
        "OTHER",
    ),
    "spot: a filter": (spot(-1013, text="Filter failure: NOTIONAL"), REFUSED, "BELOW_MIN"),
    "spot: outside of the receive window": (spot(-1021), REFUSED, "OTHER"),
    "spot: a signature": (spot(-1022), REFUSED, "OTHER"),
    "spot: a parameter": (spot(-1102), REFUSED, "OTHER"),
    "spot: post-only": (spot(-2010, text=TAKE), REFUSED, "POST_ONLY"),
    "spot: rejected with a text that is not known": (spot(-2010), REFUSED, "OTHER"),
    "spot: a key": (spot(-2015, 401), REFUSED, "OTHER"),
    "spot: too many amends": (spot(-2038), REFUSED, "OTHER"),
    "spot: its firewall": (spot(0, 403), REFUSED, "OTHER"),
    "spot: too many requests": (spot(-1003, 429), WAIT, "RATE_LIMIT"),
    "spot: too many orders": (spot(-1015, 429), WAIT, "RATE_LIMIT"),
    "spot: banned": (spot(-1003, 418), WAIT, "RATE_LIMIT"),
    "spot: a cancel that finds nothing": (
        spot(-2011, text="Unknown order sent."),
        NOT_FOUND,
        "OTHER",
    ),
    "spot: no such order": (spot(-2013), NOT_FOUND, "OTHER"),
    "spot: archived": (spot(-2026), NOT_FOUND, "OTHER"),
    "spot: a code that nobody knows": (spot(-9999), UNKNOWN, "OTHER"),
    "usdm: a timeout": (usdm(0, 408), UNKNOWN, "OTHER"),
    "usdm: 503, unknown": (usdm(-1000, 503, "Unknown error, please check"), UNKNOWN, "OTHER"),
    "usdm: 503, unavailable": (usdm(-1000, 503, "Service Unavailable"), UNKNOWN, "OTHER"),
    "usdm: a definite code with 503": (usdm(-2022, 503), UNKNOWN, "OTHER"),
    "usdm: funds": (usdm(-2019), REFUSED, "INSUFFICIENT_FUNDS"),
    "usdm: nothing to reduce": (usdm(-2022), REFUSED, "NOTHING_TO_REDUCE"),
    "usdm: reductions that rest": (usdm(-4118), REFUSED, "NOTHING_TO_REDUCE"),
    "usdm: notional": (usdm(-4164), REFUSED, "BELOW_MIN"),
    "usdm: an id": (usdm(-4116), REFUSED, "DUPLICATE_ID"),
    "usdm: fill or kill": (usdm(-5021), REFUSED, "NOT_FILLED"),
    "usdm: post-only": (usdm(-5022), REFUSED, "POST_ONLY"),
    "usdm: an amend of nothing": (usdm(-5027), REFUSED, "OTHER"),
    "usdm: expired in the engine": (usdm(-5028), REFUSED, "OTHER"),
    "usdm: no such order": (usdm(-2013), NOT_FOUND, "OTHER"),
    "okx: unavailable": (okx(50001, 503), UNKNOWN, "OTHER"),
    "okx: timed out": (okx(50004), UNKNOWN, "OTHER"),
    "okx: busy": (okx(50013, 429), UNKNOWN, "OTHER"),
    "okx: a system error": (okx(50026, 500), UNKNOWN, "OTHER"),
    "okx: funds": (okx(51008), REFUSED, "INSUFFICIENT_FUNDS"),
    "okx: an id": (okx(51016), REFUSED, "DUPLICATE_ID"),
    "okx: a price": (okx(51006), REFUSED, "BAD_PRICE"),
    "okx: too small": (okx(51020), REFUSED, "BELOW_MIN"),
    "okx: below the minimum": (okx(51120), REFUSED, "BELOW_MIN"),
    "okx: nothing to reduce": (okx(51169), REFUSED, "NOTHING_TO_REDUCE"),
    "okx: an amend of a post-only order": (okx(51511), REFUSED, "POST_ONLY"),
    "okx: too many requests": (okx(50011, 429), WAIT, "RATE_LIMIT"),
    "okx: too many orders": (okx(50061), WAIT, "RATE_LIMIT"),
    "okx: a cancel that finds nothing": (okx(51400), NOT_FOUND, "OTHER"),
    "okx: canceled before": (okx(51401), NOT_FOUND, "OTHER"),
    "okx: filled before": (okx(51402), NOT_FOUND, "OTHER"),
    "okx: being canceled": (okx(51410), NOT_FOUND, "OTHER"),
    "bybit: a server's fault": (bybit(10000), UNKNOWN, "OTHER"),
    "bybit: an internal error": (bybit(10016), UNKNOWN, "OTHER"),
    "bybit: its back end has timed out": (bybit(170007), UNKNOWN, "OTHER"),
    "bybit: a placing that has timed out": (bybit(170146), UNKNOWN, "OTHER"),
    "bybit: funds of contracts": (bybit(110007), REFUSED, "INSUFFICIENT_FUNDS"),
    "bybit: funds": (bybit(170131), REFUSED, "INSUFFICIENT_FUNDS"),
    "bybit: an id of contracts": (bybit(110072), REFUSED, "DUPLICATE_ID"),
    "bybit: an id": (bybit(170141), REFUSED, "DUPLICATE_ID"),
    "bybit: too small a contract": (bybit(110094), REFUSED, "BELOW_MIN"),
    "bybit: too small": (bybit(170140), REFUSED, "BELOW_MIN"),
    "bybit: nothing to reduce": (bybit(110017), REFUSED, "NOTHING_TO_REDUCE"),
    "bybit: post-only": (bybit(170218), REFUSED, "POST_ONLY"),
    "bybit: a clock": (bybit(10002), REFUSED, "OTHER"),
    "bybit: too many requests": (bybit(10006), WAIT, "RATE_LIMIT"),
    "bybit: too many orders of all": (bybit(10429), WAIT, "RATE_LIMIT"),
    "bybit: banned": (bybit(0, 403), WAIT, "RATE_LIMIT"),
    "bybit: a cancel that finds nothing": (bybit(110001), NOT_FOUND, "OTHER"),
    "bybit: over before": (bybit(110008), NOT_FOUND, "OTHER"),
    "bybit: canceled before": (bybit(110010), NOT_FOUND, "OTHER"),
    "bybit: a cancel that finds nothing on spot": (bybit(170213), NOT_FOUND, "OTHER"),
}
"""An answer -> fate of the request, and what the engine is told of one that was refused."""


@pytest.mark.parametrize("what", MEANINGS)
def test_what_a_code_means(what: str) -> None:
    refused, fate, code = MEANINGS[what]
    assert refused is not None
    assert (refused.fate, refused.code) == (fate, code)
