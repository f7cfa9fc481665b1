from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from engine_kit import MS, START, VENUE, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.order_records import (
    child_state,
    fill_state,
    load_child,
    load_fill,
    load_parent,
    parent_state,
)
from citadel_micro.core.orders.order_states import (
    CHILD_TABLE,
    CHILD_TERMINAL,
    OUTCOMES,
    PARENT_TABLE,
    PARENT_TERMINAL,
    ChildEvent,
    ChildState,
    ParentEvent,
    ParentPhase,
    ParentState,
)
from citadel_micro.core.orders.orders import Parent
from citadel_proto.errors import InvariantError

AT_REST = (
    ParentState.GATING,
    ParentState.HELD,
    ParentState.READY,
    ParentState.PAUSED,
    ParentState.CLOSING,
)


def child(number: int = 1, quantity: int = 100, **changes: object) -> Child:
    values: dict[str, Any] = {
        "client_id": f"c-{number}",
        "price_ticks": 600_000,
        "quantity_lots": quantity,
        "post_only": True,
        "ioc": False,
        "reduce_only": False,
        "placed_ns": START,
        "expires_ns": START + 2_000 * MS,
        "book_seq": 7,
        "mid_half_ticks": 1_200_001,
    }
    return Child(**{**values, **changes})


def parent(target: int = 100) -> Parent:
    return Parent(
        signal=signal(), instrument=rules(), number=1, own=False, created_ns=START, target=target
    )


def word(one: Parent) -> str:
    return one.state.value


def fill(trade_id: str, lots: int, cumulative: int = -1) -> OrderFilled:
    from decimal import Decimal  # noqa: PLC0415

    return OrderFilled(
        venue=VENUE,
        symbol="BTC/USDT",
        client_id="c-1",
        trade_id=trade_id,
        price_ticks=600_000,
        quantity_lots=lots,
        cumulative_lots=cumulative,
        fee=Decimal(1),
        fee_currency="USDT",
        liquidity="maker",
        exchange_ns=START,
    )


# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(ChildState))
@pytest.mark.parametrize("event", list(ChildEvent))
def test_child_moves_as_the_table_says_or_not_at_all(state: ChildState, event: ChildEvent) -> None:
    one = child(state=state)
    following = CHILD_TABLE[state].get(event)
    if following is None:
        before = child(state=state)
        with pytest.raises(InvariantError, match=event.value):
            one.step(event)
        assert asdict(one) == asdict(before)
    else:
        one.step(event)
        assert one.state is following


@pytest.mark.parametrize("phase", list(ParentPhase))
@pytest.mark.parametrize("event", list(ParentEvent))
def test_parent_moves_as_the_table_says_or_not_at_all(
    phase: ParentPhase, event: ParentEvent
) -> None:
    one = parent()
    one.phase = phase
    following = PARENT_TABLE[phase].get(event)
    if following is None:
        with pytest.raises(InvariantError, match=event.value):
            one.step(event)
        assert one.phase is phase
    else:
        one.step(event)
        assert one.phase is following
        assert one.terminal is (one.outcome is not None)


@pytest.mark.parametrize("state", [s for s in ChildState if s not in CHILD_TERMINAL])
@pytest.mark.parametrize("ioc", [False, True])
@pytest.mark.parametrize("capped", [False, True])
def test_what_an_active_parent_does_is_what_its_child_does(
    state: ChildState, ioc: bool, capped: bool
) -> None:
    one = parent()
    one.step(ParentEvent.ADMIT)
    one.paused = True
    assert word(one) == "paused"
    one.add(child(state=state, ioc=ioc, capped=capped))
    expected = {"quarantined": "unknown"}.get(state.value, state.value)
    if ioc and expected in {"placing", "working"}:
        expected = "crossing"
    elif capped and expected == "working":
        expected = "capped"
    assert word(one) == expected
    one.live[0].state = ChildState.CANCELED
    one.count(one.live[0])
    assert word(one) == "ready"
    one.step(ParentEvent.CLOSE)
    assert word(one) == "closing"
    one.step(ParentEvent.DUST)
    assert word(one) == "done_dust"


@pytest.mark.parametrize("state", list(ParentState))
def test_every_state_that_was_ever_stored_is_read_as_a_phase(state: ParentState) -> None:
    row = {**parent_state(parent()), "state": state.value}
    again = load_parent(row)
    assert again.terminal is (state in PARENT_TERMINAL)
    if state in (*PARENT_TERMINAL, *AT_REST):
        assert parent_state(again)["state"] == state.value
    else:  # its child, loaded next, says the rest
        assert (again.phase, again.state) == (ParentPhase.ACTIVE, ParentState.READY)


def test_tables_are_complete() -> None:
    assert set(CHILD_TABLE) == set(ChildState)
    assert set(PARENT_TABLE) == set(ParentPhase)
    assert set(OUTCOMES.values()) == set(PARENT_TERMINAL)


def test_proof_stands_and_silence_proves_nothing() -> None:
    for state in (ChildState.FILLED, ChildState.CANCELED, ChildState.EXPIRED):
        row = dict(CHILD_TABLE[state])
        assert row.pop(ChildEvent.REAPPEARED) is ChildState.UNKNOWN
        assert set(row.values()) == {state}
        assert ChildEvent.CANCEL_SENT not in CHILD_TABLE[state]
        assert ChildEvent.AMEND_SENT not in CHILD_TABLE[state]
    for state, row in CHILD_TABLE.items():
        if state not in CHILD_TERMINAL:
            assert row[ChildEvent.MARKED_UNKNOWN] not in CHILD_TERMINAL


def test_ended_parents_never_come_back() -> None:
    assert PARENT_TABLE[ParentPhase.TERMINAL] == {ParentEvent.ANOMALY: ParentPhase.TERMINAL}


def test_no_order_is_sent_while_another_may_be_out() -> None:
    one = parent()
    one.step(ParentEvent.ADMIT)
    one.add(child(quantity=10))
    with pytest.raises(InvariantError, match="still live"):
        one.add(child(2, quantity=10))
    assert ChildEvent.AMEND_SENT not in CHILD_TABLE[ChildState.CANCELING]
    assert ChildEvent.CANCEL_SENT not in CHILD_TABLE[ChildState.CANCELING]


# --- accounting ---------------------------------------------------------------------------------


def test_a_fill_counts_once_and_totals_only_grow() -> None:
    one = child()
    assert one.note_fill(fill("a", 30, 30), START, 0) is not None
    assert one.note_fill(fill("a", 30, 30), START, 0) is None
    assert (one.filled, one.reserved) == (30, 70)
    one.note_fill(fill("c", 10, 80), START, 0)
    assert one.seen_lots == 40
    assert one.filled == 80  # the venue has counted one that we have not seen
    assert not one.fills_complete
    one.note_fill(fill("b", 40, 70), START, 0)
    assert one.filled == 80
    assert one.fills_complete


def test_an_amend_in_flight_reserves_the_larger() -> None:
    one = child(quantity=50, state=ChildState.AMENDING)
    one.amend_quantity_lots = 80
    assert one.reserved == 80
    one.amend_quantity_lots = 20
    assert one.reserved == 50
    one.note_fill(fill("a", 30), START, 0)
    assert one.reserved == 20
    one.settle_amend(599_999, 40, START)
    assert one.reserved == 10
    assert one.price_ticks == 599_999


def test_only_proof_releases_a_reservation() -> None:
    one = child()
    for state in ChildState:
        one.state = state
        assert one.reserved == (0 if state in CHILD_TERMINAL else 100)


def test_a_child_beyond_the_budget_is_refused_and_changes_nothing() -> None:
    one = parent(100)
    with pytest.raises(InvariantError, match="100 available"):
        one.add(child(quantity=101))
    assert one.children == []
    one.add(child(quantity=60))
    with pytest.raises(InvariantError, match="still live"):
        one.add(child(2, quantity=40))
    assert len(one.children) == 1
    one.children[0].note_fill(fill("a", 20), START, 0)
    one.children[0].state = ChildState.CANCELED
    one.recount()
    assert (one.filled, one.available) == (20, 80)
    one.add(child(2, quantity=80))
    assert one.available == 0


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["fill", "total", "cancel", "place"]), st.integers(1, 60)),
        max_size=30,
    )
)
def test_filled_and_reserved_never_exceed_the_target(moves: list[tuple[str, int]]) -> None:
    one = parent(100)
    for number, (what, lots) in enumerate(moves):
        if what == "place" and not one.live and one.available > 0:
            one.add(child(number, quantity=min(lots, one.available)))
        for live in list(one.live):
            room = live.quantity_lots - live.filled
            if what == "fill" and room:
                live.note_fill(fill(str(number), min(lots, room)), START, 0)
            elif what == "total":
                live.cumulative_lots = max(live.cumulative_lots, live.filled + min(lots, room))
            elif what == "cancel":
                live.state = ChildState.CANCELED
        one.recount()
        assert one.filled + one.reserved <= one.target
        assert one.available >= 0
        assert not one.overfilled


# --- durable form -------------------------------------------------------------------------------


def test_durable_form_comes_back_equal_and_is_plain() -> None:
    one = parent()
    one.phase, one.outcome = ParentPhase.TERMINAL, ParentState.EXPIRED
    one.verdict = ParentEvent.CANCEL
    one.permitted = 12
    live = child(state=ChildState.CANCELING)
    live.note_fill(fill("a", 30, 30), START, 1_200_003)
    one.children.append(live)
    row, child_row = parent_state(one), child_state(one, live)
    assert_plain(row)
    assert_plain(child_row)
    again = load_parent(row)
    assert parent_state(again) == row
    assert again.signal == one.signal
    loaded = load_child(child_row)
    fill_row = fill_state(live.fills[0])
    assert_plain(fill_row)
    load_fill(loaded, fill_row)
    live.stored_fills = 1
    # Which prices it had before the restart is not stored, so it may have had another.
    assert asdict(loaded) == asdict(live) | {"repriced": True}


def assert_plain(value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            assert isinstance(key, str)
            assert_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            assert_plain(inner)
    else:
        assert value is None or isinstance(value, str | int | bool), value


def test_renamed_fields_keep_their_keys_in_journals() -> None:
    one = parent()
    one.reported_fills, one.arrival_mid2_ticks = 3, 101
    one.release_mid2_ticks, one.final_mid2_ticks = 102, 103
    row = parent_state(one)
    assert [row[key] for key in ("told_fills", "arrival_half_ticks")] == [3, 101]
    assert [row[key] for key in ("release_half_ticks", "final_half_ticks")] == [102, 103]
    again = load_parent(row)
    assert (again.reported_fills, again.arrival_mid2_ticks) == (3, 101)
    assert (again.release_mid2_ticks, again.final_mid2_ticks) == (102, 103)
