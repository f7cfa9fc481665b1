"""Binance spot's signed REST endpoints: rate limits, and records of trades and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spot_client import FAR, SYMBOL, SpotClient, one_window, trade

from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from spot_rest_kit import Json


# ---------------------------------------------------------------------- limits


@one_window()
def test_weights_are_reported_on_public_and_private_answers_and_end_in_429_and_418() -> None:
    async def body(client: SpotClient) -> None:
        public = await client.raw("GET", "/api/v3/time")
        assert public.headers["X-MBX-USED-WEIGHT-1M"] == "1"
        await client.send("GET", "/api/v3/account")
        asked = await client.send("GET", "/api/v3/order", {"symbol": SYMBOL, "orderId": 1})
        assert asked.headers["X-MBX-USED-WEIGHT-1M"] == "25"
        free = await client.order(**FAR, price=client.price(0.9))
        assert free.headers["X-MBX-USED-WEIGHT-1M"] == "25"
        failed = await client.order(**FAR, price="50000.001")
        assert failed.headers["X-MBX-USED-WEIGHT-1M"] == "26"
        every = await client.send("GET", "/api/v3/openOrders")
        assert every.headers["X-MBX-USED-WEIGHT-1M"] == "106"
        for _ in range(2):
            limited = await client.send("GET", "/api/v3/openOrders")
        assert limited.error[:2] == (429, -1003)
        assert "current limit is 200 request weight per 1 MINUTE." in limited.body["msg"]
        assert 1 <= int(limited.headers["Retry-After"]) <= 60
        for _ in range(12):
            banned = await client.raw("GET", "/api/v3/depth", query=f"symbol={SYMBOL}")
        assert banned.error[:2] == (418, -1003)
        assert 60 < int(banned.headers["Retry-After"]) <= 120
        assert (await client.send("GET", "/api/v3/account")).status == 418
        await client.sim("POST", "pardon", address="127.0.0.1")
        assert (await client.send("GET", "/api/v3/account")).status == 200

    trade(body, weight_limit=200)


@one_window()
def test_unfilled_orders_are_counted_and_fills_give_back() -> None:
    async def body(client: SpotClient) -> None:
        async def counts() -> list[int]:
            answer = await client.send("GET", "/api/v3/rateLimit/order")
            return [entry["count"] for entry in answer.body]

        first = (await client.rest_far())["orderId"]
        await client.rest_far()
        await client.rest_far()
        assert (await counts())[1] == 3
        client.exchange.fill("demo", "BTC/USDT", order_id=first)
        assert (await counts())[1] == 2
        await client.rest_far()
        over = await client.order(**FAR, price=client.price(0.9))
        text = "Too many new orders; current limit is 3 orders per 1 DAY."
        assert over.error == (429, -1015, text)
        assert int(over.headers["Retry-After"]) > 0
        replaced = await client.send(
            "POST",
            "/api/v3/order/cancelReplace",
            FAR
            | {
                "symbol": SYMBOL,
                "price": client.price(0.9),
                "cancelReplaceMode": "STOP_ON_FAILURE",
                "cancelOrderId": first + 1,
            },
        )
        assert replaced.error[:2] == (429, -1015)

    trade(body, orders_day=3)


# ---------------------------------------------------------------------- records


def test_trades_and_orders_are_found_by_id_time_and_order() -> None:
    async def body(client: SpotClient) -> None:
        market = {"side": "BUY", "type": "MARKET", "quantity": "0.01"}
        placed = [(await client.order(**market)).body for _ in range(3)]
        ids = [fill["tradeId"] for order in placed for fill in order["fills"]]

        async def trades(**params: Json) -> list[Json]:
            answer = await client.send("GET", "/api/v3/myTrades", {"symbol": SYMBOL, **params})
            assert answer.status == 200, answer.body
            return list(answer.body)

        rows = await trades()
        assert [row["id"] for row in rows] == ids
        assert [row["id"] for row in await trades(fromId=ids[1])] == ids[1:]
        assert [row["id"] for row in await trades(limit=1)] == ids[-1:]
        last = placed[-1]["orderId"]
        assert {row["orderId"] for row in await trades(orderId=last)} == {last}
        since = rows[-1]["time"]
        assert {row["id"] for row in await trades(startTime=since)} >= {ids[-1]}
        assert await trades(endTime=rows[0]["time"] - 1) == []
        assert "clientOrderId" not in rows[0]
        assert (rows[0]["isBuyer"], rows[0]["isMaker"]) == (True, False)
        for path in ("myTrades", "allOrders"):
            long = {"symbol": SYMBOL, "startTime": 1, "endTime": 86_400_002}
            answer = await client.send("GET", f"/api/v3/{path}", long)
            assert answer.body["code"] == -1127
        mixed = await client.send(
            "GET", "/api/v3/myTrades", {"symbol": SYMBOL, "startTime": 1, "fromId": 1}
        )
        assert mixed.body["code"] == -1128
        orders = await client.send(
            "GET", "/api/v3/allOrders", {"symbol": SYMBOL, "orderId": placed[1]["orderId"]}
        )
        assert [row["orderId"] for row in orders.body] == [row["orderId"] for row in placed[1:]]

    trade(body)


def test_prevented_self_trades_are_listed() -> None:
    async def body(client: SpotClient) -> None:
        tick = client.exchange.rules["BTC/USDT"].spec.tick_e8
        depth = client.server.feed.depth("BTC/USDT", 1)
        inside = depth.bids[0][0] + 1
        price = f"{inside * tick // E8}.{inside * tick % E8:08d}"
        maker = await client.rest_far(price=price)
        taker = FAR | {"side": "SELL", "price": price, "timeInForce": "IOC"}
        answer = await client.order(**taker, selfTradePreventionMode="EXPIRE_TAKER")
        if answer.body["status"] == "EXPIRED_IN_MATCH":
            assert answer.body["preventedQuantity"] == "0.01000000"
            path, params = "/api/v3/myPreventedMatches", {"symbol": SYMBOL}
            rows = (await client.send("GET", path, params | {"orderId": maker["orderId"]})).body
            assert [row["takerOrderId"] for row in rows] == [answer.body["orderId"]]
        else:  # the market took one of them first
            assert answer.body["status"] in {"EXPIRED", "FILLED"}

    trade(body)
