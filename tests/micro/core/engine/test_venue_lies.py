"""A venue that breaks its word: the order is an anomaly, the symbol frozen, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, signal

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, QueryOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderState,
    VenueAnomaly,
)
from citadel_micro.core.orders.order_states import ChildState, ParentState

if TYPE_CHECKING:
    from citadel_micro.core.orders.children import Child

CHILD = "sctest-1-1"


def working(*, native: bool = False) -> Rig:
    """Half a coin, resting at 60,000; the exchange says nothing by itself any more."""
    venue = VenueConfig(shows_own_orders=False, amend_native=native)
    rig = Rig(config(venue))
    rig.send(
        signal(algo="limit", limit_price=Decimal(60_000), params=(("time_limit_ms", 900_000),))
    )
    rig.run(10 * MS)
    assert child(rig).state is ChildState.WORKING
    rig.venue.mute = True
    return rig


def child(rig: Rig) -> Child:
    return rig.parent().children[0]


def fill(
    rig: Rig, lots: int, *, trade: str = "t1", total: int = -1, price: int = 600_000
) -> OrderFilled:
    return OrderFilled(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=CHILD,
        trade_id=trade,
        price_ticks=price,
        quantity_lots=lots,
        cumulative_lots=total,
        fee=Decimal("0.1"),
        fee_currency="USDT",
        liquidity="maker",
        exchange_ns=rig.now,
    )


def done(
    rig: Rig, total: int, status: Literal["filled", "canceled", "expired"] = "canceled"
) -> OrderDone:
    return OrderDone(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=CHILD,
        status=status,
        cumulative_lots=total,
        reason="",
        exchange_ns=rig.now,
    )


def opened(rig: Rig, total: int = 0) -> OrderState:
    return OrderState(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=CHILD,
        status="open",
        source="order",
        price_ticks=600_000,
        quantity_lots=500,
        cumulative_lots=total,
        exchange_ns=rig.now,
    )


def withdrawn(rig: Rig, total: int) -> None:
    """Cancelled by macro, and proven so."""
    rig.cancel("s1")
    rig.send(done(rig, total))
    assert rig.parent().state is ParentState.CANCELED


def assert_frozen(rig: Rig, booked: str) -> None:
    """An anomaly that only a person ends, with everything counted that was told to have filled."""
    (trip,) = rig.engine.risk.breakers.trips
    assert (trip.code, trip.state) == ("VENUE_ANOMALY", "HALTED")
    assert trip.scope == f"symbol:{VENUE}:{SYMBOL}"
    assert rig.parent().state is ParentState.ANOMALY
    assert rig.report().status == "anomaly" or rig.report().reason_code == "VENUE_ANOMALY"
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(booked)
    assert rig.report().filled == Decimal(booked)
    placed = len(rig.sent(PlaceOrder))
    rig.run(120 * SECOND)
    rig.send(signal("more", created_ns=rig.now, expires_ns=rig.now + SECOND))
    assert rig.report("more").reason_code == "HALTED"
    assert len(rig.sent(PlaceOrder)) == placed
    restored = len(rig.engine.risk.breakers.trips)
    rig.restart()
    assert len(rig.engine.risk.breakers.trips) == restored
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(booked)


def test_a_fill_after_a_confirmed_cancel() -> None:
    rig = working()
    withdrawn(rig, 0)
    rig.send(fill(rig, 100))
    assert_frozen(rig, "0.1")


def test_a_fill_that_was_named_in_the_total_is_no_lie_however_late() -> None:
    rig = working()
    rig.cancel("s1")
    rig.send(done(rig, 100))
    rig.run(10 * SECOND)
    rig.send(fill(rig, 100, total=100))
    assert rig.engine.risk.breakers.trips == ()
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1")


def test_a_final_total_that_shrinks() -> None:
    rig = working()
    rig.send(fill(rig, 200, total=200))
    rig.cancel("s1")
    rig.send(done(rig, 100))
    assert_frozen(rig, "0.2")


def test_a_reply_that_is_older_than_the_stream_is_no_lie() -> None:
    rig = working()
    rig.send(fill(rig, 200, total=200))
    rig.send(fill(rig, 50, trade="t0", total=50))  # the first one, overtaken
    rig.send(opened(rig, 50))
    assert rig.engine.risk.breakers.trips == ()
    assert rig.parent().filled == 250


def test_a_status_that_nobody_knows() -> None:
    """The adapter could not read it, and does not guess."""
    rig = working()
    text = "order status PENDING_SOMETHING"
    rig.send(VenueAnomaly(venue=VENUE, symbol=SYMBOL, client_id=CHILD, text=text))
    assert child(rig).state is ChildState.UNKNOWN
    assert len(rig.sent(QueryOrder)) == 1
    (trip,) = rig.engine.risk.breakers.trips
    assert text in trip.reason
    rig.send(opened(rig, 100))
    assert rig.sent(CancelOrder), "what turns out to be out is withdrawn"
    rig.send(fill(rig, 100, total=100))
    rig.send(done(rig, 100))
    assert_frozen(rig, "0.1")


def test_something_unreadable_of_no_order_freezes_the_symbol_too() -> None:
    rig = working()
    rig.send(VenueAnomaly(venue=VENUE, symbol=SYMBOL, client_id="web_1", text="side SIDEWAYS"))
    (trip,) = rig.engine.risk.breakers.trips
    assert (trip.code, trip.state) == ("VENUE_ANOMALY", "HALTED")


def test_more_filled_than_the_order_had() -> None:
    """Within what its parent may have: the order was a part of it."""
    rig = Rig(config(VenueConfig(shows_own_orders=False)))
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill(CHILD, 450)
    rig.run(10 * MS)
    rig.venue._close(rig.venue.orders[CHILD], "canceled")
    rig.run(SECOND)
    second = rig.parent().children[1]
    assert second.quantity_lots == 50
    rig.venue.mute = True
    parent = rig.parent()
    parent.target += 1_000  # as an order that is worked in slices
    rig.send(replace(fill(rig, 60, trade="x", total=60), client_id=second.client_id))
    (trip,) = rig.engine.risk.breakers.trips
    assert trip.code == "VENUE_ANOMALY"
    assert parent.state is ParentState.ANOMALY
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.51")


def test_more_filled_than_was_asked_in_all_is_an_overfill() -> None:
    rig = working()
    rig.send(fill(rig, 501, total=501))
    (trip,) = rig.engine.risk.breakers.trips
    assert (trip.code, trip.state) == ("OVERFILL", "HALTED")
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.501")


def test_a_fill_through_the_price() -> None:
    rig = working()
    rig.send(fill(rig, 100, price=600_001))
    assert child(rig).filled == 100
    rig.send(done(rig, 100))
    assert_frozen(rig, "0.1")


def test_a_better_price_is_no_lie() -> None:
    rig = working()
    rig.send(fill(rig, 100, price=590_000))
    assert rig.engine.risk.breakers.trips == ()


@pytest.mark.parametrize("fee", ["301", "-301", "0.006"])
def test_a_fee_that_is_worth_more_than_the_fill(fee: str) -> None:
    """5 lots are worth 300; and a fee above the asset that was bought."""
    rig = working()
    currency = "BTC" if fee == "0.006" else "USDT"
    rig.send(replace(fill(rig, 5), fee=Decimal(fee), fee_currency=currency))
    (trip,) = rig.engine.risk.breakers.trips
    assert trip.code == "VENUE_ANOMALY"
    assert rig.parent().filled == 5


def test_a_rebate_is_no_lie() -> None:
    rig = working()
    rig.send(replace(fill(rig, 100), fee=Decimal("-0.6")))
    assert rig.engine.risk.breakers.trips == ()
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1")


@pytest.mark.parametrize("fee", ["NaN", "Infinity", "-Infinity"])
def test_a_fee_that_is_no_number_reaches_no_book(fee: str) -> None:
    """It is asked about: the true fill is counted once it is told."""
    rig = working()
    rig.send(replace(fill(rig, 100), fee=Decimal(fee)))
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert child(rig).state is ChildState.UNKNOWN
    assert len(rig.sent(QueryOrder)) == 1
    rig.send(fill(rig, 100, total=100))
    rig.send(done(rig, 100))
    assert_frozen(rig, "0.1")


@pytest.mark.parametrize(("lots", "price"), [(0, 600_000), (-5, 600_000), (5, 0), (5, -1)])
def test_a_fill_of_nothing_or_for_nothing(lots: int, price: int) -> None:
    rig = working()
    rig.send(fill(rig, lots, price=price))
    (trip,) = rig.engine.risk.breakers.trips
    assert trip.code == "VENUE_ANOMALY"
    assert rig.parent().filled == 0


def test_an_acknowledgement_of_another_symbol() -> None:
    """Whatever there is under this id at the venue, it is not what was sent."""
    rig = Rig()
    rig.venue.mute = True
    rig.send(signal())
    rig.send(
        OrderAccepted(
            venue=VENUE, symbol="ETH/USDT", client_id=CHILD, venue_order_id="9", exchange_ns=rig.now
        )
    )
    assert child(rig).state is ChildState.UNKNOWN
    assert child(rig).venue_order_id == ""
    assert rig.parent().reserved == 500
    rig.send(done(rig, 0))
    assert_frozen(rig, "0")


def test_an_order_that_was_over_and_comes_alive() -> None:
    rig = working()
    withdrawn(rig, 0)
    assert rig.parent().closed
    rig.run(6 * SECOND)
    rig.send(opened(rig))
    assert child(rig).state is ChildState.WORKING or child(rig).state is ChildState.CANCELING
    assert rig.parent().reserved == 500
    assert rig.sent(CancelOrder)[-1][1].client_id == CHILD  # type: ignore[attr-defined]
    rig.send(fill(rig, 100, total=100))
    rig.send(done(rig, 100))
    assert_frozen(rig, "0.1")


def test_an_answer_from_before_the_end_brings_nothing_back() -> None:
    rig = working()
    withdrawn(rig, 0)
    rig.run(2 * SECOND)
    rig.send(opened(rig))
    assert rig.parent().closed
    assert rig.engine.risk.breakers.trips == ()


def test_an_end_without_a_total_is_asked_about() -> None:
    rig = working()
    rig.cancel("s1")
    rig.send(done(rig, -1))
    assert child(rig).state is ChildState.UNKNOWN
    assert len(rig.sent(QueryOrder)) == 1
    rig.send(fill(rig, 100, total=100))
    rig.send(done(rig, 100))
    assert rig.parent().state is ParentState.CANCELED
    assert rig.engine.risk.breakers.trips == ()


def test_a_fill_at_the_price_before_an_amend_is_no_lie_however_the_amend_was_learnt_of() -> None:
    """The amend's answer is lost, a question finds it, and then the fill from before it comes."""
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True)))
    rig.send(signal(params=(("min_dwell_ms", 0), ("retreat_ticks", 1))))
    rig.run(10 * MS)
    rig.venue.mute = True
    old = child(rig).price_ticks
    rig.book(59_990.0, 59_990.1)
    rig.run(300 * MS)
    assert child(rig).state is ChildState.AMENDING
    new = child(rig).amend_price_ticks
    assert new < old
    rig.run(4 * SECOND)
    rig.send(replace(opened(rig), price_ticks=new))
    assert child(rig).price_ticks == new
    rig.send(fill(rig, 100, price=old, total=100))
    assert rig.engine.risk.breakers.trips == ()
    assert rig.parent().filled == 100


def test_an_anomaly_of_no_symbol_halts_the_venue() -> None:
    rig = working()
    rig.send(VenueAnomaly(venue=VENUE, symbol="", client_id="", text="an event of no kind"))
    (trip,) = rig.engine.risk.breakers.trips
    assert (trip.scope, trip.state) == (f"venue:{VENUE}", "HALTED")


def test_a_fill_at_the_amended_price_is_no_lie_though_the_end_was_reported_first() -> None:
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True)))
    rig.send(signal(params=(("min_dwell_ms", 0),)))
    rig.run(10 * MS)
    rig.venue.mute = True
    rig.book(60_005.0, 60_005.1)
    rig.run(10 * MS)
    assert child(rig).state is ChildState.AMENDING
    better = child(rig).amend_price_ticks
    assert better > child(rig).price_ticks
    rig.send(done(rig, 500, "filled"))
    rig.send(fill(rig, 500, price=better, total=500))
    assert rig.engine.risk.breakers.trips == ()
    assert rig.report().status == "filled"
