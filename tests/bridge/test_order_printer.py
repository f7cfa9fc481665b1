"""What an order looks like on a terminal."""

from __future__ import annotations

import pytest

from citadel_bridge.order_printer import show
from citadel_proto.messages import ExecutionReport, Fill


@pytest.mark.parametrize("width", [80, 120])
def test_an_order_is_shown_within_a_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    fill = Fill(
        trade_id="1234567890123456789-12345",
        child_id="c",
        price="123456.78901234",
        quantity="12345678.12345678",
        fee="0.000000012345",
        fee_currency="1000000MOGWAI",
        liquidity="taker",
        ts_ns=1,
    )
    reason = "the spread is 31.2 bps, and no order is placed in a market wider than 30 bps " * 2
    report = ExecutionReport(
        signal_id="hokhxg4mtg-1234567",
        revision=1,
        venue="binance-usdm",
        symbol="1000000MOGWAI/USDT:USDT",
        side="buy",
        kind="order",
        order_type="limit",
        status="rejected",
        quantity="12345678.12345678",
        filled="12345678.12345678",
        average="123456.7890123456789012345678",
        limit_price=None,
        stop_price=None,
        triggered=False,
        reason_code="SPREAD_WIDE",
        reason=reason,
        permitted="0.1",
        fills=(fill, fill),
        balances=(),
        position=None,
        strategy="S",
        tag="",
        algo="chase_limit",
        arrival_mid=123_456.789,
        reprices=1,
        own=False,
        created_ns=1,
        updated_ns=1,
        instance="m",
        seq=1,
    )
    show(report, json=False)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    for text in ("123456.78901234", "12345678.12345678", "0.000000012345", "SPREAD_WIDE"):
        assert text in shown
