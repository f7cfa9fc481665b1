"""Hyperliquid's hosts by network (page "API" of its documentation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.networks import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.keys.api_key import Network


def _of(host: str) -> Hosts:
    """One host for everything: public and private, requests and streams."""
    return Hosts(
        rest_url=f"https://{host}",
        ws_url=f"wss://{host}/ws",
        private_rest_url=f"https://{host}",
        ws_api_url=f"wss://{host}/ws",
    )


HOSTS: Final[Mapping[str, Mapping[Network, Hosts]]] = {
    "hyperliquid": {
        "mainnet": _of("api.hyperliquid.xyz"),
        "testnet": _of("api.hyperliquid-testnet.xyz"),
    },
}
