"""Orders that are never sent go the whole way, and change nothing."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from engine_kit import KEY, MS, START, VENUE, Rig, config, rules, signal

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.shell.bridge.wire import event_of
from citadel_micro.shell.journal import records
from citadel_micro.shell.rehearsal import EVERY_NS, ORDERS, Rehearsal, Rehearsals
from citadel_proto import topics
from citadel_proto.codec import decode_signal
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.commands import PlaceOrder, PublishReport
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument


class Wire:
    """What the uplink makes of bytes, and the reports of which it would have made some."""

    def __init__(self) -> None:
        self.reports: list[PublishReport] = []

    def rehearse_signal(self, frame: bytes) -> Event:
        return event_of(decode_signal(topics.split(frame)[1]))

    def rehearse_report(self, report: PublishReport, now_ns: int) -> None:
        del now_ns
        self.reports.append(report)


PERPETUAL = {"kind": "linear", "symbol": "BTC/USDT:USDT"}
MARGINED = VenueConfig(margined=True, amend_native=True, tells_trades=True, mark="abc123")


@pytest.mark.parametrize(
    ("settings", "instrument"),
    [
        (config(), rules()),
        (config(MARGINED), rules(**PERPETUAL)),
        (config(MARGINED), rules(kind="inverse", quote="USD", settle="BTC", symbol="BTC/USD:BTC")),
        (config(), rules(base="SOL", quote="BTC", settle="BTC", symbol="SOL/BTC")),
    ],
    ids=["spot", "linear", "inverse", "in BTC"],
)
def test_every_rehearsal_reaches_the_signature(
    settings: EngineConfig, instrument: Instrument
) -> None:
    orders: list[PlaceOrder] = []
    wire = Wire()
    rehearsal = Rehearsal(settings, instrument, orders.append, wire)
    count = 2 * ORDERS + 5  # of more than one engine
    for number in range(2 * count):  # to its request, and to its end
        rehearsal.step(START + number * EVERY_NS)
    assert rehearsal.signed == len(orders) == count
    assert {each.symbol for each in orders} == {instrument.symbol}
    assert len({each.client_id for each in orders[:ORDERS]}) == ORDERS
    assert {each.parent_id for each in orders} <= {each.signal_id for each in wire.reports}


class Rehearsed(Rig):
    """A rig beside which an order is rehearsed after every event."""

    rehearsal: Rehearsal | None = None

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        del event, commands
        if self.rehearsal is None:
            self.rehearsal = Rehearsal(self.settings, self.instrument, lambda _order: None, Wire())
        self.rehearsal.step(self.now)


def told(seed: int, *, rehearsed: bool) -> tuple[list[bytes], object]:
    """Every command of a story of orders, and the book at its end."""
    chance = Random(seed)
    rig = (Rehearsed if rehearsed else Rig)(chance=Random(seed))
    for number in range(12):
        side = chance.choice(("buy", "sell"))
        algo = chance.choice(("chase_limit", "marketable_limit", "peg"))
        rig.send(signal(f"s{number}", side=side, algo=algo, created_ns=rig.now))
        bid = 60_000.0 + chance.randint(-20, 20) * 0.1
        rig.book(round(bid, 1), round(bid + 0.1, 1))
        rig.run(chance.randint(1, 400) * MS)
    market = rig.engine.markets[KEY]
    book = (market.best(), market.last_seq, market.state)
    return [records.encode(command) for _, command in rig.commands], book


@pytest.mark.parametrize("seed", range(4))
def test_commands_and_books_are_equal_with_it_and_without(seed: int) -> None:
    plain, rehearsed = told(seed, rehearsed=False), told(seed, rehearsed=True)
    assert plain == rehearsed
    assert any(b"Approved" in each for each in plain[0])


class Adapter:
    """Counts the requests that it would have signed."""

    def __init__(self) -> None:
        self.signed = 0
        self.broken = False

    def rehearse(self, order: PlaceOrder) -> None:
        del order
        self.signed += 1
        if self.broken:
            raise BadInput("no such symbol")


def turns(venues: dict[str, Any], clock: SimpleNamespace) -> Rehearsals:
    settings = config()
    instruments = {(VENUE, symbol): rules(symbol=symbol) for symbol in ("BTC/USDT", "AB/USDT")}
    return Rehearsals(settings, instruments, cast("Any", venues), lambda: clock.ns, Wire())


def test_they_take_their_turns_now_and_then() -> None:
    adapter, clock = Adapter(), SimpleNamespace(ns=START)
    rehearsals = turns({VENUE: adapter, "paper": object()}, clock)
    assert [each.venue for each in rehearsals.each] == [VENUE]
    for _ in range(100):
        rehearsals.turn()
    assert adapter.signed == 1
    pending = []
    for step_ns in (EVERY_NS - 1, 1, EVERY_NS):
        clock.ns += step_ns
        rehearsals.turn()
        pending.append(rehearsals.each[0].pending)
    assert pending == [True, False, True]  # not yet its end; its end; the next one
    assert adapter.signed == 2


def test_a_slow_signature_takes_a_tenth_of_the_time_at_most() -> None:
    clock = SimpleNamespace(ns=START)

    class Slow(Adapter):
        def rehearse(self, order: PlaceOrder) -> None:
            super().rehearse(order)
            clock.ns += 5 * MS

    adapter = Slow()
    rehearsals = turns({VENUE: adapter}, clock)
    rehearsals.turn()
    clock.ns += 45 * MS - 1
    rehearsals.turn()
    assert rehearsals.each[0].pending
    clock.ns += 1
    rehearsals.turn()
    assert not rehearsals.each[0].pending


def test_one_that_fails_is_not_repeated() -> None:
    adapter, clock = Adapter(), SimpleNamespace(ns=START)
    adapter.broken = True
    rehearsals = turns({VENUE: adapter}, clock)
    for _ in range(10):
        rehearsals.turn()
        clock.ns += EVERY_NS
    assert adapter.signed == 1
    assert rehearsals.each == []


def test_nothing_is_built_where_nobody_rehearses() -> None:
    assert turns({VENUE: object()}, SimpleNamespace(ns=START)).each == []
