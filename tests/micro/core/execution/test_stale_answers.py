"""An answer to a query may be older than what is known: it takes back neither lots nor prices.

An exchange answers from replicas that lag, and does not say by how much.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal
from ladder_kit import Ladder

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.algos.base import KEEP, Orders, Work
from citadel_micro.core.model.commands import AmendOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import AmendRejected, OrderAmended, OrderState
from citadel_micro.core.orders.order_states import ChildState, ParentState

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

ORDER = "sctest-1-1"
HIGH, LOW = 599_990, 599_980
LAGS_NS = 4 * SECOND
"""How old an answer may be, at most; less than what the engine allows for."""


class Script(Ladder):
    """Wants what the test says."""

    answer: Decision = KEEP

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        del parent, inst, now_ns
        return self.answer


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """An order of 300 lots at the higher price, of a parent of 500."""
    monkeypatch.setitem(ALGORITHMS, "ladder", Script)
    monkeypatch.setattr(Script, "answer", KEEP)
    able = VenueConfig(
        shows_own_orders=False, amend_native=True, messages_per_second=100, message_burst=500
    )
    rig = Rig(config(able, audit_ns=3_600 * SECOND))
    want(rig, (HIGH, 300))
    ladder = signal(
        algo="ladder", params=(("time_limit_ms", 600_000),), expires_ns=START + 900 * SECOND
    )
    rig.send(ladder)
    rig.run(10 * MS)
    assert rig.venue.placed[0].client_id == ORDER
    return rig


def want(rig: Rig, *orders: tuple[int, int]) -> None:
    """These orders are wanted, and everything arrives."""
    works = (Work(p, post_only=False, ioc=False, capped=False, quantity_lots=q) for p, q in orders)
    Script.answer = Orders(tuple(works))
    if rig.bid:
        rig.book(rig.bid, rig.ask)
        rig.run(10 * MS)


def want_held(rig: Rig, *orders: tuple[int, int]) -> AmendOrder:
    """The same, but the exchange holds the amend back: it, to be submitted later."""
    rig.venue.faults.lose_request = rig.venue.faults.silent_loss = 1.0
    want(rig, *orders)
    rig.venue.heal()
    Script.answer = KEEP
    _, held = rig.sent(AmendOrder)[-1]
    assert isinstance(held, AmendOrder)
    return held


def answer(rig: Rig, price: int, lots: int) -> None:
    """An answer made now, that shows the order as it was at some time."""
    now = rig.venue.state_of(ORDER, "order")
    rig.send(replace(now, price_ticks=price, quantity_lots=lots, exchange_ns=rig.now))


def child(rig: Rig) -> Child:
    return rig.parent().children[0]


def at_exchange(rig: Rig) -> int:
    return sum(order.quantity_lots for order in rig.venue.open_orders())


def test_the_end_of_an_amend_is_no_reason_to_believe_an_older_size(rig: Rig) -> None:
    rest = ((LOW, 200), (LOW - 5, 200))
    want(rig, (HIGH, 100), *rest)
    want(rig, (HIGH, 100), *rest)
    assert at_exchange(rig) == 500
    rig.run(SECOND)
    want_held(rig, (HIGH + 5, 100), *rest)
    assert child(rig).state is ChildState.AMENDING
    rig.run(2_600 * MS)  # its expiry has passed, and the clocks' difference
    answer(rig, HIGH, 300)
    assert rig.parent().state is not ParentState.ANOMALY
    assert (child(rig).quantity_lots, child(rig).amend_quantity_lots) == (100, 0)
    rig.run(6 * SECOND)
    answer(rig, HIGH, 300)
    assert rig.parent().state is ParentState.ANOMALY, "it says so long after, and means it"


def test_an_amend_that_is_over_may_have_been_executed_unseen(rig: Rig) -> None:
    """The replica still shows the order as it was before: it keeps the larger of both sizes."""
    want_held(rig, (HIGH, 100), (LOW, 200))
    rig.run(2_600 * MS)
    answer(rig, HIGH, 300)
    assert (child(rig).amend_quantity_lots, child(rig).reserved) == (0, 300)
    answer(rig, HIGH, 100)
    assert child(rig).reserved == 300, "as old as the other, perhaps"
    rig.run(6 * SECOND)
    answer(rig, HIGH, 100)
    assert child(rig).reserved == 100


def test_an_amend_back_to_what_was_is_not_shown_by_what_was(rig: Rig) -> None:
    """There and back again: the answer shows the order before both, and the second is on its way."""
    want(rig, (LOW, 300))
    rig.run(SECOND)
    back = want_held(rig, (HIGH, 300))
    rig.run(100 * MS)
    answer(rig, HIGH, 300)
    want(rig, (LOW, 100), (LOW - 5, 200), (LOW - 9, 200))
    rig.run(100 * MS)
    rig.venue.submit(replace(back, expires_ns=rig.now + SECOND), rig.now)
    rig.run(100 * MS)
    assert at_exchange(rig) <= 500


def test_the_late_report_of_one_amend_is_not_taken_for_another(rig: Rig) -> None:
    """Two amends to the same terms; the first was found executed, and its report comes now."""
    rig.venue.mute = True
    want(rig, (LOW, 300))
    rig.venue.mute = False
    late = OrderAmended(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=ORDER,
        price_ticks=LOW,
        quantity_lots=300,
        exchange_ns=rig.now,
    )
    answer(rig, LOW, 300)
    assert child(rig).state is ChildState.WORKING
    rig.venue.mute = True
    want(rig, (HIGH, 300))
    rig.venue.mute = False
    answer(rig, HIGH, 300)
    rig.run(5 * SECOND)
    back = want_held(rig, (LOW, 300))
    rig.send(late)
    want(rig, (LOW, 100), (LOW - 5, 200), (LOW - 9, 200))
    rig.run(100 * MS)
    rig.venue.submit(replace(back, expires_ns=rig.now + SECOND), rig.now)
    rig.run(100 * MS)
    assert at_exchange(rig) <= 500


def test_an_older_price_is_not_believed(rig: Rig) -> None:
    want(rig, (LOW, 300))
    rig.run(3 * SECOND)  # no earlier amend of it can be executed any more
    answer(rig, HIGH, 300)
    assert child(rig).price_ticks == LOW
    rig.run(6 * SECOND)
    answer(rig, HIGH + 1, 300)
    assert child(rig).price_ticks == HIGH + 1, "a stranger has moved it"


def test_a_price_is_believed_where_an_amend_may_have_been_executed_after_all(rig: Rig) -> None:
    want_held(rig, (LOW, 300))
    other: Any = AmendRejected(
        venue=VENUE, symbol=SYMBOL, client_id=ORDER, code="RATE_LIMIT", text="of another"
    )
    rig.send(other)
    assert child(rig).price_ticks == HIGH
    rig.run(100 * MS)
    answer(rig, LOW, 300)
    assert child(rig).price_ticks == LOW


def test_a_smaller_size_is_not_believed_while_it_may_be_out_of_date(rig: Rig) -> None:
    """A cut taken for refused was executed, and then an amend that asks for more."""
    no = AmendRejected(venue=VENUE, symbol=SYMBOL, client_id=ORDER, code="RATE_LIMIT", text="x")
    cut = want_held(rig, (HIGH, 100))
    rig.send(no)
    rig.run(1_100 * MS)
    rig.venue.submit(replace(cut, expires_ns=rig.now + SECOND), rig.now)
    rig.run(10 * MS)
    more = want_held(rig, (HIGH + 5, 300))
    assert more.quantity_lots == 300
    rig.send(no)
    rig.venue.submit(more, rig.now)
    rig.run(3 * SECOND)
    assert at_exchange(rig) == 300
    answer(rig, HIGH, 100)
    assert child(rig).quantity_lots == 300
    rig.run(LAGS_NS)
    answer(rig, HIGH + 5, 300)
    assert (child(rig).price_ticks, child(rig).quantity_lots) == (HIGH + 5, 300)


def test_an_order_that_the_replica_does_not_have_is_not_forgotten(rig: Rig) -> None:
    for source in ("order", "trades"):
        gone = OrderState(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=ORDER,
            status="not_found",
            source=source,
            price_ticks=0,
            quantity_lots=0,
            cumulative_lots=0,
            exchange_ns=rig.now,
        )
        rig.send(gone)
    assert rig.parent().reserved == 300
