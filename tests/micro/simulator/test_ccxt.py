"""The real clients: ccxt (sync and async) and ccxt.pro against the simulator."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from citadel_micro.simulator.ccxt_urls import ccxt_overrides
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

Client = Any  # ccxt has no types
CONFIG = SimulatorConfig(symbols=("BTC/USDT", "XRP/USDT"), history_days=4, warm_minutes=1)


def with_client(kind: Client, body: Callable[[Client, SimulatorServer], Awaitable[None]]) -> None:
    async def run() -> None:
        async with SimulatorServer(CONFIG) as server:
            client = kind(ccxt_overrides(server.rest_url, server.ws_url))
            try:
                async with asyncio.timeout(150):
                    await body(client, server)
            finally:
                await client.close()

    asyncio.run(run())


def test_async_ccxt_reads_markets_candles_books_and_trades() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        markets = await client.load_markets()
        assert list(markets) == ["BTC/USDT", "XRP/USDT"]
        market = markets["XRP/USDT"]
        assert market["active"]
        assert market["spot"]
        assert market["precision"]["price"] == 0.0001
        assert market["precision"]["amount"] == 0.1
        assert market["limits"]["cost"]["min"] == 5.0
        candles = await client.fetch_ohlcv("BTC/USDT", "5m", limit=600)
        assert len(candles) == 600
        assert all(b[0] - a[0] == 300_000 for a, b in pairwise(candles))
        since = candles[0][0]
        page = await client.fetch_ohlcv("BTC/USDT", "5m", since=since, limit=100)
        assert page == candles[:100]
        book = await client.fetch_order_book("BTC/USDT", 100)
        assert len(book["bids"]) == len(book["asks"]) == 100
        assert book["bids"][0][0] < book["asks"][0][0]
        assert book["nonce"] <= server.feed.depth("BTC/USDT", 1).last_update_id
        tickers = await client.fetch_tickers()
        assert set(tickers) == {"BTC/USDT", "XRP/USDT"}
        assert tickers["BTC/USDT"]["quoteVolume"] > 0
        assert (await client.fetch_bids_asks(["BTC/USDT"]))["BTC/USDT"]["bid"] > 0
        trades = await client.fetch_trades("BTC/USDT", limit=50)
        assert len(trades) == 50
        assert await client.fetch_time() == pytest.approx(server.feed.now_ns / 1e6, abs=5000)
        with pytest.raises(ccxt.BadSymbol):
            await client.public_get_depth({"symbol": "NOPE"})
        client.apiKey, client.secret = "key", "secret"
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_balance()

    with_client(ccxt.async_support.binance, body)


def test_sync_ccxt_reads_candles_page_by_page() -> None:
    def read(rest: str, ws: str) -> list[list[float]]:
        client = ccxt.binance(ccxt_overrides(rest, ws))
        try:
            end = client.milliseconds()
            since = end - 3 * 86_400_000
            rows: list[list[float]] = []
            while True:
                page = client.fetch_ohlcv("XRP/USDT", "1m", since=since, limit=1000)
                rows += page
                if len(page) < 1000:
                    return rows
                since = page[-1][0] + 60_000
        finally:
            client.close()

    async def run() -> None:
        async with SimulatorServer(CONFIG) as server:
            rows = await asyncio.to_thread(read, server.rest_url, server.ws_url)
        assert len(rows) >= 3 * 1440
        assert all(b[0] - a[0] == 60_000 for a, b in pairwise(rows))
        assert all(low <= min(o, c) <= max(o, c) <= high for _, o, high, low, c, _ in rows)

    asyncio.run(run())


def test_ccxt_pro_follows_books_trades_tickers_and_candles() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        nonces = []
        for _ in range(5):
            book = await client.watch_order_book("BTC/USDT")
            nonces.append(book["nonce"])
            assert book["bids"][0][0] < book["asks"][0][0]
            assert len(book["bids"]) >= 100
        assert nonces == sorted(nonces)
        assert nonces[-1] > nonces[0]
        both = await client.watch_order_book_for_symbols(["BTC/USDT", "XRP/USDT"])
        assert both["symbol"] in server.feed.specs
        trades = await client.watch_trades("BTC/USDT")
        assert trades[-1]["price"] > 0
        ticker = await client.watch_ticker("XRP/USDT")
        assert ticker["high"] >= ticker["last"] >= ticker["low"]
        candles = await client.watch_ohlcv("XRP/USDT", "1m")
        assert candles[-1][0] % 60_000 == 0
        best = await client.watch_bids_asks(["XRP/USDT"])
        assert best["XRP/USDT"]["bid"] < best["XRP/USDT"]["ask"]
        await client.un_watch_order_book("BTC/USDT")

    with_client(ccxt.pro.binance, body)


def test_the_reference_page_shows_this_configuration(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "simulator.md").read_text()
    shown = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[1])
    assert shown == ccxt_overrides("http://127.0.0.1:8180", "ws://127.0.0.1:8180")
