"""A live USD-M adapter at the simulated exchange, as ``spot_kit`` has one for spot."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spot_kit import NATIVE, LiveBench, demo_key

from citadel_micro.adapters.binance.instruments import binance_instruments, get
from citadel_micro.adapters.binance.usdm_orders import usdm_adapter
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.shell.keys.api_key import KeyKind

VENUE = "binance-usdm"
SPOT = "BTC/USDT"
SYMBOL = "BTC/USDT:USDT"


class UsdmBench(LiveBench):
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE
    symbol = SYMBOL
    ticker = f"/fapi/v1/ticker/bookTicker?symbol={NATIVE}"

    def make(
        self, kind: KeyKind = "hmac", *, leverage: int = 5, mode: MarginMode = "isolated"
    ) -> None:
        adapter = usdm_adapter(
            self.setup(),
            replace(demo_key(kind), venue=VENUE),
            rest_url=self.server.rest_url,
            ws_api_url=self.server.ws_url,
            stream_url=f"{self.server.ws_url}/fstream",
            leverage=leverage,
            mode=mode,
        )
        self.run(adapter)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.server.usdm.exchange


@asynccontextmanager
async def usdm_bench(*faults: str, **settings: Any) -> AsyncIterator[UsdmBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    config = SimulatorConfig(
        symbols=(SPOT,),
        history_days=1,
        warm_minutes=1,
        fault_rules=faults,
        futures=True,
        **settings,
    )
    async with SimulatorServer(config) as server:
        body = await get(f"{server.rest_url}/fapi/v1/exchangeInfo")
        rules = next(each for each in binance_instruments(VENUE, body) if each.symbol == SYMBOL)
        bench = UsdmBench(server, replace(rules))
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()
