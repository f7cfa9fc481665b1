"""An order reaches a venue through the gate or not at all, as it was judged, and once."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import SYMBOL, VENUE, Rig, signal

from citadel_micro.core.model.approval import Approvals, Approved
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.events import OperatorCommand
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import ChildState
from citadel_micro.core.risk.manager import RiskManager
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.engine.engine import Engine


def place(**changes: object) -> PlaceOrder:
    values: dict[str, Any] = {
        "venue": "binance-spot",
        "symbol": "BTC/USDT",
        "client_id": "run1-7-1",
        "parent_id": "run1-7",
        "side": "buy",
        "price_ticks": 6_000_000,
        "quantity_lots": 100,
        "post_only": True,
        "time_in_force": "GTC",
        "reduce_only": False,
        "expires_ns": 10,
    }
    return PlaceOrder(**{**values, **changes})


def amend() -> AmendOrder:
    return AmendOrder(
        venue="binance-spot",
        symbol="BTC/USDT",
        client_id="run1-7-1",
        parent_id="run1-7",
        side="buy",
        price_ticks=6_000_001,
        quantity_lots=100,
        post_only=True,
        reduce_only=False,
        expires_ns=10,
    )


def gate() -> Approvals:
    return Approvals(lambda: 3)


def test_nobody_makes_one_but_a_gate() -> None:
    with pytest.raises(InvariantError, match="only the risk gate"):
        Approved()
    with pytest.raises(InvariantError, match="no other kinds"):
        type("Mine", (Approved,), {})


def test_an_amend_is_approved_like_a_place() -> None:
    order = amend()
    approved = gate().issue(order, book_seq=41)
    assert approved.spend() is order
    with pytest.raises(InvariantError, match="spent before"):
        approved.spend()


def test_an_approval_is_spent_once() -> None:
    order = place()
    approved = gate().issue(order, book_seq=41)
    assert (approved.book_seq, approved.risk_epoch) == (41, 3)
    assert approved.spend() is order
    with pytest.raises(InvariantError, match="run1-7-1 was spent before"):
        approved.spend()


def test_a_second_approval_of_an_equal_order_is_its_own() -> None:
    by = gate()
    first, second = (by.issue(place(), book_seq=1) for _ in range(2))
    first.spend()
    assert second.spend() == place()


def test_it_says_what_it_approves() -> None:
    text = repr(gate().issue(place(), book_seq=41))
    assert "run1-7-1" in text
    assert "book_seq=41" in text
    assert "risk_epoch=3" in text


# what does not pass


def forged(order: PlaceOrder, book_seq: int, gate_of: object) -> Approved[PlaceOrder]:
    """By every means that Python leaves."""
    made: Approved[PlaceOrder] = object.__new__(Approved)
    for name, value in (
        ("_order", order),
        ("_book_seq", book_seq),
        ("_risk_epoch", 3),
        ("_approvals", gate_of),
    ):
        object.__setattr__(made, name, value)
    return made


def test_one_that_was_made_by_hand_opens_nothing() -> None:
    by = gate()
    real = by.issue(place(), book_seq=41)
    for made in (forged(place(), 41, by), forged(real.order, 41, by)):
        assert not by.valid(made)
        with pytest.raises(InvariantError, match="never given by this gate"):
            by.redeem(made)
    assert by.redeem(real) == place()


def test_another_gates_approval_opens_nothing() -> None:
    theirs = gate().issue(place(), book_seq=41)
    risk = RiskManager(paper_defaults())
    assert not risk.still_valid(theirs)
    with pytest.raises(InvariantError, match="never given by this gate"):
        risk.open(theirs)


@pytest.mark.parametrize(
    "taken", [copy.copy, copy.deepcopy, pickle.dumps, lambda each: copy.deepcopy([each])]
)
def test_it_cannot_be_copied_or_stored(taken: Any) -> None:  # noqa: ANN401 - any of these
    with pytest.raises(InvariantError, match="cannot be"):
        taken(gate().issue(place(), book_seq=41))


@pytest.mark.parametrize("name", ["order", "_order", "book_seq", "risk_epoch", "_risk_epoch", "x"])
def test_it_cannot_be_changed(name: str) -> None:
    approved = gate().issue(place(), book_seq=41)
    with pytest.raises(InvariantError, match="cannot be changed"):
        setattr(approved, name, place(price_ticks=1))
    with pytest.raises(InvariantError, match="cannot be changed"):
        delattr(approved, name)
    assert approved.spend() == place()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", "other"),
        ("parent_id", "other"),
        ("symbol", "ETH/USDT"),
        ("side", "sell"),
        ("price_ticks", 1),
        ("quantity_lots", 10**6),
        ("post_only", False),
        ("time_in_force", "IOC"),
        ("reduce_only", True),
        ("expires_ns", 10**18),
    ],
)
def test_its_order_cannot_be_swapped_or_bent(name: str, value: Any) -> None:  # noqa: ANN401 - of any field
    by = gate()
    swapped = by.issue(place(), book_seq=41)
    object.__setattr__(swapped, "_order", replace(swapped.order, **{name: value}))
    with pytest.raises(InvariantError, match="given to another order"):
        by.redeem(swapped)
    bent = by.issue(place(), book_seq=41)
    object.__setattr__(bent.order, name, value)
    with pytest.raises(InvariantError, match="given to another order"):
        by.redeem(bent)


def test_a_swapped_pair_opens_nothing() -> None:
    by = gate()
    first, second = by.issue(place(), book_seq=1), by.issue(place(client_id="b"), book_seq=1)
    other = second.order
    object.__setattr__(second, "_order", first.order)
    object.__setattr__(first, "_order", other)
    for each in (first, second):
        with pytest.raises(InvariantError, match="given to another order"):
            by.redeem(each)


# a kill between the judgement and the sending


def approved_in(engine: Engine, now_ns: int) -> Approved[PlaceOrder]:
    commands = engine.handle(signal("s", created_ns=now_ns), now_ns)
    (approved,) = [each for each in commands if isinstance(each, Approved)]
    return approved  # type: ignore[return-value]  # it places


@pytest.mark.parametrize("action", ["kill", "halt", "pause"])
def test_an_approval_given_before_a_kill_is_not_sent(action: Any) -> None:  # noqa: ANN401
    rig = Rig()
    approved = approved_in(rig.engine, rig.now)
    assert rig.engine.risk.still_valid(approved)
    rig.engine.handle(OperatorCommand(action=action, scope="", trip_id="", reason="drill"), rig.now)
    assert not rig.engine.risk.still_valid(approved)
    with pytest.raises(InvariantError, match="is void"):
        rig.engine.risk.open(approved)


def test_an_approval_outlives_no_restart() -> None:
    rig = Rig()
    approved = approved_in(rig.engine, rig.now)
    rig.restart()
    assert not rig.engine.risk.still_valid(approved)
    assert rig.engine.risk.risk_epoch >= approved.risk_epoch


def test_what_was_not_sent_is_known_not_to_be_out() -> None:
    """The engine is told at once: it neither waits for the order nor asks about it."""
    rig = Rig()
    rig.hold_back = True
    rig.send(signal("s"))
    rig.operate("pause")
    rig.let_go()
    parent = rig.parent("s")
    assert [child.state for child in parent.children] == [ChildState.REJECTED]
    assert rig.report("s").status in ("canceled", "rejected")
    assert not rig.venue.placed
    assert not rig.engine.risk.breakers.find("REJECT_BURST", f"symbol:{VENUE}:{SYMBOL}")


def test_what_trips_in_the_same_call_takes_the_order_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    engine = rig.engine
    begin = engine.executor.begin

    def begin_then_trip(parent: Any, inst: Any, now_ns: int) -> None:  # noqa: ANN401
        begin(parent, inst, now_ns)
        engine._out.commands.extend(engine.risk.trip("OVERFILL", "global", "elsewhere", now_ns))

    monkeypatch.setattr(engine.executor, "begin", begin_then_trip)
    commands = rig.send(signal("s"))
    assert not [each for each in commands if isinstance(each, Approved | CancelOrder)]
    assert [child.state for child in rig.parent("s").children] == [ChildState.REJECTED]
    assert rig.report("s").status == "canceled"
