"""The invariants of execution, on random markets and an exchange whose lines misbehave.

Each seed of `Random` is one schedule: what the market does, what fills, what is lost, late or
repeated, and (in the crash tests) inside which batch of commands the process dies.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples, table
from engine_exchange import FakeVenue, Faults
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, signal
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ladder_kit import ladder
from strict_rig import (
    CountingRig,
    StrictRig,
    assert_quiet,
    assert_rates,
    send_signal,
    settle,
    wander,
)

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, PublishReport
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ChildState, ParentState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.model.events import VenueReport

SEEDS = st.integers(0, 2**32)
FEW = settings(max_examples=examples(6, 300))
SEVERAL = pytest.mark.parametrize("several", [False, True], ids=["one child", "several children"])
FIRST_CHILD = "sctest-1-1"
WILD = Faults(
    lose_request=0.1, lose_report=0.1, duplicate=0.2, slow=0.2, slow_ns=6 * SECOND, silent_loss=0.5
)


@pytest.fixture(autouse=True, scope="module")
def _ladder() -> Iterator[None]:
    with ladder():
        yield


@SEVERAL
@FEW
@given(seed=SEEDS)
def test_wild_exchange_never_gets_more_than_was_asked(seed: int, several: bool) -> None:
    chance = Random(seed)
    rig = StrictRig(chance=Random(seed + 1), faults=WILD)
    for number in range(3):
        send_signal(rig, chance, number, several=several)
        wander(rig, chance, 25)
        if chance.random() < 0.3:
            rig.cancel(f"s{number}")
    settle(rig)
    assert_quiet(rig)
    assert_rates(rig, rig.settings.venues[VENUE])


@pytest.mark.parametrize(
    ("amends", "several"), table(["amend_native", "amend_down"], [False, True])
)
@FEW
@given(seed=SEEDS)
@example(seed=61_569)  # an answer of before a cut came after the one that had confirmed it
def test_the_same_with_native_amends(seed: int, amends: str, several: bool) -> None:
    chance = Random(seed)
    able: dict[str, Any] = {amends: True}
    venue = VenueConfig(shows_own_orders=False, messages_per_second=20, message_burst=20, **able)
    rig = StrictRig(config(venue), chance=Random(seed + 1), faults=WILD)
    for number in range(3):
        send_signal(rig, chance, number, several=several)
        wander(rig, chance, 25)
    settle(rig)
    assert_quiet(rig)
    assert_rates(rig, venue)


@SEVERAL
@FEW
@given(seed=SEEDS)
def test_a_crash_inside_any_batch_of_commands_loses_and_doubles_nothing(
    seed: int, several: bool
) -> None:
    chance = Random(seed)
    rig = StrictRig(chance=Random(seed + 1), faults=WILD)
    for number in range(3):
        send_signal(rig, chance, number, several=several)
        wander(rig, chance, chance.randint(1, 20))
        rig.drop_after = chance.randint(0, 6)
        wander(rig, chance, 10)
        rig.restart()
        wander(rig, chance, 10)
    settle(rig)
    assert_quiet(rig)


@SEVERAL
@FEW
@given(seed=SEEDS, boundary=st.integers(0, 12), event=st.integers(0, 60))
def test_a_crash_at_every_boundary(seed: int, boundary: int, event: int, several: bool) -> None:
    """Die after command `boundary` of event `event`: everything before is durable or sent."""
    chance = Random(seed)
    rig = CountingRig(chance=Random(seed + 1), die_at=event, die_after=boundary)
    send_signal(rig, chance, 0, several=several)
    wander(rig, chance, 20)
    rig.die_at = -1
    rig.restart()
    settle(rig)
    assert_quiet(rig)


@SEVERAL
@given(seed=SEEDS)
def test_with_a_fair_exchange_every_parent_ends_by_its_deadline(seed: int, several: bool) -> None:
    """12: the deadline, the grace of a late crossing, and the time of a cancel."""
    chance = Random(seed)
    rig = StrictRig(chance=Random(seed + 1))
    send_signal(rig, chance, 0, several=several)
    parent = rig.parent("s0")
    bounds = {"chase_limit": 20 + 5, "limit": 10, "marketable_limit": 10, "peg": 10, "ladder": 10}
    end = rig.now + bounds[parent.signal.algo] * SECOND + 200 * MS
    while rig.now < end and parent.state not in PARENT_TERMINAL:
        wander(rig, chance, 1)
    rig.run(max(0, end - rig.now))
    assert parent.state in PARENT_TERMINAL
    assert_quiet(rig)


def history(*, whole: bool) -> list[VenueReport]:
    """Everything that an exchange says about one order that fills in three parts, or in two."""
    venue = FakeVenue(Random(1))
    rig = Rig()
    rig.venue = venue
    venue.bid_ticks, venue.ask_ticks = 600_000, 600_001
    rig.send(signal(algo="limit", limit_price=Decimal(60_000)))
    said: list[VenueReport] = []
    for lots in (100, 150, 250) if whole else (100, 150):
        said += venue.due(rig.now + 10 * MS)
        venue.fill(FIRST_CHILD, lots)
    if not whole:
        venue.submit(CancelOrder(venue=VENUE, symbol=SYMBOL, client_id=FIRST_CHILD), rig.now)
        said += venue.due(rig.now + 20 * MS)
    said += venue.due(rig.now + 10 * SECOND)
    assert len(said) == 5 if whole else 4
    return said


@given(data=st.data(), whole=st.booleans())
def test_repeated_and_permuted_reports_end_in_the_same_state(
    data: st.DataObject, whole: bool
) -> None:
    """6."""
    reports = history(whole=whole)
    order = data.draw(st.permutations(reports))
    again = data.draw(st.lists(st.sampled_from(reports), max_size=6))
    rig = StrictRig()
    rig.send(signal(algo="limit", limit_price=Decimal(60_000)))
    rig.venue.heal()
    rig.venue.mute = True
    if not whole:
        rig.cancel()  # so that the rest is not placed anew
    for report in (*order, *again):
        rig.send(report)
    parent = rig.parent()
    assert parent.filled == (500 if whole else 250)
    assert parent.live == []
    assert parent.children[0].state is (ChildState.FILLED if whole else ChildState.CANCELED)
    assert parent.state is (ParentState.FILLED if whole else ParentState.CANCELED)
    assert len(rig.report().fills) == (3 if whole else 2)
    assert rig.engine.portfolio.quantity(*KEY) == rig.instrument.quantity(parent.filled)


@SEVERAL
@given(seed=SEEDS)
@settings(max_examples=10)
def test_the_same_events_give_the_same_commands(seed: int, several: bool) -> None:
    def played() -> list[str]:
        chance = Random(seed)
        rig = Rig(chance=Random(seed + 1), faults=WILD)
        for number in range(2):
            send_signal(rig, chance, number, several=several)
            wander(rig, chance, 15)
        return [f"{at} {command!r}" for at, command in rig.commands]

    assert played() == played()


@pytest.mark.parametrize("native", [False, True])
def test_reports_carry_growing_revisions_across_restarts(native: bool) -> None:
    chance = Random(5)
    venue = VenueConfig(shows_own_orders=False, amend_native=native)
    rig = Rig(config(venue), chance=Random(6))
    send_signal(rig, chance, 0)
    for _ in range(4):
        wander(rig, chance, 5)
        rig.restart()
    settle(rig)
    seen: dict[str, PublishReport] = {}
    for report in rig.reports:
        last = seen.get(report.signal_id)
        if last is not None:
            assert report.revision >= last.revision
            assert report.filled >= last.filled
            if report.revision == last.revision:
                assert (report.status, report.filled) == (last.status, last.filled)
        seen[report.signal_id] = report


def test_cancels_go_out_when_orders_have_used_their_share() -> None:
    """10: the reserve is the cancels' own."""
    venue = VenueConfig(
        shows_own_orders=False, messages_per_second=1, message_burst=5, cancel_reserve=0.4
    )
    rig = Rig(config(venue))
    for number in range(4):
        rig.send(signal(f"s{number}", quantity=Decimal("0.1")))
    rig.run(20 * MS)
    placed = len(rig.sent(PlaceOrder))
    assert placed < 4
    for number in range(4):
        rig.cancel(f"s{number}")
    rig.run(5 * MS)
    assert len(rig.sent(CancelOrder)) >= 1
    rig.run(10 * SECOND)
    assert rig.venue.open_orders() == []
    for number in range(4):
        assert rig.parent(f"s{number}").state is ParentState.CANCELED


def test_unknown_orders_stay_reserved_until_two_answers_after_expiry() -> None:
    rig = StrictRig()
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.send(signal())
    rig.run(2_400 * MS)
    assert rig.parent().children[0].state in (ChildState.PLACING, ChildState.UNKNOWN)
    assert rig.parent().reserved == 500
    rig.venue.heal()
    rig.run(2 * SECOND)
    states = [child.state for child in rig.parent().children]
    assert states == [ChildState.LOST, ChildState.WORKING]
    assert rig.parent().children[1].state is ChildState.WORKING
