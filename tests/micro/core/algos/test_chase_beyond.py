"""ChaseLimit beyond its limit, as far as it may."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from chase_kit import chase
from engine_kit import MS, SECOND, Rig, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.commands import AmendOrder, PlaceOrder

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_it_follows_the_market_beyond_its_limit_as_far_as_it_may(side: Side) -> None:
    """The limit is the near touch, as Freqtrade prices by default, and the market leaves."""
    sign = 1 if side == "buy" else -1
    near = 60_000.0 if side == "buy" else 60_000.1
    for beyond, at_rest, at_last in ((0.0, 0, 0), (10.0, 400, 600)):
        rig = Rig()
        chase(rig, side=side, limit_price=Decimal(str(near)), chase_beyond_bps=beyond)
        start = rig.venue.placed[0].price_ticks
        assert start == round(near * 10)
        rig.book(60_000.0 + sign * 40, 60_000.1 + sign * 40)
        rig.run(SECOND)
        assert rig.live().price_ticks == start + sign * at_rest
        rig.book(60_000.0 + sign * 100, 60_000.1 + sign * 100)
        rig.run(SECOND)
        assert rig.live().price_ticks == start + sign * at_last
        rig.restart()
        rig.run(2 * SECOND)
        assert rig.live().price_ticks == start + sign * at_last, "a restart has changed its reach"


@given(
    st.sampled_from(["buy", "sell"]),
    st.integers(599_000, 601_000),
    st.floats(0, 1_000),
    st.lists(st.integers(-900, 900), min_size=1, max_size=8),
)
def test_nothing_is_ever_placed_beyond_its_reach(
    side: Side, limit: int, beyond: float, moves: list[int]
) -> None:
    rig = Rig()
    chase(
        rig,
        side=side,
        limit_price=Decimal(limit) / 10,
        chase_beyond_bps=beyond,
        max_chase_bps=1_000,
        quantity=Decimal("0.05"),
    )
    for move in moves:
        rig.book(60_000.0 + move / 10, 60_000.1 + move / 10)
        rig.run(300 * MS)
    sign = 1 if side == "buy" else -1
    worst = sign * limit + limit * Decimal(repr(beyond)) / 10_000
    asked = [
        command.order.price_ticks
        for _, command in rig.commands
        if hasattr(command, "order") and isinstance(command.order, PlaceOrder | AmendOrder)
    ]
    assert all(sign * price <= worst for price in asked)


def test_an_immediate_order_and_other_algorithms_keep_their_limit() -> None:
    for changes in ({"time_in_force": "IOC"}, {"order_type": "market"}):
        rig = Rig()
        limit = Decimal(60_000)
        rig.send(signal(limit_price=limit, params=(("chase_beyond_bps", 50.0),), **changes))
        assert rig.parent().limit_ticks == 600_000
    rig = Rig()
    rig.send(signal(algo="limit", limit_price=limit, params=(("chase_beyond_bps", 50.0),)))
    assert rig.report().status == "rejected"
    assert rig.report().reason_code == "BAD_PARAMETER"
