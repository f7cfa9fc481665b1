"""Bybit's hosts by network (docs "Connect" of the v5 API). Its demo has no websocket for orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.networks import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.keys.api_key import Network


def _of(category: str) -> Mapping[Network, Hosts]:
    return {
        "mainnet": Hosts(
            rest_url="https://api.bybit.com",
            ws_url=f"wss://stream.bybit.com/v5/public/{category}",
            private_rest_url="https://api.bybit.com",
            ws_api_url="wss://stream.bybit.com/v5/trade",
            private_ws_url="wss://stream.bybit.com/v5/private",
        ),
        # Its books are its own, and thin.
        "testnet": Hosts(
            rest_url="https://api-testnet.bybit.com",
            ws_url=f"wss://stream-testnet.bybit.com/v5/public/{category}",
            private_rest_url="https://api-testnet.bybit.com",
            ws_api_url="wss://stream-testnet.bybit.com/v5/trade",
            private_ws_url="wss://stream-testnet.bybit.com/v5/private",
        ),
    }


HOSTS: Final[Mapping[str, Mapping[Network, Hosts]]] = {
    "bybit-spot": _of("spot"),
    "bybit-linear": _of("linear"),
}
