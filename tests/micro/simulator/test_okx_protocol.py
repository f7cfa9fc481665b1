"""The simulated OKX's rules: who signs, when, client ids, states, limits, the timer, channels."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from okx_kit import NATIVE, SYMBOL, RestClient, logged_in, okx_server, side_of, simulator_key
from waiting import until

from citadel_micro.simulator.okx.auth import VERIFY, sign
from citadel_micro.simulator.okx.names import inst_code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

BALANCE = "/api/v5/account/balance"
ORDER = "/api/v5/trade/order"
CANCEL = "/api/v5/trade/cancel-order"
AMEND = "/api/v5/trade/amend-order"
TIMER = "/api/v5/trade/cancel-all-after"


@asynccontextmanager
async def client(*faults: str) -> AsyncIterator[RestClient]:
    async with okx_server(*faults) as server, aiohttp.ClientSession() as http:
        yield RestClient(server, http)


def run(body: Callable[[RestClient], Awaitable[None]], *faults: str) -> None:
    async def main() -> None:
        async with client(*faults) as rest:
            await body(rest)

    asyncio.run(main())


def test_who_signs_how_and_when() -> None:
    async def body(rest: RestClient) -> None:
        assert (await rest.send("GET", BALANCE)).code == "0"
        for headers, code in (
            ({"OK-ACCESS-KEY": ""}, "50103"),
            ({"OK-ACCESS-KEY": "nobody"}, "50111"),
            ({"OK-ACCESS-PASSPHRASE": "wrong"}, "50105"),
            ({"OK-ACCESS-SIGN": "wrong"}, "50113"),
            ({"OK-ACCESS-TIMESTAMP": "yesterday"}, "50112"),
            ({"OK-ACCESS-TIMESTAMP": rest.stamp(-1)}, "50113"),
        ):
            told = await rest.send("GET", BALANCE, headers=headers)
            assert (told.status, told.code) == (401, code)
        for shift_ms, code in (
            (-29_000, "0"),
            (29_000, "0"),
            (-31_000, "50102"),
            (31_000, "50102"),
        ):
            assert (await rest.send("GET", BALANCE, shift_ms=shift_ms)).code == code
        rest.server.venues["okx"].venue.ring.revoke(rest.key.key_id)  # type: ignore[attr-defined]
        assert (await rest.send("GET", BALANCE)).code == "50111"

    run(body)


def test_orders_by_their_rules() -> None:
    async def body(rest: RestClient) -> None:
        for change, code in (
            ({"sz": "0"}, "51000"),
            ({"sz": "0.000001"}, "51121"),
            ({"px": "1.001"}, "51000"),
            ({"px": "1"}, "51006"),
            ({"instId": "BTC-EUR"}, "51001"),
            ({"tdMode": "cross"}, "51000"),
            ({"ordType": "gtd"}, "51000"),
            ({"clOrdId": "a-b"}, "51000"),
            ({"clOrdId": "a" * 33}, "51000"),
            ({"tag": "x" * 17}, "51000"),
            ({"side": "sell", "px": "", "ordType": "market", "sz": "11"}, "51008"),
        ):
            told = await rest.send("POST", ORDER, rest.order(**change))
            assert (change, told.body["code"], told.code) == (change, "1", code)
        name = {"clOrdId": "a" * 32}
        assert (await rest.send("POST", ORDER, rest.order(**name))).code == "0"
        assert (await rest.send("POST", ORDER, rest.order(**name))).code == "51016"
        named = {"instId": NATIVE, **name}
        assert (await rest.send("POST", CANCEL, named)).code == "0"
        assert (await rest.send("POST", CANCEL, named)).code == "51401"
        assert (await rest.send("POST", AMEND, {**named, "newSz": "1"})).code == "51509"
        assert (await rest.send("POST", CANCEL, {"instId": NATIVE, "ordId": "1"})).code == "51400"
        assert (await rest.send("POST", CANCEL, {"instId": NATIVE})).code == "51407"
        # Free again, once no open order has it; by it the newest is found.
        assert (await rest.send("POST", ORDER, rest.order(**name))).code == "0"
        found = await rest.send("GET", f"{ORDER}?instId={NATIVE}&clOrdId={name['clOrdId']}")
        assert found.body["data"][0]["state"] == "live"
        assert (await rest.send("GET", f"{ORDER}?instId={NATIVE}&clOrdId=never")).code == "51603"

    run(body)


def test_an_order_that_comes_after_its_time_is_not_placed() -> None:
    async def body(rest: RestClient) -> None:
        now_ms = side_of(rest.server).exchange.now_ns // 1_000_000
        late = await rest.send("POST", ORDER, rest.order(), headers={"expTime": str(now_ms - 1)})
        assert late.code == "50102"
        assert not side_of(rest.server).exchange.open_orders("demo")
        good = {"expTime": str(now_ms + 600_000)}
        assert (await rest.send("POST", ORDER, rest.order(), headers=good)).code == "0"

    run(body)


def test_requests_are_limited_by_endpoint() -> None:
    async def body(rest: RestClient) -> None:
        asked = (rest.send("GET", "/api/v5/account/config") for _ in range(12))
        told = await asyncio.gather(*asked)  # together: five may be asked in two seconds
        assert {each.code for each in told} == {"0", "50011"}
        assert {each.status for each in told} == {200, 429}

    run(body)


def test_the_timer_has_bounds_and_cancels_by_tag() -> None:
    async def body(rest: RestClient) -> None:
        async def timer(**params: str) -> str:
            code = "50011"
            while code == "50011":  # one a second
                await asyncio.sleep(0.05)
                code = (await rest.send("POST", TIMER, params)).code
            return code

        assert await timer(timeOut="9") == "51000"
        assert await timer(timeOut="121") == "51000"
        await rest.send("POST", ORDER, rest.order(tag="mine"))
        await rest.send("POST", ORDER, rest.order())
        assert await timer(timeOut="10", tag="mine") == "0"
        side = side_of(rest.server)
        side.trading._due["demo", "mine"] = side.exchange.now_ns
        await until(lambda: len(side.exchange.open_orders("demo")) == 1)
        assert side.trading.wish(side.exchange.open_orders("demo")[0].order_id).tag == ""

    run(body)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"apiKey": "nobody"}, "60005"),
        ({"sign": "wrong"}, "60007"),
        ({"passphrase": "wrong"}, "60024"),
        ({"timestamp": "soon"}, "60004"),
        ({"timestamp": "1700000000"}, "60006"),
    ],
)
def test_a_login_that_is_refused(change: dict[str, str], code: str) -> None:
    async def body(rest: RestClient) -> None:
        key = simulator_key()
        at = change.get("timestamp", str(side_of(rest.server).exchange.now_ns // 10**9))
        arg = {
            "apiKey": key.key_id,
            "passphrase": key.passphrase,
            "timestamp": at,
            "sign": sign(key, at + VERIFY),
        }
        async with rest.http.ws_connect(f"{rest.server.ws_url}/ws/v5/private") as socket:
            await socket.send_json({"op": "subscribe", "args": [{"channel": "account"}]})
            assert (await socket.receive_json())["code"] == "60011"
            await socket.send_json({"op": "login", "args": [{**arg, **change}]})
            told = await socket.receive_json()
            assert (told["event"], told["code"]) == ("error", code)

    run(body)


def test_orders_over_the_websocket_go_by_number_and_their_channel_reports_them() -> None:
    async def body(rest: RestClient) -> None:
        socket = await logged_in(rest.server, rest.http)
        args = [{"channel": "orders", "instType": "SPOT"}, {"channel": "account"}]
        await socket.send_json({"op": "subscribe", "args": args})
        said = [await socket.receive_json() for _ in range(3)]
        assert [each.get("event") for each in said] == ["subscribe", "subscribe", None]
        assert said[2]["arg"]["channel"] == "account"  # as it is now
        order = rest.order()
        await socket.send_json({"id": "7", "op": "order", "args": [order]})
        assert (await socket.receive_json())["code"] == "60013"
        del order["instId"]
        number = inst_code(side_of(rest.server).exchange.rules[SYMBOL].spec)
        order["instIdCode"] = number  # type: ignore[assignment]
        await socket.send_json({"id": "8", "op": "order", "args": [order]})
        told = [await socket.receive_json() for _ in range(3)]
        answer = next(each for each in told if each.get("id") == "8")
        assert (answer["op"], answer["code"]) == ("order", "0")
        channels = {each["arg"]["channel"]: each["data"][0] for each in told if "arg" in each}
        assert channels["orders"]["state"] == "live"
        assert channels["orders"]["ordId"] == answer["data"][0]["ordId"]
        assert channels["account"]["details"][0]["ccy"] == "USDT"
        await socket.send_str("ping")
        assert (await socket.receive()).data == "pong"
        # Some fail and some do not: code 2, and each row its own.
        batch = [order, {**order, "sz": "0"}]
        await socket.send_json({"id": "9", "op": "batch-orders", "args": batch})
        rows: dict[str, Any] = {}
        while rows.get("id") != "9":
            rows = await socket.receive_json()
        assert rows["code"] == "2"
        assert [each["sCode"] for each in rows["data"]] == ["0", "51000"]
        await socket.close()

    run(body)


def test_a_book_is_linked_from_its_snapshot_on() -> None:
    async def body(rest: RestClient) -> None:
        async with rest.http.ws_connect(f"{rest.server.ws_url}/ws/v5/public") as socket:
            arg = {"channel": "books", "instId": NATIVE}
            await socket.send_json({"op": "subscribe", "args": [arg]})
            assert (await socket.receive_json())["event"] == "subscribe"
            bids: dict[str, str] = {}
            last = -1
            for number in range(12):
                frame = json.loads((await socket.receive()).data)
                assert frame["action"] == ("update" if number else "snapshot")
                (book,) = frame["data"]
                assert book["prevSeqId"] == last
                last = book["seqId"]
                bids |= {price: size for price, size, *_ in book["bids"]}
                bids = {price: size for price, size in bids.items() if size != "0"}
            await socket.send_json({"op": "subscribe", "args": [{**arg, "instId": "BTC-EUR"}]})
            told: dict[str, Any] = {}
            while told.get("event") != "error":
                told = await socket.receive_json()
            assert told["code"] == "60018"
        feed = side_of(rest.server).feed
        spec = feed.specs[SYMBOL]
        best = max(float(price) for price in bids)
        assert abs(best - feed.depth(SYMBOL, 1).best_bid[0] * spec.tick_e8 / 1e8) < 50

    run(body)


def test_the_operator_reaches_its_accounts_by_the_name_of_the_market() -> None:
    async def body(rest: RestClient) -> None:
        token = {"X-Sim-Token": rest.server.control_token}
        root = f"{rest.server.rest_url}/sim/v1"
        change = {"market": "okx", "account": "demo", "asset": "USDT", "amount": "5"}
        async with rest.http.post(f"{root}/deposit", json=change, headers=token) as answer:
            assert answer.status == 200
        place = {"market": "okx", "account": "demo"}
        async with rest.http.get(f"{root}/ledger", params=place, headers=token) as answer:
            told = await answer.json()
        assert told["balances"]["USDT"] == "1000005.00000000"
        (row,) = (await rest.send("GET", BALANCE)).body["data"]
        assert {each["ccy"]: each["cashBal"] for each in row["details"]}["USDT"] == "1000005"
        async with rest.http.get(
            f"{root}/ledger", params=place | {"market": "nowhere"}, headers=token
        ) as answer:
            assert "okx" in (await answer.json())["error"]

    run(body)
