"""Kraken's adapter on the simulated exchange: orders, their ends, and what it reports of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from kraken_bench import KrakenBench, kraken_bench, kraken_key
from waiting import until

from citadel_micro.adapters.kraken.codes import CALLS
from citadel_micro.core.model.account_events import AccountTrades
from citadel_micro.core.model.events import (
    AmendRejected,
    BalancesUpdated,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.shell.venue.request_budget import SHARES
from citadel_micro.shell.venue.stream_watch import StreamWatch
from citadel_micro.simulator.kraken.names import order_name, trade_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

S = 1_000_000_000


def on(body: Callable[[KrakenBench], Awaitable[None]], *faults: str, start: bool = True) -> None:
    async def main() -> None:
        async with asyncio.timeout(150), kraken_bench(*faults) as bench:
            if start:
                await bench.begin()
            await body(bench)

    asyncio.run(main())


def test_an_order_is_accepted_amended_and_canceled() -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting(300)
        accepted = await bench.told(OrderAccepted, order)
        (theirs,) = bench.exchange.open_orders("demo")
        assert accepted.venue_order_id == order_name(theirs.order_id)
        assert theirs.client_id == bench.theirs(order.client_id)
        assert (theirs.type, theirs.ticks, theirs.lots) == ("LIMIT_MAKER", order.price_ticks, 300)
        bench.amend(order, order.price_ticks + 7, 200)
        amended = await bench.told(OrderAmended, order)
        assert (amended.price_ticks, amended.quantity_lots) == (order.price_ticks + 7, 200)
        found = await bench.answer(order)
        assert (found.status, found.quantity_lots) == ("open", 200)
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 0)
        assert (await bench.answer(order)).status == "canceled"
        assert not bench.of(RequestTimedOut)

    on(body)


def test_a_taker_is_filled_once_with_its_fee_in_quote() -> None:
    async def body(bench: KrakenBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 50_000, 120, ioc=True)
        done = await bench.told(OrderDone, order)
        fills = bench.of(OrderFilled, order)
        theirs = bench.exchange.my_trades("demo", bench.symbol)
        assert (done.status, done.cumulative_lots) == ("filled", 120)
        assert [each.trade_id for each in fills] == [
            trade_name(each.trade_id, maker=False) for each in theirs
        ]
        assert sum(each.quantity_lots for each in fills) == 120
        assert {each.fee_currency for each in fills} == {"USDT"}
        assert [each.fee for each in fills] == [Decimal(each.fee_e8) / 10**8 for each in theirs]
        await until(lambda: bench.of(BalancesUpdated))

        def coins() -> Decimal:
            rows = [row for each in bench.of(BalancesUpdated) for row in each.balances]
            return next(
                (free + used for coin, free, used in rows[::-1] if coin == "BTC"), Decimal(0)
            )

        await until(lambda: coins() == Decimal("10.0012"))

    on(body)


def test_the_rest_of_an_immediate_order_is_canceled() -> None:
    async def body(bench: KrakenBench) -> None:
        for _ in range(30):
            _, ask = await bench.touch()
            order = bench.place("buy", ask, 900_000, ioc=True)
            done = await bench.told(OrderDone, order)
            filled = sum(each.quantity_lots for each in bench.of(OrderFilled, order))
            assert done.status == "canceled"
            if filled:  # nothing, when the market has risen meanwhile
                break
        assert 0 < done.cumulative_lots == filled < 900_000

    on(body)


def test_the_venues_words_for_refusals() -> None:
    async def body(bench: KrakenBench) -> None:
        bid, ask = await bench.touch()
        taker = bench.place("buy", ask + 50_000, 100, post_only=True)
        assert (await bench.told(OrderRejected, taker)).code == "POST_ONLY"
        poor = bench.place("buy", bid - 100, 50_000_000)
        assert (await bench.told(OrderRejected, poor)).code == "INSUFFICIENT_FUNDS"
        tiny = bench.place("buy", bid - 100, 1)
        assert (await bench.told(OrderRejected, tiny)).code == "BELOW_MIN"
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.amend(order, ask + 50_000, 100)
        assert (await bench.told(AmendRejected, order)).code == "POST_ONLY"
        assert bench.exchange.open_orders("demo")[0].ticks == order.price_ticks
        bench.cancel(order)
        await bench.told(OrderDone, order)
        bench.cancel(order)
        assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
        assert bench.exchange.my_trades("demo", bench.symbol) == []

    on(body)


def test_an_order_that_has_expired_is_not_sent() -> None:
    async def body(bench: KrakenBench) -> None:
        bid, _ = await bench.touch()
        late = bench.place("buy", bid - 1_000, 100, window_ns=S // 4)
        assert "expired" in (await bench.told(OrderRejected, late)).text
        assert bench.exchange.all_orders("demo", bench.symbol) == []

    on(body)


def test_the_matching_engine_refuses_after_the_deadline() -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting()
        rejected = await bench.told(OrderRejected, order)
        assert "Deadline elapsed" in rejected.text
        assert bench.exchange.all_orders("demo", bench.symbol) == []

    on(body, "request-delayed=once,for=2.2")


@pytest.mark.parametrize("fault", ["answer-lost", "unknown-executed", "http-503-executed"])
def test_a_lost_answer_is_asked_about_and_the_order_adopted(fault: str) -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting()
        # The stream may tell of it before anybody asks.
        await until(lambda: bench.of(RequestTimedOut, order) or bench.of(OrderAccepted, order))
        assert (await bench.answer(order)).status == "open"
        (theirs,) = bench.exchange.all_orders("demo", bench.symbol)
        assert theirs.client_id == bench.theirs(order.client_id)
        bench.cancel(order)
        await bench.told(OrderDone, order)

    on(body, f"{fault}=once,on=order.place")


def test_an_order_that_never_arrived_is_absent_only_after_its_expiry() -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting()
        await bench.told(RequestTimedOut, order)
        found = await bench.answer(order)
        assert found.status == "not_found"
        # Nobody may be told so before it can no longer arrive, with the queries' own lag.
        assert found.exchange_ns > order.expires_ns + 5 * S
        assert {each.source for each in bench.of(OrderState, order)} == {"order", "trades"}

    on(body, "request-lost=once,on=order.place")


def test_a_lost_answer_of_a_taker_brings_its_fills() -> None:
    async def body(bench: KrakenBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 50_000, 120, ioc=True)
        found = await bench.answer(order)
        assert (found.status, found.cumulative_lots) == ("filled", 120)
        await bench.told(OrderFilled, order)
        assert sum(each.quantity_lots for each in bench.of(OrderFilled, order)) == 120

    on(body, "answer-lost=once,on=order.place", "event-lost=always")


def test_a_survey_lists_orders_and_balances_with_what_they_hold() -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting(300)
        await bench.told(OrderAccepted, order)
        bench.query_venue()
        await until(lambda: bench.of(VenueSnapshot) and bench.of(VenueSnapshot)[-1].open_orders)
        snapshot = bench.of(VenueSnapshot)[-1]
        (shown,) = snapshot.open_orders
        assert (shown.client_id, shown.quantity_lots) == (order.client_id, 300)
        held = bench.exchange.balances("demo")
        assert {coin: (free, used) for coin, free, used in snapshot.balances} == {
            coin: (Decimal(free) / 10**8, Decimal(used) / 10**8)
            for coin, (free, used) in held.items()
        }
        # What an order holds is told as it comes and goes, though the ledger says nothing.
        bench.cancel(order)
        await bench.told(OrderDone, order)

        def used() -> Decimal:
            rows = [row for each in bench.of(BalancesUpdated) for row in each.balances]
            return next(used for coin, _, used in rows[::-1] if coin == "USDT")

        await until(lambda: bench.of(BalancesUpdated) and used() == 0)

    on(body)


def test_trades_of_the_account_carry_the_ids_of_their_orders() -> None:
    async def body(bench: KrakenBench) -> None:
        since_ns = bench.clock.now() - 60 * S
        _, ask = await bench.touch()
        ours = bench.place("buy", ask + 50_000, 120, ioc=True)
        await bench.told(OrderDone, ours)
        bench.exchange.self_trade("demo", bench.symbol, "SELL", 50)
        bench.query_trades(since_ns)
        told = await bench.told(AccountTrades)
        assert [each.client_id == ours.client_id for each in told.trades][-2:] == [False, False]
        assert told.trades[0].client_id == ours.client_id
        assert sum(each.quantity_lots for each in told.trades) == 120 + 2 * 50
        assert len({each.trade_id for each in told.trades}) == len(told.trades)

    on(body)


def test_a_stream_that_falls_mute_is_found_and_replaced() -> None:
    async def main() -> None:
        async with kraken_bench() as bench:
            await bench.begin(watch=StreamWatch(within_ns=S // 2))
            bench.side.venue.faults.extend(["mute=once"])
            order = await bench.resting()
            await bench.up(2)
            assert any("mute" in each.reason for each in bench.of(VenueStatus))
            assert (await bench.answer(order)).status == "open"

    asyncio.run(main())


def test_a_cancel_without_its_event_shows_that_the_stream_is_mute() -> None:
    async def main() -> None:
        async with kraken_bench() as bench:
            await bench.begin(watch=StreamWatch(within_ns=S // 2))
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            await asyncio.sleep(0.1)
            bench.side.venue.faults.extend(["event-lost=once,on=CANCELED"])
            bench.cancel(order)
            await bench.up(2)
            assert (await bench.answer(order)).status == "canceled"

    asyncio.run(main())


def test_too_many_calls_hold_back_no_orders_and_no_cancels() -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.fault("too-many-requests=once,on=account.status")
        bench.query_venue()
        await until(lambda: bench.adapter.budget.used()["calls"][0] >= 19)
        bench.cancel(order)
        assert (await bench.told(OrderDone, order)).status == "canceled"
        other = await bench.resting()
        await bench.told(OrderAccepted, other)

    on(body)


def test_a_restart_knows_its_orders_by_both_ids() -> None:
    async def body(bench: KrakenBench) -> None:
        order = await bench.resting()
        accepted = await bench.told(OrderAccepted, order)
        await bench.kill()
        bench.reports.clear()
        await bench.begin()
        found = await bench.answer(order)
        assert (found.client_id, found.status) == (order.client_id, "open")
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 0)
        assert accepted.venue_order_id in str(bench.rows.values)

    on(body)


def test_a_fill_whose_order_was_not_written_down_in_time_is_ours_all_the_same() -> None:
    """The process ended between the order and the next write of the journal."""

    async def body(bench: KrakenBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 50_000, 50, ioc=True)
        await bench.told(OrderDone, order)
        await bench.kill()
        bench.reports.clear()
        bench.rows.values.clear()
        bench.engine.order_store.children[order.client_id] = None
        await bench.begin()
        bench.query_trades(0)
        told = await bench.told(AccountTrades)
        assert {trade.client_id for trade in told.trades} == {order.client_id}
        found = await bench.answer(order)
        assert (found.status, found.cumulative_lots) == ("filled", 50)
        assert {fill.client_id for fill in bench.of(OrderFilled)} == {order.client_id}

    on(body)


def test_a_search_waits_for_room_in_the_limits_and_does_not_begin_anew() -> None:
    async def body(bench: KrakenBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 50_000, 50, ioc=True)
        await bench.told(OrderDone, order)
        await bench.kill()
        bench.rows.values.clear()
        await bench.begin()
        bench.reports.clear()
        counter = bench.adapter.budget._counters[CALLS]
        counter.roll(bench.adapter.clock.venue_ns())
        # Enough to find the order, and not to read its trade as well.
        counter.used = SHARES["query"] * counter.limit - 2
        bench.query(order)
        await until(lambda: bench.of(OrderState) or bench.of(RequestTimedOut))
        assert bench.of(RequestTimedOut) == []
        (found,) = bench.of(OrderState)
        assert (found.status, found.cumulative_lots) == ("filled", 50)

    on(body)


def test_the_timer_is_armed_and_disarmed_at_the_end() -> None:
    async def body(bench: KrakenBench) -> None:
        assert (
            not bench.adapter.dead_man.armed
        )  # it would cancel orders of others, which nobody has counted
        bench.query_venue()
        await until(lambda: bench.adapter.dead_man.armed)
        await until(lambda: any(each.dms_armed for each in bench.of(VenueStatus)))
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.adapter.close()  # nobody renews it any more, and an order is left
        await bench.adapter.released()
        assert len(bench.exchange.open_orders("demo")) == 1

    on(body)


def test_a_wrong_secret_is_the_keys_fault() -> None:
    async def body(bench: KrakenBench) -> None:
        bench.make(key=replace(kraken_key(), secret=Secret("c2VjcmV0c2VjcmV0")))
        await until(lambda: "Invalid signature" in bench.of(VenueStatus)[-1].reason)
        assert not any(each.up for each in bench.of(VenueStatus))

    on(body, start=False)


def test_a_key_that_is_revoked_shows_with_the_next_order() -> None:
    async def body(bench: KrakenBench) -> None:
        bench.side.venue.ring.revoke(kraken_key().id.reveal())
        order = await bench.resting()
        assert "Invalid session" in (await bench.told(OrderRejected, order)).text
        # The connection is given up, and nobody gets another token.
        await until(lambda: bench.adapter.entry.current is None)
        again = await bench.resting()
        await bench.told(OrderRejected, again)
        bench.side.streams.cut()
        await until(lambda: "Invalid key" in bench.of(VenueStatus)[-1].reason)
        assert not bench.of(VenueStatus)[-1].up or bench.of(VenueStatus)[-1].blind
        assert bench.exchange.all_orders("demo", bench.symbol) == []

    on(body)
