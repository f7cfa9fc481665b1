"""Bybit's rows and codes at their edges: what is certain, what is not, and what nobody can read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from chaos_market import instrument_of

from citadel_micro.adapters.bybit.codes import refusal
from citadel_micro.adapters.bybit.messages import BybitReader
from citadel_micro.shell.venue.facts import (
    Anomaly,
    BalanceFact,
    OrderFact,
    StreamAlive,
    StreamEnds,
    TradeFact,
)
from citadel_micro.shell.venue.outcomes import Answered, Fate

if TYPE_CHECKING:
    from citadel_micro.shell.venue.facts import Fact

RULES = instrument_of("BTC/USDT", "0.01", "0.00001", venue="bybit-spot")
READER = BybitReader({RULES.symbol: RULES})
ORDER = {
    "category": "spot",
    "symbol": "BTCUSDT",
    "orderId": "17",
    "orderLinkId": "scabc123run1-1-1",
    "side": "Buy",
    "orderStatus": "New",
    "cancelType": "UNKNOWN",
    "rejectReason": "EC_NoError",
    "timeInForce": "GTC",
    "price": "60000.01",
    "qty": "0.5",
    "cumExecQty": "0",
    "updatedTime": "1790000000123",
}
FILL = {
    "category": "spot",
    "symbol": "BTCUSDT",
    "orderId": "17",
    "orderLinkId": "scabc123run1-1-1",
    "execId": "2210000000097330907",
    "execType": "Trade",
    "execPrice": "60000.01",
    "execQty": "0.1",
    "execFee": "0.0001",
    "execTime": "1790000000124",
    "side": "Buy",
    "isMaker": True,
    "feeCoin": "",
    "extraFees": "",
}


def told(topic: str, **row: Any) -> list[Fact]:  # noqa: ANN401
    whole = {**(ORDER if topic.startswith("order") else FILL), **row}
    frame = {"id": "1", "topic": topic, "creationTime": 1790000000125, "data": [whole]}
    return READER.event(json.dumps(frame).encode())


def order(**row: Any) -> OrderFact:  # noqa: ANN401
    (fact,) = told("order", **row)
    assert isinstance(fact, OrderFact)
    return fact


def fill(**row: Any) -> TradeFact:  # noqa: ANN401
    (fact,) = told("execution", **row)
    assert isinstance(fact, TradeFact)
    return fact


@pytest.mark.parametrize(
    ("row", "standing"),
    [
        ({}, "open"),
        ({"orderStatus": "PartiallyFilled", "cumExecQty": "0.2"}, "open"),
        ({"orderStatus": "Filled", "cumExecQty": "0.5"}, "filled"),
        ({"orderStatus": "Cancelled"}, "canceled"),
        ({"orderStatus": "PartiallyFilledCanceled", "cumExecQty": "0.2"}, "canceled"),
        ({"orderStatus": "Cancelled", "timeInForce": "IOC"}, "expired"),
        ({"orderStatus": "Rejected", "rejectReason": "EC_Others"}, "rejected"),
        # It says rejected, and has filled: its total counts.
        ({"orderStatus": "Rejected", "cumExecQty": "0.2"}, "canceled"),
        ({"orderStatus": "Deactivated"}, "canceled"),
    ],
)
def test_statuses(row: dict[str, str], standing: str) -> None:
    assert order(**row).standing == standing


@pytest.mark.parametrize("status", ["Rejected", "Cancelled"])
def test_a_post_only_order_that_would_take_is_rejected_whatever_its_end_is_called(
    status: str,
) -> None:
    reason = "EC_PostOnlyWillTakeLiquidity"
    fact = order(orderStatus=status, rejectReason=reason, timeInForce="PostOnly")
    assert (fact.standing, fact.code, fact.reason) == ("rejected", "POST_ONLY", reason)
    filled = order(orderStatus=status, rejectReason=reason, cumExecQty="0.1")
    assert (filled.standing, filled.cumulative_lots) == ("canceled", 10_000)


def test_an_order_is_exact() -> None:
    fact = order(cumExecQty="0.00001")
    assert (fact.price_ticks, fact.quantity_lots, fact.cumulative_lots) == (6_000_001, 50_000, 1)
    assert fact.exchange_ns == 1790000000123 * 1_000_000
    assert fact.shows_terms
    # An amend that fills at once may be told with its end only.
    assert order(orderStatus="Filled", cumExecQty="0.5").shows_terms


def test_what_nobody_can_read_ends_the_stream_or_halts() -> None:
    (puzzle,) = told("order", orderStatus="Reviewing")
    assert isinstance(puzzle, Anomaly)
    assert "Reviewing" in puzzle.text
    for topic, row in (
        ("order", {"cumExecQty": "-0.000001"}),
        ("order", {"price": "NaN"}),
        ("order", {"updatedTime": "soon"}),
        ("execution", {"execQty": "NaN"}),
        ("execution", {"side": "Left"}),
        ("execution", {"extraFees": [{"feeCoin": "IDR", "fee": "12"}]}),
    ):
        (ends,) = told(topic, **row)
        assert isinstance(ends, StreamEnds), (topic, row)
        assert ends.blind
    assert isinstance(READER.event(b"{")[0], StreamEnds)


def test_others_markets_and_topics_are_ignored_but_show_life() -> None:
    for facts in (
        told("order", symbol="ETHUSDT"),
        told("order", category="linear"),
        told("execution", execType="Funding"),
        told("position.linear"),
    ):
        assert [type(fact) for fact in facts] == [StreamAlive]
    assert READER.event(b'{"op":"pong","args":["1"],"conn_id":"x"}') == []


def test_fees_are_of_the_coin_that_they_are_taken_in() -> None:
    assert (fill().fee, fill().fee_currency) == (Decimal("0.0001"), "BTC")
    assert fill(side="Sell").fee_currency == "USDT"
    rebate = fill(execFee="-0.5")
    assert (rebate.fee, rebate.fee_currency) == (Decimal("-0.5"), "USDT")
    assert fill(feeCoin="MNT").fee_currency == "MNT"
    assert fill(feeCurrency="USDT").fee_currency == "USDT"
    taxed = fill(extraFees=[{"feeCoin": "BTC", "fee": "0.00001"}])
    assert taxed.fee == Decimal("0.00011")


def test_a_wallet_is_free_without_what_orders_and_positions_hold() -> None:
    coin = {
        "coin": "USDT",
        "walletBalance": "100",
        "locked": "30",
        "totalOrderIM": "5",
        "totalPositionIM": "",
    }
    data = [{"accountType": "UNIFIED", "coin": [coin]}]
    frame = {"topic": "wallet", "creationTime": 1, "data": data}
    (fact,) = READER.event(json.dumps(frame).encode())
    assert isinstance(fact, BalanceFact)
    assert fact.balances == (("USDT", Decimal(65), Decimal(35)),)
    data[0]["accountType"] = "CONTRACT"
    (ends,) = READER.event(json.dumps(frame).encode())
    assert isinstance(ends, StreamEnds)


@pytest.mark.parametrize(
    ("code", "fate", "engine"),
    [
        (170131, Fate.REFUSED, "INSUFFICIENT_FUNDS"),
        (110007, Fate.REFUSED, "INSUFFICIENT_FUNDS"),
        (170141, Fate.REFUSED, "DUPLICATE_ID"),
        (170140, Fate.REFUSED, "BELOW_MIN"),
        (170218, Fate.REFUSED, "POST_ONLY"),
        (10001, Fate.REFUSED, "OTHER"),
        (170213, Fate.NOT_FOUND, "OTHER"),
        (110001, Fate.NOT_FOUND, "OTHER"),
        (10006, Fate.WAIT, "RATE_LIMIT"),
        (10429, Fate.WAIT, "RATE_LIMIT"),
        (10000, Fate.UNKNOWN, "OTHER"),
        (10016, Fate.UNKNOWN, "OTHER"),
        (170007, Fate.UNKNOWN, "OTHER"),
        (170146, Fate.UNKNOWN, "OTHER"),
        (999999, Fate.UNKNOWN, "OTHER"),
    ],
)
def test_codes(code: int, fate: Fate, engine: str) -> None:
    body = json.dumps({"retCode": code, "retMsg": "words", "result": {}}).encode()
    for status in (0, 200):
        found = refusal(Answered(status=status, body=body))
        assert found is not None
        assert (found.fate, found.code) == (fate, engine)
        assert found.text == f"{code} words"


def test_an_amend_that_changes_nothing_may_have_been_carried_out_before() -> None:
    words = "The order remains unchanged as the parameters entered match the existing ones."
    body = json.dumps({"retCode": 10001, "retMsg": words}).encode()
    found = refusal(Answered(status=0, body=body))
    assert found is not None
    assert found.fate is Fate.UNKNOWN


def test_keys_clocks_bans_and_pages_of_html() -> None:
    def said(code: int, status: int = 200) -> Answered:
        body = json.dumps({"retCode": code, "retMsg": ""}).encode()
        return Answered(status=status, body=body)

    assert refusal(said(0)) is None
    for code in (10003, 10004, 10005, 10010, 33004):
        found = refusal(said(code))
        assert found is not None
        assert found.key
        assert found.fate is Fate.REFUSED
    clock = refusal(said(10002))
    assert clock is not None
    assert clock.clock
    for answer in (said(10018, 403), Answered(status=403, body=b"<html>")):
        ban = refusal(answer)
        assert ban is not None
        assert (ban.banned, ban.retry_after_s, ban.fate) == (True, 600.0, Fate.WAIT)
    for status in (200, 301, 500, 502, 503):
        page = refusal(Answered(status=status, body=b"<html>"))
        assert page is not None
        assert page.fate is Fate.UNKNOWN
