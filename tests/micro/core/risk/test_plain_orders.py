"""An order that passes as plain passes every check; plain orders are known; nothing in it is for nothing.

Besides, every order of every test of micro that passes as plain is given to the checks too
(``tests/micro/conftest.py``).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import plain_admission_scenes
import plain_margin_scenes
import plain_scenes
import pytest
from effort import LONG
from engine_kit import SECOND, Rig, signal
from gate_kit import (
    BTC,
    ETH,
    NOW,
    VENUE,
    FakeMarket,
    FakeView,
    S,
    calm,
    child,
    hold,
    limits,
    parent,
    place,
    rules,
)
from gate_mutants import PLAIN as MODULES
from gate_mutants import in_place, mutants
from hypothesis import given
from hypothesis import strategies as st
from plain_admission_scenes import told
from plain_oracle import doubting
from plain_scenes import Scene

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.risk.manager import RiskManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.risk.check_context import Case

T = TypeVar("T")
PLAIN = (*plain_scenes.PLAIN, *plain_margin_scenes.PLAIN, *plain_admission_scenes.PLAIN)
DENIED = (*plain_scenes.DENIED, *plain_margin_scenes.DENIED, *plain_admission_scenes.DENIED)


@pytest.mark.parametrize("number", range(len(PLAIN)))
def test_a_plain_order_is_known_however_near_a_limit(number: int) -> None:
    assert not PLAIN[number].denied()
    assert PLAIN[number].passes()


@pytest.mark.parametrize("number", range(len(DENIED)))
def test_what_a_check_denies_is_not_plain(number: int) -> None:
    assert not DENIED[number].passes()


def test_nothing_that_was_computed_for_one_order_is_used_for_another_that_it_does_not_fit() -> None:
    assert not plain_scenes.remembers_too_long()
    assert not plain_margin_scenes.remembers_too_long()


def test_a_limit_exactly_met_is_left_to_the_checks_which_keep_it() -> None:
    for scene in (
        Scene(limits=limits(max_order_notional=Decimal(100))),
        Scene(view=lambda: calm("19")),
        Scene(view=lambda: calm("2", "20"), limits=limits(max_gross_exposure=Decimal(1300))),
    ):
        assert not scene.passes()
        assert not scene.denied()


@pytest.mark.long
def test_no_comparison_is_for_nothing() -> None:
    """Each one turned round (in the suite each fifth). Moved to its boundary, most differ only where the checks decide."""
    assert not told()
    turned = [mutant for mutant in mutants(MODULES) if not mutant.moved]
    left = []
    for mutant in turned if LONG else turned[::5]:
        with in_place(mutant):
            if not told():
                left.append(str(mutant))
    assert left == []


def test_an_order_is_shown_to_who_watches_with_every_check() -> None:
    risk = RiskManager(limits())
    seen: list[Case] = []
    risk.watch = seen.append
    assert isinstance(risk.approve_place(place(child()), child(), calm(), NOW), Approved)
    assert len(seen) == 1
    assert {row[1] for row in seen[0].rows}


def test_an_engine_on_a_calm_market_sends_nothing_but_plain_orders() -> None:
    with doubting() as counts:
        rig = Rig()
        rig.send(signal("a"))
        rig.run(2 * SECOND)
    assert counts.asked > 0
    assert counts.passed == counts.asked
    assert counts.admitted == counts.parents == 1


def test_whoever_watches_is_shown_an_admission_with_every_check() -> None:
    risk = RiskManager(limits())
    plain = risk.admit(parent(), calm(), NOW)
    assert (plain.ok, plain.rows) == (True, ())
    seen: list[Case] = []
    risk.watch = seen.append
    told_of = risk.admit(parent(), calm(), NOW)
    assert len(seen) == 1
    assert replace(told_of, rows=()) == plain
    assert {row[1] for row in told_of.rows}


def test_what_is_not_plain_is_judged_by_every_check_at_its_admission() -> None:
    risk = RiskManager(limits(max_order_notional=Decimal(99)))
    assert risk.admit(parent(), calm(), NOW) == risk.judge(parent(), calm(), NOW)
    assert not risk.admit(parent(), calm(), NOW).ok


_MONEY = st.integers(60, 800).map(lambda halves: Decimal(halves) / 2)
_NEAR: dict[str, st.SearchStrategy[object]] = {
    "max_order_notional": _MONEY,
    "max_position_notional": _MONEY,
    "max_gross_exposure": _MONEY,
    "max_net_exposure": _MONEY,
    "max_venue_exposure": _MONEY.map(lambda most: {"*": most}),
    "max_daily_loss": _MONEY,
    "max_rolling_loss": _MONEY,
    "max_drawdown": _MONEY,
    "max_spread_bps": st.sampled_from((9.9, 10.0, 10.1, 30.0)),
    "price_collar_bps": st.sampled_from((50.0, 99.5, 100.0, 600.0)),
    "depth_participation_bps": st.sampled_from((0.0, 50.0, 100.0)),
    "max_messages_per_second": st.sampled_from((1, 2)),
}
"""Values of limits that an order of some hundred lots comes near."""


def mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    """The usual value, and now and then one that may decide everything."""
    return st.integers(0, 9).flatmap(
        lambda chance: st.just(usual) if chance else st.sampled_from(others or (usual,))
    )


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """An order in a state where one or two limits are near, and anything else is seldom wrong."""
    side: Side = draw(st.sampled_from(("buy", "sell")))
    lots, filled = draw(st.integers(5, 300)), draw(mostly(0, 1, 4))
    beside = draw(mostly(0, 50))
    request = child(
        side=side,
        price_ticks=draw(st.integers(198, 202)),
        quantity_lots=lots,
        exposure_lots=lots - filled + draw(st.sampled_from((0, 0, 50, 100))),
        leverage=Decimal(draw(mostly(1, 5, 10))),
        filled_lots=filled,
        post_only=draw(st.booleans()),
        reduce_only=draw(mostly(False, True)),
        beside_lots=beside,
        beside_cost=beside * 200,
    )
    sign = 1 if side == "buy" else -1
    here = sign * draw(mostly(0, 1, 2, -1, -2, -3)), sign * draw(st.sampled_from((0, 1, 3, -3)))
    both: tuple[Side, Side] = ("buy", "sell")
    pending = {
        (VENUE, symbol, each): draw(st.sampled_from((0, 0, 40, 100, 200)))
        for symbol in (BTC, ETH)
        for each in both
    }
    bid = draw(mostly(99.9, 99.5, 100.0))
    quote = (bid, 9.0, bid + draw(mostly(0.1, 0.0, 0.3, 0.5)), 9.0)
    proof_ns = NOW - draw(mostly(0, 1_500_000_000, 1_500_000_001))
    free = Decimal(draw(mostly("1000000", "100.2", "100.1", "260")))
    own: dict[Side, int] = draw(mostly({}, {"buy": 199}, {"sell": 201}, {"buy": 201, "sell": 199}))
    marks = draw(mostly(1.0, 0.7, None)), draw(mostly(1.0, 0.7, None))
    lease = draw(mostly(0, 15 * S, 15 * S + 1, None))
    reductions = draw(mostly(0, 50, 100))
    modes: tuple[MarginMode, ...] = ("isolated", "cross")
    linear: dict[str, Callable[[FakeView], None]] = {
        symbol: partial(
            plain_margin_scenes.terms,
            symbol=symbol,
            mark=mark * draw(mostly(1.0, 0.9, 1.1)),
            leverage=draw(st.sampled_from((5, 9, 10, 20))),
            mode=draw(st.sampled_from(modes)),
            rate=draw(st.sampled_from(("0.004", "0.1"))),
            most=draw(st.sampled_from((("5000",), ("99", "5000"), ("300",)))),
        )
        for symbol, mark in zip(
            (BTC, ETH), draw(st.sampled_from(((), (100.0,), (100.0, 50.0)))), strict=False
        )
    }
    wallet = Decimal(draw(st.sampled_from(("1000", "20.2", "40.2", "41", "12", "62", "120"))))

    def view() -> FakeView:
        made = calm()
        for symbol, state in linear.items():
            made.instruments[VENUE, symbol] = rules(symbol, kind="linear")
            state(made)
            made.portfolio.margin.venues = frozenset({VENUE})
        for symbol, quantity, ticks in zip((BTC, ETH), here, (200, 100), strict=True):
            hold(made, symbol, str(quantity), ticks)
        made.lease, made.pending, made.own = lease, dict(pending), dict(own)
        made.reductions = reductions
        made.markets[VENUE, BTC] = FakeMarket(quote=quote, proof_ns=proof_ns)
        for symbol, mark, each in zip((BTC, ETH), marks, (100.0, 50.0), strict=True):
            made.portfolio.mark(VENUE, symbol, None if mark is None else mark * each)
        money = wallet if linear else free
        made.portfolio.set_balances(VENUE, [("USDT", money, Decimal(0)), ("BTC", free, Decimal(0))])
        return made

    names = draw(st.sets(st.sampled_from(sorted(_NEAR)), max_size=2))
    bounds = limits(**{name: draw(_NEAR[name]) for name in sorted(names)})
    return Scene(request, view, bounds, sent=draw(st.integers(0, 2)))


@st.composite
def admissions(draw: st.DrawFn) -> Scene:
    """The same states before a parent, with a price or without one, young and old, asked for exactly or not."""
    scene = draw(scenes())
    lots = scene.request.quantity_lots
    request = replace(
        scene.request,
        scope="parent",
        price_ticks=draw(st.sampled_from((None, None, scene.request.price_ticks))),
        filled_lots=0,
        exposure_lots=lots,
        beside_lots=0,
        beside_cost=0,
        signal_created_ns=NOW + draw(mostly(0, -S, -60 * S, S // 2, 2 * S)),
        signal_expires_ns=NOW + draw(mostly(S, 0, 1)),
        asked_quantity=draw(mostly(None, Decimal(lots) / 100, Decimal(lots) / 99)),
        asked_price=draw(mostly(None, Decimal(100), Decimal("100.1"))),
        replaced_lots=draw(mostly(0, 50)),
    )
    near = replace(
        scene.limits,
        max_identical_orders=draw(mostly(UNUSED, 1, 2, 3)),
        max_repeated_entries=draw(mostly(UNUSED, 1, 2, 3)),
    )
    return replace(scene, request=request, limits=near, admitted=draw(st.integers(0, 2)))


@given(admissions())
def test_whatever_is_admitted_as_plain_passes_every_check(scene: Scene) -> None:
    if scene.passes():
        assert not scene.denied()


@given(scenes())
def test_whatever_passes_as_plain_passes_every_check(scene: Scene) -> None:
    if scene.passes():
        assert not scene.denied()
