"""Any native venue's adapter at the simulator, started and up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bybit_kit import bybit_bench
from hyper_kit import hyper_bench
from kraken_bench import kraken_bench
from okx_kit import okx_bench
from spot_kit import LiveBench, live_bench
from usdm_kit import usdm_bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

BENCHES: Mapping[str, Callable[[], AbstractAsyncContextManager[LiveBench]]] = {
    "spot": live_bench,
    "usdm": usdm_bench,
    "okx": okx_bench,
    "bybit": bybit_bench,
    "kraken": kraken_bench,
    "hyperliquid": hyper_bench,
}
VENUES = tuple(BENCHES)


@asynccontextmanager
async def started(venue: str) -> AsyncIterator[LiveBench]:
    """Its adapter at the simulator, up."""
    async with asyncio.timeout(120), BENCHES[venue]() as bench:
        await bench.begin()
        yield bench
