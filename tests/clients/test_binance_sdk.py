"""Binance's own SDK trades spot: REST, websocket API, user stream, errors, clock."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from binance_common.errors import BadRequestError, TooManyRequestsError, UnauthorizedError
from binance_sdk import sdk_rest, sdk_ws
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from stock_exchange import Exchange

SYMBOL = "BTCUSDT"


def far(exchange: Exchange, factor: float = 0.97) -> str:
    """A price away from the market, on a tick."""
    return f"{exchange.touch(SYMBOL)[0] * factor:.2f}"


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_rest_walk(exchange: Exchange, left: list[str], kind: str) -> None:
    client = sdk_rest(exchange, "sdk", kind)
    assert abs(client.time().data().server_time - time.time() * 1000) < 5_000
    (rules,) = client.exchange_info(symbol=SYMBOL).data().symbols
    assert rules.symbol == SYMBOL
    assert rules.quote_precision == 8
    before = {b.asset: Decimal(b.free) for b in client.get_account().data().balances}
    price, name = far(exchange), f"walk-{kind}"
    placed = client.new_order(
        SYMBOL, "BUY", "LIMIT", "GTC", "0.01", price=price, new_client_order_id=name
    ).data()
    assert (placed.status, placed.client_order_id, placed.symbol) == ("NEW", name, SYMBOL)
    assert Decimal(placed.price) == Decimal(price)
    found = client.get_order(SYMBOL, orig_client_order_id=name).data()
    assert (found.order_id, found.status) == (placed.order_id, "NEW")
    assert [each.order_id for each in client.get_open_orders(SYMBOL).data()] == [placed.order_id]
    less = client.order_amend_keep_priority(SYMBOL, "0.004", order_id=placed.order_id).data()
    assert Decimal(less.amended_order.qty) == Decimal("0.004")
    locked = {b.asset: Decimal(b.locked) for b in client.get_account().data().balances}
    assert locked["USDT"] == Decimal("0.004") * Decimal(price)
    gone = client.delete_order(SYMBOL, order_id=placed.order_id).data()
    assert gone.status == "CANCELED"
    bought = client.new_order(SYMBOL, "BUY", "MARKET", quantity="0.01").data()
    assert bought.status == "FILLED"
    assert sum(Decimal(fill.qty) for fill in bought.fills) == Decimal("0.01")
    assert {fill.commission_asset for fill in bought.fills} == {"BTC"}
    trades = client.my_trades(SYMBOL, order_id=bought.order_id).data()
    assert [each.id for each in trades] == [fill.trade_id for fill in bought.fills]
    after = {b.asset: Decimal(b.free) for b in client.get_account().data().balances}
    paid = sum(Decimal(each.quote_qty) for each in trades)
    assert before["USDT"] - after["USDT"] == paid == Decimal(bought.cummulative_quote_qty)
    fee = sum(Decimal(each.commission) for each in trades)
    assert after["BTC"] - before["BTC"] == Decimal("0.01") - fee
    assert after == {
        asset: Decimal(total)
        for asset, total in exchange.ledger("sdk")["balances"].items()
        if asset in after
    }
    names = {each.order_id: each.status for each in client.all_orders(SYMBOL).data()}
    assert names[placed.order_id] == "CANCELED"
    assert names[bought.order_id] == "FILLED"
    assert client.rate_limit_order().data()[0].rate_limit_type == "ORDERS"
    rates = client.account_commission(SYMBOL).data()
    assert Decimal(rates.standard_commission.taker) == Decimal("0.001")
    assert left == []


def test_errors_have_the_classes_that_the_sdk_has_for_them(exchange: Exchange) -> None:
    client = sdk_rest(exchange, "sdk")
    crossing = far(exchange, 1.02)
    cases: tuple[tuple[str, Callable[[], Any]], ...] = (
        (
            "-2010",
            lambda: client.new_order(SYMBOL, "BUY", "LIMIT_MAKER", None, "0.01", None, crossing),
        ),
        ("-2010", lambda: client.new_order(SYMBOL, "SELL", "LIMIT", "GTC", "50", None, crossing)),
        ("-1013", lambda: client.new_order(SYMBOL, "BUY", "LIMIT", "GTC", "0.00001", None, "1")),
        ("-2011", lambda: client.delete_order(SYMBOL, order_id=5)),
        ("-2013", lambda: client.get_order(SYMBOL, order_id=5)),
        ("-1121", lambda: client.get_open_orders("NOSUCH")),
    )
    for wanted, call in cases:
        with pytest.raises(BadRequestError) as raised:
            call()
        assert str(raised.value.status_code) == wanted
    with pytest.raises(BadRequestError) as raised:
        sdk_rest(exchange, "sdk", api_secret="wrong").get_account()
    assert raised.value.status_code == -1022
    with pytest.raises(UnauthorizedError) as refused:
        sdk_rest(exchange, "sdk", api_key="x" * 64).get_account()
    assert refused.value.status_code == -2015


def test_a_clock_that_is_wrong_and_a_limit_that_is_reached(exchange: Exchange) -> None:
    client = sdk_rest(exchange, "sdk")
    exchange.operate("POST", "faults", rule="sdk:clock-skew=once,on=account.status,for=20")
    with pytest.raises(BadRequestError) as raised:
        client.get_account()
    assert raised.value.status_code == -1021
    exchange.operate("POST", "faults", rule="sdk:too-many-requests=once,on=account.status,for=7")
    with pytest.raises(TooManyRequestsError) as limited:
        client.get_account()
    assert (limited.value.status_code, limited.value.retry_after) == (-1003, 7)
    assert client.get_account().data().balances


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_websocket_walk_with_its_user_stream(
    exchange: Exchange, left: list[str], kind: str
) -> None:
    events: list[Any] = []

    async def walk() -> None:
        async with sdk_ws(exchange, "sdk", kind) as client:
            subscribe = (
                client.user_data_stream_subscribe
                if kind == "ed25519"
                else client.user_data_stream_subscribe_signature
            )
            stream = (await subscribe()).stream
            stream.on("message", events.append)
            name = f"socket-{kind}"
            placed = await client.order_place(
                SYMBOL,
                "BUY",
                "LIMIT",
                time_in_force="GTC",
                price=far(exchange),
                quantity="0.01",
                new_client_order_id=name,
            )
            result = placed.data().result
            assert (result.status, result.client_order_id) == ("NEW", name)
            limits = {each.rateLimitType: each.count for each in placed.rate_limits}
            assert limits["ORDERS"] >= 1
            state = await client.order_status(SYMBOL, order_id=result.order_id)
            assert state.data().result.status == "NEW"
            gone = await client.order_cancel(SYMBOL, orig_client_order_id=name)
            assert gone.data().result.status == "CANCELED"
            bought = (await client.order_place(SYMBOL, "BUY", "MARKET", quantity="0.01")).data()
            assert bought.result.status == "FILLED"
            trades = (await client.my_trades(SYMBOL, order_id=bought.result.order_id)).data().result
            await until(lambda: len(reports()) >= 3 + len(trades), 10)
            kinds = [(each.x, each.X) for each in reports()]
            assert kinds[:3] == [("NEW", "NEW"), ("CANCELED", "CANCELED"), ("NEW", "NEW")]
            assert kinds[-1] == ("TRADE", "FILLED")
            assert name == reports()[1].C
            fills = [each for each in reports() if each.x == "TRADE"]
            assert [each.t for each in fills] == [each.id for each in trades]
            assert [each.n for each in fills] == [each.commission for each in trades]
            await until(
                lambda: any(kind_of(each) == "OutboundAccountPosition" for each in events), 10
            )

    def kind_of(event: Any) -> str:  # noqa: ANN401 - one of the SDK's models
        return type(event.actual_instance).__name__

    def reports() -> list[Any]:
        return [each.actual_instance for each in events if kind_of(each) == "ExecutionReport"]

    asyncio.run(walk())
    assert left == []
