"""Stops that wait: refused at once where they could never execute, counted, and free while far."""

from __future__ import annotations

from decimal import Decimal
from time import process_time_ns
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from engine_kit import KEY, MS, SECOND, Rig, config, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.algos.stop import Stop
from citadel_micro.core.model.events import MacroBeat
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import ParentState

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


def setting(**limits: object) -> EngineConfig:
    values: dict[str, Any] = {
        "lease_required": False,
        "max_open_orders": 10_000,
        "max_held_orders": 10_000,
        "depth_participation_bps": 10_000.0,
    }
    return config(limits=paper_defaults(**{**values, **limits}))


def holding(settings_: EngineConfig | None = None, quantity: str = "0.5") -> Rig:
    rig = Rig(settings_ or setting())
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market", quantity=Decimal(quantity)))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(quantity)
    return rig


def stop(rig: Rig, name: str = "stop", price: str = "59990", **changes: object) -> str:
    """Ask for one; the reason code of the answer."""
    values: dict[str, Any] = {
        "side": "sell",
        "kind": "stop",
        "order_type": "market",
        "stop_price": Decimal(price),
        "quantity": Decimal("0.5"),
        "created_ns": rig.now,
        "expires_ns": rig.now + 10 * SECOND,
        **changes,
    }
    rig.send(signal(name, **values))
    return rig.report(name).reason_code


@pytest.mark.parametrize(
    ("limits", "changes", "code"),
    [
        ({"allowed_symbols": ("ETH/USDT",)}, {}, "SYMBOL_DISALLOWED"),
        ({"allowed_venues": ("elsewhere",)}, {}, "VENUE_DISALLOWED"),
        ({}, {"age": 600 * SECOND, "expires": 3_600 * SECOND}, "INTENT_EXPIRED"),
        ({}, {"age": 11 * SECOND, "expires": 3_600 * SECOND}, "INTENT_EXPIRED"),
        ({}, {"age": 0, "expires": 0}, "INTENT_EXPIRED"),
        ({}, {"age": -600 * SECOND, "expires": 700 * SECOND}, "CLOCK_SKEW"),
        ({}, {"age": -2 * SECOND, "expires": 10 * SECOND}, "CLOCK_SKEW"),
        ({}, {"quantity": Decimal("0.1234")}, "BAD_LOT"),
        ({}, {"quantity": Decimal("NaN")}, "BAD_NUMBER"),
        ({}, {"quantity": Decimal(-1)}, "BAD_NUMBER"),
        ({}, {"quantity": Decimal("0.0004")}, "BELOW_MIN"),
        ({}, {"stop_price": Decimal("0.04")}, "BAD_NUMBER"),
        ({}, {"stop_price": Decimal("Infinity")}, "BAD_NUMBER"),
        ({}, {"stop_price": Decimal(4_000), "quantity": Decimal("0.001")}, "BELOW_MIN"),
        ({}, {"limit_price": Decimal(0)}, "BAD_NUMBER"),
        ({}, {"limit_price": Decimal(70_000)}, "PRICE_COLLAR"),
        ({"max_held_orders": 0}, {}, "OPEN_ORDERS"),
    ],
)
def test_what_could_never_execute_is_refused_at_once(
    limits: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    rig = Rig(setting(**limits))
    rig.run(20 * SECOND)
    asked = dict(changes)
    if "age" in asked:
        asked["created_ns"] = rig.now - asked.pop("age")
        asked["expires_ns"] = rig.now + asked.pop("expires")
    assert stop(rig, **asked) == code
    assert rig.report("stop").status == "rejected"


def test_a_clock_that_is_known_to_differ_traps_no_stop() -> None:
    """Its time is known all the same; entries wait until the clocks agree."""
    rig = Rig(setting())
    rig.send(MacroBeat(instance="m", strategy="test", epoch=1, seq=1, skew_ns=600 * SECOND))
    assert stop(rig) == ""
    rig.send(signal("entry", created_ns=rig.now))
    assert rig.report("entry").reason_code == "CLOCK_SKEW"


@pytest.mark.parametrize(
    ("action", "code"), [("pause", ""), ("halt", "HALTED"), ("kill", "KILLED")]
)
def test_a_stop_is_taken_in_the_states_that_take_reductions(action: str, code: str) -> None:
    rig = holding()
    rig.operate(action)
    assert stop(rig) == code


def test_what_reductions_skip_traps_no_stop() -> None:
    """A lost lease, lost signals, the size of one order."""
    rig = Rig(setting(lease_required=True, max_order_notional=Decimal(1)))
    assert stop(rig, missed=3) == ""


def test_held_ones_are_counted() -> None:
    rig = Rig(setting(max_held_orders=20))
    codes = [stop(rig, f"s{number}") for number in range(30)]
    assert codes == [""] * 20 + ["OPEN_ORDERS"] * 10
    rig.cancel("s3")
    assert stop(rig, "again") == ""
    assert stop(rig, "more") == "OPEN_ORDERS"


def test_ones_that_protect_nothing_count_as_open_orders_do() -> None:
    rig = holding(setting(max_open_orders=3))
    assert [stop(rig, f"p{n}", quantity=Decimal("0.1")) for n in range(5)] == [""] * 5
    assert stop(rig, "beyond", quantity=Decimal("0.1")) == "OPEN_ORDERS"


def test_the_count_is_the_same_after_a_restart() -> None:
    rig = Rig(setting(max_held_orders=5))
    for number in range(5):
        assert stop(rig, f"s{number}") == ""
    rig.restart()
    rig.run(SECOND)
    assert not rig.engine.reconciling
    assert stop(rig, "more") == "OPEN_ORDERS"


# the cost


def far_away(count: int) -> Rig:
    rig = Rig(setting())
    for number in range(count):
        side = "sell" if number % 2 else "buy"
        price = 30_000 + number if side == "sell" else 90_000 + number
        assert stop(rig, f"s{number}", str(price), side=side) == ""
    return rig


def test_a_far_stop_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = far_away(300)
    near = stop(rig, "near", "59990")
    assert near == ""
    looks: list[str] = []
    decide = Stop.decide

    def counting(self: Stop, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        looks.append(parent.id)
        return decide(self, parent, inst, now_ns)

    monkeypatch.setattr(Stop, "decide", counting)
    for number in range(20):
        rig.book(60_000.0 + number % 3, 60_000.1 + number % 3)
        rig.trade(60_000.0)
        rig.run(100 * MS, refresh_ns=0)
    assert looks == []
    rig.book(59_989.0, 59_989.1)
    assert looks == ["near"]
    rig.book(60_000.0, 60_000.1)  # it must see that the market came back
    rig.book(60_000.0, 60_000.2)
    assert looks == ["near", "near"]


def test_three_thousand_stops_cost_an_update_nothing() -> None:
    """Compared on CPU time, with plenty of room for a busy machine; measured it is 1.0."""
    rigs = [far_away(0), far_away(3_000)]
    best = [float("inf")] * 2
    for _ in range(5):
        for which, rig in enumerate(rigs):
            started = process_time_ns()
            for number in range(300):
                rig.book(60_000.0 + number % 3, 60_000.1 + number % 3)
            best[which] = min(best[which], process_time_ns() - started)
    assert best[1] < 1.5 * best[0]


@settings(max_examples=examples(15, 120))
@given(
    stops=st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), st.integers(59_980, 60_020)), max_size=12
    ),
    moves=st.lists(
        st.tuples(st.sampled_from(["book", "trade"]), st.integers(59_975, 60_025)), max_size=30
    ),
    gone=st.sets(st.integers(0, 11), max_size=3),
)
def test_the_same_ones_trigger_as_if_each_were_looked_at_each_time(
    stops: list[tuple[str, int]], moves: list[tuple[str, int]], gone: set[int]
) -> None:
    rigs = [Rig(setting()), Rig(setting())]
    for rig in rigs:
        for number, (side, price) in enumerate(stops):
            stop(rig, f"s{number}", str(price), side=side)
        for number in gone & set(range(len(stops))):
            rig.cancel(f"s{number}")
    plain, indexed = rigs
    held = plain.engine.inst_states[KEY].held
    for kind, price in moves:
        for parent in tuple(held.waiting.values()):
            held.arm(parent, armed=True)
        for rig in rigs:
            if kind == "book":
                rig.book(float(price), price + 0.1)
            else:
                rig.trade(float(price))
            rig.run(50 * MS, refresh_ns=0)
        assert [p.state is ParentState.HELD for p in plain.engine.order_store.known.values()] == [
            p.state is ParentState.HELD for p in indexed.engine.order_store.known.values()
        ]
