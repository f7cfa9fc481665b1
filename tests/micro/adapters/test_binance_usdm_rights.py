"""What a key of USD-M may do is told by spot's host, where futures have another: on the mainnet."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from preflight_kit import RULES
from spot_kit import demo_key
from usdm_kit import SPOT, SYMBOL, VENUE

from citadel_micro.adapters.binance import usdm_account_facts
from citadel_micro.adapters.binance.hosts import HOSTS
from citadel_micro.adapters.binance.usdm_account_facts import UsdmInspector
from citadel_micro.shell.account_facts import AccountQuery
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from citadel_micro.shell.account_facts import KeyRights
    from citadel_micro.shell.keys.api_key import Network


@asynccontextmanager
async def two_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[SimulatorServer, SimulatorServer]]:
    """The mainnet as two exchanges on loopback, which know the same key: (futures, spot)."""
    config = SimulatorConfig(symbols=(SPOT,), history_days=1, warm_minutes=1, futures=True)
    async with SimulatorServer(config) as futures, SimulatorServer(config) as spot:
        urls = {VENUE: futures.rest_url, "binance-spot": spot.rest_url}
        hosts = {
            name: {"mainnet": replace(HOSTS[name]["mainnet"], private_rest_url=url)}
            for name, url in urls.items()
        }
        monkeypatch.setattr(usdm_account_facts, "HOSTS", hosts)
        yield futures, spot


async def rights(url: str, network: Network = "mainnet") -> KeyRights:
    query = AccountQuery(
        venue=VENUE,
        key=replace(demo_key("hmac"), venue=VENUE),
        section=VenueSection(symbols=[SYMBOL], network=network, private_rest_url=url),
        instruments={SYMBOL: replace(RULES, venue=VENUE, symbol=SYMBOL)},
        now=time.time_ns,
    )
    return (await UsdmInspector().facts(query)).rights


def test_spots_host_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with two_hosts(monkeypatch) as (futures, spot):
            told = await rights(futures.rest_url)
            assert (told.trade, told.withdraw, told.transfer) == (True, False, False)
            # A key that spot's host refuses is not used, whatever the futures' says.
            assert spot.spot.venue.ring.revoke(demo_key("hmac").id.reveal())
            refused = await rights(futures.rest_url)
            assert refused.trade is None
            assert refused.failed

    asyncio.run(main())


def test_where_one_address_serves_both_that_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with two_hosts(monkeypatch) as (futures, spot):
            assert spot.spot.venue.ring.revoke(demo_key("hmac").id.reveal())
            told = await rights(futures.rest_url, "testnet")  # a simulator, with the one root
            assert told.trade

    asyncio.run(main())
