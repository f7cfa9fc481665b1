"""Bybit's adapter on the simulated venue: an answer is no proof, and nothing is doubled, lost or guessed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from bybit_kit import BybitBench, bybit_bench
from spot_kit import SYMBOL, S
from waiting import until

from citadel_micro.core.model.events import (
    AccountTrades,
    AmendRejected,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueAnomaly,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.venue.dialect import Absent
from citadel_micro.shell.venue.outcomes import NotSent
from citadel_micro.shell.venue.stream_watch import StreamWatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.core.model.commands import PlaceOrder


def on_bench(body: Callable[[BybitBench], Awaitable[None]], *faults: str) -> None:
    async def run() -> None:
        async with bybit_bench(*faults) as bench:
            await body(bench)

    asyncio.run(run())


async def soon_over(bench: BybitBench) -> PlaceOrder:
    """A bid far below the market that expires in half a second."""
    bid, _ = await bench.touch()
    return bench.place("buy", bid - 50_000, 100, post_only=True, window_ns=S // 2)


def at_venue(bench: BybitBench, order: PlaceOrder) -> list[object]:
    """The exchange's own records under this client id."""
    rows = bench.exchange.all_orders("demo", SYMBOL)
    return [row for row in rows if row.client_id == order.client_id]


def test_the_life_of_orders() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bid, ask = await bench.touch()
        order = await bench.resting(300)
        accepted = await bench.told(OrderAccepted, order)
        bench.amend(order, order.price_ticks + 100, 200)
        amended = await bench.told(OrderAmended, order)
        assert (amended.price_ticks, amended.quantity_lots) == (order.price_ticks + 100, 200)
        state = await bench.answer(order)
        assert (state.status, state.price_ticks, state.quantity_lots) == (
            "open",
            order.price_ticks + 100,
            200,
        )
        bench.query_venue()
        shown = await bench.told(VenueSnapshot)
        assert [each.client_id for each in shown.open_orders] == [order.client_id]
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 0)
        taking = bench.place("buy", ask + 50_000, 300, ioc=True)
        done = await bench.told(OrderDone, taking)
        assert (done.status, done.cumulative_lots) == ("filled", 300)
        await until(
            lambda: sum(each.quantity_lots for each in bench.of(OrderFilled, taking)) == 300
        )
        assert {each.fee_currency for each in bench.of(OrderFilled, taking)} == {"BTC"}
        killed = bench.place("buy", bid - 50_000, 300, ioc=True)
        assert (await bench.told(OrderDone, killed)).status == "expired"
        crossing = bench.place("buy", ask + 50_000, 300, post_only=True)
        assert (await bench.told(OrderRejected, crossing)).code == "POST_ONLY"
        poor = bench.place("sell", ask + 90_000, 2_000_000)
        assert (await bench.told(OrderRejected, poor)).code == "INSUFFICIENT_FUNDS"
        bench.query_trades(accepted.exchange_ns)
        trades = (await bench.told(AccountTrades)).trades
        assert {each.client_id for each in trades} == {taking.client_id}
        assert {each.side for each in trades} == {"buy"}
        assert not bench.of(OrderAccepted, crossing)
        assert not bench.of(RequestTimedOut)

    on_bench(body)


def test_an_acknowledged_order_that_was_never_placed_is_absent_in_the_end() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.adapter._queries._grace_ns = S // 2
        bench.fault("taken-lost=once")
        order = await soon_over(bench)
        bench.query(order)
        await bench.told(RequestTimedOut, order)  # "not found" is no answer yet
        assert not bench.of(OrderAccepted, order)
        await bench.answer(order)
        states = bench.of(OrderState, order)
        assert [(each.status, each.source) for each in states] == [
            ("not_found", "order"),
            ("not_found", "trades"),
        ]
        assert all(each.exchange_ns > order.expires_ns for each in states)

    on_bench(body)


def test_a_stream_that_does_not_follow_the_answers_is_replaced() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin(watch=StreamWatch(within_ns=S // 2))
        bench.fault("mute=once")
        order = await bench.resting()
        await bench.up(2)
        assert not bench.of(OrderAccepted, order)
        assert (await bench.answer(order)).status == "open"
        bench.cancel(order)
        await bench.told(OrderDone, order)

    on_bench(body)


def test_an_amend_and_a_cancel_that_were_taken_and_not_carried_out() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        order = await bench.resting(300)
        await bench.told(OrderAccepted, order)
        bench.fault("taken-lost=first:2")
        bench.amend(order, order.price_ticks + 1, 200)
        bench.cancel(order)
        await asyncio.sleep(0.3)
        assert not bench.of(OrderAmended)
        assert not bench.of(OrderDone)
        state = await bench.answer(order)
        assert (state.status, state.quantity_lots) == ("open", 300)

    on_bench(body)


@pytest.mark.parametrize("fault", ["unknown-executed", "http-503-executed", "answer-garbled"])
def test_executed_though_the_answer_says_nothing(fault: str) -> None:
    """Also scrtlabs/catalyst#317: timed out, placed again, both filled. It is sent once."""

    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.fault(f"{fault}=once")
        order = await bench.resting()
        await bench.told(RequestTimedOut, order)
        assert not bench.of(OrderRejected, order)
        assert (await bench.answer(order)).status == "open"
        assert len(at_venue(bench, order)) == 1

    on_bench(body)


@pytest.mark.parametrize("fault", ["unknown-lost", "request-lost"])
def test_never_carried_out_is_found_out_only_when_the_venue_may_be_believed(fault: str) -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.adapter._queries._grace_ns = S // 2
        bench.fault(f"{fault}=once")
        order = await soon_over(bench)
        await bench.told(RequestTimedOut, order)
        state = await bench.answer(order)
        assert state.status == "not_found"
        assert state.exchange_ns > order.expires_ns + S // 2
        assert not at_venue(bench, order)

    on_bench(body)


@pytest.mark.parametrize(
    "fault",
    [
        "event-first=always",
        "answer-first=always",
        "event-duplicated=always",
        "event-reordered=every:2",
    ],
)
def test_answers_and_events_in_any_order_and_twice(fault: str) -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bid, ask = await bench.touch()
        resting = bench.place("buy", bid - 50_000, 100, post_only=True)
        taking = bench.place("buy", ask + 50_000, 300, ioc=True)
        await bench.told(OrderAccepted, resting)
        bench.cancel(resting)
        await bench.told(OrderDone, resting)
        assert (await bench.told(OrderDone, taking)).cumulative_lots == 300
        await until(
            lambda: sum(each.quantity_lots for each in bench.of(OrderFilled, taking)) == 300
        )
        await asyncio.sleep(0.6)
        fills = bench.of(OrderFilled, taking)
        assert sum(fill.quantity_lots for fill in fills) == 300
        for order in (resting, taking):
            assert len(bench.of(OrderAccepted, order)) == 1
            assert len(bench.of(OrderDone, order)) == 1
        assert not bench.of(OrderAmended)
        assert not bench.of(RequestTimedOut)

    on_bench(body, fault)


def test_the_fill_wins_against_the_cancel() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.fault("fill-wins=once", "cancel-unknown=nth:2")
        order, other = await bench.resting(), await bench.resting()
        for each in (order, other):
            await bench.told(OrderAccepted, each)
        bench.cancel(order)
        assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
        assert (await bench.told(OrderDone, order)).status == "filled"
        assert {fill.liquidity for fill in bench.of(OrderFilled, order)} == {"maker"}
        bench.amend(order, order.price_ticks, 50)
        assert (await bench.told(AmendRejected, order)).code == "NOT_FOUND"
        bench.cancel(other)
        assert (await bench.told(CancelRejected, other)).code == "NOT_FOUND"
        assert (await bench.answer(other)).status == "open"

    on_bench(body)


def test_an_unknown_status_halts_and_a_revoked_key_takes_the_venue_down() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.fault("event-unknown-status=once")
        order = await bench.resting()
        assert "PENDING_REVIEW" in (await bench.told(VenueAnomaly, order)).text
        bench.fault("key-revoked=once")
        bench.cancel(order)
        await until(lambda: not bench.of(VenueStatus)[-1].up or bench.of(VenueStatus)[-1].blind)
        assert "10003" in bench.of(VenueStatus)[-1].reason

    on_bench(body)


def test_too_many_requests_wait_as_long_as_the_venue_says() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.fault("too-many-requests=once,on=order.place,for=1")
        order = await bench.resting()
        assert (await bench.told(OrderRejected, order)).code == "RATE_LIMIT"
        held = await bench.resting()
        assert "held back" in (await bench.told(OrderRejected, held)).text
        await asyncio.sleep(1.2)
        later = await bench.resting()
        await bench.told(OrderAccepted, later)

    on_bench(body)


def test_orders_go_over_rest_while_there_is_no_websocket_for_them() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        bench.adapter.entry.drop("for the test", refused=False)
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.cancel(order)
        await bench.told(OrderDone, order)

    on_bench(body)


def test_after_a_restart_orders_are_known_by_both_ids() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        order = await bench.resting(300)
        accepted = await bench.told(OrderAccepted, order)
        bench.amend(order, order.price_ticks + 7, 250)
        await bench.told(OrderAmended, order)
        await bench.kill()
        bench.reports.clear()
        bench.exchange.fill("demo", SYMBOL, order_id=int(accepted.venue_order_id), lots=100)
        await bench.begin()
        state = await bench.answer(order)
        assert (state.status, state.cumulative_lots) == ("open", 100)
        assert (state.price_ticks, state.quantity_lots) == (order.price_ticks + 7, 250)
        assert sum(each.quantity_lots for each in bench.of(OrderFilled, order)) == 100
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 100)
        assert not bench.of(OrderAmended)

    on_bench(body)


def test_an_amend_that_was_carried_out_unseen_is_asked_about() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        order = await bench.resting(300)
        await bench.told(OrderAccepted, order)
        bench.fault("event-lost=once", "answer-lost=once")
        bench.amend(order, order.price_ticks + 5, 200)
        await bench.told(RequestTimedOut, order)
        await bench.up(1)
        bench.amend(order, order.price_ticks + 5, 200)
        await until(lambda: len(bench.of(RequestTimedOut, order)) == 2)
        state = await bench.answer(order)
        assert (state.price_ticks, state.quantity_lots) == (order.price_ticks + 5, 200)
        amended = await bench.told(OrderAmended, order)
        assert (amended.price_ticks, amended.quantity_lots) == (order.price_ticks + 5, 200)

    on_bench(body)


def test_an_order_of_weeks_ago_is_searched_since_then() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        ours = bench.adapter.ids.find(order.client_id)
        assert ours is not None
        ours.placed_ns, ours.venue_placed_ns = ours.placed_ns - 20 * 86_400 * S, 0
        ours.venue_order_id = ""
        sent: list[tuple[str, str]] = []
        ask = bench.adapter.ask

        async def listening(request: Any) -> Any:  # noqa: ANN401
            sent.append((request.method, str(request.params.get("startTime", ""))))
            return await ask(request)

        nobody = replace(ours, client_id="scabc123run1-9-9")
        search = bench.adapter._dialect._search  # type: ignore[attr-defined]
        found = await search.find(listening, nobody, deep=True)
        assert isinstance(found, Absent)
        assert found.trades_too
        methods = [method for method, _ in sent]
        assert methods == ["realtime", *["history"] * 3, *["executions"] * 3]
        starts = [int(start) for method, start in sent if method == "history"]
        assert starts[0] <= ours.placed_ns // 1_000_000
        assert {after - before for before, after in pairwise(starts)} == {7 * 86_400_000 + 1}

    on_bench(body)


def test_a_lost_connection_ends_its_upkeep_and_closing_is_for_good() -> None:
    async def body(bench: BybitBench) -> None:
        await bench.begin()
        lost = [bench.adapter.stream.current, bench.adapter.entry.current]
        tasks = [each._task for each in lost]  # type: ignore[union-attr]
        assert all(task is not None and not task.done() for task in tasks)
        bench.server.venues["bybit"].side.streams.cut()  # type: ignore[attr-defined]
        await bench.up(2)
        await until(lambda: all(task.done() for task in tasks))
        await bench.adapter.released()
        rest = bench.adapter._dialect._rest  # type: ignore[attr-defined]
        outcome = await rest.ask(bench.adapter._dialect.probe)
        assert isinstance(outcome, NotSent)
        assert rest._client._pool.links == []

    on_bench(body)
