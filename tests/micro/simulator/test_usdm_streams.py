"""USD-M's streams: books that join, listen keys that others end, faults, the websocket API."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from spot_client import ED25519_KEY
from usdm_client import FAR, SYMBOL, Stream, UsdmClient, trade
from waiting import until

from citadel_micro.simulator.binance_usdm.user_stream import UsdmUserStreams

Json = Any


@pytest.mark.parametrize("speed", ["@0ms", "@100ms", "", "@500ms"])
def test_a_book_joins_its_snapshot_and_each_event_names_the_one_before(speed: str) -> None:
    async def body(client: UsdmClient) -> None:
        name = f"btcusdt@depth{speed}"
        async with client.stream(f"public/stream?streams={name}") as stream:
            await stream.until(lambda: len(stream.events) >= 3)
            raw = await client.raw("GET", "/fapi/v1/depth", query="symbol=BTCUSDT&limit=1000")
            book = raw.body["lastUpdateId"]
            await stream.until(lambda: stream.events[-1]["data"]["u"] > book)
        events = [event["data"] for event in stream.events]
        joined = next(event for event in events if event["u"] >= book)
        assert joined["U"] <= book + 1
        for before, after in pairwise(events):
            assert after["pu"] == before["u"]

    trade(body)


def test_the_market_streams_have_their_fields() -> None:
    async def body(client: UsdmClient) -> None:
        names = (
            "btcusdt@depth20@100ms", "btcusdt@bookTicker", "btcusdt@aggTrade",
            "btcusdt@markPrice@1s", "!markPrice@arr@1s", "btcusdt@kline_1m", "btcusdt@ticker",
        )  # fmt: skip
        async with client.stream("market/stream?streams=" + "/".join(names)) as stream:
            await client.market("BUY")

            def seen() -> dict[str, Json]:
                return {event["stream"]: event["data"] for event in stream.events}

            await stream.until(lambda: set(seen()) >= set(names))
        data = seen()
        assert len(data["btcusdt@depth20@100ms"]["b"]) == 20
        assert set(data["btcusdt@bookTicker"]) == set("eusbBaATE")
        assert set(data["btcusdt@markPrice@1s"]) == {"e", "E", "s", "p", "ap", "P", "i", "r", "T"}
        assert [row["s"] for row in data["!markPrice@arr@1s"]] == [SYMBOL]
        assert "b" not in data["btcusdt@ticker"]

    trade(body)


def test_a_fill_is_reported_early_then_fully_then_the_account() -> None:
    async def body(client: UsdmClient) -> None:
        async with client.events() as events:
            placed = await client.market("BUY")
            await events.until(lambda: bool(events.of("ACCOUNT_UPDATE")))
        kinds = [event["e"] for event in events.events]
        assert kinds[:3] == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE"]
        lite, report = events.of("TRADE_LITE")[0], events.reports()[1]
        assert (lite["t"], lite["i"]) == (report["t"], placed["orderId"])
        assert "n" not in lite
        assert report["N"] == "USDT"
        change = events.of("ACCOUNT_UPDATE")[0]["a"]
        assert (change["m"], change["P"][0]["pa"], change["P"][0]["mt"]) == (
            "ORDER", "0.01000", "cross",
        )  # fmt: skip

    trade(body)


def test_an_order_that_rests_changes_no_wallet() -> None:
    async def body(client: UsdmClient) -> None:
        async with client.events() as events:
            placed = await client.order(**FAR | {"price": client.price(0.9)})
            await client.order("DELETE", orderId=placed.body["orderId"])
            await events.until(lambda: events.kinds() == ["NEW", "CANCELED"])
            await asyncio.sleep(0.1)
        assert events.of("ACCOUNT_UPDATE") == []

    trade(body)


def test_leverage_is_reported() -> None:
    async def body(client: UsdmClient) -> None:
        async with client.events() as events:
            await client.send("POST", "/fapi/v1/leverage", {"symbol": SYMBOL, "leverage": 7})
            await events.until(lambda: bool(events.of("ACCOUNT_CONFIG_UPDATE")))
        assert events.of("ACCOUNT_CONFIG_UPDATE")[0]["ac"] == {"s": SYMBOL, "l": 7}

    trade(body)


def test_one_listen_key_per_account_and_another_clients_delete_mutes() -> None:
    async def body(client: UsdmClient) -> None:
        first = (await client.listen_key()).body["listenKey"]
        assert (await client.listen_key()).body["listenKey"] == first
        assert (await client.listen_key("PUT")).body["listenKey"] == first
        low = FAR | {"price": client.price(0.9)}
        paths = (f"private/ws/{first}", f"private/ws?listenKey={first}", f"ws/{first}")
        for path in paths:
            async with client.stream(path) as stream:
                await asyncio.sleep(0.05)
                await client.order(**low)
                await stream.until(lambda stream=stream: stream.kinds() == ["NEW"])  # type: ignore[misc]
        async with client.stream(f"private/stream?streams={first}") as stream:
            await asyncio.sleep(0.05)
            await client.order(**low)
            await stream.until(lambda: bool(stream.events))
            assert stream.events[0]["stream"] == first
            assert (await client.listen_key("DELETE")).body == {}
            assert (await client.listen_key("PUT")).body["code"] == -1125
            await client.order(**low)
            await asyncio.sleep(0.2)
            assert len(stream.events) == 1
            assert not stream.closed.is_set()
        assert (await client.listen_key()).body["listenKey"] != first

    trade(body)


def test_a_listen_key_that_is_not_kept_alive_ends_in_silence() -> None:
    async def body(client: UsdmClient) -> None:
        async with client.events() as events:
            streams = client.server.usdm.streams
            assert isinstance(streams, UsdmUserStreams)
            await until(lambda: streams._by_client)
            (known,) = streams._keys.values()
            known.until_ms -= 59_900  # that much of its minute has passed
            await events.until(lambda: bool(events.of("listenKeyExpired")))
            await client.order(**FAR | {"price": client.price(0.9)})
            await asyncio.sleep(0.2)
            assert events.reports() == []
            assert not events.closed.is_set()

    trade(body, listen_key_s=60.0)


def test_the_websocket_api() -> None:
    async def body(client: UsdmClient) -> None:
        async with client.connect() as socket:
            await socket.logon()
            low = FAR | {"symbol": SYMBOL, "price": client.price(0.9)}
            from spot_client import now_ms  # noqa: PLC0415 - only here

            placed = await socket.ask("order.place", {**low, "timestamp": now_ms()})
            assert placed["result"]["status"] == "NEW"
            assert [limit["rateLimitType"] for limit in placed["rateLimits"]] == [
                "ORDERS", "ORDERS", "REQUEST_WEIGHT",
            ]  # fmt: skip
            order_id = placed["result"]["orderId"]
            which = {"symbol": SYMBOL, "orderId": order_id}
            change = which | {"side": "BUY", "quantity": "0.02", "price": client.price(0.9)}
            modified = await socket.call("order.modify", ED25519_KEY, **change)
            assert modified["result"]["origQty"] == "0.02000"
            status = await socket.call("order.status", ED25519_KEY, **which)
            assert status["result"]["origQty"] == "0.02000"
            gone = await socket.call("order.cancel", ED25519_KEY, **which)
            assert gone["result"]["status"] == "CANCELED"
            for name in ("v2/account.status", "account.status", "v2/account.balance"):
                assert (await socket.call(name, ED25519_KEY))["status"] == 200
            await client.market("BUY")
            position = await socket.call("v2/account.position", ED25519_KEY)
            assert position["result"][0]["positionAmt"] == "0.01000"
            started = await socket.ask("userDataStream.start", {"apiKey": client.key.key_id})
            assert len(started["result"]["listenKey"]) == 64
            await socket.ask("userDataStream.ping", {"apiKey": client.key.key_id})
            await socket.ask("userDataStream.stop", {"apiKey": client.key.key_id})
            none = await socket.ask("userDataStream.ping", {"apiKey": client.key.key_id})
            assert none["error"]["code"] == -1125
            unknown = await socket.call("leverage", ED25519_KEY)
            assert unknown["status"] == 400

    trade(body)


async def mute(client: UsdmClient, events: Stream) -> None:
    await client.order(**FAR | {"price": client.price(0.9)})
    await asyncio.sleep(0.2)
    assert events.events == []
    assert not events.closed.is_set()


async def fill_wins(client: UsdmClient, events: Stream) -> None:
    placed = await client.order(**FAR | {"price": client.price(0.9)})
    answer = await client.order("DELETE", orderId=placed.body["orderId"])
    assert answer.body["code"] == -2011
    await events.until(lambda: events.kinds()[-1:] == ["TRADE"])


async def fill_after_cancel(client: UsdmClient, events: Stream) -> None:
    placed = await client.order(**FAR | {"price": client.price(0.9)})
    answer = await client.order("DELETE", orderId=placed.body["orderId"])
    assert answer.body["status"] == "CANCELED"
    await events.until(lambda: events.kinds() == ["NEW", "CANCELED", "TRADE"])


async def unknown_executed(client: UsdmClient, events: Stream) -> None:
    answer = await client.order(**FAR | {"price": client.price(0.9)})
    assert answer.error[:2] == (504, -1007)
    await events.until(lambda: events.kinds() == ["NEW"])


async def total_shrinks(client: UsdmClient, events: Stream) -> None:
    await client.market("BUY")
    await events.until(lambda: "TRADE" in events.kinds())
    report = next(each for each in events.reports() if each["x"] == "TRADE")
    assert report["z"] < report["l"]


async def stream_terminated(client: UsdmClient, events: Stream) -> None:
    await client.order(**FAR | {"price": client.price(0.9)})
    await events.until(lambda: bool(events.of("listenKeyExpired")))


async def session_cut(client: UsdmClient, events: Stream) -> None:
    await client.order(**FAR | {"price": client.price(0.9)})
    await asyncio.wait_for(events.closed.wait(), 60)


async def self_trade(client: UsdmClient, events: Stream) -> None:
    await client.order(**FAR | {"price": client.price(0.9)})
    await events.until(lambda: events.kinds().count("TRADE") == 2)
    ids = {report["t"] for report in events.reports() if report["x"] == "TRADE"}
    assert len(ids) == 1


async def foreign_order(client: UsdmClient, events: Stream) -> None:
    await client.order(**FAR | {"price": client.price(0.9)})
    await events.until(lambda: len(events.reports()) == 2)
    assert events.reports()[0]["c"].startswith("web_")


async def taken_away(client: UsdmClient, events: Stream) -> None:
    placed = await client.market("BUY")
    assert placed["status"] == "FILLED"
    await events.until(lambda: "CALCULATED" in events.kinds())
    closing = next(each for each in events.reports() if each["x"] == "CALCULATED")
    assert "autoclose" in closing["c"]
    assert client.exchange.positions("demo") == []


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        ("mute=once", mute),
        ("fill-wins=once", fill_wins),
        ("fill-after-cancel=once", fill_after_cancel),
        ("unknown-executed=once", unknown_executed),
        ("total-shrinks=once", total_shrinks),
        ("stream-terminated=once,on=order.place", stream_terminated),
        ("session-cut=once,on=order.place", session_cut),
        ("self-trade=once", self_trade),
        ("foreign-order=once", foreign_order),
        ("listen-key-deleted=once,on=order.place", mute),
        ("liquidated=once", taken_away),
        ("deleveraged=once", taken_away),
    ],
)
def test_faults_are_those_of_spot(rule: str, check: Any) -> None:  # noqa: ANN401 - one of the above
    async def body(client: UsdmClient) -> None:
        async with client.events() as events:
            await client.fault(rule)
            await check(client, events)

    trade(body)
