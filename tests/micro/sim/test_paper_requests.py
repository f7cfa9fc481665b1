"""Cancels, amends and queries on paper."""

from __future__ import annotations

from decimal import Decimal

import pytest
from paper_kit import SYMBOL, VENUE, Bench
from paper_requests import amend, cancel

from citadel_micro.core.model.commands import QueryOrder, QueryVenue
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderState,
    VenueSnapshot,
)


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


def test_done_reports_carry_the_final_quantity() -> None:
    bench = Bench()
    bench.order("buy", 102, 10)
    done = [r for r in bench.settle() if isinstance(r, OrderDone)]
    assert [(d.status, d.cumulative_lots) for d in done] == [("filled", 10)]


@pytest.mark.parametrize(("lots", "filled"), [(100, 100), (101, 0)])
def test_fill_or_kill_fills_as_a_whole_or_not_at_all(lots: int, filled: int) -> None:
    bench = Bench()
    bench.order("buy", 102, lots, whole=True)
    reports = bench.settle()
    fills = [each for each in reports if isinstance(each, OrderFilled)]
    assert sum(each.quantity_lots for each in fills) == filled
    (done,) = [each for each in reports if isinstance(each, OrderDone)]
    assert done.status == ("filled" if filled else "expired")
