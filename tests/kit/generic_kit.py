"""A live adapter through ccxt at the simulated exchange, as ``spot_kit`` has the native one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spot_kit import SYMBOL, LiveBench, demo_key

from citadel_micro.adapters.binance.instruments import binance_instruments, get
from citadel_micro.adapters.ccxt.orders import ccxt_adapter
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from citadel_micro.shell.venue.stream_watch import StreamWatch
    from citadel_micro.sim.flow_book import Depth

VENUE = "ccxt-binance"
MARK = "mark00"


class GenericBench(LiveBench):
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE
    mark = MARK
    polled = False

    def make(self, *, polled: bool = False, watch: StreamWatch | None = None) -> None:
        adapter = ccxt_adapter(
            self.setup(),
            replace(demo_key(), venue=VENUE),
            rest_url=self.server.rest_url,
            ws_url=self.server.ws_url,
            polled=polled,
            watch=watch,
        )
        self.run(adapter)

    def displayed_asks(self, levels: int) -> tuple[tuple[int, int], ...]:
        """Ticks and lots of the market's best offers, at this moment."""
        depth: Depth = self.exchange._feed.depth(SYMBOL, levels)
        return depth.asks


@asynccontextmanager
async def generic_bench(*faults: str, **settings: Any) -> AsyncIterator[GenericBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    config = SimulatorConfig(
        symbols=(SYMBOL,), history_days=1, warm_minutes=1, fault_rules=faults, **settings
    )
    async with SimulatorServer(config) as server:
        body = await get(f"{server.rest_url}/api/v3/exchangeInfo")
        rules = next(
            each for each in binance_instruments("binance-spot", body) if each.symbol == SYMBOL
        )
        bench = GenericBench(server, replace(rules, venue=VENUE))
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()
