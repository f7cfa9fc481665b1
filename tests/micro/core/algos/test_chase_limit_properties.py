"""ChaseLimit's decision: blind to its own quote, the same for buy and sell, and at any scale."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from chase_kit import chase, prices
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.algos.base import KEEP, Work
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.instrument_state import InstrumentState
from citadel_micro.core.orders.order_states import ChildState
from citadel_micro.core.orders.orders import Parent

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.model.events import Side


def decide(
    bids: list[tuple[float, float]],
    asks: list[tuple[float, float]],
    *,
    side: Side = "buy",
    own: tuple[int, int] | None = None,
    shows_own: bool = False,
    scale: int = 1,
    urgency: str = "normal",
    elapsed_s: int = 0,
) -> Decision:
    """One decision of a chase on this book; `own` is (ticks, lots) of its resting order."""
    instrument = rules(tick=Decimal("0.1") * scale, lot=Decimal("0.001") * scale)
    market = MarketBook(VENUE, SYMBOL, "range_bridge_spot")
    market.on_depth(DepthUpdate(VENUE, SYMBOL, True, 1, 1, -1, None, bids, asks, START, START))
    inst = InstrumentState(
        instrument, market, VenueConfig(shows_own_orders=shows_own), stale_cancel_ns=3 * SECOND
    )
    parent = Parent(
        signal=signal(side=side),
        instrument=instrument,
        number=1,
        own=False,
        created_ns=START,
        target=1_000,
    )
    parent.accepted_ns = START
    touch = inst.touch_ticks()
    assert touch is not None
    parent.arrival_mid2_ticks = sum(touch)
    if own is not None:
        child = Child(
            client_id="c",
            price_ticks=own[0],
            quantity_lots=own[1],
            post_only=True,
            ioc=False,
            reduce_only=False,
            placed_ns=START - 10 * SECOND,
            changed_ns=START - 10 * SECOND,
            expires_ns=START,
            book_seq=1,
            mid_half_ticks=0,
            state=ChildState.WORKING,
            acknowledged=True,
        )
        parent.children.append(child)
        parent.live.append(child)
    inst.parents.append(parent)
    algo = ChaseLimit.make((("urgency", urgency), ("allow_taker", True)))
    return algo.decide(parent, inst, START + elapsed_s * SECOND)


LEVELS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), min_size=1, max_size=6)


BOOKS = st.tuples(LEVELS, LEVELS, st.integers(1, 20))


URGENCIES = st.sampled_from(["passive", "normal", "high", "cross"])


ELAPSED = st.integers(0, 59)


def book_of(
    levels: tuple[list[tuple[int, int]], list[tuple[int, int]], int], scale: int = 1
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    below, above, gap = levels
    tick, lot = Decimal("0.1") * scale, Decimal("0.001") * scale
    bids = {float((600_000 - depth) * tick): float(lots * lot) for depth, lots in below}
    asks = {float((600_000 + gap + depth) * tick): float(lots * lot) for depth, lots in above}
    return list(bids.items()), list(asks.items())


@given(
    levels=BOOKS,
    own=st.tuples(st.integers(-20, 0), st.integers(1, 100)),
    urgency=URGENCIES,
    elapsed=ELAPSED,
)
def test_adding_our_own_quote_to_the_book_changes_nothing(
    levels: tuple[list[tuple[int, int]], list[tuple[int, int]], int],
    own: tuple[int, int],
    urgency: str,
    elapsed: int,
) -> None:
    bids, asks = book_of(levels)
    ours = (600_000 + own[0], own[1])
    price = float(ours[0] * Decimal("0.1"))
    shown = dict(bids)
    shown[price] = float(Decimal(repr(shown.get(price, 0.0))) + Decimal(ours[1]) / 1000)
    without = decide(bids, asks, own=ours, urgency=urgency, elapsed_s=elapsed)
    with_own = decide(
        list(shown.items()), asks, own=ours, shows_own=True, urgency=urgency, elapsed_s=elapsed
    )
    if isinstance(without, Work) and without.capped:
        return  # the arrival mid, and with it the cap, was taken from different books here
    assert with_own == without


@given(
    levels=BOOKS,
    own=st.none() | st.tuples(st.integers(-20, 0), st.integers(1, 100)),
    urgency=URGENCIES,
    elapsed=ELAPSED,
)
def test_buy_and_sell_mirror(
    levels: tuple[list[tuple[int, int]], list[tuple[int, int]], int],
    own: tuple[int, int] | None,
    urgency: str,
    elapsed: int,
) -> None:
    bids, asks = book_of(levels)
    # The market upside down: a price p becomes 120,000 - p.
    flipped_asks = [(round(120_000 - price, 1), size) for price, size in bids]
    flipped_bids = [(round(120_000 - price, 1), size) for price, size in asks]
    buy_own = None if own is None else (600_000 + own[0], own[1])
    sell_own = None if buy_own is None else (1_200_000 - buy_own[0], buy_own[1])
    buy = decide(bids, asks, own=buy_own, urgency=urgency, elapsed_s=elapsed)
    sell = decide(
        flipped_bids, flipped_asks, side="sell", own=sell_own, urgency=urgency, elapsed_s=elapsed
    )
    if isinstance(buy, Work):
        assert isinstance(sell, Work)
        if buy.ioc or buy.capped:
            # Reaches in basis points are of slightly different prices.
            assert abs(sell.price_ticks - (1_200_000 - buy.price_ticks)) <= 3
        else:
            assert sell == buy._replace(price_ticks=1_200_000 - buy.price_ticks)
    else:
        assert sell == buy


@given(
    levels=BOOKS,
    own=st.none() | st.tuples(st.integers(-20, 0), st.integers(1, 100)),
    urgency=URGENCIES,
    elapsed=ELAPSED,
    scale=st.sampled_from([2, 10, 1000]),
)
def test_scaling_prices_and_sizes_scales_the_result(
    levels: tuple[list[tuple[int, int]], list[tuple[int, int]], int],
    own: tuple[int, int] | None,
    urgency: str,
    elapsed: int,
    scale: int,
) -> None:
    ours = None if own is None else (600_000 + own[0], own[1])
    plain = decide(*book_of(levels), own=ours, urgency=urgency, elapsed_s=elapsed)
    scaled = decide(
        *book_of(levels, scale), own=ours, urgency=urgency, elapsed_s=elapsed, scale=scale
    )
    assert scaled == plain


def test_alone_in_the_book_it_stays() -> None:
    found = decide([(60_000.0, 0.1)], [(60_000.1, 1.0)], own=(600_000, 100), shows_own=True)
    assert found is KEEP


@pytest.mark.parametrize("shows_own", [False, True])
def test_it_does_not_outbid_itself(shows_own: bool) -> None:
    venue = VenueConfig(shows_own_orders=shows_own)
    rig = Rig(config(venue))
    rig.book(60_000.0, 60_005.0)
    chase(rig, urgency="high", cross_at=2.0, mid_at=2.0)
    for _ in range(20):
        own = rig.live()
        price = own.price_ticks / 10
        if shows_own:
            rig.book(60_000.0, 60_005.0, own=("buy", price, own.quantity_lots / 1000))
        rig.run(300 * MS, refresh_ns=0)
        if not shows_own:
            rig.book(60_000.0, 60_005.0)
    assert set(prices(rig)) == {600_001}
