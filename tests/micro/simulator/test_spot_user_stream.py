"""Binance spot's user data stream, event by event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from spot_client import (
    FAR,
    SYMBOL,
    SpotClient,
    WsClient,
)
from spot_websocket_kit import Json, connected, far

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.accounts import DEFAULT_BALANCES, AccountConfig

if TYPE_CHECKING:
    from pathlib import Path


REPORT_FIELDS = set("eEscSofqpPFgCxXrilzLnNTtIwmMOZYQVW")


def e8(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    whole, _, decimals = text.lstrip("-").partition(".")
    return sign * (int(whole) * E8 + int(decimals.ljust(8, "0")[:8]))


# ---------------------------------------------------------------------- events


def test_reports_name_the_order_the_cancel_and_the_money() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.listen()
        price = client.price(0.9)
        order_id = (await client.rest_far(newClientOrderId="mine"))["orderId"]
        await client.order("PUT", "/amend/keepPriority", orderId=order_id, newQty="0.008")
        await client.order("DELETE", orderId=order_id, newClientOrderId="stop")
        await socket.until(lambda: "CANCELED" in socket.kinds() and len(socket.events) >= 6)
        assert socket.kinds() == ["NEW", "REPLACED", "CANCELED"]
        new, replaced, canceled = socket.reports()
        assert set(new) == REPORT_FIELDS
        assert (new["c"], new["C"], new["i"], new["X"], new["w"]) == (
            "mine",
            "",
            order_id,
            "NEW",
            True,
        )
        assert (new["t"], new["n"], new["N"], new["q"], new["p"]) == (
            -1,
            "0",
            None,
            "0.01000000",
            price,
        )
        assert (replaced["C"], replaced["q"]) == ("mine", "0.00800000")
        assert replaced["c"] != "mine"
        assert (canceled["c"], canceled["C"], canceled["X"]) == ("stop", replaced["c"], "CANCELED")
        money = [frame["event"] for frame in socket.events if frame["event"]["e"][0] == "o"]
        (row,) = money[0]["B"]
        assert (row["a"], e8(row["l"])) == ("USDT", e8(price) // 100)
        (row,) = money[-1]["B"]
        assert e8(row["l"]) == 0
        await client.sim("POST", "deposit", account="demo", asset="BTC", amount="0.5")
        await socket.until(lambda: socket.events[-2]["event"]["e"] == "balanceUpdate")
        update = socket.events[-2]["event"]
        assert (update["a"], update["d"]) == ("BTC", "0.50000000")

    connected(body)


def test_a_refused_order_makes_no_event_and_an_expired_one_says_why() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.listen()
        high = client.price(1.05)
        refused = await client.order(side="BUY", type="LIMIT_MAKER", quantity="0.01", price=high)
        assert refused.body["code"] == -2010
        await client.order(**FAR | {"timeInForce": "IOC", "price": client.price(0.9)})
        await socket.until(lambda: "EXPIRED" in socket.kinds())
        assert socket.kinds() == ["NEW", "EXPIRED"]
        assert socket.reports()[-1]["eR"] == "UNFILLED_IOC_QUANTITY_EXPIRED"

    connected(body)


def test_replies_come_before_their_events_on_the_same_connection() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.listen()
        await socket.call("order.place", **far(client))
        await socket.until(lambda: bool(socket.reports()))
        assert socket.order[:3] == ["reply", "reply", "NEW"]

    connected(body)


def test_what_the_stream_tells_adds_up_to_account_and_trades() -> None:
    """Many random orders: fills, fees and balances told one by one are those that queries give."""

    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.listen()
        for number in range(60):
            side = ("BUY", "SELL")[number % 2]
            shape = number * 7 % 5
            quantity = f"0.0{1 + number % 7}"
            if shape == 0:
                await client.order(side=side, type="MARKET", quantity=quantity)
            elif shape == 1:
                price = client.price(1.001 if side == "BUY" else 0.999)
                params = FAR | {"side": side, "price": price, "quantity": quantity}
                await client.order(**params | {"timeInForce": "IOC"})
            elif shape == 4:
                await client.send("DELETE", "/api/v3/openOrders", {"symbol": SYMBOL})
            else:
                price = client.price(0.9999 if side == "BUY" else 1.0001)
                placed = await client.order(**FAR | {"side": side, "price": price})
                if shape == 2 and placed.body["status"] == "NEW":
                    order_id = placed.body["orderId"]
                    order = client.exchange.order("demo", "BTC/USDT", order_id=order_id)
                    if order.open:
                        lots = max(order.left // 3, 1)
                        client.exchange.fill("demo", "BTC/USDT", order_id=order_id, lots=lots)
        await client.send("DELETE", "/api/v3/openOrders", {"symbol": SYMBOL})
        account = (await client.send("GET", "/api/v3/account")).body
        rows = (
            await client.send("GET", "/api/v3/myTrades", {"symbol": SYMBOL, "limit": 1000})
        ).body
        assert len(rows) > 30
        await socket.until(lambda: len(socket.reports("TRADE")) >= len(rows))
        await asyncio.sleep(0.1)
        told = socket.reports("TRADE")
        assert [report["I"] for report in socket.reports()] == sorted(
            {report["I"] for report in socket.reports()}
        )
        assert [
            (r["t"], r["i"], r["L"], r["l"], r["Y"], r["n"], r["N"], r["T"], r["m"]) for r in told
        ] == [
            (
                row["id"],
                row["orderId"],
                row["price"],
                row["qty"],
                row["quoteQty"],
                row["commission"],
                row["commissionAsset"],
                row["time"],
                row["isMaker"],
            )
            for row in rows
        ]
        sums: dict[str, int] = dict(DEFAULT_BALANCES)
        filled: dict[int, int] = {}
        for report in told:
            sign = 1 if report["S"] == "BUY" else -1
            sums["BTC"] += sign * e8(report["l"])
            sums["USDT"] -= sign * e8(report["Y"])
            sums[report["N"]] -= e8(report["n"])
            filled[report["i"]] = filled.get(report["i"], 0) + e8(report["l"])
            assert e8(report["z"]) == filled[report["i"]]
        shown = {row["asset"]: e8(row["free"]) + e8(row["locked"]) for row in account["balances"]}
        assert shown == sums
        last: dict[str, tuple[str, str]] = {}
        for frame in socket.events:
            if frame["event"]["e"] == "outboundAccountPosition":
                last |= {row["a"]: (row["f"], row["l"]) for row in frame["event"]["B"]}
        for row in account["balances"]:
            if row["asset"] in last:
                assert last[row["asset"]] == (row["free"], row["locked"])
        final = {report["i"]: report["X"] for report in socket.reports()}
        orders = (await client.send("GET", "/api/v3/allOrders", {"symbol": SYMBOL})).body
        assert final == {row["orderId"]: row["status"] for row in orders}

    fees = FeePlan(maker_e8=75_000, taker_e8=100_000)
    connected(body, accounts=(AccountConfig(name="demo", fees=fees),), orders_10s=1000)


@pytest.mark.campaign
def test_orders_trade_on_a_recorded_market(shared_dir: Path) -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.listen()
        market: dict[str, Json] = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET"}
        market["quantity"] = "0.01"
        for _ in range(5):
            bought = await socket.call("order.place", **market)
            assert bought["result"]["status"] == "FILLED"
            resting = await socket.call("order.place", **far(client, quantity="0.01"))
            assert resting["result"]["status"] == "NEW"
            await asyncio.sleep(0.2)
        gone = await socket.call("openOrders.cancelAll", symbol=SYMBOL)
        assert len(gone["result"]) == 5
        rows = (await socket.call("myTrades", symbol=SYMBOL))["result"]
        await socket.until(lambda: len(socket.reports("TRADE")) == len(rows))
        ledger = (await client.sim("GET", "ledger", account="demo")).body
        assert [fill["tradeId"] for fill in ledger["fills"]] == [row["id"] for row in rows]

    capture = shared_dir / "captures" / "binance-spot-btcusdt-20240808.jsonl.gz"
    connected(body, replay=capture)
