"""What the public side says of the same market in different answers agrees."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp

from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.query import zone_minutes
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Json = Any
MINUTE = 60_000
DAY = 1440 * MINUTE


def serve(
    body: Callable[[Callable[[str], Awaitable[Json]], SimulatorServer], Any],
    *,
    deep_levels: int = 0,
) -> None:
    """Run ``body(ok, server)`` against a simulator whose market stands still."""

    async def run() -> None:
        config = SimulatorConfig(
            symbols=("BTC/USDT", "ADA/USDT"),
            history_days=9,
            warm_minutes=3,
            deep_levels=deep_levels,
        )
        async with SimulatorServer(config) as server, aiohttp.ClientSession() as session:
            mover = server._mover
            assert mover is not None
            mover.cancel()

            async def ok(path: str) -> Json:
                async with session.get(server.rest_url + path) as response:
                    assert response.status == 200, await response.text()
                    assert int(response.headers["X-MBX-USED-WEIGHT-1M"]) > 0
                    return await response.json()

            async with asyncio.timeout(150):
                await body(ok, server)
            server._mover = None

    asyncio.run(run())


def test_counts_of_a_day_agree_between_tickers_klines_and_trades() -> None:
    async def body(ok: Callable[[str], Awaitable[Json]], _server: SimulatorServer) -> None:
        day = await ok("/api/v3/ticker/24hr?symbol=BTCUSDT")
        assert day["count"] == day["lastId"] - day["firstId"] + 1
        rows = await ok(f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={day['openTime']}")
        rows += await ok(
            f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={rows[-1][0] + 1}&limit=1000"
        )
        assert len(rows) == 1440
        assert sum(row[8] for row in rows) == day["count"]
        trades = await ok("/api/v3/trades?symbol=BTCUSDT&limit=1000")
        assert trades[-1]["id"] == day["lastId"]
        assert all(b["id"] == a["id"] + 1 for a, b in pairwise(trades))
        seconds = await ok(
            "/api/v3/klines?symbol=BTCUSDT&interval=1s&limit=1000"
            f"&startTime={trades[0]['time'] + 1}&endTime={trades[-1]['time'] - 1000}"
        )
        assert len(seconds) > 20
        ends = seconds[0][0], seconds[-1][6]
        inside = [trade for trade in trades if ends[0] <= trade["time"] <= ends[1]]
        assert sum(row[8] for row in seconds) == len(inside)
        joined = await ok("/api/v3/aggTrades?symbol=BTCUSDT&limit=1000")
        assert joined[-1]["l"] == day["lastId"]
        covered = sum(a["l"] - a["f"] + 1 for a in joined)
        assert covered == joined[-1]["l"] - joined[0]["f"] + 1
        window = await ok("/api/v3/ticker?symbol=BTCUSDT&windowSize=1d")
        # Opens a minute earlier: Binance's rolling window is up to a minute wider.
        assert window["openTime"] == day["openTime"] - MINUTE
        assert window["lastId"] == day["lastId"]
        assert window["count"] == window["lastId"] - window["firstId"] + 1
        before = await ok(
            f"/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1&endTime={day['openTime'] - 1}"
        )
        assert day["prevClosePrice"] == before[0][4]

    serve(body)


def test_seconds_add_up_to_minutes_in_history_and_in_the_market() -> None:
    async def body(ok: Callable[[str], Awaitable[Json]], _server: SimulatorServer) -> None:
        minutes = await ok("/api/v3/klines?symbol=ADAUSDT&interval=1m&limit=7")
        start, end = minutes[0][0], minutes[-2][6]
        seconds = await ok(
            f"/api/v3/klines?symbol=ADAUSDT&interval=1s&startTime={start}&endTime={end}&limit=1000"
        )
        assert len(seconds) == 6 * 60
        assert all(b[0] == a[0] + 1000 for a, b in pairwise(seconds))
        assert all(row[6] == row[0] + 999 for row in seconds)
        for minute in minutes[:-1]:
            inside = [row for row in seconds if minute[0] <= row[0] <= minute[6]]
            assert len(inside) == 60
            assert sum(row[8] for row in inside) == minute[8]
            # Before its first trade a minute's seconds repeat a price of the minute before.
            traded = [row for row in inside if row[8]]
            assert max(float(row[2]) for row in traded) == float(minute[2])
            assert min(float(row[3]) for row in traded) == float(minute[3])
            assert inside[-1][4] == minute[4]
        assert len(await ok("/api/v3/klines?symbol=ADAUSDT&interval=1s")) == 500

    serve(body)


def test_time_zones_move_days_and_leave_minutes() -> None:
    async def body(ok: Callable[[str], Awaitable[Json]], _server: SimulatorServer) -> None:
        path = "/api/v3/klines?symbol=BTCUSDT&interval=1d&limit=3"
        for zone, ahead in (("8", 480), ("05:45", 345), ("-1:00", -60), ("%2B08:00", 480)):
            rows = await ok(f"{path}&timeZone={zone}")
            assert all((row[0] + ahead * MINUTE) % DAY == 0 for row in rows)
            assert all(row[6] == row[0] + DAY - 1 for row in rows)
            today = await ok(f"/api/v3/ticker/tradingDay?symbol=BTCUSDT&timeZone={zone}")
            assert (today["openTime"], today["closeTime"]) == (rows[-1][0], rows[-1][6])
            assert (today["openPrice"], today["volume"]) == (rows[-1][1], rows[-1][5])
            assert today["count"] == rows[-1][8] == today["lastId"] - today["firstId"] + 1
        fives = "/api/v3/klines?symbol=BTCUSDT&interval=5m&limit=3"
        assert await ok(f"{fives}&timeZone=9") == await ok(fives)
        hours = await ok("/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=2&timeZone=5:45")
        assert all(row[0] // MINUTE % 60 == 15 for row in hours)

    serve(body)


def test_time_zones_are_read_as_binance_writes_them() -> None:
    texts = ("0", "8", "-1:00", "05:45", "+08:00", "14:00", "-12:00")
    assert [zone_minutes(text) for text in texts] == [0, 480, -60, 345, 480, 840, -720]
    for text in ("", "14:01", "-12:01", "8:60", "8:0", "x", "--1", "1:00:00", "٣"):
        assert zone_minutes(text) is None


def test_rolling_windows_are_what_was_asked_for() -> None:
    async def body(ok: Callable[[str], Awaitable[Json]], _server: SimulatorServer) -> None:
        for size, minutes in (("1m", 1), ("59m", 59), ("2h", 120), ("7d", 7 * 1440)):
            row = await ok(f"/api/v3/ticker?symbol=BTCUSDT&windowSize={size}")
            width = row["closeTime"] - row["openTime"]
            assert row["openTime"] % MINUTE == 0
            assert minutes * MINUTE <= width < (minutes + 1) * MINUTE
            assert row["count"] == row["lastId"] - row["firstId"] + 1
            assert list(row) == [
                "symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "openPrice",
                "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime",
                "closeTime", "firstId", "lastId", "count",
            ]  # fmt: skip
        rows = await ok('/api/v3/ticker?symbols=["BTCUSDT","ADAUSDT"]&type=MINI&windowSize=4h')
        assert [row["symbol"] for row in rows] == ["BTCUSDT", "ADAUSDT"]
        assert "priceChange" not in rows[0]

    serve(body)


def test_symbols_are_chosen_by_status_and_permission() -> None:
    async def body(ok: Callable[[str], Awaitable[Json]], server: SimulatorServer) -> None:
        server.spot.venue.exchange.set_status("ADA/USDT", "HALT")
        for path in ("exchangeInfo", "ticker/price", "ticker/bookTicker", "ticker/24hr"):
            halted = await ok(f"/api/v3/{path}?symbolStatus=HALT")
            rows = halted["symbols"] if path == "exchangeInfo" else halted
            assert [row["symbol"] for row in rows] == ["ADAUSDT"]
        both = '["BTCUSDT","ADAUSDT"]'
        rows = await ok(f"/api/v3/ticker/tradingDay?symbols={both}&symbolStatus=TRADING")
        assert [row["symbol"] for row in rows] == ["BTCUSDT"]
        assert await ok(f"/api/v3/ticker?symbols={both}&symbolStatus=BREAK") == []
        one = await ok("/api/v3/ticker/price?symbol=ADAUSDT&symbolStatus=HALT")
        assert one["symbol"] == "ADAUSDT"
        for permissions, count in (("SPOT", 2), ('["MARGIN","SPOT"]', 2), ("MARGIN", 0)):
            info = await ok(f"/api/v3/exchangeInfo?permissions={permissions}")
            assert len(info["symbols"]) == count
        bare = await ok("/api/v3/exchangeInfo?showPermissionSets=false")
        assert all(row["permissionSets"] == [] for row in bare["symbols"])

    serve(body)


def test_every_answer_says_what_was_used() -> None:
    async def run() -> None:
        config = SimulatorConfig(symbols=("BTC/USDT",), history_days=0, warm_minutes=0)
        async with SimulatorServer(config) as server, aiohttp.ClientSession() as session:
            for path, weight in (
                ("/api/v3/ping", 1),
                ("/api/v3/ticker?symbol=BTCUSDT", 4),
                ("/api/v3/ticker?symbol=NOPE", 4),
                ("/api/v3/historicalTrades?symbol=BTCUSDT", 25),
                ("/api/v3/depth?symbol=BTCUSDT&limit=5000", 250),
                ("/api/v3/nothing", 0),
                ("/api/v3/account", 0),
                ("/api/v3/orderList", 0),
            ):
                before = server.spot.venue.weights.used("127.0.0.1", server.feed.now_ns // 10**6)
                async with session.get(server.rest_url + path) as response:
                    used = int(response.headers["X-MBX-USED-WEIGHT-1M"])
                    assert response.headers["X-MBX-USED-WEIGHT"] == str(used)
                    # A minute may end between the two.
                    assert used >= before + weight or used == weight
            async with session.get(server.rest_url + "/sapi/v1/system/status") as response:
                assert await response.json() == {"status": 0, "msg": "normal"}
                assert response.headers["X-SAPI-USED-IP-WEIGHT-1M"] == "1"

    asyncio.run(run())


def test_a_deep_book_has_binances_five_thousand_levels() -> None:
    async def body(ok: Callable[[str], Awaitable[Json]], _server: SimulatorServer) -> None:
        depth = await ok("/api/v3/depth?symbol=BTCUSDT&limit=5000")
        assert len(depth["bids"]) == len(depth["asks"]) == 5000
        bids = [float(price) for price, _ in depth["bids"]]
        assert bids == sorted(set(bids), reverse=True)
        assert min(float(size) for _, size in depth["asks"]) > 0

    serve(body, deep_levels=5000)
