"""ccxt (REST v1) and ccxt.pro (websocket v2) trade Kraken on the simulator, but for their addresses unchanged."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from kraken_kit import SYMBOL, Client, side_of, with_ccxt
from waiting import until

if TYPE_CHECKING:
    from citadel_micro.simulator.server import SimulatorServer


async def far(client: Client, factor: float = 0.9) -> float:
    ticker = await client.fetch_ticker(SYMBOL)
    return float(client.price_to_precision(SYMBOL, ticker["last"] * factor))


def test_public_data() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        market = client.market(SYMBOL)
        assert (market["id"], market["baseId"], market["spot"]) == ("XBTUSDT", "BTC", True)
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.00001)
        assert (market["limits"]["cost"]["min"], market["maker"]) == (5.0, 0.001)
        book = await client.fetch_order_book(SYMBOL, 20)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert len(book["bids"]) == 20
        candles = await client.fetch_ohlcv(SYMBOL, "1m", limit=10)
        assert len(candles) == 10
        assert [b[0] - a[0] for a, b in pairwise(candles)] == [60_000] * 9
        trades = await client.fetch_trades(SYMBOL, limit=5)
        assert len(trades) == 5
        assert (await client.fetch_status())["status"] == "ok"
        now_ms = side_of(server).exchange.now_ns // 1_000_000
        assert abs(await client.fetch_time() - now_ms) < 5_000

    with_ccxt(ccxt.async_support.kraken, body)


def test_rest_walk() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        exchange = side_of(server).exchange
        assert (await client.fetch_balance())["BTC"] == {"free": 10.0, "used": 0.0, "total": 10.0}
        low = await far(client)
        params = {"postOnly": True, "clientOrderId": "a-client-id"}
        placed = await client.create_order(SYMBOL, "limit", "buy", 0.01, low, params)
        assert placed["symbol"] == SYMBOL
        (found,) = await client.fetch_open_orders(SYMBOL)
        assert (found["id"], found["clientOrderId"]) == (placed["id"], "a-client-id")
        assert (found["status"], found["price"], found["postOnly"]) == ("open", low, True)
        held = (await client.fetch_balance())["USDT"]["used"]
        assert held == pytest.approx(low * 0.01 * 1.001)
        with pytest.raises(ccxt.ExchangeError, match="Duplicate cl_ord_id"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, low, params)
        lower = await far(client, 0.8)
        await client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, lower)
        changed = await client.fetch_order(placed["id"], SYMBOL)
        assert (changed["amount"], changed["price"]) == (0.02, lower)
        await client.cancel_order(placed["id"], SYMBOL)
        assert (await client.fetch_order(placed["id"], SYMBOL))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(placed["id"], SYMBOL)

        bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
        filled = await client.fetch_order(bought["id"], SYMBOL)
        trades = await client.fetch_my_trades(SYMBOL)  # one of each seller
        fills = exchange.my_trades("demo", SYMBOL)
        assert (filled["status"], filled["filled"]) == ("closed", 0.01)
        assert {(each["order"], each["takerOrMaker"]) for each in trades} == {
            (bought["id"], "taker")
        }
        assert {each["fee"]["currency"] for each in trades} == {"USDT"}
        said = sorted((round(each["price"] * 100), each["fee"]["cost"]) for each in trades)
        assert said == sorted((fill.ticks, fill.fee_e8 / 1e8) for fill in fills)
        closed = await client.fetch_closed_orders(SYMBOL)
        assert [each["id"] for each in closed] == [placed["id"], bought["id"]]
        assert (await client.fetch_balance())["BTC"]["total"] == 10.01
        await client.create_order(SYMBOL, "limit", "buy", 0.01, low)
        await client.cancel_all_orders()
        assert exchange.open_orders("demo") == []

    with_ccxt(ccxt.async_support.kraken, body)


def test_refusals_have_the_venues_words() -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        low, high = await far(client), await far(client, 1.1)
        post = {"postOnly": True}
        with pytest.raises(ccxt.ExchangeError, match="EOrder:Post only order"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, high, post)
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(SYMBOL, "limit", "sell", 11, high)
        with pytest.raises(ccxt.ExchangeError, match="EOrder:Cost minimum not met"):
            await client.create_order(SYMBOL, "limit", "buy", 0.00001, low)
        with pytest.raises(ccxt.InvalidOrder, match="EOrder:Unknown order"):
            await client.fetch_order("OQCLML-BW3P3-BUCMWZ", SYMBOL)

    with_ccxt(ccxt.async_support.kraken, body)


def test_the_timer_cancels_after_silence() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        exchange = side_of(server).exchange
        await client.create_order(SYMBOL, "limit", "buy", 0.01, await far(client))
        answer = await client.cancel_all_orders_after(1_000)
        assert answer["result"]["triggerTime"] > answer["result"]["currentTime"]
        await until(lambda: not exchange.open_orders("demo"))
        in_time = False
        while not in_time:
            await client.cancel_all_orders(SYMBOL)
            await client.create_order(SYMBOL, "limit", "buy", 0.01, await far(client))
            began = time.monotonic()
            await client.cancel_all_orders_after(1_000)
            await client.cancel_all_orders_after(0)
            in_time = time.monotonic() - began < 1.0  # or the first may have done its work
        await asyncio.sleep(1.2)
        assert len(exchange.open_orders("demo")) == 1

    with_ccxt(ccxt.async_support.kraken, body)


def test_websocket_walk() -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        book = await client.watch_order_book(SYMBOL, 10)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await client.watch_trades(SYMBOL))[-1]["symbol"] == SYMBOL
        assert (await client.watch_ticker(SYMBOL))["last"] > 0
        assert (await client.watch_balance())["BTC"]["total"] == 10.0
        watching = asyncio.create_task(client.watch_orders(SYMBOL))
        low = await far(client)
        await until(lambda: "executions" in str([c.subscriptions for c in client.clients.values()]))
        placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, low)
        assert (await watching)[-1]["id"] == placed["id"]

        def shown() -> tuple[str, float]:
            order = client.orders[-1]
            return order["status"], order["amount"]

        await until(lambda: shown() == ("open", 0.01))
        await client.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.02, low)
        await client.cancel_order_ws(placed["id"])
        await until(lambda: shown() == ("canceled", 0.02))
        with pytest.raises(ccxt.BaseError, match="Unknown order"):
            await client.cancel_order_ws(placed["id"])
        await client.create_order_ws(SYMBOL, "market", "buy", 0.01)
        await until(lambda: client.myTrades)
        assert client.myTrades[-1]["fee"]["currency"] == "USDT"
        await until(lambda: client.balance["spot"]["BTC"]["total"] == 10.01)

    with_ccxt(ccxt.pro.kraken, body)
