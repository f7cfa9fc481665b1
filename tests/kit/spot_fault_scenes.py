"""Each fault of the simulator of Binance spot, as a client sees it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from spot_client import ED25519_KEY, FAR, SYMBOL, SpotClient, WsClient, now_ms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


Json = Any
UNKNOWN = "Unknown order sent."
STATUS_UNKNOWN = (
    "Timeout waiting for response from backend server. Send status unknown; execution status "
    "unknown."
)
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


async def place(client: SpotClient, **changes: Json) -> Json:
    return await client.order(**FAR | {"price": client.price(0.9)} | changes)


async def open_ids(client: SpotClient) -> list[str]:
    answer = await client.send("GET", "/api/v3/openOrders")
    return [row["clientOrderId"] for row in answer.body]


async def hits(client: SpotClient) -> list[str]:
    return [hit["name"] for hit in (await client.sim("GET", "faults")).body["hits"]]


# ---------------------------------------------------------------------- requests and answers


async def request_lost(client: SpotClient, _socket: WsClient) -> None:
    with pytest.raises(LOST):
        await place(client, newClientOrderId="a")
    assert await open_ids(client) == []
    assert (await place(client)).status == 200


def late(began: float, seconds: float) -> bool:
    """Whether what was to be seen for so long may be over, for this machine was slow."""
    return time.monotonic() - began >= seconds


async def request_delayed(client: SpotClient, _socket: WsClient) -> None:
    began = time.monotonic()
    assert (await place(client)).status == 200
    assert time.monotonic() - began > 0.3
    late = await place(client, recvWindow=200)
    assert late.body["code"] == -1021


async def overloaded(client: SpotClient, _socket: WsClient) -> None:
    answer = await place(client, newClientOrderId="a")
    assert answer.error[:2] == (503, -1008)
    assert await open_ids(client) == []


async def unknown_executed(client: SpotClient, socket: WsClient) -> None:
    answer = await place(client, newClientOrderId="a")
    assert answer.error == (504, -1007, STATUS_UNKNOWN)
    assert await open_ids(client) == ["a"]
    await socket.until(lambda: socket.kinds() == ["NEW"])


async def unknown_lost(client: SpotClient, _socket: WsClient) -> None:
    answer = await place(client, newClientOrderId="a")
    assert answer.error == (504, -1007, STATUS_UNKNOWN)
    assert await open_ids(client) == []


async def unknown_late(client: SpotClient, socket: WsClient) -> None:
    began = time.monotonic()
    answer = await place(client, newClientOrderId="a")
    assert answer.error == (504, -1007, STATUS_UNKNOWN)
    ids = await open_ids(client)
    assert ids == [] or late(began, 0.4)
    await socket.until(lambda: socket.kinds() == ["NEW"])
    assert await open_ids(client) == ["a"]


async def http_503_executed(client: SpotClient, socket: WsClient) -> None:
    answer = await place(client, newClientOrderId="a")
    assert answer.status == 503
    assert answer.body.startswith("<html>")
    assert await open_ids(client) == ["a"]
    params = {"symbol": SYMBOL, **FAR, "price": client.price(0.9), "newClientOrderId": "b"}
    over_websocket = await socket.call("order.place", **params)
    assert (over_websocket["status"], over_websocket["error"]["code"]) == (503, -1000)
    assert sorted(await open_ids(client)) == ["a", "b"]


async def http_503_lost(client: SpotClient, _socket: WsClient) -> None:
    assert (await place(client)).status == 503
    assert await open_ids(client) == []


async def answer_lost(client: SpotClient, socket: WsClient) -> None:
    with pytest.raises(LOST):
        await place(client, newClientOrderId="a")
    assert await open_ids(client) == ["a"]
    await socket.until(lambda: socket.kinds() == ["NEW"])
    params = {"symbol": SYMBOL, **FAR, "price": client.price(0.9), "newClientOrderId": "b"}
    await socket.send("order.place", socket.signed(params))
    await asyncio.wait_for(socket.closed.wait(), 60)
    assert len(socket.answers) == 1  # the subscription's
    assert sorted(await open_ids(client)) == ["a", "b"]


async def answer_delayed(client: SpotClient, socket: WsClient) -> None:
    began = time.monotonic()
    task = asyncio.create_task(place(client))
    await socket.until(lambda: socket.kinds() == ["NEW"])
    assert not task.done() or late(began, 0.35)
    assert (await task).status == 200
    assert time.monotonic() - began > 0.3


async def answer_garbled(client: SpotClient, _socket: WsClient) -> None:
    answer = await place(client, newClientOrderId="a")
    assert (answer.status, answer.body) == (200, {"result": "ok"})
    assert await open_ids(client) == ["a"]


async def unknown_status(client: SpotClient, _socket: WsClient) -> None:
    answer = await place(client)
    assert answer.body["status"] == "PENDING_REVIEW"


async def too_many_requests(client: SpotClient, socket: WsClient) -> None:
    answer = await client.send("GET", "/api/v3/account")
    assert answer.error[:2] == (429, -1003)
    assert answer.headers["Retry-After"] == "3"
    over = await socket.call("account.status")
    assert over["status"] == 429
    data = over["error"]["data"]
    assert data["retryAfter"] - data["serverTime"] == 3000


async def banned(client: SpotClient, socket: WsClient) -> None:
    first = await client.send("GET", "/api/v3/account")
    assert first.error[:2] == (418, -1003)
    again = await client.raw("GET", "/api/v3/ping")
    assert again.status == 418
    assert 110 < int(again.headers["Retry-After"]) <= 120
    over = await socket.ask("ping")
    assert over["status"] == 418
    assert over["error"]["data"]["retryAfter"] > now_ms() + 100_000


async def too_many_orders(client: SpotClient, _socket: WsClient) -> None:
    answer = await place(client)
    text = "Too many new orders; current limit is 100 orders per 10 SECOND."
    assert answer.error == (429, -1015, text)
    assert await open_ids(client) == []


async def clock_skew(client: SpotClient, _socket: WsClient) -> None:
    answer = await client.send("GET", "/api/v3/account")
    assert answer.error[2] == "Timestamp for this request is outside of the recvWindow."
    await client.fault("clock-skew=once,for=-3")
    answer = await client.send("GET", "/api/v3/account")
    assert answer.error[2].startswith("Timestamp for this request was 1000ms ahead")
    assert (await client.send("GET", "/api/v3/account")).status == 200


# ---------------------------------------------------------------------- orders


async def query_lag(client: SpotClient, _socket: WsClient) -> None:
    began = time.monotonic()
    order_id = (await place(client, newClientOrderId="a")).body["orderId"]
    for params in ({"orderId": order_id}, {"origClientOrderId": "a"}):
        answer = await client.order("GET", **params)
        lags = answer.status != 200 and answer.error == (400, -2013, "Order does not exist.")
        assert lags or late(began, 0.4)
    ids = await open_ids(client)
    assert ids == [] or late(began, 0.4)
    await asyncio.sleep(0.45)
    assert (await client.order("GET", orderId=order_id)).body["status"] == "NEW"
    assert await open_ids(client) == ["a"]


async def cancel_unknown(client: SpotClient, _socket: WsClient) -> None:
    order_id = (await place(client, newClientOrderId="a")).body["orderId"]
    answer = await client.order("DELETE", orderId=order_id)
    assert answer.error == (400, -2011, UNKNOWN)
    assert await open_ids(client) == ["a"]
    assert (await client.order("DELETE", orderId=order_id)).status == 200


async def fill_wins(client: SpotClient, socket: WsClient) -> None:
    order_id = (await place(client)).body["orderId"]
    answer = await client.order("DELETE", orderId=order_id)
    assert answer.error == (400, -2011, UNKNOWN)
    assert (await client.order("GET", orderId=order_id)).body["status"] == "FILLED"
    await socket.until(lambda: socket.kinds() == ["NEW", "TRADE"])


async def fill_after_cancel(client: SpotClient, socket: WsClient) -> None:
    order_id = (await place(client, newClientOrderId="a")).body["orderId"]
    began = time.monotonic()
    answer = await client.order("DELETE", orderId=order_id, newClientOrderId="c")
    assert (answer.status, answer.body["status"]) == (200, "CANCELED")
    shown = (await client.order("GET", orderId=order_id)).body["status"]
    assert shown == "CANCELED" or late(began, 0.4)
    assert await open_ids(client) == []
    assert (await client.order("DELETE", orderId=order_id)).error == (400, -2011, UNKNOWN)
    await socket.until(lambda: "TRADE" in socket.kinds())
    assert socket.kinds() == ["NEW", "CANCELED", "TRADE"]
    assert (socket.reports()[1]["c"], socket.reports()[1]["C"]) == ("c", "a")
    assert (await client.order("GET", orderId=order_id)).body["status"] == "FILLED"
    rows = (await client.send("GET", "/api/v3/myTrades", {"symbol": SYMBOL})).body
    assert [row["orderId"] for row in rows] == [order_id]


async def half_replace(client: SpotClient, _socket: WsClient) -> None:
    order_id = (await place(client)).body["orderId"]
    params = FAR | {"symbol": SYMBOL, "price": client.price(0.91), "cancelOrderId": order_id}
    answer = await client.send(
        "POST", "/api/v3/order/cancelReplace", params | {"cancelReplaceMode": "STOP_ON_FAILURE"}
    )
    assert answer.error == (409, -2021, "Order cancel-replace partially failed.")
    assert answer.body["data"]["cancelResult"] == "SUCCESS"
    assert answer.body["data"]["newOrderResponse"]["code"] == -2010
    assert await open_ids(client) == []


async def self_trade(client: SpotClient, socket: WsClient) -> None:
    order_id = (await place(client)).body["orderId"]
    await socket.until(lambda: len(socket.reports("TRADE")) == 2)
    one, two = socket.reports("TRADE")
    assert one["t"] == two["t"]
    assert {one["S"], two["S"]} == {"BUY", "SELL"}
    assert order_id in {one["i"], two["i"]}
    assert one["i"] != two["i"]


async def foreign_order(client: SpotClient, _socket: WsClient) -> None:
    await place(client, newClientOrderId="mine")
    names = await open_ids(client)
    assert len(names) == 2
    assert "mine" in names
    assert any(name.startswith("web_") for name in names)


async def halt(client: SpotClient, _socket: WsClient) -> None:
    answer = await place(client)
    assert answer.error == (400, -1013, "Market is closed.")
    await asyncio.sleep(0.5)
    assert (await place(client)).status == 200


# ---------------------------------------------------------------------- sessions


async def key_revoked(client: SpotClient, _socket: WsClient) -> None:
    answer = await client.send("GET", "/api/v3/account")
    assert answer.error[:2] == (401, -2015)
    assert (await client.send("GET", "/api/v3/account")).error[:2] == (401, -2015)
    assert (await client.send("GET", "/api/v3/account", key=ED25519_KEY)).status == 200
    await client.fault("key-revoked=once")
    async with client.connect() as other:
        await other.logon()
        await other.send("account.status", {"timestamp": now_ms()})
        await other.until(lambda: other.answers[-1]["id"] is None)
        assert other.answers[-1]["status"] == 401


async def server_shutdown(client: SpotClient, socket: WsClient) -> None:
    await client.send("GET", "/api/v3/account")
    await socket.until(lambda: bool(socket.events))
    assert socket.events[0]["event"]["e"] == "serverShutdown"
    assert "subscriptionId" not in socket.events[0]
    assert not socket.closed.is_set()
    await asyncio.wait_for(socket.closed.wait(), 60)
    async with client.connect() as again:
        assert (await again.ask("ping"))["status"] == 200


async def session_cut(client: SpotClient, socket: WsClient) -> None:
    await client.send("GET", "/api/v3/account")
    await asyncio.wait_for(socket.closed.wait(), 60)


async def stream_terminated(client: SpotClient, socket: WsClient) -> None:
    await client.send("GET", "/api/v3/account")
    await socket.until(lambda: bool(socket.events))
    assert socket.events[0]["event"]["e"] == "eventStreamTerminated"
    assert (await socket.ask("session.subscriptions"))["result"] == []
    await place(client)
    assert (await socket.ask("ping"))["status"] == 200
    assert socket.kinds() == []


# ---------------------------------------------------------------------- events


async def event_first(client: SpotClient, socket: WsClient) -> None:
    params = {"symbol": SYMBOL, **FAR, "price": client.price(0.9)}
    await socket.call("order.place", **params)
    assert socket.order[:3] == ["reply", "NEW", "outboundAccountPosition"]


async def answer_first(client: SpotClient, socket: WsClient) -> None:
    began = time.monotonic()
    assert (await place(client)).status == 200
    assert socket.kinds() == [] or late(began, 0.3)
    await socket.until(lambda: socket.kinds() == ["NEW"])
    assert time.monotonic() - began >= 0.3


async def mute(client: SpotClient, socket: WsClient) -> None:
    await place(client)
    await place(client)
    assert (await socket.ask("ping"))["status"] == 200
    assert socket.events == []
    async with client.connect() as other:
        await other.listen()
        await place(client)
        await other.until(lambda: other.kinds() == ["NEW"])
    assert socket.events == []


async def event_lost(client: SpotClient, socket: WsClient) -> None:
    await place(client)
    await socket.until(lambda: bool(socket.events))
    assert socket.kinds() == []
    await place(client)
    await socket.until(lambda: socket.kinds() == ["NEW"])


async def event_duplicated(client: SpotClient, socket: WsClient) -> None:
    await place(client)
    await socket.until(lambda: len(socket.events) == 3)
    assert socket.events[0] == socket.events[1]


async def event_reordered(client: SpotClient, socket: WsClient) -> None:
    await place(client)
    await socket.until(lambda: len(socket.events) == 2)
    assert socket.order[-2:] == ["outboundAccountPosition", "NEW"]


async def event_delayed(client: SpotClient, socket: WsClient) -> None:
    began = time.monotonic()
    order_id = (await place(client)).body["orderId"]
    await client.order("DELETE", orderId=order_id)
    overtaken = not late(began, 0.4)
    await socket.until(lambda: len(socket.kinds()) == 2)
    assert sorted(socket.kinds()) == ["CANCELED", "NEW"]
    assert socket.kinds()[0] == "CANCELED" or not overtaken


async def new_delayed(client: SpotClient, socket: WsClient) -> None:
    answer = await client.order(side="BUY", type="MARKET", quantity="0.01")
    assert answer.body["status"] == "FILLED"
    await socket.until(lambda: "NEW" in socket.kinds())
    assert socket.kinds()[0] == "TRADE"
    assert socket.kinds()[-1] == "NEW"


async def total_shrinks(client: SpotClient, socket: WsClient) -> None:
    order_id = (await place(client)).body["orderId"]
    for lots in (400, 300):
        client.exchange.fill("demo", "BTC/USDT", order_id=order_id, lots=lots)
    await socket.until(lambda: len(socket.reports("TRADE")) == 2)
    first, second = socket.reports("TRADE")
    assert float(second["z"]) < float(first["z"])


async def event_unknown_status(client: SpotClient, socket: WsClient) -> None:
    await place(client)
    await socket.until(lambda: bool(socket.reports()))
    assert socket.reports()[0]["X"] == "PENDING_REVIEW"


SEEN: dict[str, tuple[str, Callable[[SpotClient, WsClient], Awaitable[None]]]] = {
    "request-lost": ("once", request_lost),
    "request-delayed": ("always,for=0.35", request_delayed),
    "overloaded": ("once", overloaded),
    "unknown-executed": ("once", unknown_executed),
    "unknown-lost": ("once", unknown_lost),
    "unknown-late": ("once,for=0.4", unknown_late),
    "http-503-executed": ("always", http_503_executed),
    "http-503-lost": ("once", http_503_lost),
    "answer-lost": ("always", answer_lost),
    "answer-delayed": ("once,for=0.35", answer_delayed),
    "answer-garbled": ("once", answer_garbled),
    "unknown-status": ("once", unknown_status),
    "too-many-requests": ("always,for=3", too_many_requests),
    "banned": ("once", banned),
    "too-many-orders": ("once", too_many_orders),
    "clock-skew": ("nth:2,for=6", clock_skew),
    "query-lag": ("once,for=0.4", query_lag),
    "cancel-unknown": ("once", cancel_unknown),
    "fill-wins": ("once", fill_wins),
    "fill-after-cancel": ("once,for=0.4", fill_after_cancel),
    "half-replace": ("once", half_replace),
    "self-trade": ("once", self_trade),
    "foreign-order": ("once", foreign_order),
    "halt": ("once,for=0.3", halt),
    "key-revoked": ("once", key_revoked),
    "server-shutdown": ("once,for=0.3", server_shutdown),
    "session-cut": ("once", session_cut),
    "stream-terminated": ("once", stream_terminated),
    "event-first": ("once,for=0.1", event_first),
    "answer-first": ("once,for=0.3", answer_first),
    "mute": ("once", mute),
    "event-lost": ("once", event_lost),
    "event-duplicated": ("once", event_duplicated),
    "event-reordered": ("once", event_reordered),
    "event-delayed": ("once,for=0.4", event_delayed),
    "new-delayed": ("once,for=0.3", new_delayed),
    "total-shrinks": ("nth:2", total_shrinks),
    "event-unknown-status": ("once", event_unknown_status),
}
