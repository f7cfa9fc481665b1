"""An order may have thousands of children: what one more costs does not depend on how many were."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from effort import examples
from engine_exchange import Faults
from engine_kit import MS, SECOND, START, Rig, config, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_records import CHILD_KEY, FILL_KEY, child_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.orders.orders import Parent

LONG = signal(
    params=(
        ("max_chase_bps", 1_000.0),
        ("max_reprices", 100_000),
        ("time_limit_ms", 86_400_000),
    ),
    expires_ns=START + 86_400 * SECOND,
)


class Meter(Rig):
    """Measures what the engine spends, and keeps nothing that grows."""

    def send(self, event: Event) -> list[Command]:
        began = time.process_time_ns()
        commands = self.engine.handle(event, self.now)
        self.spent_ns += time.process_time_ns() - began
        for command in commands:
            self._carry_out(command)
        self.commands.clear()
        self.notes.clear()
        self.venue.requests.clear()
        self.venue.placed.clear()
        return commands

    spent_ns = 0

    def reprice(self) -> int:
        """Move the market away and let the order follow; the engine's time for it."""
        self.spent_ns = 0
        before = self.parent().reprices
        while self.parent().reprices == before:
            up = 1.0 if self.bid == 60_000.0 else 0.0
            self.book(60_000.0 + up, 60_000.1 + up)
            self.run(300 * MS, refresh_ns=0)
        for client_id in [k for k, o in self.venue.orders.items() if o.status != "open"]:
            del self.venue.orders[client_id]
        return self.spent_ns


def undisturbed(times: list[int]) -> int:
    """The fastest tenth: on a busy machine caches are others', and medians of half a minute ago say little."""
    return sorted(times)[len(times) // 10]


MANY: Final = examples(1_200, 10_000)


@pytest.mark.long
@pytest.mark.parametrize("amend", [False, True])
def test_a_reprice_costs_the_same_after_thousands(amend: bool) -> None:
    venue = VenueConfig(shows_own_orders=False, amend_native=amend)
    rig = Meter(config(venue))
    rig.send(LONG)
    rig.run(100 * MS)
    early = [rig.reprice() for _ in range(500)]
    while rig.parent().reprices < MANY:
        rig.reprice()
    late = [rig.reprice() for _ in range(500)]
    assert rig.parent().placed == (1 if amend else MANY + 501)
    assert undisturbed(late) < 1.2 * undisturbed(early)


def test_children_without_fills_make_no_report() -> None:
    rig = Meter(config())
    rig.send(LONG)
    for _ in range(20):
        rig.reprice()
    assert len(rig.reports) <= 3


class Watched(Rig):
    """Compares what is counted as it goes with what a fresh count gives, after every event."""

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        del event
        for parent in self.engine.order_store.known.values():
            counted = counts(parent)
            order = [(c.state, c.filled, c.seen_lots, len(c.fills)) for c in parent.children]
            parent.recount()
            assert counts(parent) == counted, order
            for command in commands:
                if isinstance(command, PublishReport) and command.signal_id == parent.id:
                    fills = [fill for child in parent.children for fill in child.fills]
                    assert [f.trade_id for f in command.fills] == [f.trade_id for f in fills]
                    lots = sum(fill.quantity_lots for fill in fills)
                    cost = sum(fill.price_ticks * fill.quantity_lots for fill in fills)
                    assert command.average == (parent.rules.tick * cost / lots if lots else None)

    def stored(self) -> None:
        """Everything of every child is durable, for nothing was missed."""
        for parent in self.engine.order_store.known.values():
            for child in parent.children:
                assert self.durable[CHILD_KEY + child.client_id] == child_state(parent, child)
                for number in range(len(child.fills)):
                    assert f"{FILL_KEY}{child.client_id}/{number}" in self.durable


def counts(parent: Parent) -> tuple[object, ...]:
    return (
        parent.filled,
        parent.unbooked,
        parent.fills,
        parent.cost,
        list(map(id, parent.live)),
        list(map(id, parent.watched)),
        list(map(id, parent.with_fills)),
    )


@settings(max_examples=examples(12, 80), deadline=None)
@given(seed=st.integers(0, 10_000), amend=st.booleans())
def test_what_is_counted_as_it_goes_is_what_a_fresh_count_gives(seed: int, *, amend: bool) -> None:
    chance = Random(seed)
    faults = Faults(lose_request=0.1, lose_report=0.1, duplicate=0.2, slow=0.2, slow_ns=2 * SECOND)
    venue = VenueConfig(
        shows_own_orders=False,
        messages_per_second=100,
        message_burst=500,
        amend_native=amend,
    )
    limits = paper_defaults(
        lease_required=False, max_open_orders=1_000, depth_participation_bps=10_000.0
    )
    rig = Watched(config(venue, limits=limits), chance=chance, faults=faults)
    rig.send(replace(LONG, quantity=Decimal("0.8")))
    for step in range(40):
        bid = 60_000.0 + chance.randint(-8, 8) / 10
        rig.book(round(bid, 1), round(bid + 0.1, 1))
        rig.run(chance.choice([50, 300, 700]) * MS, refresh_ns=0)
        if chance.random() < 0.3:
            rig.venue.fill_something()
        if step in (15, 30):
            rig.stored()
            before = {p.id: counts(p)[:4] for p in rig.engine.order_store.known.values()}
            rig.restart()
            after = {p.id: counts(p)[:4] for p in rig.engine.order_store.known.values()}
            assert after == before
    rig.venue.heal()
    rig.run(30 * SECOND)
    rig.stored()
    assert rig.parent().filled == rig.venue.filled_of("s1")
