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
    from collections.abc import AsyncIterator

VENUES = ("spot", "usdm", "okx", "bybit", "kraken", "hyperliquid")


@asynccontextmanager
async def started(venue: str) -> AsyncIterator[LiveBench]:
    """Its adapter at the simulator, up."""
    async with asyncio.timeout(120):
        if venue == "spot":
            async with live_bench() as spot:
                await spot.start()
                yield spot
        elif venue == "bybit":
            async with bybit_bench() as bybit:
                await bybit.start()
                yield bybit
        elif venue == "usdm":
            async with usdm_bench() as usdm:
                await usdm.begin()
                yield usdm
        elif venue == "okx":
            async with okx_bench() as okx:
                await okx.begin()
                yield okx
        elif venue == "kraken":
            async with kraken_bench() as kraken:
                await kraken.begin()
                yield kraken
        else:
            async with hyper_bench() as hyper:
                await hyper.begin()
                yield hyper
