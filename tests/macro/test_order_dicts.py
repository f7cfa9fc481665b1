from __future__ import annotations

import math
import time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from freqtrade.constants import NON_OPEN_EXCHANGE_STATES
from freqtrade.exchange import Exchange
from freqtrade.persistence import Order
from hypothesis import given
from hypothesis import strategies as st

from citadel_macro import ccxt_orders as orders
from citadel_macro import tca
from citadel_macro.config import BridgeSettings
from citadel_macro.micro_client import MOST_SENT, MicroLink
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    Balance,
    ExecutionReport,
    Fill,
    ParentStatus,
    Position,
    Signal,
)

NS = 1_800_000_000_000_000_000


def report(**over: Any) -> ExecutionReport:  # noqa: ANN401 - fields of a report
    fields: dict[str, Any] = {
        "signal_id": "s-1",
        "revision": 1,
        "venue": "binance-spot",
        "symbol": "BTC/USDT",
        "side": "buy",
        "kind": "order",
        "order_type": "limit",
        "status": "working",
        "quantity": "1",
        "filled": "0",
        "average": None,
        "limit_price": "100",
        "stop_price": None,
        "triggered": False,
        "reason_code": "",
        "reason": "",
        "permitted": None,
        "fills": (),
        "balances": (),
        "position": None,
        "strategy": "S",
        "tag": "",
        "algo": "chase_limit",
        "arrival_mid": 100.0,
        "reprices": 0,
        "own": False,
        "created_ns": NS,
        "updated_ns": NS,
        "instance": "m",
        "seq": 1,
    }
    return ExecutionReport(**fields | over)


amounts = st.integers(1, 10**9).map(lambda lots: Decimal(lots) / 10**5)
prices = st.integers(1, 10**9).map(lambda ticks: Decimal(ticks) / 10**2)
fees = st.integers(0, 10**6).map(lambda units: Decimal(units) / 10**8)


@st.composite
def filled_reports(draw: st.DrawFn) -> ExecutionReport:
    """Reports whose totals are what their fills add up to, as micro keeps them."""
    currencies = draw(st.sampled_from([("BTC",), ("USDT",), ("BTC", "BNB")]))
    fills = tuple(
        Fill(
            trade_id=str(n),
            child_id=f"c-{n}",
            price=str(draw(prices)),
            quantity=str(draw(amounts)),
            fee=str(draw(fees)),
            fee_currency=draw(st.sampled_from(currencies)),
            liquidity=draw(st.sampled_from(["maker", "taker"])),
            ts_ns=NS + draw(st.integers(0, 10**12)),
        )
        for n in range(draw(st.integers(0, 6)))
    )
    filled = sum((Decimal(f.quantity) for f in fills), Decimal(0))
    cost = sum((Decimal(f.price) * Decimal(f.quantity) for f in fills), Decimal(0))
    rest = draw(st.one_of(st.just(Decimal(0)), amounts))
    status: ParentStatus = draw(
        st.sampled_from(
            ["filled"] if fills and not rest else ["working", "canceled", "expired", "rejected"]
        )
    )
    return report(
        status=status,
        side=draw(st.sampled_from(["buy", "sell"])),
        quantity=str(filled + rest or Decimal(1)),
        filled=str(filled),
        average=str(cost / filled) if filled else None,
        fills=fills,
        limit_price=draw(st.one_of(st.none(), prices.map(str))),
    )


@given(filled_reports())
def test_amounts_add_up(source: ExecutionReport) -> None:
    order = orders.order_dict(source)
    assert order["filled"] == float(sum(Decimal(f.quantity) for f in source.fills))
    assert order["amount"] == float(Decimal(source.quantity))
    rest = Decimal(source.quantity) - Decimal(source.filled)
    assert order["remaining"] == float(rest)
    assert math.isclose(order["cost"], sum(t["cost"] for t in order["trades"]), rel_tol=1e-12)
    if source.fills:
        low = min(float(f.price) for f in source.fills)
        high = max(float(f.price) for f in source.fills)
        assert low * (1 - 1e-12) <= order["average"] <= high * (1 + 1e-12)


@given(filled_reports())
def test_fees_are_whole_in_one_currency_or_by_trade(source: ExecutionReport) -> None:
    order = orders.order_dict(source)
    assert order["fee"] is not None, "Freqtrade throws a cancel without it away"
    currencies = {f.fee_currency for f in source.fills}
    assert Exchange.order_has_fee(order) == (len(currencies) == 1)
    for name in currencies:
        by_trade = [t["fee"] for t in order["trades"] if t["fee"]["currency"] == name]
        exact = sum(Decimal(f.fee) for f in source.fills if f.fee_currency == name)
        assert math.isclose(sum(f["cost"] for f in by_trade), float(exact), abs_tol=1e-12)
        if len(currencies) == 1:
            assert order["fee"] == {"currency": name, "cost": float(exact)}
    assert all(Exchange.order_has_fee(trade) for trade in order["trades"])


@given(filled_reports())
def test_terminal_means_the_same_on_both_sides(source: ExecutionReport) -> None:
    order = orders.order_dict(source)
    closed = order["status"] in NON_OPEN_EXCHANGE_STATES
    assert closed == (source.status in TERMINAL_STATUSES) == orders.is_terminal(source)


@given(filled_reports())
def test_freqtrade_reads_it(source: ExecutionReport) -> None:
    order = orders.order_dict(source)
    read = Order.parse_from_ccxt_object(order, source.symbol, source.side, order["amount"], 1.0)
    assert read.order_id == source.signal_id
    assert read.safe_filled == order["filled"]
    assert read.average == order["average"]
    assert read.ft_is_open == (source.status not in TERMINAL_STATUSES)
    assert (read.order_filled_date is not None) == (not read.ft_is_open and bool(source.fills))


@given(filled_reports())
def test_costs_of_an_order_are_plain_json(source: ExecutionReport) -> None:
    kept = tca.summary(source)
    assert len(kept["fills"]) == len(source.fills)
    if source.fills:
        assert 0 <= kept["maker_share"] <= 1
        assert kept["first_fill_ms"] <= kept["last_fill_ms"]
        third = any(f.fee_currency == "BNB" for f in source.fills)
        assert (kept["fees_bps"] is None) == third


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("accepted", "open"),
        ("working", "open"),
        ("paused", "open"),
        ("filled", "closed"),
        ("done_dust", "closed"),
        ("canceled", "canceled"),
        ("expired", "expired"),
        ("rejected", "rejected"),
        ("anomaly", "canceled"),
    ],
)
def test_status(status: ParentStatus, expected: str) -> None:
    assert orders.order_status(report(status=status)) == expected


def test_an_overfill_is_closed_with_what_it_holds() -> None:
    fill = Fill(
        trade_id="1",
        child_id="c",
        price="100",
        quantity="1.5",
        fee="0",
        fee_currency="USDT",
        liquidity="taker",
        ts_ns=NS,
    )
    order = orders.order_dict(report(status="anomaly", filled="1.5", average="100", fills=(fill,)))
    assert (order["status"], order["filled"], order["remaining"]) == ("closed", 1.5, 0.0)


def test_a_market_order_that_filled_has_a_price() -> None:
    order = orders.order_dict(report(limit_price=None, average="99.5", order_type="market"))
    assert order["price"] == 99.5
    assert orders.order_dict(report(limit_price=None))["price"] == 100.0


def test_a_stop_shows_its_trigger() -> None:
    stop = report(kind="stop", stop_price="90", limit_price=None, status="accepted")
    assert orders.order_dict(stop)["stopPrice"] == 90.0
    assert "status_stop" not in orders.order_dict(stop)
    fired = report(kind="stop", stop_price="90", triggered=True)
    assert orders.order_dict(fired)["status_stop"] == "triggered"


def test_an_order_without_acknowledgement_is_open() -> None:
    signal = Signal(
        signal_id="s",
        strategy="S",
        venue="v",
        symbol="BTC/USDT",
        side="buy",
        quantity="0.5",
        limit_price="100",
        created_ns=NS,
        expires_ns=NS + 1,
        epoch=1,
        seq=1,
    )
    order = orders.unacknowledged_order(signal)
    assert (order["status"], order["filled"], order["remaining"]) == ("open", 0.0, 0.5)
    assert order["fee"] == {}
    read = Order.parse_from_ccxt_object(order, "BTC/USDT", "buy", 0.5, 100.0)
    assert read.ft_is_open


def test_shortfall_is_a_cost_on_both_sides() -> None:
    def cost(side: str, price: str) -> dict[str, Any]:
        fill = Fill(
            trade_id="1",
            child_id="c",
            price=price,
            quantity="1",
            fee="0.1",
            fee_currency="USDT",
            liquidity="taker",
            ts_ns=NS + 5_000_000,
        )
        return tca.summary(
            report(
                side=side,
                status="filled",
                filled="1",
                average=price,
                fills=(fill,),
                updated_ns=NS + 5_000_000,
            )
        )

    assert cost("buy", "101")["shortfall_bps"] == pytest.approx(100)
    assert cost("sell", "99")["shortfall_bps"] == pytest.approx(100)
    assert cost("buy", "100")["fees_bps"] == pytest.approx(10)
    assert cost("buy", "100")["first_fill_ms"] == 5.0


@pytest.mark.parametrize("ahead_ms", [-60_000, -3, 0, 700, 60_000])
@pytest.mark.parametrize("status", ["filled", "canceled"])
def test_times_of_fills_are_those_of_one_clock(ahead_ms: int, status: str) -> None:
    """Fills bear the venue's time, whose clock is not micro's."""
    fills = tuple(
        Fill(
            trade_id=str(at_ms),
            child_id="c",
            price="100",
            quantity="0.5",
            fee="0",
            fee_currency="USDT",
            liquidity="maker",
            ts_ns=NS + (ahead_ms + at_ms) * 1_000_000,
        )
        for at_ms in (20, 50)
    )
    kept = tca.summary(
        report(
            status=status,
            filled="1",
            average="100",
            fills=fills,
            created_ns=NS,
            updated_ns=NS + 50_000_000,
        )
    )
    if status == "filled" or ahead_ms == 0:
        assert (kept["first_fill_ms"], kept["last_fill_ms"]) == (20.0, 50.0)
    assert 0 <= kept["first_fill_ms"] <= kept["last_fill_ms"] <= 50.0


def test_balances_and_positions() -> None:
    row = Balance(currency="USDT", free="1.5", used="0.5", total="2")
    assert orders.balances_dict((row,)) == {"USDT": {"free": 1.5, "used": 0.5, "total": 2.0}}
    position = Position(
        venue="binance-usdm",
        symbol="BTC/USDT:USDT",
        quantity="-0.2",
        entry_price="100",
        realised="0",
        unrealised="1",
        leverage="5",
    )
    found = orders.position_dict(position, 0.1)
    assert (found["side"], found["contracts"], found["initialMargin"]) == ("short", 2.0, 4.0)
    assert found["unrealizedPnl"] == 1.0


@given(st.floats(1e-8, 1e12))
def test_number_text_is_exact_and_plain(value: float) -> None:
    text = orders.text(value)
    assert float(text) == value
    assert "e" not in text.lower()


def test_an_order_is_as_old_as_freqtrade_knows_it_to_be() -> None:
    """By micro's stamp it would have waited for an hour: ``unfilledtimeout`` would cancel it at once."""
    sent_ns = time.time_ns()
    asked: list[str] = []

    def intent(signal_id: str) -> Any:  # noqa: ANN401 - as much of one as is read
        asked.append(signal_id)
        return (
            SimpleNamespace(signal=SimpleNamespace(created_ns=sent_ns))
            if signal_id == "s-1"
            else None
        )

    connector: Any = SimpleNamespace(intents=SimpleNamespace(get=intent))
    link = MicroLink(connector, BridgeSettings(), "S")
    stamped = report(created_ns=sent_ns - 3_600 * 10**9)
    for _ in range(3):
        shown = orders.order_dict(stamped, link.sent_ns(stamped))
        assert shown["timestamp"] == sent_ns // 1_000_000
    assert asked == ["s-1"], "looked up once"
    row = Order.parse_from_ccxt_object(shown, "BTC/USDT", "buy")
    assert abs(row.order_date_utc.timestamp() - sent_ns / 1e9) < 1
    others = report(signal_id="theirs", created_ns=5)
    assert link.sent_ns(others) == 5
    for number in range(MOST_SENT):
        link.sent_ns(report(signal_id=f"s-{number + 2}"))
    assert link.sent_ns(stamped) == sent_ns, "looked up again"
    assert asked.count("s-1") == 2
