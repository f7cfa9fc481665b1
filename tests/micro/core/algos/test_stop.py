from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import pytest
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import CancelRejected
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ChildState, ParentState

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder


def holding(quantity: str = "0.5", **settings: object) -> Rig:
    """A rig that has bought."""
    rig = Rig(config(**settings))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market", quantity=Decimal(quantity)))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(quantity)
    return rig


def hold_stop(rig: Rig, stop: str = "59990", quantity: str = "0.5", **changes: object) -> None:
    values = {
        "side": "sell",
        "kind": "stop",
        "order_type": "market",
        "stop_price": Decimal(stop),
        "quantity": Decimal(quantity),
        "created_ns": rig.now,
        **changes,
    }
    rig.send(signal("stop", **values))


def test_is_held_and_acknowledged() -> None:
    rig = holding()
    hold_stop(rig)
    assert rig.report("stop").status == "accepted"
    assert not rig.report("stop").triggered
    rig.run(100 * SECOND)
    assert rig.parent("stop").state is ParentState.HELD
    assert len(rig.venue.placed) == 1


def test_one_look_is_a_flicker_two_in_a_row_are_not() -> None:
    rig = holding()
    hold_stop(rig)
    for _ in range(5):
        rig.book(59_989.0, 59_989.1)
        rig.run(20 * MS, refresh_ns=0)
        rig.book(60_000.0, 60_000.1)
        rig.run(20 * MS, refresh_ns=0)
    assert rig.parent("stop").state is ParentState.HELD
    rig.book(59_989.0, 59_989.1)
    rig.run(20 * MS, refresh_ns=0)
    rig.book(59_988.0, 59_988.1)
    assert rig.parent("stop").triggered
    order = rig.venue.placed[-1]
    assert (order.side, order.time_in_force, order.reduce_only) == ("sell", "IOC", True)
    assert order.price_ticks == 599_880 - 2_999
    rig.run(200 * MS)
    report = rig.report("stop")
    assert report.status == "filled"
    assert report.triggered
    assert report.reason_code in ("", "TRIGGERED")
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_a_jump_without_another_look_is_confirmed_by_time() -> None:
    rig = holding()
    hold_stop(rig)
    rig.book(59_900.0, 59_900.1)
    rig.run(400 * MS, refresh_ns=0)
    assert rig.parent("stop").state is ParentState.HELD
    rig.run(200 * MS, refresh_ns=0)
    assert rig.parent("stop").triggered


def test_last_trades_trigger_too() -> None:
    rig = holding()
    hold_stop(rig)
    rig.trade(59_989.9)
    rig.trade(60_000.0)
    rig.trade(59_989.9)
    assert not rig.parent("stop").triggered
    rig.trade(59_989.0)
    assert not rig.parent("stop").triggered  # the book is LIVE and says otherwise
    rig.run(1 * SECOND, refresh_ns=0)
    assert rig.parent("stop").state is ParentState.HELD  # one order, perhaps
    rig.trade(59_989.0)
    rig.run(1 * MS, refresh_ns=0)
    assert rig.parent("stop").triggered  # and the book has not moved for a second


def test_what_triggers_can_be_chosen() -> None:
    rig = holding()
    hold_stop(rig, algo="stop", params=(("trigger", "book"),))
    for _ in range(5):
        rig.trade(50_000.0)
    assert not rig.parent("stop").triggered
    rig = holding()
    hold_stop(rig, algo="stop", params=(("confirm_ms", 0), ("trigger", "trade")))
    for _ in range(5):
        rig.book(59_000.0, 59_000.1)
    assert not rig.parent("stop").triggered


def test_a_buy_stop_looks_upwards_at_the_ask() -> None:
    rig = Rig(instrument=rules(kind="linear"))
    rig.venue.partial_share = 0.0
    rig.send(signal("short", side="sell", order_type="market"))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("-0.5")
    hold_stop(rig, stop="60010", side="buy")
    for _ in range(2):
        rig.book(60_009.9, 60_010.0)
    assert rig.parent("stop").triggered
    rig.run(200 * MS)
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_a_crossed_or_stale_book_triggers_nothing() -> None:
    rig = holding()
    hold_stop(rig)
    for _ in range(5):
        rig.book(59_000.0, 59_000.0)
    assert not rig.parent("stop").triggered


def test_nothing_is_sent_on_a_stale_book_and_the_rest_follows_when_it_lives() -> None:
    rig = holding()
    hold_stop(rig)
    rig.venue.fill_at_once = False
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    rig.run(2_600 * MS, refresh_ns=0)
    assert rig.report("stop").reason_code == "BOOK_STALE"
    tries = len(rig.venue.placed)
    rig.run(5 * SECOND, refresh_ns=0)
    assert len(rig.venue.placed) == tries
    rig.venue.fill_at_once = True
    rig.book(59_970.0, 59_970.1)
    rig.run(1 * SECOND)
    assert rig.report("stop").status == "filled"


def test_it_tries_until_it_is_done() -> None:
    rig = holding()
    hold_stop(rig)
    rig.venue.partial_share = 1.0
    for step in range(60):
        rig.book(59_980.0 - step, 59_980.1 - step)
        rig.run(100 * MS, refresh_ns=0)
    assert rig.report("stop").status == "filled"
    assert len(rig.report("stop").fills) > 1


def test_it_can_chase_before_it_crosses() -> None:
    rig = holding()
    hold_stop(rig, algo="stop", params=(("after", "chase"), ("chase_ms", 2_000)))
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    rig.run(100 * MS)
    assert rig.venue.placed[-1].post_only
    rig.run(3 * SECOND)
    assert rig.venue.placed[-1].time_in_force == "IOC"
    assert rig.report("stop").status == "filled"


def test_it_sells_at_most_what_is_held() -> None:
    rig = holding("0.2")
    hold_stop(rig, quantity="0.5")
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    rig.run(1 * SECOND)
    assert rig.venue.placed[-1].quantity_lots == 200
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert rig.report("stop").status == "done_dust"
    assert rig.report("stop").filled == Decimal("0.2")


def test_with_nothing_held_it_ends() -> None:
    rig = Rig()
    hold_stop(rig)
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    assert rig.venue.placed == []
    assert rig.report("stop").status == "canceled"
    assert rig.report("stop").reason_code == "POSITION_CLOSED"


def test_cancelling_the_stop_then_leaving_as_freqtrade_does() -> None:
    rig = holding()
    hold_stop(rig)
    rig.cancel("stop")
    assert rig.report("stop").status == "canceled"
    rig.send(signal("exit", side="sell", created_ns=rig.now, expires_ns=rig.now + SECOND))
    rig.run(10 * MS)
    rig.venue.fill(rig.live("exit").place.client_id, 500)
    rig.run(10 * MS)
    assert rig.report("exit").status == "filled"


def test_it_survives_a_restart_and_a_shutdown() -> None:
    rig = holding()
    hold_stop(rig)
    rig.restart()
    rig.run(100 * MS)
    assert rig.parent("stop").state is ParentState.HELD
    rig.operate("shutdown")
    assert rig.parent("stop").state is ParentState.HELD
    rig.restart()
    rig.run(100 * MS)
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    rig.run(1 * SECOND)
    assert rig.report("stop").status == "filled"


def test_a_triggered_stop_goes_on_after_a_crash() -> None:
    rig = holding()
    hold_stop(rig)
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    rig.run(100 * MS)
    rig.venue.heal()
    rig.restart()
    rig.run(5 * SECOND)
    assert rig.report("stop").status == "filled"
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_a_halt_withdraws_it_but_does_not_end_it() -> None:
    rig = holding()
    hold_stop(rig)
    rig.venue.fill_at_once = False
    rig.book(59_980.0, 59_980.1)
    rig.book(59_980.0, 59_980.1)
    rig.run(20 * MS)
    rig.operate("halt")
    tries = len(rig.venue.placed)
    rig.run(2 * SECOND)
    assert len(rig.venue.placed) == tries
    assert rig.parent("stop").state is ParentState.PAUSED
    trip = rig.engine.risk.breakers.trips[0]
    rig.operate("reset", trip_id=trip.trip_id)
    rig.venue.fill_at_once = True
    rig.run(1 * SECOND)
    assert rig.report("stop").status == "filled"


def triggered_chase() -> tuple[Rig, PlaceOrder]:
    """A stop that has triggered, and the resting order that it is placing right now."""
    rig = holding()
    hold_stop(rig, algo="stop", params=(("after", "chase"), ("chase_ms", 60_000)))
    rig.venue.fill_at_once = False
    rig.book(59_980.0, 59_980.3)
    rig.book(59_980.0, 59_980.3)
    assert rig.parent("stop").triggered
    return rig, rig.venue.placed[-1]


def test_a_halt_reaches_an_order_that_arrives_after_its_cancel() -> None:
    rig, order = triggered_chase()
    rig.venue._inbox.clear()  # it is slow
    rig.operate("halt")
    rig.run(10 * MS)
    assert rig.parent("stop").live[0].state is ChildState.UNKNOWN
    rig.venue._arrive(order)
    rig.run(2 * SECOND)
    assert rig.venue.open_orders() == []
    assert rig.parent("stop").state is ParentState.PAUSED


@pytest.mark.parametrize("code", ["RATE_LIMIT", "OTHER"])
def test_a_halt_asks_again_when_its_cancel_is_refused(code: Literal["RATE_LIMIT", "OTHER"]) -> None:
    rig, order = triggered_chase()
    rig.run(10 * MS)
    rig.operate("halt")
    rig.venue._inbox.clear()
    rig.send(
        CancelRejected(
            venue=VENUE, symbol=SYMBOL, client_id=order.client_id, code=code, text="later"
        )
    )
    assert rig.parent("stop").live[0].state is ChildState.WORKING
    rig.run(2 * SECOND)
    assert rig.venue.open_orders() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"stop_price": None}, "BAD_PARAMETER"),
        ({"quantity": Decimal("0.0001")}, "BELOW_MIN"),
        ({"stop_price": Decimal("NaN")}, "BAD_NUMBER"),
    ],
)
def test_a_stop_that_cannot_be_is_refused(changes: dict[str, Any], code: str) -> None:
    rig = holding()
    hold_stop(rig, **changes)
    assert rig.report("stop").status == "rejected"
    assert rig.report("stop").reason_code == code


@given(seed=st.integers(0, 2**32))
def test_concurrent_reductions_never_flip_the_position(seed: int) -> None:
    """11: whatever exits and stops do together, a long position never becomes short."""
    chance = Random(seed)
    rig = Rig(
        chance=Random(seed),
        faults=Faults(lose_request=0.1, lose_report=0.1, duplicate=0.1, slow=0.2),
    )
    rig.venue.heal()
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(1 * SECOND)
    rig.venue.faults = Faults(lose_request=0.1, lose_report=0.1, duplicate=0.1, slow=0.2)
    rig.venue.partial_share = 0.5
    hold_stop(rig)
    for number in range(12):
        quantity = Decimal(chance.randint(1, 500)) / 1000
        rig.send(
            signal(
                f"exit{number}",
                side="sell",
                reduce_only=True,
                quantity=quantity,
                order_type=chance.choice(("limit", "market")),
                created_ns=rig.now,
                expires_ns=rig.now + SECOND,
            )
        )
        rig.book(59_990.0 + chance.randint(-20, 20), 59_990.0 + chance.randint(21, 25))
        rig.run(chance.randint(1, 800) * MS)
        if chance.random() < 0.5:
            rig.venue.fill_something()
        sold = sum(o.filled_lots for o in rig.venue.orders.values() if o.place.side == "sell")
        out = sum(
            o.quantity_lots - o.filled_lots
            for o in rig.venue.open_orders()
            if o.place.side == "sell"
        )
        assert sold + out <= 500
    rig.venue.heal()
    rig.run(100 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) >= 0
    for number in range(12):
        assert rig.parent(f"exit{number}").state in PARENT_TERMINAL
