"""Reports that must not be: late fills beyond the target, orders of nobody."""

from __future__ import annotations

from decimal import Decimal

from engine_kit import KEY, MS, START, SYMBOL, VENUE, Rig, signal
from executor_kit import CHILD, working

from citadel_micro.core.model.events import (
    OrderDone,
    OrderFilled,
)
from citadel_micro.core.orders.order_states import ParentState


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
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1"), "what has filled is booked"
    assert rig.parent().closed


def test_reports_on_orders_of_nobody_are_noted() -> None:
    rig = Rig()
    rig.send(late_fill(1))
    assert "report_on_unknown_order" in rig.events_noted()
    assert rig.engine.portfolio.quantity(*KEY) == 0
