"""Every code of the table: refused for certain, to wait for, or nobody knows; and what the engine is told."""

from __future__ import annotations

import json

import pytest

from citadel_micro.adapters.binance.error_codes import refusal, reject_code
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderRejected,
    RequestTimedOut,
)
from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent, Refusal
from citadel_micro.shell.venue.unsuccessful import not_done, not_sent, refused

PLACE = PlaceOrder(
    venue="v",
    symbol="s",
    client_id="c",
    parent_id="p",
    side="buy",
    price_ticks=1,
    quantity_lots=1,
    post_only=True,
    time_in_force="GTC",
    reduce_only=False,
    expires_ns=1,
)
CANCEL = CancelOrder(venue="v", symbol="s", client_id="c")
AMEND = AmendOrder(
    venue="v",
    symbol="s",
    client_id="c",
    parent_id="p",
    side="buy",
    price_ticks=1,
    quantity_lots=1,
    post_only=True,
    reduce_only=False,
    expires_ns=1,
)


def answer(status: int, code: int = 0, msg: str = "", **headers: str) -> Answered:
    body = json.dumps({"code": code, "msg": msg}).encode() if code else b"<html>"
    return Answered(
        status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def said(status: int, code: int = 0, msg: str = "", **headers: str) -> Refusal:
    found = refusal(answer(status, code, msg, **headers))
    assert found is not None
    return found


def test_a_success_refuses_nothing() -> None:
    assert refusal(Answered(status=200, body=b"{}")) is None


@pytest.mark.parametrize(
    ("status", "code", "msg", "engine"),
    [
        (400, -2010, "Order would immediately match and take.", "POST_ONLY"),
        (
            400,
            -2010,
            "Account has insufficient balance for requested action.",
            "INSUFFICIENT_FUNDS",
        ),
        (400, -2010, "Duplicate order sent.", "DUPLICATE_ID"),
        (400, -2010, "Market is closed.", "OTHER"),
        (400, -1013, "Filter failure: PRICE_FILTER", "BAD_PRICE"),
        (400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE", "BAD_PRICE"),
        (400, -1013, "Filter failure: LOT_SIZE", "BAD_QUANTITY"),
        (400, -1013, "Filter failure: NOTIONAL", "BELOW_MIN"),
        (400, -1013, "Filter failure: MIN_NOTIONAL", "BELOW_MIN"),
        (400, -1013, "Filter failure: MAX_NUM_ORDERS", "OTHER"),
        (400, -1021, "Timestamp for this request is outside of the recvWindow.", "OTHER"),
        (400, -1022, "Signature for this request is not valid.", "OTHER"),
        (400, -1100, "Illegal characters found in parameter 'price'.", "OTHER"),
        (400, -1102, "Mandatory parameter 'price' was not sent.", "OTHER"),
        (400, -1121, "Invalid symbol.", "OTHER"),
        (400, -1199, "whatever of the eleven hundreds", "OTHER"),
        (400, -2014, "API-key format invalid.", "OTHER"),
        (401, -2015, "Invalid API-key, IP, or permissions for action.", "OTHER"),
        (403, 0, "", "OTHER"),
    ],
)
def test_refused_for_certain(status: int, code: int, msg: str, engine: str) -> None:
    found = said(status, code, msg)
    assert found.fate is Fate.REFUSED
    assert found.code == engine
    report, final = refused(PLACE, found)
    assert isinstance(report, OrderRejected)
    assert report.code == engine
    assert msg in report.text
    assert final is (engine != "DUPLICATE_ID")  # then there is an order of that id


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, 0),
        (502, 0),
        (503, 0),
        (504, 0),
        (503, -1008),
        (400, -1000),
        (400, -1001),
        (400, -1006),
        (400, -1007),
        (408, -1007),
        (409, -2021),  # and whatever is not in the table
        (400, -9999),
        (404, 0),
        (301, 0),
        (0, 0),
    ],
)
def test_nobody_knows(status: int, code: int) -> None:
    found = said(status, code, "x")
    assert found.fate is Fate.UNKNOWN
    assert refused(PLACE, found).report == not_done(PLACE)
    assert not refused(PLACE, found).final
    assert refused(CANCEL, found).report == not_done(CANCEL)
    assert refused(AMEND, found).report == not_done(AMEND)


@pytest.mark.parametrize(
    ("status", "code", "retry", "banned"),
    [
        (429, -1003, "12", False),
        (429, -1015, "", False),
        (400, -1015, "", False),
        (418, -1003, "1800", True),
        (418, 0, "", True),
    ],
)
def test_not_taken_later_perhaps(status: int, code: int, retry: str, banned: bool) -> None:
    found = said(status, code, "Too many requests", retry_after=retry)
    assert found.fate is Fate.WAIT
    assert found.retry_after_s == float(retry or 0)
    assert found.banned is banned
    assert found.orders_only is (code == -1015)
    for command in (PLACE, CANCEL, AMEND):
        report = refused(command, found).report
        assert isinstance(report, OrderRejected | CancelRejected | AmendRejected)
        assert report.code == "RATE_LIMIT"


@pytest.mark.parametrize("text", ["", "abc", "-4", "nan"])
def test_a_pause_without_a_sensible_length_has_the_usual_one(text: str) -> None:
    assert said(429, -1003, "x", retry_after=text).retry_after_s == 0


def test_not_found_is_never_done() -> None:
    gone = said(400, -2011, "Unknown order sent.")
    assert gone.fate is Fate.NOT_FOUND
    report = refused(CANCEL, gone).report
    assert isinstance(report, CancelRejected)
    assert report.code == "NOT_FOUND"
    assert said(400, -2013, "Order does not exist.").fate is Fate.NOT_FOUND
    # An order cannot be refused as not found: nobody knows then.
    assert refused(PLACE, gone).report == not_done(PLACE)
    kept = said(400, -2011, "Order was not canceled due to cancel restrictions.")
    assert kept.fate is Fate.REFUSED
    assert said(400, -2011, "words that nobody knows").fate is Fate.NOT_FOUND


def test_what_concerns_the_key_and_the_clock_is_said() -> None:
    assert said(401, -2015, "x").key
    assert said(400, -2014, "x").key
    assert said(400, -1022, "x").key
    assert said(400, -1021, "x").clock
    assert not said(400, -2010, "x").key


def test_what_was_not_sent_is_void_or_waits() -> None:
    for command, kind in (
        (PLACE, OrderRejected),
        (CANCEL, CancelRejected),
        (AMEND, AmendRejected),
    ):
        void = not_sent(command, NotSent("no connection"))[0]
        late = not_sent(command, NotSent("held back", wait=True))[0]
        assert isinstance(void, OrderRejected | CancelRejected | AmendRejected)
        assert isinstance(late, OrderRejected | CancelRejected | AmendRejected)
        assert type(void) is kind
        assert void.code == ("VOID" if kind is OrderRejected else "OTHER")
        assert late.code == "RATE_LIMIT"


def test_silence_about_each_request_has_its_name() -> None:
    assert [not_done(each).request for each in (PLACE, AMEND, CANCEL)] == [
        "place",
        "amend",
        "cancel",
    ]
    assert isinstance(not_done(PLACE), RequestTimedOut)


def test_reasons_of_the_matching_engine() -> None:
    assert reject_code("INSUFFICIENT_BALANCES") == "INSUFFICIENT_FUNDS"
    assert reject_code("SOMETHING_NEW") == "OTHER"
