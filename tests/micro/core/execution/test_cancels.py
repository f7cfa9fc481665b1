"""Cancels: confirmed by the venue, overtaken by a fill, refused, before their signal."""

from __future__ import annotations

from decimal import Decimal

from engine_exchange import Faults
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, signal
from executor_kit import CHILD, working

from citadel_micro.core.model.commands import CancelOrder, QueryOrder
from citadel_micro.core.model.events import (
    CancelRejected,
)
from citadel_micro.core.orders.order_states import ChildState


def test_a_cancel_is_done_when_the_venue_has_proven_it() -> None:
    rig = working()
    rig.venue.fill(CHILD, 100)
    rig.run(10 * MS)
    rig.cancel()
    assert rig.report().status == "working"
    rig.run(10 * MS)
    report = rig.report()
    assert (report.status, report.filled) == ("canceled", Decimal("0.1"))
    assert report.reason_code == "CANCELED_BY_MACRO"
    before = len(rig.venue.requests)
    rig.cancel()
    assert rig.reports[-1] == report
    assert len(rig.venue.requests) == before


def test_a_fill_that_crosses_the_cancel_wins() -> None:
    rig = working()
    rig.cancel()
    rig.venue.fill(CHILD, 500)
    rig.run(10 * MS)
    assert rig.report().status == "filled"
    assert rig.report().filled == Decimal("0.5")


def test_a_cancel_that_comes_before_its_signal() -> None:
    rig = Rig()
    rig.cancel()
    rig.send(signal())
    assert rig.report().status == "canceled"
    rig.run(1 * SECOND)
    assert rig.venue.placed == []


def test_cancel_while_placing_is_sent_at_once_and_an_overtaken_place_is_found() -> None:
    rig = Rig()
    rig.venue.latency_ns = 50 * MS
    rig.send(signal())
    rig.venue.latency_ns = 1 * MS  # the cancel is quicker than the order
    rig.cancel()
    rig.run(3 * SECOND)
    assert rig.report().status == "canceled"
    assert rig.venue.open_orders() == []


def test_not_found_is_not_done() -> None:
    rig = working()
    rig.venue.mute = True
    rig.cancel()
    rig.send(
        CancelRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="NOT_FOUND", text="?")
    )
    assert rig.parent().children[0].state is ChildState.UNKNOWN
    assert rig.parent().reserved == 500
    assert len(rig.sent(QueryOrder)) == 1
    rig.venue.heal()
    rig.run(1 * SECOND)
    assert rig.report().status == "canceled"


def test_a_refused_cancel_is_tried_again_a_little_later() -> None:
    rig = working()
    rig.venue.mute = True
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.cancel()
    rig.venue.heal()
    rig.send(
        CancelRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="RATE_LIMIT", text="slow")
    )
    rig.run(200 * MS)
    assert len(rig.sent(CancelOrder)) == 1
    rig.run(100 * MS)
    assert len(rig.sent(CancelOrder)) == 2
    assert rig.report().status == "canceled"
