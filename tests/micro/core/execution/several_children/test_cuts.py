"""Several orders out at once: an order is cut in place, and late answers do not undo it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from script_kit import LATE, Script, look, resting, started, venue, work

from citadel_micro.core.algos.base import KEEP, Orders
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, QueryOrder
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderAmended,
    OrderState,
)
from citadel_micro.core.orders.order_states import (
    ChildState,
    ParentState,
)


@pytest.mark.parametrize(
    ("able", "amended", "cancelled"),
    [({}, 0, 1), ({"amend_down": True}, 1, 0), ({"amend_native": True}, 1, 0)],
)
def test_an_order_is_cut_in_place_where_the_venue_can(
    script: type[Script], able: dict[str, Any], amended: int, cancelled: int
) -> None:
    rig = started(script, work(599_990, 200), work(599_980, 200), able=venue(**able))
    rig.venue.fill(rig.venue.placed[0].client_id, 50)
    rig.run(10 * MS)
    script.answer = Orders((work(599_990, 100), work(599_980, 200)))
    look(rig)
    look(rig)
    assert resting(rig) == [(599_980, 200), (599_990, 100)]
    assert (len(rig.sent(AmendOrder)), len(rig.sent(CancelOrder))) == (amended, cancelled)
    assert rig.parent().filled == 50


def test_a_venue_that_only_cuts_is_not_asked_for_another_price(script: type[Script]) -> None:
    rig = started(script, work(599_990, 200), able=venue(amend_down=True))
    script.answer = Orders((work(599_980, 100),))
    look(rig)
    look(rig)
    assert rig.sent(AmendOrder) == []
    assert resting(rig) == [(599_980, 100)]


@pytest.mark.parametrize(("code", "cuts"), [("OTHER", 1), ("RATE_LIMIT", 2)])
def test_a_venue_that_refuses_to_cut_an_order_is_not_asked_again_and_again(
    script: type[Script], code: Literal["OTHER", "RATE_LIMIT"], cuts: int
) -> None:
    """Binance spot takes ten amends of an order, and not of every symbol (-2038)."""
    rig = started(script, work(599_990, 200), able=venue(amend_down=True))
    script.answer = Orders((work(599_990, 100),))
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    rig.book(rig.bid, rig.ask)
    rig.venue.heal()
    refused = rig.venue.placed[0].client_id
    rig.send(
        AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=refused, code=code, text="no more")
    )
    for _ in range(5):
        rig.book(rig.bid, rig.ask)
    assert len(rig.sent(AmendOrder)) == 1
    assert len(rig.sent(CancelOrder)) == (1 if code == "OTHER" else 0)
    rig.run(4 * SECOND)
    look(rig)
    assert resting(rig) == [(599_990, 100)]
    assert len(rig.sent(AmendOrder)) == cuts


def test_no_order_is_cut_while_an_earlier_amend_of_it_may_still_arrive(
    script: type[Script],
) -> None:
    """A late refusal of one amend is no word on the next: that one would undo the cut behind it."""
    rig = started(script, work(599_990, 300), able=venue(amend_native=True))
    order = rig.venue.placed[0].client_id
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    script.answer = Orders((work(599_980, 200),))
    rig.book(rig.bid, rig.ask)
    rig.venue.heal()
    (_, held_up), *_ = rig.sent(AmendOrder)
    assert isinstance(held_up, AmendOrder)
    assert held_up.quantity_lots == 200
    rig.send(
        AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=order, code="RATE_LIMIT", text="other")
    )
    script.answer = Orders((work(599_985, 100), work(599_970, 100)))
    rig.run(1_100 * MS)
    look(rig)
    assert resting(rig) == [(599_970, 100), (599_985, 300)], "moved, but not cut"
    rig.venue.submit(held_up, rig.now)
    look(rig)
    assert sum(lots for _, lots in resting(rig)) <= 500
    rig.run(4 * SECOND)
    look(rig)
    look(rig)
    assert resting(rig) == [(599_970, 100), (599_985, 100)]


@pytest.mark.parametrize("backend_ns", [0, 10 * SECOND])
def test_nothing_is_cut_while_the_venue_may_still_execute_an_earlier_amend(
    script: type[Script], backend_ns: int
) -> None:
    able = replace(venue(amend_native=True), backend_timeout_ns=backend_ns)
    rig = started(script, work(599_990, 300), able=able)
    order = rig.venue.placed[0].client_id
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    script.answer = Orders((work(599_980, 300),))
    look(rig)
    rig.venue.heal()
    rig.send(
        AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=order, code="RATE_LIMIT", text="other")
    )
    script.answer = Orders((work(599_990, 100), work(599_970, 100)))
    for _ in range(4):
        rig.run(SECOND)
        look(rig)
    assert (599_990, 300 if backend_ns else 100) in resting(rig)
    rig.run(10 * SECOND)
    look(rig)
    assert (599_990, 100) in resting(rig)


def cut(script: type[Script], *, told_by: str) -> tuple[Rig, OrderState]:
    """An order of 300 lots that was cut to 100, with a late answer about it as it was before.

    The rest is given to another order.
    """
    rig = started(script, work(599_990, 300), work(599_980, 200), able=venue(amend_native=True))
    order = rig.venue.placed[0].client_id
    rig.run(SECOND)
    before = rig.venue.state_of(order, "order")
    script.answer = Orders((work(599_990, 100), work(599_980, 200), work(599_970, 200)))
    rig.venue.mute = told_by == "an answer"
    look(rig)
    if rig.venue.mute:
        rig.venue.mute = False
        rig.send(rig.venue.state_of(order, "order"))
    look(rig)
    assert resting(rig) == [(599_970, 200), (599_980, 200), (599_990, 100)]
    return rig, before


@pytest.mark.parametrize("told_by", ["an answer", "a report"])
def test_a_late_answer_from_before_a_cut_does_not_undo_it(
    script: type[Script], told_by: str
) -> None:
    rig, before = cut(script, told_by=told_by)
    rig.send(before)
    assert rig.parent().state is ParentState.WORKING
    assert (rig.parent().reserved, rig.parent().available) == (500, 0)


def test_a_replica_that_lags_does_not_undo_a_cut(script: type[Script]) -> None:
    rig, before = cut(script, told_by="a report")
    rig.run(SECOND)
    rig.send(replace(before, exchange_ns=rig.now))
    assert (rig.parent().state, rig.parent().reserved) == (ParentState.WORKING, 500)
    rig.run(5 * SECOND)
    rig.send(replace(before, exchange_ns=rig.now))
    assert rig.parent().state is ParentState.ANOMALY, "it says so long after, and means it"


def test_lots_are_not_free_while_an_earlier_amend_may_bring_them_back(
    script: type[Script],
) -> None:
    """Two refusals of others, and the venue executes both amends: first the cut, then the other."""
    rig = started(script, work(599_990, 300), work(599_980, 200), able=venue(amend_native=True))
    order = rig.venue.placed[0].client_id
    no = AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=order, code="RATE_LIMIT", text="other")
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    for price, lots in ((599_990, 100), (599_995, 300)):
        script.answer = Orders((work(price, lots), work(599_980, 200), work(599_970, 200)))
        look(rig)
        script.answer = KEEP
        rig.send(no)
        rig.run(1_100 * MS)
    (_, first), (_, second), *_ = rig.sent(AmendOrder)
    assert isinstance(first, AmendOrder)
    assert isinstance(second, AmendOrder)
    assert (first.quantity_lots, second.quantity_lots) == (100, 300)
    rig.venue.heal()
    rig.venue.submit(first, rig.now)
    rig.run(5 * MS)
    rig.send(rig.venue.state_of(order, "order"))
    script.answer = Orders((work(599_990, 100), work(599_980, 200), work(599_970, 200)))
    look(rig)
    rig.venue.submit(second, rig.now)
    look(rig)
    assert sum(lots for _, lots in resting(rig)) <= 500
    rig.run(20 * SECOND)
    look(rig)
    assert resting(rig) == [(599_970, 200), (599_980, 200), (599_990, 100)]


def test_an_order_that_has_filled_what_it_was_cut_to_is_over(script: type[Script]) -> None:
    """Told in the other order: first the fill, then the cut. Nothing else may come for long."""
    rig = started(script, work(599_990, 300), work(599_980, 200), able=venue(amend_native=True))
    order = rig.venue.placed[0].client_id
    rig.venue.faults.lose_report = 1.0
    script.answer = Orders((work(599_990, 100), work(599_980, 200)))
    look(rig)
    fill = rig.venue.fill(order, 100)
    rig.send(fill)
    assert rig.parent().children[0].state is ChildState.AMENDING
    rig.send(
        OrderAmended(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=order,
            price_ticks=599_990,
            quantity_lots=100,
            exchange_ns=fill.exchange_ns - 1,
        )
    )
    assert rig.parent().children[0].state is ChildState.FILLED
    assert rig.parent().children[2].state is ChildState.PLACING


def test_an_amend_whose_answer_is_lost_is_over_though_its_order_was_to_be_cancelled(
    script: type[Script],
) -> None:
    rig = started(script, work(599_990, 300), work(599_980, 200), able=venue(amend_native=True))
    order = rig.venue.placed[0].client_id
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    script.answer = Orders((work(599_990, 100), work(599_980, 200)))
    rig.book(rig.bid, rig.ask)
    script.answer = Orders((work(599_980, 200),))
    rig.book(rig.bid, rig.ask)
    rig.venue.heal()
    script.answer = KEEP
    rig.send(
        CancelRejected(venue=VENUE, symbol=SYMBOL, client_id=order, code="RATE_LIMIT", text="")
    )
    rig.run(5 * SECOND)
    child = rig.parent().children[0]
    assert (child.state, child.quantity_lots) == (ChildState.WORKING, 300)
    assert child.amend_quantity_lots == 0
    assert len(rig.sent(QueryOrder)) == 1


def test_a_venue_that_amends_no_order_gets_another_instead(script: type[Script]) -> None:
    """It is not asked again with every look at the market."""
    rig = started(script, work(599_990, 300), able=venue(amend_native=True))
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    script.answer = Orders((work(599_980, 300),))
    rig.book(rig.bid, rig.ask)
    rig.venue.heal()
    refused = rig.venue.placed[0].client_id
    rig.send(
        AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=refused, code="OTHER", text="never")
    )
    look(rig)
    look(rig)
    assert resting(rig) == [(599_980, 300)]
    assert len(rig.sent(AmendOrder)) == 1


def test_an_order_never_grows(script: type[Script]) -> None:
    rig = started(script, work(599_990, 100), able=venue(amend_native=True))
    script.answer = Orders((work(599_990, 300),))
    look(rig)
    assert resting(rig) == [(599_990, 100)]


def test_nothing_is_cut_below_the_venues_minimum(script: type[Script]) -> None:
    rig = Rig(config(venue(amend_down=True)), instrument=rules(min_lots=30))
    script.answer = Orders((work(599_990, 100),))
    rig.send(signal(algo="ladder", expires_ns=LATE))
    rig.run(10 * MS)
    script.answer = Orders((work(599_990, 1),))
    look(rig)
    assert resting(rig) == [(599_990, 30)]


def test_an_order_that_rests_is_cut_though_the_market_is_at_its_price(
    script: type[Script],
) -> None:
    """It has its price and took nothing; only a new post-only price could take."""
    rig = started(script, work(599_990, 200, post_only=True), able=venue(amend_down=True))
    rig.venue.fill_at_once = False
    script.answer = Orders((work(599_990, 100, post_only=True),))
    rig.book(59_998.8, 59_999.0)
    rig.run(10 * MS)
    assert resting(rig) == [(599_990, 100)]
