"""Binance's hosts by network (docs "General info", "Testnet", "Demo mode" of the spot API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.networks import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.keys.api_key import Network

HOSTS: Final[Mapping[str, Mapping[Network, Hosts]]] = {
    "binance-spot": {
        "mainnet": Hosts(
            rest_url="https://api.binance.com",
            ws_url="wss://stream.binance.com:9443/stream",
            private_rest_url="https://api.binance.com",
            ws_api_url="wss://ws-api.binance.com/ws-api/v3",
        ),
        # Reset every month, orders and balances alike; its books are its own.
        "testnet": Hosts(
            rest_url="https://testnet.binance.vision",
            ws_url="wss://stream.testnet.binance.vision/stream",
            private_rest_url="https://testnet.binance.vision",
            ws_api_url="wss://ws-api.testnet.binance.vision/ws-api/v3",
        ),
        # Books like the mainnet's, and its filters.
        "demo": Hosts(
            rest_url="https://demo-api.binance.com",
            ws_url="wss://demo-stream.binance.com/stream",
            private_rest_url="https://demo-api.binance.com",
            ws_api_url="wss://demo-ws-api.binance.com/ws-api/v3",
        ),
    },
    "binance-usdm": {
        "mainnet": Hosts(
            rest_url="https://fapi.binance.com",
            ws_url="wss://fstream.binance.com/public/stream",
            private_rest_url="https://fapi.binance.com",
            ws_api_url="wss://ws-fapi.binance.com/ws-fapi/v1",
            private_ws_url="wss://fstream.binance.com",
        ),
        # As Binance's SDK has them (binance-common 4.7). Of the demo it knows REST alone.
        "testnet": Hosts(
            rest_url="https://testnet.binancefuture.com",
            ws_url="wss://fstream.binancefuture.com/public/stream",
            private_rest_url="https://testnet.binancefuture.com",
            ws_api_url="wss://testnet.binancefuture.com/ws-fapi/v1",
            private_ws_url="wss://fstream.binancefuture.com",
        ),
    },
}
