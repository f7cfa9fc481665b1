"""Binance spot's websocket API, frame by frame: requests, sessions, connections."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from spot_client import (
    ED25519_KEY,
    HMAC_KEY,
    SYMBOL,
    SpotClient,
    WsClient,
    now_ms,
    one_window,
    sign,
    trade,
)
from spot_websocket_kit import connected, far

from citadel_micro.sim.rng import SplitMix64, key_of

# ---------------------------------------------------------------------- requests


@one_window()
def test_public_methods_and_limits_that_may_be_hidden() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        assert (await socket.ask("ping"))["result"] == {}
        answer = await socket.ask("time")
        assert abs(answer["result"]["serverTime"] - now_ms()) < 5000
        (weight,) = answer["rateLimits"]
        assert weight == {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": 6000,
            "count": 4,  # two for the connection
        }
        assert "rateLimits" not in await socket.ask("time", {"returnRateLimits": False})
        info = await socket.ask("exchangeInfo", {"symbols": [SYMBOL]})
        assert info["result"]["symbols"][0]["symbol"] == SYMBOL
        depth = await socket.ask("depth", {"symbol": SYMBOL, "limit": 5})
        assert len(depth["result"]["bids"]) == 5
        for method in ("ticker.price", "ticker.book", "ticker.24hr", "avgPrice"):
            assert (await socket.ask(method, {"symbol": SYMBOL}))["status"] == 200
        assert (
            len((await socket.ask("trades.recent", {"symbol": SYMBOL, "limit": 3}))["result"]) == 3
        )
        bad = await socket.ask("depth", {"symbol": "NOPE"})
        assert (bad["status"], bad["error"]) == (400, {"code": -1121, "msg": "Invalid symbol."})
        assert (await socket.ask("v3/ping"))["result"] == {}
        async with client.connect("?returnRateLimits=false") as quiet:
            assert "rateLimits" not in await quiet.ask("time")
            assert "rateLimits" in await quiet.ask("time", {"returnRateLimits": True})

    connected(body)


def test_frames_that_are_no_requests() -> None:
    async def body(_client: SpotClient, socket: WsClient) -> None:
        for text in (
            "",
            "{",
            "[]",
            "5",
            '{"method": "time", "id": [1]}',
            '{"id": "x", "method": 5}',
        ):
            before = len(socket.answers)
            await socket.socket.send_str(text)
            await socket.until(lambda count=before: len(socket.answers) > count)  # type: ignore[misc]
            assert socket.answers[-1]["status"] == 400
        unknown = await socket.ask("order.conjure", {"timestamp": 1})
        assert unknown["error"]["code"] == -1000
        hidden = await socket.call("sapi.coins")
        assert hidden["error"]["code"] == -1000
        bad = await socket.ask("order.status", {"symbol": {"a": 1}})
        assert bad["error"]["code"] == -1135
        assert (await socket.ask("order.status", {"timestamp": now_ms()}))["error"]["code"] == -1102
        wrong = socket.signed({"symbol": SYMBOL}) | {"signature": "0" * 64}
        error = (await socket.ask("order.status", wrong))["error"]
        assert error == {"code": -1022, "msg": "Signature for this request is not valid."}

    connected(body)


@one_window()
def test_a_day_of_an_order_over_signed_requests() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        placed = await socket.call("order.place", **far(client, newClientOrderId="w"))
        assert placed["status"] == 200
        kinds = [limit["rateLimitType"] for limit in placed["rateLimits"]]
        assert kinds == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
        order_id = placed["result"]["orderId"]
        status = await socket.call("order.status", symbol=SYMBOL, origClientOrderId="w")
        assert status["result"]["orderId"] == order_id
        opened = await socket.call("openOrders.status", symbol=SYMBOL)
        assert [row["orderId"] for row in opened["result"]] == [order_id]
        amended = await socket.call(
            "order.amend.keepPriority", symbol=SYMBOL, orderId=order_id, newQty="0.005"
        )
        assert amended["result"]["amendedOrder"]["qty"] == "0.00500000"
        replaced = await socket.call(
            "order.cancelReplace",
            **far(client, cancelOrderId=order_id, cancelReplaceMode="STOP_ON_FAILURE"),
        )
        assert replaced["status"] == 200
        again = await socket.call(
            "order.cancelReplace",
            **far(client, cancelOrderId=order_id, cancelReplaceMode="ALLOW_FAILURE"),
        )
        assert (again["status"], again["error"]["code"]) == (409, -2021)
        assert again["error"]["data"]["newOrderResult"] == "SUCCESS"
        tested = await socket.call("order.test", **far(client))
        assert tested["result"] == {}
        gone = await socket.call("openOrders.cancelAll", symbol=SYMBOL)
        assert len(gone["result"]) == 2
        late = await socket.call("order.cancel", symbol=SYMBOL, orderId=order_id)
        assert late["error"] == {"code": -2011, "msg": "Unknown order sent."}
        orders = await socket.call("allOrders", symbol=SYMBOL)
        assert [row["status"] for row in orders["result"]] == ["CANCELED"] * 3
        assert (await socket.call("myTrades", symbol=SYMBOL))["result"] == []
        assert (await socket.call("account.status"))["result"]["canTrade"]
        counts = (await socket.call("account.rateLimits.orders"))["result"]
        assert [count["count"] for count in counts][1] == 3

    connected(body)


# ---------------------------------------------------------------------- sessions


def test_logon_takes_ed25519_only_and_then_a_timestamp_is_enough() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        by_hmac = await socket.call("session.logon", HMAC_KEY)
        assert (by_hmac["status"], by_hmac["error"]["code"]) == (401, -2015)
        before = (await socket.ask("session.status"))["result"]
        assert (before["apiKey"], before["authorizedSince"]) == (None, None)
        closed = await socket.ask("userDataStream.subscribe")
        assert closed["error"]["code"] == -1002
        await socket.logon()
        state = (await socket.ask("session.status"))["result"]
        assert state["apiKey"] == ED25519_KEY.key_id
        assert state["connectedSince"] <= state["authorizedSince"] <= state["serverTime"]
        assert not state["userDataStream"]
        placed = await socket.ask("order.place", far(client, timestamp=now_ms()))
        assert placed["status"] == 200
        old = await socket.ask("account.status", {"timestamp": now_ms() - 6000})
        assert old["error"]["code"] == -1021
        assert (await socket.ask("account.status"))["error"]["code"] == -1102
        # A request may bring a key and a signature of its own.
        other = await socket.call("account.status", HMAC_KEY)
        assert other["status"] == 200
        await socket.ask("session.logout")
        out = await socket.ask("account.status", {"timestamp": now_ms()})
        assert out["error"]["code"] == -1102

    connected(body)


def test_a_revoked_key_ends_the_session_with_a_frame_without_id() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.logon()
        await socket.ask("userDataStream.subscribe")
        await client.sim("POST", "revoke", key=ED25519_KEY.key_id)
        await socket.send("account.status", {"timestamp": now_ms()})
        await socket.until(lambda: socket.answers[-1]["id"] is None)
        frame = socket.answers[-1]
        text = "Invalid API-key, IP, or permissions for action."
        assert frame["id"] is None
        assert (frame["status"], frame["error"]) == (401, {"code": -2015, "msg": text})
        assert (await socket.ask("session.status"))["result"]["apiKey"] is None
        assert socket.events[-1]["event"]["e"] == "eventStreamTerminated"
        again = await socket.call("session.logon", ED25519_KEY)
        assert (again["id"] is not None, again["error"]["code"]) == (True, -2015)

    connected(body)


def test_the_operator_cuts_every_private_connection_at_once() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        await socket.listen()
        assert not socket.closed.is_set()
        await client.sim("POST", "cut")
        await asyncio.wait_for(socket.closed.wait(), 60)

    connected(body)


def test_subscriptions_are_numbered_listed_and_ended() -> None:
    async def body(_client: SpotClient, socket: WsClient) -> None:
        assert await socket.listen() == 0
        twice = await socket.call("userDataStream.subscribe.signature")
        assert twice["error"]["code"] == -2035
        assert (await socket.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
        assert (await socket.ask("session.status"))["result"]["userDataStream"]
        bad = await socket.ask("userDataStream.unsubscribe", {"subscriptionId": 7})
        assert bad["error"]["code"] == -2036
        assert (await socket.ask("userDataStream.unsubscribe"))["result"] == {}
        assert socket.events[-1] == {
            "subscriptionId": 0,
            "event": {"e": "eventStreamTerminated", "E": socket.events[-1]["event"]["E"]},
        }
        assert (await socket.ask("userDataStream.unsubscribe"))["error"]["code"] == -2036
        await socket.logon()
        assert (await socket.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 1}
        await socket.ask("session.logout")
        await socket.until(lambda: socket.events[-1]["subscriptionId"] == 1)
        assert (await socket.ask("session.subscriptions"))["result"] == []
        assert await socket.listen() == 2

    connected(body)


# ---------------------------------------------------------------------- connections


def test_connections_are_cut_at_their_age_and_when_the_server_stops() -> None:
    async def body(_client: SpotClient, socket: WsClient) -> None:
        await asyncio.wait_for(socket.closed.wait(), 60)
        assert socket.socket.close_code == 1001

    connected(body, session_s=0.3)


def test_plain_http_gets_an_error_on_a_websocket_path() -> None:
    async def body(client: SpotClient) -> None:
        answer = await client.raw("GET", "/ws-api/v3")
        assert answer.status == 400

    trade(body)


def test_numbers_are_signed_as_they_were_written() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        params = far(client, quantity="QUANTITY", price=client.price(0.9))
        number = socket.signed(params | {"quantity": "0.010"})
        frame = json.dumps({"id": 1, "method": "order.test", "params": number})
        frame = frame.replace('"0.010"', "0.010")  # a JSON number with a zero at its end
        await socket.socket.send_str(frame)
        await socket.until(lambda: bool(socket.answers))
        assert socket.answers[-1]["status"] == 200, socket.answers

    connected(body)


def test_garbage_is_answered_or_refused_and_never_ends_the_server() -> None:
    async def body(client: SpotClient, socket: WsClient) -> None:
        rng = SplitMix64(key_of("garbage"))
        names = (
            "symbol",
            "side",
            "type",
            "quantity",
            "timestamp",
            "orderId",
            "%73ymbol",
            "",
            "\udcff",
        )
        values = ("BTCUSDT", "1e999", "-0", "9" * 30, "%", "%ff%fe", "\udcff", "", "null", "LIMIT")
        for number in range(120):
            pairs = [
                f"{names[rng.below(len(names))]}={values[rng.below(len(values))]}"
                for _ in range(rng.below(6))
            ]
            raw = "&".join([*pairs, f"timestamp={now_ms()}", "signature=x"][rng.below(3) :])
            text = raw.encode("utf-8", "surrogateescape").decode("latin-1")
            verb = ("GET", "POST", "DELETE", "PUT")[number % 4]
            query, form = (text, "") if number % 3 else ("", text)
            path = ("order", "openOrders", "myTrades", "order/cancelReplace")[rng.below(4)]
            answer = await client.raw(
                verb, f"/api/v3/{path}", query=query, body=form, key_id=HMAC_KEY.key_id
            )
            assert answer.status in {400, 401, 404}, (text, answer)
            # The same, signed: what is wrong must be found behind the signature too.
            signed = "&".join(pairs).replace("\udcff", "%FF") + f"&timestamp={now_ms()}"
            query = f"{signed}&signature={sign(HMAC_KEY, signed.lstrip('&'))}"
            answer = await client.send(verb, f"/api/v3/{path}", query=query)
            assert answer.status in {400, 401, 404, 200}, (signed, answer)
        frames = [
            "[" * 60_000,
            '{"id":1,"method":"time","params":' + "[" * 5000,
            "\x00",
            '{"a":"\\ud800"}',
        ]
        frames += ['{"method": "order.place", "params": {"symbol": NaN}}', '{"id": 1e400}']
        for frame in frames:
            count = len(socket.answers)
            await socket.socket.send_str(frame)
            await socket.until(lambda count=count: len(socket.answers) > count)  # type: ignore[misc]
            assert socket.answers[-1]["status"] == 400
        assert (await socket.ask("ping"))["status"] == 200

    connected(body)


def test_a_banned_address_gets_no_connection() -> None:
    async def body(client: SpotClient) -> None:
        await client.fault("banned=once")
        await client.send("GET", "/api/v3/account")
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            async with client.connect():
                pass
        assert error.value.status == 418
        await client.sim("POST", "pardon", address="127.0.0.1")
        async with client.connect() as socket:
            assert (await socket.ask("ping"))["status"] == 200

    trade(body)
