"""The paper venue as an exchange: what it refuses, how it fills, what it remembers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_kit import MS, SYMBOL, VENUE, Bench, quiet_config, spot

from citadel_micro.core.model.commands import AmendOrder, CancelOrder, QueryOrder, QueryVenue
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
)
from citadel_micro.sim.faults import Faults, scenario
from citadel_micro.sim.paper import PaperConfig, PaperVenue
from citadel_micro.sim.paper_link import LinkConfig
from citadel_proto.errors import BadInput


def rejection(bench: Bench) -> str:
    (report,) = bench.settle()
    assert isinstance(report, OrderRejected)
    return report.code


def amend(client_id: str, price: int, lots: int, *, post_only: bool = False) -> AmendOrder:
    return AmendOrder(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=client_id,
        parent_id="p",
        side="buy",
        price_ticks=price,
        quantity_lots=lots,
        post_only=post_only,
        reduce_only=False,
        expires_ns=1 << 62,
    )


def cancel(client_id: str) -> CancelOrder:
    return CancelOrder(venue=VENUE, symbol=SYMBOL, client_id=client_id)


# --- time ---------------------------------------------------------------------------------------


def test_nothing_happens_before_a_request_arrives_and_nothing_is_known_before_a_report_does() -> (
    None
):
    bench = Bench()
    bench.order("buy", 100, 10)
    assert bench.at(MS - 1) == []
    assert bench.venue.orders == {}
    assert bench.at(MS) == []
    assert len(bench.venue.orders) == 1
    (accepted, balances) = bench.at(2 * MS)
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(balances, BalancesUpdated)
    assert bench.venue.next_timer() is None


# --- refusals -----------------------------------------------------------------------------------


def test_below_the_minimum_quantity() -> None:
    bench = Bench(spot(min_lots=10))
    bench.order("buy", 100, 9)
    assert rejection(bench) == "BELOW_MIN"


def test_below_the_minimum_notional() -> None:
    bench = Bench()
    bench.order("buy", 100, 4)  # 4.00 of at least 5
    assert rejection(bench) == "BELOW_MIN"


def test_more_than_the_account_holds() -> None:
    bench = Bench()
    bench.order("buy", 100, 100_001)
    assert rejection(bench) == "INSUFFICIENT_FUNDS"
    bench.order("sell", 102, 1_001)
    assert rejection(bench) == "INSUFFICIENT_FUNDS"


def test_what_rests_is_locked_and_cannot_be_spent_twice() -> None:
    bench = Bench()
    first = bench.order("sell", 150, 600)
    bench.settle()
    bench.order("sell", 150, 600)
    assert rejection(bench) == "INSUFFICIENT_FUNDS"
    bench.send(cancel(first))
    bench.settle()
    bench.order("sell", 150, 600)
    assert isinstance(bench.settle()[0], OrderAccepted)


@pytest.mark.parametrize(("side", "price"), [("buy", 102), ("sell", 100), ("buy", 105)])
def test_post_only_never_takes(side: str, price: int) -> None:
    bench = Bench()
    bench.order("buy" if side == "buy" else "sell", price, 10, post_only=True)
    assert rejection(bench) == "POST_ONLY"


def test_a_request_that_arrives_after_its_window() -> None:
    bench = Bench()
    bench.order("buy", 100, 10, expires_ns=MS - 1)
    (report,) = bench.settle()
    assert isinstance(report, OrderRejected)
    assert "recvWindow" in report.text


def test_the_same_client_id_twice() -> None:
    bench = Bench()
    bench.order("buy", 100, 10)
    bench.settle()
    bench._orders = 0
    bench.order("buy", 100, 10)
    assert rejection(bench) == "DUPLICATE_ID"


# --- taking -------------------------------------------------------------------------------------


def test_a_taker_walks_the_book_up_to_its_limit_and_the_rest_stays() -> None:
    bench = Bench()
    order = bench.order("buy", 102, 150)
    bench.settle()
    assert bench.fills(order) == [(102, 100, "taker")]
    assert bench.venue.orders[order].left == 50
    assert bench.done(order) is None


def test_an_ioc_remainder_expires_with_proof() -> None:
    bench = Bench()
    order = bench.order("buy", 103, 1_000, ioc=True)
    bench.settle()
    assert bench.fills(order) == [(102, 100, "taker"), (103, 200, "taker")]
    done = bench.done(order)
    assert done is not None
    assert (done.status, done.cumulative_lots) == ("expired", 300)


def taken(bench: Bench) -> list[tuple[int, int, str]]:
    order = bench.order("buy", 102, 1_000, ioc=True)
    bench.settle()
    return bench.fills(order)


def test_what_was_eaten_is_gone_and_only_growth_is_new() -> None:
    bench = Bench()
    assert taken(bench) == [(102, 100, "taker")]
    assert taken(bench) == []
    bench.depth([(98.0, 1.0)], [])  # elsewhere; 102 shows what it showed
    assert taken(bench) == []
    bench.depth([], [(102.0, 1.3)])
    assert taken(bench) == [(102, 30, "taker")]
    bench.depth([], [(102.0, 0.5)])
    assert taken(bench) == []
    bench.depth([], [(102.0, 0.8)])
    assert taken(bench) == [(102, 30, "taker")]


def test_a_level_that_vanished_starts_anew() -> None:
    bench = Bench()
    assert taken(bench) == [(102, 100, "taker")]
    bench.depth([], [(102.0, 0.0)])
    assert taken(bench) == []
    bench.depth([], [(102.0, 0.4)])
    assert taken(bench) == [(102, 40, "taker")]


# --- resting ------------------------------------------------------------------------------------


def test_first_come_first_served() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)  # behind 1.0 that is shown
    bench.settle()
    bench.trade(100.0, 0.9, "sell")
    bench.settle()
    assert bench.fills(order) == []
    bench.trade(100.0, 0.3, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 20, "maker")]


def test_a_trade_through_our_price_fills_us_at_our_price_for_what_was_traded() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    bench.trade(99.0, 0.2, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 20, "maker")]
    bench.trade(99.0, 7.0, "sell")
    bench.settle()
    assert bench.fills(order) == [(100, 20, "maker"), (100, 30, "maker")]
    done = bench.done(order)
    assert done is not None
    assert done.status == "filled"


def test_a_buyer_does_not_fill_a_bid() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    bench.trade(100.0, 50.0, "buy")
    bench.settle()
    assert bench.fills(order) == []


def test_an_offer_at_our_price_trades_with_us_up_to_its_size() -> None:
    bench = Bench()
    order = bench.order("buy", 101, 50)
    bench.settle()
    bench.depth([], [(101.0, 0.2)])
    bench.settle()
    assert bench.fills(order) == [(101, 20, "maker")]


# --- cancel, amend, query -----------------------------------------------------------------------


def test_cancel_gives_proof_with_the_final_quantity() -> None:
    bench = Bench()
    order = bench.order("buy", 102, 150)
    bench.settle()
    bench.send(cancel(order))
    bench.settle()
    done = bench.done(order)
    assert done is not None
    assert (done.status, done.cumulative_lots) == ("canceled", 100)
    bench.send(cancel(order))
    (again,) = bench.settle()
    assert isinstance(again, CancelRejected)
    assert again.code == "NOT_FOUND"


def test_amend_in_place_loses_the_queue_only_when_it_must() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    bench.trade(100.0, 0.6, "sell")
    bench.send(amend(order, 100, 40))
    assert isinstance(bench.settle()[0], OrderAmended)
    book = bench.venue._books[SYMBOL]
    assert book.resting[order].queue.ahead == pytest.approx(40.0)
    bench.send(amend(order, 99, 40))
    bench.settle()
    assert book.resting[order].queue.ahead == pytest.approx(200.0)


def test_amend_that_would_take_is_refused_when_post_only_and_changes_nothing() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    before = bench.venue.orders[order].to_state()
    bench.send(amend(order, 102, 50, post_only=True))
    (report,) = bench.settle()
    assert isinstance(report, AmendRejected)
    assert report.code == "POST_ONLY"
    assert bench.venue.orders[order].to_state() == before


def test_a_query_repeats_the_fills_and_answers_from_both_endpoints() -> None:
    bench = Bench()
    order = bench.order("buy", 102, 150)
    bench.settle()
    bench.send(QueryOrder(venue=VENUE, symbol=SYMBOL, client_id=order))
    fill, by_order, by_trades = bench.settle()
    assert isinstance(fill, OrderFilled)
    assert isinstance(by_order, OrderState)
    assert isinstance(by_trades, OrderState)
    assert (by_order.status, by_order.cumulative_lots) == ("open", 100)
    assert {by_order.source, by_trades.source} == {"order", "trades"}


def test_an_order_nobody_knows_is_not_found_twice() -> None:
    bench = Bench()
    bench.send(QueryOrder(venue=VENUE, symbol=SYMBOL, client_id="never"))
    answers = bench.settle()
    assert [r.status for r in answers if isinstance(r, OrderState)] == ["not_found"] * 2


def test_the_venue_answers_with_open_orders_and_balances() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    bench.send(QueryVenue(venue=VENUE))
    (answer,) = bench.settle()
    assert isinstance(answer, VenueSnapshot)
    assert [o.client_id for o in answer.open_orders] == [order]
    assert ("USDT", Decimal(99_950), Decimal(50)) in answer.balances


# --- money --------------------------------------------------------------------------------------


def test_a_round_trip_costs_the_spread_and_two_fees() -> None:
    bench = Bench()
    bench.order("buy", 102, 100, ioc=True)
    bench.settle()
    purse = bench.venue.ledger.purse
    assert purse("BTC").free == Decimal("10.999")
    assert purse("USDT").free == Decimal(99_898)
    bench.order("sell", 100, 99, ioc=True)
    bench.settle()
    assert purse("BTC").free == Decimal("10.009")
    assert purse("USDT").free == Decimal(99_898) + Decimal(99) - Decimal("0.099")


def test_reduce_only_never_opens_a_perpetual_position() -> None:
    bench = Bench(spot(kind="linear", fee_side="quote"))
    bench.order("sell", 100, 10, reduce_only=True, ioc=True)
    assert rejection(bench) == "OTHER"
    bench.order("buy", 102, 10, ioc=True)
    bench.settle()
    close = bench.order("sell", 100, 10, reduce_only=True, ioc=True)
    bench.settle()
    assert bench.fills(close) == [(100, 10, "taker")]
    assert bench.venue.ledger.positions[SYMBOL].quantity == 0


orders = st.tuples(
    st.sampled_from(["buy", "sell"]),
    st.integers(97, 106),
    st.integers(6, 300),
    st.booleans(),
    st.booleans(),
)
moves = st.one_of(
    st.tuples(st.just("order"), orders),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(
        st.just("trade"),
        st.tuples(st.integers(98, 104), st.integers(1, 200), st.sampled_from(["buy", "sell"])),
    ),
    st.tuples(
        st.just("book"),
        st.tuples(st.integers(98, 101), st.integers(1, 3), st.integers(1, 300)),
    ),
    st.tuples(st.just("wait"), st.integers(0, 5)),
)


def play(bench: Bench, path: list[tuple[str, Any]]) -> None:
    for kind, what in path:
        if kind == "order":
            side, price, lots, post_only, ioc = what
            bench.order(side, price, lots, post_only=post_only, ioc=ioc and not post_only)
        elif kind == "cancel":
            bench.send(cancel(f"o-{what}"))
        elif kind == "trade":
            price, lots, side = what
            bench.trade(float(price), lots / 100, side)
        elif kind == "book":
            bid, spread, lots = what
            gone = [(float(p), 0.0) for p in range(bid + 1, 120)]
            above = [(float(p), 0.0) for p in range(90, bid + spread)]
            bench.depth(
                [*gone, (float(bid), lots / 100)], [*above, (float(bid + spread), lots / 100)]
            )
        else:
            bench.at(bench.now + what * MS // 2)
    bench.settle()


@given(path=st.lists(moves, max_size=40), faults=st.sampled_from(["none", "everything"]))
def test_the_ledger_always_adds_up(path: list[tuple[str, Any]], faults: str) -> None:
    """Money only moves by fills: free + used equals the start plus what was traded and paid."""
    link = LinkConfig(latency_floor_ns=MS, latency_mean_ns=MS // 2, faults=scenario(faults))
    bench = Bench(config=quiet_config(link=link))
    play(bench, path)
    base, quote = Decimal(10), Decimal(100_000)
    for order in bench.venue.orders.values():
        assert order.filled_lots == sum(fill.quantity_lots for fill in order.fills)
        assert order.filled_lots <= order.quantity_lots
        for fill in order.fills:
            worse = fill.price_ticks - order.price_ticks
            assert worse <= 0 if order.side == "buy" else worse >= 0
            sign = 1 if order.side == "buy" else -1
            base += sign * bench.instrument.quantity(fill.quantity_lots)
            quote -= sign * bench.instrument.notional(fill.price_ticks, fill.quantity_lots)
            if fill.fee_currency == "BTC":
                base -= fill.fee
            else:
                quote -= fill.fee
    for currency, total in (("BTC", base), ("USDT", quote)):
        purse = bench.venue.ledger.purse(currency)
        assert purse.free + purse.used == total
        assert purse.free >= 0
        locked = sum(
            (o.locked for o in bench.venue.orders.values() if o.locked_currency == currency),
            Decimal(0),
        )
        assert purse.used == locked
    assert all(o.locked == 0 for o in bench.venue.orders.values() if not o.open)


@given(path=st.lists(moves, max_size=30))
def test_the_same_run_twice_gives_the_same_reports(path: list[tuple[str, Any]]) -> None:
    link = LinkConfig(faults=scenario("everything"))
    first, second = (Bench(config=quiet_config(link=link, seed=7)) for _ in range(2))
    play(first, path)
    play(second, path)
    assert first.reports == second.reports


@given(path=st.lists(moves, max_size=30))
def test_an_account_survives_a_crash(path: list[tuple[str, Any]]) -> None:
    bench = Bench()
    play(bench, path)
    again = Bench()
    again.venue.restore(bench.venue.to_state())
    assert again.venue.to_state() == bench.venue.to_state()
    open_before = [o.client_id for o in bench.venue.orders.values() if o.open]
    again.send(QueryVenue(venue=VENUE))
    (answer,) = again.settle()
    assert isinstance(answer, VenueSnapshot)
    assert [o.client_id for o in answer.open_orders] == open_before


def test_a_restored_order_can_be_cancelled_before_its_book_is_back() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    venue = PaperVenue(VENUE, {SYMBOL: bench.instrument}, quiet_config())
    venue.restore(bench.venue.to_state())
    venue.submit(amend(order, 99, 50), 0)
    venue.submit(cancel(order), 5 * MS)
    refused, balances, done = venue.due(60 * MS)
    assert isinstance(refused, AmendRejected)
    assert isinstance(balances, BalancesUpdated)
    assert isinstance(done, OrderDone)
    assert (done.status, done.cumulative_lots) == ("canceled", 0)


# --- faults -------------------------------------------------------------------------------------


def faulty(**faults: object) -> Bench:
    link = LinkConfig(
        latency_floor_ns=MS,
        latency_mean_ns=0,
        faults=Faults(**faults),  # type: ignore[arg-type]
    )
    return Bench(config=quiet_config(link=link))


def test_a_lost_request_times_out_and_leaves_no_order() -> None:
    bench = faulty(lose_request=1.0)
    bench.order("buy", 100, 10)
    (report,) = bench.settle()
    assert isinstance(report, RequestTimedOut)
    assert bench.venue.orders == {}


def test_a_lost_answer_times_out_though_the_order_lives() -> None:
    bench = faulty(lose_answer=1.0)
    order = bench.order("buy", 100, 10)
    reports = bench.settle()
    assert any(isinstance(r, RequestTimedOut) for r in reports)
    assert not any(isinstance(r, OrderAccepted) for r in reports)
    assert bench.venue.orders[order].open


def test_duplicates_are_the_same_fill() -> None:
    bench = faulty(duplicate=1.0)
    order = bench.order("buy", 102, 50)
    bench.settle()
    assert len([r for r in bench.reports if isinstance(r, OrderFilled)]) == 2
    assert bench.fills(order) == [(102, 50, "taker")]


def test_silence_after_a_partial_fill_ends_with_a_question() -> None:
    bench = faulty(silent_after_partial=True)
    order = bench.order("buy", 102, 150)
    bench.settle()
    bench.send(cancel(order))
    bench.settle()
    assert bench.done(order) is None
    bench.send(QueryOrder(venue=VENUE, symbol=SYMBOL, client_id=order))
    states = [r for r in bench.settle() if isinstance(r, OrderState)]
    assert [s.status for s in states] == ["canceled", "canceled"]


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="duplicates"):
        scenario("earthquake")


def test_default_latency_is_never_below_its_floor() -> None:
    bench = Bench(config=PaperConfig(balances={"USDT": Decimal(1_000)}))
    bench.order("buy", 100, 6)
    assert bench.venue.next_timer() is not None
    assert (bench.venue.next_timer() or 0) >= LinkConfig().latency_floor_ns


def test_done_reports_carry_the_final_quantity() -> None:
    bench = Bench()
    bench.order("buy", 102, 10)
    done = [r for r in bench.settle() if isinstance(r, OrderDone)]
    assert [(d.status, d.cumulative_lots) for d in done] == [("filled", 10)]
