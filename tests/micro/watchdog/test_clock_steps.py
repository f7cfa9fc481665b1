"""A watchdog cancels though its machine's clock is set, forward or back, a lot or a little."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from bybit_kit import bybit_bench, bybit_of
from hyper_kit import hyper_bench, hyper_key
from okx_kit import okx_bench, our_key
from spot_kit import demo_key
from spot_kit import live_bench as spot_bench
from usdm_kit import usdm_bench

from citadel_micro.adapters.live import cancel_desk
from citadel_micro.core.model.events import OrderAccepted, OrderDone
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.venue.cancel_desk import CancelDesk, RestingOrder

S = 1_000_000_000
STEPS = (-3_600 * S, 3_600 * S, 2 * S, -2 * S, 30 * S, -30 * S)
BENCHES: dict[str, tuple[Callable[..., Any], Callable[[Any], tuple[Any, str]]]] = {
    "binance-spot": (spot_bench, lambda bench: (demo_key(), bench.server.rest_url)),
    "binance-usdm": (
        usdm_bench,
        lambda bench: (replace(demo_key(), venue="binance-usdm"), bench.server.rest_url),
    ),
    "okx": (okx_bench, lambda bench: (our_key(), bench.server.rest_url)),
    "bybit-spot": (
        bybit_bench,
        lambda bench: (
            replace(demo_key(), venue="bybit-spot"),
            bybit_of(bench.server).addresses(bench.server.rest_url, bench.server.ws_url)[
                "private_rest_url"
            ],
        ),
    ),
    "hyperliquid": (
        hyper_bench,
        lambda bench: (hyper_key(), f"{bench.server.rest_url}/hyperliquid"),
    ),
}


async def listed(desk: CancelDesk) -> list[RestingOrder]:
    """As a guard does: it asks again, soon."""
    for _ in range(3):
        try:
            return await desk.open_orders()
        except PeerUnavailable:
            await asyncio.sleep(desk.retry_s)
    return await desk.open_orders()


@pytest.mark.parametrize("venue", BENCHES)
def test_orders_are_canceled_after_a_step_of_the_clock(venue: str) -> None:
    make, where = BENCHES[venue]
    shift = 0

    async def main() -> None:
        nonlocal shift
        async with make() as bench:
            await bench.begin()
            key, root = where(bench)
            section = VenueSection.model_construct(private_rest_url=root)
            account = CancelAccount(key=key, section=section, now=lambda: time.time_ns() + shift)
            desk = cancel_desk(account)
            try:
                assert await listed(desk) == []
                for step in STEPS:
                    order = await bench.resting()
                    await bench.told(OrderAccepted, order)
                    shift += step
                    for _ in range(3):  # a guard looks again while anything is open
                        for each in await listed(desk):
                            await desk.cancel(each)
                        if not await listed(desk):
                            break
                    assert await listed(desk) == [], step / S
                    done = await bench.told(OrderDone, order)
                    assert (done.status, done.cumulative_lots) == ("canceled", 0)
            finally:
                await desk.close()

    asyncio.run(main())
