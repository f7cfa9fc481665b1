"""The invariants of execution for every algorithm: wild lines, crashes at every boundary, deadlines.

The exchange of these tests fills at random, whatever the price; ``StrictRig`` checks after every event.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from algo_signals import IN_SLICES, NAMES, TIME_MS, drawn_signal, params_of
from effort import examples
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, VENUE, Rig, config, signal
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_rig import CountingRig, StrictRig, assert_quiet, assert_rates, settle, wander

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
)
from citadel_micro.core.orders.order_states import PARENT_TERMINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event

SEEDS = st.integers(0, 2**32)
WILD = Faults(
    lose_request=0.1, lose_report=0.1, duplicate=0.2, slow=0.2, slow_ns=6 * SECOND, silent_loss=0.5
)
ABOUT_ORDERS = (
    *(AmendRejected, CancelRejected, OrderAccepted, OrderAmended),
    *(OrderDone, OrderFilled, OrderRejected),
)
EACH = pytest.mark.parametrize("name", [*NAMES, IN_SLICES])
FEW = settings(max_examples=examples(4, 100))


def able(**changes: int) -> EngineConfig:
    """A venue with fill-or-kill orders."""
    usual: dict[str, Any] = {"messages_per_second": 100, "message_burst": 500}
    return config(VenueConfig(shows_own_orders=False, fill_or_kill=True, **(usual | changes)))


def play(rig: Rig, name: str, chance: Random, number: int) -> None:
    rig.send(drawn_signal(name, chance, number, rig.now))
    for _ in range(12):
        wander(rig, chance, 2)
        if rig.dead():
            return
        if chance.random() < 0.5:
            rig.trade(rig.bid, chance.choice((0.01, 0.3)))


def test_every_algorithm_is_drawn_here_or_in_the_strict_rig() -> None:
    elsewhere = {"chase_limit", "limit", "marketable_limit", "peg"}
    elsewhere.add("bracket")  # in ``test_brackets``, with its exits
    held = {name for name, kind in ALGORITHMS.items() if kind.traits.held}
    assert set(ALGORITHMS) - held - elsewhere == set(NAMES)
    for name in NAMES:
        ALGORITHMS[name].make(params_of(name, Random(1)).items())


@EACH
@given(seed=SEEDS)
@FEW
def test_wild_lines_give_nobody_more_than_was_asked(seed: int, name: str) -> None:
    chance = Random(seed)
    rates = {"messages_per_second": 20, "message_burst": 20} if seed % 2 else {}
    settings = able(amend_native=seed % 3 == 0, **rates)
    rig = StrictRig(settings, chance=Random(seed + 1), faults=WILD)
    for number in range(2):
        play(rig, name, chance, number)
        if chance.random() < 0.3:
            rig.cancel(f"s{number}")
    settle(rig)
    assert_quiet(rig)
    assert_rates(rig, settings.venues[VENUE])


class Recording(StrictRig):
    """Keeps what the exchange said of orders."""

    def __init__(self, settings: EngineConfig, *, chance: Random, faults: Faults) -> None:
        self.said: list[Event] = []
        super().__init__(settings, chance=chance, faults=faults)

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        super().check_after(event, commands)
        if isinstance(event, ABOUT_ORDERS):
            self.said.append(event)


@EACH
@given(seed=SEEDS)
@FEW
def test_all_reports_again_in_any_order_change_nothing(seed: int, name: str) -> None:
    chance = Random(seed)
    rig = Recording(able(amend_native=True), chance=Random(seed + 1), faults=WILD)
    for number in range(2):
        play(rig, name, chance, number)
    settle(rig)

    def known() -> list[object]:
        held = rig.engine.portfolio.position(*KEY)
        parents = rig.engine.order_store.known.values()
        return [
            *((parent.id, parent.state, parent.filled) for parent in parents),
            *(
                (child.client_id, child.state, child.filled)
                for p in parents
                for child in p.children
            ),
            None if held is None else (held.quantity, held.cash, held.fees),
            len(rig.venue.placed),
        ]

    before, again = known(), [*rig.said, *rig.said]
    chance.shuffle(again)
    for event in again:
        rig.send(event)
    rig.run(10 * SECOND)
    assert known() == before
    assert_quiet(rig)


@EACH
@given(seed=SEEDS)
@FEW
def test_reduce_only_orders_never_grow_or_flip_a_position(seed: int, name: str) -> None:
    """The exchange of these tests would: it takes the flag for nothing."""
    chance = Random(seed)
    rig = StrictRig(able(), chance=Random(seed + 1))
    rig.venue.partial_share = 0.0
    side = chance.choice(("buy", "sell"))
    rig.send(signal("open", side=side, quantity=Decimal("0.3"), algo="marketable_limit"))
    rig.run(SECOND)
    held = rig.venue.held_lots
    assert abs(held) == 300
    rig.venue.faults = WILD
    rig.venue.partial_share = 0.3
    for number in range(3):
        made = drawn_signal(name, chance, number, rig.now)
        values = {each: getattr(made, each) for each in made.__slots__}
        values |= {"side": "sell" if side == "buy" else "buy", "reduce_only": True}
        values["quantity"] = Decimal("0.2")  # three of them are twice the position
        rig.send(type(made)(**values))
        for _ in range(12):
            wander(rig, chance, 2)
            left = rig.venue.held_lots
            assert left * held >= 0, "the position was flipped"
            assert abs(left) <= abs(held), "the position has grown"
            held = left or held
    settle(rig)
    assert_quiet(rig)
    assert 0 <= rig.venue.held_lots * (1 if side == "buy" else -1) <= abs(held)


@EACH
@given(seed=SEEDS)
@FEW
def test_a_crash_inside_any_batch_of_commands_loses_and_doubles_nothing(
    seed: int, name: str
) -> None:
    chance = Random(seed)
    rig = StrictRig(able(), chance=Random(seed + 1), faults=WILD)
    for number in range(2):
        play(rig, name, chance, number)
        rig.drop_after = chance.randint(0, 6)
        wander(rig, chance, 10)
        rig.restart()
        wander(rig, chance, 10)
    settle(rig)
    assert_quiet(rig)


@EACH
@given(seed=SEEDS, boundary=st.integers(0, 12), event=st.integers(0, 60))
@FEW
def test_a_crash_at_every_boundary(seed: int, boundary: int, event: int, name: str) -> None:
    """Die after command `boundary` of event `event`: everything before is durable or sent."""
    chance = Random(seed)
    rig = CountingRig(able(), chance=Random(seed + 1), die_at=event, die_after=boundary)
    play(rig, name, chance, 0)
    rig.die_at = -1
    rig.restart()
    settle(rig)
    assert_quiet(rig)


@EACH
@given(seed=SEEDS)
@FEW
def test_with_a_fair_exchange_it_ends_by_its_deadline(seed: int, name: str) -> None:
    chance = Random(seed)
    rig = StrictRig(able(), chance=Random(seed + 1))
    rig.send(drawn_signal(name, chance, 0, rig.now))
    parent = rig.parent("s0")
    limit = dict(parent.signal.params)["time_limit_ms"]
    assert limit == TIME_MS
    grace = 0 if parent.algo is None else parent.algo.grace_ns
    end = rig.now + TIME_MS * MS + grace + 200 * MS
    while rig.now < end and parent.state not in PARENT_TERMINAL:
        wander(rig, chance, 1)
    rig.run(max(0, end - rig.now))
    assert parent.state in PARENT_TERMINAL
    assert_quiet(rig)


@EACH
def test_the_same_events_give_the_same_commands(name: str) -> None:
    def played() -> list[str]:
        chance = Random(7)
        rig = Rig(able(), chance=Random(8), faults=WILD)
        for number in range(2):
            play(rig, name, chance, number)
        return [f"{at} {command!r}" for at, command in rig.commands]

    assert played() == played()


@EACH
def test_an_order_of_the_smallest_quantity_fills_or_ends(name: str) -> None:
    """One lot, of an instrument whose minimum is one: parts cannot be smaller."""
    for seed in range(5):
        chance = Random(seed)
        rig = StrictRig(able(), chance=Random(seed))
        made = drawn_signal(name, chance, 0, rig.now)
        values = {each: getattr(made, each) for each in made.__slots__}
        values["quantity"] = rig.instrument.quantity(1)
        rig.send(type(made)(**values))
        rig.run(20 * SECOND)
        assert rig.parent("s0").state in PARENT_TERMINAL
        assert_quiet(rig)
