"""The simulator's control interface: its token, its ledger, its faults."""

from __future__ import annotations

import pytest
from spot_client import FAR, SYMBOL, SpotClient, trade
from spot_rest_kit import balances, e8

# ---------------------------------------------------------------------- the operator's door


def test_the_operators_door_needs_its_token_and_says_what_is_wrong() -> None:
    async def body(client: SpotClient) -> None:
        bare = await client.raw("GET", "/sim/v1/faults")
        assert bare.status == 403
        for verb, path, content, text in (
            ("POST", "faults", {"rule": "nonsense"}, "no fault is called"),
            ("POST", "faults", {}, "'rule' is missing"),
            ("GET", "ledger", {"account": "nobody"}, "does not exist"),
            ("POST", "deposit", {"account": "demo", "asset": "BTC", "amount": "x"}, "amount"),
            ("POST", "deposit", {"account": "demo", "asset": "BTC", "amount": "-99"}, "BALANCE"),
            ("POST", "status", {"symbol": SYMBOL, "status": "ASLEEP"}, "does not exist"),
            (
                "POST",
                "steps",
                {"symbol": SYMBOL, "tick": "0.015", "lot": "1"},
                "no multiple of 0.01",
            ),
            (
                "POST",
                "steps",
                {"symbol": SYMBOL, "tick": "0", "lot": "1"},
                "multiples of the market's",
            ),
            ("POST", "steps", {"symbol": SYMBOL, "tick": "0.1"}, "'lot' is missing"),
            ("POST", "revoke", {"key": "nobody"}, "no such key"),
            ("POST", "order", {"side": "LONG"}, "side is"),
        ):
            answer = await client.sim(verb, path, **content)
            assert answer.status == 400
            assert text in answer.body["error"], answer.body

    trade(body)


def test_orders_are_taken_in_the_steps_that_are_listed() -> None:
    async def body(client: SpotClient) -> None:
        base = client.price(0.9).partition(".")[0]
        await client.rest_far(quantity="0.00123", price=f"{base}.01")
        answer = await client.sim("POST", "steps", symbol=SYMBOL, tick="0.1", lot="0.001")
        assert answer.status == 200
        (listed,) = (await client.raw("GET", "/api/v3/exchangeInfo")).body["symbols"]
        filters = {each["filterType"]: each for each in listed["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.10000000"
        lots = filters["LOT_SIZE"]
        assert (lots["stepSize"], lots["minQty"]) == ("0.00100000", "0.00100000")
        for quantity, price in (("0.00223", f"{base}.1"), ("0.002", f"{base}.01")):
            refused = await client.order(**(FAR | {"quantity": quantity, "price": price}))
            assert refused.body["code"] == -1013, refused.body
        await client.rest_far(quantity="0.002", price=f"{base}.1")
        await client.sim("POST", "steps", symbol=SYMBOL, tick="0.01", lot="0.00001")
        await client.rest_far(quantity="0.00223", price=f"{base}.11")

    trade(body)


def test_the_ledger_adds_up_to_the_balances_to_the_last_unit() -> None:
    async def body(client: SpotClient) -> None:
        await client.order(side="BUY", type="MARKET", quantity="0.0123")
        await client.order(side="SELL", type="MARKET", quantity="0.0045")
        await client.sim("POST", "deposit", account="demo", asset="USDT", amount="12.5")
        await client.sim("POST", "deposit", account="demo", asset="BTC", amount="-0.5")
        foreign = await client.sim(
            "POST", "order", account="demo", symbol=SYMBOL, side="BUY", quantity="0.001"
        )
        assert foreign.body["status"] == "FILLED"
        resting = await client.sim(
            "POST",
            "order",
            account="demo",
            symbol=SYMBOL,
            side="BUY",
            quantity="0.001",
            price=client.price(0.9),
        )
        gone = await client.sim(
            "DELETE", "order", account="demo", symbol=SYMBOL, orderId=resting.body["orderId"]
        )
        assert gone.body["status"] == "CANCELED"
        ledger = (await client.sim("GET", "ledger", account="demo")).body
        sums = {asset: e8(text) for asset, text in ledger["opening"].items()}
        for item in ledger["movements"]:
            sign_, text = (
                (-1, item["amount"][1:]) if item["amount"][0] == "-" else (1, item["amount"])
            )
            sums[item["asset"]] = sums.get(item["asset"], 0) + sign_ * e8(text)
        told = {asset: e8(text) for asset, text in ledger["balances"].items()}
        assert sums == told
        shown = await balances(client)
        assert {asset: total for asset, total in told.items() if total} == {
            asset: free + locked for asset, (free, locked) in shown.items()
        }
        rows = (await client.send("GET", "/api/v3/myTrades", {"symbol": SYMBOL})).body
        assert [row["id"] for row in rows] == [fill["tradeId"] for fill in ledger["fills"]]

    trade(body)


@pytest.mark.parametrize("rule", ["nonsense", "mute=sometimes"])
def test_a_simulator_with_bad_faults_does_not_start(rule: str) -> None:
    async def body(_client: SpotClient) -> None:
        pytest.fail("it started")

    with pytest.raises(Exception, match="fault"):
        trade(body, fault_rules=(rule,))
