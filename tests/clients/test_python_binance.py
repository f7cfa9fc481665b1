"""python-binance trades spot: REST, user stream by signature, depth cache, errors, clock."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException
from binance.ws.depthcache import DepthCacheManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stock_exchange import Exchange

SYMBOL = "BTCUSDT"
Client = Any  # its methods return parsed JSON


class Addressed(AsyncClient):  # type: ignore[misc]
    """As published, but for its addresses: they are attributes of the class."""


class Streams(BinanceSocketManager):  # type: ignore[misc]
    """Likewise."""


def with_client(exchange: Exchange, body: Callable[[Client], Awaitable[None]]) -> None:
    rest, ws = exchange.ready["rest"], exchange.ready["ws"]
    key, secret = exchange.key("python")
    Addressed.API_URL = f"{rest}/api"
    Addressed.MARGIN_API_URL = f"{rest}/sapi"
    Addressed.WS_API_URL = f"{ws}/ws-api/v3"
    Streams.STREAM_URL = f"{ws}/"

    async def run() -> None:
        client = await Addressed.create(key, secret)
        try:
            async with asyncio.timeout(60):
                await body(client)
        finally:
            await client.close_connection()

    asyncio.run(run())


def test_orders_by_rest(exchange: Exchange, left: list[str]) -> None:
    async def body(client: Client) -> None:
        bid = exchange.touch(SYMBOL)[0]
        price = f"{bid * 0.97:.2f}"
        placed = await client.order_limit_buy(
            symbol=SYMBOL, quantity="0.01", price=price, newClientOrderId="snake"
        )
        assert (placed["status"], placed["clientOrderId"]) == ("NEW", "snake")
        found = await client.get_order(symbol=SYMBOL, origClientOrderId="snake")
        assert (found["orderId"], found["price"]) == (placed["orderId"], placed["price"])
        assert [o["orderId"] for o in await client.get_open_orders(symbol=SYMBOL)] == [
            placed["orderId"]
        ]
        gone = await client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "snake")
        bought = await client.order_market_buy(symbol=SYMBOL, quantity="0.01")
        assert bought["status"] == "FILLED"
        trades = await client.get_my_trades(symbol=SYMBOL, orderId=bought["orderId"])
        assert [t["id"] for t in trades] == [f["tradeId"] for f in bought["fills"]]
        balance = await client.get_asset_balance(asset="BTC")
        assert Decimal(balance["free"]) == Decimal(exchange.ledger("python")["balances"]["BTC"])
        (fee,) = await client.get_trade_fee(symbol=SYMBOL)
        assert Decimal(fee["takerCommission"]) == Decimal("0.001")
        assert (await client.get_system_status())["msg"] == "normal"

    with_client(exchange, body)
    assert left == []


def test_errors_and_the_clock(exchange: Exchange) -> None:
    async def body(client: Client) -> None:
        cases: tuple[tuple[tuple[int, int], Callable[[], Any]], ...] = (
            ((400, -2011), lambda: client.cancel_order(symbol=SYMBOL, orderId=5)),
            ((400, -2013), lambda: client.get_order(symbol=SYMBOL, orderId=5)),
            (
                (400, -1013),
                lambda: client.order_limit_buy(symbol=SYMBOL, quantity="0.00001", price="1"),
            ),
        )
        for wanted, call in cases:
            with pytest.raises(BinanceAPIException) as raised:
                await call()
            assert (raised.value.status_code, raised.value.code) == wanted
        client.timestamp_offset = -20_000
        with pytest.raises(BinanceAPIException) as late:
            await client.get_account()
        assert (late.value.code, late.value.status_code) == (-1021, 400)
        client.timestamp_offset = 5_000
        with pytest.raises(BinanceAPIException) as early:
            await client.get_account()
        assert early.value.code == -1021
        assert early.value.message.endswith("ahead of the server's time.")

    with_client(exchange, body)


def test_the_user_stream(exchange: Exchange, left: list[str]) -> None:
    async def body(client: Client) -> None:
        async with Streams(client).user_socket() as stream:
            bought = await client.order_market_buy(symbol=SYMBOL, quantity="0.01")
            seen: list[Any] = []
            while not any(e["e"] == "outboundAccountPosition" for e in seen) or seen[-1].get(
                "X"
            ) not in {None, "FILLED"}:
                seen.append(await asyncio.wait_for(stream.recv(), 10))
            reports = [e for e in seen if e["e"] == "executionReport"]
            assert reports[0]["x"] == "NEW"
            assert {e["i"] for e in reports} == {bought["orderId"]}

    with_client(exchange, body)
    assert left == []


def test_its_depth_cache_is_the_exchanges_book(exchange: Exchange, left: list[str]) -> None:
    async def body(client: Client) -> None:
        manager = DepthCacheManager(client, SYMBOL, bm=Streams(client))
        async with manager as socket:
            for _ in range(5):
                cache = await asyncio.wait_for(socket.recv(), 10)
            bids, asks = cache.get_bids(), cache.get_asks()
            assert len(bids) > 5
            assert bids[0][0] < asks[0][0]
            bid, ask = exchange.touch(SYMBOL)
            assert abs(bids[0][0] / bid - 1) < 0.01
            assert abs(asks[0][0] / ask - 1) < 0.01

    with_client(exchange, body)
    assert left == []
