"""The venue's own dead man's switch under a live micro on USD-M: armed, not armed, and what it cancels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest
from live_desk import ROOMY
from usdm_client import FAR, UsdmClient
from usdm_desk import UsdmDesk, on_futures
from usdm_kit import SPOT, SYMBOL, VENUE
from waiting import until

from citadel_micro.adapters.binance import usdm_timer
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.venue.adapter import LiveAdapter

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.venue.cancel_timer import VenueTimer

REQUIRED = ROOMY.replace("[risk]", f"[risk]\ndms_venues = ['{VENUE}']")
PERIOD_NS = 1_200_000_000


@pytest.fixture(autouse=True)
def _a_short_period(monkeypatch: pytest.MonkeyPatch) -> None:
    made = usdm_timer.timer_of

    def timer_of(*args: object, beside_foreign: bool) -> VenueTimer:
        timer = made(*args, beside_foreign=beside_foreign)  # type: ignore[arg-type]
        assert timer.period_ns == 15 * 10**9
        return replace(timer, period_ns=PERIOD_NS)

    monkeypatch.setattr("citadel_micro.adapters.binance.usdm_orders.timer_of", timer_of)


def armed(desk: UsdmDesk) -> bool:
    return desk.micro.engine.risk.dms_armed.get(VENUE, False)


def resting(desk: UsdmDesk) -> str:
    """An order in the book, far from the market."""
    mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
    assert mid is not None
    return desk.signal("buy", "0.02", algo="limit", limit=f"{mid * 0.97:.1f}")


def test_it_is_armed_before_the_first_order_and_cancels_when_micro_hangs(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        desk.limits = REQUIRED
        await desk.start()
        await until(lambda: armed(desk))
        name = resting(desk)
        await until(lambda: desk.exchange.open_orders("demo"))
        assert desk.parent(name).verdict is None
        # Renewed, longer than its period.
        end_ns = desk.exchange.now_ns + 2 * PERIOD_NS
        await until(lambda: desk.exchange.now_ns > end_ns)
        assert desk.exchange.open_orders("demo")
        adapter = desk.micro.adapters[VENUE]
        assert isinstance(adapter, LiveAdapter)
        adapter.close()  # as one whose loop does not come round: nothing is renewed or reported
        await until(lambda: not desk.exchange.open_orders("demo"))

    on_futures(tmp_path, body)


def test_its_orderly_end_leaves_it_off(tmp_path: Path) -> None:
    """Otherwise it would cancel a person's orders of a later hour."""

    async def body(desk: UsdmDesk) -> None:
        await desk.start()
        await until(lambda: armed(desk))
        await desk.micro.close()
        async with aiohttp.ClientSession() as http:
            client = UsdmClient(desk.server, http)
            placed = await client.order(**FAR | {"price": client.price(0.9)})
            assert placed.status == 200
            end_ns = desk.exchange.now_ns + 2 * PERIOD_NS
            await until(lambda: desk.exchange.now_ns > end_ns)
        assert len(desk.exchange.open_orders("demo")) == 1

    on_futures(tmp_path, body)


def test_an_entry_waits_until_it_is_armed(tmp_path: Path) -> None:
    """The venue answers no request for it at first."""

    async def body(desk: UsdmDesk) -> None:
        desk.limits = REQUIRED
        faults = desk.server.usdm.venue.faults
        faults.extend(("http-503-lost=always,on=countdownCancelAll",))
        await desk.start()
        assert not armed(desk)
        name = desk.signal("buy", "0.02", algo="marketable_limit")
        await until(lambda: desk.parent(name).reason_code == "VENUE_DMS_NOT_ARMED")
        assert not desk.exchange.my_trades("demo", SPOT)
        faults.clear()
        await until(lambda: armed(desk))
        again = await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        assert again.state is ParentState.FILLED

    on_futures(tmp_path, body)


@pytest.mark.parametrize("permitted", [False, True])
def test_beside_an_order_of_a_person_only_where_that_is_permitted(
    tmp_path: Path, *, permitted: bool
) -> None:
    async def body(desk: UsdmDesk) -> None:
        desk.limits = REQUIRED
        if permitted:
            desk.settings += "timer_beside_foreign = true\n"
        async with aiohttp.ClientSession() as http:
            await desk.start()
            client = UsdmClient(desk.server, http)
            placed = await client.order(**FAR | {"price": client.price(0.9)})
            assert placed.status == 200
            if permitted:
                end_ns = desk.exchange.now_ns + PERIOD_NS
                await until(lambda: desk.exchange.now_ns > end_ns)
                assert armed(desk)
                return
            await until(lambda: not armed(desk))  # the stream tells of it
            name = desk.signal("buy", "0.02", algo="marketable_limit")
            await until(lambda: desk.parent(name).reason_code == "VENUE_DMS_NOT_ARMED")
            # And so do the comparisons that follow.
            compared = desk.micro.runner.stats.events
            then = compared["VenueSnapshot"] + 2
            await until(lambda: compared["VenueSnapshot"] >= then)
            assert not armed(desk)
            canceled = await client.order("DELETE", orderId=placed.body["orderId"])
            assert canceled.status == 200
            await until(lambda: armed(desk))  # found by the next comparison

    on_futures(tmp_path, body)
