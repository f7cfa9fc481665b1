from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Faults, Rig, config, rules, signal

from citadel_micro.core.execution.reject_policy import REJECT_BACKOFF_NS
from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, PublishReport, QueryOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    CancelRejected,
    OrderDone,
    OrderFilled,
    OrderRejected,
    SignalRefused,
    VenueStatus,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import ChildState, ParentState

if TYPE_CHECKING:
    from citadel_micro.core.engine.engine import Command

CHILD = "sctest-1-1"


def reports_in(commands: list[Command]) -> list[PublishReport]:
    return [command for command in commands if isinstance(command, PublishReport)]


def working(**changes: object) -> Rig:
    rig = Rig()
    rig.send(signal(**changes))
    rig.run(10 * MS)
    return rig


# --- intake -------------------------------------------------------------------------------------


def test_a_signal_is_acknowledged_in_the_same_call_and_stored_before_it_is_sent() -> None:
    rig = Rig()
    commands = rig.send(signal())
    names = [type(command).__name__ for command in commands]
    assert [r.status for r in reports_in(commands)] == ["working"]
    assert names.index("Approved") > max(i for i, name in enumerate(names) if name == "Persist")
    assert {"seq", "parent/s1", f"child/{CHILD}"} <= set(rig.durable)


def test_a_repeated_signal_gets_the_present_report_and_nothing_else() -> None:
    rig = working()
    rig.venue.fill(CHILD, 100)
    rig.run(10 * MS)
    commands = rig.send(signal())
    assert [type(command).__name__ for command in commands] == ["PublishReport"]
    assert reports_in(commands)[0] == rig.report()
    assert rig.report().filled == Decimal("0.1")
    assert len(rig.venue.placed) == 1


def test_what_is_too_little_names_the_least_that_the_venue_takes_at_this_price() -> None:
    """Also where the quantity is off the grid, or rounds down to nothing."""
    rig = Rig(instrument=rules(min_notional=Decimal(100), lot=Decimal("0.0001")))
    for name, quantity in (("a", "0.00001"), ("b", "0.00105"), ("c", "0.0012")):
        rig.send(signal(name, quantity=Decimal(quantity)))
        report = rig.report(name)
        assert (report.status, report.reason_code) == ("rejected", "BELOW_MIN")
        assert "0.0017" in report.reason
        assert report.permitted == 0
    rig.send(signal("d", quantity=Decimal("0.0017")))
    assert rig.report("d").status == "working"


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"expires_ns": START}, "INTENT_EXPIRED", "expired"),
        ({"created_ns": START - 60 * SECOND}, "INTENT_EXPIRED", "old"),
        ({"venue": "kraken"}, "VENUE_DISALLOWED", "kraken"),
        ({"symbol": "DOGE/USDT"}, "SYMBOL_DISALLOWED", "BTC/USDT"),
        ({"quantity": Decimal("NaN")}, "BAD_NUMBER", "NaN"),
        ({"quantity": Decimal(-1)}, "BAD_NUMBER", "above 0"),
        ({"limit_price": Decimal("Infinity")}, "BAD_NUMBER", "limit price"),
        ({"quantity": Decimal("0.0105")}, "BAD_LOT", "lot"),
        ({"quantity": Decimal("0.0005")}, "BELOW_MIN", "0.001"),
        ({"algo": "twap"}, "BAD_PARAMETER", "chase_limit"),
        ({"quantity": Decimal(100)}, "MAX_ORDER_NOTIONAL", "50000"),
        ({"reduce_only": True}, "REDUCE_ONLY", "reduc"),
        ({"algo": "stop"}, "BAD_PARAMETER", "kind"),
        ({"algo": "limit", "limit_price": Decimal(70_000)}, "PRICE_COLLAR", "bps"),
    ],
)
def test_what_cannot_be_is_rejected_with_code_and_reason(
    changes: dict[str, Any], code: str, text: str
) -> None:
    rig = Rig()
    rig.send(signal(**changes))
    report = rig.report()
    assert (report.status, report.reason_code) == ("rejected", code)
    assert text in report.reason
    assert rig.venue.placed == []
    rig.reports.clear()
    rig.send(signal(**changes))
    assert rig.report().status == "rejected"


def test_a_rejection_names_the_largest_quantity_that_would_pass() -> None:
    rig = Rig()
    rig.send(signal(quantity=Decimal(1)))
    assert rig.report().reason_code == "MAX_ORDER_NOTIONAL"
    assert rig.report().permitted == Decimal("0.833")
    rig.send(signal("s2", quantity=Decimal("0.833")))
    assert rig.report("s2").status == "working"


def test_a_signal_that_could_not_be_expressed_is_answered() -> None:
    rig = Rig()
    refused = SignalRefused(
        signal_id="s1",
        strategy="test",
        venue=VENUE,
        symbol=SYMBOL,
        side="buy",
        code="BAD_NUMBER",
        reason="quantity is 'lots'",
    )
    for _ in range(2):
        rig.send(refused)
    assert [(r.status, r.reason_code, r.revision) for r in rig.reports] == [
        ("rejected", "BAD_NUMBER", 1)
    ] * 2


# --- cancels ------------------------------------------------------------------------------------


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


# --- refusals of the venue ----------------------------------------------------------------------


def reject(rig: Rig, code: str) -> None:
    rig.send(signal())
    rig.venue._inbox.clear()
    rig.send(OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code=code, text="words"))


def test_missing_funds_end_it_as_rejected() -> None:
    rig = Rig()
    reject(rig, "INSUFFICIENT_FUNDS")
    assert (rig.report().status, rig.report().reason_code) == ("rejected", "INSUFFICIENT_FUNDS")
    assert rig.report().reason == "words"


def test_other_refusals_are_tried_again_with_another_id_and_not_for_ever() -> None:
    rig = Rig(config(limits=paper_defaults(lease_required=False, reject_burst=100)))
    reject(rig, "OTHER")
    rig.run(1 * SECOND)
    assert [o.client_id for o in rig.venue.placed] == [CHILD, "sctest-1-2"]
    rig = Rig(config(limits=paper_defaults(lease_required=False, reject_burst=100)))
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.send(signal())
    for number in range(1, 6):
        assert len(rig.venue.placed) == number
        rig.send(
            OrderRejected(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=rig.venue.placed[-1].client_id,
                code="BAD_PRICE",
                text="no",
            )
        )
        rig.run((REJECT_BACKOFF_NS << number) + MS)
    assert rig.report().status == "rejected"
    assert rig.report().reason_code == "BAD_PRICE"


def test_a_burst_of_refusals_trips_the_breaker() -> None:
    rig = Rig(config(limits=paper_defaults(lease_required=False, reject_burst=1)))
    reject(rig, "OTHER")
    assert rig.engine.risk.breakers.trips[0].code == "REJECT_BURST"


def test_a_duplicate_id_means_that_the_venue_has_it() -> None:
    rig = Rig()
    rig.send(signal())
    rig.send(
        OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="DUPLICATE_ID", text="dup")
    )
    assert rig.parent().children[0].state is ChildState.UNKNOWN
    rig.run(50 * MS)
    assert rig.parent().children[0].state is ChildState.WORKING


# --- what must not be ---------------------------------------------------------------------------


def late_fill(lots: int, trade_id: str = "late") -> OrderFilled:
    return OrderFilled(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=CHILD,
        trade_id=trade_id,
        price_ticks=600_000,
        quantity_lots=lots,
        cumulative_lots=-1,
        fee=Decimal(0),
        fee_currency="USDT",
        liquidity="maker",
        exchange_ns=START,
    )


def test_a_late_fill_beyond_the_target_freezes_the_symbol() -> None:
    rig = working()
    rig.venue.fill(CHILD, 500)
    rig.run(10 * MS)
    assert rig.report().status == "filled"
    rig.send(late_fill(1))
    assert rig.report().status == "anomaly"
    assert rig.report().reason_code == "OVERFILL"
    assert rig.report().filled == Decimal("0.501")
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.501")
    trip = rig.engine.risk.breakers.trips[0]
    assert (trip.code, trip.scope) == ("OVERFILL", f"symbol:{VENUE}:{SYMBOL}")
    rig.send(signal("s2"))
    assert rig.report("s2").reason_code == "HALTED"


def test_an_order_that_fills_after_its_proof_takes_the_new_one_back() -> None:
    rig = working()
    rig.send(
        OrderDone(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=CHILD,
            status="canceled",
            cumulative_lots=0,
            reason="",
            exchange_ns=START,
        )
    )
    rig.run(10 * MS)
    assert rig.parent().live[0].client_id == "sctest-1-2"
    rig.send(late_fill(100))
    assert rig.parent().state is ParentState.ANOMALY
    rig.run(10 * MS)
    assert rig.venue.orders["sctest-1-2"].status == "canceled"
    assert "fill_after_proof" in rig.events_noted()
    assert rig.parent().closed


def test_reports_on_orders_of_nobody_are_noted() -> None:
    rig = Rig()
    rig.send(late_fill(1))
    assert "report_on_unknown_order" in rig.events_noted()
    assert rig.engine.portfolio.quantity(*KEY) == 0


# --- the gate and the breakers ------------------------------------------------------------------


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


# --- connection ---------------------------------------------------------------------------------


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


# --- memory -------------------------------------------------------------------------------------


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
