"""A client on Binance spot's websocket API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spot_client import (
    FAR,
    SYMBOL,
    SpotClient,
    WsClient,
    trade,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


Json = Any


def connected(body: Callable[[SpotClient, WsClient], Awaitable[None]], **changes: Json) -> None:
    async def run(client: SpotClient) -> None:
        async with client.connect() as socket:
            await body(client, socket)

    trade(run, **changes)


def far(client: SpotClient, **changes: Json) -> dict[str, Json]:
    return {"symbol": SYMBOL, **FAR, "price": client.price(0.9)} | changes
