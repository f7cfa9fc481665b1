"""Properties of the gate over random accounts, limits and orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

from hypothesis import assume, given
from hypothesis import strategies as st

from citadel_micro.core.model.events import (
    Side,
)
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.core.risk.manager import RiskManager, RiskRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.risk_limits import RiskLimits

from gate_kit import BTC, ETH, NOW, VENUE, FakeMarket, FakeView, S, calm, judge, limits, parent

REMOVALS: dict[str, Callable[[FakeView], None]] = {
    "instrument": lambda view: view.instruments.clear(),
    "market": lambda view: view.markets.clear(),
    "best": lambda view: view.markets.update({(VENUE, BTC): FakeMarket(quote=None)}),
    "mark": lambda view: view.portfolio.mark(VENUE, BTC, None),
    "other mark": lambda view: view.portfolio.mark(VENUE, ETH, None),
    "lease": lambda view: setattr(view, "lease", None),
    "balances": lambda view: view.portfolio._balances.clear(),
    "asks": lambda view: view.markets[(VENUE, BTC)].book.asks.clear() if view.markets else None,
    "bids": lambda view: view.markets[(VENUE, BTC)].book.bids.clear() if view.markets else None,
}


LIMIT_REMOVALS = [
    {"max_order_quantity": {}},
    {"max_position_quantity": {}},
    {"max_venue_exposure": {}},
    {"allowed_symbols": ()},
    {"allowed_venues": ()},
]


REQUESTS = st.builds(
    lambda scope, side, lots, more, price, post_only, reduce_only: parent(
        scope=scope,
        side=side,
        quantity_lots=lots,
        exposure_lots=lots + (more if scope == "child" else 0),
        price_ticks=price,
        post_only=post_only,
        reduce_only=reduce_only,
    ),
    st.sampled_from(["parent", "child"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 1200),
    st.integers(0, 300),
    st.integers(176, 224),
    st.booleans(),
    st.booleans(),
)


POSITIONS = st.integers(-25, 25).map(str)


PENDING = st.dictionaries(
    st.tuples(st.just(VENUE), st.sampled_from([BTC, ETH]), st.sampled_from(["buy", "sell"])),
    st.integers(0, 800),
    max_size=4,
)


Scene = tuple[str, str, dict[tuple[str, str, Side], int]]
"""Positions in BTC and ETH, and what is pending."""


SCENES: st.SearchStrategy[Scene] = st.tuples(POSITIONS, POSITIONS, PENDING)


def set_up(scene: Scene) -> FakeView:
    position, other, pending = scene
    view = calm(position, other)
    view.pending = dict(pending)
    return view


@given(REQUESTS, SCENES, st.sampled_from(sorted(REMOVALS)))
def test_removing_an_input_never_approves(
    request: RiskRequest,
    scene: Scene,
    removed: str,
) -> None:
    before = judge(request, set_up(scene))
    assume(not before.ok)
    view = set_up(scene)
    REMOVALS[removed](view)
    assert not judge(request, view).ok


@given(REQUESTS, SCENES, st.sampled_from(LIMIT_REMOVALS))
def test_removing_a_limit_never_approves(
    request: RiskRequest,
    scene: Scene,
    removed: dict[str, object],
) -> None:
    if not judge(request, set_up(scene)).ok:
        assert not judge(request, set_up(scene), limits(**removed)).ok


SIZES: dict[str, Callable[[int], object]] = {
    "max_order_quantity": lambda n: {BTC: Decimal(n)},
    "max_order_notional": lambda n: Decimal(n * 100),
    "max_position_quantity": lambda n: {BTC: Decimal(n)},
    "max_position_notional": lambda n: Decimal(n * 100),
    "max_gross_exposure": lambda n: Decimal(n * 100),
    "max_net_exposure": lambda n: Decimal(n * 100),
    "max_venue_exposure": lambda n: {VENUE: Decimal(n * 100)},
    "max_group_exposure": lambda n: {"all": Decimal(n * 100)},
    "max_open_orders": lambda n: n,
    "max_open_orders_per_venue": lambda n: n,
    "max_daily_loss": lambda n: Decimal(n * 5),
    "max_rolling_loss": lambda n: Decimal(n * 5),
    "max_drawdown": lambda n: Decimal(n * 5),
    "price_collar_bps": lambda n: n * 10.0,
    "fat_finger_bps": lambda n: n * 50.0,
    "max_spread_bps": float,
    "depth_participation_bps": lambda n: n * 40.0,
    "stale_ns": lambda n: n * S // 10,
    "max_skew_ns": lambda n: n * S // 20,
    "signal_ttl_ns": lambda n: n * S,
    "lease_soft_ns": lambda n: n * S,
}


BOUNDS = st.fixed_dictionaries(dict.fromkeys(SIZES, st.integers(0, 40)))


def bounded(numbers: Mapping[str, int]) -> RiskLimits:
    values = {name: make(numbers[name]) for name, make in SIZES.items()}
    return limits(lease_hard_ns=60 * S, groups={"all": (BTC, ETH)}, **values)


@given(
    REQUESTS,
    SCENES,
    BOUNDS,
    st.sampled_from(sorted(SIZES)),
    st.integers(0, 40),
)
def test_tightening_a_limit_never_turns_a_denial_into_an_approval(
    request: RiskRequest,
    scene: Scene,
    numbers: dict[str, int],
    tightened: str,
    value: int,
) -> None:
    tighter = {**numbers, tightened: min(numbers[tightened], value)}
    loose, tight = bounded(numbers), bounded(tighter)
    for lots in (request.quantity_lots, 1 + request.quantity_lots // 100):
        asked = replace(request, quantity_lots=lots, exposure_lots=lots)
        view = set_up(scene)
        before, after = judge(asked, view, loose), judge(asked, view, tight)
        assert before.ok or not after.ok
        assert after.permitted_lots <= before.permitted_lots


@given(REQUESTS, SCENES, BOUNDS)
def test_permitted_is_the_largest_quantity_that_passes(
    request: RiskRequest,
    scene: Scene,
    numbers: dict[str, int],
) -> None:
    # Generous where time and prices are judged, so that sizes decide.
    free = ("price_collar_bps", "max_spread_bps", "stale_ns", "max_skew_ns", "signal_ttl_ns")
    bounds = bounded({**numbers, **dict.fromkeys(free, 40), "lease_soft_ns": 40})
    view = set_up(scene)
    verdict = judge(request, view, bounds)

    def passes(lots: int) -> bool:
        return judge(replace(request, quantity_lots=lots, exposure_lots=lots), view, bounds).ok

    lots = verdict.permitted_lots
    assert 0 <= lots <= request.quantity_lots
    if lots:
        assert passes(lots)
    # What lies above does not pass, except the request itself when it is not denied.
    for more in {lots + 1, lots + 2, (lots + request.quantity_lots) // 2 + 1} - {lots}:
        if lots < more <= request.quantity_lots and not verdict.ok:
            assert not passes(more), more


@given(
    st.lists(REQUESTS, min_size=1, max_size=6),
    POSITIONS,
    st.integers(3, 40),
    st.integers(1, 30),
)
def test_any_subset_of_admitted_orders_filling_stays_within_limits(
    requests: list[RiskRequest], position: str, most: int, money: int
) -> None:
    bounds = limits(
        max_position_quantity={BTC: Decimal(most)},
        max_gross_exposure=Decimal(money * 100),
        max_net_exposure=Decimal(money * 100),
        max_open_orders=100,
        max_open_orders_per_venue=100,
    )
    held = Decimal(position)
    assume(abs(held) <= most and abs(held) <= money)
    view = calm(position)
    admitted: list[RiskRequest] = []
    for number, asked in enumerate(requests):
        request = replace(
            asked, scope="parent", parent_id=str(number), exposure_lots=asked.quantity_lots
        )
        if judge(request, view, bounds).ok:
            admitted.append(request)
            key = (VENUE, BTC, request.side)
            view.pending[key] = view.pending.get(key, 0) + request.quantity_lots
    for filled in product((False, True), repeat=len(admitted)):
        after = held
        for request, done in zip(admitted, filled, strict=True):
            if done:
                sign = 1 if request.side == "buy" else -1
                after += sign * request.quantity_lots * Decimal("0.01")
        assert abs(after) <= most
        assert abs(after) * 100 <= money * 100


@given(st.lists(REQUESTS, min_size=1, max_size=8), POSITIONS)
def test_concurrent_reductions_never_flip_a_position(
    requests: list[RiskRequest], position: str
) -> None:
    manager = RiskManager(limits())
    manager.trip("OPERATOR_PAUSE", GLOBAL, "", NOW)
    view = calm(position)
    held = Decimal(position)
    for number, asked in enumerate(requests):
        request = replace(
            asked, scope="parent", parent_id=str(number), exposure_lots=asked.quantity_lots
        )
        if manager.judge(request, view, NOW).ok:
            key = (VENUE, BTC, request.side)
            view.pending[key] = view.pending.get(key, 0) + request.quantity_lots
    for (_, _, side), lots in view.pending.items():
        after = held + (1 if side == "buy" else -1) * lots * Decimal("0.01")
        assert after * held >= 0
        assert abs(after) <= abs(held)


@given(REQUESTS, POSITIONS, st.sampled_from(["OPERATOR_PAUSE", "OPERATOR_HALT", "OPERATOR_KILL"]))
def test_a_trip_never_approves(request: RiskRequest, position: str, code: str) -> None:
    manager = RiskManager(limits())
    before = manager.judge(request, calm(position), NOW)
    manager.trip(code, GLOBAL, "", NOW)
    after = manager.judge(request, calm(position), NOW)
    assert before.ok or not after.ok
