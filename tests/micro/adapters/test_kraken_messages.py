"""Kraken's messages, one by one: what they say, what they leave out, and what nobody can read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from kraken_bench import kraken_rules
from kraken_kit import SYMBOL

from citadel_micro.adapters.kraken.account_facts import account_of, rights_of
from citadel_micro.adapters.kraken.codes import refusal
from citadel_micro.adapters.kraken.holdings import Holdings
from citadel_micro.adapters.kraken.messages import KrakenReader, OrderRow, coin_of
from citadel_micro.adapters.kraken.requests import KrakenRequests
from citadel_micro.shell.venue.facts import (
    Anomaly,
    BalanceFact,
    Fact,
    OrderFact,
    StreamAlive,
    StreamEnds,
    TradeFact,
)
from citadel_micro.shell.venue.outcomes import Answered, Fate

AT = "2026-11-28T02:17:33.915750Z"
NS = 1_795_832_253_915_750_000
WHOLE = {
    "order_id": "OAAAAA-AAAAA-AAAAAA",
    "cl_ord_id": "mine",
    "symbol": SYMBOL,
    "side": "buy",
    "order_qty": 0.5,
    "limit_price": 90000.1,
    "cum_qty": 0,
    "exec_type": "pending_new",
    "order_status": "pending_new",
    "timestamp": AT,
}


def told(reader: KrakenReader, *rows: dict[str, Any], kind: str = "update") -> list[Fact]:
    frame = {"channel": "executions", "type": kind, "data": rows, "sequence": 1}
    return reader.event(json.dumps(frame).encode())


def later(exec_type: str, status: str, **more: object) -> dict[str, Any]:
    row = {"order_id": WHOLE["order_id"], "exec_type": exec_type, "order_status": status}
    return row | {"timestamp": AT} | more


def reader() -> KrakenReader:
    return KrakenReader({SYMBOL: kraken_rules()})


def order_of(facts: list[Fact]) -> OrderFact:
    (found,) = [each for each in facts if isinstance(each, OrderFact)]
    return found


def test_a_pending_order_is_not_accepted_yet() -> None:
    assert told(reader(), WHOLE) == [StreamAlive(exchange_ns=NS)]


def test_a_new_order_has_the_terms_of_its_first_report() -> None:
    made = reader()
    told(made, WHOLE)
    fact = order_of(told(made, later("new", "new")))
    assert (fact.symbol, fact.client_id, fact.standing) == (SYMBOL, "mine", "open")
    assert (fact.price_ticks, fact.quantity_lots, fact.exchange_ns) == (9_000_010, 50_000, NS)


def test_a_snapshot_is_remembered_and_reports_nothing() -> None:
    made = reader()
    assert told(made, WHOLE | {"exec_type": "new", "order_status": "new"}, kind="snapshot") == []
    done = order_of(told(made, later("canceled", "canceled", cum_qty=0.2, reason="User requested")))
    assert (done.client_id, done.standing, done.cumulative_lots) == ("mine", "canceled", 20_000)
    assert done.reason == "User requested"


def test_a_fill_is_reported_before_the_total() -> None:
    made = reader()
    told(made, WHOLE)
    row = later(
        "trade", "partially_filled", exec_id="T1", last_qty=0.5, last_price=90000.1,
        liquidity_ind="m", fees=[{"asset": "USDT", "qty": 45.00005}],
    )  # fmt: skip
    (trade,) = told(made, row)
    assert isinstance(trade, TradeFact)
    assert (trade.trade_id, trade.quantity_lots, trade.cumulative_lots) == ("T1", 50_000, -1)
    assert (trade.fee, trade.fee_currency, trade.liquidity) == (
        Decimal("45.00005"),
        "USDT",
        "maker",
    )
    done = order_of(told(made, later("filled", "filled", cum_qty=0.5)))
    assert (done.standing, done.cumulative_lots) == ("filled", 50_000)


def test_an_end_without_a_total_says_so() -> None:
    made = reader()
    told(made, WHOLE)
    assert order_of(told(made, later("expired", "expired"))).cumulative_lots == -1


def test_an_amend_has_its_new_terms() -> None:
    made = reader()
    told(made, WHOLE)
    fact = order_of(told(made, later("amended", "new", order_qty=0.25, limit_price=90000.2)))
    assert (fact.amended, fact.price_ticks, fact.quantity_lots) == (True, 9_000_020, 25_000)


def test_reports_about_nothing_known_show_that_the_stream_lives() -> None:
    assert told(reader(), later("canceled", "canceled", cum_qty=0)) == [StreamAlive(exchange_ns=NS)]
    other = WHOLE | {"symbol": "ETH/EUR", "exec_type": "new", "order_status": "new"}
    assert told(reader(), other) == [StreamAlive(exchange_ns=NS)]


def test_an_unknown_status_is_for_a_person() -> None:
    made = reader()
    told(made, WHOLE)
    (puzzle,) = [
        each for each in told(made, later("new", "PENDING_REVIEW")) if isinstance(each, Anomaly)
    ]
    assert (puzzle.symbol, puzzle.client_id) == (SYMBOL, "mine")


@pytest.mark.parametrize(
    "frame",
    [
        b'{"channel":"executions","type":"update","data":[{"order_id":7}]}',
        (
            b'{"channel":"executions","type":"update","data":[{"order_id":"O","symbol":"BTC/USDT",'
            b'"exec_type":"trade","order_status":"new","timestamp":"2026-11-28T02:17:33Z"}]}'
        ),
        (
            b'{"channel":"executions","type":"update","data":[{"order_id":"O","symbol":"BTC/USDT",'
            b'"exec_type":"canceled","order_status":"canceled","cum_qty":-0.000001,'
            b'"timestamp":"2026-11-28T02:17:33Z"}]}'
        ),
        b'{"channel":"executions","data":[{"order_id":"O","symbol":"BTC/USDT","timestamp":"soon"}]}',
        b"nonsense",
        b'{"channel":"status","type":"update","data":[{"system":"maintenance"}]}',
    ],
)
def test_what_cannot_be_read_ends_the_stream(frame: bytes) -> None:
    (ends,) = reader().event(frame)
    assert isinstance(ends, StreamEnds)
    assert ends.blind


@pytest.mark.parametrize(
    "frame",
    [
        b'{"channel":"heartbeat"}',
        b'{"channel":"status","type":"update","data":[{"system":"online"}]}',
        b'{"method":"pong"}',
    ],
)
def test_upkeep_of_the_venue_is_nothing(frame: bytes) -> None:
    assert reader().event(frame) == []


def entry(asset: str, balance: str, at: str) -> bytes:
    return (
        b'{"channel":"balances","type":"update","data":[{"asset":"%b","balance":%b,"timestamp":"%b"}]}'
        % (asset.encode(), balance.encode(), at.encode())
    )


def balances(facts: list[Fact]) -> list[BalanceFact]:
    return [each for each in facts if isinstance(each, BalanceFact)]


def test_what_an_order_holds_is_reported_with_the_time_of_the_total() -> None:
    made = reader()
    (stated,) = balances(made.event(entry("USDT", "1000000.5", AT)))
    assert stated.balances == (("USDT", Decimal("1000000.5"), Decimal(0)),)
    later_at = "2026-11-28T02:18:00.000000Z"
    (held,) = balances(told(made, WHOLE | {"timestamp": later_at}))
    used = Decimal("45000.05") + Decimal("45.00005")
    assert held.balances == (("USDT", Decimal("1000000.5") - used, used),)
    # Not the order's time: a fill between the two must not be undone by the older total.
    assert held.exchange_ns == NS
    (free,) = balances(told(made, later("canceled", "canceled", cum_qty=0)))
    assert free.balances == (("USDT", Decimal("1000000.5"), Decimal(0)),)


def test_an_older_total_does_not_replace_a_newer_one() -> None:
    holdings = Holdings()
    holdings.stated([("BTC", Decimal(2))], 20)
    holdings.stated([("BTC", Decimal(1))], 10)
    assert holdings.fact("BTC")[0].balances == (("BTC", Decimal(2), Decimal(0)),)
    assert holdings.fact("ETH") == []


def test_a_trailing_stop_of_somebody_else_is_no_number() -> None:
    row = OrderRow.__struct_fields__
    assert "descr" in row
    import msgspec  # noqa: PLC0415 - only here

    text = b"""{"status":"open","vol":"10","vol_exec":"0","opentm":1.5,"cl_ord_id":null,
        "descr":{"pair":"XBTUSDT","type":"sell","price":"+50.0000%"}}"""
    fact = reader().order("O", msgspec.json.decode(text, type=OrderRow, strict=False))
    assert isinstance(fact, OrderFact)
    assert (fact.price_ticks, fact.client_id, fact.exchange_ns) == (0, "", 1_500_000_000)


@pytest.mark.parametrize(
    ("asset", "coin"),
    [("XXBT", "BTC"), ("XBT", "BTC"), ("ZUSD", "USD"), ("USDT", "USDT"), ("XXDG", "DOGE"),
     ("XETH", "ETH"), ("ATOM", "ATOM"), ("ADA.S", "ADA.S"), ("SOL", "SOL")],
)  # fmt: skip
def test_assets_have_two_names(asset: str, coin: str) -> None:
    assert coin_of(asset) == coin


@pytest.mark.parametrize(
    ("body", "fate", "code"),
    [
        ('{"error":["EOrder:Insufficient funds"]}', Fate.REFUSED, "INSUFFICIENT_FUNDS"),
        ('{"success":false,"error":"EOrder:Post only order"}', Fate.REFUSED, "POST_ONLY"),
        ('{"error":["EGeneral:Invalid arguments:volume"]}', Fate.REFUSED, "OTHER"),
        ('{"error":["EGeneral:Invalid arguments:cl_ord_id"]}', Fate.REFUSED, "DUPLICATE_ID"),
        ('{"error":["EOrder:Unknown order"]}', Fate.NOT_FOUND, "OTHER"),
        ('{"error":["EOrder:Rate limit exceeded"]}', Fate.WAIT, "RATE_LIMIT"),
        ('{"error":["EService:Unavailable"]}', Fate.UNKNOWN, "OTHER"),
        ('{"error":["EService:Busy"]}', Fate.UNKNOWN, "OTHER"),
        ('{"error":["EGeneral:Internal error"]}', Fate.UNKNOWN, "OTHER"),
        ('{"error":["EOrder:Something of tomorrow"]}', Fate.UNKNOWN, "OTHER"),
        ('{"success":false}', Fate.UNKNOWN, "OTHER"),
    ],
)
def test_what_an_error_means(body: str, fate: Fate, code: str) -> None:
    refused = refusal(Answered(status=200, body=body.encode()))
    assert refused is not None
    assert (refused.fate, refused.code) == (fate, code)


def test_pages_of_html_are_no_success() -> None:
    refused = refusal(Answered(status=520, body=b"<html>"))
    assert refused is not None
    assert refused.fate is Fate.UNKNOWN


def test_warnings_are_no_errors() -> None:
    body = b'{"error":["WGeneral:Beware"],"result":{}}'
    assert refusal(Answered(status=200, body=body)) is None


def test_limits_of_orders_hold_back_orders_only() -> None:
    orders = refusal(Answered(status=200, body=b'{"error":["EOrder:Rate limit exceeded"]}'))
    calls = refusal(Answered(status=200, body=b'{"error":["EAPI:Rate limit exceeded"]}'))
    locked = refusal(Answered(status=200, body=b'{"error":["EGeneral:Temporary lockout"]}'))
    assert orders is not None
    assert orders.orders_only
    assert calls is not None
    assert not calls.orders_only
    assert locked is not None
    assert locked.retry_after_s == 900


def test_a_search_is_paid_at_once_and_comes_before_audits() -> None:
    made = KrakenRequests({SYMBOL: kraken_rules()}, str, lambda: 0)
    search = [
        made.open_of("mine", deep=True),
        made.closed_of("mine"),
        made.trades_since("0", 0, purpose="query", paid=True),
    ]
    assert [sum(each.costs.values()) for each in search] == [4, 0, 0]
    assert {each.purpose for each in search} == {"query"}
    audits = [made.open_orders(), made.balances(), made.trades_since("0", 0)]
    assert {each.purpose for each in audits} == {"audit"}
    assert sum(sum(each.costs.values()) for each in audits) == 4


def test_the_rights_of_a_key_are_read_by_their_words() -> None:
    rights = rights_of({"permissions": ["query-funds", "modify-trades"], "ip_allowlist": []})
    assert (rights.trade, rights.withdraw, rights.bound_to_addresses) == (True, False, False)
    rights = rights_of({"permissions": ["Withdraw Funds", "Query Funds"]})
    assert (rights.trade, rights.withdraw, rights.bound_to_addresses) == (False, True, None)
    assert rights_of({"rights": []}).failed
    assert account_of({"iban": "AA12 N84G ABCD"}) == "AA12N84GABCD"
    assert not account_of({})
