"""Every venue's market data by its documented messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from market_data_samples import (
    AT,
    BITGET_BOOK,
    BOOKS,
    BYBIT_BOOK,
    KRAKEN_BOOK,
    OKX_BOOK,
    QUOTES,
    TRADES,
    decode,
)

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import Control

MS = 1_000_000


@pytest.mark.parametrize("venue", BOOKS)
def test_books(venue: str) -> None:
    message, expected = BOOKS[venue]
    (event,) = decode(venue, message)
    assert isinstance(event, DepthUpdate)
    symbol, snapshot, first, last, prev, bids, asks, ms = expected
    assert (event.venue, event.symbol, event.snapshot) == (venue, symbol, snapshot)
    assert (event.first_seq, event.last_seq, event.prev_seq) == (first, last, prev)
    assert (event.bids, event.asks, event.recv_ns) == (bids, asks, AT)
    assert abs(event.exchange_ns - ms * MS) < MS / 1_000


def test_texts_come_with_checksums() -> None:
    (kraken,) = decode("kraken-spot", KRAKEN_BOOK)
    assert isinstance(kraken, DepthUpdate)
    assert kraken.checksum == 3310070434
    assert kraken.texts == ([("45283.5", "0.10000000")], [("45285.2", "0.00000000")])
    (bitget,) = decode("bitget-spot", BITGET_BOOK)
    assert isinstance(bitget, DepthUpdate)
    assert bitget.checksum == -1367582038
    assert bitget.texts == ([("26274.8", "0.05")], [("26274.9", "0.0009")])
    (okx,) = decode("okx", OKX_BOOK)
    assert isinstance(okx, DepthUpdate)
    assert (okx.checksum, okx.texts) == (None, None), "0 is no checksum"


def test_a_bybit_book_numbered_1_is_a_snapshot() -> None:
    message: dict[str, Any] = json.loads(json.dumps(BYBIT_BOOK))
    message["data"]["u"] = 1
    (event,) = decode("bybit-linear", message)
    assert isinstance(event, DepthUpdate)
    assert event.snapshot


@pytest.mark.parametrize("venue", TRADES)
def test_trades_name_the_taker(venue: str) -> None:
    message, (symbol, number, price, size, side, ms) = TRADES[venue]
    (event,) = decode(venue, message)
    assert isinstance(event, TradeTick)
    assert event[:6] == (venue, symbol, number, price, size, side)
    assert 0 <= event.exchange_ns - ms * MS < MS


@pytest.mark.parametrize("venue", QUOTES)
def test_quotes(venue: str) -> None:
    message, (symbol, seq, *best) = QUOTES[venue]
    (event,) = decode(venue, message)
    assert isinstance(event, QuoteTick)
    assert event[:7] == (venue, symbol, seq, *best)


@pytest.mark.parametrize(
    ("venue", "message", "expected"),
    [
        ("okx", "pong", Control("pong", "", "")),
        (
            "okx",
            {"event": "error", "code": "60018",
             "msg": "Wrong URL or channel:books,instId:BTC-USDX doesn't exist.", "connId": "a"},
            Control("refused", "BTC-USDX",
                    "Wrong URL or channel:books,instId:BTC-USDX doesn't exist. (code 60018)"),
        ),
        ("okx", {"event": "notice", "code": "64008", "msg": "upgrade soon"},
         Control("shutdown", "", "upgrade soon (code 64008)")),
        (
            "bybit-linear",
            {"success": False, "ret_msg": "error:handler not found,topic:orderbook.50.ABC",
             "conn_id": "x", "req_id": "4", "op": "subscribe"},
            Control("refused", "ABC", "error:handler not found,topic:orderbook.50.ABC", 4),
        ),
        ("bybit-linear", {"success": True, "ret_msg": "pong", "conn_id": "x", "op": "ping"},
         Control("pong", "", "")),
        (
            "kraken-spot",
            {"error": "Currency pair not supported ABC/DEF", "method": "subscribe", "req_id": 3,
             "success": False, "symbol": "ABC/DEF", "time_in": "a", "time_out": "b"},
            Control("refused", "ABC/DEF", "Currency pair not supported ABC/DEF", 3),
        ),
        (
            "kraken-v1",
            {"event": "subscriptionStatus", "errorMessage": "Currency pair not supported",
             "pair": "ABC/DEF", "status": "error", "reqid": 2},
            Control("refused", "ABC/DEF", "Currency pair not supported", 2),
        ),
        ("kraken-futures", {"event": "error", "message": "Invalid product id"},
         Control("refused", "", "Invalid product id")),
        ("coinbase-advanced", {"type": "error", "message": "unknown product"},
         Control("refused", "", "unknown product")),
        ("coinbase-exchange", {"type": "error", "message": "Failed to subscribe"},
         Control("refused", "", "Failed to subscribe")),
        ("kucoin-spot", {"id": "5", "type": "error", "code": 404, "data": "topic is not found"},
         Control("refused", "", '"topic is not found"', 5)),
        (
            "bitget-spot",
            {"event": "error", "code": 30001,
             "msg": "instType:SPOT,channel:books,instId:ABC doesn't exist"},
            Control("refused", "ABC",
                    "instType:SPOT,channel:books,instId:ABC doesn't exist (code 30001)"),
        ),
        (
            "gate-spot",
            {"time": 1, "id": 9, "channel": "spot.trades", "event": "subscribe",
             "error": {"code": 2, "message": "unknown currency pair"}},
            Control("refused", "", "unknown currency pair (code 2)", 9),
        ),
        ("deribit", {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}},
         Control("answer", "", '{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}')),
        ("deribit", {"jsonrpc": "2.0", "id": 7, "error": {"code": 11050, "message": "bad_request"}},
         Control("refused", "", "bad_request (code 11050)", 7)),
        ("hyperliquid", {"channel": "error", "data": "Invalid subscription"},
         Control("refused", "", '"Invalid subscription"')),
    ],
)  # fmt: skip
def test_what_venues_say(venue: str, message: Any, expected: Control) -> None:  # noqa: ANN401
    assert decode(venue, message) == [expected]
