"""Binance spot's signed REST endpoints: orders, with every error's code and text."""

from __future__ import annotations

from typing import Any

from spot_client import FAR, SYMBOL, SpotClient, trade
from spot_rest_kit import Json, balances, e8

from citadel_micro.sim.flow_symbols import E8

UNKNOWN = "Unknown order sent."


def without(params: dict[str, Json], *names: str) -> dict[str, Json]:
    return {name: value for name, value in params.items() if name not in names}


# ---------------------------------------------------------------------- orders


def test_an_order_rests_is_queried_and_canceled() -> None:
    async def body(client: SpotClient) -> None:
        before = await balances(client)
        price = client.price(0.9)
        placed = await client.order(**FAR, price=price, newClientOrderId="mine")
        assert placed.status == 200
        row = placed.body
        assert row["clientOrderId"] == "mine"
        assert (row["status"], row["origQty"], row["executedQty"], row["price"], row["fills"]) == (
            "NEW",
            "0.01000000",
            "0.00000000",
            price,
            [],
        )
        assert row["transactTime"] == row["workingTime"]
        assert placed.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert placed.headers["X-MBX-ORDER-COUNT-1D"] == "1"
        order_id = row["orderId"]
        free, locked = (await balances(client))["USDT"]
        assert (free + locked, locked) == (before["USDT"][0], e8(price) // 100)
        for params in (
            {"orderId": order_id},
            {"origClientOrderId": "mine"},
            {"orderId": order_id, "origClientOrderId": "mine"},
        ):
            found = await client.order("GET", **params)
            assert (found.status, found.body["orderId"]) == (200, order_id)
            assert found.body["isWorking"]
        both = await client.order("GET", orderId=order_id, origClientOrderId="other")
        assert both.error == (400, -2013, "Order does not exist.")
        listed = await client.send("GET", "/api/v3/openOrders", {"symbol": SYMBOL})
        assert [entry["orderId"] for entry in listed.body] == [order_id]
        assert (await client.send("GET", "/api/v3/openOrders")).body == listed.body
        gone = await client.order("DELETE", origClientOrderId="mine", newClientOrderId="cancel")
        assert gone.status == 200
        assert (gone.body["origClientOrderId"], gone.body["clientOrderId"]) == ("mine", "cancel")
        assert gone.body["status"] == "CANCELED"
        assert await balances(client) == before
        for verb, error in (
            ("DELETE", (400, -2011, UNKNOWN)),
            ("GET", None),
        ):
            answer = await client.order(verb, orderId=order_id)
            if error is None:
                assert answer.body["status"] == "CANCELED"
            else:
                assert answer.error == error
        history = await client.send("GET", "/api/v3/allOrders", {"symbol": SYMBOL})
        assert [entry["status"] for entry in history.body] == ["CANCELED"]

    trade(body)


def test_answers_are_as_long_as_was_asked_for() -> None:
    async def body(client: SpotClient) -> None:
        price = client.price(0.9)
        maker = without(FAR, "timeInForce") | {"price": price, "type": "LIMIT_MAKER"}
        short = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
        assert set((await client.order(**maker)).body) == short
        assert set((await client.order(**FAR, price=price, newOrderRespType="ACK")).body) == short
        result = (await client.order(**maker, newOrderRespType="RESULT")).body
        assert result["status"] == "NEW"
        assert "fills" not in result
        market = {"side": "BUY", "type": "MARKET", "quantity": "0.01"}
        full = (await client.order(**market)).body
        assert full["status"] == "FILLED"
        assert sum(e8(fill["qty"]) for fill in full["fills"]) == E8 // 100
        assert {fill["commissionAsset"] for fill in full["fills"]} == {"BTC"}
        quote = (await client.order(side="SELL", type="MARKET", quoteOrderQty="100")).body
        assert quote["status"] == "FILLED"
        assert quote["origQuoteOrderQty"] == "100.00000000"
        assert 0 < e8(quote["cummulativeQuoteQty"]) <= 100 * E8

    trade(body)


BAD_ORDERS: list[tuple[dict[str, Json], int, str]] = [
    ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({"symbol": "btcusdt"}, -1100, "Illegal characters found in parameter 'symbol'"),
    ({"side": "LONG"}, -1117, "Invalid side."),
    ({"type": "PEG"}, -1116, "Invalid orderType."),
    ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
    ({"timeInForce": None}, -1102, "Mandatory parameter 'timeInForce' was not sent"),
    ({"price": None}, -1102, "Mandatory parameter 'price' was not sent"),
    ({"quantity": None}, -1102, "Mandatory parameter 'quantity' was not sent"),
    ({"quantity": ""}, -1105, "Parameter 'quantity' was empty."),
    ({"quantity": "-1"}, -1100, "Illegal characters found in parameter 'quantity'"),
    ({"quantity": "1e-2"}, -1100, "Illegal characters found in parameter 'quantity'"),
    ({"quantity": "0.010000001"}, -1111, "Parameter 'quantity' has too much precision."),
    ({"quantity": "0"}, -1013, "Invalid quantity."),
    ({"price": "0"}, -1013, "Invalid price."),
    ({"price": "50000.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
    ({"price": "1.00"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ({"newClientOrderId": "x" * 37}, -1100, "'newClientOrderId'; legal range is"),
    ({"newClientOrderId": "with space"}, -1100, "'newClientOrderId'; legal range is"),
    ({"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required."),
    ({"quoteOrderQty": "1"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
    ({"type": "LIMIT_MAKER"}, -1106, "Parameter 'timeInForce' sent when not required."),
    ({"type": "STOP_LOSS_LIMIT"}, -1102, "Mandatory parameter 'stopPrice' was not sent"),
    ({"newOrderRespType": "ALL"}, -1130, "Data sent for parameter 'newOrderRespType'"),
    ({"selfTradePreventionMode": "MAYBE"}, -1130, "'selfTradePreventionMode' is not valid."),
    ({"trailingDelta": "5"}, -1013, "Trailing stop orders are not supported for this symbol."),
    ({"reduceOnly": "true"}, -1104, "Not all sent parameters were read; read '"),
    ({"quantity": "999999", "side": "SELL"}, -1013, "Filter failure: "),
    ({"quantity": "11", "side": "SELL"}, -2010, "Account has insufficient balance for requested"),
]


def test_bad_orders_are_refused_with_binances_code_and_text() -> None:
    async def body(client: SpotClient) -> None:
        fixed = FAR | {"symbol": SYMBOL, "price": client.price(0.9)}
        for changes, code, text in BAD_ORDERS:
            params = {name: value for name, value in (fixed | changes).items() if value is not None}
            for path in ("", "/test"):
                answer = await client.send("POST", f"/api/v3/order{path}", params)
                assert answer.status == 400, changes
                assert answer.body["code"] == code, (changes, answer.body)
                assert text in answer.body["msg"], (changes, answer.body)
        assert (await client.send("GET", "/api/v3/openOrders")).body == []
        assert (await client.order(path="/test", **without(fixed, "symbol"))).body == {}
        rates = await client.order(
            path="/test", **without(fixed, "symbol"), computeCommissionRates="true"
        )
        assert rates.body["standardCommissionForOrder"]["taker"] == "0.00100000"
        assert (await client.send("GET", "/api/v3/openOrders")).body == []

    trade(body)


def test_what_the_matching_engine_refuses() -> None:
    async def body(client: SpotClient) -> None:
        high = client.price(1.05)
        maker = {"side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": high}
        crossing = await client.order(**maker)
        assert crossing.error == (400, -2010, "Order would immediately match and take.")
        await client.rest_far(newClientOrderId="twin")
        again = await client.order(**FAR, price=client.price(0.9), newClientOrderId="twin")
        assert again.error == (400, -2010, "Duplicate order sent.")
        await client.order("DELETE", origClientOrderId="twin")
        second = await client.rest_far(newClientOrderId="twin")
        found = await client.order("GET", origClientOrderId="twin")
        assert found.body["orderId"] == second["orderId"]
        stop = {"side": "BUY", "type": "STOP_LOSS", "quantity": "0.01"}
        passed = await client.order(**stop, stopPrice=client.price(0.95))
        assert passed.error == (400, -2010, "Order would trigger immediately.")
        waiting = await client.order(**stop, stopPrice=high, newOrderRespType="RESULT")
        assert (waiting.body["status"], waiting.body["stopPrice"]) == ("NEW", high)
        assert "workingTime" not in waiting.body
        await client.sim("POST", "status", symbol=SYMBOL, status="HALT")
        halted = await client.order(**FAR, price=client.price(0.9))
        assert halted.error == (400, -1013, "Market is closed.")
        info = await client.raw("GET", "/api/v3/exchangeInfo", query=f"symbol={SYMBOL}")
        assert info.body["symbols"][0]["status"] == "HALT"
        fill_or_kill = FAR | {"timeInForce": "FOK", "price": client.price(0.9)}
        await client.sim("POST", "status", symbol=SYMBOL, status="TRADING")
        killed = await client.order(**fill_or_kill)
        assert (killed.status, killed.body["status"]) == (200, "EXPIRED")
        assert killed.body["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"

    trade(body)


def test_cancel_needs_an_order_and_respects_its_restriction() -> None:
    async def body(client: SpotClient) -> None:
        none = await client.order("DELETE")
        assert none.body["code"] == -1102
        assert (await client.order("DELETE", orderId=5)).error == (400, -2011, UNKNOWN)
        assert (await client.order("GET", orderId=5)).error == (400, -2013, "Order does not exist.")
        order_id = (await client.rest_far())["orderId"]
        bad = await client.order("DELETE", orderId=order_id, cancelRestrictions="NEVER")
        assert bad.error == (400, -1145, "Invalid cancelRestrictions")
        kept = await client.order(
            "DELETE", orderId=order_id, cancelRestrictions="ONLY_PARTIALLY_FILLED"
        )
        text = "Order was not canceled due to cancel restrictions."
        assert kept.error == (400, -2011, text)
        gone = await client.order("DELETE", orderId=order_id, cancelRestrictions="ONLY_NEW")
        assert gone.status == 200
        nothing = await client.send("DELETE", "/api/v3/openOrders", {"symbol": SYMBOL})
        assert nothing.error == (400, -2011, UNKNOWN)
        ids = {(await client.rest_far())["orderId"] for _ in range(3)}
        every = await client.send("DELETE", "/api/v3/openOrders", {"symbol": SYMBOL})
        assert {entry["orderId"] for entry in every.body} == ids
        assert len({entry["clientOrderId"] for entry in every.body}) == 3

    trade(body)


# ---------------------------------------------------------------------- cancel and replace


def test_cancel_replace_does_both_one_or_none() -> None:
    async def body(client: SpotClient) -> None:
        async def replace(**changes: Json) -> Any:  # noqa: ANN401 - any answer
            params = FAR | {"price": client.price(0.91), "symbol": SYMBOL}
            params |= {"cancelReplaceMode": "STOP_ON_FAILURE"} | changes
            return await client.send("POST", "/api/v3/order/cancelReplace", params)

        first = (await client.rest_far(newClientOrderId="a"))["orderId"]
        both = await replace(cancelOrderId=first, newClientOrderId="b")
        assert both.status == 200
        assert (both.body["cancelResult"], both.body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
        assert both.body["cancelResponse"]["origClientOrderId"] == "a"
        second = both.body["newOrderResponse"]["orderId"]
        neither = await replace(cancelOrderId=first)
        assert neither.error == (400, -2022, "Order cancel-replace failed.")
        assert neither.body["data"] == {
            "cancelResult": "FAILURE",
            "newOrderResult": "NOT_ATTEMPTED",
            "cancelResponse": {"code": -2011, "msg": UNKNOWN},
            "newOrderResponse": None,
        }
        crossing = {"type": "LIMIT_MAKER", "price": client.price(1.05), "timeInForce": ""}
        params = FAR | crossing | {"symbol": SYMBOL, "cancelOrigClientOrderId": "b"}
        params["cancelReplaceMode"] = "STOP_ON_FAILURE"
        half = await client.send(
            "POST", "/api/v3/order/cancelReplace", without(params, "timeInForce")
        )
        assert half.error == (409, -2021, "Order cancel-replace partially failed.")
        data = half.body["data"]
        assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
        assert data["cancelResponse"]["orderId"] == second
        assert data["newOrderResponse"]["code"] == -2010
        other = await replace(cancelOrderId=second, cancelReplaceMode="ALLOW_FAILURE")
        assert other.error == (409, -2021, "Order cancel-replace partially failed.")
        data = other.body["data"]
        assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "SUCCESS")
        third = data["newOrderResponse"]["orderId"]
        none = await client.send(
            "POST",
            "/api/v3/order/cancelReplace",
            without(params, "timeInForce") | {"cancelReplaceMode": "ALLOW_FAILURE"},
        )
        assert none.error == (400, -2022, "Order cancel-replace failed.")
        assert none.body["data"]["newOrderResult"] == "FAILURE"
        # A filter is looked at before anything is canceled.
        filtered = await replace(cancelOrderId=third, price="50000.001")
        assert filtered.error == (400, -1013, "Filter failure: PRICE_FILTER")
        spared = await replace(cancelOrderId=third, cancelRestrictions="ONLY_PARTIALLY_FILLED")
        assert spared.error == (400, -2022, "Order cancel-replace failed.")
        still = await client.send("GET", "/api/v3/openOrders")
        assert [entry["orderId"] for entry in still.body] == [third]

    trade(body)


def test_amend_goes_down_only_and_says_so() -> None:
    async def body(client: SpotClient) -> None:
        async def amend(**params: Json) -> Any:  # noqa: ANN401 - any answer
            return await client.order("PUT", "/amend/keepPriority", **params)

        order_id = (await client.rest_far(newClientOrderId="a"))["orderId"]
        done = await amend(orderId=order_id, newQty="0.008", newClientOrderId="a")
        assert done.status == 200
        row = done.body["amendedOrder"]
        assert (row["orderId"], row["origClientOrderId"], row["clientOrderId"], row["qty"]) == (
            order_id,
            "a",
            "a",
            "0.00800000",
        )
        renamed = (await amend(origClientOrderId="a", newQty="0.007")).body["amendedOrder"]
        assert renamed["origClientOrderId"] == "a"
        assert renamed["clientOrderId"] != "a"
        up = await amend(orderId=order_id, newQty="0.009")
        assert up.error == (400, -2038, "Order amend (quantity increase) is not supported.")
        same = await amend(orderId=order_id, newQty="0.007")
        text = "The requested action would change no state; rejecting"
        assert same.error == (400, -2038, text)
        assert (await amend(orderId=5, newQty="0.007")).error == (400, -2038, UNKNOWN)
        assert (await amend(orderId=order_id)).body["code"] == -1102
        for count in range(8):
            step = await amend(orderId=order_id, newQty=f"0.00{690 - count}")
            assert step.status == 200, step.body
        last = await amend(orderId=order_id, newQty="0.006")
        assert last.body["msg"] == "Filter failure: MAX_NUM_ORDER_AMENDS"

    trade(body)
