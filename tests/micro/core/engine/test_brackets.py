"""Brackets: what an entry has filled has its take-profits and its stop, whatever happens."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from engine_kit import KEY, MS, SECOND, START, Rig, config, rules, signal
from holding_kit import WILD, market
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_rig import StrictRig, settle, wander

from citadel_micro.core.engine.brackets import EXIT
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import PARENT_TERMINAL

if TYPE_CHECKING:
    from citadel_micro.core.orders.orders import Parent

ID = f"{EXIT}s1"
TERMS = {"stop_bps": 5.0, "take_profits_bps": "5, 10"}


def bracket(rig: Rig, terms: dict[str, Any] | None = None, **changes: Any) -> None:  # noqa: ANN401 - of a signal
    given = {"entry": "limit", **(TERMS if terms is None else terms)}
    values = {"limit_price": Decimal(60_000), "expires_ns": START + 3_600 * SECOND, "owner": "me"}
    params = tuple(sorted(given.items()))
    rig.send(signal(algo="bracket", params=params, **{**values, "created_ns": rig.now, **changes}))
    rig.run(10 * MS)


def fill(rig: Rig, lots: int, parent: str = "s1") -> None:
    order = next(o for o in rig.venue.open_orders() if o.place.parent_id == parent)
    rig.venue.fill(order.place.client_id, lots)
    rig.run(10 * MS)


def exit_of(rig: Rig) -> Parent:
    return rig.parent(ID)


def resting(rig: Rig) -> list[tuple[int, int]]:
    found = [o for o in rig.venue.open_orders() if o.place.parent_id.startswith(EXIT)]
    return sorted((o.price_ticks, o.quantity_lots - o.filled_lots) for o in found)


def test_the_first_fill_is_covered_at_once_and_further_ones_with_it() -> None:
    rig = StrictRig()
    bracket(rig)
    assert ID not in rig.engine.order_store.known
    fill(rig, 100)
    assert exit_of(rig).target == 100
    assert resting(rig) == [(600_300, 50), (600_600, 50)]
    assert exit_of(rig).stop_ticks == 599_700
    report = rig.report(ID)
    assert (report.own, report.owner, report.kind, report.tag) == (True, "me", "stop", "bracket")
    fill(rig, 400)
    assert exit_of(rig).target == 500
    market(rig, 59_960.0)
    rig.run(2 * SECOND)
    assert rig.report(ID).status == "filled"
    assert rig.report(ID).triggered
    assert rig.engine.portfolio.quantity(*KEY) == 0


def test_a_take_profit_ends_the_rest_of_the_entry() -> None:
    rig = StrictRig()
    bracket(rig)
    fill(rig, 100)
    fill(rig, 50, ID)
    rig.run(1 * SECOND)
    assert rig.report().reason_code == "BRACKET_EXIT"
    assert (rig.report().status, rig.parent().filled) == ("canceled", 100)
    assert resting(rig) == [(600_600, 50)]
    fill(rig, 50, ID)
    assert rig.report(ID).status == "filled"
    assert rig.engine.portfolio.quantity(*KEY) == 0


@pytest.mark.parametrize("again", [False, True])
def test_it_survives_restarts_and_grows_after_them(again: bool) -> None:
    rig = StrictRig()
    bracket(rig)
    fill(rig, 100)
    rig.restart()
    rig.run(1 * SECOND)
    fill(rig, 200)
    assert exit_of(rig).target == 300
    if again:
        rig.restart()
        rig.run(1 * SECOND)
        assert exit_of(rig).target == 300
    market(rig, 59_960.0)
    rig.run(2 * SECOND)
    assert rig.parent(ID).filled == 300
    assert rig.engine.portfolio.quantity(*KEY) == rig.instrument.quantity(rig.parent().filled - 300)


def test_a_fill_that_a_crash_left_uncovered_is_covered_at_the_next_start() -> None:
    rig = StrictRig()
    bracket(rig)
    rig.venue.mute = True  # it fills, and nobody is told
    rig.venue.fill(rig.live().place.client_id, 500)
    rig.venue.mute = False
    rig.restart()
    rig.run(1 * SECOND)
    assert exit_of(rig).target == 500


def test_prices_may_be_given_and_shares_too() -> None:
    rig = StrictRig()
    terms = {"stop_price": 59_900.0, "take_profits": "60100, 60200", "shares": "4, 1"}
    bracket(rig, terms)
    fill(rig, 500)
    market(rig, 60_050.0)
    rig.run(200 * MS)
    assert resting(rig) == [(601_000, 400), (602_000, 100)]
    assert exit_of(rig).stop_ticks == 599_000


def test_a_short_entry_is_closed_by_buying() -> None:
    rig = Rig(instrument=rules(kind="linear", settle="USDT"))
    bracket(rig, side="sell", limit_price=Decimal("60000.1"))
    fill(rig, 500)
    assert exit_of(rig).signal.side == "buy"
    assert [price for price, _ in resting(rig)] == [599_400, 599_700]
    market(rig, 60_040.0)
    rig.run(2 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == 0


@pytest.mark.parametrize("entry", ["auto", "chase_limit", "marketable_limit"])
def test_any_algorithm_may_work_the_entry(entry: str) -> None:
    rig = StrictRig()
    rig.venue.partial_share = 0.0
    bracket(rig, {**TERMS, "entry": entry, "urgency": "cross"}, limit_price=None)
    rig.run(1 * SECOND)
    assert rig.report().status == "filled"
    assert exit_of(rig).target == 500


def test_a_market_order_keeps_its_bracket_and_a_fill_or_kill_is_refused() -> None:
    rig = StrictRig()
    rig.venue.partial_share = 0.0
    bracket(rig, {**TERMS, "entry": "auto"}, order_type="market", limit_price=None)
    rig.run(1 * SECOND)
    assert rig.venue.placed[0].time_in_force == "IOC"
    assert exit_of(rig).target == 500
    rig = StrictRig(config(VenueConfig(shows_own_orders=False, fill_or_kill=True)))
    bracket(rig, time_in_force="FOK")
    assert (rig.report().status, rig.report().reason_code) == ("rejected", "BAD_PARAMETER")


# --- who closes the position ----------------------------------------------------------------------


def test_an_exit_of_its_owner_takes_its_place() -> None:
    rig = StrictRig()
    bracket(rig)
    fill(rig, 200)
    rig.venue.partial_share = 0.0
    out = {"side": "sell", "order_type": "market", "quantity": Decimal("0.2"), "owner": "me"}
    rig.send(signal("out", created_ns=rig.now, **out))
    rig.run(3 * SECOND)
    assert rig.report(ID).reason_code == "SUPERSEDED"
    assert rig.report().reason_code == "BRACKET_EXIT"
    assert rig.report("out").status == "filled"
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert rig.venue.open_orders() == []


def test_its_owner_may_cancel_it_and_others_may_not() -> None:
    rig = StrictRig()
    bracket(rig)
    fill(rig, 500)
    rig.send(CancelReceived(signal_id=ID, reason="no", owner="you"))
    rig.run(1 * SECOND)
    assert not exit_of(rig).terminal
    rig.send(CancelReceived(signal_id=ID, reason="no", owner="me"))
    rig.run(1 * SECOND)
    assert rig.report(ID).status == "canceled"
    rig.restart()
    rig.run(1 * SECOND)
    assert rig.venue.open_orders() == []  # it is not made again


def test_a_flattening_goes_first_and_ends_it() -> None:
    rig = StrictRig()
    rig.venue.partial_share = 0.0
    bracket(rig)
    fill(rig, 500)
    rig.operate("flatten", "global")
    rig.run(5 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert exit_of(rig).terminal
    assert rig.venue.open_orders() == []


def test_a_halt_withdraws_the_take_profits_and_keeps_the_stop() -> None:
    rig = StrictRig()
    bracket(rig)
    fill(rig, 500)
    rig.operate("halt", "global")
    rig.run(1 * SECOND)
    assert resting(rig) == []
    assert not exit_of(rig).terminal


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "changes", "text"),
    [
        ({"stop_price": 60_001.0, "take_profits": "60100"}, {}, "it belongs below"),
        ({"stop_price": 60_000.0, "take_profits": "60100"}, {}, "wrong side"),
        ({"stop_price": 59_900.0, "take_profits": "59950"}, {}, "it belongs above"),
        (
            {"stop_price": 59_900.0, "take_profits": "59800"},
            {"side": "sell", "limit_price": Decimal("60000.1")},
            "wrong side of a sell",
        ),
        ({"stop_price": 60_100.0, "take_profits": "60200"}, {"limit_price": None}, "wrong side"),
        ({"take_profits_bps": "5"}, {}, "one stop"),
        ({"stop_bps": 5.0, "stop_price": 1.0, "take_profits_bps": "5"}, {}, "one stop"),
        ({"stop_bps": 5.0}, {}, "take-profits"),
        ({"stop_bps": 5.0, "take_profits_bps": "5,6,7,8,9,10"}, {}, "1 to 5"),
        ({**TERMS, "shares": "1"}, {}, "2 weights"),
        ({**TERMS, "stop_pct": 5.0}, {}, "did you mean stop_price"),
    ],
)
def test_a_bracket_that_makes_no_sense_is_refused_with_words(
    terms: dict[str, Any], changes: dict[str, Any], text: str
) -> None:
    rig = StrictRig()
    entry = {"entry": "chase_limit"} if changes.get("limit_price", 1) is None else {}
    bracket(rig, {**terms, **entry}, **changes)
    report = rig.report()
    assert (report.status, report.reason_code) == ("rejected", "BAD_PARAMETER")
    assert text in report.reason
    assert rig.venue.placed == []


# --- invariants -----------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(8, 300))
def test_wild_lines_and_crashes_leave_every_fill_covered_or_closed(seed: int) -> None:
    chance = Random(seed)
    venue = VenueConfig(shows_own_orders=False, messages_per_second=100, message_burst=500)
    rig = StrictRig(config(venue), chance=Random(seed + 1), faults=WILD)
    entry = chance.choice(("auto", "chase_limit", "marketable_limit"))
    terms = {
        "entry": entry,
        "stop_bps": chance.choice((1.0, 5.0)),
        "take_profits_bps": chance.choice(("1", "1, 3, 5", "500")),
        "time_limit_ms": 10_000,
    }
    bracket(rig, terms, limit_price=None)
    for _ in range(4):
        rig.drop_after = chance.choice((None, chance.randint(0, 8)))
        wander(rig, chance, 10)
        rig.restart()
    rig.drop_after = None
    wander(rig, chance, 10)
    rig.cancel("s1")
    rig.venue.heal()
    rig.book(rig.bid, round(rig.bid + 0.1, 1))
    rig.run(30 * SECOND)
    known = rig.engine.order_store.known
    entry_ = known["s1"]
    exits = [each for name, each in known.items() if name.startswith(EXIT)]
    assert entry_.terminal
    assert sum(each.target for each in exits) == entry_.filled
    assert rig.engine.portfolio.quantity(*KEY) == rig.instrument.quantity(
        entry_.filled - sum(each.filled for each in exits)
    )
    for each in exits:  # what is held is protected
        if each.terminal:
            assert each.filled == each.target or each.reason_code in {"POSITION_CLOSED", "DUST"}
        rig.cancel(each.id)
        rig.send(CancelReceived(signal_id=each.id, reason="end", operator=True))
    settle(rig)
    assert rig.venue.open_orders() == []
    assert all(each.state in PARENT_TERMINAL for each in exits)
    for each in (entry_, *exits):
        assert each.filled == rig.venue.filled_of(each.id)
