"""A limit that is exactly met is kept, whatever binary fractions make of it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.commands import RequestSnapshot
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.core.model.risk_limits import paper_defaults


def rig_of(**limits: object) -> Rig:
    values: dict[str, object] = {
        "lease_required": False,
        "depth_participation_bps": 10_000.0,
        "max_order_notional": Decimal(10**12),
        "max_position_notional": Decimal(10**12),
        "max_gross_exposure": Decimal(10**12),
        "max_net_exposure": Decimal(10**12),
        "max_venue_exposure": {"*": Decimal(10**12)},
    }
    return Rig(
        config(limits=paper_defaults(**{**values, **limits})),
        instrument=rules(tick=Decimal("0.01"), lot=Decimal("0.01"), min_notional=Decimal(0)),
    )


def depth(rig: Rig, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> None:
    rig.seq += 1
    rig.send(
        DepthUpdate(
            *(VENUE, SYMBOL, True, rig.seq, rig.seq, -1), *(None, bids, asks, rig.now, rig.now)
        )
    )


def code_of(rig: Rig, signal_id: str, **changes: object) -> str:
    values: dict[str, object] = {"created_ns": rig.now, "expires_ns": rig.now + 10 * SECOND}
    rig.send(signal(signal_id, **{**values, **changes}))
    return rig.report(signal_id).reason_code


@pytest.mark.parametrize(
    ("bid", "ask", "code"),
    [(99.85, 100.15, ""), (99.85, 100.16, "SPREAD_WIDE"), (0.9985, 1.0015, "")],
)
def test_a_spread_of_exactly_the_limit_passes(bid: float, ask: float, code: str) -> None:
    rig = Rig(
        config(limits=paper_defaults(lease_required=False, depth_participation_bps=10_000.0)),
        instrument=rules(tick=Decimal("0.0001"), min_notional=Decimal(0)),
    )
    depth(rig, [(bid, 500.0)], [(ask, 500.0)])
    assert code_of(rig, "s") == code


@given(
    bid=st.integers(1_000, 100_000),
    wide=st.integers(1, 300),
    limit=st.one_of(st.none(), st.decimals("0.01", "500", places=2)),
)
def test_spreads_are_compared_exactly(bid: int, wide: int, limit: Decimal | None) -> None:
    """Against the limit, or against just the spread itself where that can be written."""
    ask = bid + wide
    spread = Fraction(20_000 * wide, bid + ask)
    most = spread.limit_denominator(1_000) if limit is None else Fraction(limit)
    rig = rig_of(max_spread_bps=float(most), price_collar_bps=5_000.0)
    depth(rig, [(bid / 100, 1e6)], [(ask / 100, 1e6)])
    written = Fraction(repr(float(most)))
    assert (code_of(rig, "s", quantity=Decimal(1)) == "SPREAD_WIDE") == (spread > written)


@pytest.mark.parametrize(
    ("side", "price", "code"),
    [
        ("buy", "100.9999", "BAD_TICK"),
        ("buy", "101.10", ""),
        ("buy", "101.11", "PRICE_COLLAR"),
        ("sell", "99.1", ""),
        ("sell", "99.09", "PRICE_COLLAR"),
        ("buy", "90.09", ""),
        ("buy", "90.08", "PRICE_COLLAR"),
        ("sell", "110.11", ""),
        ("sell", "110.12", "PRICE_COLLAR"),
    ],
)
def test_the_collar_is_compared_exactly(side: str, price: str, code: str) -> None:
    """Around a mid of 100.10: 1 % on the side that costs, 10 % on the other."""
    rig = rig_of()
    depth(rig, [(100.09, 1e6)], [(100.11, 1e6)])
    found = code_of(
        rig, "s", side=side, quantity=Decimal(1), algo="limit", limit_price=Decimal(price)
    )
    edges = {"101.10": Fraction(1, 100), "99.1": Fraction(-1, 100)}
    if price in edges:
        assert abs(Fraction(price) / Fraction("100.1") - 1) <= abs(edges[price])
    assert found == code


@given(
    sizes=st.lists(st.integers(1, 999), min_size=1, max_size=8),
    order=st.integers(1, 800),
    share=st.sampled_from([100.0, 700.0, 1_000.0, 3_000.0, 3_333.0]),
)
def test_depth_is_compared_exactly(sizes: list[int], order: int, share: float) -> None:
    """Sizes are added in whole lots, so that 0.1 and 0.7 are 0.8."""
    rig = rig_of(depth_participation_bps=share)
    depth(
        rig,
        [(100.0 - n / 100, size / 100) for n, size in enumerate(sizes)],
        [(100.01 + n / 100, size / 100) for n, size in enumerate(sizes)],
    )
    found = code_of(rig, "s", quantity=Decimal(order) / 100)
    allowed = Fraction(order) * 10_000 <= Fraction(share) * sum(sizes)
    assert (found == "DEPTH_PARTICIPATION") == (not allowed)
    permitted = rig.report("s").permitted
    if not allowed and permitted is not None:
        most = Fraction(share) * sum(sizes) // 10_000
        assert permitted in (Decimal(most) / 100, Decimal(0))


def test_a_buy_at_the_ask_takes_whatever_the_product_of_floats_says() -> None:
    """1,001 x 0.01 is below 10.01 in binary; the order is compared with what it would take."""
    rig = rig_of(depth_participation_bps=1_000.0)
    depth(rig, [(10.0, 1e6)], [(10.01, 50.0)])
    found = code_of(rig, "s", quantity=Decimal(6), algo="limit", limit_price=Decimal("10.01"))
    assert found == "DEPTH_PARTICIPATION"


# the tick


def test_a_limit_order_off_the_tick_is_refused_by_name() -> None:
    rig = rig_of()
    depth(rig, [(100.0, 1e6)], [(100.01, 1e6)])
    found = code_of(rig, "s", quantity=Decimal(1), algo="limit", limit_price=Decimal("99.995"))
    assert (found, rig.report("s").reason) == (
        "BAD_TICK",
        "price 99.995 is not a multiple of the tick 0.01",
    )


@pytest.mark.parametrize("algo", ["chase_limit", "marketable_limit"])
def test_a_worst_price_off_the_tick_is_rounded_to_the_safe_side(algo: str) -> None:
    """It bounds what is paid; it is not the price of an order."""
    rig = rig_of()
    depth(rig, [(100.0, 1e6)], [(100.01, 1e6)])
    assert code_of(rig, "b", quantity=Decimal(1), algo=algo, limit_price=Decimal("100.019")) == ""
    assert rig.parent("b").limit_ticks == 10_001
    rig = rig_of()
    depth(rig, [(100.0, 1e6)], [(100.01, 1e6)])
    sell = {"side": "sell", "quantity": Decimal(1), "algo": algo}
    assert code_of(rig, "s", **sell, limit_price=Decimal("99.991")) == ""
    assert rig.parent("s").limit_ticks == 10_000


# crossed books


def test_a_book_crossed_by_depth_is_named_and_asked_for_within_half_a_second() -> None:
    rig = Rig()
    rig.send(signal("works"))
    rig.run(100 * MS)
    assert rig.report("works").status == "working"

    rig.seq += 1
    crossed_ns = rig.now
    rig.send(
        DepthUpdate(
            *(VENUE, SYMBOL, False, rig.seq, rig.seq, -1),
            *(None, [(60_000.5, 1.0)], [], rig.now, rig.now),
        )
    )
    assert rig.engine.markets[VENUE, SYMBOL].crossed

    assert code_of(rig, "new") == "BOOK_CROSSED"
    placed = len(rig.venue.placed)
    rig.run(700 * MS, refresh_ns=0)

    asked = [at for at, each in rig.commands if isinstance(each, RequestSnapshot)]
    assert [500 * MS <= at - crossed_ns <= 610 * MS for at in asked] == [True]
    assert len(rig.venue.placed) == placed


def test_a_book_that_uncrosses_in_time_is_not_asked_for() -> None:
    rig = Rig()
    for bid, ask in [(60_000.5, 60_000.1), (60_000.0, 60_000.1)] * 3:
        rig.seq += 1
        changes = [(60_000.5, 1.0 if bid > ask else 0.0)]
        rig.send(
            DepthUpdate(
                *(VENUE, SYMBOL, False, rig.seq, rig.seq, -1),
                *(None, changes, [], rig.now, rig.now),
            )
        )
        rig.run(300 * MS, refresh_ns=0)
    assert not [each for _, each in rig.commands if isinstance(each, RequestSnapshot)]
    assert code_of(rig, "new") == ""
