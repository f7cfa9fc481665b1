"""What a watchdog cancels with at Bybit."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bybit_kit import bybit_config, bybit_of
from spot_kit import SYMBOL, demo_key

from citadel_micro.adapters.bybit.orders import VENUE
from citadel_micro.adapters.live import cancel_desk
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.shell.venue.cancel_desk import CancelDesk
    from citadel_micro.simulator.bybit.app import Bybit


def at_desk(body: Callable[[CancelDesk, Bybit], Awaitable[None]]) -> None:
    async def run() -> None:
        async with SimulatorServer(bybit_config()) as server:
            section = VenueSection(symbols=[SYMBOL], private_rest_url=server.rest_url)
            key = replace(demo_key(), venue=VENUE)
            desk = cancel_desk(CancelAccount(key=key, section=section, now=time.time_ns))
            try:
                await body(desk, bybit_of(server))
            finally:
                await desk.close()

    asyncio.run(run())


def place(venue: Bybit, count: int) -> None:
    spec = venue.exchange.rules[SYMBOL].spec
    ticks = venue.exchange.last_ticks(SYMBOL) * 9 // 10
    for number in range(count):
        venue.exchange.place(
            "demo",
            OrderRequest(
                symbol=SYMBOL,
                side="BUY",
                type="LIMIT",
                quantity_e8=100 * spec.lot_e8,
                price_e8=(ticks - number) * spec.tick_e8,
                client_id=f"scabc123run1-1-{number + 1}",
            ),
        )


def test_every_open_order_is_listed_and_canceled() -> None:
    async def body(desk: CancelDesk, venue: Bybit) -> None:
        assert await desk.open_orders() == []
        place(venue, 60)  # more than a page
        found = await desk.open_orders()
        assert len({each.venue_order_id for each in found}) == 60
        assert {each.client_id for each in found} == {
            f"scabc123run1-1-{number}" for number in range(1, 61)
        }
        for order in found[:10]:
            assert await desk.cancel(order) == ""
        assert await desk.cancel(found[0]) == ""  # gone before
        assert len(await desk.open_orders()) == 50
        assert desk.retry_s == 0

    at_desk(body)


def test_an_answer_without_a_cancel_is_seen_in_the_next_listing() -> None:
    async def body(desk: CancelDesk, venue: Bybit) -> None:
        place(venue, 1)
        (order,) = await desk.open_orders()
        venue.side.venue.faults.extend(["taken-lost=once"])
        assert await desk.cancel(order) == ""
        assert await desk.open_orders() == [order]

    at_desk(body)


def test_limits_and_rejected_keys_are_reported() -> None:
    async def body(desk: CancelDesk, venue: Bybit) -> None:
        place(venue, 1)
        (order,) = await desk.open_orders()
        faults = venue.side.venue.faults
        faults.extend(["too-many-requests=once,for=2"])
        assert "10006" in await desk.cancel(order)
        assert 0 < desk.retry_s < 3
        with pytest.raises(PeerUnavailable, match="held back"):
            await desk.open_orders()
        await asyncio.sleep(desk.retry_s + 0.1)
        faults.extend(["key-revoked=once"])
        with pytest.raises(BadInput, match="10003"):
            await desk.cancel(order)

    at_desk(body)
