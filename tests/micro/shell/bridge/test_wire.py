from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_bridge.config import NewSignal
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.commands import (
    BalanceView,
    FillView,
    PositionView,
    PublishAnswer,
    PublishFeed,
    PublishReport,
    PublishRisk,
)
from citadel_micro.core.model.events import (
    CancelReceived,
    DepthUpdate,
    MacroBeat,
    QueryReceived,
    SignalReceived,
    SignalRefused,
    TradeTick,
)
from citadel_micro.shell.bridge import wire
from citadel_proto import codec
from citadel_proto.errors import DecodeError
from citadel_proto.messages import Cancel, MacroHeartbeat, Query, Signal
from citadel_proto.packed_levels import unpack_levels

SIGNAL: dict[str, Any] = {
    "signal_id": "s-1",
    "strategy": "Sample",
    "venue": "binance-spot",
    "symbol": "BTC/USDT",
    "side": "buy",
    "quantity": "0.5",
    "limit_price": "60000.10",
    "params": {"zeta": 1, "alpha": 2.5, "mid": True},
    "confidence": 0.75,
    "created_ns": 1,
    "expires_ns": 2,
    "epoch": 3,
    "seq": 4,
}


def signal(**changes: object) -> Signal:
    return Signal(**{**SIGNAL, **changes})


def refused(**changes: object) -> SignalRefused:
    event = wire.event_of(signal(**changes))
    assert isinstance(event, SignalRefused)
    assert event.code == "BAD_NUMBER"
    assert event.signal_id == "s-1"
    assert (event.strategy, event.venue, event.symbol, event.side) == (
        "Sample",
        "binance-spot",
        "BTC/USDT",
        "buy",
    )
    return event


def test_a_signal_keeps_every_digit_and_sorts_its_params() -> None:
    event = wire.event_of(signal(quantity="0.50000000"))
    assert isinstance(event, SignalReceived)
    assert str(event.quantity) == "0.50000000"
    assert str(event.limit_price) == "60000.10"
    assert event.params == (("alpha", 2.5), ("mid", True), ("zeta", 1))
    assert (event.created_ns, event.expires_ns, event.epoch, event.seq) == (1, 2, 3, 4)


def test_one_number_where_a_list_is_meant_is_a_list_of_one() -> None:
    event = wire.event_of(signal(params={"take_profits": 61_000, "shares": 0.5, "stop_bps": 5.0}))
    assert isinstance(event, SignalReceived)
    assert dict(event.params) == {"take_profits": "61000", "shares": "0.5", "stop_bps": 5.0}


@pytest.mark.parametrize(
    "quantity",
    [
        "NaN",
        "Infinity",
        "-1",
        "0",
        "0.0",
        "",
        "1,5",
        "1_000",
        " 1",
        "\u0661",  # a digit, but not one of ours
        "1e400",
        "1e-30",
        "9" * 70,
    ],
)
def test_a_quantity_that_is_none_is_refused_by_name(quantity: str) -> None:
    assert "quantity" in refused(quantity=quantity).reason


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"limit_price": "nan"}, "limit_price"),
        ({"limit_price": "0"}, "limit_price"),
        ({"leverage": "-3"}, "leverage"),
        ({"kind": "stop"}, "stop_price"),
        ({"kind": "stop", "stop_price": "x"}, "stop_price"),
        ({"stop_price": "5"}, "stop_price"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": math.nan}, "confidence"),
        ({"params": {"a": math.inf}}, "parameter a"),
        ({"params": {"a": 2**70}}, "parameter a"),
        ({"params": {"a": "x" * 200}}, "parameter"),
        ({"params": {str(n): n for n in range(100)}}, "params"),
        ({"expires_ns": -1}, "expires_ns"),
        ({"created_ns": 2**70}, "created_ns"),
    ],
)
def test_nonsense_is_refused_and_named(changes: dict[str, Any], word: str) -> None:
    assert word in refused(**changes).reason


@pytest.mark.parametrize(
    "changes",
    [
        {"signal_id": ""},
        {"signal_id": "x" * 200},
        {"signal_id": "a b"},
        {"signal_id": "a\0b"},
        {"venue": ""},
        {"symbol": "BTC USDT"},
        {"strategy": "x" * 100},
        {"strategy": "a\0b"},
        {"tag": "\n"},
    ],
)
def test_a_signal_that_nobody_can_be_answered_is_noise(changes: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        wire.event_of(signal(**changes))


def test_a_stop_carries_its_trigger() -> None:
    event = wire.event_of(signal(kind="stop", stop_price="59000"))
    assert isinstance(event, SignalReceived)
    assert event.stop_price == Decimal(59000)


def test_cancel_query_and_beat() -> None:
    cancel = wire.event_of(Cancel(signal_id="s", reason="r" * 5000, created_ns=1, epoch=1, seq=1))
    assert isinstance(cancel, CancelReceived)
    assert len(cancel.reason) == 1000
    query = wire.event_of(
        Query(query_id="q", kind="order", reply_to="m", created_ns=1, epoch=1, seq=1, since_ns=-5)
    )
    assert query == QueryReceived(
        query_id="q",
        kind="order",
        reply_to="m",
        signal_id="",
        venue="",
        symbol="",
        since_ns=0,
        epoch=1,
    )
    beat = wire.event_of(
        MacroHeartbeat(
            instance="m", epoch=7, seq=8, state="running", wall_ns=5, mono_ns=6, strategy="S"
        ),
        skew_ns=-3,
    )
    assert beat == MacroBeat(instance="m", strategy="S", epoch=7, seq=8, skew_ns=-3)
    with pytest.raises(DecodeError):
        wire.event_of(Cancel(signal_id="", created_ns=1, epoch=1, seq=1))


@given(text=st.text(max_size=30))
def test_any_quantity_text_gives_an_event(text: str) -> None:
    event = wire.event_of(signal(quantity=text))
    assert isinstance(event, SignalReceived | SignalRefused)
    if isinstance(event, SignalReceived):
        assert event.quantity > 0
        assert event.quantity == Decimal(text)


# --- out


def test_decimals_leave_without_exponents() -> None:
    assert wire.text_of(Decimal("1E+3")) == "1000"
    assert wire.text_of(Decimal("0E-8")) == "0.00000000"
    assert wire.text_of(Decimal("1.2300")) == "1.2300"


def report() -> PublishReport:
    return PublishReport(
        signal_id="s-1",
        revision=3,
        venue="binance-spot",
        symbol="BTC/USDT",
        side="buy",
        kind="order",
        order_type="limit",
        status="filled",
        quantity=Decimal("0.5"),
        filled=Decimal("0.5"),
        average=Decimal("60000.05"),
        limit_price=None,
        stop_price=None,
        triggered=False,
        reason_code="",
        reason="",
        permitted=None,
        fills=(
            FillView(
                trade_id="t",
                child_id="c",
                price=Decimal("60000.05"),
                quantity=Decimal("0.5"),
                fee=Decimal("0.0005"),
                fee_currency="BTC",
                liquidity="maker",
                ts_ns=9,
            ),
        ),
        balances=(BalanceView(currency="BTC", free=Decimal("0.4"), used=Decimal("0.1")),),
        position=PositionView(
            venue="binance-spot",
            symbol="BTC/USDT",
            quantity=Decimal("0.4995"),
            entry_price=Decimal(60000),
            realised=Decimal(0),
            unrealised=Decimal("1E+1"),
            leverage=Decimal(1),
        ),
        strategy="Sample",
        tag="",
        algo="chase_limit",
        arrival_mid=60000.0,
        reprices=1,
        own=False,
        created_ns=1,
        updated_ns=2,
    )


def test_a_report_survives_the_wire() -> None:
    message = wire.report_of(report(), "micro-1", 7)
    assert codec.decode_market(codec.encode(message)) == message
    assert message.average == "60000.05"
    assert message.balances[0].total == "0.5"
    assert message.position is not None
    assert message.position.unrealised == "10"
    assert (message.instance, message.seq) == ("micro-1", 7)


def test_an_answer_holds_whole_reports() -> None:
    command = PublishAnswer(
        query_id="q",
        kind="orders",
        reply_to="m",
        found=True,
        reports=(report(), report()),
        balances=(),
        positions=(),
        limits=(("max_open_orders", "50"),),
        error="",
    )
    message = wire.answer_of(command, "micro-1", 2, 99)
    assert codec.decode_market(codec.encode(message)) == message
    assert len(message.reports) == 2
    assert message.limits == {"max_open_orders": "50"}
    assert message.answered_ns == 99


def test_states_survive_the_wire() -> None:
    risk = PublishRisk(
        scope="global",
        state="HALTED",
        trip_id="t1",
        code="KILL",
        reason="asked",
        manual_reset=True,
        since_ns=4,
    )
    feed = PublishFeed(
        venue="v",
        symbol="s",
        state="LIVE",
        reason="",
        last_seq=1,
        last_recv_ns=2,
        gaps=3,
        resyncs=4,
    )
    for message in (wire.risk_of(risk, "i", 1), wire.feed_of(feed, "i", 2)):
        assert codec.decode_market(codec.encode(message)) == message


def book(*, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> MarketBook:
    market = MarketBook("binance-spot", "BTC/USDT", "range_bridge_spot")
    market.on_depth(
        DepthUpdate("binance-spot", "BTC/USDT", True, 5, 5, -1, None, bids, asks, 10, 11)
    )
    return market


def test_a_book_is_packed_best_first_with_its_age() -> None:
    market = book(bids=[(99.0, 1.0), (100.0, 3.0), (98.0, 1.0)], asks=[(102.0, 1.0), (101.0, 1.0)])
    message = wire.book_of(market, 2, "micro-1", 6, 50)
    assert codec.decode_market(codec.encode(message)) == message
    assert unpack_levels(message.bids) == [(100.0, 3.0), (99.0, 1.0)]
    assert unpack_levels(message.asks) == [(101.0, 1.0), (102.0, 1.0)]
    assert message.microprice == pytest.approx((100.0 * 1 + 101.0 * 3) / 4)
    assert (message.spread, message.state, message.venue_seq) == (1.0, "LIVE", 5)
    assert (message.recv_ns, message.exchange_ns, message.published_ns) == (11, 10, 50)


def test_a_one_sided_book_has_no_microprice() -> None:
    message = wire.book_of(book(bids=[(99.0, 1.0)], asks=[]), 5, "i", 1, 2)
    assert math.isnan(message.microprice)
    assert math.isnan(message.spread)
    codec.decode_market(codec.encode(message))


def test_trades_keep_their_order() -> None:
    ticks = [
        TradeTick("v", "s", str(n), 100.0 + n, 1.0, "buy" if n % 2 else "sell", n, n + 1)
        for n in range(3)
    ]
    message = wire.trades_of(ticks, "i", 1)
    assert [trade.trade_id for trade in message.trades] == ["0", "1", "2"]
    assert message.recv_ns == 3
    assert codec.decode_market(codec.encode(message)) == message


def test_a_symbol_need_not_be_ascii_but_one_word() -> None:
    event = wire.event_of(signal(symbol="币安人生/USDT"))
    assert isinstance(event, SignalReceived)
    assert event.symbol == "币安人生/USDT"
    for symbol in ("", "BTC USDT", "BTC\u2003USDT", "币" * 27, "a\0b"):
        with pytest.raises(DecodeError, match="symbol"):
            wire.event_of(signal(symbol=symbol))


@given(tag=st.text(max_size=300))
def test_no_tag_of_a_strategy_keeps_micro_from_taking_its_order(tag: str) -> None:
    new = NewSignal(
        venue="binance-spot",
        symbol="BTC/USDT",
        side="buy",
        quantity="1",
        ttl=5,
        strategy="S",
        tag=tag,
        model_id=tag,
    )
    sent = new.signal(signal_id="s-1", strategy="S", now_ns=1, epoch=1, owner="o")
    assert isinstance(wire.event_of(codec.decode_signal(codec.encode(sent))), SignalReceived)
