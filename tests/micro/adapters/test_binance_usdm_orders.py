"""Binance USD-M's order adapter at the simulated exchange, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest
from spot_kit import NATIVE, demo_key
from usdm_client import UsdmClient
from usdm_kit import SPOT, SYMBOL, VENUE, usdm_bench
from waiting import until

from citadel_micro.adapters.binance.usdm_cancel_desk import UsdmCancelDesk
from citadel_micro.core.model.events import (
    AmendRejected,
    BalancesUpdated,
    MarginTerms,
    MarkPrice,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    RequestTimedOut,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import KeyKind


async def _an_order_is_placed_amended_and_canceled(kind: KeyKind) -> None:
    async with usdm_bench() as bench:
        await bench.begin(kind)
        terms = await bench.told(MarginTerms)
        assert (terms.symbol, terms.mode, terms.leverage) == (SYMBOL, "isolated", 5)
        assert terms.tiers[0].maintenance_rate > 0
        mark = await bench.told(MarkPrice)
        assert mark.mark > 0
        assert mark.next_funding_ns > mark.exchange_ns
        order = await bench.resting()
        accepted = await bench.told(OrderAccepted, order)
        assert accepted.venue_order_id
        bench.amend(order, order.price_ticks + 10, 150)
        amended = await bench.told(OrderAmended, order)
        assert (amended.price_ticks, amended.quantity_lots) == (order.price_ticks + 10, 150)
        assert (await bench.answer(order)).quantity_lots == 150
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 0)
        assert not bench.of(OrderRejected)


async def _a_short_is_opened_and_closed_reduce_only() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        bid, ask = await bench.touch()
        order = bench.place("sell", bid - 5_000, 50, ioc=True)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("filled", 50)
        # The answer to the request may be here before the stream's fills.
        await until(lambda: sum(fill.quantity_lots for fill in bench.of(OrderFilled, order)) == 50)
        fills = bench.of(OrderFilled, order)
        assert {fill.fee_currency for fill in fills} <= {"USDT", "BNB"}
        await bench.told(BalancesUpdated)
        bench.query_venue()
        snapshot = await bench.told(VenueSnapshot)
        assert snapshot.positions is not None
        assert dict(snapshot.positions)[SYMBOL] == -bench.rules.quantity(50)
        assert dict(snapshot.isolated)[SYMBOL] > 0
        exit_ = bench.place("buy", ask + 5_000, 50, ioc=True, reduce_only=True)
        assert (await bench.told(OrderDone, exit_)).cumulative_lots == 50
        more = bench.place("buy", ask + 5_000, 50, ioc=True, reduce_only=True)
        assert (await bench.told(OrderRejected, more)).code == "NOTHING_TO_REDUCE"


async def _a_post_only_order_that_would_take_is_rejected_so() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 5_000, 50, post_only=True)
        assert (await bench.told(OrderRejected, order)).code == "POST_ONLY"


async def _an_amend_that_the_venue_answers_with_a_cancel_ends_the_order() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        _, ask = await bench.touch()
        bench.amend(order, ask + 5_000, 100)  # it would cross, and it is post-only
        done = await bench.told(OrderDone, order)
        assert done.status in {"canceled", "expired"}
        assert done.cumulative_lots == 0
        assert not bench.of(OrderAmended, order)
        assert all(each.code == "POST_ONLY" for each in bench.of(AmendRejected, order))


async def _a_lost_answer_is_unknown_and_found() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        bench.fault("answer-lost=once,on=order.place")
        order = await bench.resting()
        await until(
            lambda: bool(bench.of(RequestTimedOut, order) or bench.of(OrderAccepted, order))
        )
        state = await bench.answer(order)
        assert state.status == "open"


async def _another_clients_delete_of_the_listen_key_is_noticed() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        bench.server.usdm.user.end("demo")
        order = await bench.resting()
        await until(lambda: any(each.blind for each in bench.of(VenueStatus)))
        await bench.up(2)
        bench.cancel(order)
        await bench.told(OrderDone, order)


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_an_order_is_placed_amended_and_canceled(kind: KeyKind) -> None:
    asyncio.run(_an_order_is_placed_amended_and_canceled(kind))


def test_a_short_is_opened_and_closed_reduce_only() -> None:
    asyncio.run(_a_short_is_opened_and_closed_reduce_only())


def test_a_post_only_order_that_would_take_is_rejected_so() -> None:
    asyncio.run(_a_post_only_order_that_would_take_is_rejected_so())


def test_an_amend_that_the_venue_answers_with_a_cancel_ends_the_order() -> None:
    asyncio.run(_an_amend_that_the_venue_answers_with_a_cancel_ends_the_order())


def test_a_lost_answer_is_unknown_and_found() -> None:
    asyncio.run(_a_lost_answer_is_unknown_and_found())


def test_another_clients_delete_of_the_listen_key_is_noticed() -> None:
    asyncio.run(_another_clients_delete_of_the_listen_key_is_noticed())


async def _leverage_that_is_not_restored_is_adopted_and_exits_go_on() -> None:
    async with usdm_bench() as bench, aiohttp.ClientSession() as http:
        await bench.begin()
        _, ask = await bench.touch()
        await bench.told(OrderDone, bench.place("buy", ask + 100, 10, ioc=True))
        client = UsdmClient(bench.server, http)
        asked = {"symbol": NATIVE, "leverage": "20"}
        assert (await client.send("POST", "/fapi/v1/leverage", asked)).status == 200
        # Binance reduces no leverage of an isolated position (-4161).
        await until(lambda: any(each.leverage == 20 for each in bench.of(MarginTerms)))
        assert "-4161" in bench.of(MarginTerms)[-1].text
        await until(lambda: not bench.of(VenueStatus)[-1].blind)
        bid, _ = await bench.touch()
        order = bench.place("sell", bid - 100, 10, ioc=True, reduce_only=True)
        assert (await bench.told(OrderDone, order)).status == "filled"
        # Once it is closed, what was configured is set.
        bench.query_venue()
        await until(lambda: bench.of(MarginTerms)[-1].leverage == 5)
        assert bench.exchange.position("demo", SPOT).leverage == 5


def test_leverage_that_is_not_restored_is_adopted_and_exits_go_on() -> None:
    asyncio.run(_leverage_that_is_not_restored_is_adopted_and_exits_go_on())


async def _exits_go_on_in_multi_assets_mode() -> None:
    async with usdm_bench() as bench, aiohttp.ClientSession() as http:
        await bench.begin(mode="cross")
        _, ask = await bench.touch()
        await bench.told(OrderDone, bench.place("buy", ask + 100, 10, ioc=True))
        client = UsdmClient(bench.server, http)
        asked = {"multiAssetsMargin": "true"}
        assert (await client.send("POST", "/fapi/v1/multiAssetsMargin", asked)).status == 200
        await until(lambda: "multi-assets mode" in bench.of(MarginTerms)[-1].text)
        await until(lambda: not bench.of(VenueStatus)[-1].blind)
        bid, _ = await bench.touch()
        order = bench.place("sell", bid - 100, 10, ioc=True, reduce_only=True)
        assert (await bench.told(OrderDone, order)).status == "filled"
        # Without a position nothing is sent in this mode.
        bench.query_venue()
        await until(lambda: "multi-assets mode" in bench.of(VenueStatus)[-1].reason)
        assert bench.of(VenueStatus)[-1].blind


def test_exits_go_on_in_multi_assets_mode() -> None:
    asyncio.run(_exits_go_on_in_multi_assets_mode())


async def _a_pause_asked_for_while_connecting_holds_everything_back() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        budget, clock = bench.adapter.budget, bench.adapter.clock
        bench.fault("too-many-requests=once,on=positionSide.get,for=2")
        bench.adapter.stream.drop("a test")
        await until(lambda: budget.pause_ns(clock.venue_ns()) > 0)
        order = bench.place("buy", 1_000_000, 100)
        assert "held back" in (await bench.told(OrderRejected, order)).text
        await bench.up(2)
        assert not budget.pause_ns(clock.venue_ns())


async def _a_setting_that_came_too_late_is_sent_again_soon() -> None:
    """The clock's estimate was wrong, which is no refusal of the setting: those pause for a minute."""
    async with usdm_bench("clock-skew=once,for=-3,on=marginType") as bench:
        async with asyncio.timeout(150):
            await bench.begin()
            terms = await bench.told(MarginTerms)
        assert terms.mode == "isolated"


def test_a_pause_asked_for_while_connecting_holds_everything_back() -> None:
    asyncio.run(_a_pause_asked_for_while_connecting_holds_everything_back())


def test_a_setting_that_came_too_late_is_sent_again_soon() -> None:
    asyncio.run(_a_setting_that_came_too_late_is_sent_again_soon())


async def _the_watchdog_lists_and_cancels() -> None:
    async with usdm_bench() as bench:
        await bench.begin()
        order = await bench.resting()
        accepted = await bench.told(OrderAccepted, order)
        section = VenueSection.model_construct(private_rest_url=bench.server.rest_url)
        key = replace(demo_key(), venue=VENUE)
        desk = UsdmCancelDesk(CancelAccount(key=key, section=section, now=bench.clock.now))
        try:
            (found,) = await desk.open_orders()
            assert found.client_id == order.client_id
            assert found.venue_order_id == accepted.venue_order_id
            assert await desk.cancel(found) == ""
            assert await desk.open_orders() == []
        finally:
            await desk.close()
        assert (await bench.told(OrderDone, order)).status == "canceled"


def test_the_watchdog_lists_and_cancels() -> None:
    asyncio.run(_the_watchdog_lists_and_cancels())
