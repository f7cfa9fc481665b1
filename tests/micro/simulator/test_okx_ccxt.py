"""ccxt and ccxt.pro, as they are installed, trade on the simulated OKX."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import ccxt
import pytest
from okx_kit import SYMBOL, ccxt_client, okx_server, side_of
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.server import SimulatorServer


def run(body: Callable[[Any, SimulatorServer], Awaitable[None]]) -> None:
    async def main() -> None:
        async with okx_server() as server, ccxt_client(server) as client:
            await client.load_markets()
            await body(client, server)

    asyncio.run(main())


def test_markets_books_and_trades_are_shown() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        del server
        market = client.markets[SYMBOL]
        assert market["spot"]
        assert market["active"]
        assert market["precision"] == {"amount": 1e-05, "price": 0.01}
        assert market["instIdCode"] > 0
        ticker = await client.fetch_ticker(SYMBOL)
        assert 0 < ticker["bid"] < ticker["ask"]
        book = await client.fetch_order_book(SYMBOL, 20)
        assert len(book["bids"]) == len(book["asks"]) == 20
        assert (await client.fetch_trades(SYMBOL, limit=5))[-1]["price"] > 0
        watched = await client.watch_order_book(SYMBOL)
        for _ in range(5):  # a wrong chain of sequence numbers would raise InvalidNonce
            watched = await client.watch_order_book(SYMBOL)
            assert watched["bids"][0][0] < watched["asks"][0][0]
        assert (await client.watch_trades(SYMBOL))[-1]["amount"] > 0

    run(body)


def test_a_limit_order_is_placed_amended_and_canceled() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        price = (await client.fetch_ticker(SYMBOL))["bid"]
        seen: list[Any] = []

        async def watch() -> None:
            while True:
                seen.extend(dict(each) for each in await client.watch_orders(SYMBOL))

        watcher = asyncio.create_task(watch())
        await until(lambda: bool(side_of(server).streams._subscriptions))
        placed = await client.create_order(SYMBOL, "limit", "buy", 0.01, round(price * 0.98, 2))
        await client.edit_order(
            placed["id"], SYMBOL, "limit", "buy", 0.02, new := round(price * 0.97, 2)
        )
        told = await client.fetch_order(placed["id"], SYMBOL)
        assert (told["status"], told["price"], told["amount"]) == ("open", new, 0.02)
        assert [each["id"] for each in await client.fetch_open_orders(SYMBOL)] == [placed["id"]]
        await client.cancel_order(placed["id"], SYMBOL)
        await until(lambda: bool(seen) and seen[-1]["status"] == "canceled")
        assert [each["price"] for each in seen] == [round(price * 0.98, 2), new, new]
        canceled = await client.fetch_canceled_orders(SYMBOL)
        assert [each["id"] for each in canceled] == [placed["id"]]
        watcher.cancel()
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(placed["id"], SYMBOL)
        with pytest.raises(ccxt.OrderNotFound):
            await client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.01, price)

    run(body)


def test_market_orders_and_their_money() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        before = await client.fetch_balance()
        bought = await client.create_order(SYMBOL, "market", "buy", 0.02)
        filled = await client.fetch_order(bought["id"], SYMBOL)
        assert (filled["status"], filled["filled"]) == ("closed", 0.02)
        trades = await client.fetch_my_trades(SYMBOL)
        assert sum(each["amount"] for each in trades) == pytest.approx(0.02)
        assert {each["order"] for each in trades} == {bought["id"]}
        fee = sum(each["fee"]["cost"] for each in trades)
        after = await client.fetch_balance()
        assert after["BTC"]["total"] - before["BTC"]["total"] == pytest.approx(0.02 - fee)
        cost = sum(each["price"] * each["amount"] for each in trades)
        assert before["USDT"]["total"] - after["USDT"]["total"] == pytest.approx(cost)
        assert filled["average"] == pytest.approx(cost / 0.02)
        spent = await client.create_market_buy_order_with_cost(SYMBOL, 1_000)
        assert (await client.fetch_order(spent["id"], SYMBOL))["filled"] > 0
        await client.create_order(SYMBOL, "market", "sell", 0.02)
        books = side_of(server).exchange.balances("demo")
        told = await client.fetch_balance()
        for coin in ("BTC", "USDT"):
            assert told[coin]["total"] == pytest.approx(sum(books[coin]) / 1e8)

    run(body)


def test_orders_over_the_websocket() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        price = round((await client.fetch_ticker(SYMBOL))["bid"] * 0.98, 2)
        placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
        await client.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.01, price - 1)
        order = side_of(server).exchange.open_orders("demo")[0]
        assert str(order.order_id) == placed["id"]
        assert order.ticks == round((price - 1) * 100)
        await client.cancel_order_ws(placed["id"], SYMBOL)
        assert not side_of(server).exchange.open_orders("demo")
        with pytest.raises(ccxt.ExchangeError, match="51401"):
            await client.cancel_order_ws(placed["id"], SYMBOL)

    run(body)


def test_refusals_are_those_that_ccxt_knows() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        del server
        ticker = await client.fetch_ticker(SYMBOL)
        low = round(ticker["bid"] * 0.98, 2)
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(SYMBOL, "limit", "buy", 50, low)
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("1", SYMBOL)
        name = {"clOrdId": "abc123"}
        await client.create_order(SYMBOL, "limit", "buy", 0.01, low, name)
        with pytest.raises(ccxt.InvalidOrder, match="51016"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, low, name)
        with pytest.raises(ccxt.BadRequest, match="clOrdId"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"clOrdId": "a-b"})
        crossing = round(ticker["ask"] * 1.01, 2)
        maker = await client.create_order(
            SYMBOL, "limit", "buy", 0.01, crossing, {"postOnly": True}
        )
        told = await client.fetch_order(maker["id"], SYMBOL)
        assert (told["status"], told["info"]["cancelSource"]) == ("canceled", "31")
        client.password = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="50105"):
            await client.fetch_balance()

    run(body)
