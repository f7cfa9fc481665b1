"""Coinbase answers products in USDC as products in USD, whose book they share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until
from ws_kit import ScriptedVenue, follow

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick

if TYPE_CHECKING:
    from aiohttp import web

    from citadel_micro.shell.marketdata.aggregator import Aggregator

TIME = "2026-09-01T00:00:00.000000Z"


def level(side: str, price: str, size: str) -> dict[str, str]:
    return {"side": side, "event_time": TIME, "price_level": price, "new_quantity": size}


BOOK = {
    "type": "snapshot",
    "product_id": "BTC-USD",
    "updates": [level("bid", "100", "1"), level("offer", "101", "1")],
}
TICKER = {
    "product_id": "BTC-USD",
    "best_bid": "100",
    "best_bid_quantity": "1",
    "best_ask": "101",
    "best_ask_quantity": "1",
}
TRADE = {
    "trade_id": "7",
    "product_id": "BTC-USD",
    "price": "100",
    "size": "1",
    "side": "BUY",
    "time": TIME,
}
MESSAGES = (
    ("l2_data", [BOOK]),
    ("ticker", [{"type": "update", "tickers": [TICKER]}]),
    ("market_trades", [{"type": "update", "trades": [TRADE]}]),
)


@pytest.mark.parametrize("symbols", [["BTC/USDC"], ["BTC/USD"], ["BTC/USD", "BTC/USDC"]])
def test_what_was_asked_for_is_answered_under_its_name(symbols: list[str]) -> None:
    asked: list[str] = []

    async def script(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said.get("channel") != "level2":
            return
        asked.extend(said["product_ids"])
        for number, (channel, events) in enumerate(MESSAGES):
            head = {"channel": channel, "client_id": "", "timestamp": TIME}
            await socket.send_str(json.dumps({**head, "sequence_num": number, "events": events}))

    async def story(_server: ScriptedVenue, events: list[Any], _feeds: Aggregator) -> None:
        await until(lambda: len([e for e in events if isinstance(e, TradeTick)]) == len(symbols))

    events = follow("coinbase-advanced", dict.fromkeys(symbols, ""), script, story)
    assert asked == [symbol.replace("/", "-") for symbol in symbols]
    for kind in (DepthUpdate, QuoteTick, TradeTick):
        assert [event.symbol for event in events if isinstance(event, kind)] == symbols
