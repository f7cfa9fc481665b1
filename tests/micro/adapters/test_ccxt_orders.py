"""Orders through ccxt's ``binance`` class at the simulated exchange: real ccxt, real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from effort import table
from generic_kit import VENUE, GenericBench, generic_bench
from spot_kit import SYMBOL, S, demo_key
from waiting import until

from citadel_micro.adapters.ccxt import order_session
from citadel_micro.adapters.ccxt.order_errors import refusal_of
from citadel_micro.adapters.ccxt.order_rows import Frame, OrderRow, RowReader, balance_rows
from citadel_micro.adapters.ccxt.order_venue import number, require_spot, sound_class
from citadel_micro.adapters.ccxt.orders import abilities, venue_of
from citadel_micro.core.model.commands import QueryTrades
from citadel_micro.core.model.events import (
    AccountTrades,
    CancelRejected,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueAnomaly,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.venue.facts import Anomaly, OrderFact
from citadel_micro.shell.venue.outcomes import Fate
from citadel_micro.shell.venue.stream_watch import StreamWatch
from citadel_proto.errors import BadInput, VenueViolation

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.sim.exchange.model import Fill

HOW = pytest.mark.parametrize("polled", [False, True], ids=["streamed", "polled"])


def at_venue(bench: GenericBench, order: PlaceOrder) -> list[object]:
    """The exchange's own records under this order's name there."""
    name = bench.adapter.ids.theirs(order.client_id)
    return [row for row in bench.exchange.all_orders("demo", SYMBOL) if row.client_id == name]


@HOW
def test_an_order_is_placed_canceled_and_its_balances_reported(*, polled: bool) -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(polled=polled)
            order = await bench.resting(300)
            accepted = await bench.told(OrderAccepted, order)
            assert len(at_venue(bench, order)) == 1
            bench.query_venue()
            snapshot = await bench.told(VenueSnapshot)
            (there,) = snapshot.open_orders
            assert (there.client_id, there.quantity_lots) == (order.client_id, 300)
            held = {currency: (free, used) for currency, free, used in snapshot.balances}
            assert held["BTC"] == (Decimal(10), Decimal(0))
            assert sum(held["USDT"]) == 1_000_000
            assert held["USDT"][1] == bench.rules.notional(order.price_ticks, 300)
            bench.cancel(order)
            done = await bench.told(OrderDone, order)
            assert (done.status, done.cumulative_lots) == ("canceled", 0)
            assert accepted.venue_order_id
            assert len(bench.of(OrderAccepted, order)) == len(bench.of(OrderDone, order)) == 1

    asyncio.run(scenario())


@HOW
def test_a_taker_gets_its_fills_with_their_fees_once(*, polled: bool) -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(polled=polled)
            theirs: list[Fill] = []
            for number in range(1, 31):
                asks = bench.displayed_asks(5)
                lots = sum(size for _, size in asks)
                order = bench.place("buy", asks[-1][0] + 50_000, lots, ioc=True)
                done = await bench.told(OrderDone, order)
                assert (done.status, done.cumulative_lots) == ("filled", lots)
                await until(
                    lambda order=order, lots=lots: (  # type: ignore[misc]
                        sum(each.quantity_lots for each in bench.of(OrderFilled, order)) == lots
                    )
                )
                theirs = bench.exchange.my_trades("demo", SYMBOL)
                if (
                    len(theirs) > number
                ):  # one seller may have had it all: what is shown is of before
                    break
            assert len(theirs) > number
            ours = bench.of(OrderFilled)
            assert sorted(int(each.trade_id) for each in ours) == sorted(
                each.trade_id for each in theirs
            )
            assert sum(each.fee for each in ours) * 10**8 == sum(each.fee_e8 for each in theirs)
            assert {each.fee_currency for each in ours} == {"BTC"}
            await asyncio.sleep(1.2 if polled else 0.2)
            assert len(bench.of(OrderFilled)) == len(theirs)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fault", "polled"),
    table(["unknown-executed", "http-503-executed", "answer-garbled"], [False, True]),
)
def test_executed_though_the_answer_says_nothing(fault: str, *, polled: bool) -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(polled=polled)
            bench.fault(f"{fault}=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            assert not bench.of(OrderRejected, order)
            assert (await bench.answer(order)).status == "open"
            assert len(at_venue(bench, order)) == 1
            bench.cancel(order)
            await bench.told(OrderDone, order)

    asyncio.run(scenario())


def test_a_lost_answer_is_unknown_and_the_order_can_be_canceled_by_its_name() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(watch=StreamWatch(60 * S))
            bench.fault("mute=once,for=0", "answer-lost=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            assert not bench.of(OrderAccepted, order)
            bench.cancel(order)
            done = await bench.told(OrderDone, order)
            assert done.status == "canceled"
            assert len(at_venue(bench, order)) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["unknown-lost", "request-lost"])
def test_never_carried_out_is_believed_only_after_the_grace(fault: str) -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bench.adapter._queries._grace_ns = S // 2
            bench.fault(f"{fault}=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            bench.query(order)
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
            assert all(each.exchange_ns > order.expires_ns + S // 2 for each in states)

    asyncio.run(scenario())


def test_an_order_that_has_filled_meanwhile_is_found_by_its_fills() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(watch=StreamWatch(60 * S))
            bench.fault("mute=once,for=0", "answer-lost=once")
            _, ask = await bench.touch()
            order = bench.place("buy", ask + 50_000, 120, ioc=True)
            await bench.told(RequestTimedOut, order)
            state = await bench.answer(order)
            assert (state.status, state.cumulative_lots) == ("filled", 120)
            assert sum(each.quantity_lots for each in bench.of(OrderFilled, order)) == 120

    asyncio.run(scenario())


@HOW
def test_a_fill_wins_against_a_cancel(*, polled: bool) -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(polled=polled)
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            bench.fault("fill-wins=once")
            bench.cancel(order)
            assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
            done = await bench.told(OrderDone, order)
            assert (done.status, done.cumulative_lots) == ("filled", 100)
            await bench.told(OrderFilled, order)

    asyncio.run(scenario())


def test_a_mute_stream_is_noticed_and_replaced() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin(watch=StreamWatch(S // 2))
            bench.fault("mute=once,for=0.6")
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            await until(lambda: bench.statuses() == [False, True, False])
            assert bench.of(VenueStatus)[-1].blind
            await bench.up(2)
            other = await bench.resting()
            bench.cancel(other)
            await bench.told(OrderDone, other)

    asyncio.run(scenario())


def test_a_stream_that_is_cut_is_opened_anew() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bench.fault("session-cut=once")
            order = await bench.resting()
            await bench.up(2)
            assert bench.statuses() == [False, True, False, True]
            assert (await bench.answer(order)).status == "open"

    asyncio.run(scenario())


def test_a_restart_goes_on_with_both_ids() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            known = await bench.resting()
            accepted = await bench.told(OrderAccepted, known)
            bench.fault("answer-lost=once")
            lost = await bench.resting()
            await until(lambda: at_venue(bench, lost))
            await bench.kill()
            bench.reports.clear()
            await bench.begin()
            ours = bench.adapter.ids.find(known.client_id)
            assert ours is not None
            assert ours.venue_order_id == accepted.venue_order_id
            for order in (known, lost):
                assert (await bench.answer(order)).status == "open"
                bench.cancel(order)
                await bench.told(OrderDone, order)

    asyncio.run(scenario())


def test_a_status_that_nobody_knows_is_an_anomaly() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bench.fault("unknown-status=once")
            order = await bench.resting()
            assert "PENDING_REVIEW" in (await bench.told(VenueAnomaly, order)).text

    asyncio.run(scenario())


def test_refusals_have_the_engines_words() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bid, ask = await bench.touch()
            crossing = bench.place("buy", ask + 50_000, 100, post_only=True)
            assert (await bench.told(OrderRejected, crossing)).code == "POST_ONLY"
            poor = bench.place("buy", bid - 50_000, 10_000_000)
            assert (await bench.told(OrderRejected, poor)).code == "INSUFFICIENT_FUNDS"
            assert not bench.exchange.all_orders("demo", SYMBOL)

    asyncio.run(scenario())


def test_requests_that_are_too_many_hold_back_everything_and_prove_nothing() -> None:
    """429, 418 and more are one class in ccxt."""

    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bench.fault("too-many-requests=once,for=1")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            assert not bench.of(OrderRejected, order)
            other = await bench.resting()
            assert (await bench.told(OrderRejected, other)).code == "RATE_LIMIT"
            assert not bench.exchange.all_orders("demo", SYMBOL)

    asyncio.run(scenario())


def test_an_order_that_waited_too_long_in_ccxt_is_not_sent() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bid, _ = await bench.touch()
            order = bench.place("buy", bid - 50_000, 100, window_ns=0)
            assert (await bench.told(OrderRejected, order)).text == "not sent: it has expired"
            assert not at_venue(bench, order)

    asyncio.run(scenario())


def test_the_accounts_trades_have_the_client_ids_of_their_orders() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            since_ns = bench.clock.now() - 60 * S
            _, ask = await bench.touch()
            order = bench.place("buy", ask + 50_000, 120, ioc=True)
            await bench.told(OrderDone, order)
            bench.fault("self-trade=once")
            await bench.resting()
            command = QueryTrades(venue=VENUE, symbol=SYMBOL, since_ns=since_ns)
            bench.adapter.submit(command, bench.clock.now())
            told = await bench.told(AccountTrades)
            theirs = bench.exchange.my_trades("demo", SYMBOL)
            assert len(told.trades) == len(theirs)
            ours = [each for each in told.trades if each.client_id == order.client_id]
            assert sum(each.quantity_lots for each in ours) == 120

    asyncio.run(scenario())


def test_a_key_that_is_revoked_takes_the_venue_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_session, "PULSE_S", 0.3)

    async def scenario() -> None:
        async with generic_bench() as bench:
            await bench.begin()
            bench.fault("key-revoked=once")
            order = await bench.resting()
            await bench.told(RequestTimedOut, order)
            await until(lambda: bench.statuses() == [False, True, False])
            opened = bench.adapter.stream.opened
            await asyncio.sleep(0.5)
            assert bench.adapter.stream.opened == opened
            assert not at_venue(bench, order)

    asyncio.run(scenario())


# what is no network


def test_what_the_class_lacks_is_said() -> None:
    with pytest.raises(BadInput, match="fetchTime") as caught:
        sound_class("ccxt-bitstamp")
    assert caught.value.where == "venues.ccxt-bitstamp"
    with pytest.raises(BadInput, match="no exchange"):
        abilities("ccxt-binanse")
    for venue in ("ccxt-kucoin", "ccxt-gate", "ccxt-mexc", "ccxt-bitget", "ccxt-kraken"):
        its = abilities(venue)
        assert (its.execution, its.amends, its.dead_man_timer) == ("unverified", "none", False)
        assert its.backend_timeout_ns == 60 * S


def test_derivatives_and_foreign_keys_are_refused() -> None:
    with pytest.raises(BadInput, match="spot only"):
        require_spot(VENUE, ["BTC/USDT", "BTC/USDT:USDT"])
    with pytest.raises(BadInput, match="binance-spot"):
        venue_of(VENUE, demo_key(), (SYMBOL,), rest_url="", ws_url="")
    key = replace(demo_key(), venue=VENUE)
    with pytest.raises(BadInput, match="not encrypted"):
        venue_of(VENUE, key, (SYMBOL,), rest_url="http://192.0.2.1", ws_url="")


def test_only_what_a_float_carries_exactly_is_given_to_ccxt() -> None:
    assert number("0.00012") == 0.00012
    assert number("123456.789012345") == 123456.789012345
    with pytest.raises(ValueError, match="more digits"):
        number("12345678901.123456789")


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        ("InsufficientFunds", Fate.REFUSED),
        ("OrderNotFound", Fate.NOT_FOUND),
        ("RateLimitExceeded", Fate.WAIT),
        ("AuthenticationError", Fate.REFUSED),
        ("ExchangeError", Fate.UNKNOWN),
        ("NetworkError", Fate.UNKNOWN),
        ("RequestTimeout", Fate.UNKNOWN),
        ("ExchangeNotAvailable", Fate.UNKNOWN),
        ("DDoSProtection", Fate.UNKNOWN),
        ("ArgumentsRequired", Fate.UNKNOWN),
        ("KeyError", Fate.UNKNOWN),
    ],
)
def test_few_errors_are_certain_once_something_has_left(error: str, fate: Fate) -> None:
    assert refusal_of(Frame(error=error, text="x", left=True)).fate is fate
    assert refusal_of(Frame(error=error, text="x", left=False)).fate is Fate.REFUSED


def test_ends_are_read_with_care() -> None:
    async def scenario() -> None:
        async with generic_bench() as bench:
            reader = RowReader({SYMBOL: bench.rules}, lambda name: name)
            lot = bench.rules.lot

            def fact(amount: str, status: str = "", filled: str = "") -> OrderFact | Anomaly | None:
                return reader.order(
                    OrderRow(
                        id="1",
                        symbol=SYMBOL,
                        price="100",
                        amount=amount,
                        status=status,
                        filled=filled,
                    )
                )

            partly = fact(status="closed", amount=f"{lot * 5:f}", filled=f"{lot * 2:f}")
            assert isinstance(partly, OrderFact)
            assert (partly.standing, partly.cumulative_lots) == ("canceled", 2)
            whole = fact(status="closed", amount=f"{lot * 5:f}")
            assert isinstance(whole, OrderFact)
            assert (whole.standing, whole.cumulative_lots) == ("filled", 5)
            assert fact(status="canceled", amount=f"{lot * 5:f}") is None
            assert fact(amount=f"{lot * 5:f}") is None
            assert isinstance(fact(status="weird", amount=f"{lot * 5:f}"), Anomaly)
            half = OrderRow(
                id="1", symbol=SYMBOL, price="100", amount="1", filled=f"{lot / 2:f}", status="open"
            )
            (told,) = reader.facts(Frame(orders=(half,)))  # what it is comes with its trade
            assert isinstance(told, OrderFact)
            assert told.cumulative_lots == 0
            with pytest.raises(VenueViolation):
                fact(status="open", amount="1", filled="-1")

    asyncio.run(scenario())


def test_balances_are_never_made_up() -> None:
    wanted = frozenset({"BTC", "USDT"})
    told = {"total": {"USDT": Decimal(5)}, "USDT": {"free": Decimal(3), "total": Decimal(5)}}
    assert balance_rows(told, wanted) == (("BTC", "0", "0"), ("USDT", "3", "2"))
    assert balance_rows(told, wanted, whole=False) == (("USDT", "3", "2"),)
    with pytest.raises(VenueViolation, match="USDT"):
        balance_rows({"total": {"USDT": 5}, "USDT": {"total": 5}}, wanted)
