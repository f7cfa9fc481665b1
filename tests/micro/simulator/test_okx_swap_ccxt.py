"""ccxt and ccxt.pro, as they are installed, trade perpetuals on the simulated OKX."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import pytest
from okx_kit import SWAP, SYMBOL, ccxt_client, okx_server, swap_of
from okx_kit import SWAP_NATIVE as NATIVE
from waiting import until

from citadel_micro.simulator.okx.swap import NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.server import SimulatorServer

CONTRACT = 0.01
"""BTC of one contract, as at the venue."""


def run(body: Callable[[Any, SimulatorServer], Awaitable[None]]) -> None:
    async def main() -> None:
        async with okx_server(serves=NAME) as server, ccxt_client(server, kind="swap") as client:
            await client.load_markets()
            await body(client, server)

    asyncio.run(main())


def test_perpetuals_are_shown_in_contracts() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        market = client.markets[SWAP]
        assert (market["swap"], market["linear"], market["active"]) == (True, True, True)
        assert (market["contractSize"], market["settle"]) == (CONTRACT, "USDT")
        assert market["precision"] == {"amount": 0.001, "price": 0.01}
        side = swap_of(server)
        # Both of one moment: the market moves while an answer is on its way.
        (row,), (best, lots) = (
            side.public.books({"instId": NATIVE}),
            side.feed.depth(SYMBOL, 1).best_bid,
        )
        assert [float(each) for each in row["bids"][0][:2]] == [best / 100, lots / 1_000]
        book = await client.fetch_order_book(SWAP, 5)
        assert len(book["bids"]) == len(book["asks"]) == 5
        watched = await client.watch_order_book(SWAP)
        assert watched["bids"][0][0] < watched["asks"][0][0]
        rate = await client.fetch_funding_rate(SWAP)
        assert rate["fundingRate"] == 0.0001
        mark = await client.watch_mark_price(SWAP)
        assert mark["markPrice"] == pytest.approx(book["bids"][0][0], rel=0.01)
        tiers = await client.fetch_market_leverage_tiers(SWAP)
        assert (tiers[0]["maxLeverage"], tiers[0]["maintenanceMarginRate"]) == (125, 0.004)
        assert tiers[1]["maxNotional"] > tiers[0]["maxNotional"]
        fee = await client.fetch_trading_fee(SWAP)
        assert fee["info"]["takerU"] == "-0.0005"

    run(body)


def test_long_funding_and_out_again() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        side = swap_of(server)
        before = (await client.fetch_balance())["USDT"]["total"]
        await client.set_leverage(5, SWAP, {"marginMode": "isolated"})
        told = await client.fetch_leverage(SWAP, {"marginMode": "isolated"})
        assert told["longLeverage"] == 5
        params = {"tdMode": "isolated"}
        bought = await client.create_order(SWAP, "market", "buy", 2.5, None, params)
        filled = await client.fetch_order(bought["id"], SWAP)
        assert (filled["status"], filled["filled"]) == ("closed", 2.5)
        assert filled["fee"]["currency"] == "USDT"
        (held,) = await client.fetch_positions([SWAP])
        assert (held["side"], held["contracts"], held["leverage"]) == ("long", 2.5, 5)
        assert (held["marginMode"], held["hedged"]) == ("isolated", False)
        assert held["notional"] == pytest.approx(2.5 * CONTRACT * held["markPrice"])
        assert 0 < held["liquidationPrice"] < held["entryPrice"]
        side.futures.fund(SYMBOL, 30_000)
        (paid,) = await client.fetch_funding_history(SWAP)
        assert paid["amount"] == pytest.approx(-0.0003 * held["notional"], rel=0.01)
        with pytest.raises(ccxt.ExchangeError):  # there is nothing to reduce on that side
            await client.create_order(
                SWAP, "market", "buy", 1, None, {**params, "reduceOnly": True}
            )
        over = {**params, "reduceOnly": True}
        await client.create_order(SWAP, "market", "sell", 4, None, over)
        assert await client.fetch_positions() == []
        after = (await client.fetch_balance())["USDT"]["total"]
        trades = await client.fetch_my_trades(SWAP)
        cash = sum(
            (-1 if each["side"] == "buy" else 1) * each["amount"] * CONTRACT * each["price"]
            - each["fee"]["cost"]
            for each in trades
        )
        assert after - before == pytest.approx(cash + paid["amount"], abs=1e-6)

    run(body)


def test_a_resting_order_and_its_position_are_watched() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        orders: list[Any] = []
        positions: list[Any] = []

        async def watch(what: Any, seen: list[Any]) -> None:  # noqa: ANN401
            while True:
                seen.extend(dict(each) for each in await what())

        watchers = [
            asyncio.create_task(watch(lambda: client.watch_orders(SWAP), orders)),
            asyncio.create_task(watch(client.watch_positions, positions)),
        ]
        streams = swap_of(server).private
        await until(
            lambda: (
                {
                    arg["channel"]
                    for each in streams._subscriptions.get("demo", ())
                    for arg in each.args  # type: ignore[attr-defined]
                }
                == {"orders", "positions"}
            )
        )
        price = (await client.fetch_ticker(SWAP))["bid"]
        placed = await client.create_order(SWAP, "limit", "sell", 1, round(price * 1.02, 2))
        await client.edit_order(placed["id"], SWAP, "limit", "sell", 3, round(price * 1.03, 2))
        await until(lambda: bool(orders) and orders[-1]["amount"] == 3)
        await client.cancel_order(placed["id"], SWAP)
        await until(lambda: orders[-1]["status"] == "canceled")
        await client.create_order(SWAP, "market", "sell", 1)
        await until(lambda: bool(positions))
        assert (positions[-1]["side"], positions[-1]["contracts"]) == ("short", 1)
        for each in watchers:
            each.cancel()

    run(body)


def test_a_post_only_order_rests_or_is_canceled_by_the_venue() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        del server
        ask = (await client.fetch_ticker(SWAP))["ask"]
        params = {"postOnly": True}
        rests = await client.create_order(SWAP, "limit", "buy", 1, round(ask * 0.98, 2), params)
        told = (await client.fetch_order(rests["id"], SWAP))["info"]
        assert (told["state"], told["ordType"]) == ("live", "post_only")
        takes = await client.create_order(SWAP, "limit", "buy", 1, round(ask * 1.01, 2), params)
        told = (await client.fetch_order(takes["id"], SWAP))["info"]
        assert (told["state"], told["cancelSource"], told["accFillSz"]) == ("canceled", "31", "0")

    run(body)


def test_what_the_venue_closes_says_so() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        await client.create_order(SWAP, "market", "buy", 1)
        swap_of(server).futures.close_out("demo", SYMBOL, "liquidation")
        last = (await client.fetch_my_trades(SWAP))[-1]["info"]
        assert (last["subType"], last["clOrdId"]) == ("104", "")
        order = await client.fetch_order(last["ordId"], SWAP)
        assert order["info"]["category"] == "full_liquidation"
        assert Decimal(order["info"]["accFillSz"]) == 1

    run(body)


def test_net_mode_can_be_left_while_nothing_is_held() -> None:
    async def body(client: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        del server
        await client.set_position_mode(True)
        assert (await client.private_get_account_config())["data"][0][
            "posMode"
        ] == "long_short_mode"
        await client.set_position_mode(False)
        await client.create_order(SWAP, "market", "buy", 1)
        with pytest.raises(ccxt.ExchangeError, match="close all positions"):
            await client.set_position_mode(True)

    run(body)
