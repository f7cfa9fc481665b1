"""Our names of orders and the venue's form of them, before and after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from citadel_micro.core.model.client_ids import ClientIdForm, ClientIds
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.shell.venue.order_ids import KEPT_NS, OrderIds
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "abc123"
OURS = "scabc123run1-1-1"
OTHER = "scabc123run1-1-2"


class Rows:
    """What was written down."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def write(self, changes: Mapping[str, object]) -> None:
        self.values.update(changes)
        for key in [key for key, row in self.values.items() if row is None]:
            del self.values[key]


def order(client_id: str) -> PlaceOrder:
    return PlaceOrder(
        venue="v",
        symbol="BTC/USDT",
        client_id=client_id,
        parent_id="p",
        side="buy",
        price_ticks=1,
        quantity_lots=1,
        post_only=False,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=1,
    )


@pytest.mark.parametrize("form", get_args(ClientIdForm))
def test_both_names_are_known_after_a_restart(form: ClientIdForm) -> None:
    rows = Rows()
    ids = OrderIds(rows.write, ClientIds(form, MARK))
    ids.placed(order(OURS), 1)
    theirs = ids.theirs(OURS)
    assert (theirs == OURS) is (form == "ours")
    for known in (ids, OrderIds(rows.write, ClientIds(form, MARK))):
        known.restore(dict(rows.values))
        assert known.ours(theirs) == OURS
        assert known.theirs(OURS) == theirs
        found = known.find(known.ours(theirs))
        assert found is not None
        assert found.client_id == OURS


def test_what_was_sent_counts_though_the_form_may_have_changed_since() -> None:
    rows = Rows()
    OrderIds(rows.write, ClientIds("uuid", MARK)).placed(order(OURS), 1)
    sent = ClientIds("uuid", MARK).theirs(OURS)
    later = OrderIds(rows.write, ClientIds("hex", MARK))
    later.restore(rows.values)
    assert later.theirs(OURS) == sent
    assert later.ours(sent) == OURS
    assert later.theirs(OTHER).startswith("0x")


def test_the_rows_of_a_venue_that_takes_our_names_are_as_before() -> None:
    rows = Rows()
    OrderIds(rows.write).placed(order(OURS), 1)
    (row,) = rows.values.values()
    assert isinstance(row, dict)
    assert "their_id" not in row


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_forgotten_is_known_by_its_mark_alone(refused: bool) -> None:
    rows = Rows()
    ids = OrderIds(rows.write, ClientIds("hex", MARK))
    made = ids.placed(order(OURS), 1)
    theirs = ids.theirs(OURS)
    if refused:
        ids.refused(OURS)
    else:
        ids.settled(made, 1)
        ids.forget_old(1 + KEPT_NS)
    assert rows.values == {}
    stand_in = ids.ours(theirs)
    assert stand_in != OURS
    assert stand_in.startswith(f"sc{MARK}")
    assert ids.theirs(stand_in) == theirs


@pytest.mark.parametrize("form", ["uuid", "hex"])
def test_an_order_whose_row_was_lost_with_the_process_is_known_by_the_engine(
    form: ClientIdForm,
) -> None:
    names = ClientIds(form, MARK)
    of_engine = {OURS: None, "scother1run1-1-1": None}
    ids = OrderIds(Rows().write, names, lambda: of_engine)
    assert ids.ours(names.theirs(OURS)) == OURS
    assert ids.ours(names.theirs(OTHER)).startswith(f"sc{MARK}x")
    assert ids.ours("web_1") == "web_1"


def test_the_venues_time_of_a_placing_outlives_a_restart() -> None:
    rows = Rows()
    OrderIds(rows.write).placed(order(OURS), 5, 7)
    OrderIds(rows.write).placed(order(OTHER), 5)
    again = OrderIds(rows.write)
    again.restore(rows.values)
    clock = VenueClock(lambda: 100)
    clock.offset_ns = 90
    known, unknown = again.find(OURS), again.find(OTHER)
    assert known is not None
    assert unknown is not None
    assert known.placed_at_ns(clock) == 7
    assert unknown.placed_at_ns(clock) == 95, (
        "by the offset of now: of a version that did not note it"
    )
    clock.offset_ns = -98
    assert known.placed_at_ns(clock) == 2, "not later than now"
