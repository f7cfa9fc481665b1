"""Kraken's hosts (docs "Spot REST" and "Spot WebSocket v2"). Spot has no testnet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.networks import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.keys.api_key import Network

HOSTS: Final[Mapping[str, Mapping[Network, Hosts]]] = {
    "kraken-spot": {
        "mainnet": Hosts(
            rest_url="https://api.kraken.com",
            ws_url="wss://ws.kraken.com/v2",
            private_rest_url="https://api.kraken.com",
            ws_api_url="wss://ws-auth.kraken.com/v2",
        ),
    },
}
