"""The invariants of execution, on random markets and an exchange whose lines misbehave.

Each seed of `Random` is one schedule: what the market does, what fills, what is lost, late or
repeated, and (in the crash tests) inside which batch of commands the process dies.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, FakeVenue, Faults, Rig, config, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder, PublishReport
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ChildState, ParentState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event, VenueReport

SEEDS = st.integers(0, 2**32)
FIRST_CHILD = "sctest-1-1"
WILD = Faults(
    lose_request=0.1, lose_report=0.1, duplicate=0.2, slow=0.2, slow_ns=6 * SECOND, silent_loss=0.5
)


class StrictRig(Rig):
    """Checks after every event what must always hold."""

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Approved):
                self._check_order(command)
        for parent in self.engine.order_store.known.values():
            if parent.state is not ParentState.ANOMALY:
                # 1
                assert parent.filled + parent.reserved <= parent.target, (event, parent)
            # 5
            assert len(parent.live) <= 1
        self._check_truth()

    def _check_truth(self) -> None:
        """What the exchange holds and has filled of a parent is never more than was asked."""
        totals: dict[str, int] = {}
        for order in self.venue.orders.values():
            lots = order.quantity_lots if order.status == "open" else order.filled_lots
            pid = order.place.parent_id
            totals[pid] = totals.get(pid, 0) + lots
        for pid, lots in totals.items():
            parent = self.engine.order_store.known.get(pid)
            assert parent is None or lots <= parent.target, parent

    def _check_order(self, approved: Approved[PlaceOrder] | Approved[AmendOrder]) -> None:
        order = approved.order
        market = self.engine.markets[KEY]
        best = market.best()
        parent = self.engine.order_store.known[order.parent_id]
        # 2
        assert approved.book_seq == market.last_seq
        assert approved.risk_epoch == self.engine.risk.risk_epoch
        # 3
        assert market.state == "LIVE"
        assert best is not None
        assert best[0] < best[2]
        assert self.now - market.last_recv_ns <= self.settings.limits.stale_ns
        # 4
        assert 0 < order.quantity_lots <= parent.target
        assert order.quantity_lots >= self.instrument.min_lots_at(order.price_ticks)
        if parent.limit_ticks is not None:
            assert parent.sign * order.price_ticks <= parent.sign * parent.limit_ticks
        if order.post_only:
            bid, ask = map(self.instrument.ticks_of_float, (best[0], best[2]))
            assert order.price_ticks < ask if order.side == "buy" else order.price_ticks > bid
        # 5
        if isinstance(order, AmendOrder):
            before = parent.live[0]
            assert (order.price_ticks, order.quantity_lots) != (
                before.price_ticks,
                before.quantity_lots,
            )


def wander(rig: Rig, chance: Random, steps: int) -> None:
    """The market moves, things fill, time passes."""
    for _ in range(steps):
        if rig.dead():
            return
        what = chance.random()
        if what < 0.35:
            mid = rig.bid + chance.randint(-30, 30) / 10
            rig.book(round(mid, 1), round(mid + chance.choice((0.1, 0.1, 0.3, 1.0, 5.0)), 1))
        elif what < 0.6:
            rig.venue.fill_something()
        elif what < 0.63:
            rig.book(rig.bid, rig.bid)  # locked
            rig.run(chance.randint(1, 900) * MS, refresh_ns=0)
            if rig.dead():
                return
            rig.book(rig.bid, round(rig.bid + 0.1, 1))
        elif what < 0.66:
            rig.run(chance.randint(1, 4_000) * MS, refresh_ns=0)  # silence: the book goes stale
        else:
            rig.run(chance.randint(1, 500) * MS)


def random_signal(chance: Random, number: int) -> SignalReceived:
    side = chance.choice(("buy", "sell"))
    algo = chance.choice(("chase_limit", "chase_limit", "limit", "marketable_limit", "peg"))
    params: dict[str, object] = {}
    if algo == "chase_limit":
        params = {
            "urgency": chance.choice(("passive", "normal", "high", "cross")),
            "on_timeout": chance.choice(("cancel", "cross_ioc")),
            "on_cap": chance.choice(("rest", "cancel", "cross")),
            "time_limit_ms": chance.choice((1_000, 5_000, 20_000)),
            "allow_taker": chance.random() < 0.5,
            "min_dwell_ms": chance.choice((0, 250)),
            "max_chase_bps": chance.choice((1.0, 50.0)),
        }
    elif algo == "limit":
        params = {"time_limit_ms": 10_000, "post_only": chance.random() < 0.5}
    elif algo == "peg":
        params = {
            "reference": chance.choice(("primary", "mid")),
            "offset_ticks": chance.randint(-5, 5),
            "min_dwell_ms": chance.choice((0, 250)),
            "time_limit_ms": 10_000,
        }
    limit = None
    if algo == "limit" or chance.random() < 0.5:
        limit = Decimal(60_000 + chance.randint(-100, 100))
    return signal(
        f"s{number}",
        side=side,
        quantity=Decimal(chance.randint(1, 500)) / 1000,
        algo=algo,
        params=tuple(sorted(params.items())),
        limit_price=limit,
        created_ns=0,
        expires_ns=START + 1_000_000 * SECOND,
    )


def send_signal(rig: Rig, chance: Random, number: int) -> None:
    made = random_signal(chance, number)
    values = {name: getattr(made, name) for name in made.__slots__}
    values["created_ns"] = rig.now
    rig.send(SignalReceived(**values))


def settle(rig: Rig) -> None:
    """The exchange behaves, the market is quiet, and everything comes to its end."""
    rig.venue.heal()
    rig.book(60_000.0, 60_000.1)
    rig.run(100 * SECOND)


def assert_quiet(rig: Rig) -> None:
    """7: what is believed is what is, and nothing is out."""
    assert rig.venue.open_orders() == []
    for parent in rig.engine.order_store.known.values():
        assert parent.state in PARENT_TERMINAL, parent
        assert parent.live == []
        assert parent.filled == rig.venue.filled_of(parent.id)
        assert parent.fills_complete
        report = rig.report(parent.id)
        assert report.filled == rig.instrument.quantity(parent.filled)
        assert sum((f.quantity for f in report.fills), Decimal(0)) == report.filled
        assert parent.state is not ParentState.ANOMALY
    held = sum(
        (1 if o.place.side == "buy" else -1) * o.filled_lots for o in rig.venue.orders.values()
    )
    assert rig.engine.portfolio.quantity(*KEY) == rig.instrument.quantity(held)
    assert rig.engine.order_store.active == {}


def assert_rates(rig: Rig, venue: VenueConfig) -> None:
    """10: in no window were there more messages than the bucket holds and refills."""
    times = [at for at, _ in rig.venue.requests]
    for first in range(len(times)):
        for last in range(first, len(times), 7):
            allowed = (
                venue.message_burst
                + (times[last] - times[first]) * (venue.messages_per_second) / SECOND
            )
            assert last - first + 1 <= allowed + 1


@given(seed=SEEDS)
def test_wild_exchange_never_gets_more_than_was_asked(seed: int) -> None:
    chance = Random(seed)
    rig = StrictRig(chance=Random(seed + 1), faults=WILD)
    for number in range(3):
        send_signal(rig, chance, number)
        wander(rig, chance, 25)
        if chance.random() < 0.3:
            rig.cancel(f"s{number}")
    settle(rig)
    assert_quiet(rig)
    assert_rates(rig, rig.settings.venues[VENUE])


@given(seed=SEEDS)
def test_the_same_with_native_amends(seed: int) -> None:
    chance = Random(seed)
    venue = VenueConfig(
        shows_own_orders=False, amend_native=True, messages_per_second=20, message_burst=20
    )
    rig = StrictRig(config(venue), chance=Random(seed + 1), faults=WILD)
    for number in range(3):
        send_signal(rig, chance, number)
        wander(rig, chance, 25)
    settle(rig)
    assert_quiet(rig)
    assert_rates(rig, venue)


@given(seed=SEEDS)
def test_a_crash_inside_any_batch_of_commands_loses_and_doubles_nothing(seed: int) -> None:
    chance = Random(seed)
    rig = StrictRig(chance=Random(seed + 1), faults=WILD)
    for number in range(3):
        send_signal(rig, chance, number)
        wander(rig, chance, chance.randint(1, 20))
        rig.drop_after = chance.randint(0, 6)
        wander(rig, chance, 10)
        rig.restart()
        wander(rig, chance, 10)
    settle(rig)
    assert_quiet(rig)


@given(seed=SEEDS, boundary=st.integers(0, 12), event=st.integers(0, 60))
def test_a_crash_at_every_boundary(seed: int, boundary: int, event: int) -> None:
    """Die after command `boundary` of event `event`: everything before is durable or sent."""
    chance = Random(seed)
    rig = CountingRig(chance=Random(seed + 1), die_at=event, die_after=boundary)
    send_signal(rig, chance, 0)
    wander(rig, chance, 20)
    rig.die_at = -1
    rig.restart()
    settle(rig)
    assert_quiet(rig)


class CountingRig(StrictRig):
    """Dies inside one certain batch of commands."""

    def __init__(self, *, chance: Random, die_at: int, die_after: int) -> None:
        self.die_at = -1
        self._events = 0
        super().__init__(chance=chance)
        self.die_at, self._die_after = die_at, die_after

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        super().check_after(event, commands)
        self._events += 1
        if self.die_at >= 0 and self._events >= self.die_at and commands:
            self.drop_after = self._die_after


@given(seed=SEEDS)
def test_with_a_fair_exchange_every_parent_ends_by_its_deadline(seed: int) -> None:
    """12: the deadline, the grace of a late crossing, and the time of a cancel."""
    chance = Random(seed)
    rig = StrictRig(chance=Random(seed + 1))
    send_signal(rig, chance, 0)
    parent = rig.parent("s0")
    bounds = {"chase_limit": 20 + 5, "limit": 10, "marketable_limit": 10, "peg": 10}
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


@given(seed=SEEDS)
@settings(max_examples=10)
def test_the_same_events_give_the_same_commands(seed: int) -> None:
    def played() -> list[str]:
        chance = Random(seed)
        rig = Rig(chance=Random(seed + 1), faults=WILD)
        for number in range(2):
            send_signal(rig, chance, number)
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
