"""OKX's hosts by network ("Production Trading Services" and "Demo Trading Services" of its API page)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.networks import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.keys.api_key import Network

HOSTS: Final[Mapping[str, Mapping[Network, Hosts]]] = {
    "okx": {
        "mainnet": Hosts(
            rest_url="https://www.okx.com",
            ws_url="wss://ws.okx.com:8443/ws/v5/public",
            private_rest_url="https://www.okx.com",
            ws_api_url="wss://ws.okx.com:8443/ws/v5/private",
        ),
        # The same REST host, told apart by a header; keys are its own.
        "demo": Hosts(
            rest_url="https://www.okx.com",
            ws_url="wss://wspap.okx.com:8443/ws/v5/public",
            private_rest_url="https://www.okx.com",
            ws_api_url="wss://wspap.okx.com:8443/ws/v5/private",
        ),
    },
}
