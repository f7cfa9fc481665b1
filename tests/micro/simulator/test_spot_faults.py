"""Every fault of the simulator, as a client sees it."""

from __future__ import annotations

import pytest
from spot_client import ED25519_KEY, FAR, HMAC_KEY, SYMBOL, SpotClient, now_ms, trade
from spot_fault_scenes import SEEN, hits, open_ids, place

from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.knobs import KNOBS, TAKEN_ONLY, USDM_ONLY


def test_an_account_without_coins_to_trade_with_itself_is_answered() -> None:
    async def run(client: SpotClient) -> None:
        answer = await place(client, newClientOrderId="a")
        assert answer.status == 200
        assert await open_ids(client) == ["a"]

    poor = AccountConfig(name="demo", balances={"USDT": 10_000 * E8}, keys=(HMAC_KEY, ED25519_KEY))
    trade(run, fault_rules=("self-trade=once",), accounts=(poor,))


def test_every_knob_is_seen() -> None:
    # those: test_usdm_streams, test_bybit_orders
    assert set(SEEN) == set(KNOBS) - set(USDM_ONLY) - set(TAKEN_ONLY)


@pytest.mark.parametrize("name", SEEN)
def test_a_client_sees(name: str) -> None:
    when, body = SEEN[name]

    async def run(client: SpotClient) -> None:
        async with client.connect() as socket:
            await socket.listen()
            await body(client, socket)
            assert name in await hits(client)

    rule = f"demo:{name}={when}"
    trade(run, fault_rules=(rule, f"nobody:{name}=always"))


def test_a_fault_may_be_one_keys_only() -> None:
    async def body(client: SpotClient) -> None:
        await client.fault(f"{ED25519_KEY.key_id}:overloaded=always")
        assert (await place(client)).status == 200
        params = {"symbol": SYMBOL, **FAR, "price": client.price(0.9)}
        assert (await client.send("POST", "/api/v3/order", params, key=ED25519_KEY)).status == 503
        await client.sim("DELETE", "faults", name="overloaded")
        assert (await client.send("POST", "/api/v3/order", params, key=ED25519_KEY)).status == 200
        await client.fault("overloaded=nth:3,on=order.status")
        statuses = [(await client.order("GET", orderId=1)).status for _ in range(4)]
        assert statuses == [400, 400, 503, 400]
        told = (await client.sim("GET", "faults")).body
        assert [(rule["seen"], rule["hits"]) for rule in told["rules"]] == [(4, 1)]
        last = told["hits"][-1]
        assert (last["name"], last["key"], last["on"]) == (
            "overloaded",
            HMAC_KEY.key_id,
            "order.status",
        )

    trade(body)


def test_a_server_whose_clock_is_off_shows_that_clock_to_everybody() -> None:
    async def body(client: SpotClient) -> None:
        shown = (await client.raw("GET", "/api/v3/time")).body["serverTime"]
        assert 6500 < shown - now_ms() < 7100
        async with client.connect() as socket:
            shown = (await socket.ask("time"))["result"]["serverTime"]
            assert 6500 < shown - now_ms() < 7100
        assert (await client.send("GET", "/api/v3/account")).body["code"] == -1021
        at_its_time = {"timestamp": now_ms() + 7000}
        assert (await client.send("GET", "/api/v3/account", at_its_time)).status == 200

    trade(body, fault_rules=("clock-skew=always,for=7",))
