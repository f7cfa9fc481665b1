"""Auto, and the parameters of the chase whose defaults came with it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND, START, Rig, rules, signal

from citadel_micro.core.algos import ALGORITHMS, overridden, with_present_defaults
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.execution.admission import Algorithms

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value
    from citadel_micro.core.model.commands import PlaceOrder

EQUAL = {"maker_fee": Decimal("0.001"), "taker_fee": Decimal("0.001")}
APART = {"maker_fee": Decimal("0.0002"), "taker_fee": Decimal("0.0005")}


def send(rig: Rig, algo: str = "auto", *, side: str = "buy", **changes: Any) -> None:  # noqa: ANN401 - of a signal
    params = {name: changes.pop(name) for name in tuple(changes) if name in _NAMES}
    rig.send(
        signal(
            algo=algo,
            side=side,
            params=tuple(sorted(params.items())),
            expires_ns=START + 3_600 * SECOND,
            **{"quantity": Decimal("0.1"), **changes},
        )
    )
    rig.run(10 * MS)


_NAMES = {param.name for kind in ALGORITHMS.values() for param in kind.params}


def first(rig: Rig) -> PlaceOrder:
    return rig.venue.placed[0]


# --- what it chooses ------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(
    ("fees", "spread", "code"),
    [
        (EQUAL, 0.1, "CROSS"),  # nothing is gained by waiting
        (EQUAL, 12.0, "CHASE"),  # half the spread is 1 bp
        (APART, 0.1, "CHASE"),  # three bps of fees are
        (APART, 12.0, "CHASE"),
    ],
)
def test_it_takes_the_cheaper_way_and_says_why(
    side: str, fees: dict[str, Any], spread: float, code: str
) -> None:
    rig = Rig(instrument=rules(**fees))
    rig.venue.partial_share = 0.0
    rig.book(60_000.0, round(60_000.0 + spread, 1))
    send(rig, side=side)
    assert first(rig).time_in_force == ("IOC" if code == "CROSS" else "GTC")
    assert first(rig).post_only is (code == "CHASE")
    report = rig.report()
    assert report.reason_code == code
    gap = (fees["taker_fee"] - fees["maker_fee"]) * 10_000
    assert f"taker less maker {gap:.2f} bps" in report.reason
    assert "half spread" in report.reason
    if code == "CROSS":
        assert report.status == "filled"  # and the report of its end says it still


def test_where_only_the_size_is_dear_it_crosses_in_slices() -> None:
    rig = Rig(instrument=rules(tick=Decimal(10), **EQUAL))
    rig.venue.partial_share = 0.0
    rig.book(60_000.0, 60_010.0, size=0.02)
    send(rig, chase_cost_bps=1.8)  # half the spread 0.83, and five levels of 1.7 bps each
    assert rig.report().reason_code == "SLICE"
    assert first(rig).price_ticks == 6_001
    assert first(rig).time_in_force == "IOC"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"urgency": "passive"}, "CHASE"),
        ({"urgency": "cross"}, "CROSS"),
        ({"chase_cost_bps": 0.0}, "CHASE"),
        ({"chase_cost_bps": 100.0}, "CROSS"),
        ({"limit_price": Decimal(60_000)}, "CHASE"),  # it does not reach the ask
        ({"limit_price": Decimal("60000.1")}, "CROSS"),
    ],
)
def test_urgency_costs_and_the_limit_have_their_say(changes: dict[str, Any], code: str) -> None:
    rig = Rig(instrument=rules(**EQUAL))
    send(rig, **changes)
    assert rig.report().reason_code == code


def test_the_choice_is_made_once_and_survives_a_restart() -> None:
    rig = Rig(instrument=rules(**APART))
    send(rig, chase_cost_bps=3.5)
    rig.venue.fill_at_once = False
    assert rig.parent().algo_state["chosen"] == "cross"
    rig = Rig(instrument=rules(**APART))
    send(rig)
    assert rig.parent().algo_state["chosen"] == "chase"
    why = rig.parent().algo_state["why"]
    rig.restart()
    rig.book(60_000.0, 60_000.1)
    rig.run(1 * SECOND)
    assert rig.parent().algo_state["chosen"] == "chase"
    assert rig.parent().algo_state["why"] == why


def test_what_runs_away_from_a_crossing_is_chased_at_the_worst_price() -> None:
    rig = Rig(instrument=rules(**EQUAL))
    rig.venue.fill_at_once = False
    send(rig, limit_price=Decimal("60000.1"))
    rig.book(60_005.0, 60_005.1)
    rig.run(1 * SECOND)
    resting = rig.live()
    assert (resting.price_ticks, resting.place.post_only) == (600_001, True)
    rig.venue.fill_at_once, rig.venue.partial_share = True, 0.0
    rig.book(60_000.0, 60_000.1)
    rig.run(1 * SECOND)
    assert rig.report().status == "filled"


def test_without_a_book_it_chooses_nothing() -> None:
    rig = Rig(instrument=rules(**EQUAL))
    rig.book(60_000.0, 60_000.0)  # locked
    rig.send(signal(algo="auto", reduce_only=False))
    assert rig.venue.placed == []


# --- parameters of the chase ----------------------------------------------------------------------


def prices(rig: Rig) -> list[int]:
    return [order.price_ticks for order in rig.venue.placed]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_it_advances_late_and_retreats_at_once(side: str) -> None:
    rig = Rig()
    send(rig, "chase_limit", side=side, advance_dwell_ms=1_000, retreat_dwell_ms=0)
    sign = 1 if side == "buy" else -1
    rig.book(60_000.0 + sign, round(60_000.1 + sign, 1))
    rig.run(900 * MS)
    assert len(prices(rig)) == 1
    rig.run(200 * MS)
    assert len(prices(rig)) == 2
    rig.book(60_000.0 - sign, round(60_000.1 - sign, 1))
    rig.run(50 * MS)
    assert len(prices(rig)) == 3


@pytest.mark.parametrize(
    ("tick", "bid", "gap", "moves"),
    [("0.1", 60_000.0, 0.2, 1), ("0.1", 60_000.0, 0.4, 2), ("0.01", 100.0, 0.01, 2)],
)
def test_a_distance_in_bps_has_a_floor_of_one_tick(
    tick: str, bid: float, gap: float, moves: int
) -> None:
    """0.05 bps are 3 ticks of 0.1 at 60,000, and a tick of 0.01 at 100 is a whole one."""
    rig = Rig(instrument=rules(tick=Decimal(tick)))
    step = float(tick)
    rig.book(bid, round(bid + 2 * step, 2))
    send(
        rig,
        "chase_limit",
        quantity=Decimal("0.1") if bid > 200 else Decimal(1),
        retreat_bps=0.05,
        retreat_dwell_ms=0,
    )
    assert len(prices(rig)) == 1
    rig.book(round(bid - gap, 2), round(bid - gap + 2 * step, 2))
    rig.run(400 * MS)
    assert len(prices(rig)) == moves


@pytest.mark.parametrize(
    ("fees", "taker", "lean", "crosses"),
    [
        (EQUAL, True, 0.97, True),
        (EQUAL, True, 0.5, False),
        (EQUAL, True, -0.97, False),
        (EQUAL, False, 0.97, False),  # it may not take
        (APART, True, 0.97, False),  # the fees are too far apart
    ],
)
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_it_crosses_where_the_touch_leans_away_and_the_fees_permit(
    fees: dict[str, Any], taker: bool, lean: float, crosses: bool, side: str
) -> None:
    rig = Rig(instrument=rules(**fees))
    send(rig, "chase_limit", side=side, allow_taker=taker, cross_imbalance=0.9)
    ours = ("buy" if lean > 0 else "sell") if side == "buy" else ("sell" if lean > 0 else "buy")
    extra = 50.0 * 2 * abs(lean) / (1 - abs(lean))
    level = (ours, 60_000.0 if ours == "buy" else 60_000.1, extra)
    rig.book(60_000.0, 60_000.1, own=level)  # type: ignore[arg-type]  # sizes change, prices do not
    rig.run(100 * MS, refresh_ns=0)
    assert ("IOC" in [order.time_in_force for order in rig.venue.placed]) is crosses


# --- defaults that have changed -------------------------------------------------------------------


def values(named: dict[str, Value], stated: dict[str, Any]) -> dict[str, Value]:
    made = Algorithms(stated).choose(
        signal(params=tuple(sorted(named.items()))), fill_or_kill=False
    )
    return dict(made.values)


def test_a_journal_of_before_means_what_it_meant() -> None:
    old = values({}, {})
    assert (old["advance_dwell_ms"], old["retreat_dwell_ms"], old["retreat_bps"]) == (-1, -1, -1)
    assert (old["min_dwell_ms"], old["retreat_ticks"]) == (250, 3)


def test_a_configuration_states_the_present_ones() -> None:
    stated = with_present_defaults({})
    new = values({}, stated)
    assert (new["advance_dwell_ms"], new["retreat_dwell_ms"]) == (1_000, 0)
    assert new["retreat_bps"] == 0.05


def test_who_says_it_the_old_way_is_taken_at_his_word() -> None:
    stated = with_present_defaults({"chase_limit": {"retreat_ticks": 9}})
    assert "retreat_bps" not in stated["chase_limit"]
    new = values({"min_dwell_ms": 40}, stated)
    assert (new["advance_dwell_ms"], new["retreat_dwell_ms"], new["min_dwell_ms"]) == (-1, -1, 40)
    both = values({"min_dwell_ms": 40, "advance_dwell_ms": 7}, stated)
    assert (both["advance_dwell_ms"], both["retreat_dwell_ms"]) == (7, -1)
    assert values({"retreat_bps": 1.0}, stated)["retreat_bps"] == 1.0


def test_a_configuration_of_an_algorithm_keeps_its_own_values() -> None:
    stated = with_present_defaults({"peg": {"offset_ticks": 2}, "chase_limit": {"urgency": "high"}})
    assert stated["peg"] == {"offset_ticks": 2}
    assert stated["chase_limit"]["urgency"] == "high"
    assert stated["chase_limit"]["advance_dwell_ms"] == 1_000
    assert overridden(ChaseLimit, {"retreat_bps": 1.0}, {"retreat_ticks": 3}) == {
        "retreat_ticks": 3
    }


def test_every_default_of_before_is_a_value_of_its_parameter() -> None:
    for kind in ALGORITHMS.values():
        for param in kind.params:
            if param.before is not None:
                assert param.check(param.before) == param.before
            if param.instead_of:
                assert param.instead_of in {each.name for each in kind.params}
