"""An order ends when its life does, by whichever algorithm it is worked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import CancelOrder
from citadel_micro.core.model.events import VenueStatus
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

LIFE_NS = 20 * SECOND
AWAY = Decimal(59_900)
ENDLESS: list[tuple[str, dict[str, Any]]] = [
    ("limit", {}),
    ("limit", {"post_only": True}),
    ("limit", {"time_limit_ms": 0}),
    ("chase_limit", {"time_limit_ms": 1_000, "on_timeout": "rest"}),
    ("marketable_limit", {"time_limit_ms": 0}),
]
"""Algorithms that never end by themselves."""


def send(rig: Rig, algo: str, params: Mapping[str, Any], **changes: Any) -> None:  # noqa: ANN401
    values: dict[str, Any] = {
        "algo": algo,
        "params": tuple(sorted(params.items())),
        "limit_price": AWAY,
        "created_ns": rig.now,
        "expires_ns": rig.now + LIFE_NS,
    }
    rig.send(signal(**{**values, **changes}))


@pytest.mark.parametrize(("algo", "params"), ENDLESS)
def test_without_a_working_time_it_ends_when_its_signal_expires(
    algo: str, params: dict[str, Any]
) -> None:
    rig = Rig()
    began = rig.now
    send(rig, algo, params)
    rig.run(LIFE_NS - 100 * MS)
    assert rig.report().status in {"working", "accepted", "paused"}
    rig.run(300 * MS)
    assert rig.report().status == "expired"
    assert rig.report().reason_code == "EXPIRED"
    assert rig.venue.open_orders() == []
    assert all(at <= began + LIFE_NS for at, command in rig.commands if type(command) is Approved)


@pytest.mark.parametrize(
    ("algo", "params", "end_ns"),
    [
        ("limit", {"time_limit_ms": 30_000}, 30 * SECOND),
        ("limit", {"time_limit_ms": 5_000}, 5 * SECOND),
        ("chase_limit", {}, 60 * SECOND),
        ("chase_limit", {"time_limit_ms": 5_000}, 5 * SECOND),
        ("chase_limit", {"time_limit_ms": 5_000, "on_timeout": "cross_ioc"}, 10 * SECOND),
        ("marketable_limit", {}, 10 * SECOND),
        ("chase_limit", {"time_limit_ms": 30_000, "on_timeout": "rest"}, 30 * SECOND),
    ],
)
def test_a_working_time_of_its_own_is_kept(algo: str, params: dict[str, Any], end_ns: int) -> None:
    rig = Rig()
    send(rig, algo, params)
    rig.venue.fill_at_once = False
    rig.run(end_ns - 100 * MS)
    ends_early = "cross_ioc" in params.values()  # the cap is before the other side: nothing to take
    assert (rig.report().status == "expired") == ends_early
    rig.run(300 * MS)
    assert rig.report().status == "expired"
    assert rig.venue.open_orders() == []


def test_a_stop_is_held_and_worked_until_it_is_done() -> None:
    """Nobody else would protect the position."""
    rig = Rig(instrument=rules(), settings=config())
    rig.send(signal("entry", algo="marketable_limit", order_type="market"))
    rig.run(1 * SECOND)
    held = rig.engine.portfolio.quantity(VENUE, SYMBOL)
    assert held
    rig.send(
        signal(
            side="sell",
            kind="stop",
            quantity=held,
            stop_price=Decimal(59_000),
            created_ns=rig.now,
            expires_ns=rig.now + SECOND,
        )
    )
    rig.run(100 * SECOND)
    assert rig.report().status == "accepted"
    rig.venue.fill_at_once = False
    for _ in range(3):
        rig.book(58_900.0, 58_900.1)
        rig.run(100 * MS)
    rig.run(100 * SECOND)
    assert rig.report().status in {"working", "paused"}
    rig.venue.fill_at_once = True
    rig.run(5 * SECOND)
    assert rig.report().status == "filled"


@pytest.mark.parametrize(("algo", "params"), ENDLESS)
def test_its_end_survives_a_restart(algo: str, params: dict[str, Any]) -> None:
    rig = Rig()
    send(rig, algo, params)
    rig.run(LIFE_NS // 2)
    rig.restart()
    rig.run(LIFE_NS // 2 + 500 * MS)
    assert rig.report().status == "expired"
    assert rig.venue.open_orders() == []


def test_what_is_in_doubt_when_the_time_comes_ends_as_soon_as_it_is_found() -> None:
    rig = Rig()
    send(rig, "limit", {})
    rig.run(1 * SECOND)
    rig.venue.mute = True
    rig.run(LIFE_NS + 10 * SECOND)
    assert rig.report().status not in {"expired", "canceled"}  # silence is no proof
    rig.venue.mute = False
    rig.run(20 * SECOND)
    assert rig.report().status == "expired"
    assert rig.venue.open_orders() == []


def test_an_order_that_was_never_placed_ends_too() -> None:
    rig = Rig()
    rig.send(VenueStatus(venue=VENUE, up=False, reason="maintenance"))
    send(rig, "limit", {})
    rig.run(1 * SECOND)
    assert rig.report().status == "paused"
    rig.run(LIFE_NS)
    assert rig.report().status == "expired"
    assert rig.venue.placed == []


def test_an_order_ends_while_another_venue_does_not_answer_after_a_restart() -> None:
    """Recovery may take as long as it likes; an order's life does not wait for it."""
    rig = Rig()
    send(rig, "limit", {})
    rig.run(1 * SECOND)
    rig.venue.mute = True
    rig.restart()
    rig.run(LIFE_NS)
    assert rig.recovering()
    assert rig.parent().verdict is not None


@pytest.mark.parametrize(
    ("algo", "params"), [*ENDLESS, ("chase_limit", {"time_limit_ms": 600_000})]
)
@pytest.mark.parametrize("latency_ns", [2 * MS, 400 * MS])
def test_the_entry_of_a_silent_macro_ends_by_every_algorithm(
    algo: str, params: dict[str, Any], latency_ns: int
) -> None:
    limits = paper_defaults(lease_required=True, max_open_orders=1_000)
    rig = Rig(config(limits=limits))
    rig.venue.latency_ns = latency_ns
    rig.beat()
    send(rig, algo, params, expires_ns=rig.now + 3_600 * SECOND)
    rig.run(14 * SECOND)
    assert rig.report().status in {"working", "accepted", "paused"}
    rig.run(4 * SECOND)
    assert rig.report().status == "canceled"
    assert rig.report().reason_code == "MACRO_LEASE_LOST"
    assert rig.venue.open_orders() == []


@settings(max_examples=examples(15, 120), deadline=None)
@given(
    algo=st.sampled_from(["limit", "chase_limit", "marketable_limit"]),
    limit_ms=st.sampled_from([None, 0, 100, 2_000, 20_000]),
    on_timeout=st.sampled_from(["cancel", "rest", "cross_ioc"]),
    life_s=st.integers(1, 8),
    price=st.sampled_from([None, Decimal(59_990), Decimal(60_050)]),
    moves=st.lists(st.integers(-5, 5), min_size=5, max_size=30),
    restart_at=st.integers(0, 30),
    amends=st.booleans(),
)
def test_nothing_is_placed_and_nothing_rests_after_its_life(
    *,
    algo: str,
    limit_ms: int | None,
    on_timeout: str,
    life_s: int,
    price: Decimal | None,
    moves: list[int],
    restart_at: int,
    amends: bool,
) -> None:
    params: dict[str, Any] = {}
    if limit_ms is not None and (algo != "chase_limit" or limit_ms):
        params["time_limit_ms"] = limit_ms
    if algo == "chase_limit":
        params["on_timeout"] = on_timeout
    if algo == "limit" and price is None:
        price = Decimal(59_990)
    rig = Rig()
    object.__setattr__(rig.settings.venues[VENUE], "amend_native", amends)
    rig.venue.fill_at_once = False
    send(rig, algo, params, limit_price=price, expires_ns=rig.now + life_s * SECOND)
    default = {"limit": 0, "chase_limit": 60_000, "marketable_limit": 10_000}[algo]
    working_ns = params.get("time_limit_ms", default) * MS
    last_ns = rig.now + max(working_ns + 5 * SECOND, life_s * SECOND)
    for number, move in enumerate(moves):
        bid = round(60_000 + move / 10, 1)
        rig.book(bid, round(bid + 0.1, 1))
        if number == restart_at:
            rig.restart()
        rig.run(300 * MS)
    rig.run(max(0, last_ns - rig.now) + 2 * SECOND)
    assert rig.venue.open_orders() == []
    assert rig.report().status in {"expired", "rejected", "canceled"}
    late = [command for at, command in rig.commands if at > last_ns]
    assert not [command for command in late if type(command) is Approved]
    assert len([command for command in late if type(command) is CancelOrder]) <= 1


@pytest.mark.parametrize("kind", ["order", "stop"])
@pytest.mark.parametrize("again", [False, True])
def test_what_waits_for_recovery_waits_no_longer_than_it_may_be_taken_up(
    kind: str, *, again: bool
) -> None:
    rig = Rig()
    rig.venue.mute = True
    rig.restart()
    send(rig, "limit", {}, kind=kind, stop_price=Decimal(50_000) if kind == "stop" else None)
    assert rig.report().status == "accepted"
    if again:
        rig.run(1 * SECOND)
        rig.restart()
    rig.run(LIFE_NS - 2 * SECOND)
    assert rig.report().status == "accepted"
    rig.run(3 * SECOND)
    assert rig.recovering()
    assert (rig.report().status, rig.report().reason_code) == ("rejected", "INTENT_EXPIRED")
    rig.venue.mute = False
    rig.run(10 * SECOND)
    assert not rig.recovering()
    assert rig.venue.placed == []


def test_a_stop_that_came_during_recovery_is_held_for_as_long_as_any() -> None:
    rig = Rig()
    rig.venue.mute = True
    rig.restart()
    stop = {"kind": "stop", "side": "sell", "stop_price": Decimal(50_000), "limit_price": None}
    send(rig, "limit", {}, **stop)
    rig.run(1 * SECOND)
    rig.venue.mute = False
    rig.run(LIFE_NS + 10 * SECOND)
    assert rig.report().status == "accepted"


def test_a_macro_that_falls_silent_on_probation_ends_its_entries_and_not_micro() -> None:
    rig = Rig(config())
    rig.beat()
    rig.operate("halt")
    trip = rig.engine.risk.breakers.trips[0].trip_id
    rig.operate("reset", trip_id=trip)
    assert rig.engine.risk.effective_state(VENUE, SYMBOL, "test") == "PROBATION"
    rig.send(
        signal(
            algo="limit",
            quantity=Decimal("0.01"),
            limit_price=Decimal(59_900),
            created_ns=rig.now,
            expires_ns=rig.now + 600 * SECOND,
        )
    )
    rig.run(30 * SECOND)
    assert rig.report().reason_code == "MACRO_LEASE_LOST"
    assert rig.venue.open_orders() == []
