"""The gate never traps an exit: what a reduction skips, and how large it may be."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from citadel_micro.core.model.commands import Persist, PublishRisk
from citadel_micro.core.risk.circuit_breakers import GLOBAL, symbol_scope
from citadel_micro.core.risk.codes import CODES
from citadel_micro.core.risk.manager import RiskManager

if TYPE_CHECKING:
    from citadel_micro.core.model.events import (
        Side,
    )

from gate_kit import (
    BTC,
    ETH,
    NOW,
    VENUE,
    FakeBook,
    FakeMarket,
    FakeView,
    calm,
    child,
    failed,
    hold,
    judge,
    limits,
    losing,
    parent,
)
from gate_scenes import DENIALS


def beset(position: str = "10") -> FakeView:
    """Every check that reductions skip fails here."""
    view = losing(80.0, position)
    view.lease = None
    view.unknown = 1
    view.parents = view.parents_here = 99
    return view


TIGHT = limits(
    max_position_quantity={BTC: Decimal(1)},
    max_gross_exposure=Decimal(0),
    max_net_exposure=Decimal(0),
    max_venue_exposure={VENUE: Decimal(0)},
    dms_venues=(VENUE,),
    groups={"all": (BTC,)},
    max_group_exposure={"all": Decimal(0)},
    max_strategy_exposure={"trend": Decimal(0)},
    max_owner_exposure={"*": Decimal(0)},
    max_messages_per_second=0,
    max_identical_orders=0,
    max_venue_rejects=0,
    max_unfilled_messages=0,
    max_repeated_entries=0,
)


@pytest.mark.parametrize(("side", "position"), [("sell", "10"), ("buy", "-10")])
def test_limits_never_trap_an_exit(side: Side, position: str) -> None:
    view = beset(position)
    if side == "buy":
        view.portfolio.mark(VENUE, BTC, 120.0)  # the short loses
        view.markets[(VENUE, BTC)] = FakeMarket(quote=(79.9, 1.0, 80.1, 1.0), book=FakeBook(0.8))
    manager = RiskManager(TIGHT)
    manager.trip("DAILY_LOSS", GLOBAL, "", NOW)
    request = parent(side=side, price_ticks=160, quantity_lots=500, missed_signals=1)
    verdict = manager.judge(request, view, NOW)
    assert verdict.ok, verdict
    assert verdict.reducing
    skipped = [row.code for row in verdict.checks if "reduction" in row.text]
    assert skipped == [
        "MACRO_LEASE_LOST",
        "VENUE_DMS_NOT_ARMED",
        "UNKNOWN_EXPOSURE",
        "SEQ_GAP",
        "MAX_POSITION",
        "GROSS",
        "NET",
        "VENUE",
        "GROUP",
        "STRATEGY_BUDGET",
        "OWNER_BUDGET",
        "OPEN_ORDERS",
        "DAILY_LOSS",
        "ROLLING_LOSS",
        "DRAWDOWN",
        "MESSAGE_RATE",
        "DUPLICATE_ORDER",
        "REJECT_RATE",
        "ORDER_TO_FILL",
        "REPEATED_EXECUTION",
    ]
    entry = manager.judge(replace(request, side="sell" if side == "buy" else "buy"), view, NOW)
    assert set(skipped) - {"MESSAGE_RATE"} | {"REDUCE_ONLY"} == set(failed(entry))


SKIPPED_ALONE = {
    "SEQ_GAP",
    "UNKNOWN_EXPOSURE",
    "CLOCK_SKEW",
    "SPREAD_WIDE",
    "LEVERAGE",
    "LIQUIDATION_DISTANCE",
}
"""Skipped by reductions, though others of their row are not."""


def test_an_exit_leaves_through_a_wide_spread_and_an_entry_does_not_enter() -> None:
    narrow = limits(max_spread_bps=19.9)
    held = calm("1")
    assert judge(child(side="sell", price_ticks=200, quantity_lots=50), held, narrow).ok
    assert judge(child(side="sell", quantity_lots=101), held, narrow).code == "SPREAD_WIDE"
    assert judge(child(), held, narrow).code == "SPREAD_WIDE"


def test_only_the_marked_checks_are_skipped() -> None:
    marked = {2, 12, 13, 15, 16}
    for code, request, view, bounds, _ in DENIALS:
        number = next(n for n, c in CODES if c == code)
        if number in marked | {1} or code in SKIPPED_ALONE:
            continue
        if number == 10 or code == "DEPTH_PARTICIPATION":
            continue  # how large it may be, below
        scene = view()
        if scene.portfolio.margin.venues:
            continue  # a reduction frees margin
        if scene.instruments:
            stated = [(c, *b) for c, b in scene.portfolio.balances(VENUE)]
            hold(scene, BTC, "90" if request.side == "sell" else "-90", 200)
            scene.portfolio.set_balances(VENUE, stated)
            if code == "FREE_BALANCE" and not stated:
                scene.portfolio._balances.clear()
        verdict = judge(request, scene, bounds)
        assert verdict.code == code, (code, verdict)


def test_a_reduction_is_at_most_the_position_less_what_already_reduces_it() -> None:
    view = calm("3")
    assert judge(parent(side="sell", quantity_lots=300), view).reducing
    assert not judge(parent(side="sell", quantity_lots=301), view).reducing
    assert not judge(parent(side="buy", quantity_lots=10), view).reducing
    view.reductions = 100
    assert judge(parent(side="sell", quantity_lots=200), view).reducing
    assert not judge(parent(side="sell", quantity_lots=201), view).reducing
    view.pending[(VENUE, BTC, "sell")] = 150
    assert judge(parent(side="sell", quantity_lots=150), view).reducing
    assert not judge(parent(side="sell", quantity_lots=151), view).reducing


def test_too_large_a_reduction_is_given_its_largest_size() -> None:
    manager = RiskManager(TIGHT)
    manager.trip("OPERATOR_PAUSE", GLOBAL, "lunch", NOW)
    request = parent(side="sell", quantity_lots=1_200, price_ticks=160)
    verdict = manager.judge(request, beset(), NOW)
    assert verdict.code == "REDUCE_ONLY"
    assert verdict.permitted_lots == 1_000  # the position, whatever one order may be
    assert manager.judge(
        replace(request, quantity_lots=1_000, exposure_lots=1_000), beset(), NOW
    ).ok


SIZE_CODES = ("DEPTH_PARTICIPATION", "MAX_ORDER_QTY", "MAX_ORDER_NOTIONAL")


SMALL = limits(
    max_order_quantity={BTC: Decimal(2)},
    max_order_notional=Decimal(150),
    depth_participation_bps=500.0,
)
"""At most 2.00, 1.50 and 0.50 of the 10 a level that ``FakeBook`` shows on ten levels."""


def test_no_size_refuses_a_reduction_at_admission_and_a_slice_is_given_its_largest_size() -> None:
    whole = parent(side="sell", quantity_lots=1_000)
    verdict = judge(whole, calm("10"), SMALL)
    assert verdict.ok
    assert verdict.reducing
    assert failed(judge(replace(whole, side="buy"), calm("10"), SMALL))[:3] == list(SIZE_CODES)
    slice_ = replace(whole, scope="child")
    verdict = judge(slice_, calm("10"), SMALL)
    assert not verdict.ok
    lots = verdict.permitted_lots
    assert lots > 0
    assert judge(replace(slice_, quantity_lots=lots, exposure_lots=lots), calm("10"), SMALL).ok


@pytest.mark.parametrize("reduce_only", [True, False])
def test_a_slice_that_cannot_be_cut_in_two_is_never_too_large(reduce_only: bool) -> None:
    """5 USDT are the least: 9 lots of 1.00 cannot be two orders, 10 can."""
    tight = limits(max_order_quantity={}, max_order_notional=Decimal(0), depth_participation_bps=1)
    request = child(side="sell", quantity_lots=9, exposure_lots=9, reduce_only=reduce_only)
    assert judge(request, calm("10"), tight).ok
    verdict = judge(replace(request, quantity_lots=10, exposure_lots=10), calm("10"), tight)
    assert (verdict.code, verdict.permitted_lots) == ("DEPTH_PARTICIPATION", 9)
    assert not judge(replace(request, side="buy"), calm("10"), tight).ok


def test_nothing_is_sent_into_an_empty_book() -> None:
    view = calm("10")
    book = view.markets[(VENUE, BTC)].book
    book.bids = {}
    verdict = judge(child(side="sell", price_ticks=199, quantity_lots=6), view)
    assert (verdict.code, verdict.permitted_lots) == ("DEPTH_PARTICIPATION", 0)


@pytest.mark.parametrize(
    ("code", "state", "entry", "exit_"),
    [
        ("OPERATOR_KILL", "KILLED", "KILLED", "KILLED"),
        ("OPERATOR_HALT", "HALTED", "HALTED", "HALTED"),
        ("OPERATOR_PAUSE", "REDUCING", "REDUCE_ONLY", ""),
    ],
)
def test_states_permit_what_they_say(code: str, state: str, entry: str, exit_: str) -> None:
    manager = RiskManager(limits())
    manager.trip(code, symbol_scope(VENUE, BTC), "", NOW)
    assert manager.effective_state(VENUE, BTC, "trend") == state
    assert manager.judge(parent(), calm("5"), NOW).code == entry
    assert manager.judge(parent(side="sell"), calm("5"), NOW).code == exit_
    assert manager.judge(parent(symbol=ETH, price_ticks=200), calm("5"), NOW).ok


def probing() -> RiskManager:
    manager = RiskManager(limits())
    trip = manager.breakers.trip("OPERATOR_HALT", GLOBAL, "", NOW)
    manager.breakers.reset(trip.trip_id, "over", NOW)
    return manager


def test_probation_takes_a_quarter_of_the_size_from_entries_only() -> None:
    manager = probing()
    assert manager.judge(parent(quantity_lots=125), calm(), NOW).ok
    verdict = manager.judge(parent(quantity_lots=126), calm(), NOW)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_QTY", 125)
    verdict = manager.judge(parent(quantity_lots=600), calm(), NOW)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_QTY", 125)
    exit_ = manager.judge(child(side="sell", quantity_lots=500), calm("10"), NOW)
    assert exit_.ok
    assert exit_.reducing
    verdict = manager.judge(child(side="sell", quantity_lots=501), calm("10"), NOW)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_QTY", 500)
    verdict = manager.judge(parent(side="sell", quantity_lots=450), calm("4"), NOW)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_QTY", 400)


def test_three_clean_parents_end_probation() -> None:
    manager = probing()
    for _ in range(2):
        manager.on_parent_done(VENUE, BTC, "trend", clean=True)
    commands = manager.on_parent_done(VENUE, BTC, "trend", clean=True)
    assert manager.effective_state(VENUE, BTC, "trend") == "ACTIVE"
    assert isinstance(commands[0], PublishRisk)
    assert (commands[0].scope, commands[0].state) == (GLOBAL, "ACTIVE")
    assert isinstance(commands[1], Persist)
