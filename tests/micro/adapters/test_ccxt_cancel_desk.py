"""What a watchdog cancels with at a venue that is reached through ccxt alone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from generic_kit import VENUE
from spot_kit import SYMBOL, demo_key

from citadel_micro.adapters.live import cancel_desk
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.shell.venue.cancel_desk import CancelDesk

OTHER = "ADA/USDT"
LISTED = [SYMBOL, OTHER]


def desk_of(server: SimulatorServer) -> CancelDesk:
    section = VenueSection(
        symbols=LISTED, private_rest_url=server.rest_url, ws_api_url=server.ws_url
    )
    key = replace(demo_key(), venue=VENUE)
    return cancel_desk(CancelAccount(key=key, section=section, now=time.time_ns))


def at_desk(body: Callable[[CancelDesk, SimulatorServer], Awaitable[None]]) -> None:
    async def run() -> None:
        config = SimulatorConfig(symbols=tuple(LISTED), history_days=1, warm_minutes=1)
        async with SimulatorServer(config) as server:
            desk = desk_of(server)
            try:
                await body(desk, server)
            finally:
                await desk.close()

    asyncio.run(run())


def place(server: SimulatorServer, client_id: str, symbol: str = SYMBOL) -> None:
    """A bid far below the market."""
    exchange = server.spot.venue.exchange
    spec = exchange.rules[symbol].spec
    ticks = exchange.last_ticks(symbol) * 9 // 10
    lots = -(-(spec.min_notional_e8 * 2 * 10**8) // (ticks * spec.tick_e8 * spec.lot_e8))
    exchange.place(
        "demo",
        OrderRequest(
            symbol=symbol,
            side="BUY",
            type="LIMIT",
            quantity_e8=lots * spec.lot_e8,
            price_e8=ticks * spec.tick_e8,
            client_id=client_id,
        ),
    )


def test_orders_of_every_symbol_are_listed_and_canceled() -> None:
    async def body(desk: CancelDesk, server: SimulatorServer) -> None:
        assert await desk.open_orders() == []
        for number, symbol in enumerate((SYMBOL, SYMBOL, OTHER)):
            place(server, f"scmark00run1-1-{number}", symbol)
        place(server, "web_1")
        found = await desk.open_orders()
        assert {(each.symbol, each.client_id) for each in found} == {
            (SYMBOL, "scmark00run1-1-0"),
            (SYMBOL, "scmark00run1-1-1"),
            (OTHER, "scmark00run1-1-2"),
            (SYMBOL, "web_1"),
        }
        mine = [each for each in found if each.client_id.startswith("sc")]
        for order in mine:
            assert await desk.cancel(order) == ""
        assert await desk.cancel(mine[0]) == ""  # gone before
        (left,) = await desk.open_orders()
        assert left.client_id == "web_1"
        (theirs,) = server.spot.venue.exchange.open_orders("demo")
        assert str(theirs.order_id) == left.venue_order_id
        assert desk.retry_s == 0

    at_desk(body)


def test_a_cancel_without_a_clear_answer_is_no_success_and_the_next_listing_shows_it() -> None:
    async def body(desk: CancelDesk, server: SimulatorServer) -> None:
        for number in range(2):
            place(server, f"scmark00run1-1-{number}")
        carried_out, lost = await desk.open_orders()
        faults = server.spot.venue.faults
        faults.extend(["unknown-executed=once,on=order.cancel"])
        assert await desk.cancel(carried_out)
        assert await desk.open_orders() == [lost]
        faults.extend(["unknown-lost=once,on=order.cancel"])
        assert await desk.cancel(lost)
        assert await desk.open_orders() == [lost]
        assert await desk.cancel(lost) == ""
        assert await desk.open_orders() == []

    at_desk(body)


def test_a_key_that_the_venue_has_taken_away_cancels_nothing_and_is_reported() -> None:
    async def body(desk: CancelDesk, server: SimulatorServer) -> None:
        place(server, "scmark00run1-1-1")
        (order,) = await desk.open_orders()
        server.spot.venue.faults.extend(["key-revoked=once"])
        # After a first success ccxt takes Binance's -2015 for a ban of the address, which ends again.
        assert "-2015" in await desk.cancel(order)
        with pytest.raises(PeerUnavailable, match="-2015"):
            await desk.open_orders()
        assert len(server.spot.venue.exchange.open_orders("demo")) == 1
        anew = desk_of(server)
        with pytest.raises(BadInput, match="does not take the key"):
            await anew.open_orders()
        await anew.close()

    at_desk(body)


def test_a_venue_that_does_not_answer_is_asked_again() -> None:
    down = "http-503-lost=always,on=account.status+openOrders.status+order.cancel"

    async def body(desk: CancelDesk, server: SimulatorServer) -> None:
        place(server, "scmark00run1-1-1")
        faults = server.spot.venue.faults
        faults.extend([down])
        for _ in range(2):  # no connection yet, each time anew
            with pytest.raises(PeerUnavailable):
                await desk.open_orders()
        faults.clear()
        (order,) = await desk.open_orders()
        faults.extend([down])
        with pytest.raises(PeerUnavailable):
            await desk.open_orders()
        assert await desk.cancel(order)
        faults.clear()
        assert await desk.open_orders() == [order]
        assert await desk.cancel(order) == ""

    at_desk(body)


def test_a_venue_that_is_not_there() -> None:
    async def run() -> None:
        config = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
        async with SimulatorServer(config) as server:
            desk = desk_of(server)
        with pytest.raises(PeerUnavailable):
            await desk.open_orders()
        await desk.close()

    asyncio.run(run())
