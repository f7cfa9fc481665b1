"""Staying behind a better price for the place in the queue: ``queue_miss_bps`` of a chase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND, START, Rig, config, signal

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.model.config import VenueConfig

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value

OURS = {"buy": 60_000.0, "sell": 60_000.1}
"""The touch at which it joins."""
BETTER = {"buy": (60_000.3, 60_000.4), "sell": (59_999.7, 59_999.8)}
"""The market after its side has moved by three ticks."""


def working(
    side: str = "buy", *, traded: float = 200.0, shows: bool = False, **params: Value
) -> Rig:
    """An order that rests at the touch while so much trades there within two seconds."""
    rig = Rig(config(VenueConfig(shows_own_orders=shows)))
    given: dict[str, Value] = {"advance_dwell_ms": 0, "time_limit_ms": 60_000, **params}
    rig.send(
        signal(
            side=side,
            algo="chase_limit",
            params=tuple(sorted(given.items())),
            expires_ns=START + 3_600 * SECOND,
        )
    )
    rig.run(SECOND)
    rig.trade(OURS[side], traded)
    rig.run(SECOND)
    return rig


def moves(rig: Rig, side: str) -> bool:
    """Whether it follows its side when that moves towards the other."""
    before = len(rig.venue.placed)
    rig.book(*BETTER[side])
    rig.run(50 * MS)
    return len(rig.venue.placed) > before


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(
    ("params", "traded", "follows"),
    [
        ({}, 200.0, True),  # off, as by default
        ({"queue_miss_bps": 0.0}, 200.0, False),  # a miss costs nothing
        ({"queue_miss_bps": 0.01}, 2_000.0, False),  # it is reached nearly for sure
        ({"queue_miss_bps": 0.01}, 0.5, True),  # hardly ever
        ({"queue_miss_bps": 1_000.0}, 200.0, True),  # a miss costs far more than three ticks
        ({"queue_miss_bps": 0.0}, 0.0, True),  # nothing trades: no place is worth anything
    ],
)
def test_it_stays_while_its_place_is_worth_more(
    params: dict[str, Any], traded: float, follows: bool, side: str
) -> None:
    assert moves(working(side, traded=traded, **params), side) is follows


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_it_retreats_all_the_same(side: str) -> None:
    rig = working(side, queue_miss_bps=0.0)
    before = len(rig.venue.placed)
    rig.book(*((59_990.0, 59_990.1) if side == "buy" else (60_010.0, 60_010.1)))
    rig.run(50 * MS)
    assert len(rig.venue.placed) > before


def test_what_is_shown_in_front_of_it_lowers_its_worth() -> None:
    def follows(size: float) -> bool:
        rig = working(queue_miss_bps=0.01, traded=400.0)
        before = len(rig.venue.placed)
        rig.book(60_000.3, 60_000.4, own=("buy", 60_000.2, size))
        rig.run(50 * MS)
        return len(rig.venue.placed) > before

    assert not follows(1.0)
    assert follows(100_000.0)


@pytest.mark.parametrize("shows", [False, True])
def test_a_restart_remembers_what_it_joined_behind(shows: bool) -> None:
    rig = working(queue_miss_bps=0.01, shows=shows)
    joined = rig.parent().algo_state["queue"]
    rig.restart()
    rig.run(100 * MS)
    assert rig.parent().algo_state["queue"] == joined
    rig.run(SECOND)
    rig.trade(60_000.0, 2_000.0)
    rig.run(SECOND)
    assert not moves(rig, "buy")


def test_right_after_a_restart_no_rate_is_known_so_it_follows() -> None:
    rig = working(queue_miss_bps=0.01, traded=2_000.0)
    rig.restart()
    rig.run(100 * MS)
    assert moves(rig, "buy")


def test_the_place_is_stored_once_and_not_with_every_book() -> None:
    rig = working(queue_miss_bps=0.01)
    state = rig.parent().algo_state
    for _ in range(5):
        rig.book(60_000.0, 60_000.1)
        rig.trade(60_000.0, 1.0)
    assert rig.parent().algo_state is state


def test_it_is_off_unless_named_and_no_state_is_kept_then() -> None:
    defaults = {param.name: param for param in ALGORITHMS["chase_limit"].params}
    assert defaults["queue_miss_bps"].default == -1.0
    assert defaults["queue_miss_bps"].source
    assert working().parent().algo_state == {}
    assert "queue_miss_bps" not in {param.name for param in ALGORITHMS["auto"].params}
