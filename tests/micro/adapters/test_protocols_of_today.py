"""Venues' protocols as they are today, and those that are no more."""

from __future__ import annotations

import json
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until
from ws_kit import ScriptedVenue, follow

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from aiohttp import web

KRAKEN = "kraken-futures"
TIME = "2026-09-01T00:00:00.000001Z"


def kraken_sum(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> int:
    digits = [part.replace(".", "").lstrip("0") for level in (*asks, *bids) for part in level]
    return zlib.crc32("".join(digits).encode())


def kraken_book(
    kind: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]], checksum: int
) -> str:
    def rows(levels: list[tuple[str, str]]) -> str:
        return ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in levels)

    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"PF_XBTUSD","bids":[{rows(bids)}],'
        f'"asks":[{rows(asks)}],"checksum":{checksum},"timestamp":"{TIME}"}}]}}'
    )


def test_kraken_futures_speaks_the_unified_protocol() -> None:
    asked: list[dict[str, Any]] = []
    first = ([("60000.0", "1.5")], [("60001.0", "2.0")])
    better = ("60000.5", "0.25")

    async def script(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said.get("method") != "subscribe":
            return
        asked.append(said["params"])
        if said["params"]["channel"] != "book":
            return
        await socket.send_str(kraken_book("snapshot", *first, kraken_sum(*first)))
        after = kraken_sum([better, *first[0]], first[1])
        await socket.send_str(kraken_book("update", [better], [], after))
        ticker = {"symbol": "PF_XBTUSD", "bid": 1.0, "bid_qty": 1.0, "ask": 2.0, "ask_qty": 1.0}
        await socket.send_str(json.dumps({"channel": "ticker", "data": [ticker]}))
        trade = {"symbol": "PF_XBTUSD", "side": "buy", "price": 1.0, "qty": 1.0, "trade_id": 5}
        trades = {"channel": "trade", "type": "update", "data": [{**trade, "timestamp": TIME}]}
        await socket.send_str(json.dumps(trades))

    async def story(_server: ScriptedVenue, events: list[Any], _feeds: Aggregator) -> None:
        await until(lambda: any(isinstance(event, TradeTick) for event in events))
        await until(lambda: len(asked) == 3)

    events = follow(KRAKEN, {"BTC/USD:USD": ""}, script, story)
    assert venue_spec(KRAKEN).websocket_url == "wss://uws.kraken.com/v2/public"
    assert {each["channel"] for each in asked} == {"book", "ticker", "trade"}
    for each in asked:
        assert (each["asset_class"], each["symbol"]) == ("derivatives", ["PF_XBTUSD"])
    book = MarketBook(KRAKEN, "BTC/USD:USD", venue_spec(KRAKEN).integrity)
    for event in events:
        if isinstance(event, DepthUpdate):
            book.on_depth(event)
    assert (book.state, book.verified, book.checksums) == ("LIVE", True, (2, 0))
    assert book.book.best() == (60000.5, 0.25, 60001.0, 2.0)
    assert [event.symbol for event in events if isinstance(event, QuoteTick)] == ["BTC/USD:USD"]


def test_a_wrong_checksum_of_kraken_futures_is_seen() -> None:
    spec = venue_spec(KRAKEN)
    decoder = spec.decoder(spec.symbols())
    book = MarketBook(KRAKEN, "BTC/USD:USD", spec.integrity)
    for event in decoder.frame(kraken_book("snapshot", [("1.0", "1.0")], [], 7).encode(), 1):
        assert isinstance(event, DepthUpdate)
        book.on_depth(event)
    assert book.state == "SYNCING"


def test_what_has_ended_is_read_from_captures_only() -> None:
    feed = FeedConfig(venue="bitget-v1", symbols={"BTC/USDT": ""})
    with pytest.raises(BadInput, match=r"captures only: .* November 2025; follow bitget-spot"):
        Aggregator([feed], lambda _event, _ns: None, time.time_ns)


def test_bitget_is_renewed_before_it_cuts() -> None:
    assert venue_spec("bitget-spot").limits.lifetime_s == 86_400.0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ccxt-gemini", "live only"),
        ("binance", "did you mean binance-"),
        ("kraken-sport", "did you mean kraken-spot"),
        ("okex", "did you mean okx"),
    ],
)
def test_an_unknown_venue_gets_names_that_help(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        venue_spec(name)
    assert "okx" in str(caught.value)


@pytest.mark.parametrize("name", ["ftx", "gemini", "upbit", "x"])
def test_no_name_is_suggested_that_only_looks_alike(name: str) -> None:
    with pytest.raises(BadInput, match="live only, through ccxt") as caught:
        venue_spec(name)
    assert caught.value.mend is None
