"""The tables of status at the widths of real terminals, with the longest and the emptiest contents."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from citadel_micro.shell.commands.status_tables import picture


def shown(run: dict[str, Any], width: int, *, wide: bool = False) -> str:
    sink = io.StringIO()
    Console(file=sink, width=width, highlight=False).print(picture(run, wide=wide))
    return sink.getvalue()


def order(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - its fields
    return {
        "id": "hokhxg4mtg-1234567",
        "strategy": "AStrategyWithALongName",
        "venue": "binance-usdm",
        "symbol": "BTC/USDT:USDT",
        "side": "buy",
        "algo": "chase_limit",
        "status": "partially_filled",
        "quantity": "12.34500000",
        "filled": "0.00100000",
        "average": "85473.26543209876543209876543",
        "working": [{"price": "85473.20", "quantity": "1", "state": "working"}] * 2,
        "touch": ["85473.20", "85473.30"],
        "reprices": 117,
        "maker": 0.5,
        "cost_bps": -1.2345,
        "reason_code": "",
        "reason": "",
        "age_ms": 61_000,
        "ended_ms": 3_600_000 * 30,
    } | more


def run(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - its parts
    return {
        "instance": "micro",
        "run": "mwzs4r3l",
        "mode": "paper",
        "state": "running",
        "risk": "active",
        "reasons": [],
        "open_parents": 2,
        "macro_age_ms": 400,
        "account": {"currency": "USDT", "equity": "1234567.891", "profit": "-12.3456"},
        "trips": [],
        "losses": [],
        "positions": [],
        "orders": [],
        "ended": [],
        "books": [],
    } | more


FULL = run(
    page="http://127.0.0.1:5580",
    reasons=["global is HALTED: DAILY_LOSS (t1): lost more than the limit of the day"],
    trips=[
        {
            "trip_id": "t12",
            "state": "REDUCING",
            "scope": "symbol:binance-usdm:BTC/USDT:USDT",
            "code": "OPERATOR_PAUSE",
            "reason": "flatten: a long reason that a person has typed in a hurry and in full",
            "reset": "manual",
        }
    ],
    losses=[{"name": "rolling", "loss": "1234.5", "limit": "2500"}],
    positions=[
        {
            "venue": "binance-usdm",
            "symbol": "1000SHIB/USDT:USDT",
            "quantity": "-1234567.0",
            "entry": "0.02345678901234567",
            "mark": "0.0234567",
            "realised": "-12345.678",
            "unrealised": None,
            "fees": "1.2",
            "funding": "-0.3",
            "liquidation": None,
        }
    ],
    orders=[order(), order(working=[], touch=None, status="paused", reason_code="MESSAGE_RATE")],
    ended=[order(status="filled"), order(average=None, cost_bps=None, maker=None)],
    books=[
        {
            "venue": "binance-usdm",
            "symbol": "BTC/USDT:USDT",
            "state": "LIVE",
            "bid": 85473.2,
            "ask": 85473.3,
            "spread_bps": 0.0117,
            "age_ms": 12,
        },
        {
            "venue": "ccxt-bitget",
            "symbol": "BTC/USDT",
            "state": "SYNCING",
            "bid": None,
            "ask": None,
            "spread_bps": None,
            "age_ms": None,
        },
    ],
)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("wide", [False, True])
def test_no_line_is_longer_than_the_terminal(width: int, wide: bool) -> None:
    for each in (FULL, run()):
        for line in shown(each, width, wide=wide).splitlines():
            assert cell_len(line.rstrip()) <= width


def test_what_matters_is_whole_at_80_columns() -> None:
    text = shown(FULL, 80)
    for part in (
        "risk ACTIVE",
        "unhealthy: global is HALTED: DAILY_LOSS (t1)",
        "equity 1,234,567.89 USDT",
        "profit -12.35",
        "macro seen 0.4s ago",
        "OPERATOR_PAUSE",
        "49%",
        "-1234567",
        "unknown",
        "0.001/12.345",
        "85473.20 +1",
        "117",
        "-1.23",
        "50%",
        "0.01",
        "SYNCING",
    ):
        assert part in text, f"{part!r} is not in\n{text}"


def test_an_empty_run_is_two_lines() -> None:
    text = shown(run(macro_age_ms=None), 80)
    assert len(text.splitlines()) == 2
    assert "macro never seen" in text


def test_where_the_page_is_is_said() -> None:
    assert "page http://127.0.0.1:5580 " in shown(run(page="http://127.0.0.1:5580"), 80)
    assert "page" not in shown(run(page=""), 80)


def test_wide_adds_what_is_left_out() -> None:
    text = shown(FULL, 200, wide=True)
    for part in ("AStrategyWithALongName", "hokhxg4mtg-1234567", "chase_limit", "funding"):
        assert part in text
