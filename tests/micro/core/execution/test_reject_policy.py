"""What follows a reject of the venue."""

from __future__ import annotations

from engine_exchange import Faults
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, signal
from executor_kit import CHILD

from citadel_micro.core.execution.reject_policy import REJECT_BACKOFF_NS
from citadel_micro.core.model.events import (
    OrderRejected,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import ChildState


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
