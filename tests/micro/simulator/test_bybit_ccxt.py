"""ccxt (REST) and ccxt.pro (websocket) trade on simulated Bybit, unchanged but for their addresses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from spot_client import HMAC_KEY
from waiting import until

from citadel_micro.simulator.bybit.app import Bybit
from citadel_micro.simulator.bybit.ccxt_urls import ccxt_overrides
from citadel_micro.simulator.bybit.linear import BybitLinear
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Client = Any  # ccxt has no types
BTC = "BTC/USDT"
CONFIG = SimulatorConfig(
    symbols=(BTC, "XRP/USDT"), history_days=1, warm_minutes=1, venues=("bybit",)
)


def bybit_of(server: SimulatorServer) -> Bybit:
    found = server.venues["bybit"]
    assert isinstance(found, Bybit)
    return found


def with_client(
    kind: Client, body: Callable[[Client, Bybit], Awaitable[None]], *rules: str
) -> None:
    async def run() -> None:
        async with SimulatorServer(CONFIG) as server:
            server.spot.venue.faults.extend(rules)
            overrides = ccxt_overrides(server.rest_url, server.ws_url)
            keys = {"apiKey": HMAC_KEY.key_id, "secret": HMAC_KEY.secret}
            client = kind({**overrides, **keys})
            try:
                async with asyncio.timeout(150):
                    await client.load_markets()
                    await body(client, bybit_of(server))
            finally:
                await client.close()

    asyncio.run(run())


async def listening(venue: Bybit, topic: str, watch: Awaitable[Any]) -> asyncio.Future[Any]:
    """A watch that the venue knows of."""
    task = asyncio.ensure_future(watch)
    await until(lambda: topic in venue.topics(HMAC_KEY.account))
    await asyncio.sleep(0.05)
    return task


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
    client = ccxt.pro.bybit(ccxt_overrides("http://127.0.0.1:1", "ws://127.0.0.1:1"))
    found = list(addresses(client.urls["api"]))
    assert len(found) >= 12
    assert all(url.startswith(("http://127.0.0.1:1", "ws://127.0.0.1:1")) for url in found)


def test_rest_walk() -> None:
    async def body(client: Client, _venue: Bybit) -> None:
        balance = await client.fetch_balance()
        assert (balance["USDT"]["free"], balance["USDT"]["total"]) == (1e6, 1e6)
        fee = await client.fetch_trading_fee(BTC)
        assert (fee["maker"], fee["taker"]) == (0.001, 0.001)
        price = await far(client)
        made = {"clientOrderId": "my-1"}
        order = await client.create_order(BTC, "limit", "buy", 0.01, price, made)
        assert order["clientOrderId"] == "my-1"
        found = await client.fetch_order(order["id"], BTC, {"acknowledged": True})
        assert (found["status"], found["price"], found["filled"]) == ("open", price, 0.0)
        assert found["timestamp"] > 1.7e12
        assert [each["id"] for each in await client.fetch_open_orders(BTC)] == [order["id"]]
        moved = await client.edit_order(order["id"], BTC, "limit", "buy", 0.02, price - 1)
        assert moved["id"] == order["id"]
        (found,) = await client.fetch_open_orders(BTC)
        assert (found["amount"], found["price"]) == (0.02, price - 1)
        held = (await client.fetch_balance())["USDT"]["used"]
        assert held == pytest.approx(0.02 * (price - 1))
        assert (await client.cancel_order(order["id"], BTC))["id"] == order["id"]
        for again in (client.cancel_order, client.edit_order):
            arguments = (order["id"], BTC, "limit", "buy", 0.03, price)
            with pytest.raises(ccxt.OrderNotFound):
                await again(*arguments[: 2 if again == client.cancel_order else 6])
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("5", BTC, {"acknowledged": True})
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(BTC, "limit", "sell", 11, await far(client, 1.05))
        with pytest.raises(ccxt.InvalidOrder, match="170140"):
            await client.create_order(BTC, "limit", "buy", 0.00001, price)
        with pytest.raises(ccxt.InvalidOrder, match="170141"):
            await client.create_order(BTC, "limit", "buy", 0.01, price, made)
        bought = await client.create_order(BTC, "market", "buy", 0.01)
        await client.create_market_buy_order_with_cost(BTC, 200)
        trades = await client.fetch_my_trades(BTC)
        assert bought["id"] in {trade["order"] for trade in trades}
        of_it = await client.fetch_order_trades(bought["id"], BTC)
        fees = sum(Decimal(str(each["fee"]["cost"])) for each in of_it)
        assert (fees, of_it[0]["fee"]["currency"]) == (Decimal("0.00001"), "BTC")
        closed = await client.fetch_canceled_and_closed_orders(BTC)
        assert sorted(each["status"] for each in closed) == ["canceled", "closed", "closed"]
        assert sorted(each["filled"] > 0 for each in closed) == [False, True, True]
        kept = [await client.create_order(BTC, "limit", "buy", 0.01, price) for _ in range(2)]
        gone = await client.cancel_all_orders(BTC)
        assert {each["id"] for each in gone} == {each["id"] for each in kept}

    with_client(ccxt.async_support.bybit, body)


def test_a_post_only_order_that_would_take_is_answered_with_0_and_rejected_on_the_stream() -> None:
    async def body(client: Client, venue: Bybit) -> None:
        watched = await listening(venue, "order", client.watch_orders(BTC))
        made = await client.create_order_ws(
            BTC, "limit", "buy", 0.01, await far(client, 1.05), {"postOnly": True}
        )
        (told,) = await watched
        assert (told["id"], told["status"], told["filled"]) == (made["id"], "rejected", 0.0)
        assert told["info"]["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"

    with_client(ccxt.pro.bybit, body)


def test_websocket_walk() -> None:
    async def body(client: Client, venue: Bybit) -> None:
        price = await far(client)
        watched = await listening(venue, "order", client.watch_orders(BTC))
        order = await client.create_order_ws(BTC, "limit", "buy", 0.01, price)
        (told,) = await watched
        assert (told["id"], told["status"], told["price"]) == (order["id"], "open", price)
        watched = await listening(venue, "order", client.watch_orders(BTC))
        moved = await client.edit_order_ws(order["id"], BTC, "limit", "buy", 0.02, price)
        assert moved["id"] == order["id"]
        assert (await watched)[-1]["amount"] == 0.02
        watched = await listening(venue, "order", client.watch_orders(BTC))
        await client.cancel_order_ws(order["id"], BTC)
        assert (await watched)[-1]["status"] == "canceled"
        trades = await listening(venue, "execution", client.watch_my_trades(BTC))
        balance = await listening(venue, "wallet", client.watch_balance())
        taken = await client.create_order_ws(BTC, "market", "buy", 0.01)
        assert {each["order"] for each in await trades} == {taken["id"]}
        assert 10.009 < (await balance)["BTC"]["total"] < 10.01
        with pytest.raises(ccxt.InvalidOrder, match="170136"):
            await client.create_order_ws(BTC, "limit", "buy", 0, price)

    with_client(ccxt.pro.bybit, body)


def test_books_trades_and_tickers() -> None:
    async def body(client: Client, _venue: Bybit) -> None:
        for _ in range(5):
            book = await client.watch_order_book(BTC)
            assert book["bids"][0][0] < book["asks"][0][0]
        full = await client.fetch_order_book(BTC, 50)
        assert abs(full["bids"][0][0] - book["bids"][0][0]) < 100
        assert (await client.watch_trades(BTC))[-1]["price"] > 0
        assert (await client.watch_ticker(BTC))["last"] > 0
        assert len(await client.fetch_trades(BTC)) == 60
        assert abs(await client.fetch_time() - client.milliseconds()) < 2_000

    with_client(ccxt.pro.bybit, body)


def test_a_wrong_secret_a_late_request_and_too_many() -> None:
    async def body(client: Client, _venue: Bybit) -> None:
        good = client.secret
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="10004"):
            await client.fetch_balance()
        client.secret = good
        client.options["timeDifference"] = 10_000
        with pytest.raises(ccxt.InvalidNonce):
            await client.fetch_open_orders(BTC)
        client.options["timeDifference"] = 0
        client.enableRateLimit = False
        asked = [client.fetch_open_orders(BTC) for _ in range(120)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert any(isinstance(each, ccxt.RateLimitExceeded) for each in answers)

    with_client(ccxt.async_support.bybit, body)


def test_linear_walk() -> None:
    swap = "BTC/USDT:USDT"
    config = replace(CONFIG, venues=("bybit-linear",), funding_s=3_600)

    async def body(client: Client, venue: BybitLinear) -> None:
        assert list(client.markets) == [swap, "XRP/USDT:USDT"]
        await client.set_margin_mode("isolated")
        await client.set_leverage(5, swap)
        with pytest.raises(ccxt.BadRequest, match="110043"):
            await client.set_leverage(5, swap)
        assert (await client.fetch_balance())["USDT"]["total"] == 1e6
        ticker = await client.fetch_ticker(swap)
        assert abs(ticker["markPrice"] / ticker["last"] - 1) < 0.01
        rate = await client.fetch_funding_rate(swap)
        assert rate["fundingRate"] == 0.0001
        tiers = await client.fetch_market_leverage_tiers(swap)
        assert tiers[0]["maxLeverage"] == 125
        price = float(client.price_to_precision(swap, ticker["last"] * 0.9))
        order = await client.create_order(swap, "limit", "buy", 0.1, price, {"postOnly": True})
        found = await client.fetch_order(order["id"], swap, {"acknowledged": True})
        assert (found["status"], found["timeInForce"]) == ("open", "PO")
        used = (await client.fetch_balance())["USDT"]["used"]
        assert used == pytest.approx(0.1 * price / 5)
        await client.cancel_order(order["id"], swap)
        with pytest.raises(ccxt.InvalidOrder, match="110017"):
            await client.create_order(swap, "market", "sell", 0.1, None, {"reduceOnly": True})
        assert await client.watch_positions([swap]) == []  # as they are, before the stream
        watched = asyncio.ensure_future(client.watch_positions([swap]))
        await until(lambda: "position" in venue.topics(HMAC_KEY.account))
        await client.create_order_ws(swap, "market", "buy", 0.1)
        (told,) = await watched
        assert (told["side"], told["contracts"], told["leverage"]) == ("long", 0.1, 5)
        held = await client.fetch_position(swap)
        assert (held["side"], held["contracts"]) == ("long", 0.1)
        assert held["entryPrice"] == told["entryPrice"]
        assert 0 < held["liquidationPrice"] < held["entryPrice"]
        venue.futures.fund(BTC, 10_000)
        (paid,) = await client.fetch_funding_history(swap)
        assert paid["amount"] == pytest.approx(0.1 * held["markPrice"] * 1e-4, rel=0.01)
        await client.create_order(swap, "market", "sell", 0.1, None, {"reduceOnly": True})
        trades = await client.fetch_my_trades(swap)
        assert {each["fee"]["currency"] for each in trades} == {"USDT"}
        assert {each["side"] for each in trades} == {"buy", "sell"}
        book = await client.watch_order_book(swap)
        assert book["bids"][0][0] < book["asks"][0][0]
        for _ in range(3):
            assert (await client.watch_ticker(swap))["markPrice"] > 0

    async def run() -> None:
        async with SimulatorServer(config) as server:
            venue = server.venues["bybit-linear"]
            assert isinstance(venue, BybitLinear)
            overrides = ccxt_overrides(server.rest_url, server.ws_url, swap=True)
            keys = {"apiKey": HMAC_KEY.key_id, "secret": HMAC_KEY.secret}
            client = ccxt.pro.bybit({**overrides, **keys})
            try:
                async with asyncio.timeout(150):
                    await client.load_markets()
                    await body(client, venue)
            finally:
                await client.close()

    asyncio.run(run())
