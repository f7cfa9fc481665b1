"""Several orders out at once: what stays, what is changed, what is placed."""

from __future__ import annotations

import pytest
from engine_kit import signal
from hypothesis import given
from hypothesis import strategies as st
from ladder_kit import MOST, Ladder
from script_kit import Script, child, look, resting, started, work

from citadel_micro.core.algos.base import Orders, Withdraw
from citadel_micro.core.execution.wanted import as_wanted, pair, stands
from citadel_micro.core.model.commands import CancelOrder
from citadel_micro.core.orders.order_states import (
    CHILD_TERMINAL,
    PRECEDENCE,
    ChildState,
    ParentPhase,
    ParentState,
    doing,
    first_of,
)
from citadel_micro.core.orders.orders import Parent
from citadel_proto.errors import InvariantError

LIVE = [state for state in ChildState if state not in CHILD_TERMINAL]


def test_each_order_has_its_own_price_and_quantity(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 150), work(599_970))
    assert resting(rig) == [(599_970, 250), (599_980, 150), (599_990, 100)]
    assert rig.parent().available == 0


def test_only_the_order_that_is_nowhere_wanted_moves(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100), work(599_970, 100))
    first = [order.client_id for order in rig.venue.placed]
    script.answer = Orders((work(600_000, 100), work(599_990, 100), work(599_980, 100)))
    look(rig)
    look(rig)
    assert resting(rig) == [(599_980, 100), (599_990, 100), (600_000, 100)]
    assert [request.client_id for _, request in rig.sent(CancelOrder)] == [first[2]]  # type: ignore[attr-defined]
    assert len(rig.venue.placed) == 4


def test_what_is_as_wanted_costs_no_message(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    before = len(rig.venue.requests)
    stored = dict(rig.durable)
    for _ in range(5):
        look(rig)
    assert len(rig.venue.requests) == before
    assert rig.durable == stored


def test_an_order_that_is_not_wanted_any_more_is_withdrawn(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    script.answer = Orders((work(599_980, 100),))
    look(rig)
    assert resting(rig) == [(599_980, 100)]
    script.answer = Orders(())
    look(rig)
    assert resting(rig) == []
    assert rig.parent().state is ParentState.READY


def test_a_single_order_is_an_answer_too(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    script.answer = work(599_980, 100)
    look(rig)
    assert resting(rig) == [(599_980, 100)]


def test_withdraw_takes_back_all_that_is_sure(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), work(599_980, 100))
    rig.venue.mute = True
    child = rig.parent().live[1]
    rig.engine.executor.sender.mark_unknown(rig.parent(), child, rig.now, "test")
    script.answer = Withdraw("TEST", "a test")
    look(rig)
    states = [each.state for each in rig.parent().live]
    assert states == [ChildState.CANCELING, ChildState.UNKNOWN]


def test_more_than_the_traits_say_is_our_error(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100))
    script.answer = Orders(tuple(work(599_990 - n, 10) for n in range(MOST + 1)))
    with pytest.raises(InvariantError, match="5 orders at once"):
        rig.book(rig.bid, rig.ask)


def test_the_budget_is_given_in_their_order(script: type[Script]) -> None:
    rig = started(script, work(599_990, 400), work(599_980, 400), work(599_970, 400))
    assert resting(rig) == [(599_980, 100), (599_990, 400)]
    rig.venue.fill(rig.venue.placed[0].client_id, 400)
    script.answer = Orders((work(599_980, 400), work(599_970, 400)))
    look(rig)
    assert resting(rig) == [(599_980, 100)], "there is nothing left to give"


def test_the_least_sure_of_them_is_what_the_parent_is_doing() -> None:
    assert [state.value for state in PRECEDENCE] == [
        "unknown",
        "canceling",
        "amending",
        "placing",
        "crossing",
        "working",
        "capped",
    ]
    words = {
        doing(state, immediate=immediate, capped=capped)
        for state in LIVE
        for immediate in (False, True)
        for capped in (False, True)
    }
    assert words == set(PRECEDENCE), "every live order has a place in it"


@given(states=st.lists(st.sampled_from(LIVE), min_size=1, max_size=MOST), data=st.data())
def test_the_word_does_not_depend_on_their_order(
    states: list[ChildState], data: st.DataObject
) -> None:
    def said(some: list[ChildState]) -> ParentState:
        parent = Parent(
            signal=signal(), instrument=None, number=1, own=False, created_ns=0, target=1_000
        )
        parent.phase = ParentPhase.ACTIVE
        parent.algo = Ladder.make(())
        for number, state in enumerate(some):
            parent.add(child(599_990, f"c{number}"))
            parent.live[-1].state = state
        return parent.state

    word = said(states)
    assert word is said(data.draw(st.permutations(states)))
    one = [doing(state, immediate=False, capped=False) for state in states]
    for each in one:
        assert first_of(word, each) is word
    assert word in one


def test_capped_is_said_when_none_can_go_further(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100, capped=True), work(599_980, 100))
    assert rig.parent().state is ParentState.WORKING
    script.answer = Orders((work(599_990, 100, capped=True),))
    look(rig)
    assert rig.parent().state is ParentState.CAPPED


PRICES = st.integers(1, 6)


@given(
    live=st.lists(st.tuples(PRICES, st.sampled_from(LIVE)), max_size=5),
    prices=st.lists(PRICES, max_size=5),
)
def test_every_order_stands_for_one_at_most(
    live: list[tuple[int, ChildState]], prices: list[int]
) -> None:
    children = [child(price, state=state) for price, state in live]
    wanted = [work(price) for price in prices]
    pairs, missing = pair(children, wanted)
    assert [each for each, _ in pairs] == children
    given_away = [work.price_ticks for _, work in pairs if work is not None]
    assert sorted(given_away + [work.price_ticks for work in missing]) == sorted(prices)
    assert len(missing) == max(0, len(wanted) - len(children)), "none is placed for one in doubt"
    at_price = sum(1 for each, work in pairs if work is not None and stands(each, work))
    most = sum(min(prices.count(p), sum(q == p for q, _ in live)) for p in set(prices))
    if len(children) <= len(wanted) and len(wanted) != 1:
        assert at_price == most
    if as_wanted(children, wanted):
        assert sorted(prices) == sorted(price for price, _ in live)
