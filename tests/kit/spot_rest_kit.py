"""Parameters and balances of Binance spot's REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from spot_client import SpotClient


Json = Any


def e8(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole) * E8 + int(decimals.ljust(8, "0"))


async def balances(client: SpotClient) -> dict[str, tuple[int, int]]:
    answer = await client.send("GET", "/api/v3/account", {"omitZeroBalances": "true"})
    assert answer.status == 200
    return {
        entry["asset"]: (e8(entry["free"]), e8(entry["locked"]))
        for entry in answer.body["balances"]
    }
