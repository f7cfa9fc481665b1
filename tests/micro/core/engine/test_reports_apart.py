"""Reports of orders may be made after what leaves for a venue: they are the same, and still the last."""

from __future__ import annotations

from decimal import ROUND_UP, Context, localcontext
from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, Rig, signal

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.events import CancelReceived, QueryReceived
from citadel_micro.shell.journal import records
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event

ALGOS = ("chase_limit", "marketable_limit", "limit", "peg")


class Beside(Rig):
    """Hands every event to a second engine as well, which makes its reports apart, and compares."""

    twin: Engine | None = None
    apart = 0

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        if self.twin is None:
            self.twin = Engine(self.settings, {KEY: self.instrument})
            self.twin.reports_apart = True
        begun = self.twin.handle(event, self.now)
        # Whatever the caller computes with.
        with localcontext(Context(prec=3, rounding=ROUND_UP)):
            reports = self.twin.reports()
        self.apart += len(reports)
        assert [records.encode(each) for each in (*begun, *reports)] == [
            records.encode(each) for each in commands
        ]
        super().check_after(event, commands)


@pytest.mark.parametrize("seed", range(12))
def test_an_engine_that_makes_them_apart_says_the_same_in_the_same_order(seed: int) -> None:
    chance = Random(seed)
    rig = Beside(chance=chance, faults=Faults(lose_report=0.1, duplicate=0.1, slow=0.2))
    bid = 60_000.0
    for number in range(40):
        bid += chance.choice((-0.2, -0.1, 0.0, 0.1, 0.3))
        rig.book(round(bid, 1), round(bid + 0.1, 1))
        kind = chance.randrange(4)
        if kind == 0:
            name = f"s{number}"
            side = chance.choice(("buy", "sell"))
            rig.send(signal(name, side=side, algo=chance.choice(ALGOS), created_ns=rig.now))
        elif kind == 1 and rig.venue.open_orders():
            rig.venue.fill(chance.choice(rig.venue.open_orders()).place.client_id, 7)
        elif kind == 2:
            rig.send(CancelReceived(signal_id=f"s{chance.randrange(40)}", reason="enough"))
        rig.run(chance.choice((1, 5, 40)) * MS)
    rig.run(2 * SECOND)
    assert rig.apart > 10


def test_an_answer_comes_after_the_reports_that_are_older() -> None:
    rig = Rig()
    rig.send(signal())
    rig.engine.reports_apart = True
    rig.engine.order_store.repeat(rig.engine.order_store.known["s1"])
    query = QueryReceived(
        query_id="q",
        kind="order",
        reply_to="m",
        signal_id="s1",
        venue=KEY[0],
        symbol=KEY[1],
        since_ns=0,
    )
    commands = rig.engine.handle(query, rig.now)
    assert [type(each).__name__ for each in commands] == ["PublishReport", "PublishAnswer"]
    assert rig.engine.reports() == []


def test_reports_that_nobody_has_taken_are_an_error_of_ours() -> None:
    rig = Rig()
    rig.engine.reports_apart = True
    commands = rig.engine.handle(signal(), rig.now)
    assert not [each for each in commands if isinstance(each, PublishReport)]
    with pytest.raises(InvariantError, match="were not taken"):
        rig.engine.handle(signal("s2"), rig.now)


def test_a_repeated_signal_is_answered_with_a_report_alone() -> None:
    """Nothing is stored then, and still there is something to be told."""
    rig = Rig()
    rig.send(signal())
    rig.run(20 * MS)
    rig.engine.reports_apart = True
    assert rig.engine.handle(signal(), rig.now) == []
    assert [each.signal_id for each in rig.engine.reports()] == ["s1"]
