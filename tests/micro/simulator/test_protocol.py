"""The simulator's REST and websocket protocol, spoken to with plain HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from citadel_micro.simulator import sockets
from citadel_micro.simulator.config import Faults, SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.sim.flow_feed import FeedEvent

PAIR = ("BTC/USDT", "ADA/USDT")
CAPTURE = "binance-spot-btcusdt-20240808.jsonl.gz"


BASE = SimulatorConfig(symbols=PAIR, history_days=5, warm_minutes=1)
Json = Any


def config(**changes: Json) -> SimulatorConfig:
    return replace(BASE, **changes)


def serve(
    body: Callable[[SimulatorServer, aiohttp.ClientSession], Awaitable[None]], **changes: Json
) -> None:
    async def run() -> None:
        async with (
            SimulatorServer(config(**changes)) as server,
            aiohttp.ClientSession() as session,
        ):
            async with asyncio.timeout(60):
                await body(server, session)

    asyncio.run(run())


async def get(session: aiohttp.ClientSession, server: SimulatorServer, path: str) -> Json:
    async with session.get(server.rest_url + path) as response:
        return response.status, await response.json()


# ---------------------------------------------------------------------- REST


def test_rest_answers_are_binances_and_agree_with_each_other() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async def ok(path: str) -> Json:
            status, answer = await get(session, server, path)
            assert status == 200
            return answer

        assert await ok("/api/v3/ping") == {}
        clock = (await ok("/api/v3/time"))["serverTime"]
        assert abs(clock - time.time() * 1000) < 5000
        info = await ok("/api/v3/exchangeInfo")
        assert [entry["symbol"] for entry in info["symbols"]] == ["BTCUSDT", "ADAUSDT"]
        one = await ok("/api/v3/exchangeInfo?symbol=ADAUSDT")
        assert one["symbols"] == info["symbols"][1:]
        assert (await ok('/api/v3/exchangeInfo?symbols=["ADAUSDT"]'))["symbols"] == one["symbols"]
        filters = {entry["filterType"]: entry for entry in one["symbols"][0]["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.00010000"
        assert filters["LOT_SIZE"]["stepSize"] == "0.10000000"
        assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
        assert "PERCENT_PRICE_BY_SIDE" in filters
        assert "MARKET_LOT_SIZE" in filters

        depth = await ok("/api/v3/depth?symbol=BTCUSDT&limit=5")
        assert (len(depth["bids"]), len(depth["asks"])) == (5, 5)
        assert float(depth["bids"][0][0]) < float(depth["asks"][0][0])
        deep = await ok("/api/v3/depth?symbol=BTCUSDT&limit=9999")
        assert min(len(deep["bids"]), len(deep["asks"])) >= 100
        assert deep["lastUpdateId"] >= depth["lastUpdateId"]

        trades = await ok("/api/v3/trades?symbol=BTCUSDT&limit=7")
        assert len(trades) == 7
        assert all(b["id"] == a["id"] + 1 for a, b in pairwise(trades))
        first = trades[0]["id"]
        aggregates = await ok(f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={first}&limit=7")
        assert [entry["a"] for entry in aggregates] == [entry["id"] for entry in trades]
        assert [entry["p"] for entry in aggregates] == [entry["price"] for entry in trades]
        at = trades[3]["time"]
        same = await ok(f"/api/v3/aggTrades?symbol=BTCUSDT&startTime={at}&endTime={at}")
        assert {entry["T"] for entry in same} == {at}

        tickers = await ok("/api/v3/ticker/24hr")
        assert [entry["symbol"] for entry in tickers] == ["BTCUSDT", "ADAUSDT"]
        for entry in tickers:
            assert (
                float(entry["lowPrice"]) <= float(entry["lastPrice"]) <= float(entry["highPrice"])
            )
            assert float(entry["lowPrice"]) <= float(entry["weightedAvgPrice"])
            change = float(entry["lastPrice"]) - float(entry["openPrice"])
            assert float(entry["priceChange"]) == pytest.approx(change)
        mini = await ok("/api/v3/ticker/24hr?symbol=ADAUSDT&type=MINI")
        assert "bidPrice" not in mini
        assert mini["openPrice"] == tickers[1]["openPrice"]
        assert [row["symbol"] for row in await ok("/api/v3/ticker/price")] == ["BTCUSDT", "ADAUSDT"]
        best = await ok("/api/v3/ticker/bookTicker?symbol=BTCUSDT")
        assert float(best["bidPrice"]) < float(best["askPrice"])
        average = await ok("/api/v3/avgPrice?symbol=BTCUSDT")
        assert float(average["price"]) == pytest.approx(float(best["bidPrice"]), rel=0.05)

    serve(body)


def test_klines_have_history_the_current_candle_and_the_same_content_twice() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async def ok(query: str) -> list[list[Any]]:
            status, answer = await get(session, server, f"/api/v3/klines?symbol=BTCUSDT&{query}")
            assert status == 200
            rows: list[list[Any]] = answer
            return rows

        rows = await ok("interval=1m")
        assert len(rows) == 500
        assert all(b[0] == a[0] + 60_000 for a, b in pairwise(rows))
        assert all(row[6] == row[0] + 59_999 for row in rows)
        assert all(len(row) == 12 for row in rows)
        now = (await get(session, server, "/api/v3/time"))[1]["serverTime"]
        assert now // 60_000 - rows[-1][0] // 60_000 in (0, 1)
        again = await ok(f"interval=1m&startTime={rows[0][0]}&endTime={rows[-2][0]}&limit=1000")
        assert again == rows[:-1]
        assert len(await ok("interval=1m&limit=5000")) == 1000
        fives = await ok(f"interval=5m&startTime={rows[0][0]}&limit=20")
        by_time = {row[0]: row for row in rows}
        for five in fives[:20]:
            parts = [by_time[five[0] + i * 60_000] for i in range(5)]
            assert five[1] == parts[0][1]
            assert float(five[2]) == max(float(part[2]) for part in parts)
            assert float(five[3]) == min(float(part[3]) for part in parts)
            assert five[4] == parts[-1][4]
            assert float(five[5]) == pytest.approx(sum(float(part[5]) for part in parts))
            assert five[8] == sum(part[8] for part in parts)
        # 5 days of history touch 6 or 7 calendar days, the current one included.
        assert len(await ok("interval=1d")) in (6, 7)
        assert len(await ok("interval=1M")) in (1, 2)
        assert await ok(f"interval=1h&startTime={now + 7_200_000}") == []

    serve(body)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("klines?symbol=NOPE&interval=1m", 400, -1121),
        ("klines?symbol=BTCUSDT&interval=7m", 400, -1120),
        ("klines?interval=1m", 400, -1102),
        ("klines?symbol=BTCUSDT", 400, -1102),
        ("klines?symbol=&interval=1m", 400, -1105),
        ("klines?symbol=btc%2Fusdt&interval=1m", 400, -1100),
        ("klines?symbol=BTCUSDT&interval=1m&limit=x", 400, -1100),
        ("klines?symbol=BTCUSDT&interval=1m&limit=0", 400, -1130),
        ("klines?symbol=BTCUSDT&interval=1m&timeZone=8", 400, -1100),
        ("depth?symbol=BTCUSDT&depth=5", 400, -1104),
        ("ping?a=b", 400, -1101),
        ("exchangeInfo?symbol=BTCUSDT&symbols=[%22ADAUSDT%22]", 400, -1128),
        ("exchangeInfo?symbols=BTCUSDT", 400, -1100),
        ("exchangeInfo?symbols=[%22NOPE%22]", 400, -1121),
        ("ticker/24hr?type=HUGE", 400, -1139),
        ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=2", 400, -1128),
        ("account", 401, -2014),
        ("order?symbol=BTCUSDT", 401, -2014),
        ("nothing", 404, -5000),
    ],
)
def test_bad_requests_are_answered_with_binances_codes(path: str, status: int, code: int) -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        got_status, answer = await get(session, server, f"/api/v3/{path}")
        assert (got_status, answer["code"]) == (status, code)
        assert set(answer) == {"code", "msg"}
        assert answer["msg"]

    serve(body, history_days=0, warm_minutes=0, symbols=("BTC/USDT",))


def test_private_paths_with_a_key_are_refused_too() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        for path in ("/api/v3/order", "/sapi/v1/capital/config/getall"):
            url = server.rest_url + path
            async with session.post(url, headers={"X-MBX-APIKEY": "k"}) as response:
                assert response.status == 401
                assert (await response.json())["code"] == -2015

    serve(body, history_days=0, warm_minutes=0)


# ---------------------------------------------------------------------- websocket


async def receive(
    ws: aiohttp.ClientWebSocketResponse, wanted: Callable[[Any], bool], count: int = 1
) -> list[Any]:
    out: list[Any] = []
    while len(out) < count:
        message = json.loads(await ws.receive_str(timeout=60))
        if wanted(message):
            out.append(message)
    return out


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
    ]  # fmt: skip

    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        names = [f"adausdt@{kind}" for kind in kinds] + ["!miniTicker@arr", "!ticker@arr"]
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

    serve(body)


def test_requests_over_the_socket() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(server.ws_url + "/ws") as ws:

            async def ask(text: str | dict[str, Any]) -> Json:
                await ws.send_str(text if isinstance(text, str) else json.dumps(text))
                return (await receive(ws, lambda frame: "result" in frame or "error" in frame))[0]

            subscribe = {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "no@such"], "id": 7}
            assert await ask(subscribe) == {"result": None, "id": 7}
            listed = await ask({"method": "LIST_SUBSCRIPTIONS", "id": "x"})
            assert listed == {"result": ["btcusdt@trade", "no@such"], "id": "x"}
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
            assert (await ask({"method": "LIST_SUBSCRIPTIONS", "id": 4}))["result"] == ["no@such"]

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


def test_plain_http_on_a_websocket_path_is_told_so() -> None:
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


# ---------------------------------------------------------------------- faults, ends, refusals


def test_lost_depth_messages_leave_a_gap_that_shows() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            events = await receive(ws, lambda _: True, 20)
            gaps = sum(b["U"] != a["u"] + 1 for a, b in pairwise(events))
            assert gaps > 0

    serve(body, faults=Faults(drop_depth=0.5))


def test_connections_can_be_cut_on_purpose() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@bookTicker") as ws:
            async for message in ws:
                assert message.type is WSMsgType.TEXT
            assert ws.close_code == 1001

    serve(body, faults=Faults(disconnect_every_s=0.5))


def test_stopping_closes_connections_properly_and_may_be_repeated() -> None:
    async def run() -> None:
        server = SimulatorServer(config(history_days=0, warm_minutes=0))
        await server.start()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.ws_url}/ws/btcusdt@bookTicker") as ws,
        ):
            await receive(ws, lambda _: True)
            stopping = asyncio.create_task(server.stop())
            async for message in ws:
                assert message.type is WSMsgType.TEXT
            assert ws.close_code == 1001
            await stopping
        await server.stop()

    asyncio.run(run())


def test_a_port_that_is_taken_is_named() -> None:
    async def run() -> None:
        async with SimulatorServer(config(history_days=0, warm_minutes=0)) as server:
            port = int(server.rest_url.rpartition(":")[2])
            second = SimulatorServer(config(port=port, history_days=0, warm_minutes=0))
            with pytest.raises(PeerUnavailable, match=f"port {port} on 127.0.0.1 is taken.*--port"):
                await second.start()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"host": "0.0.0.0"}, "other machines.*--allow-remote"),  # noqa: S104 - refused
        ({"port": 70_000}, "port 70000"),
        ({"history_days": -1}, "days of history"),
        ({"warm_minutes": -1}, "warm up"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(
    changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(BadInput, match=text):
        config(**changes)


@pytest.mark.parametrize("changes", [{"drop_depth": 1.5}, {"disconnect_every_s": -1.0}])
def test_faults_that_mean_nothing_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="fault"):
        Faults(**changes)


def test_a_replay_is_served_and_its_ids_agree_between_rest_and_stream(shared_dir: Path) -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            before = await receive(ws, lambda _: True, 2)
            _, snapshot = await get(session, server, "/api/v3/depth?symbol=BTCUSDT&limit=10")
            last = snapshot["lastUpdateId"]
            fresh = [event for event in before if event["u"] > last]
            fresh += await receive(ws, lambda event: event["u"] > last, 5)
            assert fresh[0]["U"] == last + 1
            assert abs(fresh[-1]["E"] - time.time() * 1000) < 5000
        _, rows = await get(session, server, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=100")
        assert len(rows) == 100

    serve(body, replay=shared_dir / "captures" / CAPTURE)
