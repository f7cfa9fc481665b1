"""USD-M over REST: what is asked, what is answered, and what is refused with which code."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from spot_client import now_ms, one_window
from usdm_client import BTC, FAR, SYMBOL, UsdmClient, trade

from citadel_micro.adapters.binance.instruments import binance_markets
from citadel_micro.sim.flow_symbols import E8

Json = Any


async def code_of(client: UsdmClient, verb: str, path: str, **params: Json) -> int:
    answer = await client.send(verb, f"/fapi/v1/{path}", {"symbol": SYMBOL, **params})
    assert answer.status == 400, answer.body
    return int(answer.body["code"])


def test_the_public_side_is_what_our_own_feed_reads() -> None:
    async def body(client: UsdmClient) -> None:
        info = await client.raw("GET", "/fapi/v1/exchangeInfo")
        import json  # noqa: PLC0415 - only here

        markets, left_out = binance_markets("binance-usdm", json.dumps(info.body).encode())
        assert left_out == {}
        rules = markets["BTC/USDT:USDT"].rules
        assert (str(rules.tick), str(rules.lot)) == ("0.01", "0.00001")
        depth = await client.raw("GET", "/fapi/v1/depth", query="symbol=BTCUSDT&limit=100")
        assert depth.body["bids"][0][0] < depth.body["asks"][0][0]
        bad = await client.raw("GET", "/fapi/v1/depth", query="symbol=BTCUSDT&limit=7")
        assert bad.body["code"] == -4021
        limits = {each["interval"]: each["limit"] for each in info.body["rateLimits"]}
        assert limits == {"MINUTE": 1200, "SECOND": 300}
        rows = (await client.raw("GET", "/fapi/v1/fundingRate", query="symbol=BTCUSDT")).body
        times = [row["fundingTime"] for row in rows]
        assert times == sorted(times)
        assert all(time % 28_800_000 == 0 for time in times)
        unknown = await client.raw("GET", "/fapi/v1/premiumIndex", query="symbol=BTCUSDT&x=1")
        assert unknown.status == 200

    trade(body)


def test_the_mark_stays_with_the_index_when_one_book_is_emptied() -> None:
    async def body(client: UsdmClient) -> None:
        row = (await client.raw("GET", "/fapi/v1/premiumIndex", query="symbol=BTCUSDT")).body
        index = Decimal(row["indexPrice"])
        assert abs(Decimal(row["markPrice"]) / index - 1) < Decimal("0.002")
        asks = client.exchange._feed.book(BTC)
        levels = {ticks: asks.anonymous("ask", ticks) for ticks in asks.asks}
        for ticks in levels:
            asks.put("ask", ticks, 0)
        after = client.exchange.mark_e8(BTC)
        for ticks, lots in levels.items():  # the market goes on
            asks.put("ask", ticks, lots)
        assert abs(Decimal(after) / E8 / index - 1) < Decimal("0.002")

    trade(body)


@one_window()
def test_an_order_is_placed_modified_and_canceled() -> None:
    async def body(client: UsdmClient) -> None:
        placed = await client.order(
            **FAR | {"price": client.price(0.9), "newClientOrderId": "a.b:c/d"}
        )
        assert (placed.status, placed.body["status"]) == (200, "NEW")
        assert placed.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert placed.headers["X-MBX-ORDER-COUNT-1M"] == "1"
        name = {"origClientOrderId": "a.b:c/d"}
        change = {"side": "BUY", "quantity": "0.02", "price": client.price(0.91)}
        modified = await client.order("PUT", **name, **change)
        assert modified.body["origQty"] == "0.02000"
        assert modified.headers["X-MBX-ORDER-COUNT-10S"] == "2"
        assert (await client.order("PUT", **name, **change)).body["code"] == -5027
        wrong = {**change, "side": "SELL", "quantity": "0.03"}
        assert (await client.order("PUT", **name, **wrong)).body["code"] == -1117
        queried = await client.order("GET", **name)
        assert queried.body["orderId"] == placed.body["orderId"]
        assert [row["orderId"] for row in await client.get("v1/openOrders", symbol=SYMBOL)] == [
            placed.body["orderId"]
        ]
        gone = await client.order("DELETE", **name)
        assert (gone.body["status"], gone.body["clientOrderId"]) == ("CANCELED", "a.b:c/d")
        assert (await client.order("DELETE", **name)).error == (400, -2011, "Unknown order sent.")
        assert (await client.order("PUT", **name, **change)).body["code"] == -2013
        assert (await client.order("GET", orderId=5)).body["code"] == -2013
        assert await code_of(client, "GET", "openOrder", **name) == -2013

    trade(body)


def test_a_modify_can_cancel() -> None:
    async def body(client: UsdmClient) -> None:
        above = client.price(1.02)
        placed = await client.order(
            **FAR | {"price": client.price(0.9), "timeInForce": "GTX", "quantity": "0.02"}
        )
        order_id = placed.body["orderId"]
        client.exchange.fill("demo", BTC, order_id=order_id, lots=1000)
        change = {"side": "BUY", "price": client.price(0.9), "orderId": order_id}
        least = await client.order("PUT", **change, quantity="0.01")
        assert (least.body["status"], least.body["executedQty"]) == ("CANCELED", "0.01000")
        other = await client.order(**FAR | {"price": client.price(0.9), "timeInForce": "GTX"})
        change = {"side": "BUY", "quantity": "0.01", "orderId": other.body["orderId"]}
        crossed = await client.order("PUT", **change, price=above)
        assert crossed.body["status"] == "EXPIRED"

    trade(body)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"timeInForce": "GTX", "price": 1.02}, -5022),
        ({"timeInForce": "FOK", "price": 0.95}, -5021),
        ({"reduceOnly": "true", "price": 0.95}, -2022),
        ({"quantity": "300", "price": 0.95}, -2019),
        ({"quantity": "1100", "price": 0.95}, -2027),
        ({"quantity": "0.00001", "price": 0.95}, -4164),
        ({"quantity": "0.000001", "price": 0.95}, -1111),
        ({"quantity": "0", "price": 0.95}, -4003),
        ({"price": 0.1}, -4131),
        ({"type": "STOP_MARKET", "price": 0.95}, -4120),
        ({"type": "X", "price": 0.95}, -1116),
        ({"side": "X", "price": 0.95}, -1117),
        ({"timeInForce": "X", "price": 0.95}, -1115),
        ({"timeInForce": "GTD", "price": 0.95}, -1102),
        ({"timeInForce": "GTD", "goodTillDate": "1", "price": 0.95}, -5040),
        ({"positionSide": "LONG", "price": 0.95}, -4061),
        ({"newClientOrderId": "x" * 37, "price": 0.95}, -4015),
        ({"newClientOrderId": "ä", "price": 0.95}, -1100),
        ({"selfTradePreventionMode": "DECREMENT", "price": 0.95}, -1130),
        ({"newOrderRespType": "FULL", "price": 0.95}, -1130),
        ({"type": "MARKET", "timeInForce": "GTC", "price": 0.95}, -1106),
        ({"price": None}, -1102),
    ],
)
def test_what_is_refused(changes: dict[str, Json], code: int) -> None:
    async def body(client: UsdmClient) -> None:
        params = FAR | changes
        factor = params.pop("price")
        if factor is not None:
            params["price"] = client.price(factor)
        assert (await client.order(**params)).body["code"] == code
        assert await client.get("v1/allOrders", symbol=SYMBOL) == []

    trade(body)


def test_refusals_that_need_something_before() -> None:
    async def body(client: UsdmClient) -> None:
        low = {"price": client.price(0.9)}
        await client.order(**FAR | low, newClientOrderId="a")
        assert (await client.order(**FAR | low, newClientOrderId="a")).body["code"] == -4116
        await client.order("DELETE", origClientOrderId="a")
        await client.order(**FAR | low, newClientOrderId="a")
        await client.market("BUY")
        high = {**FAR, "side": "SELL", "price": client.price(1.1), "reduceOnly": "true"}
        assert (await client.order(**high)).status == 200
        assert (await client.order(**high)).body["code"] == -4118
        # The minimum value does not hold for exits.
        await client.send("DELETE", "/fapi/v1/allOpenOrders", {"symbol": SYMBOL})
        assert (await client.order(**high | {"quantity": "0.00001"})).status == 200
        assert await code_of(client, "POST", "leverage", leverage=126) == -4028
        await client.send("POST", "/fapi/v1/leverage", {"symbol": SYMBOL, "leverage": 20})
        assert await code_of(client, "POST", "marginType", marginType="CROSSED") == -4046
        assert await code_of(client, "POST", "marginType", marginType="ISOLATED") == -4047
        await client.send("DELETE", "/fapi/v1/allOpenOrders", {"symbol": SYMBOL})
        assert await code_of(client, "POST", "marginType", marginType="ISOLATED") == -4048
        status = await client.sim("POST", "status", market="usdm", symbol=SYMBOL, status="HALT")
        assert status.status == 200
        assert (await client.order(**FAR | low)).body["code"] == -4140

    trade(body)


@one_window()
def test_too_many_orders_and_too_much_weight() -> None:
    async def body(client: UsdmClient) -> None:
        low = {"price": client.price(0.9)}
        for _ in range(2):
            assert (await client.order(**FAR | low)).status == 200
        answer = await client.order(**FAR | low)
        assert answer.error[:2] == (429, -1015)
        assert int(answer.headers["Retry-After"]) >= 1
        while (answer := await client.order("GET", orderId=1)).status == 400:
            pass
        assert answer.error[:2] == (429, -1003)

    trade(body, futures_orders_10s=2, futures_weight_limit=20)


def test_positions_leverage_and_margin() -> None:
    async def body(client: UsdmClient) -> None:
        changed = await client.send("POST", "/fapi/v1/leverage", {"symbol": SYMBOL, "leverage": 10})
        assert changed.body == {
            "leverage": 10, "maxNotionalValue": "150000000", "symbol": SYMBOL,
        }  # fmt: skip
        kind = {"symbol": SYMBOL, "marginType": "ISOLATED"}
        assert (await client.send("POST", "/fapi/v1/marginType", kind)).body["code"] == 200
        sold = await client.market("SELL", "0.1")
        (v2,) = await client.get("v2/positionRisk")
        (v3,) = await client.get("v3/positionRisk", symbol=SYMBOL)
        assert (v2["positionAmt"], v3["positionAmt"]) == ("-0.10000", "-0.10000")
        assert (v2["leverage"], v2["marginType"]) == ("10", "isolated")
        assert Decimal(v2["liquidationPrice"]) > Decimal(v2["entryPrice"])
        value = Decimal(sold["cumQuote"])
        assert abs(Decimal(v3["isolatedWallet"]) - value / 10) < 1
        assert Decimal(v3["notional"]) < 0
        more = {"symbol": SYMBOL, "amount": "5", "type": 1}
        moved = await client.send("POST", "/fapi/v1/positionMargin", more)
        assert moved.body["code"] == 200
        account = await client.get("v3/account")
        assert Decimal(account["totalCrossWalletBalance"]) < Decimal(account["totalWalletBalance"])
        (config,) = await client.get("v1/symbolConfig", symbol=SYMBOL)
        assert (config["leverage"], config["marginType"]) == (10, "ISOLATED")
        bought = await client.market("BUY", "0.1", reduceOnly="true")
        assert await client.get("v3/positionRisk") == []
        income = await client.get("v1/income")
        total = sum(Decimal(row["income"]) for row in income)
        fees = sum(
            Decimal(row["commission"]) for row in await client.get("v1/userTrades", symbol=SYMBOL)
        )
        assert total == value - Decimal(bought["cumQuote"]) - fees
        wallet = next(row for row in await client.get("v3/balance") if row["asset"] == "USDT")
        assert Decimal(wallet["balance"]) == 1_000_000 + total

    trade(body)


def test_modes_that_clients_may_refuse() -> None:
    async def body(client: UsdmClient) -> None:
        assert await client.get("v1/positionSide/dual") == {"dualSidePosition": False}
        path = "/fapi/v1/positionSide/dual"
        same = await client.send("POST", path, {"dualSidePosition": "false"})
        assert same.body["code"] == -4059
        await client.send("POST", path, {"dualSidePosition": "true"})
        assert (await client.get("v1/accountConfig"))["dualSidePosition"] is True
        low = {"price": client.price(0.9)}
        for side in ({}, {"positionSide": "LONG"}):
            assert (await client.order(**FAR | low | side)).body["code"] == -4061
        await client.send("POST", path, {"dualSidePosition": "false"})
        placed = await client.order(**FAR | low)
        hedge = await client.send("POST", path, {"dualSidePosition": "true"})
        assert hedge.body["code"] == -4067
        await client.order("DELETE", orderId=placed.body["orderId"])
        await client.market("BUY")
        hedge = await client.send("POST", path, {"dualSidePosition": "true"})
        assert hedge.body["code"] == -4068
        multi = "/fapi/v1/multiAssetsMargin"
        await client.send("POST", multi, {"multiAssetsMargin": "true"})
        assert await client.get("v1/multiAssetsMargin") == {"multiAssetsMargin": True}
        again = await client.send("POST", multi, {"multiAssetsMargin": "true"})
        assert again.body["code"] == -4171

    trade(body)


def test_a_batch_answers_each_leg_on_its_own() -> None:
    async def body(client: UsdmClient) -> None:
        import json  # noqa: PLC0415 - only here

        good = FAR | {"symbol": SYMBOL, "price": client.price(0.9)}
        bad = good | {"timeInForce": "GTX", "price": client.price(1.02)}
        legs = json.dumps([good, bad, good])
        answer = await client.send("POST", "/fapi/v1/batchOrders", {"batchOrders": legs})
        first, refused, last = answer.body
        assert (refused["code"], first["status"], last["status"]) == (-5022, "NEW", "NEW")
        ids = json.dumps([first["orderId"], 5])
        answer = await client.send(
            "DELETE", "/fapi/v1/batchOrders", {"symbol": SYMBOL, "orderIdList": ids}
        )
        assert [leg.get("status", leg.get("code")) for leg in answer.body] == ["CANCELED", -2011]
        six = json.dumps([good] * 6)
        answer = await client.send("POST", "/fapi/v1/batchOrders", {"batchOrders": six})
        assert answer.body["code"] == -4082

    trade(body)


def test_the_countdown_is_a_real_timer() -> None:
    async def body(client: UsdmClient) -> None:
        placed = await client.order(**FAR | {"price": client.price(0.9)})
        timer = "/fapi/v1/countdownCancelAll"
        answer = await client.send("POST", timer, {"symbol": SYMBOL, "countdownTime": 100_000})
        assert answer.body == {"symbol": SYMBOL, "countdownTime": "100000"}
        await client.send("POST", timer, {"symbol": SYMBOL, "countdownTime": 0})
        await client.send("POST", timer, {"symbol": SYMBOL, "countdownTime": 200})
        async with client.events() as events:
            await events.until(lambda: events.kinds() == ["CANCELED"])
        queried = await client.order("GET", orderId=placed.body["orderId"])
        assert queried.body["status"] == "CANCELED"
        assert queried.body["updateTime"] - placed.body["updateTime"] >= 200

    trade(body)


def test_a_conditional_order_waits_apart_and_places_an_order_when_it_triggers() -> None:
    async def body(client: UsdmClient) -> None:
        await client.market("BUY")
        entry = client.exchange.mark_e8(BTC)
        ask = {
            "symbol": SYMBOL, "algoType": "CONDITIONAL", "side": "SELL", "type": "STOP_MARKET",
            "closePosition": "true", "workingType": "MARK_PRICE",
            "triggerPrice": client.price(0.95), "clientAlgoId": "stop",
        }  # fmt: skip
        async with client.events() as events:
            placed = await client.send("POST", "/fapi/v1/algoOrder", ask)
            assert (placed.body["algoStatus"], placed.body["orderType"]) == ("NEW", "STOP_MARKET")
            again = await client.send("POST", "/fapi/v1/algoOrder", ask)
            assert again.body["code"] == -4116
            above = ask | {"triggerPrice": client.price(1.05), "clientAlgoId": "now"}
            assert (await client.send("POST", "/fapi/v1/algoOrder", above)).body["code"] == -2021
            assert await client.get("v1/openOrders") == []
            assert [row["clientAlgoId"] for row in await client.get("v1/openAlgoOrders")] == [
                "stop"
            ]
            await client.sim("POST", "mark", symbol=SYMBOL, price=str(entry // E8 * 94 // 100))
            await events.until(
                lambda: (
                    [event["o"]["X"] for event in events.of("ALGO_UPDATE")]
                    == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
                )
            )
        done = await client.get("v1/algoOrder", clientAlgoId="stop")
        order = await client.order("GET", orderId=done["actualOrderId"])
        assert (order.body["status"], order.body["reduceOnly"]) == ("FILLED", True)
        assert client.exchange.positions("demo") == []
        gone = await client.send("DELETE", "/fapi/v1/algoOrder", {"clientAlgoId": "stop"})
        assert gone.body["code"] == -2011

    trade(body)


def test_a_trailing_stop_is_asked_for_with_its_rate() -> None:
    async def body(client: UsdmClient) -> None:
        ask = {
            "symbol": SYMBOL, "algoType": "CONDITIONAL", "side": "SELL", "type": "TRAILING_STOP_MARKET",
            "quantity": "0.01", "clientAlgoId": "trail",
        }  # fmt: skip
        for rate, code in ((None, -1102), ("0.09", -2007), ("10.01", -2007), ("1.005", -2007)):
            more = {} if rate is None else {"callbackRate": rate}
            told = await client.send("POST", "/fapi/v1/algoOrder", ask | more)
            assert told.body["code"] == code
        now = ask | {"callbackRate": "1.5", "activatePrice": client.price(0.95)}
        assert (await client.send("POST", "/fapi/v1/algoOrder", now)).body["code"] == -2021
        wait = now | {"activatePrice": client.price(1.05)}
        placed = (await client.send("POST", "/fapi/v1/algoOrder", wait)).body
        assert (placed["algoStatus"], placed["callbackRate"]) == ("NEW", "1.5")
        assert float(placed["activatePrice"]) == float(client.price(1.05))
        assert float(placed["triggerPrice"]) == 0

    trade(body)


def test_funding_at_a_short_interval_is_paid_and_told() -> None:
    async def body(client: UsdmClient) -> None:
        await client.market("BUY")
        async with client.events() as events:
            await events.until(
                lambda: any(
                    event["a"]["m"] == "FUNDING_FEE" for event in events.of("ACCOUNT_UPDATE")
                )
            )
        paid = await client.get("v1/income", incomeType="FUNDING_FEE")
        assert Decimal(paid[0]["income"]) < 0
        told = next(e for e in events.of("ACCOUNT_UPDATE") if e["a"]["m"] == "FUNDING_FEE")
        assert told["a"]["P"] == []  # a cross position
        # Not necessarily the first one: the stream may have been opened after that.
        assert told["a"]["B"][0]["bc"] in [row["income"] for row in paid]

    trade(body, funding_s=1)


def test_a_key_without_futures_may_read_and_not_trade() -> None:
    from citadel_micro.simulator.accounts import AccountConfig  # noqa: PLC0415 - only here
    from citadel_micro.simulator.keys import ApiKey  # noqa: PLC0415 - only here

    key = ApiKey(key_id="spot-only", account="demo", secret="s")

    async def body(client: UsdmClient) -> None:
        client.key = key
        assert await client.get("v1/openOrders") == []
        assert (await client.order(**FAR | {"price": client.price(0.9)})).error[:2] == (401, -2015)
        stale = await client.send("GET", "/fapi/v1/openOrders", {"timestamp": now_ms() - 60_000})
        assert stale.body["code"] == -1021

    trade(body, accounts=(AccountConfig(name="demo", keys=(key,)),))


def test_a_position_is_liquidated_for_all_to_see() -> None:
    async def body(client: UsdmClient) -> None:
        await client.send(
            "POST", "/fapi/v1/marginType", {"symbol": SYMBOL, "marginType": "ISOLATED"}
        )
        await client.market("BUY", "0.1")
        liquidation = Decimal((await client.get("v2/positionRisk"))[0]["liquidationPrice"])
        async with client.events() as events, client.stream("market/ws/!forceOrder@arr") as market:
            await asyncio.sleep(0.05)
            near = str((liquidation * Decimal("1.0005")).quantize(Decimal("0.01")))
            await client.sim("POST", "mark", symbol=SYMBOL, price=near)
            await events.until(lambda: bool(events.of("MARGIN_CALL")))
            assert events.of("MARGIN_CALL")[0]["p"][0]["pa"] == "0.10000"
            low = str((liquidation * Decimal("0.999")).quantize(Decimal("0.01")))
            await client.sim("POST", "mark", symbol=SYMBOL, price=low)
            await events.until(lambda: "CALCULATED" in events.kinds())
            await market.until(lambda: bool(market.of("forceOrder")))
        report = next(each for each in events.reports() if each["x"] == "CALCULATED")
        assert report["c"].startswith("autoclose-")
        assert report["o"] == "LIQUIDATION"
        assert market.of("forceOrder")[0]["o"]["S"] == "SELL"
        forced = await client.get("v1/forceOrders", symbol=SYMBOL)
        assert forced[0]["clientOrderId"] == report["c"]

    trade(body)


def test_a_position_is_taken_away_by_deleveraging() -> None:
    async def body(client: UsdmClient) -> None:
        await client.market("BUY")
        async with client.events() as events:
            answer = await client.sim("POST", "close-out", account="demo", symbol=SYMBOL, by="adl")
            assert answer.body["clientOrderId"].startswith("adl_autoclose")
            await events.until(lambda: "CALCULATED" in events.kinds())
        assert client.exchange.positions("demo") == []

    trade(body)
