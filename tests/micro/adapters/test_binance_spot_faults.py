"""Binance spot's adapter under faults of the exchange: no order sent twice, lost or assumed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from spot_kit import SYMBOL, LiveBench, S, live_bench
from waiting import until

from citadel_micro.core.model.events import (
    CancelRejected,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueAnomaly,
)
from citadel_micro.shell.venue import request_socket

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder


def at_venue(bench: LiveBench, order: PlaceOrder) -> list[object]:
    """The exchange's own records under this client id."""
    rows = bench.exchange.all_orders("demo", SYMBOL)
    return [row for row in rows if row.client_id == order.client_id]


@pytest.mark.parametrize("fault", ["unknown-executed", "http-503-executed", "answer-garbled"])
def test_executed_though_the_answer_says_nothing(fault: str) -> None:
    """Also scrtlabs/catalyst#317: timed out, placed again, both filled. It is sent once."""

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault(f"{fault}=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            assert not bench.of(OrderRejected, order)
            state = await bench.answer(order)
            assert state.status == "open"
            assert len(at_venue(bench, order)) == 1
            bench.cancel(order)
            await bench.told(OrderDone, order)

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["unknown-lost", "http-503-lost", "request-lost"])
def test_never_carried_out_is_found_out_only_when_the_venue_may_be_believed(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.adapter._queries._grace_ns = S
            bench.fault(f"{fault}=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            if fault == "request-lost":
                await bench.up(1)
            bench.query(order)
            # Before its expiry and the venue's own time the order may yet come.
            await until(
                lambda: any(each.request == "query" for each in bench.of(RequestTimedOut, order))
            )
            assert not bench.of(OrderState, order)
            await bench.answer(order)
            states = bench.of(OrderState, order)
            assert [(each.status, each.source) for each in states] == [
                ("not_found", "order"),
                ("not_found", "trades"),
            ]
            assert all(each.exchange_ns > order.expires_ns + S for each in states)
            assert not at_venue(bench, order)

    del monkeypatch
    asyncio.run(scenario())


def test_a_lost_answer_leaves_the_order_unknown_and_it_is_found() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            bench.fault("answer-lost=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            assert (await bench.answer(order)).status == "open"
            assert len(at_venue(bench, order)) == 1

    asyncio.run(scenario())


def test_an_answer_that_comes_too_late_is_unknown_then_adds_nothing_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_socket, "ANSWER_TIMEOUT_S", 0.3)

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            entry = bench.adapter.entry.current
            assert entry is not None
            entry._socket._answer_timeout_s = 0.3  # type: ignore[attr-defined]
            bench.fault("answer-delayed=once,for=1.5")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            await bench.told(OrderAccepted, order)  # by the stream
            await asyncio.sleep(1.5)
            assert len(bench.of(OrderAccepted, order)) == 1
            assert bench.adapter.entry.current is entry

    asyncio.run(scenario())


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
    """Also ccxt/ccxt#18028: one fill was delivered twice. It counts once."""

    async def scenario() -> None:
        async with live_bench(fault) as bench:
            await bench.begin("ed25519")
            bid, ask = await bench.touch()
            resting = bench.place("buy", bid - 50_000, 100, post_only=True)
            taking = bench.place("buy", ask + 50_000, 300, ioc=True)
            await bench.told(OrderAccepted, resting)
            bench.cancel(resting)
            await bench.told(OrderDone, resting)
            done = await bench.told(OrderDone, taking)
            await until(
                lambda: sum(each.quantity_lots for each in bench.of(OrderFilled, taking)) == 300
            )
            await asyncio.sleep(1.0)
            assert done.cumulative_lots == 300
            fills = bench.of(OrderFilled, taking)
            assert len({fill.trade_id for fill in fills}) == len(fills)
            assert sum(fill.quantity_lots for fill in fills) == 300
            for order in (resting, taking):
                assert len(bench.of(OrderAccepted, order)) == 1
                assert len(bench.of(OrderDone, order)) == 1
            assert not bench.of(RequestTimedOut)

    asyncio.run(scenario())


def test_the_fill_wins_against_the_cancel() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("fill-wins=once")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.cancel(order)
            assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
            assert (await bench.told(OrderDone, order)).status == "filled"
            fills = bench.of(OrderFilled, order)
            assert sum(fill.quantity_lots for fill in fills) == order.quantity_lots
            assert {fill.liquidity for fill in fills} == {"maker"}

    asyncio.run(scenario())


def test_a_cancel_that_finds_nothing_though_the_order_lives() -> None:
    """CoinAlpha/hummingbot#361: cancel said "not found", and the order was still live."""

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("cancel-unknown=once")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.cancel(order)
            assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
            assert (await bench.answer(order)).status == "open"
            assert not bench.of(OrderDone, order)

    asyncio.run(scenario())


def test_an_order_that_was_acknowledged_is_never_not_found() -> None:
    """JKorf/Binance.Net#692: -2013 right after the acknowledgement."""

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.adapter._queries._grace_ns = -10 * S  # whatever may be believed is
            bench.fault("query-lag=once,for=1")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.query(order)
            timed_out = await bench.told(RequestTimedOut, order)
            assert timed_out.request == "query"
            assert (await bench.answer(order)).status == "open"
            assert {each.status for each in bench.of(OrderState, order)} == {"open"}

    asyncio.run(scenario())


def test_a_self_trade_is_two_fills_with_one_trade_id() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("self-trade=once")
            bid, _ = await bench.touch()
            order = bench.place("buy", bid, 200)
            await bench.told(OrderAccepted, order)
            await until(lambda: bench.of(OrderFilled))
            await asyncio.sleep(0.5)
            fills = bench.of(OrderFilled)
            mine = {fill.trade_id for fill in bench.of(OrderFilled, order)}
            others = {fill.trade_id for fill in fills if fill.client_id != order.client_id}
            assert mine & others  # the same trade, in both orders

    asyncio.run(scenario())


def test_a_status_that_nobody_knows_is_never_guessed() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("unknown-status=once")
            order = await bench.resting()
            # Its answer is a puzzle for a person, and its event is clear.
            anomaly = await bench.told(VenueAnomaly, order)
            assert "PENDING_REVIEW" in anomaly.text
            await bench.told(OrderAccepted, order)
            assert (await bench.answer(order)).status == "open"
            bench.fault("event-unknown-status=once,on=CANCELED")
            bench.cancel(order)
            await bench.told(VenueAnomaly, order, 2)
            assert (await bench.told(OrderDone, order)).status == "canceled"  # by its answer

    asyncio.run(scenario())


def test_lies_reach_the_engine() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("fill-after-cancel=once,for=0.2")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.cancel(order)
            assert (await bench.told(OrderDone, order)).status == "canceled"
            fill = await bench.told(OrderFilled, order)
            assert fill.quantity_lots > 0

    asyncio.run(scenario())


def test_a_restart_in_the_middle_goes_on_with_both_ids() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            known = await bench.resting()
            accepted = await bench.told(OrderAccepted, known)
            cancelled = await bench.resting()
            await bench.told(OrderAccepted, cancelled)
            bench.fault("answer-lost=once")
            lost = await bench.resting()
            await until(lambda: at_venue(bench, lost))
            # Gone before the answer, and before anything of the third was written but its name.
            await bench.kill()
            foreign = bench.exchange.cancel("demo", SYMBOL, client_id=cancelled.client_id)
            assert foreign is not None
            bench.reports.clear()
            await bench.begin()
            ours = bench.adapter.ids.find(known.client_id)
            assert ours is not None
            assert ours.venue_order_id == accepted.venue_order_id
            for order, status in ((known, "open"), (cancelled, "canceled"), (lost, "open")):
                assert (await bench.answer(order)).status == status
            # One of which nothing was written at all is found by its name.
            bench.rows.values.clear()
            await bench.kill()
            bench.reports.clear()
            await bench.begin()
            assert (await bench.answer(known)).status == "open"
            bench.cancel(known)
            assert (await bench.told(OrderDone, known)).status == "canceled"

    asyncio.run(scenario())
