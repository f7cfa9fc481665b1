"""Binance spot's signed REST endpoints: signatures, clocks, keys and their permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from spot_client import ED25519_KEY, FAR, HMAC_KEY, SYMBOL, SpotClient, now_ms, sign, trade

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.keys import ApiKey, Kind, Permission, public_pem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spot_rest_kit import Json


# ---------------------------------------------------------------------- who is asking


def test_signatures_clocks_and_keys() -> None:
    async def body(client: SpotClient) -> None:
        account = "/api/v3/account"
        rejected = (401, -2015, "Invalid API-key, IP, or permissions for action.")
        assert (await client.raw("GET", account)).error == (401, -2014, "API-key format invalid.")
        unknown = await client.raw("GET", account, key_id="nobody")
        assert unknown.error == rejected
        for params, error in (
            ({"timestamp": now_ms() + 2000}, "1000ms ahead of the server's time."),
            ({"timestamp": now_ms() - 6000}, "is outside of the recvWindow."),
            ({"timestamp": now_ms() - 600, "recvWindow": "500.5"}, "outside of the recvWindow."),
        ):
            answer = await client.send("GET", account, params)
            assert (answer.status, answer.body["code"]) == (400, -1021)
            assert answer.body["msg"].endswith(error)
        late = {"timestamp": now_ms() - 6000, "recvWindow": 60000}
        assert (await client.send("GET", account, late)).status == 200
        wide = await client.send("GET", account, {"recvWindow": 60001})
        assert wide.error == (400, -1131, "recvWindow must be less than 60000.")
        time = f"timestamp={now_ms()}"
        no_signature = await client.raw("GET", account, query=time, key_id=HMAC_KEY.key_id)
        assert no_signature.body["code"] == -1102
        assert "'signature'" in no_signature.body["msg"]
        no_time = await client.send("GET", account, query=f"signature={sign(HMAC_KEY, '')}")
        assert "'timestamp'" in no_time.body["msg"]
        wrong = await client.send("GET", account, query=f"{time}&signature={'0' * 64}")
        assert wrong.error == (400, -1022, "Signature for this request is not valid.")
        for key in (HMAC_KEY, ED25519_KEY):
            assert (await client.send("GET", account, key=key)).status == 200

    trade(body)


def test_parameters_may_be_in_the_query_the_form_or_both() -> None:
    async def body(client: SpotClient) -> None:
        path = "/api/v3/order/test"

        def params() -> list[tuple[str, Json]]:
            order = FAR | {"symbol": SYMBOL, "price": client.price(0.9), "timestamp": now_ms()}
            return list(order.items())

        for cut in range(len(params()) + 1):
            pairs = params()
            query, form = urlencode(pairs[:cut]), urlencode(pairs[cut:])
            signature = sign(HMAC_KEY, query + form)
            for signed_query, signed_form in (
                (f"{query}&signature={signature}", form),
                (query, f"{form}&signature={signature}"),
            ):
                answer = await client.send("POST", path, query=signed_query, body=signed_form)
                assert answer.status == 200, (cut, answer.body)
        # What is in both counts as the query has it.
        form = urlencode([*params(), ("side", "SIDEWAYS")][:1] + params()[1:])
        query = "side=SIDEWAYS"
        signature = sign(HMAC_KEY, query + form)
        both = await client.send("POST", path, query=f"{query}&signature={signature}", body=form)
        assert both.body["code"] == -1117
        twice = f"symbol=A&symbol=B&timestamp={now_ms()}"
        answer = await client.send("POST", path, query=f"{twice}&signature={sign(HMAC_KEY, twice)}")
        assert answer.error == (400, -1101, "Duplicate values for a parameter detected.")
        # Signed before percent-encoding: refused since January 2026.
        plain = f'symbol={SYMBOL}&newClientOrderId="x"&timestamp={now_ms()}'
        encoded = plain.replace('"', "%22")
        for payload, code in ((plain, -1022), (encoded, -1100)):
            answer = await client.send(
                "DELETE", "/api/v3/order", query=f"{encoded}&signature={sign(HMAC_KEY, payload)}"
            )
            assert answer.body["code"] == code, answer.body

    trade(body)


def accounts() -> Iterable[AccountConfig]:
    reader = ApiKey(key_id="reader", account="two", secret="r", permissions=frozenset())
    bound = ApiKey(key_id="bound", account="two", secret="b", ips=("10.0.0.1",))
    rich = frozenset({Permission.TRADE, Permission.WITHDRAW, Permission.FUTURES})
    loose = ApiKey(key_id="loose", account="two", secret="l", permissions=rich)
    fees = FeePlan(maker_e8=20_000, taker_e8=40_000, asset="bnb")
    yield AccountConfig(name="demo")
    yield AccountConfig(name="two", fees=fees, keys=(reader, bound, loose))


def test_permissions_addresses_and_what_a_key_says_of_itself() -> None:
    async def body(client: SpotClient) -> None:
        demo, two = accounts()
        reader, bound, loose = two.keys
        assert demo.keys == ()
        rejected = (401, -2015, "Invalid API-key, IP, or permissions for action.")
        assert (await client.send("GET", "/api/v3/account", key=reader)).status == 200
        order = FAR | {"symbol": SYMBOL, "price": client.price(0.9)}
        assert (await client.send("POST", "/api/v3/order", order, key=reader)).error == rejected
        assert (await client.send("GET", "/api/v3/account", key=bound)).error == rejected
        path = "/sapi/v1/account/apiRestrictions"
        told = (await client.send("GET", path, key=loose)).body
        assert told["enableWithdrawals"]
        assert told["enableFutures"]
        assert told["enableSpotAndMarginTrading"]
        assert not told["ipRestrict"]
        told = (await client.send("GET", path, key=reader)).body
        assert not told["enableSpotAndMarginTrading"]
        assert not told["enableWithdrawals"]
        # One account does not see the other's orders, though ids are the venue's.
        mine = (await client.rest_far(newClientOrderId="mine"))["orderId"]
        for verb, error in (("GET", -2013), ("DELETE", -2011)):
            answer = await client.send(
                verb, "/api/v3/order", {"symbol": SYMBOL, "orderId": mine}, key=loose
            )
            assert answer.body["code"] == error
        # Fees in BNB, at a discount.
        market = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        fills = (await client.send("POST", "/api/v3/order", market, key=loose)).body["fills"]
        assert {fill["commissionAsset"] for fill in fills} <= {"BNB", "BTC"}
        rates = await client.send(
            "GET", "/api/v3/account/commission", {"symbol": SYMBOL}, key=loose
        )
        assert rates.body["standardCommission"]["taker"] == "0.00040000"
        assert rates.body["discount"]["enabledForAccount"]
        fee = (await client.send("GET", "/sapi/v1/asset/tradeFee", key=loose)).body
        assert fee == [
            {
                "symbol": SYMBOL,
                "makerCommission": "0.00020000",
                "takerCommission": "0.00040000",
            }
        ]
        await client.sim("POST", "revoke", key="reader")
        assert (await client.send("GET", "/api/v3/account", key=reader)).error == rejected

    trade(body, accounts=tuple(accounts()))


def test_an_rsa_key_signs_requests_of_both_kinds() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    key = ApiKey(
        key_id="rsa", account="demo", kind=Kind.RSA, secret=secret, public=public_pem(secret)
    )

    async def body(client: SpotClient) -> None:
        client.key = key
        await client.rest_far(newClientOrderId="by-rsa")
        async with client.connect() as socket:
            found = await socket.call("order.status", symbol=SYMBOL, origClientOrderId="by-rsa")
            assert found["result"]["status"] == "NEW"
            logon = await socket.call("session.logon")
            assert logon["error"]["code"] == -2015  # Ed25519 only

    trade(body, accounts=(AccountConfig(name="demo", keys=(key,)),))


def test_what_load_markets_asks_of_sapi() -> None:
    async def body(client: SpotClient) -> None:
        status = await client.raw("GET", "/sapi/v1/system/status")
        assert status.body == {"status": 0, "msg": "normal"}
        coins = (await client.send("GET", "/sapi/v1/capital/config/getall")).body
        assert {coin["coin"] for coin in coins} >= {"BTC", "USDT"}
        for path in ("margin/allPairs", "margin/isolated/allPairs"):
            assert (await client.send("GET", f"/sapi/v1/{path}")).body == []
        ended = await client.raw("POST", "/api/v3/userDataStream", key_id=HMAC_KEY.key_id)
        assert ended.status == 410
        other = await client.send("GET", "/sapi/v1/loan/ongoing/orders")
        assert other.status == 401

    trade(body)
