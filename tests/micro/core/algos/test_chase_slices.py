"""A chase with ``clip_pct``: a part of the order rests at a time; without it nothing is as it was not before."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_kit import MS, SECOND, Rig, config, rules, signal
from strict_rig import wander

from citadel_micro.core.model.config import VenueConfig

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side

Value = str | int | float | bool


def send(rig: Rig, side: Side = "buy", **params: Value) -> None:
    made = signal("s1", side=side, algo="chase_limit", params=tuple(sorted(params.items())))
    rig.send(made)
    rig.run(20 * MS)


def open_lots(rig: Rig) -> list[int]:
    return [order.quantity_lots - order.filled_lots for order in rig.venue.open_orders()]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_one_part_rests_at_a_time_and_the_next_follows_when_it_has_filled(side: Side) -> None:
    rig = Rig()
    send(rig, side, clip_pct=20.0)
    target = rig.parent().target
    sizes = []
    while not rig.parent().terminal:
        (size,) = open_lots(rig)
        sizes.append(size)
        rig.venue.fill(rig.live().place.client_id, size)
        rig.run(20 * MS)
    assert sizes == [target // 5] * 5
    assert rig.report().status == "filled"


def test_what_rests_is_moved_and_not_made_larger() -> None:
    for amends in (False, True):
        rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=amends)))
        send(rig, clip_pct=20.0, advance_dwell_ms=0)
        part = rig.parent().target // 5
        rig.venue.fill(rig.live().place.client_id, 1)
        rig.run(20 * MS)
        rig.book(60_001.0, 60_001.1)
        rig.run(200 * MS)
        assert rig.live().price_ticks == 600_010
        # A new order has the size of a part again, an amended one what was left of it.
        assert open_lots(rig) == [part - 1 if amends else part]


def test_no_part_is_below_the_minimum_and_none_leaves_a_rest_below_it() -> None:
    rig = Rig(instrument=rules(min_lots=7))
    send(rig, clip_pct=0.1)
    target = rig.parent().target
    sizes = []
    while not rig.parent().terminal:
        (size,) = open_lots(rig)
        sizes.append(size)
        rig.venue.fill(rig.live().place.client_id, size)
        rig.run(20 * MS)
    assert sum(sizes) == target
    assert min(sizes) >= 7
    assert max(sizes) < 14


def test_a_crossing_takes_all_that_is_left() -> None:
    rig = Rig()
    send(rig, clip_pct=20.0, urgency="passive", time_limit_ms=1_000, on_timeout="cross_ioc")
    rig.run(2 * SECOND)
    resting, crossing, *_ = rig.venue.placed
    assert (resting.time_in_force, crossing.time_in_force) == ("GTC", "IOC")
    assert crossing.quantity_lots == rig.parent().target == 5 * resting.quantity_lots


def test_after_a_restart_no_more_than_a_part_rests() -> None:
    rig = Rig()
    send(rig, clip_pct=20.0, time_limit_ms=60_000)
    part = rig.parent().target // 5
    rig.venue.fill(rig.live().place.client_id, part)
    rig.run(20 * MS)
    rig.restart()
    rig.book(60_000.0, 60_000.1)
    rig.run(SECOND)
    assert sum(open_lots(rig)) == part
    assert rig.parent().filled == part


def test_the_whole_order_is_worked_exactly_as_without_the_parameter() -> None:
    def played(**params: Value) -> list[tuple[object, ...]]:
        rig, chance = Rig(chance=Random(4)), Random(5)
        send(rig, "buy", **params)
        wander(rig, chance, 30)
        assert rig.venue.placed
        return [(o.client_id, o.price_ticks, o.quantity_lots) for o in rig.venue.placed]

    assert played() == played(clip_pct=100.0)
    assert played() != played(clip_pct=20.0)


def test_a_part_must_be_a_percentage() -> None:
    rig = Rig()
    send(rig, clip_pct=0.0)
    assert "clip_pct" in rig.report().reason
    assert "0.1 to 100" in rig.report().reason
