"""Single reports about single orders, above all those that should not come."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import pytest
from engine_exchange import Faults
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal

from citadel_micro.core.model.commands import AmendOrder, CancelOrder, QueryOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    AmendRejected,
    OrderAccepted,
    OrderAmended,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueStatus,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import ChildState, ParentState

if TYPE_CHECKING:
    from citadel_micro.core.orders.children import Child

CHILD = "sctest-1-1"


def child(rig: Rig, number: int = 0) -> Child:
    return rig.parent().children[number]


def state(
    status: Literal["open", "filled", "canceled", "expired", "rejected", "not_found"],
    *,
    price: int = 600_000,
    quantity: int = 500,
    cumulative: int = 0,
    at_ns: int = START,
    source: Literal["order", "trades"] = "order",
) -> OrderState:
    return OrderState(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=CHILD,
        status=status,
        source=source,
        price_ticks=price,
        quantity_lots=quantity,
        cumulative_lots=cumulative,
        exchange_ns=at_ns,
    )


def silent(*, native: bool = False) -> Rig:
    """An order that the exchange neither has nor answers about."""
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=native)))
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.venue.mute = True
    rig.send(signal(params=(("time_limit_ms", 3_600_000),)))
    return rig


def accepted(rig: Rig) -> OrderAccepted:
    return OrderAccepted(
        venue=VENUE, symbol=SYMBOL, client_id=CHILD, venue_order_id="v", exchange_ns=rig.now
    )


def test_a_timeout_is_unknown_and_never_a_refusal() -> None:
    rig = silent()
    rig.send(RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request="place"))
    assert child(rig).state is ChildState.UNKNOWN
    assert rig.parent().state is ParentState.UNKNOWN
    assert rig.report().status == "paused"
    assert len(rig.sent(QueryOrder)) == 1
    rig.send(accepted(rig))
    assert child(rig).state is ChildState.WORKING


def test_silence_is_doubted_even_if_nobody_reports_a_timeout() -> None:
    rig = silent()
    rig.run(2_900 * MS)
    assert child(rig).state is ChildState.PLACING
    rig.run(200 * MS)
    assert child(rig).state is ChildState.UNKNOWN


def test_two_answers_of_one_kind_or_before_the_expiry_release_nothing() -> None:
    rig = silent()
    rig.run(3_100 * MS)
    late = rig.now
    for _ in range(3):
        rig.send(state("not_found", at_ns=START + 2 * SECOND))
        rig.send(state("not_found", at_ns=START + 2 * SECOND, source="trades"))
        rig.send(state("not_found", at_ns=late))
    assert child(rig).state is ChildState.UNKNOWN
    rig.send(state("not_found", at_ns=late, source="trades"))
    assert child(rig).state is ChildState.LOST


def test_an_order_with_fills_cannot_have_been_absent() -> None:
    rig = silent()
    rig.send(state("open", cumulative=10))
    rig.send(RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request="place"))
    rig.send(state("not_found", at_ns=START + 60 * SECOND))
    rig.send(state("not_found", at_ns=START + 60 * SECOND, source="trades"))
    assert child(rig).state is ChildState.UNKNOWN
    rig.send(state("not_found", at_ns=START + 60 * SECOND))
    assert child(rig).state is ChildState.QUARANTINED
    assert rig.parent().reserved == 490


def test_what_stays_unknown_is_quarantined_and_still_reserved() -> None:
    rig = silent()
    rig.run(70 * SECOND)
    assert child(rig).state is ChildState.QUARANTINED
    assert rig.parent().reserved == 500
    assert "child_quarantined" in rig.events_noted()
    rig.send(signal("s2", quantity=Decimal("0.1"), created_ns=rig.now, expires_ns=rig.now + SECOND))
    assert rig.report("s2").reason_code == "UNKNOWN_EXPOSURE"
    rig.send(state("canceled", at_ns=rig.now))
    assert child(rig).state is ChildState.CANCELED


@pytest.mark.parametrize("ends", [False, True])
def test_an_acknowledged_order_that_is_found_rejected_has_ended(ends: bool) -> None:
    """Bybit and OKX acknowledge a post-only order, and then judge it: the end was told while nobody listened."""
    rig = Rig(config(VenueConfig(shows_own_orders=False), late_reject_ends=ends))
    rig.send(signal(algo="limit", limit_price=Decimal(60_000)))
    rig.run(10 * MS)
    rig.venue.mute = True
    rig.restart()
    assert (child(rig).state, child(rig).acknowledged) == (ChildState.UNKNOWN, True)
    rig.send(state("rejected", at_ns=rig.now))
    if not ends:  # journals of earlier versions replay so
        assert child(rig).state is ChildState.UNKNOWN
        return
    assert child(rig).state is ChildState.CANCELED
    assert child(rig).fills_complete
    assert child(rig).reserved == 0
    asked = rig.queries_of(CHILD)
    rig.run(60 * SECOND)
    assert rig.queries_of(CHILD) == asked


def test_an_order_taken_for_absent_that_lives_is_adopted() -> None:
    rig = silent()
    rig.run(3_100 * MS)
    rig.send(VenueStatus(venue=VENUE, up=False, reason="so that no other is placed"))
    for source in ("order", "trades"):
        rig.send(state("not_found", at_ns=rig.now, source=source))
    assert child(rig).state is ChildState.LOST
    rig.send(accepted(rig))
    assert child(rig).state is ChildState.WORKING
    assert rig.parent().reserved == 500


def test_an_order_taken_for_absent_that_lives_beside_its_successor_freezes_the_symbol() -> None:
    """Both can fill: more than was asked, by a venue that has broken its word."""
    rig = silent()
    rig.run(3_100 * MS)
    for source in ("order", "trades"):
        rig.send(state("not_found", at_ns=rig.now, source=source))
    assert [c.state for c in rig.parent().children] == [ChildState.LOST, ChildState.PLACING]
    rig.send(accepted(rig))
    assert rig.parent().reserved == 1_000
    assert rig.report().status == "anomaly"
    assert {c.state for c in rig.parent().children} == {ChildState.CANCELING}


def test_an_order_found_refused_is_refused() -> None:
    rig = silent()
    rig.send(RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request="place"))
    rig.send(state("rejected"))
    assert child(rig).state is ChildState.REJECTED


def test_a_refusal_of_what_was_accepted_is_doubted() -> None:
    rig = silent()
    rig.send(accepted(rig))
    rig.send(OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="OTHER", text="?"))
    assert child(rig).state is ChildState.UNKNOWN
    rig.send(state("open"))
    assert child(rig).state is ChildState.WORKING
    rig.send(state("rejected"))
    assert child(rig).state is ChildState.UNKNOWN


def test_not_found_about_a_working_order_is_doubted() -> None:
    rig = silent()
    rig.send(accepted(rig))
    rig.send(state("not_found"))
    assert child(rig).state is ChildState.UNKNOWN


# --- amends -------------------------------------------------------------------------------------


def amending() -> Rig:
    rig = silent(native=True)
    rig.send(accepted(rig))
    rig.book(60_001.0, 60_001.1)
    rig.run(300 * MS)
    assert child(rig).state is ChildState.AMENDING
    return rig


def amended(rig: Rig, price: int = 600_010) -> OrderAmended:
    return OrderAmended(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=CHILD,
        price_ticks=price,
        quantity_lots=500,
        exchange_ns=rig.now,
    )


def test_an_amend_is_done_when_it_is_reported_once() -> None:
    rig = amending()
    rig.send(amended(rig, price=600_009))  # of something else
    assert child(rig).state is ChildState.AMENDING
    first = amended(rig)
    rig.send(first)
    assert child(rig).state is ChildState.WORKING
    assert child(rig).price_ticks == 600_010
    rig.book(60_002.0, 60_002.1)
    rig.run(300 * MS)
    rig.send(first)
    assert child(rig).state is ChildState.AMENDING


@pytest.mark.parametrize("code", ["POST_ONLY", "RATE_LIMIT", "OTHER"])
def test_a_refused_amend_leaves_the_order_as_it_was(
    code: Literal["POST_ONLY", "RATE_LIMIT", "OTHER"],
) -> None:
    rig = amending()
    rig.send(AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code=code, text=""))
    assert child(rig).state is ChildState.WORKING
    assert child(rig).price_ticks == 600_000


def test_an_amend_of_what_is_not_there_asks() -> None:
    rig = amending()
    rig.send(AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="NOT_FOUND", text=""))
    assert child(rig).state is ChildState.UNKNOWN
    rig.send(AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="OTHER", text=""))
    assert child(rig).state is ChildState.UNKNOWN
    assert child(rig).amend_quantity_lots == 500


def test_an_amend_in_doubt_is_settled_only_after_its_expiry_or_by_its_own_figures() -> None:
    rig = amending()
    rig.send(RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request="amend"))
    assert child(rig).state is ChildState.UNKNOWN
    rig.send(state("open", at_ns=rig.now))
    assert child(rig).state is ChildState.UNKNOWN  # it may still be on its way
    rig.send(state("open", at_ns=child(rig).amend_expires_ns + SECOND))
    assert child(rig).state is ChildState.WORKING
    assert child(rig).price_ticks == 600_000
    rig = amending()
    rig.send(RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request="amend"))
    rig.send(state("open", price=600_010, at_ns=rig.now))
    assert child(rig).state is ChildState.WORKING
    assert child(rig).price_ticks == 600_010


def test_an_amend_is_reported_by_the_audit_too() -> None:
    rig = amending()
    rig.send(state("open", price=600_010, at_ns=rig.now))
    assert child(rig).state is ChildState.WORKING
    assert child(rig).price_ticks == 600_010


def test_an_old_answer_does_not_take_the_price_back() -> None:
    rig = amending()
    rig.send(amended(rig))
    rig.send(state("open", price=600_000, at_ns=START))
    assert child(rig).price_ticks == 600_010


def test_an_older_answer_than_the_one_that_settled_an_amend_takes_nothing_back() -> None:
    rig = amending()
    rig.send(state("open", price=600_010, at_ns=rig.now))
    assert child(rig).state is ChildState.WORKING
    rig.send(state("open", price=600_000, at_ns=rig.now - MS))
    assert child(rig).price_ticks == 600_010


def test_an_answer_from_before_an_amend_is_known_though_the_venues_clock_is_behind() -> None:
    rig = amending()
    asked_ns = rig.now
    rig.run(50 * MS)
    rig.send(replace(amended(rig), exchange_ns=START - SECOND))
    rig.send(state("open", price=600_000, at_ns=asked_ns))
    assert child(rig).price_ticks == 600_010


def test_an_answer_from_before_an_amend_is_no_word_on_it() -> None:
    """There and back again: the price that is being asked for is also the one of before."""
    rig = amending()
    asked_ns = rig.now
    rig.run(50 * MS)
    rig.send(amended(rig))
    rig.book(60_000.0, 60_000.1)
    rig.run(SECOND)
    assert (child(rig).state, child(rig).amend_price_ticks) == (ChildState.AMENDING, 600_000)
    rig.send(state("open", price=600_000, at_ns=asked_ns))
    assert child(rig).state is ChildState.AMENDING
    rig.send(state("open", price=600_000, at_ns=rig.now))
    assert child(rig).state is ChildState.WORKING


def test_a_cancel_while_amending() -> None:
    rig = amending()
    rig.cancel()
    assert child(rig).state is ChildState.CANCELING
    rig.send(amended(rig))
    assert child(rig).state is ChildState.CANCELING
    assert len(rig.sent(CancelOrder)) == 1
    rig.send(state("canceled", cumulative=0, at_ns=rig.now))
    assert rig.report().status == "canceled"


def test_an_amend_that_the_gate_denies_waits() -> None:
    limits = paper_defaults(
        lease_required=False, max_spread_bps=1.0, depth_participation_bps=10_000.0
    )
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True), limits=limits))
    rig.send(signal())
    rig.run(10 * MS)
    rig.book(60_001.0, 60_100.0)
    rig.run(1 * SECOND)
    assert rig.sent(AmendOrder) == []
    rig.book(60_001.0, 60_001.1)
    rig.run(1 * SECOND)
    assert len(rig.sent(AmendOrder)) == 1


# --- sizes --------------------------------------------------------------------------------------


def test_children_larger_than_what_the_book_bears_are_sliced() -> None:
    limits = paper_defaults(lease_required=False, depth_participation_bps=1_000.0)
    rig = Rig(config(limits=limits))
    rig.venue.partial_share = 0.0
    rig.send(signal(order_type="market"))  # 500 lots of 25,000 displayed a side
    rig.run(1 * SECOND)
    assert [order.quantity_lots for order in rig.venue.placed] == [500]
    rig.book(60_000.0, 60_000.1, size=2.0)  # 10 levels of 2: one side bears 1.0
    rig.send(signal("s2", algo="limit", limit_price=Decimal(60_000)))
    assert rig.venue.placed[-1].quantity_lots == 500
    rig.book(60_000.0, 60_000.1, size=0.6)  # bears 0.3 a side
    rig.cancel("s2")
    rig.run(50 * MS)
    rig.send(signal("s3", quantity=Decimal("0.3")))
    assert rig.venue.placed[-1].quantity_lots == 300
    rig.run(10 * MS, refresh_ns=0)
    rig.venue._close(rig.venue.orders[rig.venue.placed[-1].client_id], "canceled")
    rig.book(60_000.0, 60_000.1, size=0.4)  # bears 0.2 a side
    rig.run(50 * MS)
    assert rig.venue.placed[-1].quantity_lots == 200
    assert rig.report("s3").status == "working"
