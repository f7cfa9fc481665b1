"""An entry that is given less than it asks for: its report, its end, and what a restart makes of it."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND, Rig, config, signal
from strict_rig import StrictRig, assert_quiet, settle

from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_records import load_parent
from citadel_micro.core.orders.order_states import ParentState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event

GIVEN = 166
"""Lots of 0.001 BTC at 60,000: a tenth of 100,000 USDT; 500 are asked for."""


def settings(
    *, sizing: str = "fixed_fraction", publish_ns: int = 0, **bounds: object
) -> EngineConfig:
    usual: dict[str, Any] = {
        "lease_required": False,
        "depth_participation_bps": 10_000.0,
        "sizing": {"test": sizing},
        "sizing_capital": Decimal(100_000),
    }
    able = VenueConfig(shows_own_orders=False, fill_or_kill=True)
    return config(
        able, limits=paper_defaults(**{**usual, **bounds}), book_publish_interval_ns=publish_ns
    )


def enter(rig: Rig, name: str = "s1", **changes: object) -> None:
    times = {"created_ns": rig.now, "expires_ns": rig.now + 10 * SECOND}
    rig.send(signal(name, **{**times, **changes}))
    rig.run(10 * MS)


def fill_all(rig: Rig) -> None:
    while rig.venue.open_orders():
        order = rig.venue.open_orders()[0]
        rig.venue.fill(order.place.client_id, order.quantity_lots)
        rig.run(300 * MS)


def test_it_ends_cancelled_once_what_it_was_given_has_filled() -> None:
    rig = Rig(settings())
    enter(rig)
    report = rig.report()
    assert (report.quantity, report.permitted) == (Decimal("0.5"), Decimal("0.166"))
    assert [order.quantity_lots for order in rig.venue.open_orders()] == [GIVEN]
    fill_all(rig)
    report = rig.report()
    assert (report.status, report.reason_code) == ("canceled", "SIZED")
    assert (report.filled, report.quantity) == (Decimal("0.166"), Decimal("0.5"))
    assert "fixed_fraction: a position of 10000.00 USDT" in report.reason
    assert "given 0.166 of the 0.500 BTC asked for" in report.reason
    assert_quiet(rig)


def test_the_next_entry_is_given_what_is_left_of_the_position() -> None:
    rig = Rig(settings())
    enter(rig, quantity=Decimal("0.1"))
    assert rig.report().permitted is None
    fill_all(rig)
    assert rig.report().status == "filled"
    enter(rig, "s2")
    assert rig.parent("s2").target == GIVEN - 100


def test_an_end_of_another_kind_keeps_its_code() -> None:
    rig = Rig(settings())
    enter(rig)
    rig.cancel()
    rig.run(SECOND)
    report = rig.report()
    assert (report.status, report.reason_code) == ("canceled", "CANCELED_BY_MACRO")
    assert report.permitted == Decimal("0.166")


@pytest.mark.parametrize(
    ("changes", "bounds", "code"),
    [
        ({}, {"sizing_fraction": Decimal(0)}, "SIZED"),
        ({"time_in_force": "FOK", "algo": ""}, {}, "SIZED"),
        ({}, {"sizing": "kelly"}, "SIZING_UNKNOWN"),
        ({"confidence": 0.5}, {"sizing": "kelly"}, "SIZED"),
        ({}, {"sizing": "volatility_target"}, "SIZING_UNKNOWN"),
    ],
)
def test_an_entry_that_is_given_nothing_is_denied(
    changes: dict[str, Any], bounds: dict[str, Any], code: str
) -> None:
    rig = Rig(settings(**bounds))
    enter(rig, **changes)
    report = rig.report()
    assert (report.status, report.reason_code) == ("rejected", code), report.reason
    assert report.permitted == 0
    assert rig.sent(PlaceOrder) == []


def test_exits_are_not_sized_whatever_their_strategy() -> None:
    rig = Rig(settings(sizing_fraction=Decimal(0)))
    enter(rig, strategy="other")
    fill_all(rig)
    enter(rig, "exit", side="sell")
    assert rig.parent("exit").target == 500
    assert rig.report("exit").permitted is None


def test_a_volatility_target_needs_a_minute_of_prices() -> None:
    rig = Rig(
        settings(
            sizing="volatility_target",
            publish_ns=SECOND,
            sizing_daily_volatility=Decimal("0.001"),
        )
    )
    enter(rig)
    assert rig.report().reason_code == "SIZING_UNKNOWN"
    for second in range(62):
        rig.book(60_000.0 + 6 * (second % 2), 60_000.1 + 6 * (second % 2))
        rig.run(SECOND, refresh_ns=0)
    enter(rig, "s2")
    # A move of one basis point a second: 2.94 % a day, so that 3.4 % of the capital have 0.1 %.
    assert 50 <= rig.parent("s2").target <= 60
    assert rig.report("s2").permitted == rig.instrument.amount(rig.parent("s2").target)


class GivenRig(StrictRig):
    """No more than what was given is ever out."""

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        super().check_after(event, commands)
        out = sum(
            order.quantity_lots if order.status == "open" else order.filled_lots
            for order in self.venue.orders.values()
        )
        assert out <= GIVEN


@pytest.mark.parametrize("drop_after", range(8))
@pytest.mark.parametrize("filled", [0, 60, GIVEN])
def test_a_restart_anywhere_does_not_add_what_was_sized_away(drop_after: int, filled: int) -> None:
    rig = GivenRig(settings(), chance=Random(1))
    if not filled:
        rig.drop_after = drop_after
    enter(rig, params=(("time_limit_ms", 60_000),))
    if filled:
        order = rig.venue.open_orders()[0]
        rig.drop_after = drop_after
        rig.venue.fill(order.place.client_id, filled)
        rig.run(300 * MS)
    rig.restart()
    rig.run(5 * SECOND)
    if "s1" not in rig.engine.order_store.known:
        enter(rig)  # it was lost with the crash, and its sender sends it again
    rig.run(5 * SECOND)
    fill_all(rig)
    settle(rig)
    assert rig.venue.filled_of("s1") == GIVEN
    assert rig.parent().state is ParentState.CANCELED
    assert (rig.report().reason_code, rig.report().permitted) == ("SIZED", Decimal("0.166"))
    assert_quiet(rig)


def test_it_leaves_no_trace_where_it_is_off() -> None:
    rig = Rig()
    enter(rig)
    row: Any = rig.durable["parent/s1"]
    assert "sized" not in row
    assert load_parent(row).sized == ""
    fill_all(rig)
    assert rig.report().status == "filled"
