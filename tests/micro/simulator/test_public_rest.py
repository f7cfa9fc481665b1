"""The simulator's public REST endpoints, queried with plain HTTP."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from protocol_kit import Json, get, serve

if TYPE_CHECKING:
    import aiohttp

    from citadel_micro.simulator.server import SimulatorServer


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
        old = await ok(f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={trades[0]['id']}&limit=7")
        assert old == trades
        recent = await ok("/api/v3/aggTrades?symbol=BTCUSDT&limit=7")
        assert len(recent) == 7
        assert all(b["a"] == a["a"] + 1 for a, b in pairwise(recent))
        assert all(b["f"] == a["l"] + 1 for a, b in pairwise(recent))
        again = await ok(f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={recent[2]['a']}&limit=3")
        assert again == recent[2:5]
        at = recent[3]["T"]
        same = await ok(f"/api/v3/aggTrades?symbol=BTCUSDT&startTime={at}&endTime={at}")
        assert {entry["T"] for entry in same} == {at}
        assert recent[3] in same

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
        ("klines?symbol=BTCUSDT&interval=1m&timeZone=east", 400, -1100),
        ("klines?symbol=BTCUSDT&interval=1m&timeZone=14:01", 400, -1100),
        ("klines?symbol=BTCUSDT&interval=1m&timeZone=-12:01", 400, -1100),
        ("ticker", 400, -1102),
        ("ticker?symbols=[%22BTCUSDT%22,%22BTCUSDT%22]", 400, -1151),
        ("ticker?symbol=BTCUSDT&windowSize=60m", 400, -1130),
        ("ticker?symbol=BTCUSDT&windowSize=1d2h", 400, -1130),
        ("ticker?symbol=BTCUSDT&windowSize=8d", 400, -1130),
        ("ticker?symbol=BTCUSDT&type=HUGE", 400, -1139),
        ("ticker/tradingDay?timeZone=0", 400, -1102),
        ("ticker/price?symbol=BTCUSDT&symbolStatus=ASLEEP", 400, -1122),
        ("ticker/price?symbol=BTCUSDT&symbolStatus=HALT", 400, -1220),
        ("depth?symbol=BTCUSDT&symbolStatus=BREAK", 400, -1220),
        ("exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING", 400, -1128),
        ("exchangeInfo?symbol=BTCUSDT&permissions=SPOT", 400, -1128),
        ("exchangeInfo?permissions=[1]", 400, -1100),
        ("exchangeInfo?showPermissionSets=yes", 400, -1100),
        ("historicalTrades?limit=5", 400, -1102),
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
