"""An engine and its exchange, whose every event is followed by a check of the invariants of execution.

Numbers in here are those of the invariants in the design of execution.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from algo_signals import most_live
from engine_kit import KEY, MS, SECOND, START, VENUE, Rig, signal
from ladder_kit import MOST

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ParentState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.config import EngineConfig, VenueConfig
    from citadel_micro.core.model.events import Event


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
            most = MOST if parent.signal.algo == "ladder" else most_live(parent)
            assert len(parent.live) <= most
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
            child = next(c for c in parent.live if c.client_id == order.client_id)
            now = (child.price_ticks, child.quantity_lots)
            assert (order.price_ticks, order.quantity_lots) != now
            assert child.filled < order.quantity_lots <= child.quantity_lots
            venue = self.settings.venues[VENUE]
            assert venue.amend_native or order.price_ticks == child.price_ticks


class CountingRig(StrictRig):
    """Dies inside one certain batch of commands."""

    def __init__(
        self,
        settings: EngineConfig | None = None,
        *,
        chance: Random,
        die_at: int,
        die_after: int,
    ) -> None:
        self.die_at = -1
        self._events = 0
        super().__init__(settings, chance=chance)
        self.die_at, self._die_after = die_at, die_after

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        super().check_after(event, commands)
        self._events += 1
        if self.die_at >= 0 and self._events >= self.die_at and commands:
            self.drop_after = self._die_after


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


def random_signal(chance: Random, number: int, *, several: bool) -> SignalReceived:
    side = chance.choice(("buy", "sell"))
    algo = chance.choice(("chase_limit", "chase_limit", "limit", "marketable_limit", "peg"))
    if several and chance.random() < 0.8:
        algo = "ladder"
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
    elif algo == "ladder":
        params = {
            "levels": chance.randint(1, MOST),
            "step_ticks": chance.choice((0, 1, 5)),
            "even": chance.random() < 0.5,
            "take": chance.random() < 0.2,
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


def send_signal(rig: Rig, chance: Random, number: int, *, several: bool = False) -> None:
    made = random_signal(chance, number, several=several)
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
