"""Binance spot's adapter when streams, keys, limits and clocks fail."""

from __future__ import annotations

import asyncio

import pytest
from spot_kit import SYMBOL, S, live_bench
from waiting import until

from citadel_micro.adapters.binance import spot_session
from citadel_micro.core.model.commands import QueryTrades
from citadel_micro.core.model.events import (
    AccountTrades,
    CancelRejected,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.venue.stream_watch import StreamWatch


def test_a_mute_stream_is_noticed_and_replaced() -> None:
    """binance/binance-connector-rust#74: the user stream died, and its connection stayed up."""

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin(watch=StreamWatch(S // 2))
            bench.fault("mute=once,for=0.6")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)  # by the answer
            await until(lambda: bench.statuses() == [False, True, False])
            # Cancels and questions go on meanwhile.
            assert bench.of(VenueStatus)[-1].blind
            assert "mute" in bench.of(VenueStatus)[-1].reason
            await bench.up(2)
            # The new stream tells again.
            other = await bench.resting()
            await bench.told(OrderAccepted, other)
            bench.cancel(other)
            await bench.told(OrderDone, other)
            await asyncio.sleep(1.0)
            assert bench.statuses() == [False, True, False, True]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fault", "down"),
    [
        ("stream-terminated=once", True),
        ("session-cut=once", True),
        ("server-shutdown=once,for=2", False),
    ],
)
def test_connections_end_and_are_opened_anew(fault: str, *, down: bool) -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            bench.fault(fault)
            order = await bench.resting()
            if down:
                await bench.up(2)
                assert bench.statuses() == [False, True, False, True]
            else:
                # A new one is up before the venue closes the old.
                await until(lambda: bench.adapter.stream.opened == 2)
                await until(lambda: bench.adapter.entry.opened == 2)
                await asyncio.sleep(2.5)
                assert bench.statuses() == [False, True]
            assert (await bench.answer(order)).status == "open"
            bench.cancel(order)
            await bench.told(OrderDone, order)

    asyncio.run(scenario())


def test_a_key_that_is_revoked_takes_the_venue_down_and_is_not_tried_in_a_storm() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("ed25519")
            bench.fault("key-revoked=once")
            await bench.resting()
            await until(lambda: bench.statuses()[-1] is False)
            assert "-2015" in bench.of(VenueStatus)[-1].reason
            opened = (bench.adapter.stream.opened, bench.adapter.entry.opened)
            await asyncio.sleep(1.5)
            assert (bench.adapter.stream.opened, bench.adapter.entry.opened) == opened
            assert bench.statuses() == [False, True, False]

    asyncio.run(scenario())


def test_a_key_that_is_revoked_is_noticed_without_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spot_session, "CHECK_S", 0.3)

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin("hmac")
            bench.fault("key-revoked=once")
            await until(lambda: bench.statuses()[-1] is False)
            assert "-2015" in bench.of(VenueStatus)[-1].reason

    asyncio.run(scenario())


def test_the_venues_limits_hold_back_everything() -> None:
    """hummingbot/hummingbot#1291: 429 was ignored until 418 came. All sends wait."""

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.fault("too-many-requests=once,for=1")
            refused = await bench.resting()
            assert (await bench.told(OrderRejected, refused)).code == "RATE_LIMIT"
            counted = bench.adapter.budget.used()
            for _ in range(5):
                bench.cancel(order)
                bench.query(order)
            rejected = await bench.told(CancelRejected, order, 5)
            assert rejected.code == "RATE_LIMIT"
            assert bench.adapter.budget.used() == counted  # nothing was sent
            await asyncio.sleep(1.2)
            bench.cancel(order)
            await bench.told(OrderDone, order)

    asyncio.run(scenario())


def test_a_ban_is_reported_and_waited_out() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("banned=once")
            refused = await bench.resting()
            assert (await bench.told(OrderRejected, refused)).code == "RATE_LIMIT"
            await until(lambda: bench.statuses()[-1] is False)
            assert "shut out" in bench.of(VenueStatus)[-1].reason
            # Nor is a new connection made meanwhile.
            bench.adapter.stream.drop("cut")
            await asyncio.sleep(1.5)
            assert bench.adapter.stream.opened == 1

    asyncio.run(scenario())


def test_too_many_orders_hold_back_orders_and_not_cancels() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            standing = await bench.resting()
            await bench.told(OrderAccepted, standing)
            bench.fault("too-many-orders=once,for=0.2")
            refused = await bench.resting()
            assert (await bench.told(OrderRejected, refused)).code == "RATE_LIMIT"
            bench.cancel(standing)  # which no limit of new orders holds back
            await bench.told(OrderDone, standing)

    asyncio.run(scenario())


def test_a_clock_that_the_venue_refuses_is_measured_anew() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.fault("clock-skew=once,on=order.place,for=10")
            late = await bench.resting()
            rejected = await bench.told(OrderRejected, late)
            assert "-1021" in rejected.text
            assert rejected.code == "OTHER"
            await until(lambda: bench.adapter.entry.opened == 2)

    asyncio.run(scenario())


def test_a_stream_that_is_mute_about_others_is_noticed_too() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin(watch=StreamWatch(S // 2))
            await asyncio.sleep(0.3)
            bench.fault("mute=once,for=2")
            # By hand, on the venue's own page.
            bench.exchange.deposit("demo", "USDT", 10**8)
            bench.server.spot.settle()
            for count in (1, 2):
                bench.query_venue()
                await bench.told(VenueSnapshot, count=count)
            await until(lambda: bench.statuses() == [False, True, False])
            assert "nothing since" in bench.of(VenueStatus)[-1].reason
            await bench.up(2)

    asyncio.run(scenario())


def test_the_accounts_trades_have_the_client_ids_of_their_orders() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            begin_ns = bench.adapter.clock.venue_ns()
            _, ask = await bench.touch()
            ours = bench.place("buy", ask + 50_000, 200, ioc=True)
            await bench.told(OrderDone, ours)
            bench.fault("self-trade=once")
            other = await bench.resting()
            await bench.told(OrderFilled, other)
            # Nothing is remembered of either: both are looked up.
            await bench.kill()
            bench.rows.values.clear()
            told = [(f.trade_id, f.client_id) for f in bench.of(OrderFilled)]
            bench.reports.clear()
            await bench.begin()
            command = QueryTrades(venue="binance-spot", symbol=SYMBOL, since_ns=begin_ns - S)
            bench.adapter.submit(command, bench.clock.now())
            answer = await bench.told(AccountTrades)
            assert answer.since_ns == begin_ns - S
            assert answer.exchange_ns >= begin_ns
            found = {(trade.trade_id, trade.client_id) for trade in answer.trades}
            assert set(told) <= found
            sides = {t.client_id: t.side for t in answer.trades}
            assert sides[ours.client_id] == "buy"
            for trade in answer.trades:
                assert trade.quantity_lots > 0
                assert trade.fee_currency in {"BTC", "USDT"}

    asyncio.run(scenario())


def test_fills_that_the_stream_never_reported_are_found_by_asking() -> None:
    """QuantConnect/Lean#5972: the fill's event never came."""

    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin(watch=StreamWatch(60 * S))
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            await asyncio.sleep(0.3)
            bench.fault("mute=once,for=1")
            venue_id = int(bench.of(OrderAccepted, order)[-1].venue_order_id)
            bench.exchange.fill("demo", SYMBOL, order_id=venue_id, lots=40)
            bench.server.spot.settle()
            await asyncio.sleep(0.2)
            assert not bench.of(OrderFilled, order)
            state = await bench.answer(order)
            assert (state.status, state.cumulative_lots) == ("open", 40)
            fills = bench.of(OrderFilled, order)
            assert [fill.quantity_lots for fill in fills] == [40]
            assert fills[0].liquidity == "maker"
            # Its fill comes before the statement that counts it.
            kinds = [type(each) for each in bench.reports]
            assert kinds.index(OrderFilled) < len(kinds) - 1 - kinds[::-1].index(OrderState)

    asyncio.run(scenario())
