"""ccxt (REST) and ccxt.pro (websocket) trade Hyperliquid on the simulator, but for their addresses unchanged."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from effort import campaign
from hyper_kit import SPOT, SYMBOL, config_of, side_of
from waiting import until

from citadel_micro.simulator.ccxt_urls import hyperliquid_overrides
from citadel_micro.simulator.hyperliquid.app import NAME
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Client = Any  # ccxt has no types
CLOID = f"0x{'ab' * 16}"


def with_client(
    kind: Client,
    body: Callable[[Client, SimulatorServer], Awaitable[None]],
    who: str = "agent",
    *,
    sandbox: bool = False,
) -> None:
    async def run() -> None:
        async with SimulatorServer(config_of()) as server:
            side, wallet = server.venues[NAME], wallet_of("demo")
            overrides = hyperliquid_overrides(side.addresses(server.rest_url, server.ws_url))
            options = overrides["options"] | {"sandboxMode": sandbox}
            secret = f"0x{getattr(wallet, who).secret}"
            keys = {"walletAddress": wallet.address, "privateKey": secret}
            client = kind({**overrides, "options": options, **keys})
            try:
                async with asyncio.timeout(150):
                    await client.load_markets()
                    await body(client, server)
            finally:
                await client.close()

    asyncio.run(run())


async def far(client: Client, factor: float = 0.9) -> float:
    book = await client.fetch_order_book(SYMBOL)
    return float(client.price_to_precision(SYMBOL, book["bids"][0][0] * factor))


def test_public_data() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        market = client.market(SYMBOL)
        assert (market["swap"], market["linear"], market["contractSize"]) == (True, True, 1.0)
        assert (market["precision"]["price"], market["precision"]["amount"]) == (1.0, 0.00001)
        book = await client.fetch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert len(book["bids"]) == 20
        candles = await client.fetch_ohlcv(SYMBOL, "1m", limit=10)
        assert len(candles) >= 10
        assert {b[0] - a[0] for a, b in pairwise(candles)} == {60_000}
        tickers = await client.fetch_tickers([SYMBOL])
        assert tickers[SYMBOL]["bid"] < tickers[SYMBOL]["ask"]
        rates = await client.fetch_funding_rates([SYMBOL])
        assert rates[SYMBOL]["fundingRate"] == 0.0001
        interest = await client.fetch_open_interest(SYMBOL)
        assert interest["openInterestAmount"] == 0
        now_ms = side_of(server).exchange.now_ns // 1_000_000
        assert abs(await client.fetch_time() - now_ms) < 5_000

    with_client(ccxt.async_support.hyperliquid, body)


@pytest.mark.parametrize(
    ("who", "sandbox"), [("agent", False), campaign("master", False), campaign("agent", True)]
)
def test_rest_walk(who: str, sandbox: bool) -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        exchange = side_of(server).exchange
        balance = await client.fetch_balance()
        assert balance["USDC"] == {"free": 1e6, "used": 0.0, "total": 1e6}
        await client.set_leverage(10, SYMBOL, {"marginMode": "isolated"})
        price = await far(client)
        params = {"postOnly": True, "clientOrderId": CLOID}
        placed = await client.create_order(SYMBOL, "limit", "buy", 0.01, price, params)
        found = await client.fetch_order(placed["id"], SYMBOL)
        assert (found["status"], found["price"], found["postOnly"]) == ("open", price, True)
        assert (found["clientOrderId"], found["amount"], found["filled"]) == (CLOID, 0.01, 0.0)
        by_name = await client.fetch_order(CLOID, SYMBOL)
        assert by_name["id"] == placed["id"]
        moved = await client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, price - 10)
        assert moved["id"] != placed["id"]
        assert [each["id"] for each in await client.fetch_open_orders(SYMBOL)] == [moved["id"]]
        await client.cancel_order(moved["id"], SYMBOL)
        assert await client.fetch_open_orders(SYMBOL) == []
        await client.create_order(SYMBOL, "limit", "buy", 0.01, price, {"clientOrderId": CLOID})
        await client.cancel_order("", SYMBOL, {"clientOrderId": CLOID})
        canceled = {each["status"] for each in await client.fetch_canceled_orders(SYMBOL)}
        assert canceled == {"canceled"}
        sold = await client.create_order(SYMBOL, "market", "sell", 0.01, price / 0.9)
        closed = await client.fetch_order(sold["id"], SYMBOL)
        assert (closed["status"], closed["filled"]) == ("closed", 0.01)
        (position,) = await client.fetch_positions([SYMBOL])
        assert (position["side"], position["contracts"]) == ("short", 0.01)
        assert (position["marginMode"], position["leverage"]) == ("isolated", 10)
        assert position["liquidationPrice"] > position["entryPrice"]
        trades = await client.fetch_my_trades(SYMBOL)
        theirs = exchange.my_trades("demo", SPOT)
        assert [each["id"] for each in trades] == [str(fill.trade_id) for fill in theirs]
        assert {each["takerOrMaker"] for each in trades} == {"taker"}
        cost = sum(each["fee"]["cost"] for each in trades)
        assert cost == pytest.approx(sum(fill.fee_e8 for fill in theirs) / 1e8)
        exchange.fund(SPOT, 10_000)
        (paid,) = await client.fetch_funding_history(SYMBOL)
        assert paid["amount"] > 0
        fees = await client.fetch_trading_fee(SYMBOL)
        assert (fees["maker"], fees["taker"]) == (0.00015, 0.00045)

    with_client(ccxt.async_support.hyperliquid, body, who, sandbox=sandbox)


def test_refusals_are_those_that_ccxt_knows() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        del server
        price = await far(client)

        async def place(*args: Any, **params: Any) -> None:  # noqa: ANN401 - ccxt has no types
            await client.create_order(SYMBOL, *args, params)

        with pytest.raises(ccxt.InsufficientFunds):
            await place("limit", "buy", 5_000, price)
        with pytest.raises(ccxt.InvalidOrder, match="minimum value"):
            await place("limit", "buy", 0.00001, price)
        with pytest.raises(ccxt.InvalidOrder, match="80% away"):
            await place("limit", "buy", 1, round(price / 10))
        with pytest.raises(ccxt.InvalidOrder, match="bbo was"):
            await place("limit", "buy", 0.01, price * 1.2, postOnly=True)
        with pytest.raises(ccxt.InvalidOrder, match="could not immediately match"):
            await place("limit", "buy", 0.01, price, timeInForce="Ioc")
        with pytest.raises(ccxt.InvalidOrder, match="Reduce only"):
            await place("limit", "sell", 0.01, price, reduceOnly=True)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order("5", SYMBOL)
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("5", SYMBOL)
        with pytest.raises(ccxt.ExchangeError, match="enough volume traded"):
            await client.cancel_all_orders_after(10_000)
        client.privateKey = f"0x{'1' * 64}"
        with pytest.raises(ccxt.InvalidOrder, match="does not exist"):
            await place("limit", "buy", 0.01, price)

    with_client(ccxt.async_support.hyperliquid, body)


def test_websocket_walk() -> None:
    async def body(client: Client, server: SimulatorServer) -> None:
        exchange = side_of(server).exchange
        orders: list[Any] = []

        async def follow() -> None:
            while True:
                orders.extend(dict(order) for order in await client.watch_orders(SYMBOL))

        following = asyncio.create_task(follow())
        book = await client.watch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await client.watch_trades(SYMBOL))[0]["price"] > 0
        assert (await client.watch_ticker(SYMBOL))["bid"] > 0
        assert (await client.watch_ohlcv(SYMBOL, "1m"))[-1][4] > 0
        assert (await client.watch_balance())["USDC"]["total"] == 1e6
        fills = asyncio.create_task(client.watch_my_trades(SYMBOL))
        price = await far(client)
        order = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
        await until(lambda: bool(orders))
        moved = await client.edit_order_ws(order["id"], SYMBOL, "limit", "buy", 0.01, price - 5)
        gone = await client.cancel_order_ws(moved["id"], SYMBOL)
        assert gone["status"] == "success"
        bought = await client.create_order_ws(SYMBOL, "market", "buy", 0.01, price / 0.9)
        (trade,) = (await asyncio.wait_for(fills, 60))[-1:]
        assert trade["order"] == bought["id"]
        (held,) = await client.watch_positions([SYMBOL])
        assert (held["side"], held["contracts"]) == ("long", 0.01)
        wanted = {
            (order["id"], "open"),
            (order["id"], "canceled"),
            (moved["id"], "open"),
            (moved["id"], "canceled"),
            (bought["id"], "closed"),
        }
        await until(lambda: {(each["id"], each["status"]) for each in orders} >= wanted)
        following.cancel()
        assert exchange.position("demo", SPOT).lots == 1_000

    with_client(ccxt.pro.hyperliquid, body)
