"""Entries that would end with less than can be sold again."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_kit import KEY, MS, SECOND, START, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.commands import CancelOrder
from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import PARENT_TERMINAL

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument

HUNDRED = rules(min_notional=Decimal(600))
"""Ten lots at 60,000 are the least."""


def entry(lots: int, instrument: Instrument = HUNDRED, /, **changes: object) -> Rig:
    """An entry of 500 lots that rests, of which so many have been bought."""
    rig = Rig(config(), instrument=instrument)
    rig.venue.partial_share = 0.0
    rig.send(signal(**changes))
    rig.run(10 * MS)
    rig.venue.fill(rig.live("s1").place.client_id, lots)
    rig.run(10 * MS)
    return rig


def held_lots(rig: Rig) -> Decimal:
    return rig.engine.portfolio.quantity(*KEY) * 1_000


@pytest.mark.parametrize("how", ["macro", "time"])
def test_an_entry_of_a_few_lots_takes_what_is_missing_and_then_ends_as_it_would(how: str) -> None:
    rig = entry(2, params=(("time_limit_ms", 2_000),))
    if how == "macro":
        rig.cancel()
        rig.run(10 * MS)
    else:
        rig.run(2 * SECOND)
    rig.run(1 * SECOND)
    report = rig.report()
    code = {"macro": "CANCELED_BY_MACRO", "time": "TIME_LIMIT"}[how]
    status = {"macro": "canceled", "time": "expired"}[how]
    assert (report.status, report.reason_code) == (status, code)
    assert held_lots(rig) == 12
    last = rig.venue.placed[-1]
    assert (last.time_in_force, last.quantity_lots) == ("IOC", 10)
    assert "entry_completed" in rig.events_noted()


def test_what_can_be_sold_is_left_alone() -> None:
    rig = entry(11)
    rig.cancel()
    rig.run(1 * SECOND)
    assert held_lots(rig) == 11
    assert rig.report().reason_code == "CANCELED_BY_MACRO"


def test_nothing_bought_needs_nothing() -> None:
    rig = Rig(config(), instrument=HUNDRED)
    rig.send(signal())
    rig.run(10 * MS)
    rig.cancel()
    rig.run(1 * SECOND)
    assert held_lots(rig) == 0
    assert rig.report().status == "canceled"


def test_never_more_than_the_target() -> None:
    rig = entry(2, quantity=Decimal("0.012"))
    rig.cancel()
    rig.run(1 * SECOND)
    assert held_lots(rig) == 12
    assert rig.report().status == "filled"


def test_never_beyond_the_worst_price() -> None:
    rig = entry(2, limit_price=Decimal(60_000))
    rig.cancel()
    rig.book(60_100.0, 60_100.1)
    rig.run(20 * SECOND)
    report = rig.report()
    assert held_lots(rig) == 2
    assert (report.status, report.reason_code) == ("canceled", "DUST")
    assert "CANCELED_BY_MACRO" in report.reason
    assert "0.002 BTC" in report.reason


def test_the_worst_price_of_a_chase_holds_too() -> None:
    rig = entry(2, params=(("max_chase_bps", 1.0),))
    rig.cancel()
    rig.book(60_100.0, 60_100.1)
    rig.run(20 * SECOND)
    assert rig.report().reason_code == "DUST"


def test_what_could_not_be_placed_anew_stays_out() -> None:
    """12 asked for, 5 bought: the rest of 7 is below the minimum of 10."""
    rig = entry(5, quantity=Decimal("0.012"))
    rig.cancel()
    rig.run(3 * SECOND)
    assert rig.sent(CancelOrder) == []
    assert rig.report().reason_code == "COMPLETING"
    rig.venue.fill(rig.live().place.client_id, 7)
    rig.run(10 * MS)
    assert rig.report().status == "filled"


def test_but_not_for_ever() -> None:
    rig = entry(5, quantity=Decimal("0.012"))
    rig.cancel()
    rig.run(40 * SECOND)
    assert rig.venue.open_orders() == []
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "DUST")


def test_a_repeated_cancel_does_not_cut_it_short_and_an_operator_does() -> None:
    rig = entry(2)
    rig.venue.fill_at_once = False
    for _ in range(3):
        rig.cancel()
        rig.run(50 * MS)
    assert rig.report().reason_code == "COMPLETING"
    rig.send(CancelReceived(signal_id="s1", reason="now", operator=True))
    rig.run(50 * MS)
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "DUST")


@pytest.mark.parametrize("action", ["halt", "kill", "cancel_all", "shutdown", "pause"])
def test_nothing_more_is_bought_against_an_order_of_the_operator(action: str) -> None:
    rig = entry(2)
    rig.operate(action)
    rig.run(1 * SECOND)
    assert held_lots(rig) == 2
    assert rig.report().reason_code == "DUST"
    rig = entry(2)
    rig.venue.fill_at_once = False
    rig.cancel()
    rig.run(50 * MS)
    rig.operate(action)
    rig.venue.fill_at_once = True
    rig.run(1 * SECOND)
    assert held_lots(rig) == 2
    assert rig.report().reason_code == "DUST"


def test_an_order_on_top_of_what_is_held_needs_none() -> None:
    rig = Rig(config(), instrument=HUNDRED)
    rig.venue.partial_share = 0.0
    rig.send(signal("first", order_type="market", quantity=Decimal("0.1")))
    rig.run(1 * SECOND)
    rig.send(signal("more", created_ns=rig.now, expires_ns=rig.now + SECOND))
    rig.run(10 * MS)
    rig.venue.fill(rig.live("more").place.client_id, 2)
    rig.run(10 * MS)
    rig.cancel("more")
    rig.run(1 * SECOND)
    assert held_lots(rig) == 102
    assert rig.report("more").reason_code == "CANCELED_BY_MACRO"


def test_where_reduce_only_is_exempt_every_lot_can_be_sold() -> None:
    exempt = rules(min_notional=Decimal(600), kind="linear", reduce_only_exempt_min_notional=True)
    rig = entry(2, exempt)
    rig.cancel()
    rig.run(1 * SECOND)
    assert held_lots(rig) == 2
    assert rig.report().reason_code == "CANCELED_BY_MACRO"


def test_the_fee_in_coins_is_reckoned_with() -> None:
    rig = entry(2, rules(min_lots=10, min_notional=Decimal(5), fee_side="received"))
    rig.cancel()
    rig.run(1 * SECOND)
    assert held_lots(rig) >= 10


def test_a_restart_ends_it() -> None:
    rig = entry(2)
    rig.venue.fill_at_once = False
    rig.cancel()
    rig.run(50 * MS)
    rig.restart()
    rig.run(5 * SECOND)
    report = rig.report()
    assert (report.status, report.reason_code) == ("canceled", "DUST")
    assert "CANCELED_BY_MACRO" in report.reason


@given(seed=st.integers(0, 2**32))
def test_an_entry_ends_with_nothing_with_what_can_be_sold_or_as_dust(seed: int) -> None:
    chance = Random(seed)
    rig = Rig(config(), instrument=HUNDRED, chance=Random(seed))
    rig.venue.partial_share = 0.5
    lots = chance.randint(10, 40)
    rig.send(
        signal(
            quantity=Decimal(lots) / 1_000,
            algo=chance.choice(["chase_limit", "marketable_limit", "limit"]),
            limit_price=Decimal(chance.choice([59_995, 60_000, 60_005])),
            params=(("time_limit_ms", 1_000),) if chance.random() < 0.7 else (),
            expires_ns=START + 3 * SECOND,
        )
    )
    for _ in range(10):
        rig.run(chance.randint(1, 400) * MS)
        if chance.random() < 0.3:
            rig.venue.fill_something()
        if chance.random() < 0.1:
            rig.cancel()
        base = 60_000.0 + chance.randint(-60, 60) / 10
        rig.book(round(base, 1), round(base + 0.1, 1))
    rig.run(120 * SECOND)
    parent, report = rig.parent(), rig.report()
    assert parent.state in PARENT_TERMINAL
    assert parent.filled <= lots
    assert rig.venue.filled_of("s1") == parent.filled
    if 0 < parent.filled < 10:
        assert report.reason_code == "DUST"
