"""Iceberg, scaled orders, snipe, and fill or kill."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, config, rules, signal

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import OrderRejected

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value

KILLS = VenueConfig(
    shows_own_orders=False, messages_per_second=100, message_burst=500, fill_or_kill=True
)


def send(
    rig: Rig,
    algo: str,
    limit: str | None = None,
    *,
    quantity: str = "0.1",
    side: str = "buy",
    time_in_force: str = "GTC",
    **params: Value,
) -> None:
    rig.send(
        signal(
            algo=algo,
            side=side,
            quantity=Decimal(quantity),
            limit_price=None if limit is None else Decimal(limit),
            time_in_force=time_in_force,
            params=tuple(sorted(params.items())),
            expires_ns=START + 3_600 * SECOND,
        )
    )
    rig.run(20 * MS)


def lots(rig: Rig) -> list[int]:
    return [order.quantity_lots for order in rig.venue.placed]


def denied(rig: Rig) -> str:
    report = rig.report()
    assert (report.status, report.reason_code) == ("rejected", "BAD_PARAMETER")
    assert rig.venue.placed == []
    return report.reason


# --- iceberg --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "limit"), [("buy", "59990"), ("sell", "60010")])
def test_an_iceberg_shows_one_part_at_a_time(side: str, limit: str) -> None:
    rig = Rig()
    send(rig, "iceberg", limit, side=side, clip_pct=20.0, random_pct=0)
    for number in range(1, 6):
        assert lots(rig) == [20] * number
        assert len(rig.venue.open_orders()) == 1
        rig.venue.fill(rig.live().place.client_id, 20)
        rig.run(20 * MS)
    assert rig.report().status == "filled"
    assert {order.price_ticks for order in rig.venue.placed} == {int(Decimal(limit) * 10)}


def test_the_parts_of_an_iceberg_vary_by_its_own_numbers_and_leave_no_dust() -> None:
    def parts(name: str) -> list[int]:
        rig = Rig(instrument=rules(min_lots=7))
        params = (("clip_pct", 10.0), ("random_pct", 50))
        made = signal(name, algo="iceberg", limit_price=Decimal(59_990), params=params)
        rig.send(made)
        while not rig.parent(name).terminal:
            rig.run(20 * MS)
            rig.book(rig.bid, rig.ask)
            for order in rig.venue.open_orders():
                rig.venue.fill(order.place.client_id, order.quantity_lots)
        assert rig.report(name).status == "filled"
        assert min(lots(rig)) >= 7
        assert sum(lots(rig)) == 500
        return lots(rig)

    assert parts("a") == parts("a") != parts("b")
    assert len(set(parts("a"))) > 3


def test_an_iceberg_may_follow_the_market_and_moves_a_part_as_it_is() -> None:
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True)))
    send(rig, "iceberg", price="primary", clip_pct=20.0, random_pct=0, min_dwell_ms=0)
    rig.venue.fill(rig.live().place.client_id, 5)
    rig.run(20 * MS)
    rig.book(60_001.0, 60_001.1)
    rig.run(200 * MS)
    order = rig.live()
    assert order.price_ticks == 600_010
    assert order.quantity_lots - order.filled_lots == 15


def test_an_iceberg_at_its_limit_needs_one() -> None:
    rig = Rig()
    send(rig, "iceberg")
    assert "price = primary" in denied(rig)


# --- scaled ---------------------------------------------------------------------------------------


def test_a_scaled_order_rests_at_steps_from_its_limit() -> None:
    for side, limit, expected in (
        ("buy", "59990", [599_900, 599_750, 599_600]),
        ("sell", "60010", [600_100, 600_250, 600_400]),
    ):
        rig = Rig()
        send(rig, "scaled", limit, side=side, levels=3, width_bps=5.0)
        assert [(o.price_ticks, o.quantity_lots) for o in rig.venue.placed] == [
            (price, size) for price, size in zip(expected, [34, 33, 33], strict=True)
        ]
        for order in rig.venue.open_orders():
            rig.venue.fill(order.place.client_id, 100)
        rig.run(20 * MS)
        assert rig.report().status == "filled"
        assert len(rig.venue.placed) == 3


def test_its_weights_grow_from_the_limit_on() -> None:
    rig = Rig()
    send(rig, "scaled", "59990", levels=3, width_bps=5.0, weight_pct=300)
    assert lots(rig) == [17, 33, 50]


def test_a_level_that_filled_is_not_placed_again_even_after_a_restart() -> None:
    rig = Rig()
    send(rig, "scaled", "59990", levels=3, width_bps=5.0)
    middle = rig.venue.placed[1].client_id
    rig.venue.fill(middle, 33)
    rig.venue.fill(rig.venue.placed[0].client_id, 10)
    rig.run(20 * MS)
    rig.restart()
    rig.run(1 * SECOND)
    assert len(rig.venue.placed) == 3
    assert sorted(o.place.price_ticks for o in rig.venue.open_orders()) == [599_600, 599_900]
    for order in rig.venue.open_orders():
        rig.venue.fill(order.place.client_id, 100)
    rig.run(20 * MS)
    assert rig.parent().filled == 100
    assert rig.report().status == "filled"


def test_fewer_levels_where_their_parts_would_be_below_the_minimum() -> None:
    rig = Rig(instrument=rules(min_lots=40))
    send(rig, "scaled", "59990", levels=10, width_bps=5.0)
    assert lots(rig) == [50, 50]


def test_a_scaled_order_needs_a_limit() -> None:
    rig = Rig()
    send(rig, "scaled")
    assert "limit price" in denied(rig)


# --- snipe ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "limit", "bid"), [("buy", "59990", 59_989.0), ("sell", "60010", 60_011.0)]
)
def test_a_snipe_shows_nothing_until_its_price_is_there(side: str, limit: str, bid: float) -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    send(rig, "snipe", limit, side=side)
    rig.run(2 * SECOND)
    assert rig.venue.placed == []
    assert rig.report().reason_code == "NOT_MARKETABLE"
    rig.book(bid, round(bid + 0.1, 1))
    rig.run(100 * MS)
    (order,) = rig.venue.placed
    assert (order.time_in_force, order.price_ticks) == ("IOC", int(Decimal(limit) * 10))
    assert rig.report().status == "filled"


def test_a_snipe_waits_for_enough_and_for_a_narrow_spread() -> None:
    rig = Rig()
    send(rig, "snipe", "60000", quantity="0.5", min_share_pct=100.0, max_spread_bps=1.0)
    rig.book(59_990.0, 59_999.9, size=0.05)  # the spread, and 0.1 within the limit
    rig.run(1 * SECOND, refresh_ns=0)
    assert rig.venue.placed == []
    rig.book(59_999.8, 59_999.9, size=0.2)  # two levels within the limit: 0.4
    rig.run(1 * SECOND, refresh_ns=0)
    assert rig.venue.placed == []
    rig.book(59_999.8, 59_999.9, size=0.3)
    rig.run(100 * MS)
    assert rig.venue.placed[0].price_ticks == 600_000


def test_a_snipe_needs_a_limit() -> None:
    rig = Rig()
    send(rig, "snipe")
    assert "limit" in denied(rig)


# --- fill or kill ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algo", "how"),
    [("fill_or_kill", "GTC"), ("fill_or_kill", "FOK"), ("chase_limit", "FOK"), ("limit", "FOK")],
)
def test_fill_or_kill_is_one_order_for_all_of_it(algo: str, how: str) -> None:
    rig = Rig(config(KILLS))
    rig.venue.partial_share = 0.0
    send(rig, algo, "60010", time_in_force=how)
    (order,) = rig.venue.placed
    assert (order.time_in_force, order.quantity_lots) == ("FOK", 100)
    assert rig.report().status == "filled"


def test_nothing_of_it_is_left_where_the_venue_cannot_fill_it() -> None:
    rig = Rig(config(KILLS))
    rig.venue.fill_at_once = False
    send(rig, "fill_or_kill", "60010")
    rig.run(2 * SECOND)
    assert len(rig.venue.placed) == 1
    assert (rig.report().status, rig.report().reason_code) == ("expired", "NOT_FILLED")


def test_a_venue_that_rejects_what_it_cannot_fill_is_not_at_fault() -> None:
    """Binance USD-M rejects it instead of accepting and expiring it; five rejects would trip a breaker."""
    rig = Rig(config(KILLS))
    for number in range(6):
        name = f"k{number}"
        made = signal(name, algo="fill_or_kill", limit_price=Decimal(60_010), created_ns=rig.now)
        rig.send(made)
        sent = rig.venue.placed[-1]
        rejected = OrderRejected(
            venue=sent.venue,
            symbol=sent.symbol,
            client_id=sent.client_id,
            code="NOT_FILLED",
            text="the FOK order has been rejected",
        )
        rig.send(rejected)
        assert (rig.report(name).status, rig.report(name).reason_code) == ("expired", "NOT_FILLED")
    assert not [note for note in rig.notes if note.event == "tripped"]
    assert rig.engine.risk.effective_state(VENUE, SYMBOL, "test") == "ACTIVE"


def test_one_that_cannot_be_filled_now_is_not_sent() -> None:
    rig = Rig(config(KILLS))
    send(rig, "fill_or_kill", "59990")
    assert rig.venue.placed == []
    assert (rig.report().status, rig.report().reason_code) == ("expired", "NOT_MARKETABLE")


def test_it_is_never_cut_to_what_the_gate_permits() -> None:
    limits = config().limits
    rig = Rig(config(KILLS, limits=replace(limits, depth_participation_bps=10.0)))
    send(rig, "fill_or_kill", "60010", quantity="0.5")
    rig.run(2 * SECOND)
    assert rig.venue.placed == []
    assert rig.report().status in {"expired", "rejected"}


@pytest.mark.parametrize(("algo", "how"), [("fill_or_kill", "GTC"), ("limit", "FOK")])
def test_a_venue_without_such_orders_is_reported_to_its_sender(algo: str, how: str) -> None:
    rig = Rig()
    send(rig, algo, "60010", time_in_force=how)
    assert "fill-or-kill" in denied(rig)
    assert "use IOC" in rig.report().reason


# --- larger than the depth check permits ----------------------------------------------------------


@pytest.mark.parametrize(
    "algo", ["chase_limit", "iceberg", "twap", "peg", "marketable_limit", "limit"]
)
def test_an_entry_too_large_for_the_depth_is_worked_in_slices(algo: str) -> None:
    shallow = config().limits
    limits = replace(shallow, depth_participation_bps=1_000.0)
    for sliced in (False, True):
        rig = Rig(config(limits=limits, slice_entries=sliced))
        rig.book(60_000.0, 60_000.1, size=0.2)  # 1 BTC a side, so 0.1 passes
        limit = {"iceberg": "59999", "limit": "59999"}.get(algo)
        params: dict[str, Any] = {"clip_pct": 100.0} if algo == "iceberg" else {}
        if algo == "twap":
            params = {"slices": 1}
        send(rig, algo, limit, quantity="0.5", **params)
        if not sliced:
            assert rig.report().reason_code == "DEPTH_PARTICIPATION"
            continue
        for _ in range(20):
            rig.book(60_000.0, 60_000.1, size=0.2)
            rig.run(300 * MS, refresh_ns=0)
            for order in rig.venue.open_orders():
                rig.venue.fill(order.place.client_id, 500)
        assert max(lots(rig)) <= 100
        assert rig.report().status == "filled"
