"""Binance spot's adapter at the simulated exchange: the ordinary life of orders."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from spot_kit import SYMBOL, S, live_bench
from waiting import until

from citadel_micro.core.model.events import (
    AmendRejected,
    BalancesUpdated,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    RequestTimedOut,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.venue.order_ids import ORDER

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import KeyKind


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_an_order_is_placed_cancelled_and_its_balances_reported(kind: KeyKind) -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin(kind)
            assert bench.statuses() == [False, True]
            order = await bench.resting()
            accepted = await bench.told(OrderAccepted, order)
            assert accepted.venue_order_id
            row = bench.rows.values[ORDER + order.client_id]
            assert isinstance(row, dict)
            assert row["venue_order_id"] == accepted.venue_order_id
            await bench.told(BalancesUpdated)
            bench.cancel(order)
            done = await bench.told(OrderDone, order)
            assert (done.status, done.cumulative_lots) == ("canceled", 0)
            await asyncio.sleep(0.2)
            # Answers and events say the same, and it is told once.
            assert len(bench.of(OrderAccepted, order)) == 1
            assert len(bench.of(OrderDone, order)) == 1
            assert not bench.of(OrderRejected)
            assert not bench.of(RequestTimedOut)

    asyncio.run(scenario())


def test_a_taker_gets_its_fills_with_their_fees() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            _, ask = await bench.touch()
            order = bench.place("buy", ask + 50_000, 200, ioc=True)
            done = await bench.told(OrderDone, order)
            assert done.status == "filled"
            assert done.cumulative_lots == 200
            fills = bench.of(OrderFilled, order)
            assert sum(fill.quantity_lots for fill in fills) == 200
            for fill in fills:
                assert fill.liquidity == "taker"
                # Of what was bought: the coin itself.
                assert fill.fee_currency == "BTC"
                assert fill.fee > 0
            kinds = [type(each) for each in bench.reports if hasattr(each, "client_id")]
            assert kinds[0] is OrderAccepted
            await asyncio.sleep(0.3)
            assert len(bench.of(OrderFilled, order)) == len(fills)

    asyncio.run(scenario())


def test_what_finds_nothing_expires() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bid, _ = await bench.touch()
            order = bench.place("buy", bid - 50_000, 100, ioc=True)
            done = await bench.told(OrderDone, order)
            assert (done.status, done.cumulative_lots) == ("expired", 0)

    asyncio.run(scenario())


def test_refusals_have_the_engines_words() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            bid, ask = await bench.touch()
            crossing = bench.place("buy", ask + 50_000, 100, post_only=True)
            assert (await bench.told(OrderRejected, crossing)).code == "POST_ONLY"
            rich = bench.place("buy", bid, 10**9)
            assert (await bench.told(OrderRejected, rich)).code in {
                "INSUFFICIENT_FUNDS",
                "BAD_QUANTITY",
            }
            dust = bench.place("buy", bid - 10, 1)
            assert (await bench.told(OrderRejected, dust)).code == "BELOW_MIN"
            # None of them is remembered: they never were.
            assert not bench.rows.values

    asyncio.run(scenario())


def test_an_order_that_has_expired_here_is_void_and_one_that_expires_on_the_way_is_refused() -> (
    None
):
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bid, _ = await bench.touch()
            late = bench.place("buy", bid - 50_000, 100, window_ns=-S)
            assert (await bench.told(OrderRejected, late)).code == "VOID"
            bench.fault("request-delayed=once,for=1")
            slow = bench.place("buy", bid - 50_000, 100, window_ns=S // 2)
            rejected = await bench.told(OrderRejected, slow)
            assert "-1021" in rejected.text

    asyncio.run(scenario())


def test_what_was_prepared_leaves_when_it_is_sent_and_not_after_its_expiry() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            bid, _ = await bench.touch()
            never, _ = bench.prepare("buy", bid - 50_000, 100)
            late, send_late = bench.prepare("buy", bid - 50_000, 100, window_ns=S // 50)
            order, send = bench.prepare("buy", bid - 50_000, 100, window_ns=50 * S)
            await until(lambda: bench.clock.now() >= late.expires_ns)
            send_late()
            assert (await bench.told(OrderRejected, late)).code == "VOID"
            send()
            await bench.told(OrderAccepted, order)
            # Had the first one left, its answer would have come before this one's.
            assert never.client_id not in {getattr(each, "client_id", "") for each in bench.reports}

    asyncio.run(scenario())


def test_an_order_is_written_down_before_it_is_signed_and_counted() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            bid, _ = await bench.touch()
            adapter, rows = bench.adapter, bench.rows.values
            used = adapter.budget.used()
            order, sign = bench.drafted("buy", bid - 50_000, 100)
            known = dict(rows)
            assert f"order/{order.client_id}" in known
            assert adapter.budget.used() == used
            send = sign()
            assert adapter.budget.used() != used
            assert rows == known  # nothing more: the journal is on its way to the disk
            send()
            await bench.told(OrderAccepted, order)

    asyncio.run(scenario())


def test_what_is_rehearsed_is_neither_counted_nor_kept_nor_sent() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            adapter = bench.adapter
            known, used = dict(bench.rows.values), adapter.budget.used()
            for number in range(50):
                adapter.rehearse(replace(order, client_id=f"scabc123rehearsal-{number}-1"))
            assert (bench.rows.values, adapter.budget.used()) == (known, used)
            bench.cancel(order)
            await bench.told(OrderDone, order)
            # Had one of them left, its answer would have come before this end.
            ids = {getattr(each, "client_id", order.client_id) for each in bench.reports}
            assert ids == {order.client_id}

    asyncio.run(scenario())


def test_a_cancel_of_what_is_over_is_not_found() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.cancel(order)
            await bench.told(OrderDone, order)
            bench.cancel(order)
            assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
            state = await bench.answer(order)
            assert (state.status, state.source) == ("canceled", "order")

    asyncio.run(scenario())


def test_open_orders_and_balances_with_those_of_others() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("foreign-order=once")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            before_ns = bench.adapter.clock.venue_ns()
            bench.query_venue()
            snapshot = await bench.told(VenueSnapshot)
            names = {row.client_id: row for row in snapshot.open_orders}
            assert names[order.client_id].status == "open"
            assert names[order.client_id].price_ticks == order.price_ticks
            assert any(name.startswith("web_") for name in names)
            assert all(row.symbol == SYMBOL for row in snapshot.open_orders)
            totals = {name: free + used for name, free, used in snapshot.balances}
            theirs = bench.exchange.balances("demo")
            for name in ("BTC", "USDT"):
                assert totals[name] * 10**8 == sum(theirs[name])
            # A time that the statement is certainly not older than.
            assert before_ns - S < snapshot.exchange_ns <= before_ns + S

    asyncio.run(scenario())


def test_what_is_asked_before_the_venue_is_there_is_answered_once_it_is() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            starting = asyncio.ensure_future(bench.begin())
            await asyncio.sleep(0)
            bench.query_venue()
            await starting
            await bench.told(VenueSnapshot)

    asyncio.run(scenario())


def test_a_resting_order_is_made_smaller_and_keeps_its_id() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            order = await bench.resting(lots=300)
            await bench.told(OrderAccepted, order)
            bench.amend(order, order.price_ticks, 200)
            amended = await bench.told(OrderAmended, order)
            assert (amended.price_ticks, amended.quantity_lots) == (order.price_ticks, 200)
            for ticks, lots in ((order.price_ticks + 1, 200), (order.price_ticks, 250)):
                bench.amend(order, ticks, lots)
            rejected = await bench.told(AmendRejected, order, 2)
            assert "not sent" in rejected.text
            state = await bench.answer(order)
            assert (state.status, state.quantity_lots) == ("open", 200)
            bench.cancel(order)
            assert (await bench.told(OrderDone, order)).status == "canceled"
            assert len(bench.of(OrderAmended, order)) == 1

    asyncio.run(scenario())


def test_cancels_and_questions_pass_over_rest_while_the_websocket_api_is_away() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.adapter._dialect._url = "ws://127.0.0.1:9/ws-api/v3"  # type: ignore[attr-defined]
            bench.adapter.stream.drop("a test")
            bench.adapter.entry.drop("a test")
            await until(lambda: bench.of(VenueStatus)[-1].blind)
            assert (await bench.answer(order)).status == "open"
            bench.cancel(order)
            await until(lambda: not bench.exchange.open_orders("demo"))
            assert (await bench.told(OrderDone, order)).status == "canceled"
            assert bench.adapter.stream.current is None
            # Where that is away as well, nothing passes, and it is said.
            await bench.server.stop()
            bench.cancel(order)
            await bench.told(CancelRejected, order)
            await until(lambda: not bench.of(VenueStatus)[-1].up)

    asyncio.run(scenario())


def test_rest_takes_over_while_the_socket_for_orders_is_down() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            await bench.adapter.entry.close()
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.cancel(order)
            await bench.told(OrderDone, order)
            assert bench.statuses() == [False, True]
            used, limit = bench.adapter.budget.used()["weight/60s"]
            assert 0 < used < limit

    asyncio.run(scenario())


def test_a_connection_is_renewed_without_a_gap() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519", renew_s=0.3)
            for _ in range(4):
                order = await bench.resting()
                await bench.told(OrderAccepted, order)
                await asyncio.sleep(0.3)
                bench.cancel(order)
                done = await bench.told(OrderDone, order)
                assert done.status == "canceled"
            assert bench.adapter.stream.opened > 1
            # The venue was never away.
            assert bench.statuses() == [False, True]

    asyncio.run(scenario())
