"""Binance's own SDK trades USD-M futures: settings, orders, positions, funding, countdown, errors."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from binance_common.errors import BadRequestError
from binance_sdk import sdk_usdm_rest, sdk_usdm_ws
from process_kit import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from stock_exchange import Exchange

SYMBOL = "BTCUSDT"
ACCOUNT = "futures"


def far(exchange: Exchange, factor: float = 0.97) -> float:
    """A price away from the market, on a tick."""
    return round(exchange.touch(SYMBOL)[0] * factor, 1)


def test_settings_orders_and_a_position_with_its_funding(
    exchange: Exchange, left: list[str]
) -> None:
    client = sdk_usdm_rest(exchange, ACCOUNT)
    assert abs(client.check_server_time().data().server_time - time.time() * 1000) < 5_000
    assert client.change_initial_leverage(SYMBOL, 4).data().leverage == 4
    with suppress(BadRequestError):  # it may be so already
        client.change_margin_type(SYMBOL, "ISOLATED")
    placed = client.new_order(
        SYMBOL,
        "BUY",
        "LIMIT",
        time_in_force="GTX",
        quantity=0.01,
        price=far(exchange),
        new_client_order_id="usdm-walk",
    ).data()
    assert (placed.status, placed.client_order_id) == ("NEW", "usdm-walk")
    price = far(exchange, 0.96)
    changed = client.modify_order(SYMBOL, "BUY", 0.02, price, order_id=placed.order_id).data()
    assert (changed.order_id, Decimal(changed.orig_qty)) == (placed.order_id, Decimal("0.02"))
    assert Decimal(changed.price) == Decimal(str(price))
    (row,) = client.current_all_open_orders(SYMBOL).data()
    assert (row.order_id, Decimal(row.price)) == (placed.order_id, Decimal(str(price)))
    gone = client.cancel_order(SYMBOL, orig_client_order_id="usdm-walk").data()
    assert gone.status == "CANCELED"
    sold = client.new_order(
        SYMBOL, "SELL", "MARKET", quantity=0.01, new_order_resp_type="RESULT"
    ).data()
    assert sold.status == "FILLED"
    (held,) = [
        each for each in client.position_information_v3(SYMBOL).data() if Decimal(each.position_amt)
    ]
    assert Decimal(held.position_amt) == Decimal("-0.01")
    assert Decimal(held.liquidation_price) > Decimal(held.entry_price)
    exchange.operate("POST", "funding", symbol=SYMBOL, rate="0.0002", now=True)
    (paid,) = client.get_income_history(SYMBOL, "FUNDING_FEE").data()
    assert Decimal(paid.income) > 0  # a short receives it
    closed = client.new_order(
        SYMBOL, "BUY", "MARKET", reduce_only="true", quantity=0.01, new_order_resp_type="RESULT"
    ).data()
    assert closed.status == "FILLED"
    trades = client.account_trade_list(SYMBOL).data()
    told = exchange.operate("GET", f"ledger?account={ACCOUNT}&market=usdm")
    assert {each.id for each in trades} == {each["tradeId"] for each in told["fills"]}
    (usdt,) = [e for e in client.account_information_v3().data().assets if e.asset == "USDT"]
    assert Decimal(usdt.wallet_balance) == Decimal(told["balances"]["USDT"])
    assert left == []


def test_its_countdown_cancels_when_it_is_not_started_anew(exchange: Exchange) -> None:
    client = sdk_usdm_rest(exchange, ACCOUNT)
    name = f"countdown-{time.time_ns()}"
    client.new_order(
        SYMBOL,
        "BUY",
        "LIMIT",
        time_in_force="GTC",
        quantity=0.01,
        price=far(exchange),
        new_client_order_id=name,
    )
    told = client.auto_cancel_all_open_orders(SYMBOL, 1_000).data()
    assert (told.symbol, str(told.countdown_time)) == (SYMBOL, "1000")
    until(
        lambda: client.query_order(SYMBOL, orig_client_order_id=name).data().status == "CANCELED",
        10,
    )


def test_errors_have_the_class_that_the_sdk_has_for_them(exchange: Exchange) -> None:
    client = sdk_usdm_rest(exchange, ACCOUNT)
    with suppress(BadRequestError):  # it may be so already
        client.change_margin_type(SYMBOL, "ISOLATED")
    cases: tuple[tuple[int, Callable[[], Any]], ...] = (
        (
            -5022,
            lambda: client.new_order(
                SYMBOL,
                "BUY",
                "LIMIT",
                time_in_force="GTX",
                quantity=0.01,
                price=far(exchange, 1.02),
            ),
        ),
        (
            -2022,
            lambda: client.new_order(SYMBOL, "SELL", "MARKET", reduce_only="true", quantity=0.01),
        ),
        (-2011, lambda: client.cancel_order(SYMBOL, order_id=5)),
        (-2013, lambda: client.query_order(SYMBOL, order_id=5)),
        (-4046, lambda: client.change_margin_type(SYMBOL, "ISOLATED")),
    )
    for code, call in cases:
        with pytest.raises(BadRequestError) as raised:
            call()
        assert raised.value.status_code == code


def test_orders_over_the_websocket_api(exchange: Exchange, left: list[str]) -> None:
    async def walk() -> None:
        async with sdk_usdm_ws(exchange, ACCOUNT) as client:
            placed = await client.new_order(
                SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity=0.01, price=far(exchange)
            )
            result = placed.data().result
            assert result.status == "NEW"
            price = far(exchange, 0.96)
            changed = await client.modify_order(
                SYMBOL, "BUY", 0.02, price, order_id=result.order_id
            )
            assert Decimal(changed.data().result.price) == Decimal(str(price))
            found = await client.query_order(SYMBOL, order_id=result.order_id)
            assert Decimal(found.data().result.orig_qty) == Decimal("0.02")
            gone = await client.cancel_order(SYMBOL, order_id=result.order_id)
            assert gone.data().result.status == "CANCELED"

    asyncio.run(walk())
    assert left == []
