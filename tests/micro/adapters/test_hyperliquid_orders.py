"""Hyperliquid's order adapter at the simulated exchange, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hyper_kit import COIN, RULES, SYMBOL, hyper_bench, hyper_key, info
from waiting import until

from citadel_micro.adapters.hyperliquid.cancel_desk import HyperCancelDesk
from citadel_micro.adapters.hyperliquid.orders import hyper_adapter
from citadel_micro.core.model.commands import CancelOrder
from citadel_micro.core.model.events import (
    AccountTrades,
    AmendRejected,
    CancelRejected,
    FundingDue,
    MarginTerms,
    MarkPrice,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
    RequestTimedOut,
    VenueAnomaly,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.shell.venue.stream_watch import StreamWatch
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyper_kit import HyperBench

S = 1_000_000_000


def run(body: Callable[[HyperBench], Awaitable[None]], *faults: str, **settings: Any) -> None:  # noqa: ANN401 - of ``make``
    async def main() -> None:
        async with hyper_bench() as bench:
            await bench.begin(**settings)
            bench.side.venue.faults.extend(faults)
            await body(bench)

    asyncio.run(main())


def test_an_order_is_placed_and_canceled() -> None:
    async def body(bench: HyperBench) -> None:
        terms = await bench.told(MarginTerms)
        assert (terms.symbol, terms.mode, terms.leverage) == (SYMBOL, "isolated", 5)
        assert terms.tiers[0].max_leverage == 125
        mark = await bench.told(MarkPrice)
        assert mark.mark > 0
        assert 0 < mark.next_funding_ns - mark.exchange_ns <= 3_600 * S
        order = await bench.resting()
        accepted = await bench.told(OrderAccepted, order)
        (row,) = await info(bench.server, "openOrders", user=hyper_key().account)
        assert (str(row["oid"]), row["coin"]) == (accepted.venue_order_id, COIN)
        assert row["cloid"] == bench.adapter.ids.theirs(order.client_id)
        assert (await bench.answer(order)).status == "open"
        bench.amend(order, order.price_ticks + 10, 150)
        assert (await bench.told(AmendRejected, order)).code == "OTHER"
        bench.cancel(order)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("canceled", 0)
        bench.cancel(order)
        assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"

    run(body)


def test_a_short_is_opened_and_closed_reduce_only() -> None:
    async def body(bench: HyperBench) -> None:
        bid, ask = await bench.touch()
        order = bench.place("sell", bid - 5_000, 50, ioc=True)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("filled", 50)
        fills = await _fills(bench, order, 50)
        assert {fill.fee_currency for fill in fills} == {"USDC"}
        assert {fill.liquidity for fill in fills} == {"taker"}
        bench.query_venue()
        snapshot = await bench.told(VenueSnapshot)
        assert snapshot.positions is not None
        assert dict(snapshot.positions)[SYMBOL] == -RULES.quantity(50)
        assert dict(snapshot.isolated)[SYMBOL] > 0
        (_, free, used) = snapshot.balances[0]
        assert (free + used) * 10**8 == sum(bench.exchange.balances("demo")["USDC"])
        exit_ = bench.place("buy", ask + 5_000, 50, ioc=True, reduce_only=True)
        assert (await bench.told(OrderDone, exit_)).cumulative_lots == 50
        more = bench.place("buy", ask + 5_000, 50, ioc=True, reduce_only=True)
        assert (await bench.told(OrderRejected, more)).code == "NOTHING_TO_REDUCE"

    run(body)


async def _fills(bench: HyperBench, order: Any, lots: int) -> list[OrderFilled]:  # noqa: ANN401 - PlaceOrder
    await until(lambda: sum(f.quantity_lots for f in bench.of(OrderFilled, order)) == lots)
    return bench.of(OrderFilled, order)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"side": "buy", "above": 300, "post_only": True}, "POST_ONLY"),
        ({"side": "buy", "above": -300, "lots": 1}, "BELOW_MIN"),
        ({"side": "buy", "above": -75_000}, "BAD_PRICE"),
        ({"side": "buy", "above": -300, "lots": 10_000_000}, "INSUFFICIENT_FUNDS"),
    ],
)
def test_what_the_venue_refuses_is_reported_with_its_reason(
    change: dict[str, Any], code: str
) -> None:
    async def body(bench: HyperBench) -> None:
        _, ask = await bench.touch()
        order = bench.place(
            change["side"],
            ask + change["above"],
            change.get("lots", 100),
            post_only=change.get("post_only", False),
        )
        assert (await bench.told(OrderRejected, order)).code == code
        assert not bench.exchange.open_orders("demo")

    run(body)


def test_an_immediate_order_that_meets_nothing_ends_without_being_rejected() -> None:
    async def body(bench: HyperBench) -> None:
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 5_000, 100, ioc=True)
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("expired", 0)
        await bench.told(OrderAccepted, order)  # the stream names it
        assert len(bench.of(OrderDone, order)) == 1
        assert not bench.of(OrderRejected)
        assert await _stays_up(bench, 1.5)

    run(body, watch=StreamWatch(within_ns=S))


async def _stays_up(bench: HyperBench, seconds: float) -> bool:
    """No stream is taken for mute."""
    await asyncio.sleep(seconds)
    return bench.statuses().count(False) <= 1


@pytest.mark.parametrize(
    "fault",
    ["answer-lost=once", "unknown-executed=once", "http-503-executed=once", "answer-garbled=once"],
)
def test_an_order_without_a_readable_answer_is_unknown_and_found(fault: str) -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        await until(
            lambda: bool(bench.of(RequestTimedOut, order) or bench.of(OrderAccepted, order))
        )
        assert (await bench.answer(order)).status == "open"
        assert len(bench.exchange.open_orders("demo")) == 1
        assert not bench.of(OrderRejected)

    run(body, f"{fault},on=order.place")


def test_an_order_that_never_arrived_is_absent_only_after_its_expiry() -> None:
    async def body(bench: HyperBench) -> None:
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 5_000, 100, window_ns=S // 5)
        state = await bench.answer(order)
        assert state.status == "not_found"
        # Five seconds for servers that lag behind the chain.
        assert bench.clock.now() - order.expires_ns > 5 * S
        assert not bench.exchange.all_orders("demo", "BTC/USDC")

    run(body, "request-lost=first:1,on=order.place")


def test_an_expired_action_is_refused_by_the_venue() -> None:
    async def body(bench: HyperBench) -> None:
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 5_000, 100, window_ns=S)
        rejected = await bench.told(OrderRejected, order)
        assert "expired" in rejected.text
        assert not bench.exchange.all_orders("demo", "BTC/USDC")

    run(body, "request-delayed=once,on=order.place,for=1.5")


def test_an_order_too_late_to_send_is_void() -> None:
    async def body(bench: HyperBench) -> None:
        bid, _ = await bench.touch()
        order = bench.place("buy", bid - 5_000, 100, window_ns=-1)
        assert "expired" in (await bench.told(OrderRejected, order)).text

    run(body)


def test_fills_that_the_stream_loses_are_found_by_a_query() -> None:
    async def body(bench: HyperBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 5_000, 50, ioc=True)
        await bench.told(OrderDone, order)
        state = await bench.answer(order)
        assert (state.status, state.cumulative_lots) == ("filled", 50)
        await _fills(bench, order, 50)

    run(body, "event-lost=always")


def test_a_cancel_that_loses_to_a_fill() -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.cancel(order)
        assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
        done = await bench.told(OrderDone, order)
        assert (done.status, done.cumulative_lots) == ("filled", 100)
        assert {fill.liquidity for fill in await _fills(bench, order, 100)} == {"maker"}

    run(body, "fill-wins=once")


def test_an_unknown_status_halts_the_symbol() -> None:
    async def body(bench: HyperBench) -> None:
        await bench.resting()
        assert "PENDING_REVIEW" in (await bench.told(VenueAnomaly)).text

    run(body, "event-unknown-status=once")


def test_a_mute_stream_is_opened_again() -> None:
    async def body(bench: HyperBench) -> None:
        await bench.resting()
        await until(lambda: any(each.blind for each in bench.of(VenueStatus)[3:]))
        bench.side.venue.faults.clear()
        await bench.up(2)

    run(body, "mute=always", watch=StreamWatch(within_ns=S // 2))


def test_a_revoked_api_wallet_ends_both_connections() -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        rejected = await bench.told(OrderRejected, order)
        assert wallet_of("demo").agent.key_id in rejected.text
        await until(lambda: bench.adapter.stream.current is None)
        assert not bench.of(VenueStatus)[-1].up or bench.of(VenueStatus)[-1].blind

    run(body, "key-revoked=once,on=order.place")


def test_an_address_that_has_used_up_its_requests_holds_orders_back_and_may_cancel() -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        allowance = bench.side.allowance
        allowance.first = allowance.used["demo"]
        second = await bench.resting()
        assert (await bench.told(OrderRejected, second)).code == "RATE_LIMIT"
        third = await bench.resting()
        assert "held back" in (await bench.told(OrderRejected, third)).text
        bench.cancel(order)
        assert (await bench.told(OrderDone, order)).status == "canceled"

    run(body)


def test_orders_and_fills_of_an_earlier_run_are_ours() -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        await bench.kill()
        bench.reports.clear()
        await bench.begin()
        bench.query_venue()
        snapshot = await bench.told(VenueSnapshot)
        assert [row.client_id for row in snapshot.open_orders] == [order.client_id]
        bench.cancel(order)
        assert (await bench.told(OrderDone, order)).status == "canceled"

    run(body)


def test_a_fill_whose_order_was_not_written_down_in_time_is_ours_all_the_same() -> None:
    """The process ended between the order and the next write of the journal."""

    async def body(bench: HyperBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 5_000, 50, ioc=True)
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

    run(body)


def test_trades_carry_the_ids_of_their_orders_and_others_are_named_by_the_venue() -> None:
    async def body(bench: HyperBench) -> None:
        _, ask = await bench.touch()
        order = bench.place("buy", ask + 5_000, 50, ioc=True)
        await bench.told(OrderDone, order)
        from citadel_micro.sim.exchange.model import OrderRequest  # noqa: PLC0415 - only here

        foreign = bench.exchange.place(
            "demo",
            OrderRequest(
                symbol="BTC/USDC", side="BUY", type="MARKET", quantity_e8=100_000, origin="foreign"
            ),
        )
        bench.query_trades(0)
        told = await bench.told(AccountTrades)
        names = {trade.client_id for trade in told.trades}
        assert names == {order.client_id, f"oid:{foreign.order.order_id}"}

    run(body)


def test_funding_and_liquidation_are_reported() -> None:
    async def body(bench: HyperBench) -> None:
        _, ask = await bench.touch()
        bench.place("buy", ask + 5_000, 50, ioc=True)
        await until(lambda: bench.exchange.position("demo", "BTC/USDC").lots == 50)
        bench.exchange.fund("BTC/USDC", 10_000)
        due = await bench.told(FundingDue)
        bench.query_trades(0)
        told = await bench.told(AccountTrades)
        (payment,) = told.funding
        assert payment.amount < 0
        assert payment.exchange_ns == due.exchange_ns
        bench.exchange.close_out("demo", "BTC/USDC", "liquidation")
        await until(lambda: any(f.client_id.startswith("liquidation:") for f in _all(bench)))

    run(body)


def _all(bench: HyperBench) -> list[OrderFilled]:
    return bench.of(OrderFilled)


def test_the_timer_is_armed_where_the_account_may() -> None:
    async def main() -> None:
        async with hyper_bench() as bench:
            bench.side.allowance.timer_e8 = bench.side.allowance.soonest_ms = 0
            await bench.begin(timer_ns=3 * S // 2)
            bench.query_venue()  # it would cancel others' orders as well: are there any?
            await until(lambda: bench.of(VenueStatus)[-1].dms_armed)
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            await bench.kill_connections()
            await until(lambda: not bench.exchange.open_orders("demo"))
            (row,) = await info(bench.server, "historicalOrders", user=hyper_key().account)
            assert row["status"] == "scheduledCancel"

    asyncio.run(main())


def test_a_perpetual_that_is_not_listed_any_more_does_not_shut_out_the_others() -> None:
    async def main() -> None:
        async with hyper_bench() as bench:
            setup = bench.setup()
            gone = replace(RULES, symbol="OLD/USDC:USDC", venue_symbol="OLD")
            both = replace(setup, instruments={**setup.instruments, gone.symbol: gone})
            bench.setup = lambda: both  # type: ignore[method-assign]
            await bench.begin()
            assert {each.symbol for each in bench.of(MarginTerms)} == {SYMBOL}
            order = await bench.resting()
            assert (await bench.told(OrderAccepted, order)).venue_order_id

    asyncio.run(main())


def test_the_watchdog_lists_and_cancels_with_its_own_wallet() -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        accepted = await bench.told(OrderAccepted, order)
        section = VenueSection.model_construct(
            private_rest_url=f"{bench.server.rest_url}/hyperliquid"
        )
        key = hyper_key("watchdog")
        desk = HyperCancelDesk(CancelAccount(key=key, section=section, now=bench.clock.now))
        try:
            (found,) = await desk.open_orders()
            assert found.client_id == bench.adapter.ids.theirs(order.client_id)
            assert found.venue_order_id == accepted.venue_order_id
            assert await desk.cancel(found) == ""
            assert await desk.open_orders() == []
        finally:
            await desk.close()
        assert (await bench.told(OrderDone, order)).status == "canceled"

    run(body)


def test_a_wallet_of_another_account_is_refused() -> None:
    async def main() -> None:
        async with hyper_bench() as bench:
            bench.make(key=replace(hyper_key(), account=f"0x{'1' * 40}"))
            await until(
                lambda: any("not of 0x1111" in each.reason for each in bench.of(VenueStatus)), 20
            )
            assert not bench.statuses()[-1]

    asyncio.run(main())


def test_an_order_by_an_unknown_id_is_canceled_by_ours() -> None:
    async def body(bench: HyperBench) -> None:
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        bench.adapter.ids.restore({})
        request = bench.adapter._dialect.cancel(
            CancelOrder(venue="hyperliquid", symbol=SYMBOL, client_id=order.client_id), None
        )
        assert request.method == "cancelByCloid"
        await bench.adapter.ask(request)
        assert (await bench.told(OrderDone, order)).status == "canceled"

    run(body)


def test_spot_symbols_and_keys_of_other_kinds_are_refused() -> None:
    async def main() -> None:
        async with hyper_bench() as bench:
            bench.rules = replace(RULES, kind="spot")
            with pytest.raises(BadInput, match="cannot be sent"):
                bench.make()
            bench.rules = RULES
            with pytest.raises(BadInput, match="kind hmac signs nothing"):
                bench.make(key=replace(hyper_key(), kind="hmac"))
            assert hyper_adapter is not None

    asyncio.run(main())
