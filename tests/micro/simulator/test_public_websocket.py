"""The simulator's public websocket: streams, requests, pings, slow clients."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.web
import pytest
from aiohttp import WSMsgType
from protocol_kit import Json, config, get, receive, serve

from citadel_micro.simulator import sockets
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.sim.flow_feed import FeedEvent


def test_a_client_following_the_rule_has_the_servers_book() -> None:
    """Subscribe, buffer, take the REST snapshot, apply what continues it: no gap, equal books."""

    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            events = await receive(ws, lambda _: True, 5)
            _, snapshot = await get(session, server, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
            last = snapshot["lastUpdateId"]
            # However far the stream is behind the answer: five messages beyond it.
            while sum(event["u"] > last for event in events) < 5:
                events += await receive(ws, lambda _: True)
            sides = {key: dict(snapshot[name]) for key, name in (("b", "bids"), ("a", "asks"))}
            assert any(event["u"] <= last for event in events)
            fresh = [event for event in events if event["u"] > last]
            assert fresh[0]["U"] <= last + 1 <= fresh[0]["u"]
            assert all(b["U"] == a["u"] + 1 for a, b in pairwise(fresh))
            while True:
                for event in fresh:
                    for key, levels in sides.items():
                        levels.update(event[key])
                    last = event["u"]
                depth = server.feed.depth("BTC/USDT", 5000)
                if depth.last_update_id == last:
                    break
                fresh = await receive(ws, lambda _: True)
            spec = server.feed.specs["BTC/USDT"]
            ours = {
                key: {p: q for p, q in levels.items() if float(q)} for key, levels in sides.items()
            }
            for key, rows in (("b", depth.bids), ("a", depth.asks)):
                expected = {spec.price_text(ticks): spec.size_text(lots) for ticks, lots in rows}
                assert ours[key] == expected

    serve(body)


def test_payloads_have_the_fields_of_recorded_ones_in_their_order(shared_dir: Path) -> None:
    import gzip  # noqa: PLC0415 - only here

    recorded: dict[str, list[str]] = {}
    for name in ("binance-spot-2021", "binance-spot-btcusdt-20240808"):
        with gzip.open(shared_dir / "captures" / f"{name}.jsonl.gz") as file:
            for line in file:
                outer = json.loads(line)
                frame = json.loads(outer.get("text") or "{}")
                if outer["kind"] == "frame" and "stream" in frame:
                    recorded[frame["stream"].partition("@")[2]] = list(frame["data"])
                    if "k" in frame["data"]:
                        recorded["k"] = list(frame["data"]["k"])
                if len(recorded) == 6:
                    break

    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        kinds = ("depth@100ms", "trade", "aggTrade", "bookTicker", "kline_1m")
        names = "/".join(f"btcusdt@{kind}" for kind in kinds)
        async with session.ws_connect(f"{server.ws_url}/stream?streams={names}") as ws:
            seen: dict[str, Any] = {}
            while len(seen) < len(kinds):
                frame = json.loads(await ws.receive_str(timeout=60))
                assert list(frame) == ["stream", "data"]
                seen.setdefault(frame["stream"].partition("@")[2], frame["data"])
            for kind in kinds:
                assert list(seen[kind]) == recorded[kind], kind
            assert list(seen["kline_1m"]["k"]) == recorded["k"]

    serve(body)


def test_every_documented_stream_sends() -> None:
    kinds = [
        "depth", "depth@1000ms", "depth5@100ms", "depth10", "depth20@100ms", "miniTicker", "ticker",
        "ticker_1h", "ticker_4h", "ticker_1d", "kline_1s", "kline_1d@+08:00", "avgPrice", "aggTrade",
    ]  # fmt: skip

    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        names = [f"adausdt@{kind}" for kind in kinds]
        names += ["!miniTicker@arr", "!ticker@arr", "!ticker_4h@arr"]
        async with session.ws_connect(server.ws_url + "/stream?streams=" + "/".join(names)) as ws:
            seen: dict[str, Any] = {}
            slow: list[Any] = []
            while len(seen) < len(names) or len(slow) < 3:
                frame = json.loads(await ws.receive_str(timeout=60))
                seen[frame["stream"]] = frame["data"]
                if frame["stream"] == "adausdt@depth":
                    slow.append(frame["data"])
            assert all(b["U"] == a["u"] + 1 for a, b in pairwise(slow))
            assert all(b["E"] - a["E"] >= 500 for a, b in pairwise(slow))
            for levels, kind in ((5, "depth5@100ms"), (10, "depth10"), (20, "depth20@100ms")):
                data = seen[f"adausdt@{kind}"]
                assert list(data) == ["lastUpdateId", "bids", "asks"]
                assert len(data["bids"]) == len(data["asks"]) == levels
            assert [entry["s"] for entry in seen["!miniTicker@arr"]] == ["BTCUSDT", "ADAUSDT"]
            assert seen["!ticker@arr"][1]["e"] == "24hrTicker"
            assert seen["adausdt@ticker"]["n"] > 0
            for size in ("1h", "4h", "1d"):
                assert seen[f"adausdt@ticker_{size}"]["e"] == f"{size}Ticker"
            assert [entry["e"] for entry in seen["!ticker_4h@arr"]] == ["4hTicker"] * 2
            day = seen["adausdt@kline_1d@+08:00"]["k"]
            assert (day["i"], (day["t"] + 8 * 3_600_000) % 86_400_000) == ("1d", 0)
            second = seen["adausdt@kline_1s"]["k"]
            assert (second["i"], second["x"], second["T"] - second["t"]) == ("1s", True, 999)
            average = seen["adausdt@avgPrice"]
            assert list(average) == ["e", "E", "s", "i", "w", "T"]
            assert (average["e"], average["i"]) == ("avgPrice", "5m")

    serve(body)


def test_requests_over_the_socket() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(server.ws_url + "/ws") as ws:

            async def ask(text: str | dict[str, Any]) -> Json:
                await ws.send_str(text if isinstance(text, str) else json.dumps(text))
                return (await receive(ws, lambda frame: "result" in frame or "error" in frame))[0]

            subscribe = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 7}
            assert await ask(subscribe) == {"result": None, "id": 7}
            for name in ("no@such", "btcusdt@such", "btcusdt", "btcusdt@kline_7m"):
                absent = {"method": "SUBSCRIBE", "params": ["btcusdt@depth", name], "id": 8}
                assert (await ask(absent))["error"] == {
                    "code": 2,
                    "msg": "Invalid request: invalid stream",
                }
            listed = await ask({"method": "LIST_SUBSCRIPTIONS", "id": "x"})
            assert listed == {"result": ["btcusdt@trade"], "id": "x"}
            trade = (await receive(ws, lambda frame: frame.get("e") == "trade"))[0]
            assert trade["s"] == "BTCUSDT"
            combined = {"method": "SET_PROPERTY", "params": ["combined", True], "id": 1}
            assert await ask(combined) == {"result": None, "id": 1}
            assert (await ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 2}))[
                "result"
            ]
            await receive(ws, lambda frame: frame.get("stream") == "btcusdt@trade")
            unsubscribe = {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 3}
            assert await ask(unsubscribe) == {"result": None, "id": 3}
            assert (await ask({"method": "LIST_SUBSCRIPTIONS", "id": 4}))["result"] == []

            for bad, code in (
                ("{", 3),
                ("[]", 2),
                ({"method": "SHOUT", "id": 5}, 2),
                ({"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 5}, 2),
                ({"method": "SUBSCRIBE", "params": [5], "id": 5}, 2),
                ({"method": "SUBSCRIBE", "params": [], "id": 1.5}, 2),
                (
                    {
                        "method": "SUBSCRIBE",
                        "params": [f"s{i}@trade" for i in range(1025)],
                        "id": 5,
                    },
                    2,
                ),
                ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 5}, 1),
                ({"method": "SET_PROPERTY", "params": ["speed", 1], "id": 5}, 0),
            ):
                assert (await ask(bad))["error"]["code"] == code

    serve(body, history_days=0)


def test_an_absent_stream_in_the_address_is_passed_over() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        address = f"{server.ws_url}/stream?timeUnit=x&streams=0/nope@trade/btcusdt@bookTicker"
        async with session.ws_connect(address) as ws:
            first = json.loads(await ws.receive_str(timeout=60))
            assert first["stream"] == "btcusdt@bookTicker"
            await ws.send_str('{"method": "LIST_SUBSCRIPTIONS", "id": 1}')
            listed = await receive(ws, lambda frame: "result" in frame)
            assert listed[0]["result"] == ["btcusdt@bookTicker"]

    serve(body, history_days=0, warm_minutes=0)


def test_pings_are_answered() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(server.ws_url + "/ws", autoping=False) as ws:
            await ws.ping(b"hello")
            message = await ws.receive(timeout=60)
            assert (message.type, message.data) == (WSMsgType.PONG, b"hello")

    serve(body, history_days=0, warm_minutes=0)


def test_a_connection_that_answers_no_ping_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_PING_S", 0.1)
    monkeypatch.setattr(sockets, "_PONG_S", 0.35)

    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(server.ws_url + "/ws", autoping=False) as ws:
            frames = [await ws.receive(timeout=60)]
            while frames[-1].type is WSMsgType.PING:
                frames.append(await ws.receive(timeout=60))
            assert len(frames) > 2
            assert abs(int(frames[0].data) - time.time() * 1000) < 5000
            assert (frames[-1].type, frames[-1].data) == (WSMsgType.CLOSE, 1008)

    serve(body, history_days=0, warm_minutes=0)


def test_an_error_in_the_market_ends_the_simulator_and_is_raised() -> None:
    async def run() -> None:
        server = SimulatorServer(config(history_days=0, warm_minutes=0))
        await server.start()

        def broken(until_ns: int) -> list[FeedEvent]:
            raise InvariantError(f"broken at {until_ns}")

        server.feed.advance = broken  # type: ignore[method-assign]
        with pytest.raises(InvariantError, match="broken at"):
            await server.wait()
        with pytest.raises(InvariantError, match="broken at"):
            await server.stop()

    asyncio.run(run())


def test_plain_http_on_a_websocket_path_is_answered_with_an_error() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        status, answer = await get(session, server, "/ws/btcusdt@trade")
        assert status == 400
        assert "websocket" in answer["msg"]

    serve(body, history_days=0, warm_minutes=0)


def test_a_client_that_does_not_read_is_disconnected_and_others_are_not() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        host, port = server.rest_url.removeprefix("http://").split(":")
        sleeper = socket.socket()
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sleeper, (host, int(port)))
        names = "/".join(f"{s}@depth20@100ms" for s in ("btcusdt", "adausdt"))
        names += "/!ticker@arr/btcusdt@depth@100ms/btcusdt@bookTicker"
        request = (
            f"GET /stream?streams={names} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await loop.sock_sendall(sleeper, request.encode())
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            await receive(ws, lambda _: True)
            served = server._sockets
            assert served is not None
            assert len(served.clients) == 2
            slow = next(iter(served.clients))
            while not slow.too_slow:
                slow.push(b"x" * 1000)
                await asyncio.sleep(0)
            # Frames of the other client pass meanwhile.
            while len(served.clients) > 1:
                await receive(ws, lambda _: True)
            await receive(ws, lambda frame: frame["e"] == "depthUpdate", 3)
        sleeper.close()

    serve(body, history_days=1)


def test_a_client_that_is_gone_before_its_pong_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = aiohttp.web.WebSocketResponse.pong
    answered: list[bytes] = []

    async def too_late(response: aiohttp.web.WebSocketResponse, message: bytes = b"") -> None:
        assert response._req is not None
        assert response._req.transport is not None
        response._req.transport.close()
        answered.append(message)
        await plain(response, message)

    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        monkeypatch.setattr(aiohttp.web.WebSocketResponse, "pong", too_late)
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            await ws.ping(b"x")
            while (await ws.receive()).type is WSMsgType.TEXT:
                pass
        assert answered == [b"x"]

    serve(body)
    assert not [record for record in caplog.records if record.exc_info], caplog.text
