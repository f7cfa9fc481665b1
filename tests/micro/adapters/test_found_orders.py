"""What a query finds of an order, and what the stream must therefore report: else it is mute."""

from __future__ import annotations

import asyncio

import pytest
from unheard_adapters import NAMES, unheard_adapter

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.facts import OrderFact, OrderStanding


@pytest.mark.parametrize(
    ("standing", "mute"),
    [("open", False), ("filled", True), ("canceled", True), ("expired", True), ("rejected", False)],
)
@pytest.mark.parametrize("venue", NAMES)
def test_an_end_that_is_found_is_awaited_of_the_stream_but_no_reject(
    venue: str, standing: OrderStanding, *, mute: bool
) -> None:
    """A stream that need not tell of a reject would be dropped, and its venue blind, for each of them."""

    async def scenario() -> str:
        adapter = unheard_adapter(venue)
        now_ns = adapter._now()
        adapter._watch.begin(now_ns)
        adapter._found(
            OrderFact(
                symbol=NAMES[venue][0],
                client_id="sc1",
                venue_order_id="7",
                standing=standing,
                price_ticks=1,
                quantity_lots=1,
                cumulative_lots=0,
                exchange_ns=now_ns + SECOND,
            )
        )
        late = adapter._watch.overdue(now_ns + 60 * SECOND)
        await adapter.released()
        return late

    assert bool(asyncio.run(scenario())) == mute
