"""Binance spot's answers and events as facts, from the shapes that its documentation shows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from citadel_micro.adapters.binance.spot_messages import Order, SpotReader, Trade
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.venue.facts import (
    Anomaly,
    BalanceFact,
    OrderFact,
    StreamAlive,
    StreamEnds,
    TradeFact,
)
from citadel_proto.errors import VenueViolation

RULES = Instrument(
    venue="binance-spot",
    symbol="ETH/BTC",
    venue_symbol="ETHBTC",
    base="ETH",
    quote="BTC",
    settle="BTC",
    kind="spot",
    tick=Decimal("0.00000100"),
    lot=Decimal("0.00100000"),
    min_lots=1,
    min_notional=Decimal("0.0001"),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    fee_side="received",
)
READER = SpotReader({"ETH/BTC": RULES})
REPORT: dict[str, Any] = {
    "e": "executionReport",
    "E": 1499405658658,
    "s": "ETHBTC",
    "c": "sc-ours-1",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1.00000000",
    "p": "0.10264410",
    "P": "0.00000000",
    "F": "0.00000000",
    "g": -1,
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 4293153,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "T": 1499405658657,
    "t": -1,
    "v": 3,
    "I": 8641984,
    "w": True,
    "m": False,
    "M": False,
    "O": 1499405658657,
    "Z": "0.00000000",
    "Y": "0.00000000",
    "Q": "0.00000000",
    "W": 1499405658657,
    "V": "NONE",
}


def frame(**changes: object) -> bytes:
    return json.dumps(
        {"subscriptionId": 0, "event": {**REPORT, "p": "0.102644", **changes}}
    ).encode()


def only(facts: list[Any]) -> Any:  # noqa: ANN401 - whichever fact it is
    assert len(facts) == 1
    return facts[0]


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        ("NEW", "open"),
        ("PENDING_NEW", "open"),
        ("PARTIALLY_FILLED", "open"),
        ("PENDING_CANCEL", "open"),
        ("FILLED", "filled"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("REJECTED", "rejected"),
    ],
)
def test_every_status(status: str, standing: str) -> None:
    fact = only(READER.event(frame(x=status, X=status, z="0.500")))
    assert isinstance(fact, OrderFact)
    assert (fact.standing, fact.symbol, fact.client_id) == (standing, "ETH/BTC", "sc-ours-1")
    assert (fact.venue_order_id, fact.price_ticks, fact.quantity_lots) == ("4293153", 102644, 1000)
    assert (fact.cumulative_lots, fact.exchange_ns) == (500, 1499405658657_000_000)


def test_a_cancel_renames_the_order_and_ours_is_in_the_other_field() -> None:
    fact = only(READER.event(frame(x="CANCELED", X="CANCELED", c="a-new-one", C="sc-ours-1")))
    assert (fact.client_id, fact.standing) == ("sc-ours-1", "canceled")


def test_a_trade_is_a_fill_with_its_fee_in_whatever_currency() -> None:
    trade, order = READER.event(
        frame(
            x="TRADE",
            X="PARTIALLY_FILLED",
            t=77,
            l="0.200",
            z="0.700",
            L="0.102640",
            n="0.00012345",
            N="BNB",
            m=True,
        )
    )
    assert trade == TradeFact(
        symbol="ETH/BTC",
        client_id="sc-ours-1",
        venue_order_id="4293153",
        trade_id="77",
        price_ticks=102640,
        quantity_lots=200,
        cumulative_lots=700,
        fee=Decimal("0.00012345"),
        fee_currency="BNB",
        liquidity="maker",
        exchange_ns=1499405658657_000_000,
    )
    assert isinstance(order, OrderFact)
    assert (order.standing, order.cumulative_lots) == ("open", 700)


def test_a_fill_without_a_fee() -> None:
    trade = READER.event(frame(x="TRADE", X="FILLED", t=1, l="1", z="1", L="0.1", n="0", N=None))[0]
    assert isinstance(trade, TradeFact)
    assert (trade.fee, trade.fee_currency, trade.liquidity) == (Decimal(0), "BTC", "taker")


def test_an_amend_and_reasons() -> None:
    fact = only(READER.event(frame(x="REPLACED", X="NEW", q="0.4")))
    assert fact.amended
    assert fact.quantity_lots == 400
    fact = only(READER.event(frame(x="REJECTED", X="REJECTED", r="INSUFFICIENT_BALANCES")))
    assert (fact.code, fact.reason) == ("INSUFFICIENT_FUNDS", "INSUFFICIENT_BALANCES")
    fact = only(READER.event(frame(x="EXPIRED", X="EXPIRED", eR=3)))
    assert fact.reason == "expired by rule 3"
    fact = only(READER.event(frame(x="TRADE_PREVENTION", X="EXPIRED_IN_MATCH")))
    assert "another order of the account" in fact.reason


def test_a_status_that_nobody_knows_is_a_puzzle_about_the_order() -> None:
    fact = only(READER.event(frame(X="HIBERNATING")))
    assert isinstance(fact, Anomaly)
    assert (fact.client_id, fact.symbol) == ("sc-ours-1", "ETH/BTC")
    assert "HIBERNATING" in fact.text


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        frame(i="x"),
        frame(z=None),
        frame(x="TRADE", X="FILLED", l="0.0005", z="-0.0005", L="0.1"),
        json.dumps({"event": {"e": "executionReport"}}).encode(),
    ],
)
def test_what_is_not_understood_blinds(data: bytes) -> None:
    fact = only(READER.event(data))
    assert isinstance(fact, StreamEnds)
    assert fact.blind
    assert not fact.key


def test_ends_of_the_stream() -> None:
    ends = b'{"subscriptionId":1,"event":{"e":"eventStreamTerminated","E":1728973001334}}'
    assert only(READER.event(ends)).blind
    for stops in (
        b'{"event":{"e":"serverShutdown","E":1770123456789}}',
        b'{"e":"serverShutdown","E":1770123456789}',
    ):
        assert not only(READER.event(stops)).blind
    revoked = (
        b'{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key, IP, or '
        b'permissions for action."}}'
    )
    fact = only(READER.event(revoked))
    assert fact.blind
    assert fact.key


@pytest.mark.parametrize(
    "data",
    [
        frame(s="BNBBTC", T=5),
        b'{"event":{"e":"balanceUpdate","E":5,"a":"BTC","d":"100.0","T":1}}',
        b'{"event":{"e":"listStatus","E":5}}',
    ],
)
def test_what_only_shows_that_the_stream_is_not_mute(data: bytes) -> None:
    assert READER.event(data) == [StreamAlive(exchange_ns=5_000_000)]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":null,"status":400,"error":{"code":-1100,"msg":"x"}}',
        b"{}",
    ],
)
def test_what_is_of_no_concern(data: bytes) -> None:
    assert READER.event(data) == []


def test_balances() -> None:
    data = (
        b'{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1564034571105,'
        b'"u":1564034571073,"B":[{"a":"ETH","f":"10000.000000","l":"0.100000"}]}}'
    )
    assert only(READER.event(data)) == BalanceFact(
        balances=(("ETH", Decimal(10000), Decimal("0.1")),), exchange_ns=1564034571073_000_000
    )


def order(**values: object) -> Order:
    return msgspec.json.decode(json.dumps(values).encode(), type=Order)


def test_the_answer_to_an_order_with_its_fills() -> None:
    facts = READER.placed(
        order(
            symbol="ETHBTC",
            orderId=28,
            orderListId=-1,
            clientOrderId="sc-ours-1",
            transactTime=1507725176595,
            price="0.1",
            origQty="1.000",
            executedQty="1.000",
            cummulativeQuoteQty="0.1",
            status="FILLED",
            timeInForce="GTC",
            type="LIMIT",
            side="SELL",
            fills=[
                {
                    "price": "0.1",
                    "qty": "0.4",
                    "commission": "4",
                    "commissionAsset": "BTC",
                    "tradeId": 56,
                },
                {
                    "price": "0.1",
                    "qty": "0.6",
                    "commission": "6",
                    "commissionAsset": "BTC",
                    "tradeId": 57,
                },
            ],
        )
    )
    assert [type(fact) for fact in facts] == [TradeFact, TradeFact, OrderFact]
    assert facts[0].trade_id == "56"  # type: ignore[union-attr]
    assert facts[2].standing == "filled"  # type: ignore[union-attr]


def test_an_acknowledgement_says_no_total() -> None:
    fact = only(
        READER.placed(order(symbol="ETHBTC", orderId=28, clientOrderId="c", transactTime=1))
    )
    assert (fact.standing, fact.cumulative_lots) == ("open", -1)


def test_the_answer_to_a_cancel() -> None:
    fact = READER.order(
        order(
            symbol="ETHBTC",
            origClientOrderId="sc-ours-1",
            orderId=4,
            clientOrderId="cancelMyOrder1",
            transactTime=1684804350068,
            price="0.2",
            origQty="1",
            executedQty="0.5",
            status="CANCELED",
            side="SELL",
        )
    )
    assert isinstance(fact, OrderFact)
    assert (fact.client_id, fact.standing, fact.cumulative_lots) == ("sc-ours-1", "canceled", 500)


def test_half_a_lot_is_told_exactly() -> None:
    """The venue has made its lots finer since: others fill our orders in parts of ours."""
    facts = READER.event(
        frame(x="TRADE", X="PARTIALLY_FILLED", l="0.0025", z="0.0035", L="0.1000001")
    )
    trade, order_ = facts
    assert isinstance(trade, TradeFact)
    assert isinstance(order_, OrderFact)
    assert (trade.quantity_lots, trade.cumulative_lots, order_.cumulative_lots) == (2, 3, 3)
    assert trade.exact == (Decimal("0.1000001"), Decimal("0.0025"), Decimal("0.001"))
    whole = READER.event(frame(x="TRADE", X="PARTIALLY_FILLED", l="0.002", z="0.002", L="0.1"))[0]
    assert isinstance(whole, TradeFact)
    assert whole.exact is None


def test_answers_about_other_symbols_and_less_than_nothing_are_no_facts() -> None:
    with pytest.raises(VenueViolation):
        READER.placed(order(symbol="BNBBTC", orderId=1))
    with pytest.raises(VenueViolation):
        READER.order(order(symbol="ETHBTC", orderId=1, executedQty="-0.0001", status="FILLED"))


def test_my_trades_carry_no_client_id() -> None:
    data = (
        b'{"symbol":"ETHBTC","id":1650422481,"orderId":12569099453,"orderListId":-1,"price":"0.1",'
        b'"qty":"0.035","quoteQty":"0.0035","commission":"0.000035","commissionAsset":"ETH",'
        b'"time":1660801715793,"isBuyer":true,"isMaker":true,"isBestMatch":true}'
    )
    fact = READER.trade(msgspec.json.decode(data, type=Trade))
    assert fact is not None
    assert (fact.client_id, fact.venue_order_id, fact.trade_id) == ("", "12569099453", "1650422481")
    assert (fact.fee, fact.fee_currency, fact.liquidity) == (Decimal("0.000035"), "ETH", "maker")
