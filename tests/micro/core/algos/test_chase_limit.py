"""ChaseLimit: where it rests, how it grows urgent, its cap and its time limit."""

from __future__ import annotations

from decimal import Decimal

from chase_kit import chase, prices
from engine_kit import MS, SECOND, START, Rig, config

from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.orders.order_states import ParentState


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
