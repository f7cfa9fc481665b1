"""Macro holds no keys and signs nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import ccxt.pro
import pytest
from freqtrade.configuration.config_secrets import _SENSITIVE_KEYS

from citadel_macro.key_guard import (
    CREDENTIALS,
    disarm,
    is_private,
    refuse_keys,
    without_credentials,
)
from citadel_proto.errors import BadInput


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_configuration_with_a_credential_is_refused_without_showing_it(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        refuse_keys({"name": "binance", name: "hunter2"})
    assert f"exchange.{name}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("nested", ["ccxt_config", "ccxt_sync_config", "ccxt_async_config"])
def test_credentials_hidden_in_ccxt_settings_are_refused(nested: str) -> None:
    with pytest.raises(BadInput, match=f"exchange.{nested}.apiKey"):
        refuse_keys({"name": "binance", nested: {"apiKey": "k"}})


def test_empty_credentials_are_none() -> None:
    refuse_keys({"name": "binance", "key": "", "secret": "", "ccxt_config": {"apiKey": ""}})


def test_every_exchange_credential_that_freqtrade_knows_is_known() -> None:
    theirs = {key.removeprefix("exchange.") for key in _SENSITIVE_KEYS if key[:9] == "exchange."}
    assert theirs <= set(CREDENTIALS)


def test_credentials_are_taken_out() -> None:
    assert without_credentials({"name": "x", "key": "k", "uid": "u"}) == {"name": "x"}


@pytest.mark.parametrize(
    "api",
    [
        "private",
        "sapi",
        "sapiV3",
        "papi",
        "papiV2",
        "fapiPrivate",
        "fapiPrivateV2",
        "dapiPrivate",
        ["private", "spot"],
        ["v5", ["private"]],
    ],
)
def test_private_sections(api: object) -> None:
    assert is_private(api)


@pytest.mark.parametrize("api", ["public", "v1", "fapiPublic", "web", ["public", "spot"]])
def test_public_sections(api: object) -> None:
    assert not is_private(api)


PRIVATE_CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("fetch_balance", ()),
    ("create_order", ("BTC/USDT", "limit", "buy", 1.0, 1.0)),
    ("cancel_order", ("1", "BTC/USDT")),
    ("fetch_my_trades", ("BTC/USDT",)),
    ("sapi_get_spot_delist_schedule", ()),
    ("fapiprivate_get_positionside_dual", ()),
    ("eapiprivate_post_listenkey", ()),
]


def armed(kind: type[Any]) -> Any:  # noqa: ANN401 - ccxt carries no types
    exchange = kind({"apiKey": "k", "secret": "s"})
    market: dict[str, Any] = {
        "id": "BTCUSDT",
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": None,
        "baseId": "BTC",
        "quoteId": "USDT",
        "type": "spot",
        "spot": True,
        "margin": False,
        "swap": False,
        "future": False,
        "option": False,
        "contract": False,
        "active": True,
        "precision": {"amount": 1e-5, "price": 0.01},
        "limits": {"amount": {}, "price": {}, "cost": {}, "market": {}},
        "info": {"orderTypes": ["LIMIT", "MARKET"]},
    }
    exchange.set_markets([market], {})
    disarm(exchange)
    return exchange


@pytest.mark.parametrize(("method", "arguments"), PRIVATE_CALLS)
def test_a_disarmed_exchange_denies_private_calls(method: str, arguments: tuple[Any, ...]) -> None:
    exchange = armed(ccxt.binance)
    with pytest.raises(ccxt.PermissionDenied, match="orders go through micro"):
        getattr(exchange, method)(*arguments)


@pytest.mark.parametrize(("method", "arguments"), PRIVATE_CALLS)
def test_so_does_an_asynchronous_one(method: str, arguments: tuple[Any, ...]) -> None:
    async def call() -> None:
        exchange = armed(ccxt.pro.binance)
        try:
            with pytest.raises(ccxt.PermissionDenied):
                await getattr(exchange, method)(*arguments)
        finally:
            await exchange.close()

    asyncio.run(call())


def test_disarming_empties_credentials_and_leaves_public_requests_alone() -> None:
    exchange = armed(ccxt.binance)
    assert not exchange.apiKey
    assert not exchange.secret
    request = exchange.sign("depth", ["public"], "GET", {"symbol": "BTCUSDT"})
    assert request["url"].endswith("/depth?symbol=BTCUSDT")
