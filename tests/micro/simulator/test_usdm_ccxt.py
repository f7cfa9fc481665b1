"""ccxt (REST) and ccxt.pro (websocket) trade USD-M on the simulator, unchanged but for their addresses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from effort import campaign
from spot_client import ED25519_KEY, HMAC_KEY

from citadel_micro.simulator.ccxt_urls import ccxt_overrides
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.keys import ApiKey

Client = Any  # ccxt has no types
CONFIG = SimulatorConfig(symbols=("BTC/USDT",), history_days=1, warm_minutes=1, futures=True)
BTC = "BTC/USDT:USDT"


def with_client(
    kind: Client, body: Callable[[Client, SimulatorServer], Awaitable[None]], key: ApiKey = HMAC_KEY
) -> None:
    async def run() -> None:
        async with SimulatorServer(CONFIG) as server:
            overrides = ccxt_overrides(server.rest_url, server.ws_url, swap=True)
            client = kind({**overrides, "apiKey": key.key_id, "secret": key.secret})
            try:
                async with asyncio.timeout(150):
                    await client.load_markets()
                    await body(client, server)
            finally:
                await client.close()

    asyncio.run(run())


async def far(client: Client, factor: float = 0.9) -> float:
    ticker = await client.fetch_ticker(BTC)
    return float(client.price_to_precision(BTC, ticker["last"] * factor))


@pytest.mark.parametrize("key", [HMAC_KEY, campaign(ED25519_KEY)], ids=["hmac", "ed25519"])
def test_rest_walk(key: ApiKey) -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        market = client.market(BTC)
        assert (market["swap"], market["linear"], market["contractSize"]) == (True, True, 1.0)
        balance = await client.fetch_balance()
        assert balance["USDT"] == {"free": 1e6, "used": 0.0, "total": 1e6}
        book = await client.fetch_order_book(BTC, 20)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert len(await client.fetch_ohlcv(BTC, "1m", limit=10)) == 10
        assert len(await client.fetch_ohlcv(BTC, "1h", limit=3, params={"price": "mark"})) == 3
        funding = await client.fetch_funding_rate(BTC)
        assert funding["fundingRate"] == 0.0001
        history = await client.fetch_funding_rate_history(BTC, limit=2)
        assert [row["fundingRate"] for row in history] == [0.0001, 0.0001]
        tiers = await client.fetch_leverage_tiers([BTC])
        assert tiers[BTC][0]["maxLeverage"] == 125
        assert (await client.set_leverage(10, BTC))["leverage"] == 10
        await client.set_margin_mode("isolated", BTC)
        with pytest.raises(ccxt.MarginModeAlreadySet):
            await client.set_margin_mode("isolated", BTC)
        price = await far(client)
        order = await client.create_order(BTC, "limit", "buy", 0.01, price, {"clientOrderId": "my"})
        assert (order["status"], order["clientOrderId"], order["filled"]) == ("open", "my", 0.0)
        moved = await client.edit_order(order["id"], BTC, "limit", "buy", 0.02, price + 1)
        assert (moved["id"], moved["amount"], moved["price"]) == (order["id"], 0.02, price + 1)
        assert [each["id"] for each in await client.fetch_open_orders(BTC)] == [order["id"]]
        gone = await client.cancel_order(order["id"], BTC)
        assert gone["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(order["id"], BTC)
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("5", BTC)
        above = await far(client, 1.05)
        with pytest.raises(ccxt.ExchangeError, match="-5022"):
            await client.create_order(BTC, "limit", "buy", 0.01, above, {"postOnly": True})
        with pytest.raises(ccxt.ExchangeError, match="-2019"):
            await client.create_order(BTC, "limit", "buy", 300, price)
        with pytest.raises(ccxt.ExchangeError, match="-2022"):
            await client.create_order(BTC, "market", "sell", 0.01, None, {"reduceOnly": True})
        sold = await client.create_order(BTC, "market", "sell", 0.01)
        assert (sold["status"], sold["filled"]) == ("closed", 0.01)
        (position,) = await client.fetch_positions([BTC])
        assert (position["side"], position["contracts"]) == ("short", 0.01)
        assert position["marginMode"] == "isolated"
        assert position["liquidationPrice"] > position["entryPrice"]
        trades = await client.fetch_my_trades(BTC)
        assert {each["order"] for each in trades} == {sold["id"]}
        closed = await client.create_order(BTC, "market", "buy", 0.01, None, {"reduceOnly": True})
        assert closed["status"] == "closed"
        assert await client.fetch_positions([BTC]) == []
        assert {each["id"] for each in await client.fetch_closed_orders(BTC)} == {
            sold["id"],
            closed["id"],
        }

    with_client(ccxt.async_support.binance, body, key)


def test_batches_and_conditional_orders() -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        price = await far(client)
        legs = await client.create_orders(
            [
                {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": price},
                {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.02, "price": price},
            ]
        )
        assert [leg["status"] for leg in legs] == ["open", "open"]
        await client.cancel_all_orders(BTC)
        assert await client.fetch_open_orders(BTC) == []
        await client.create_order(BTC, "market", "buy", 0.01)
        below = await far(client, 0.9)
        stop = await client.create_order(
            BTC, "market", "sell", 0.01, None, {"stopLossPrice": below, "reduceOnly": True}
        )
        assert [
            each["id"] for each in await client.fetch_open_orders(BTC, params={"trigger": True})
        ] == [stop["id"]]
        await client.cancel_order(stop["id"], BTC, {"trigger": True})
        assert await client.fetch_open_orders(BTC, params={"trigger": True}) == []

    with_client(ccxt.async_support.binance, body)


def test_websocket_walk() -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        orders: list[Any] = []
        filled = asyncio.Event()

        async def follow() -> None:
            while True:
                orders.extend(dict(order) for order in await client.watch_orders(BTC))
                if orders[-1]["status"] == "closed":
                    filled.set()

        following = asyncio.create_task(follow())
        money = asyncio.create_task(client.watch_balance())
        fills = asyncio.create_task(client.watch_my_trades(BTC))

        async def held() -> Any:  # noqa: ANN401 - ccxt has no types
            while not (found := await client.watch_positions([BTC])):
                pass
            return found[0]

        position = asyncio.create_task(held())
        book = await client.watch_order_book(BTC)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await client.watch_ticker(BTC))["last"] > 0
        assert (await client.watch_trades(BTC))[0]["price"] > 0
        mark = await client.watch_mark_price(BTC)
        assert mark["markPrice"] > 0
        price = await far(client)
        order = await client.create_order_ws(BTC, "limit", "buy", 0.01, price)
        assert order["status"] == "open"
        found = await client.fetch_order_ws(order["id"], BTC)
        assert found["price"] == price
        gone = await client.cancel_order_ws(order["id"], BTC)
        assert gone["status"] == "canceled"
        bought = await client.create_order_ws(BTC, "market", "buy", 0.01)
        trades = await asyncio.wait_for(fills, 60)
        assert trades[-1]["order"] == bought["id"]
        assert (await asyncio.wait_for(money, 60))["USDT"]["total"] > 0
        assert (await asyncio.wait_for(position, 60))["side"] == "long"
        await asyncio.wait_for(filled.wait(), 60)
        following.cancel()
        told = {(each["id"], each["status"]) for each in orders}
        assert told >= {
            (order["id"], "open"),
            (order["id"], "canceled"),
            (bought["id"], "closed"),
        }
        (now,) = await client.fetch_positions_ws([BTC])
        assert now["contracts"] == 0.01

    with_client(ccxt.pro.binance, body)
