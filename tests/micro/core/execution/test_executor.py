"""The executor under the gate, breakers, operators and lost connections."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from executor_kit import CHILD, working

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, QueryOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    VenueStatus,
)
from citadel_micro.core.model.risk_limits import paper_defaults


def test_orders_too_large_for_the_book_are_sliced() -> None:
    limits = paper_defaults(lease_required=False, max_order_quantity={"*": Decimal("0.5")})
    rig = Rig(config(limits=limits))
    rig.send(signal(quantity=Decimal("0.5")))
    assert rig.venue.placed[0].quantity_lots == 500


def test_kill_stops_at_once_and_cancels() -> None:
    rig = working()
    rig.operate("kill", reason="fire")
    assert len(rig.sent(CancelOrder)) == 1
    rig.run(10 * MS)
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "KILLED")
    assert "fire" in rig.report().reason
    rig.send(signal("s2"))
    assert rig.report("s2").reason_code == "KILLED"


def test_pause_cancels_entries_and_keeps_exits() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(100 * MS)
    rig.send(signal("exit", side="sell", quantity=Decimal("0.3")))
    rig.send(signal("entry", quantity=Decimal("0.1")))
    rig.run(10 * MS)
    rig.operate("pause")
    rig.run(10 * MS)
    assert rig.report("entry").status == "canceled"
    assert rig.report("entry").reason_code == "REDUCE_ONLY"
    assert rig.report("exit").status == "working"
    rig.book(60_000.0, 60_000.1)


def test_a_lost_lease_cancels_entries() -> None:
    rig = Rig(config(limits=paper_defaults(depth_participation_bps=10_000.0)))
    rig.send(signal("early"))
    assert rig.report("early").reason_code == "MACRO_LEASE_LOST"
    rig.beat()
    rig.send(signal(params=(("time_limit_ms", 600_000),)))
    rig.run(10 * SECOND)
    assert rig.report().status == "working"
    rig.run(7 * SECOND)
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "MACRO_LEASE_LOST")


def test_an_operator_can_cancel_everything_of_a_scope() -> None:
    rig = Rig()
    rig.send(signal("a", quantity=Decimal("0.1")))
    rig.send(signal("b", quantity=Decimal("0.1"), strategy="other"))
    rig.run(10 * MS)
    rig.operate("cancel_all", scope="strategy:other")
    rig.run(10 * MS)
    assert rig.report("b").reason_code == "CANCELED_BY_OPERATOR"
    assert rig.report("a").status == "working"
    rig.operate("cancel_all", scope="nonsense:1")
    assert "operator_command_refused" in rig.events_noted()


@pytest.mark.parametrize("scope", ["", f"venue:{VENUE}", f"symbol:{VENUE}:{SYMBOL}"])
def test_flatten_withdraws_then_sells_what_is_held(scope: str) -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(100 * MS)
    rig.send(signal("exit", side="sell"))
    rig.run(10 * MS)
    rig.operate("flatten", scope=scope)
    assert len([o for o in rig.venue.placed if o.time_in_force == "IOC"]) == 1
    rig.run(1 * SECOND)
    assert rig.report("exit").status == "canceled"
    own = rig.reports[-1]
    assert own.own
    assert own.tag == "flatten"
    assert own.status == "filled"
    order = rig.venue.placed[-1]
    assert (order.side, order.reduce_only, order.quantity_lots) == ("sell", True, 500)
    assert order.price_ticks == 600_000 - 3_000
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_flatten_of_nothing_does_nothing_and_of_a_strategy_is_refused() -> None:
    rig = Rig()
    rig.operate("flatten")
    rig.operate("flatten", scope="strategy:x")
    rig.run(1 * SECOND)
    assert rig.venue.placed == []
    assert "operator_command_refused" in rig.events_noted()


def test_a_venue_that_is_down_gets_no_orders_and_is_asked_when_it_is_back() -> None:
    rig = working()
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    rig.send(signal("s2", quantity=Decimal("0.1")))
    rig.run(1 * SECOND)
    assert len(rig.venue.placed) == 1
    assert rig.report("s2").reason_code == "VENUE_DOWN"
    rig.send(VenueStatus(venue=VENUE, up=True, reason=""))
    assert len(rig.sent(QueryOrder)) == 1
    rig.run(1 * SECOND)
    assert len(rig.venue.placed) == 2
    assert rig.report("s2").status == "working"


def test_orders_wait_for_the_message_rate() -> None:
    venue = VenueConfig(shows_own_orders=False, messages_per_second=1, message_burst=4)
    rig = Rig(config(venue))
    for number in range(5):
        rig.send(signal(f"s{number}", quantity=Decimal("0.1")))
    rig.run(10 * MS)
    assert 2 <= len(rig.venue.placed) <= 4
    waiting = rig.report("s4")
    assert (waiting.status, waiting.reason_code) == ("paused", "MESSAGE_RATE")
    rig.run(5 * SECOND)
    assert len([o for o in rig.venue.placed if o.parent_id == "s4"]) == 1


def test_ended_parents_are_forgotten_after_their_time_and_their_keys_deleted() -> None:
    rig = Rig(config(retention_ns=30 * SECOND))
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill(CHILD, 500)
    rig.run(10 * MS)
    assert "parent/s1" in rig.durable
    rig.run(130 * SECOND)
    assert rig.engine.order_store.known == {}
    assert not [key for key in rig.durable if key.startswith(("parent/", "child/"))]


def test_only_so_many_are_kept() -> None:
    rig = Rig(config(retention_count=3))
    for number in range(8):
        rig.send(signal(f"s{number}", quantity=Decimal("NaN")))
    rig.send(signal("alive"))
    rig.run(61 * SECOND)
    assert len(rig.engine.order_store.known) == 3
    assert "alive" in rig.engine.order_store.known


def test_the_sum_over_children_is_the_parent() -> None:
    rig = Rig(instrument=rules(fee_side="received"))
    rig.send(signal(params=(("min_dwell_ms", 0),)))
    for step in range(5):
        rig.run(50 * MS)
        for order in rig.venue.open_orders():
            rig.venue.fill(order.place.client_id, 100)
        rig.book(60_000.0 + step, 60_000.1 + step)
    rig.run(1 * SECOND)
    report = rig.report()
    assert report.status == "filled"
    cost = sum((f.price * f.quantity for f in report.fills), Decimal(0))
    assert report.average == cost / report.filled
    assert len(rig.sent(PlaceOrder)) == len(rig.parent().children)
