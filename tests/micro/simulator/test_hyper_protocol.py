"""Hyperliquid on the simulator, byte by byte: who has signed, what is too late, what is too much."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hyper_kit import COIN, config_of, info, side_of
from spot_client import one_window

from citadel_micro.adapters.hyperliquid.signing import digest_of
from citadel_micro.shell.venue.secp256k1 import Secp256k1Key
from citadel_micro.simulator.hyperliquid.app import NAME
from citadel_micro.simulator.hyperliquid.universe import canonical, on_grid
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Json = dict[str, Any]
WALLET = wallet_of("demo")
KEY = Secp256k1Key(WALLET.agent.secret)
DAY_MS = 86_400_000


class Client:
    """Sends what it is told to."""

    def __init__(self, server: SimulatorServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http
        self.root = f"{server.rest_url}/{NAME}"
        self._last = 0

    @property
    def now_ms(self) -> int:
        return int(side_of(self.server).exchange.now_ns) // 1_000_000

    async def act(
        self,
        action: Json,
        *,
        nonce: int = 0,
        expires: int = 0,
        key: Secp256k1Key = KEY,
        signed: Json | None = None,
    ) -> tuple[int, Any]:
        """Send an action; ``signed``: the signature is over that one."""
        self._last = max(self._last + 1, self.now_ms)
        nonce = nonce or self._last
        digest = digest_of(signed or action, nonce, expires, testnet=True)
        body: Json = {"action": action, "nonce": nonce, "signature": key.sign(digest)}
        if expires:
            body["expiresAfter"] = expires
        return await self.post("exchange", body)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401 - any JSON value
        async with self.http.post(f"{self.root}/{path}", json=body) as answer:
            raw = await answer.read()
            try:
                return answer.status, json.loads(raw)
            except ValueError:
                return answer.status, raw.decode()

    async def price(self, factor: float = 0.9) -> str:
        book = await info(self.server, "l2Book", coin=COIN)
        return f"{float(book['levels'][0][0]['px']) * factor:.0f}"


def order(price: str, size: str = "0.01", **more: Any) -> Json:  # noqa: ANN401 - any JSON value
    row = {
        "a": 0, "b": True, "p": price, "s": size, "r": False, "t": {"limit": {"tif": "Gtc"}}, **more,
    }  # fmt: skip
    return {"type": "order", "orders": [row], "grouping": "na"}


def run(body: Callable[[Client], Awaitable[None]], *faults: str) -> None:
    async def main() -> None:
        async with SimulatorServer(config_of(*faults)) as server, aiohttp.ClientSession() as http:
            await body(Client(server, http))

    asyncio.run(main())


def test_only_known_wallets_act_and_the_signature_is_over_the_whole_action() -> None:
    async def body(client: Client) -> None:
        price = await client.price()
        status, answer = await client.act(order(price))
        assert (status, answer["status"]) == (200, "ok")
        stranger = Secp256k1Key("11" * 32)
        _, answer = await client.act(order(price), key=stranger)
        assert answer == {
            "status": "err",
            "response": f"User or API Wallet {stranger.address} does not exist.",
        }
        _, answer = await client.act(order(price), signed=order(price, "0.02"))
        assert "does not exist" in answer["response"]
        # Read and written back, a price has no zeros at its end: this is another signature.
        _, answer = await client.act(order(f"{price}.0"))
        assert "does not exist" in answer["response"]
        _, answer = await client.act(order(f"{price}.0"), signed=order(price))
        assert answer["status"] == "ok"
        assert len(side_of(client.server).exchange.open_orders("demo")) == 2

    run(body)


def test_nonces() -> None:
    async def body(client: Client) -> None:
        price, now_ms = await client.price(), client.now_ms
        action = {"type": "cancel", "cancels": [{"a": 0, "o": 1}]}
        for wrong in (now_ms - 3 * DAY_MS, now_ms + 2 * DAY_MS):
            _, answer = await client.act(action, nonce=wrong)
            assert answer["response"].startswith("Invalid nonce")
        await client.act(order(price), nonce=now_ms)
        _, answer = await client.act(order(price), nonce=now_ms)
        assert "duplicate nonce" in answer["response"]
        for step in range(100):
            await client.act(action, nonce=now_ms + 10 + step)
        _, answer = await client.act(action, nonce=now_ms + 1)
        assert "is below" in answer["response"]
        assert len(side_of(client.server).exchange.open_orders("demo")) == 1

    run(body)


def test_an_action_that_has_expired_is_rejected() -> None:
    async def body(client: Client) -> None:
        price = await client.price()
        _, answer = await client.act(order(price), expires=client.now_ms - 1)
        assert "expired" in answer["response"]
        _, answer = await client.act(order(price), expires=client.now_ms + 5_000)
        assert answer["status"] == "ok"

    run(body)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"action": {"type": "order"}},
        {"action": {"type": "order"}, "nonce": "1", "signature": {}},
        {"action": {"type": "order"}, "nonce": 1, "signature": {"r": "x", "s": "0x1", "v": 27}},
    ],
)
def test_requests_of_another_form_are_422(body: Any) -> None:  # noqa: ANN401 - any JSON value
    async def walk(client: Client) -> None:
        status, answer = await client.post("exchange", body)
        assert status == 422
        assert "Failed to deserialize" in answer
        for wrong in (body, {"type": "no such"}, {"type": "orderStatus", "user": "0x1", "oid": 1}):
            assert (await client.post("info", wrong))[0] == 422

    run(walk)


@pytest.mark.parametrize(
    "change",
    [{"p": 96_000}, {"t": {"limit": {"tif": "Fok"}}}, {"c": "mine"}, {"b": "yes"}, {"t": {}}],
)
def test_orders_of_another_form_are_422(change: Json) -> None:
    async def body(client: Client) -> None:
        action = order(await client.price())
        action["orders"][0].update(change)
        status, _ = await client.act(action)
        assert status == 422
        assert not side_of(client.server).exchange.open_orders("demo")

    run(body)


def test_each_order_of_a_batch_has_its_own_answer() -> None:
    async def body(client: Client) -> None:
        price = await client.price()
        rows = [order(price)["orders"][0], order(price, "0.00001")["orders"][0]]
        rows.append(order("1.23456")["orders"][0])
        _, answer = await client.act({"type": "order", "orders": rows, "grouping": "na"})
        first, second, third = answer["response"]["data"]["statuses"]
        assert first["resting"]["oid"] > 0
        assert second == {"error": "Order must have minimum value of $10. asset=0"}
        assert third == {"error": "Price must be divisible by tick size. asset=0"}
        cancels = [{"a": 0, "o": first["resting"]["oid"]}, {"a": 0, "o": 5}, {"a": 7, "o": 5}]
        _, answer = await client.act({"type": "cancel", "cancels": cancels})
        gone, unknown, nowhere = answer["response"]["data"]["statuses"]
        assert gone == "success"
        assert unknown == {"error": "Order was never placed, already canceled, or filled. asset=0"}
        assert "does not exist" in nowhere["error"]

    run(body)


@one_window()
def test_weights_are_counted_by_address() -> None:
    async def body(client: Client) -> None:
        for _ in range(20):
            assert (await client.post("info", {"type": "userRole", "user": KEY.address}))[0] == 200
        assert (await client.post("info", {"type": "allMids"}))[0] == 429

    run(body)


def test_a_fault_of_too_many_orders_is_reported_in_the_words_of_the_venue() -> None:
    async def body(client: Client) -> None:
        _, answer = await client.act(order(await client.price()))
        assert answer["status"] == "err"
        assert answer["response"].startswith("Too many cumulative requests sent")
        assert side_of(client.server).exchange.open_orders("demo") == []

    run(body, "too-many-orders=once")


def test_roles_and_agents() -> None:
    async def body(client: Client) -> None:
        async def role(address: str) -> Any:  # noqa: ANN401 - any JSON value
            return await info(client.server, "userRole", user=address)

        assert await role(KEY.address) == {"role": "agent", "data": {"user": WALLET.address}}
        assert await role(WALLET.address) == {"role": "user"}
        assert await role(f"0x{'2' * 40}") == {"role": "missing"}
        agents = await info(client.server, "extraAgents", user=WALLET.address)
        assert {each["address"] for each in agents} == {
            WALLET.agent.key_id,
            WALLET.watchdog.key_id,
        }
        side_of(client.server).venue.ring.revoke(KEY.address)
        assert await role(KEY.address) == {"role": "missing"}

    run(body)


def test_subscriptions_of_what_is_not_there_are_errors() -> None:
    async def body(client: Client) -> None:
        url = f"{client.server.ws_url}/{NAME}/ws"
        async with client.http.ws_connect(url) as socket:
            for wrong in (
                {"type": "l2Book", "coin": "NONE"},
                {"type": "orderUpdates", "user": "0x1"},
                {"type": "candle", "coin": COIN, "interval": "7m"},
                {"type": "no such"},
            ):
                await socket.send_json({"method": "subscribe", "subscription": wrong})
                assert (await socket.receive_json())["channel"] == "error"
            await socket.send_str("nonsense")
            assert (await socket.receive_json())["channel"] == "error"
            await socket.send_json({"method": "ping"})
            assert await socket.receive_json() == {"channel": "pong"}
            fills = {"type": "userFills", "user": WALLET.address}
            await socket.send_json({"method": "subscribe", "subscription": fills})
            assert (await socket.receive_json())["channel"] == "subscriptionResponse"
            assert (await socket.receive_json())["data"]["isSnapshot"] is True
            await socket.send_json({"method": "subscribe", "subscription": fills})
            assert "Already subscribed" in (await socket.receive_json())["data"]

    run(body)


def test_numbers_on_the_grid() -> None:
    assert on_grid("96000", 5)
    assert on_grid("123456", 5)  # whole numbers always are
    assert on_grid("1.2345", 0)
    assert not on_grid("96000.5", 5)
    assert not on_grid("1.23456", 0)
    assert not on_grid("0.0000012", 0)
    assert canonical("1.50") == "1.5"
    assert canonical("nan") is None
    assert canonical("-1") is None
