"""What Hyperliquid's refusals mean for the order, the key and the requests after them."""

from __future__ import annotations

import json

import pytest

from citadel_micro.adapters.hyperliquid.codes import refusal
from citadel_micro.shell.venue.outcomes import Answered, Fate

# --- errors -------------------------------------------------------------------------------------


def _statuses(text: str) -> Answered:
    response = {"type": "order", "data": {"statuses": [{"error": text}]}}
    body = json.dumps({"status": "ok", "response": response}).encode()
    return Answered(status=200, body=body)


def _err(text: str) -> Answered:
    return Answered(status=200, body=json.dumps({"status": "err", "response": text}).encode())


@pytest.mark.parametrize(
    ("answer", "fate", "code"),
    [
        (_statuses("Price must be divisible by tick size. asset=0"), Fate.REFUSED, "BAD_PRICE"),
        (_statuses("Order must have minimum value of $10. asset=0"), Fate.REFUSED, "BELOW_MIN"),
        (
            _statuses("Post only order would have immediately matched, bbo was 1@2. asset=0"),
            Fate.REFUSED,
            "POST_ONLY",
        ),
        (
            _statuses("Order was never placed, already canceled, or filled. asset=0"),
            Fate.NOT_FOUND,
            "OTHER",
        ),
        (_statuses("Something new."), Fate.UNKNOWN, "OTHER"),
        (_err("Invalid nonce: duplicate nonce 5."), Fate.REFUSED, "OTHER"),
        (
            _err("Must deposit before performing actions. User: 0x"),
            Fate.REFUSED,
            "INSUFFICIENT_FUNDS",
        ),
        (_err("Something new."), Fate.UNKNOWN, "OTHER"),
        (Answered(status=500, body=b"oops"), Fate.UNKNOWN, "OTHER"),
        (Answered(status=504, body=b""), Fate.UNKNOWN, "OTHER"),
        (Answered(status=302, body=b""), Fate.UNKNOWN, "OTHER"),
        (Answered(status=429, body=b"null"), Fate.WAIT, "OTHER"),
        (Answered(status=422, body=b"Failed to deserialize"), Fate.REFUSED, "OTHER"),
    ],
)
def test_errors(answer: Answered, fate: Fate, code: str) -> None:
    found = refusal(answer)
    assert found is not None
    assert (found.fate, found.code) == (fate, code)


def test_errors_that_concern_every_request() -> None:
    unknown = refusal(_err("User or API Wallet 0x12 does not exist."))
    assert unknown is not None
    assert unknown.key
    late = refusal(_err("Invalid nonce: 1 is below 2."))
    assert late is not None
    assert late.clock
    spent = refusal(_err("Too many cumulative requests sent (37986 > 10436) for cumulative volume"))
    assert spent is not None
    assert (spent.fate, spent.orders_only, spent.retry_after_s) == (Fate.WAIT, True, 10.0)
    assert (
        refusal(Answered(status=0, body=b'{"status":"ok","response":{"type":"default"}}')) is None
    )
    assert refusal(Answered(status=0, body=b'{"status":"unknownOid"}')) is None
    assert refusal(Answered(status=0, body=b"[]")) is None
