"""TWAP, VWAP and POV: what is released when, and how each part is worked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, rules, signal

from citadel_micro.core.algos import algorithm
from citadel_micro.core.algos.sliced import Sliced
from citadel_micro.core.model.events import FeedStatus
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value
    from citadel_micro.core.model.commands import PlaceOrder


def send(rig: Rig, algo: str, *, quantity: str = "0.1", side: str = "buy", **params: Value) -> None:
    rig.send(
        signal(
            algo=algo,
            side=side,
            quantity=Decimal(quantity),
            params=tuple(sorted(params.items())),
            expires_ns=START + 3_600 * SECOND,
        )
    )


def fill_all(rig: Rig) -> None:
    """Everything that is out fills; the book is confirmed, which short runs of time do not."""
    rig.run(10 * MS)
    rig.book(rig.bid, rig.ask)
    for order in rig.venue.open_orders():
        rig.venue.fill(order.place.client_id, 10_000)
    rig.run(20 * MS)


def lots(rig: Rig) -> list[int]:
    return [order.quantity_lots for order in rig.venue.placed]


# --- the clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_twap_releases_equal_parts_at_equal_times(side: str) -> None:
    rig = Rig()
    send(rig, "twap", side=side, time_limit_ms=10_000, slices=5, random_pct=0)
    rig.run(20 * MS)
    for number in range(1, 6):
        assert lots(rig) == [20] * number
        fill_all(rig)
        rig.run(2 * SECOND)
    assert rig.report().status == "filled"
    assert all(order.post_only for order in rig.venue.placed)


def test_what_a_part_leaves_is_worked_with_the_next() -> None:
    rig = Rig()
    send(rig, "twap", time_limit_ms=10_000, slices=5, random_pct=0, urgency="passive")
    rig.run(4_100 * MS)
    assert lots(rig) == [20]  # it rests, and three parts are due
    fill_all(rig)
    assert lots(rig) == [20, 40]


def test_a_late_part_crosses_before_its_end_where_it_may() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    send(rig, "twap", time_limit_ms=10_000, slices=5, random_pct=0, late="cross")
    rig.run(1_700 * MS)
    assert rig.parent().filled == 0
    rig.run(300 * MS)
    assert [(o.quantity_lots, o.time_in_force) for o in rig.venue.placed][-1] == (20, "IOC")
    assert rig.parent().filled == 20
    rig.run(8 * SECOND)
    assert rig.report().status == "filled"


def test_the_end_of_its_time_cancels_or_crosses_the_rest() -> None:
    for on_timeout, status in (("cancel", "expired"), ("cross_ioc", "filled")):
        rig = Rig()
        rig.venue.partial_share = 0.0
        send(rig, "twap", time_limit_ms=5_000, urgency="passive", on_timeout=on_timeout)
        rig.run(6 * SECOND)
        assert rig.report().status == status
        assert rig.venue.open_orders() == []


def test_parts_below_the_minimum_are_joined() -> None:
    rig = Rig(instrument=rules(min_lots=30))
    send(rig, "twap", time_limit_ms=10_000, slices=10, random_pct=0)
    for _ in range(100):
        rig.run(100 * MS)
        fill_all(rig)
    assert rig.report().status == "filled"
    assert sum(lots(rig)) == 100
    assert all(size >= 30 for size in lots(rig))


def test_times_and_sizes_vary_by_the_orders_own_numbers() -> None:
    def parts(name: str) -> list[tuple[int, int]]:
        rig = Rig()
        params = (("random_pct", 100), ("slices", 5), ("time_limit_ms", 10_000))
        made = signal(name, algo="twap", params=params, expires_ns=START + 3_600 * SECOND)
        rig.send(made)
        seen: list[tuple[int, int]] = []
        for _ in range(1_000):
            rig.run(10 * MS)
            rig.book(rig.bid, rig.ask)
            for order in rig.venue.open_orders():
                seen.append(((rig.now - START) // (100 * MS), order.quantity_lots))
                rig.venue.fill(order.place.client_id, 10_000)
        assert rig.report(name).status == "filled"
        return seen

    one, again, other = parts("a"), parts("a"), parts("b")
    assert one == again
    assert one != other
    assert len({size for _, size in one}) > 1
    assert sum(size for _, size in one) == 500


def test_a_curve_never_falls_and_ends_with_everything() -> None:
    for name in ("x1", "x2", "x3"):
        rig = Rig()
        params = (
            ("profile", "5,0,1"),
            ("random_pct", 100),
            ("slices", 7),
            ("time_limit_ms", 7_000),
        )
        rig.send(signal(name, algo="vwap", params=params, expires_ns=START + 3_600 * SECOND))
        parent, inst = rig.parent(name), rig.engine.inst_states[KEY]
        algo = parent.algo
        assert isinstance(algo, Sliced)
        seen = [
            algo.released(parent, inst, parent.accepted_ns + ms * MS) for ms in range(0, 7_001, 10)
        ]
        assert seen == sorted(seen)
        assert 0 <= seen[0] < seen[-1] == parent.target


# --- volume ---------------------------------------------------------------------------------------


def test_vwap_follows_its_profile() -> None:
    rig = Rig()
    send(rig, "vwap", time_limit_ms=4_000, slices=4, random_pct=0, profile="4, 1, 0, 5")
    for _ in range(40):
        fill_all(rig)
        rig.run(100 * MS)
    assert lots(rig) == [40, 10, 50]
    assert rig.report().status == "filled"


def test_vwap_follows_the_volume_that_is_expected() -> None:
    rig = Rig()
    send(rig, "vwap", time_limit_ms=60_000, expected_volume=10.0, clip_pct=10)
    rig.run(100 * MS)
    assert lots(rig) == []
    rig.trade(60_000.0, 2.0)
    assert lots(rig) == [20]
    fill_all(rig)
    rig.trade(60_000.0, 0.5)  # less than a clip
    assert lots(rig) == [20]
    rig.trade(60_000.0, 0.5)
    assert lots(rig) == [20, 10]
    fill_all(rig)
    rig.trade(60_000.0, 50.0)
    assert lots(rig) == [20, 10, 70]


def test_the_expected_volume_is_in_coins_where_the_book_counts_contracts() -> None:
    rig = Rig(instrument=rules(kind="linear", contract_size=Decimal("0.01"), lot=Decimal(1)))
    send(rig, "vwap", quantity="0.5", time_limit_ms=60_000, expected_volume=10.0, clip_pct=10)
    rig.trade(60_000.0, 200.0)  # contracts: 2 coins
    assert lots(rig) == [10]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_pov_takes_part_in_what_trades(side: str) -> None:
    rig = Rig()
    send(rig, "pov", side=side, rate_pct=10.0, clip_pct=5, time_limit_ms=60_000)
    rig.run(1 * SECOND)
    assert lots(rig) == []  # no volume, no part of it
    rig.trade(60_000.0, 0.3)
    assert lots(rig) == [30]
    fill_all(rig)
    rig.trade(60_000.0, 0.04)
    assert lots(rig) == [30]
    rig.trade(60_000.0, 0.06)
    assert lots(rig) == [30, 10]
    rig.run(61 * SECOND)
    assert rig.report().status == "expired"
    assert rig.report().filled == Decimal("0.03")


def test_volume_before_a_restart_counts_once_and_none_is_invented() -> None:
    rig = Rig()
    rig.trade(60_000.0, 7.0)  # before it arrived
    send(rig, "pov", rate_pct=10.0, clip_pct=1, time_limit_ms=600_000)
    rig.trade(60_000.0, 0.3)
    fill_all(rig)
    assert rig.parent().filled == 30
    rig.restart()
    rig.run(1 * SECOND)
    assert lots(rig) == [30]
    rig.trade(60_000.0, 0.1)
    assert lots(rig) == [30, 10]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "no volume to weigh by"),
        ({"profile": "1", "expected_volume": 3.0}, "both"),
        ({"profile": "0, 0"}, "above 0"),
        ({"profile": "1; 2"}, "numbers from 0"),
        ({"profile": "1, -2"}, "numbers from 0"),
        ({"profile": "nan"}, "numbers from 0"),
        ({"profil": "1"}, "did you mean profile"),
        ({"expected_volume": -1.0}, "at least 0"),
    ],
)
def test_a_vwap_without_volume_or_with_a_wrong_one_is_rejected(
    params: dict[str, Any], text: str
) -> None:
    rig = Rig()
    send(rig, "vwap", **params)
    report = rig.report()
    assert (report.status, report.reason_code) == ("rejected", "BAD_PARAMETER")
    assert text in report.reason
    assert rig.venue.placed == []


# --- late parts -----------------------------------------------------------------------------------

LATE: dict[str, dict[str, Any]] = {
    "twap": {"time_limit_ms": 10_000, "slices": 5, "random_pct": 100},
    "vwap": {"time_limit_ms": 10_000, "slices": 5, "random_pct": 100, "profile": "1, 2"},
    "pov": {"time_limit_ms": 10_000, "part_ms": 60_000, "rate_pct": 50.0, "clip_pct": 1},
}
"""Each with a part whose own time reaches beyond the order's."""


def crossed_ms(rig: Rig, until_ms: int) -> list[int]:
    """When immediate orders were sent, while whatever is released rests and does not fill."""
    rig.venue.partial_share = 0.0
    at, seen = [], 0
    while rig.now < START + until_ms * MS:
        rig.run(10 * MS)
        rig.book(rig.bid, rig.ask)
        sent = sum(order.time_in_force == "IOC" for order in rig.venue.placed)
        at += [(rig.now - START) // MS] * (sent - seen)
        seen = sent
    return at


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("name", LATE)
def test_a_part_with_more_time_than_its_order_crosses_before_the_end(name: str, side: str) -> None:
    rig = Rig()
    send(rig, name, side=side, late="cross", late_by_end=True, **LATE[name])
    rig.trade(60_000.0, 0.2)
    at = crossed_ms(rig, 9_700)
    assert at
    assert 8_900 <= at[-1] < 9_200
    assert (rig.report().status, rig.report().filled) == ("filled", Decimal("0.100"))


@pytest.mark.parametrize("name", LATE)
def test_in_a_journal_of_before_its_order_ended_first(name: str) -> None:
    rig = Rig()
    send(rig, name, late="cross", **LATE[name])
    rig.trade(60_000.0, 0.2)
    assert all(ms < 8_900 for ms in crossed_ms(rig, 11_000))
    assert rig.report().status == "expired"
    assert rig.report().filled < Decimal("0.1")


@pytest.mark.parametrize("name", LATE)
def test_a_part_carried_on_is_not_crossed(name: str) -> None:
    rig = Rig()
    send(rig, name, late="carry", late_by_end=True, **LATE[name])
    rig.trade(60_000.0, 0.2)
    assert crossed_ms(rig, 11_000) == []
    assert rig.report().status == "expired"


@pytest.mark.parametrize(("keeps", "crosses"), [(True, 5_400), (False, 9_000)])
@pytest.mark.parametrize("name", ["twap", "pov"])
def test_a_restart_begins_the_time_of_no_part_anew(name: str, keeps: bool, crosses: int) -> None:
    its: dict[str, Any] = {"slices": 5, "random_pct": 0}
    if name == "pov":
        its = {"part_ms": 6_000}
    rig = Rig()
    limit_ms = 30_000 if name == "twap" else 60_000
    send(rig, name, late="cross", late_by_end=keeps, time_limit_ms=limit_ms, **its)
    rig.trade(60_000.0, 0.2)
    rig.run(3_600 * MS, refresh_ns=500 * MS)
    rig.restart()
    at = crossed_ms(rig, 10_000)
    assert at
    assert crosses <= at[0] < crosses + 100


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["twap", "vwap", "pov"])
def test_without_a_book_nothing_is_placed_and_what_rests_is_withdrawn(name: str) -> None:
    rig = Rig()
    extra: dict[str, Any] = {"profile": "1, 1"} if name == "vwap" else {}
    send(rig, name, time_limit_ms=60_000, **extra)
    rig.trade(60_000.0, 5.0)
    rig.run(20 * MS)
    assert len(rig.venue.open_orders()) == 1
    rig.send(FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="cut"))
    rig.run(4 * SECOND, refresh_ns=0)
    assert rig.venue.open_orders() == []


@pytest.mark.parametrize("name", ["twap", "vwap", "pov"])
def test_none_of_its_prices_passes_the_limit(name: str) -> None:
    rig = Rig()
    extra: dict[str, Any] = {"profile": "1, 1"} if name == "vwap" else {}
    params = {"time_limit_ms": 5_000, "urgency": "cross", "on_timeout": "cross_ioc", **extra}
    limit = Decimal("60000.0")
    rig.send(signal(algo=name, limit_price=limit, params=tuple(sorted(params.items()))))
    for bid in (60_000.5, 60_002.0, 59_999.0, 60_001.0):
        rig.trade(bid, 0.5)
        rig.book(bid, round(bid + 0.1, 1))
        rig.run(1_300 * MS)
    placed: list[PlaceOrder] = rig.venue.placed
    assert placed
    assert all(order.price_ticks <= 600_000 for order in placed)


def test_the_page_of_an_unknown_algorithm_names_them() -> None:
    with pytest.raises(BadInput, match="twap, vwap, pov"):
        algorithm("twop")
