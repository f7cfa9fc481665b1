"""Kraken's private protocol on the simulator: who is let in, what is refused, and what is told."""

from __future__ import annotations

import asyncio
import json
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from kraken_kit import SYMBOL, RawClient, raw_client, raw_socket
from waiting import until

from citadel_micro.sim.flow_symbols import KNOWN_SYMBOLS
from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.keys import ApiKey, Permission
from citadel_micro.simulator.kraken.market import checksum
from citadel_micro.simulator.kraken.names import make_id, number_of, stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.kraken.app import KrakenSpot


def on(
    body: Callable[[RawClient, KrakenSpot], Awaitable[None]],
    *faults: str,
    **settings: Any,  # noqa: ANN401 - of the simulator
) -> None:
    async def main() -> None:
        async with asyncio.timeout(150), raw_client(*faults, **settings) as (client, side):
            await body(client, side)

    asyncio.run(main())


def bid(side: KrakenSpot, factor: float = 0.9, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A limit buy below the market, for the websocket."""
    price = round(side.exchange.last_ticks(SYMBOL) / 100 * factor, 2)
    order = {"symbol": SYMBOL, "side": "buy", "order_type": "limit", "order_qty": 0.01}
    return order | {"limit_price": price} | more


def soon(side: KrakenSpot, seconds: float) -> str:
    return stamp(side.exchange.now_ns + round(seconds * 1e9))


@pytest.mark.parametrize("number", [1, 7, 1_795_832_194_406, 89_791_606_095 * 2 + 1])
def test_ids_have_the_venues_form_and_lead_back(number: int) -> None:
    name = make_id("O", number)
    assert [len(part) for part in name.split("-")] == [6, 5, 6]
    assert number_of(name, "O") == number
    assert number_of(name, "T") == 0
    assert number_of("O1", "O") == 0


def test_calls_are_let_in_by_key_signature_and_a_rising_nonce() -> None:
    async def body(client: RawClient, _side: KrakenSpot) -> None:
        assert "XXBT" in await client.result("BalanceEx")
        assert "XXBT" in await client.result("Balance", as_json=True)
        used = client.nonce
        for nonce in (used, used - 1):
            assert (await client.call("Balance", nonce=nonce))["error"] == ["EAPI:Invalid nonce"]
        wrong = await client.call("Balance", secret="c2VjcmV0")
        assert wrong["error"] == ["EAPI:Invalid signature"]
        assert "XXBT" in await client.result("Balance")  # a wrong signature uses up no nonce
        client.key = ApiKey(key_id="nobody", account="demo", secret=client.key.secret)
        assert (await client.call("Balance"))["error"] == ["EAPI:Invalid key"]

    on(body)


def test_a_key_without_the_right_to_trade_reads_only() -> None:
    plain = AccountConfig(name="demo").all_keys[0]
    reader = ApiKey(
        key_id=plain.key_id, account="demo", secret=plain.secret, permissions=frozenset()
    )

    async def body(client: RawClient, side: KrakenSpot) -> None:
        assert (await client.result("GetApiKeyInfo"))["permissions"] == [
            "query-funds", "query-open-trades", "query-closed-trades",
        ]  # fmt: skip
        async with raw_socket(client) as socket:
            refused = await socket.ask("add_order", **bid(side))
        assert (refused["success"], refused["error"]) == (False, "EGeneral:Permission denied")

    on(body, accounts=(AccountConfig(name="demo", keys=(reader,)),))


def test_a_key_that_may_withdraw_says_so() -> None:
    plain = AccountConfig(name="demo").all_keys[0]
    rights = frozenset({Permission.TRADE, Permission.WITHDRAW})
    key = ApiKey(key_id=plain.key_id, account="demo", secret=plain.secret, permissions=rights)

    async def body(client: RawClient, _side: KrakenSpot) -> None:
        assert "withdraw-funds" in (await client.result("GetApiKeyInfo"))["permissions"]

    on(body, accounts=(AccountConfig(name="demo", keys=(key,)),))


def test_a_token_opens_the_websocket_until_its_key_is_revoked() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            wrong = await socket.ask("add_order", token="made up", **bid(side))
            assert wrong["error"] == "ESession:Invalid session"
            assert (await socket.ask("add_order", **bid(side)))["success"]
            side.venue.ring.revoke(client.key.key_id)
            refused = await socket.ask("add_order", **bid(side))
            assert refused["error"] == "ESession:Invalid session"
        assert len(side.exchange.open_orders("demo")) == 1

    on(body)


def test_a_token_is_for_a_quarter_of_an_hour_unless_it_is_in_use() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        token = await client.token()
        key, used = side.door.open(token, side.exchange.now_ns, set(), ""), {token}
        later = side.exchange.now_ns + 901 * 1_000_000_000
        assert side.door.open(token, later, used, "") == key
        with pytest.raises(Exception, match="ESession:Invalid session"):
            side.door.open(token, later, set(), "")

    on(body)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("6d1b345e-2821-40e2-ad83-4ecb18a06876", True),
        ("6d1b345e282140e2ad834ecb18a06876", True),
        ("eighteen-letters-x", True),
        ("nineteen-letters-xy", False),
        ("6D1B345E-2821-40E2-AD83-4ECB18A06876", False),
        ("ümlaut", False),
    ],
)
def test_client_ids_have_one_of_three_forms(name: str, taken: bool) -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            answer = await socket.ask("add_order", **bid(side, cl_ord_id=name))
        assert answer["success"] is taken
        if not taken:
            assert answer["error"] == "EGeneral:Invalid arguments:cl_ord_id"

    on(body)


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            assert (await socket.ask("add_order", **bid(side, cl_ord_id="mine")))["success"]
            again = await socket.ask("add_order", **bid(side, cl_ord_id="mine"))
            assert not again["success"]
            canceled = await socket.ask("cancel_order", cl_ord_id=["mine"])
            assert canceled["result"]["cl_ord_id"] == "mine"
            # So a place that is sent again after a fast end is executed twice.
            assert (await socket.ask("add_order", **bid(side, cl_ord_id="mine")))["success"]
        assert len((await client.result("ClosedOrders", cl_ord_id="mine"))["closed"]) == 1

    on(body)


@pytest.mark.parametrize(("ahead_s", "taken"), [(0.4, False), (0.7, True), (59, True), (61, False)])
def test_a_deadline_lies_within_a_minute(ahead_s: float, taken: bool) -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            await socket.ask("cancel_all")  # brings the exchange's clock up to now
            order = bid(side, deadline=soon(side, ahead_s))
            answer = await socket.ask("add_order", **order)
        assert answer["success"] is taken, answer
        if not taken:
            assert answer["error"] == "EGeneral:Invalid arguments:deadline"

    on(body)


def test_what_is_not_simulated_is_refused() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            for more in (
                {"order_type": "stop-loss"},
                {"margin": True},
                {"reduce_only": True},
                {"time_in_force": "gtd"},
                {"fee_preference": "base"},
                {"stp_type": "none"},
            ):
                answer = await socket.ask("add_order", **bid(side, **more))
                assert answer["error"].startswith("EGeneral:Invalid arguments"), answer
            other = await socket.ask("add_order", **bid(side, symbol="NO/SUCH"))
            assert other["error"] == "Currency pair not supported NO/SUCH"
            assert (await socket.ask("edit_order"))["error"] == "Unsupported method"
        assert side.exchange.all_orders("demo", SYMBOL) == []

    on(body)


async def tokens_left(client: RawClient) -> int:
    """How many calls are answered before the counter is full."""
    for count in range(100):
        answer = await client.call("Balance")
        if answer["error"]:
            assert answer["error"] == ["EAPI:Rate limit exceeded"]
            return count
    return 100


def test_calls_raise_a_counter_that_time_lowers() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        begun_ns = side.exchange.now_ns  # of the market, which catches up when it was kept waiting
        taken = await tokens_left(client)
        full_ns = side.exchange.now_ns
        assert taken <= 20 + (full_ns - begun_ns) / 1e9 + 1
        await until(lambda: side.exchange.now_ns > full_ns + 1_100_000_000)
        assert (await client.call("Balance"))["error"] == []

    on(body)


def test_orders_raise_a_counter_and_cancels_are_always_taken() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            for _ in range(60):  # 1 for the order, 8 for its cancel at this age
                placed = await socket.ask("add_order", **bid(side))
                if not placed["success"]:
                    break
                name = placed["result"]["order_id"]
                assert (await socket.ask("cancel_order", order_id=[name]))["success"]
            assert placed["error"] == "EOrder:Rate limit exceeded"

    on(body)


def test_executions_tell_the_open_orders_and_then_what_changes() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            first = await socket.ask("add_order", **bid(side, cl_ord_id="first"))
            answer = await socket.ask("subscribe", channel="executions")
            assert answer["result"]["maxratecount"] == 180
            (row,) = await socket.rows("executions", "snapshot")
            assert (row["order_id"], row["cl_ord_id"]) == (first["result"]["order_id"], "first")
            await socket.ask("amend_order", cl_ord_id="first", order_qty=0.02)
            await socket.ask("cancel_order", cl_ord_id=["first"])
            await socket.ask("add_order", **bid(side, 1.05, order_qty=0.001))
            rows = await socket.rows("executions", "update", 6)
            kinds = [each["exec_type"] for each in rows]
            assert kinds[:4] == ["amended", "canceled", "pending_new", "new"]
            assert kinds[-2:] == ["trade", "filled"]
            # Only the first report of an order names its pair and its terms.
            assert "symbol" in rows[2]
            assert "symbol" not in rows[3]
            assert (rows[0]["order_qty"], rows[1]["cum_qty"]) == (0.02, 0.0)
            assert rows[1]["reason"] == "User requested"
            # The last fill, too, leaves the order "partially filled": its end is a report of its own.
            assert (rows[-2]["order_status"], rows[-1]["order_status"]) == (
                "partially_filled",
                "filled",
            )
            assert rows[-1]["cum_qty"] == 0.001
            numbers = [
                each["sequence"] for each in socket.heard if each.get("channel") == "executions"
            ]
            assert numbers == list(range(1, len(numbers) + 1))
            assert (await socket.ask("subscribe", channel="executions"))["error"]

    on(body)


def test_balances_tell_what_is_booked_and_not_what_is_held() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        async with raw_socket(client) as socket:
            await socket.ask("subscribe", channel="balances")
            rows = await socket.rows("balances", "snapshot", 2)
            assert next(each for each in rows if each["asset"] == "BTC")["balance"] == 10.0
            await socket.ask("add_order", **bid(side))
            await socket.ask("add_order", **bid(side, 1.05, order_qty=0.001))
            rows = await socket.rows("balances", "update", 2)
            assert {each["asset"] for each in rows} == {"BTC", "USDT"}
            assert next(each for each in rows if each["asset"] == "BTC")["amount"] == 0.001
            held = (await client.result("BalanceEx"))["USDT"]
            assert float(held["hold_trade"]) > 0
            told = next(each for each in rows if each["asset"] == "USDT")
            assert float(held["balance"]) == pytest.approx(told["balance"])

    on(body)


def test_a_fee_is_taken_in_quote() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        before = side.exchange.balances("demo")
        await client.result(
            "AddOrder", pair="XBTUSDT", type="buy", ordertype="market", volume="0.01"
        )
        trades = (await client.result("TradesHistory"))["trades"].values()  # one of each seller
        after = side.exchange.balances("demo")
        assert after["BTC"][0] - before["BTC"][0] == 1_000_000
        spent = before["USDT"][0] - after["USDT"][0]
        paid = sum(Decimal(trade["cost"]) + Decimal(trade["fee"]) for trade in trades)
        assert spent == paid * 10**8

    on(body)


def test_a_book_is_reported_with_its_checksum_and_keeps_its_depth() -> None:
    spec = KNOWN_SYMBOLS[SYMBOL].spec

    def digits(text: str) -> str:
        return text.replace(".", "").lstrip("0")

    async def body(client: RawClient, _side: KrakenSpot) -> None:
        address = client.socket.replace("/auth", "")
        async with client.http.ws_connect(address) as socket:
            params = {"channel": "book", "symbol": [SYMBOL], "depth": 10}
            await socket.send_json({"method": "subscribe", "params": params, "req_id": 1})
            book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
            seen = 0
            while seen < 8:
                message = json.loads(await socket.receive_str(timeout=60), parse_float=str)
                if message.get("channel") != "book":
                    continue
                seen += 1
                (row,) = message["data"]
                for side in ("bids", "asks"):
                    for level in row[side]:
                        price, size = str(level["price"]), str(level["qty"])
                        book[side][price] = size
                        if float(size) == 0:
                            del book[side][price]
                    kept = sorted(book[side], key=float, reverse=side == "bids")[:10]
                    book[side] = {price: book[side][price] for price in kept}
                    assert len(kept) == 10
                text = "".join(
                    digits(price) + digits(book[side][price])
                    for side in ("asks", "bids")
                    for price in book[side]
                )
                assert row["checksum"] == zlib.crc32(text.encode())

    assert checksum(spec, {100: 5}, {101: 7}) == zlib.crc32(b"10171005")
    on(body)


def test_public_requests_need_no_token() -> None:
    async def body(client: RawClient, _side: KrakenSpot) -> None:
        address = client.socket.replace("/auth", "")
        async with client.http.ws_connect(address) as socket:
            assert (await socket.receive_json(timeout=60))["channel"] == "status"
            await socket.send_json({"method": "ping", "req_id": 5})
            pong = await socket.receive_json(timeout=60)
            assert (pong["method"], pong["req_id"]) == ("pong", 5)
            await socket.send_json(
                {"method": "subscribe", "params": {"channel": "instrument"}, "req_id": 6}
            )
            assert (await socket.receive_json(timeout=60))["success"]
            told = await socket.receive_json(timeout=60)
            (pair,) = told["data"]["pairs"]
            assert (pair["symbol"], pair["price_increment"]) == (SYMBOL, 0.01)
            await socket.send_str("{")
            assert (await socket.receive_json(timeout=60))["error"] == "Malformed request"

    on(body)


def test_addresses_are_below_a_path_of_their_own() -> None:
    async def body(client: RawClient, side: KrakenSpot) -> None:
        at = side.addresses("http://h", "ws://h")
        assert at == {
            "rest": "http://h/kraken",
            "ws": "ws://h/kraken/v2",
            "ws_api": "ws://h/kraken/auth/v2",
        }
        async with client.http.get(f"{client.root}/0/public/NoSuch") as answer:
            assert await answer.json() == {"error": ["EGeneral:Unknown method"]}

    on(body)
