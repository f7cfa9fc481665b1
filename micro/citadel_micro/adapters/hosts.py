"""Hosts by network: the ``hosts`` module of an adapter's room, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.binance import hosts as binance
from citadel_micro.adapters.bybit import hosts as bybit
from citadel_micro.adapters.hyperliquid import hosts as hyperliquid
from citadel_micro.adapters.kraken import hosts as kraken
from citadel_micro.adapters.okx import hosts as okx
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_micro.shell.networks import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.keys.api_key import Network


OF_CCXT: Final = Hosts(rest_url="", ws_url="", private_rest_url="", ws_api_url="")
"""The addresses that ccxt has of an exchange's mainnet. Its testnets have books of their own, which the
feeds do not follow: there every address has to be given."""


class AdapterHosts:
    """As ``shell.networks.HostFinder``."""

    def hosts(self, venue: str) -> Mapping[Network, Hosts]:
        """By network."""
        if is_generic(venue):
            return {"mainnet": OF_CCXT}
        every = (binance, bybit, hyperliquid, kraken, okx)
        found: dict[str, Mapping[Network, Hosts]] = {}
        for room in every:
            found |= room.HOSTS
        return found.get(venue, {})
