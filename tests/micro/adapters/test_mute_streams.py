"""A stream that says nothing more while its connection is up: the answer to a query gives it away."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from bybit_kit import bybit_bench
from hyper_kit import hyper_bench
from kraken_bench import kraken_bench
from okx_kit import okx_bench
from spot_kit import LiveBench, live_bench
from usdm_kit import usdm_bench

from citadel_micro.core.model.events import OrderAccepted, OrderDone, VenueStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

S = 1_000_000_000
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


@pytest.mark.parametrize("venue", VENUES)
def test_an_end_that_only_a_query_shows_opens_the_stream_again(venue: str) -> None:
    async def main() -> None:
        async with started(venue) as bench:
            bench.adapter._watch._within_ns = S // 4
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.fault("mute=once")
            (resting,) = bench.exchange.open_orders("demo")
            bench.exchange.cancel_all("demo", resting.symbol)
            assert not bench.of(OrderDone, order)
            assert (await bench.answer(order)).status == "canceled"
            await bench.up(2)
            assert any("mute" in each.reason for each in bench.of(VenueStatus))

    asyncio.run(main())


def test_an_end_of_before_the_stream_is_not_expected_of_it() -> None:
    async def main() -> None:
        async with started("kraken") as bench:
            bench.adapter._watch._within_ns = S // 4
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.fault("mute=once")
            (resting,) = bench.exchange.open_orders("demo")
            bench.exchange.cancel_all("demo", resting.symbol)
            bench.adapter.stream.drop("as if it were lost")
            await bench.up(2)
            assert (await bench.answer(order)).status == "canceled"
            assert not bench.adapter._watch._expected
            assert bench.adapter._watch.overdue(bench.clock.now() + 60 * S) == ""

    asyncio.run(main())
