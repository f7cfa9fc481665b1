"""OKX's order adapter at the simulated exchange: orders, amends, faults, unknown outcomes, the timer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from okx_kit import SYMBOL, OkxBench, okx_bench, our_key, our_rules, side_of
from waiting import until

from citadel_micro.adapters.okx.orders import okx_adapter, okx_dialect
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
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.venue.stream_watch import StreamWatch
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey

S = 1_000_000_000


def run(body: Callable[[OkxBench], Awaitable[None]], *faults: str) -> None:
    async def main() -> None:
        async with okx_bench(*faults) as bench:
            await bench.begin()
            await body(bench)

    asyncio.run(main())


def test_an_order_is_placed_amended_and_canceled() -> None:
    async def body(bench: OkxBench) -> None:
        order = await bench.resting()
        accepted = await bench.told(OrderAccepted, order)
        (resting,) = bench.exchange.open_orders("demo")
        assert accepted.venue_order_id == str(resting.order_id)
        # Ours in letters and digits alone, and back again.
        assert resting.client_id == "scabc123run1Z1Z1"
        bench.amend(order, order.price_ticks - 100, 200)
        amended = await bench.told(OrderAmended, order)
        (resting,) = bench.exchange.open_orders("demo")
        assert (amended.price_ticks, amended.quantity_lots) == (resting.ticks, resting.lots)
        assert str(resting.order_id) == accepted.venue_order_id
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 0)
        assert len(bench.of(OrderAccepted, order)) == 1

    run(body)


def test_a_taker_and_a_maker_fill() -> None:
    async def body(bench: OkxBench) -> None:
        _, ask = await bench.touch()
        taker = bench.place("buy", ask + 50_000, 100, ioc=True)
        assert (await bench.told(OrderDone, taker)).status == "filled"
        fill = bench.of(OrderFilled, taker)[0]
        assert (fill.liquidity, fill.fee_currency) == ("taker", "BTC")
        maker = await bench.resting()
        await bench.told(OrderAccepted, maker)
        (resting,) = bench.exchange.open_orders("demo")
        bench.exchange.fill("demo", SYMBOL, order_id=resting.order_id)
        side_of(bench.server).settle()
        assert (await bench.told(OrderDone, maker)).status == "filled"
        assert bench.of(OrderFilled, maker)[0].liquidity == "maker"
        bench.query_venue()
        told = {c: (f, u) for c, f, u in (await bench.told(VenueSnapshot)).balances}
        for coin in ("BTC", "USDT"):
            assert sum(told[coin]) * 10**8 == sum(bench.exchange.balances("demo")[coin])
        bench.query_trades(0)
        trades = (await bench.told(AccountTrades)).trades
        assert [each.client_id for each in trades] == [taker.client_id, maker.client_id]

    run(body)


def test_a_post_only_order_that_would_take_is_rejected_though_it_was_acknowledged() -> None:
    async def body(bench: OkxBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 50_000, 100, post_only=True)
        assert (await bench.told(OrderRejected, order)).code == "POST_ONLY"
        assert not bench.of(OrderAccepted, order)
        # Asked, the venue calls it canceled: that is an end too.
        assert (await bench.answer(order)).status == "canceled"
        resting = await bench.resting()
        await bench.told(OrderAccepted, resting)
        bench.amend(resting, ask + 50_000, 100)
        assert (await bench.told(AmendRejected, resting)).code == "POST_ONLY"
        assert (await bench.answer(resting)).price_ticks == resting.price_ticks

    run(body)


def test_what_the_venue_rejects_is_rejected_with_its_reason() -> None:
    async def body(bench: OkxBench) -> None:
        bid, _ = await bench.touch()
        poor = bench.place("buy", bid - 50_000, 10_000_000)
        assert (await bench.told(OrderRejected, poor)).code == "INSUFFICIENT_FUNDS"
        absent = replace(poor, client_id="scabc123run1-9-9")
        bench.cancel(absent)
        assert (await bench.told(CancelRejected, absent)).code == "NOT_FOUND"

    run(body)


@pytest.mark.parametrize(
    "fault", ["answer-lost=once", "unknown-executed=once", "http-503-executed=once"]
)
def test_an_order_whose_answer_is_lost_is_found(fault: str) -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("event-lost=first:1,on=NEW", fault)
        order = await bench.resting()
        assert (await bench.told(RequestTimedOut, order)).request == "place"
        state = await bench.answer(order)
        assert state.status == "open"
        (resting,) = bench.exchange.open_orders("demo")
        ours = bench.adapter.ids.find(order.client_id)
        assert ours is not None
        assert ours.venue_order_id == str(resting.order_id)

    run(body)


def test_an_order_that_never_came_is_absent_only_after_its_expiry() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("request-lost=once")
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 50_000, 100, window_ns=S // 2)
        await bench.told(RequestTimedOut, order)
        bench.query(order)
        await until(lambda: len(bench.of(RequestTimedOut, order)) > 1)  # not yet
        ours = bench.adapter.ids.find(order.client_id)
        assert ours is not None
        ours.expires_ns -= 11 * S  # as if the back end's 10 s had passed
        absent = await bench.answer(order)
        assert absent.status == "not_found"
        assert {each.source for each in bench.of(OrderState, order)} == {"order", "trades"}

    run(body)


def test_a_late_request_is_refused_by_its_expiry() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("request-delayed=once,for=1")
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 50_000, 100, window_ns=S // 2)
        assert "50102" in (await bench.told(OrderRejected, order)).text
        assert not bench.exchange.open_orders("demo")

    run(body)


def test_a_lie_about_a_status_halts_the_symbol() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("event-unknown-status=once,on=NEW")
        await bench.resting()
        await until(lambda: any(type(each).__name__ == "VenueAnomaly" for each in bench.reports))

    run(body)


def test_a_fill_after_a_confirmed_cancel_is_passed_on() -> None:
    async def body(bench: OkxBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.fault("fill-after-cancel=once,for=0.1")
        bench.cancel(order)
        assert (await bench.told(OrderDone, order)).status == "canceled"
        fill = await bench.told(OrderFilled, order)
        assert fill.quantity_lots == order.quantity_lots

    run(body)


def test_a_total_that_shrinks_is_passed_on_with_its_fill() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("total-shrinks=always")
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 50_000, 100, ioc=True)
        fill = await bench.told(OrderFilled, order)
        assert fill.cumulative_lots < fill.quantity_lots

    run(body)


@pytest.mark.parametrize("fault", ["cancel-unknown=once", "fill-wins=once"])
def test_a_cancel_that_finds_nothing_is_no_end(fault: str) -> None:
    async def body(bench: OkxBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.fault(fault)
        bench.cancel(order)
        assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
        wanted = "open" if fault.startswith("cancel") else "filled"
        assert (await bench.answer(order)).status == wanted

    run(body)


@pytest.mark.parametrize("fault", ["overloaded=once", "unknown-lost=once", "answer-garbled=once"])
def test_an_answer_that_proves_nothing_leaves_the_order_unknown(fault: str) -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault(fault)
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 50_000, 100)
        assert (await bench.told(RequestTimedOut, order)).request == "place"
        assert not bench.of(OrderRejected, order)

    run(body)


def test_a_rate_limit_holds_back_for_the_venues_window_and_no_longer() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("too-many-requests=once")
        order = await bench.resting()
        assert (await bench.told(OrderRejected, order)).code == "RATE_LIMIT"
        wait_ns = bench.adapter.budget.wait_ns("place", {}, bench.adapter.clock.venue_ns())
        assert 0 < wait_ns <= 2 * S

    run(body)


def test_too_many_orders_hold_back_orders_and_no_cancels() -> None:
    async def body(bench: OkxBench) -> None:
        resting = await bench.resting()
        await bench.told(OrderAccepted, resting)
        bench.fault("too-many-orders=once")
        order = await bench.resting()
        refused = await bench.told(OrderRejected, order)
        assert refused.code == "RATE_LIMIT"
        assert "50061" in refused.text
        bench.cancel(resting)
        assert (await bench.told(OrderDone, resting)).status == "canceled"

    run(body)


def test_a_suspended_instrument_takes_no_orders() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("halt=once,for=5")
        order = await bench.resting()
        assert "51022" in (await bench.told(OrderRejected, order)).text

    run(body)


def test_a_mute_stream_is_found_and_opened_again() -> None:
    async def main() -> None:
        async with okx_bench() as bench:
            await bench.begin(watch=StreamWatch(within_ns=S // 2))
            bench.fault("mute=once")
            order = await bench.resting()
            await until(lambda: len(bench.statuses()) > 2 and bench.statuses()[-1])
            assert (await bench.answer(order)).status == "open"
            bench.cancel(order)  # over the new one it is heard
            assert (await bench.told(OrderDone, order)).status == "canceled"

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["session-cut=once", "stream-terminated=once"])
def test_a_cut_connection_comes_back_with_what_was_missed(fault: str) -> None:
    async def body(bench: OkxBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.fault(fault)
        bench.query_venue()
        await until(lambda: len(bench.statuses()) > 3 and bench.statuses()[-1])
        assert (await bench.answer(order)).status == "open"

    run(body)


def test_a_notice_of_the_venue_replaces_the_connection_before_it_closes() -> None:
    async def body(bench: OkxBench) -> None:
        bench.fault("server-shutdown=once,for=3")
        before = bench.adapter.stream.opened
        bench.query_venue()
        await until(lambda: bench.adapter.stream.opened > before)
        assert bench.statuses()[-1]

    run(body)


def test_a_revoked_key_ends_both_connections() -> None:
    async def body(bench: OkxBench) -> None:
        side_of(bench.server).venue.ring.revoke(our_key().id.reveal())
        order = await bench.resting()
        assert "60032" in (await bench.told(OrderRejected, order)).text
        await until(lambda: not bench.statuses()[-1])
        assert "60032" in bench.of(VenueStatus)[-1].reason

    run(body)


def test_orders_go_over_rest_while_there_is_no_websocket() -> None:
    async def body(bench: OkxBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        await bench.adapter.entry.close()
        bench.cancel(order)
        assert (await bench.told(OrderDone, order)).status == "canceled"

    run(body)


def test_the_timer_is_armed_for_our_tag_alone_and_stopped_in_the_end() -> None:
    async def main() -> None:
        async with okx_bench() as bench:
            await bench.begin(timer_ns=10 * S)
            await until(lambda: bench.adapter.dead_man.armed)
            trading = side_of(bench.server).trading
            assert list(trading._due) == [("demo", "scokx001")]
            bench.fault("foreign-order=once")  # of the website: no tag of ours
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            assert len(bench.exchange.open_orders("demo")) == 2
            trading._due["demo", "scokx001"] = bench.exchange.now_ns
            assert (await bench.told(OrderDone, order)).status == "canceled"
            (left,) = bench.exchange.open_orders("demo")
            assert left.client_id.startswith("web_")
            await bench.adapter.released()
            assert not trading._due

    asyncio.run(main())


def test_an_account_that_may_borrow_is_not_traded_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with okx_bench() as bench:
            method = side_of(bench.server).service.methods["account.config"]
            rows = method.answer
            changed = replace(method, answer=lambda call: [rows(call)[0] | {"acctLv": "3"}])
            monkeypatch.setitem(side_of(bench.server).service.methods, "account.config", changed)
            begun = asyncio.ensure_future(bench.begin())
            await until(
                lambda: any("multi-currency" in each.reason for each in bench.of(VenueStatus))
            )
            assert all(each.blind for each in bench.of(VenueStatus) if each.up)
            begun.cancel()  # it never comes up
            await asyncio.gather(begun, return_exceptions=True)

    asyncio.run(main())


def test_a_key_without_passphrase_and_a_contract_are_refused() -> None:
    async def main() -> None:
        async with okx_bench() as bench:
            key, clock = our_key(), VenueClock(bench.clock.now)

            def made(rules: Instrument, key: ApiKey) -> None:
                okx_dialect(
                    "okx", {rules.symbol: rules}, key, clock, bench.clock.now,
                    rest_url=bench.server.rest_url, ws_url=bench.server.ws_url,
                )  # fmt: skip

            bare = replace(key, passphrase=type(key.passphrase)(""))
            with pytest.raises(BadInput, match="passphrase"):
                made(bench.rules, bare)
            swap = replace(our_rules(bench.server), symbol="BTC/USDT:USDT", kind="linear")
            with pytest.raises(BadInput, match="neither a spot pair nor a linear perpetual"):
                made(swap, key)
            assert okx_adapter is not None

    asyncio.run(main())
