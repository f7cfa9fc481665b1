"""One cancels the other: take-profits and a stop under one budget."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from engine_kit import KEY, MS, SECOND, Rig, config, signal
from holding_kit import WILD, holding, market
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_rig import settle, wander

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.orders.order_states import PARENT_TERMINAL

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder


def oco(
    rig: Rig,
    take_profits: str = "60030, 60060",
    stop: str = "59970",
    params: dict[str, Any] | None = None,
    **changes: Any,  # noqa: ANN401 - of a signal
) -> None:
    given = {"take_profits": take_profits, **(params or {})}
    values = {"side": "sell", "kind": "stop", "stop_price": Decimal(stop), "created_ns": rig.now}
    rig.send(
        signal("oco", algo="oco", params=tuple(sorted(given.items())), **{**values, **changes})
    )
    rig.run(10 * MS)


def placed(rig: Rig) -> list[PlaceOrder]:
    return [order for order in rig.venue.placed if order.parent_id == "oco"]


def resting(rig: Rig) -> list[tuple[int, int]]:
    found = [o for o in rig.venue.open_orders() if o.place.parent_id == "oco"]
    return sorted((o.price_ticks, o.quantity_lots) for o in found)


def test_take_profits_rest_together_and_the_stop_waits() -> None:
    rig = holding()
    oco(rig)
    assert resting(rig) == [(600_300, 250), (600_600, 250)]
    for order in placed(rig):
        rig.venue.fill(order.client_id, 250)
    rig.run(1 * SECOND)
    assert rig.report("oco").status == "filled"
    assert not rig.report("oco").triggered
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_the_stop_withdraws_them_first_and_sells_only_what_is_left() -> None:
    rig = holding()
    oco(rig)
    rig.venue.fill(placed(rig)[0].client_id, 100)
    rig.run(10 * MS)
    for _ in range(2):
        rig.book(59_960.0, 59_960.1)
    assert rig.parent("oco").triggered
    assert placed(rig)[-1].time_in_force == "GTC"  # nothing is sold beside an order that is out
    rig.run(2 * SECOND)
    assert resting(rig) == []
    last = placed(rig)[-1]
    assert (last.time_in_force, last.quantity_lots, last.reduce_only) == ("IOC", 400, True)
    report = rig.report("oco")
    assert (report.status, report.triggered) == ("filled", True)
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_trades_trigger_it_too() -> None:
    rig = holding()
    oco(rig)
    rig.book(60_000.0, 60_000.1)
    for number in range(3):
        rig.trade(59_969.0 - number)
        rig.run(20 * MS, refresh_ns=0)
    rig.run(3 * SECOND, refresh_ns=0)
    assert rig.parent("oco").triggered


def test_a_far_take_profit_is_held_until_the_market_is_near() -> None:
    rig = holding()
    oco(rig, "60030, 66000")
    assert resting(rig) == [(600_300, 250)]
    market(rig, 60_020.0)
    rig.venue.fill(placed(rig)[0].client_id, 250)
    rig.run(10 * MS)
    assert resting(rig) == []
    market(rig, 65_500.0)
    rig.run(100 * MS)
    assert resting(rig) == [(660_000, 250)]
    market(rig, 65_000.0)  # it stays where it rests
    rig.run(1 * SECOND)
    assert resting(rig) == [(660_000, 250)]


def test_shares_and_minimums_decide_the_parts() -> None:
    rig = holding()
    oco(rig, "60030, 60040, 60050", params={"shares": "3, 1, 1"})
    assert resting(rig) == [(600_300, 300), (600_400, 100), (600_500, 100)]
    rig = holding()
    oco(rig, "60030, 60040", quantity=Decimal("0.001"))
    assert resting(rig) == [(600_300, 1)]


@pytest.mark.parametrize("restart_at", ["resting", "triggered"])
def test_it_survives_a_restart(restart_at: str) -> None:
    rig = holding()
    oco(rig)
    rig.venue.fill(placed(rig)[0].client_id, 250)
    rig.run(10 * MS)
    if restart_at == "triggered":
        market(rig, 59_960.0)
        assert rig.parent("oco").triggered
    rig.restart()
    rig.run(1 * SECOND)
    if restart_at == "resting":
        assert resting(rig) == [(600_600, 250)]  # the first is not placed again
        market(rig, 59_960.0)
    rig.run(2 * SECOND)
    assert rig.report("oco").status == "filled"
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_a_short_position_takes_its_profit_below_and_stops_above() -> None:
    for side, profits, stop, bad in (
        ("sell", "60030", "59970", False),
        ("sell", "59900", "59970", True),
        ("sell", "59970", "59970", True),
        ("buy", "59970", "60030", False),
        ("buy", "60031", "60030", True),
    ):
        rig = Rig()
        oco(rig, profits, stop, side=side)
        report = rig.report("oco")
        assert (report.reason_code == "BAD_PARAMETER") is bad
        assert ("wrong side" in report.reason) is bad


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"take_profits": ""}, "1 to 5 different prices"),
        ({"take_profits": "60030, 60030"}, "different"),
        ({"take_profits": "1,2,3,4,5,6"}, "1 to 5"),
        ({"shares": "1"}, "2 weights"),
        ({"shares": "1, 0"}, "above 0"),
        ({"take_profit": "60030"}, "did you mean take_profits"),
    ],
)
def test_what_makes_no_sense_is_refused_with_words(params: dict[str, Any], text: str) -> None:
    rig = holding()
    oco(rig, params=params)
    report = rig.report("oco")
    assert (report.status, report.reason_code) == ("rejected", "BAD_PARAMETER")
    assert text in report.reason
    assert placed(rig) == []


def test_without_a_position_it_ends() -> None:
    rig = Rig()
    oco(rig)
    rig.run(1 * SECOND)
    assert rig.report("oco").reason_code == "POSITION_CLOSED"
    assert rig.venue.placed == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(6, 300))
def test_wild_lines_and_crashes_sell_no_more_than_the_position(seed: int) -> None:
    chance = Random(seed)
    venue = VenueConfig(
        shows_own_orders=False,
        messages_per_second=100,
        message_burst=500,
        amend_native=chance.random() < 0.3,
    )
    rig = holding(chance=Random(seed + 1))
    rig.settings = config(venue)
    rig.venue.faults = WILD
    ahead = sorted(chance.sample(range(1, 60), chance.choice((1, 2, 4))))
    profits = ", ".join(str(60_000 + each) for each in ahead)
    oco(rig, profits, str(60_000 - chance.randint(1, 40)), params={"rest_within_bps": 5.0})
    for _ in range(3):
        rig.drop_after = chance.choice((None, chance.randint(0, 6)))
        wander(rig, chance, 10)
        rig.restart()
    rig.drop_after = None
    wander(rig, chance, 10)
    rig.cancel("oco")
    settle(rig)
    parent = rig.parent("oco")
    assert parent.state in PARENT_TERMINAL
    assert rig.venue.open_orders() == []
    assert parent.filled == rig.venue.filled_of("oco") <= 500
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(500 - parent.filled) / 1_000
