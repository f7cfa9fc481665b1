"""A stream that says nothing more while its connection is up: the answer to a query gives it away."""

from __future__ import annotations

import asyncio

import pytest
from started_benches import VENUES, started

from citadel_micro.core.model.events import OrderAccepted, OrderDone, VenueStatus

S = 1_000_000_000


@pytest.mark.parametrize("venue", VENUES)
def test_an_end_that_only_a_query_shows_opens_the_stream_again(venue: str) -> None:
    async def main() -> None:
        async with started(venue) as bench:
            bench.adapter._watch._within_ns = S // 4
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            # The simulated market's time lags where a machine is busy: the stream has begun long ago.
            bench.adapter._watch.begin(0)
            bench.fault("mute=once,on=CANCELED")
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
            bench.fault("mute=once,on=CANCELED")
            (resting,) = bench.exchange.open_orders("demo")
            bench.exchange.cancel_all("demo", resting.symbol)
            bench.adapter.stream.drop("as if it were lost")
            await bench.up(2)
            assert (await bench.answer(order)).status == "canceled"
            assert not bench.adapter._watch._expected
            assert bench.adapter._watch.overdue(bench.clock.now() + 60 * S) == ""

    asyncio.run(main())
