from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.algos.base import KEEP, Work
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder, RequestSnapshot
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.instrument_state import InstrumentState
from citadel_micro.core.orders.order_states import ChildState, ParentState
from citadel_micro.core.orders.orders import Parent

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.model.events import Side


def chase(rig: Rig, **params: object) -> None:
    changes: dict[str, Any] = {}
    for name in ("side", "limit_price", "quantity"):
        if name in params:
            changes[name] = params.pop(name)
    rig.send(signal(params=tuple(sorted(params.items())), **changes))
    rig.run(10 * MS)


def prices(rig: Rig) -> list[int]:
    return [order.price_ticks for order in rig.venue.placed]


# --- where it rests -----------------------------------------------------------------------------


def test_joins_the_best_of_its_own_side() -> None:
    rig = Rig()
    chase(rig)
    assert prices(rig) == [600_000]
    assert rig.venue.placed[0].post_only
    rig = Rig()
    chase(rig, side="sell")
    assert prices(rig) == [600_001]


def test_equal_best_price_costs_no_command() -> None:
    rig = Rig()
    chase(rig)
    for size in (1.0, 80.0, 3.0):
        rig.book(60_000.0, 60_000.1, size=size)
        rig.run(300 * MS)
    rig.book(60_000.0, 60_002.0)
    rig.run(300 * MS)
    assert len(rig.venue.requests) == 2  # the reconciliation and the order


def test_follows_the_best_after_its_dwell() -> None:
    rig = Rig()
    chase(rig)
    rig.book(60_000.5, 60_000.6)
    rig.run(100 * MS)
    assert prices(rig) == [600_000]
    rig.run(200 * MS)
    assert prices(rig) == [600_000, 600_005]
    assert rig.report().status == "working"
    assert rig.parent().reprices == 1


def test_never_places_before_the_cancel_is_proven() -> None:
    rig = Rig()
    chase(rig)
    rig.venue.mute = True
    rig.book(60_000.5, 60_000.6)
    rig.run(2 * SECOND)
    assert len(rig.sent(CancelOrder)) == 1
    assert prices(rig) == [600_000]
    rig.venue.heal()
    rig.run(5 * SECOND)
    assert prices(rig) == [600_000, 600_005]


def test_stays_when_the_others_fall_back_a_little_and_goes_back_when_far() -> None:
    rig = Rig()
    chase(rig, retreat_ticks=3)
    rig.book(59_999.8, 60_000.1)
    rig.run(1 * SECOND)
    assert prices(rig) == [600_000]
    rig.book(59_999.7, 60_000.1)
    rig.run(1 * SECOND)
    assert prices(rig) == [600_000, 599_997]


def test_small_moves_can_be_ignored() -> None:
    rig = Rig()
    chase(rig, min_move_ticks=5)
    rig.book(60_000.4, 60_000.5)
    rig.run(1 * SECOND)
    assert prices(rig) == [600_000]
    rig.book(60_000.5, 60_000.6)
    rig.run(1 * SECOND)
    assert prices(rig) == [600_000, 600_005]


def test_rests_where_it_is_after_the_last_reprice() -> None:
    rig = Rig()
    chase(rig, max_reprices=2, min_dwell_ms=0)
    for step in range(1, 6):
        rig.book(60_000.0 + step, 60_000.1 + step)
        rig.run(100 * MS)
    assert prices(rig) == [600_000, 600_010, 600_020]


def test_amends_in_place_where_the_venue_can() -> None:
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True)))
    chase(rig)
    rig.venue.fill("sctest-1-1", 200)
    rig.book(60_000.5, 60_000.6)
    rig.run(300 * MS)
    assert len(rig.venue.placed) == 1
    assert rig.sent(CancelOrder) == []
    amend = rig.sent(AmendOrder)[0][1]
    assert isinstance(amend, AmendOrder)
    assert (amend.price_ticks, amend.quantity_lots) == (600_005, 500)
    assert rig.live().price_ticks == 600_005
    assert rig.parent().live[0].price_ticks == 600_005
    assert rig.parent().state is ParentState.WORKING


# --- urgency ------------------------------------------------------------------------------------


def test_grows_more_urgent_with_time() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.book(60_000.0, 60_002.0)
    chase(
        rig,
        time_limit_ms=10_000,
        improve_at=0.2,
        mid_at=0.5,
        cross_at=0.8,
        improve_ticks=2,
        allow_taker=True,
    )
    rig.run(10 * SECOND)
    assert [(o.price_ticks, o.time_in_force) for o in rig.venue.placed] == [
        (600_000, "GTC"),
        (600_002, "GTC"),
        (600_010, "GTC"),
        (600_020 + 600, "IOC"),
    ]
    placed_s = [round((at - START) / SECOND, 1) for at, _ in rig.sent(PlaceOrder)]
    assert placed_s == [0.0, 2.0, 5.0, 8.0]
    assert rig.report().status == "filled"


def test_crossing_needs_permission() -> None:
    rig = Rig()
    chase(rig, time_limit_ms=1_000, cross_at=0.0)
    assert rig.venue.placed[0].time_in_force == "GTC"
    rig = Rig()
    chase(rig, urgency="cross")
    assert rig.venue.placed[0].time_in_force == "IOC"


def test_improving_and_mid_never_take() -> None:
    rig = Rig()  # a spread of one tick
    chase(rig, urgency="high", improve_ticks=100)
    rig.run(30 * SECOND)
    assert set(prices(rig)) == {600_000}


# --- caps ---------------------------------------------------------------------------------------


def test_rests_at_the_cap_when_the_market_leaves() -> None:
    rig = Rig()
    chase(rig, limit_price=Decimal("60000.30"))
    rig.book(60_001.0, 60_001.1)
    rig.run(400 * MS)
    assert prices(rig) == [600_000, 600_003]
    assert rig.parent().state is ParentState.CAPPED
    rig.book(60_005.0, 60_005.1)
    rig.run(2 * SECOND)
    assert len(rig.venue.placed) == 2
    rig.book(60_000.1, 60_000.2)
    rig.run(2 * SECOND)
    assert rig.parent().live[0].price_ticks <= 600_003


def test_the_longest_chase_is_counted_from_the_arrival_mid() -> None:
    rig = Rig()
    chase(rig, max_chase_bps=1.0)
    rig.book(60_100.0, 60_100.1)
    rig.run(400 * MS)
    assert prices(rig)[-1] == 600_060  # 60,000.05 + 6.000005, floored
    rig = Rig()
    chase(rig, max_chase_bps=1.0, side="sell")
    rig.book(59_900.0, 59_900.1)
    rig.run(400 * MS)
    assert prices(rig)[-1] == 599_941  # mirrored: 60,000.05 - 6.000005 = 59,994.049995, ceiled


def test_can_give_up_at_the_cap() -> None:
    rig = Rig()
    chase(rig, limit_price=Decimal(60_000), on_cap="cancel")
    rig.book(60_001.0, 60_001.1)
    rig.run(400 * MS)
    assert rig.report().status == "canceled"
    assert rig.report().reason_code == "CAP_REACHED"
    assert rig.venue.open_orders() == []


def test_can_take_the_last_chance_before_the_cap() -> None:
    rig = Rig()
    chase(rig, limit_price=Decimal("60000.5"), on_cap="cross", retreat_ticks=1)
    rig.book(60_000.3, 60_000.4)
    rig.run(400 * MS)
    rig.book(60_000.4, 60_000.5)
    rig.run(400 * MS)
    last = rig.venue.placed[-1]
    assert (last.price_ticks, last.time_in_force) == (600_005, "IOC")
    assert rig.report().status == "filled"


# --- time ---------------------------------------------------------------------------------------


def test_expires_with_what_it_has() -> None:
    rig = Rig()
    chase(rig, time_limit_ms=5_000)
    rig.venue.fill("sctest-1-1", 200)
    rig.run(6 * SECOND)
    report = rig.report()
    assert report.status == "expired"
    assert report.reason_code == "TIME_LIMIT"
    assert report.filled == Decimal("0.2")
    assert rig.venue.open_orders() == []


def test_may_rest_on_after_its_time() -> None:
    rig = Rig()
    chase(rig, time_limit_ms=1_000, on_timeout="rest")
    rig.run(4 * SECOND)
    rig.book(60_010.0, 60_010.1)
    rig.run(4 * SECOND)
    assert prices(rig) == [600_000]
    assert rig.report().status == "working"


def test_may_cross_at_its_end_within_the_cap() -> None:
    rig = Rig()
    chase(rig, time_limit_ms=1_000, on_timeout="cross_ioc", max_cross_bps=5.0)
    rig.run(2 * SECOND)
    last = rig.venue.placed[-1]
    assert (last.price_ticks, last.time_in_force) == (600_001 + 300, "IOC")
    assert rig.report().status == "filled"


def test_crossing_at_the_end_is_bounded_in_tries_and_time() -> None:
    rig = Rig()
    rig.venue.fill_at_once = False
    chase(rig, time_limit_ms=1_000, on_timeout="cross_ioc")
    rig.run(7 * SECOND)
    assert rig.report().status == "expired"
    assert sum(o.time_in_force == "IOC" for o in rig.venue.placed) == 5


# --- the book -----------------------------------------------------------------------------------


def test_a_stale_book_stops_it_and_withdraws_it_after_three_seconds() -> None:
    rig = Rig()
    chase(rig)
    rig.run(2_800 * MS, refresh_ns=0)
    assert rig.sent(CancelOrder) == []
    rig.run(400 * MS, refresh_ns=0)
    assert len(rig.sent(CancelOrder)) == 1
    assert rig.venue.open_orders() == []


def test_does_nothing_on_a_locked_book_and_asks_for_a_new_one() -> None:
    rig = Rig()
    chase(rig)
    rig.book(60_001.0, 60_001.0)
    rig.run(900 * MS, refresh_ns=0)
    assert prices(rig) == [600_000]
    asked = [c for _, c in rig.commands if isinstance(c, RequestSnapshot)]
    assert len(asked) == 1
    assert "crossed" in asked[0].reason
    rig.book(60_001.0, 60_001.1)
    rig.run(400 * MS)
    assert prices(rig) == [600_000, 600_010]


# --- the venue's refusals -----------------------------------------------------------------------


def test_post_only_refusals_back_off_on_newer_books_and_less_aggressively() -> None:
    rig = Rig()
    rig.venue.ask_ticks = 600_000  # the exchange is ahead of what we see
    rig.send(signal())
    for _ in range(40):
        rig.run(50 * MS, refresh_ns=0)
        rig.book(60_000.0, 60_000.1)
        rig.venue.ask_ticks = 599_997
    sent = [(at, order.price_ticks) for at, order in rig.sent(PlaceOrder)]  # type: ignore[attr-defined]
    assert [price for _, price in sent][:4] == [600_000, 599_999, 599_998, 599_997]
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(sent)]
    assert all(a <= b + 60 * MS for a, b in itertools.pairwise(gaps[:4]))
    assert all(order.post_only for order in rig.venue.placed)
    asked = [c for _, c in rig.commands if isinstance(c, RequestSnapshot)]
    assert not asked or "post-only" in asked[0].reason


def test_five_post_only_refusals_resynchronise_the_book() -> None:
    rig = Rig()
    rig.send(signal())
    while "RequestSnapshot" not in [type(command).__name__ for _, command in rig.commands]:
        rig.book(60_000.0, 60_000.1)
        rig.venue.ask_ticks = 1
        rig.run(50 * MS, refresh_ns=0)
    assert len(rig.venue.placed) == 5
    asked = [c for _, c in rig.commands if isinstance(c, RequestSnapshot)]
    assert "post-only" in asked[0].reason
    assert rig.engine.markets[KEY].state == "SYNCING"


# --- remainders ---------------------------------------------------------------------------------


def test_what_could_not_be_placed_again_is_not_cancelled_for_a_better_price() -> None:
    rig = Rig(instrument=rules(min_notional=Decimal(3_000)))
    chase(rig)
    rig.venue.fill("sctest-1-1", 460)  # 0.04 left: 2,400 USDT
    rig.book(60_010.0, 60_010.1)
    rig.run(2 * SECOND)
    assert rig.sent(CancelOrder) == []
    rig.venue.fill("sctest-1-1", 40)
    rig.run(10 * MS)
    assert rig.report().status == "filled"


def test_dust_is_reported_as_done() -> None:
    rig = Rig(instrument=rules(min_notional=Decimal(3_000)))
    chase(rig)
    rig.venue.fill("sctest-1-1", 460)
    rig.venue._close(rig.venue.orders["sctest-1-1"], "canceled")
    rig.run(100 * MS)
    assert rig.report().status == "done_dust"
    assert rig.report().filled == Decimal("0.46")


# --- invariant 9 --------------------------------------------------------------------------------


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
    parent.arrival_half_ticks = sum(touch)
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
