"""What an algorithm may answer, remember and read, shown by algorithms made for it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.algos.base import KEEP, Algorithm, Work
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import TradeTick
from citadel_micro.core.model.traits import Traits

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


class Slices(Algorithm):
    """Rests orders of a named quantity, shows a part of each, and counts in its durable state."""

    name = "slices"
    params = ()
    lots: int | None = 200
    displayed: int | None = None
    volume = 0.0

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        del now_ns
        type(self).volume = inst.market.traded - parent.arrival_traded
        if parent.live:
            return KEEP
        touch = inst.touch_ticks()
        assert touch is not None
        parent.algo_state = {"asked": int(str(parent.algo_state.get("asked", 0))) + 1}
        return Work(
            touch[0],
            post_only=True,
            ioc=False,
            capped=False,
            quantity_lots=self.lots,
            displayed_lots=self.displayed,
        )


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> type[Slices]:
    monkeypatch.setitem(ALGORITHMS, "slices", Slices)
    for name in ("lots", "displayed", "volume"):
        monkeypatch.setattr(Slices, name, getattr(Slices, name))
    return Slices


@pytest.mark.parametrize(
    ("lots", "expected"),
    [(200, [200, 200, 100]), (None, [500]), (10_000, [500]), (0, [1] * 3)],
)
def test_a_named_quantity_is_between_the_minimum_and_the_budget(
    slices: type[Slices], lots: int | None, expected: list[int]
) -> None:
    slices.lots = lots
    rig = Rig()
    rig.send(signal(algo="slices", expires_ns=START + 600 * SECOND))
    rig.run(10 * MS)
    for _ in expected[1:]:
        rig.venue.fill(rig.live().place.client_id, 500)
        rig.run(2 * SECOND)
    assert [order.quantity_lots for order in rig.venue.placed] == expected


@pytest.mark.parametrize(
    ("displayed", "able", "shown"),
    [(50, True, 50), (50, False, None), (500, True, None), (0, True, 1), (None, True, None)],
)
def test_a_part_is_shown_only_where_the_venue_can(
    slices: type[Slices], displayed: int | None, able: bool, shown: int | None
) -> None:
    slices.displayed = displayed
    rig = Rig(config(VenueConfig(shows_own_orders=False, displays_part=able)))
    rig.send(signal(algo="slices"))
    assert [order.displayed_lots for order in rig.venue.placed] == [shown]


def test_what_it_remembers_is_durable_and_given_back(slices: type[Slices]) -> None:
    del slices
    rig = Rig()
    rig.send(signal(algo="slices", expires_ns=START + 600 * SECOND))
    rig.run(10 * MS)
    rig.venue.fill(rig.live().place.client_id, 200)
    rig.run(1 * SECOND)
    assert rig.parent().algo_state == {"asked": 2}
    rig.restart()
    rig.run(1 * SECOND)
    assert rig.parent().algo_state == {"asked": 2}
    rig.venue.fill(rig.live().place.client_id, 200)
    rig.run(1 * SECOND)
    assert rig.parent().algo_state == {"asked": 3}


def test_an_order_without_a_state_is_stored_as_before() -> None:
    rig = Rig()
    rig.send(signal())
    stored = rig.durable["parent/s1"]
    assert isinstance(stored, dict)
    assert "algo_state" not in stored


def test_volume_is_what_traded_since_arrival_and_not_the_history(slices: type[Slices]) -> None:
    rig = Rig()
    rig.trade(60_000.0, 7.0)
    rig.run(10 * MS)
    rig.send(signal(algo="slices"))
    rig.trade(60_000.0, 0.5)
    rig.run(10 * MS)
    old = TradeTick(VENUE, SYMBOL, "old", 60_000.0, 9.0, "buy", rig.now, rig.now, history=True)
    rig.send(old)
    rig.trade(60_000.1, 0.25, "buy")
    assert slices.volume == 0.75
    assert rig.engine.markets[KEY].traded == 7.75


def test_traits_say_what_becomes_of_an_immediate_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taker(Slices):
        name = "taker"
        traits = Traits(immediate=True)

    for kind in (Slices, Taker):
        monkeypatch.setitem(ALGORITHMS, kind.name, kind)
        rig = Rig()
        rig.send(signal(algo=kind.name, order_type="market"))
        algo = rig.parent().algo
        assert algo is not None
        assert algo.name == ("taker" if kind is Taker else "marketable_limit")


def test_every_working_time_names_a_parameter_or_none() -> None:
    for kind in ALGORITHMS.values():
        algo = kind.make(())
        value = algo.values.get(kind.traits.working_time, 0)
        assert algo.working_ns == int(value) * MS


def test_a_plain_limit_is_judged_by_its_price_and_others_by_their_cap() -> None:
    for name, kind in ALGORITHMS.items():
        if kind.traits.held:
            continue
        rig = Rig()
        rig.send(signal(algo=name, side="sell", limit_price=Decimal("60010.01")))
        refused = rig.report().reason_code == "BAD_TICK"
        assert refused is kind.traits.rests_at_limit
