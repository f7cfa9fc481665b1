"""ccxt (REST) and ccxt.pro (websocket) trade on the simulator, unchanged but for their addresses."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from effort import campaign
from spot_client import ED25519_KEY, HMAC_KEY
from waiting import until

from citadel_micro.simulator.ccxt_urls import ccxt_overrides
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from citadel_micro.simulator.keys import ApiKey

Client = Any  # ccxt has no types
CONFIG = SimulatorConfig(symbols=("BTC/USDT", "XRP/USDT"), history_days=1, warm_minutes=1)
BTC = "BTC/USDT"


def with_client(
    kind: Client,
    body: Callable[[Client, SimulatorServer], Awaitable[None]],
    key: ApiKey = HMAC_KEY,
    rules: tuple[str, ...] = (),
) -> None:
    async def run() -> None:
        async with SimulatorServer(CONFIG) as server:
            server.spot.venue.faults.extend(rules)
            overrides = ccxt_overrides(server.rest_url, server.ws_url)
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


def addresses(node: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of texts
    if isinstance(node, dict):
        for value in node.values():
            yield from addresses(value)
    else:
        yield node


def test_no_address_of_ccxts_configuration_leaves_the_machine() -> None:
    overrides = ccxt_overrides("http://127.0.0.1:1", "ws://127.0.0.1:1")
    client = ccxt.pro.binance(overrides)
    found = list(addresses(client.urls["api"]))
    assert len(found) > 30
    outside = [
        url for url in found if not url.startswith(("http://127.0.0.1:1/", "ws://127.0.0.1:1/"))
    ]
    assert outside == []


@pytest.mark.parametrize("key", [HMAC_KEY, campaign(ED25519_KEY)], ids=["hmac", "ed25519"])
def test_rest_walk(key: ApiKey) -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        balance = await client.fetch_balance()
        assert balance["USDT"] == {"free": 1e6, "used": 0.0, "total": 1e6}
        fees = await client.fetch_trading_fees()
        assert (fees[BTC]["maker"], fees[BTC]["taker"]) == (0.001, 0.001)
        price = await far(client)
        order = await client.create_order(BTC, "limit", "buy", 0.01, price, {"clientOrderId": "my"})
        assert (order["status"], order["clientOrderId"], order["filled"]) == ("open", "my", 0.0)
        assert (await client.fetch_order(order["id"], BTC))["price"] == price
        assert [item["id"] for item in await client.fetch_open_orders(BTC)] == [order["id"]]
        moved = await client.edit_order(order["id"], BTC, "limit", "buy", 0.02, price)
        assert moved["id"] != order["id"]
        assert moved["amount"] == 0.02
        gone = await client.cancel_order(moved["id"], BTC)
        assert gone["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(moved["id"], BTC)
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("5", BTC)
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            await client.create_order(
                BTC, "limit", "buy", 0.01, await far(client, 1.05), {"postOnly": True}
            )
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(BTC, "limit", "sell", 11, await far(client, 1.05))
        with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
            await client.create_order(BTC, "limit", "buy", 0.00001, price)
        bought = await client.create_order(BTC, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"]) == ("closed", 0.01)
        assert sum(Decimal(str(fee["cost"])) for fee in bought["fees"]) == Decimal("0.00001")
        spent = await client.create_market_buy_order_with_cost(BTC, 200)
        assert 190 < spent["cost"] <= 200
        trades = await client.fetch_my_trades(BTC)
        assert {trade["order"] for trade in trades} == {bought["id"], spent["id"]}
        closed = await client.fetch_closed_orders(BTC)
        assert {item["id"] for item in closed} == {bought["id"], spent["id"]}
        stop = await client.create_order(
            BTC,
            "limit",
            "sell",
            0.01,
            await far(client, 0.9),
            {"stopLossPrice": await far(client, 0.91)},
        )
        assert [item["id"] for item in await client.cancel_all_orders(BTC)] == [stop["id"]]
        after = await client.fetch_balance()
        assert after["used"]["USDT"] == 0.0
        assert after["total"]["BTC"] > 10.0
        status = await client.fetch_status()
        assert status["status"] == "ok"

    with_client(ccxt.async_support.binance, body, key)


@pytest.mark.parametrize("key", [campaign(HMAC_KEY), ED25519_KEY], ids=["hmac", "ed25519"])
def test_websocket_walk(key: ApiKey) -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        orders: list[Any] = []
        filled = asyncio.Event()

        async def follow() -> None:
            while True:
                orders.extend(dict(order) for order in await client.watch_orders())
                if orders[-1]["status"] == "closed":
                    filled.set()

        following = asyncio.create_task(follow())
        money = asyncio.create_task(client.watch_balance())
        fills = asyncio.create_task(client.watch_my_trades(BTC))
        await until(lambda: server.spot.streams._subscriptions.get("demo"))
        await asyncio.sleep(0.1)
        price = await far(client)
        order = await client.create_order_ws(BTC, "limit", "buy", 0.01, price)
        assert order["status"] == "open"
        found = await client.fetch_order_ws(order["id"], BTC)
        assert found["price"] == price
        assert [item["id"] for item in await client.fetch_open_orders_ws(BTC)] == [order["id"]]
        gone = await client.cancel_order_ws(order["id"], BTC)
        assert gone["status"] == "canceled"
        bought = await client.create_order_ws(BTC, "market", "buy", 0.01)
        assert bought["status"] == "closed"
        trades = await asyncio.wait_for(fills, 60)
        assert trades[-1]["order"] == bought["id"]
        balance = await asyncio.wait_for(money, 60)
        assert balance["USDT"]["total"] > 0
        asked = await client.fetch_my_trades_ws(
            BTC
        )  # one of each seller; the stream tells each by itself
        assert {item["order"] for item in asked} == {bought["id"]}
        await asyncio.wait_for(filled.wait(), 60)
        following.cancel()
        told = {(item["id"], item["status"]) for item in orders}
        assert told >= {
            (order["id"], "open"),
            (order["id"], "canceled"),
            (bought["id"], "closed"),
        }
        names = {item["clientOrderId"] for item in orders if item["id"] == order["id"]}
        assert names == {order["clientOrderId"]}

    with_client(ccxt.pro.binance, body, key)


def test_a_partial_fill_is_reported_alike_by_rest_and_by_the_user_stream() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        following = asyncio.create_task(client.watch_orders(BTC))
        fills = asyncio.create_task(client.watch_my_trades(BTC))
        money = asyncio.create_task(client.watch_balance())
        await until(lambda: server.spot.streams._subscriptions.get("demo"))
        await asyncio.sleep(0.1)
        price = await far(client)
        order = await client.create_order_ws(BTC, "limit", "buy", 0.05, price)
        await asyncio.wait_for(following, 60)
        following = asyncio.create_task(client.watch_orders(BTC))
        server.spot.venue.exchange.fill("demo", BTC, order_id=int(order["id"]), lots=2_000)
        server.spot.settle()
        told = dict((await asyncio.wait_for(following, 60))[-1])
        (trade,) = await asyncio.wait_for(fills, 60)
        asked = await client.fetch_order(order["id"], BTC)
        cost = float(Decimal(str(price)) * Decimal("0.02"))
        for each in (told, asked):
            assert (each["id"], each["status"], each["amount"]) == (order["id"], "open", 0.05)
            assert (each["filled"], each["remaining"]) == (0.02, 0.03)
            assert (each["price"], each["average"], each["cost"]) == (price, price, cost)
            assert (each["clientOrderId"], each["side"]) == (order["clientOrderId"], "buy")
        (listed,) = await client.fetch_my_trades(BTC)
        for each in (trade, listed):
            assert (each["order"], each["price"], each["amount"]) == (order["id"], price, 0.02)
            assert (each["takerOrMaker"], each["side"], each["cost"]) == ("maker", "buy", cost)
            assert each["fee"] == {"cost": 0.00002, "currency": "BTC"}
        assert trade["id"] == listed["id"]
        # The first news of the balance may be that of the order, before the fill.
        while (balance := await asyncio.wait_for(money, 60))["BTC"]["total"] == 10.0:
            money = asyncio.create_task(client.watch_balance())
        assert balance["BTC"]["total"] == 10.01998
        gone = await client.cancel_order_ws(order["id"], BTC)
        assert (gone["status"], gone["filled"]) == ("canceled", 0.02)
        after = await client.fetch_balance()
        assert after["USDT"]["used"] == 0.0
        assert after["USDT"]["total"] == float(Decimal(1_000_000) - Decimal(str(cost)))

    with_client(ccxt.pro.binance, body)


def test_ccxt_takes_an_answer_that_is_lost_for_a_network_error() -> None:
    async def body(client: Client, _server: SimulatorServer) -> None:
        price = await far(client)
        for name in ("unknown-executed", "http-503-executed", "answer-lost"):
            with pytest.raises(ccxt.NetworkError):
                await client.create_order(BTC, "limit", "buy", 0.01, price, {"clientOrderId": name})
        names = {item["clientOrderId"] for item in await client.fetch_open_orders(BTC)}
        assert names == {"unknown-executed", "http-503-executed", "answer-lost"}
        with pytest.raises(ccxt.DDoSProtection):
            await client.create_order(BTC, "limit", "buy", 0.01, price)
        with pytest.raises(ccxt.InvalidNonce):
            await client.fetch_balance()

    rules = (
        "unknown-executed=nth:1",
        "http-503-executed=nth:2",
        "answer-lost=nth:3",
        "too-many-orders=nth:4",
        "clock-skew=once,on=account.status,for=20",
    )
    with_client(ccxt.async_support.binance, body, rules=rules)
