"""Binance's own Python SDK, pointed to an exchange on loopback."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketAPI
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures as Usdm,
)
from binance_sdk_spot.spot import Spot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stock_exchange import Exchange

Client = Any  # it has annotations, and marks none of its answers as present


def _key(exchange: Exchange, account: str, kind: str) -> dict[str, str]:
    key, secret = exchange.key(account, kind)
    return {"api_key": key, "api_secret" if kind == "hmac" else "private_key": secret}


def sdk_rest(
    exchange: Exchange, account: str, kind: str = "hmac", url: str = "", **key: str
) -> Client:
    """Its REST client; blocks. ``key``: another key than the account's."""
    configuration = ConfigurationRestAPI(
        **_key(exchange, account, kind) | key,
        base_path=url or exchange.ready["rest"],
        timeout=20_000,
        retries=0,
    )
    return Spot(config_rest_api=configuration).rest_api


@asynccontextmanager
async def sdk_ws(
    exchange: Exchange, account: str, kind: str = "ed25519", url: str = ""
) -> AsyncIterator[Client]:
    """Its client of the websocket API, connected; logged on with an Ed25519 key."""
    configuration = ConfigurationWebSocketAPI(
        **_key(exchange, account, kind),
        stream_url=f"{url or exchange.ready['ws']}/ws-api/v3",
        reconnect_attempts=1,
    )
    connection = await Spot(config_ws_api=configuration).websocket_api.create_connection()
    try:
        if kind == "ed25519":
            await connection.session_logon()
        yield connection
    finally:
        await connection.close_connection(close_session=True)


def sdk_usdm_rest(exchange: Exchange, account: str, kind: str = "hmac") -> Client:
    """The REST client of its SDK for USD-M; blocks."""
    configuration = ConfigurationRestAPI(
        **_key(exchange, account, kind),
        base_path=exchange.ready["usdm"]["rest"],
        timeout=20_000,
        retries=0,
    )
    return Usdm(config_rest_api=configuration).rest_api


@asynccontextmanager
async def sdk_usdm_ws(
    exchange: Exchange, account: str, kind: str = "hmac"
) -> AsyncIterator[Client]:
    """Its client of USD-M's websocket API, connected."""
    configuration = ConfigurationWebSocketAPI(
        **_key(exchange, account, kind),
        stream_url=f"{exchange.ready['usdm']['ws_api']}/ws-fapi/v1",
        reconnect_attempts=1,
    )
    connection = await Usdm(config_ws_api=configuration).websocket_api.create_connection()
    try:
        yield connection
    finally:
        await connection.close_connection(close_session=True)
