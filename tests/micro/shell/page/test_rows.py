"""What the page is made from: rows with versions, samples, headroom, costs."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from engine_kit import MS, SECOND, SYMBOL, VENUE, signal
from hypothesis import given
from hypothesis import strategies as st
from page_kit import PageRun

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.risk.types import RiskRequest
from citadel_micro.shell.page.board import GONE_KEPT, Board
from citadel_micro.shell.page.costs import Costs
from citadel_micro.shell.page.headroom import headroom
from citadel_micro.shell.page.history import COURSES, CURVE_POINTS, Course, Curve, History
from citadel_micro.shell.page.sections import how_to_reset, trip_rows
from citadel_micro.shell.page.view import TICK_S, Live
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    import pytest

Sections = dict[str, dict[str, dict[str, int]]]
ROWS = st.dictionaries(st.sampled_from("abcd"), st.builds(lambda v: {"v": v}, st.integers(0, 2)))


@given(
    st.lists(st.tuples(st.sampled_from(["x", "y"]), ROWS, st.booleans()), max_size=30),
)
def test_a_viewer_that_looks_now_and_then_has_the_board(
    steps: list[tuple[str, dict[str, Any], bool]],
) -> None:
    board = Board()
    truth: Sections = {}
    shown: Sections = {}
    version = 0

    def look() -> None:
        nonlocal version
        news = board.since(version)
        assert news is not None
        version = board.version
        for section, rows in news[0].items():
            shown.setdefault(section, {}).update(rows)
        for section, keys in news[1].items():
            for key in keys:
                shown.get(section, {}).pop(key, None)
        assert {name: rows for name, rows in shown.items() if rows} == {
            name: rows for name, rows in truth.items() if rows
        }
        assert board.since(version) == ({}, {})

    for section, rows, looks in steps:
        board.put(section, rows)
        truth[section] = rows
        if looks:
            look()
    look()


def test_equal_rows_are_no_news() -> None:
    board = Board()
    board.put("x", {"a": {"v": 1}})
    version = board.version
    board.put("x", {"a": {"v": 1}})
    assert board.version == version


def test_a_viewer_that_missed_too_many_removals_is_sent_everything() -> None:
    board = Board()
    board.put("x", {"a": {}})
    seen = board.version
    for number in range(GONE_KEPT + 2):
        board.put("y", {str(number): {}})
    assert board.since(seen) is None
    news = board.since(board.version - 1)
    assert news is not None
    assert news[1] == {"y": [str(GONE_KEPT)]}


def test_the_curve_has_the_whole_run_in_few_points() -> None:
    curve = Curve()
    now = 0
    for _ in range(20_000):
        now += SECOND
        if curve.due(now):
            curve.add(now, now / SECOND, 0.0)
    assert CURVE_POINTS // 2 - 1 <= len(curve.points) < CURVE_POINTS
    assert curve.points[0][0] == 1_000
    times = [point[0] for point in curve.points]
    assert times == sorted(times)
    assert now // MS - times[-1] < 1_000 * 2**curve.thinned + 1_000


def test_a_course_keeps_what_moves() -> None:
    course = Course()
    for ms in range(0, 1_000, 250):
        course.add((ms, 1.0, 2.0, None, None))
    course.add((1_000, 1.0, 2.0, 1.5, 1.5))
    assert [point[0] for point in course.points] == [0, 1_000]
    assert course.after(0) == [(1_000, 1.0, 2.0, 1.5, 1.5)]
    assert course.after(1_000) == []
    assert course.last_ms == 1_000


def rows(run: PageRun) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in headroom(run.engine)}


def judged(run: PageRun, lots: int) -> dict[str, Decimal]:
    """What the gate counts as used with one more buy."""
    request = RiskRequest(
        scope="parent",
        venue=VENUE,
        symbol=SYMBOL,
        strategy="other",
        side="buy",
        quantity_lots=lots,
        exposure_lots=lots,
        price_ticks=None,
        post_only=False,
        reduce_only=False,
        ioc=False,
        parent_id="other",
        signal_created_ns=run.now,
        signal_expires_ns=run.now + SECOND,
    )
    verdict = run.engine.risk.judge(request, run.engine.view, run.now)
    return {row[1]: row[3] for row in verdict.rows if isinstance(row[3], Decimal)}


def test_headroom_is_what_the_gate_counts() -> None:
    run = PageRun()
    run.send(signal("s1"))  # buys 0.5
    run.run(20 * MS)
    (child,) = run.engine.order_store.known["s1"].live
    run.venue.fill(child.client_id, 200)
    run.run(20 * MS)
    lots = 100
    mid = Decimal("60000.05")
    found = rows(run)
    counted = judged(run, lots)
    more = Decimal(lots) * Decimal("0.001") * mid
    for name, code in (
        ("gross exposure", RiskCode.GROSS),
        ("net exposure", RiskCode.NET),
        ("venue exposure", RiskCode.VENUE),
    ):
        assert found[name]["used"] == float(counted[code] - more), name
    assert found["position"]["used"] == float(Decimal("0.5") * mid)
    assert found["open orders"]["used"] == 1
    assert found["one order"] == {
        "name": "one order",
        "scope": "",
        "used": None,
        "limit": 50_000.0,
        "unit": "USDT",
        "per_order": True,
    }


def test_what_cannot_be_valued_is_unknown_and_not_nothing() -> None:
    run = PageRun()
    run.send(signal("s1"))
    run.run(20 * MS)
    run.engine.portfolio.mark(VENUE, SYMBOL, None)
    found = rows(run)
    for name in ("gross exposure", "net exposure", "venue exposure", "position"):
        assert found[name]["used"] is None, name


def test_costs_are_counted_once_and_weighted_by_worth() -> None:
    run = PageRun()
    costs = Costs(run.vitals)
    assert not costs.turn()
    for number, lots in enumerate((500, 100)):
        name = f"s{number}"
        quantity = Decimal(lots) / 1_000
        created = {"created_ns": run.now, "expires_ns": run.now + 10 * SECOND}
        run.send(signal(name, quantity=quantity, **created))
        run.run(20 * MS)
        assert not costs.turn()
        (child,) = run.engine.order_store.known[name].live
        run.venue.fill(child.client_id, lots)
        run.run(100 * MS)
        assert costs.turn()
        assert not costs.turn()
    (row,) = costs.rows()
    assert (row["orders"], row["filled"], row["maker"]) == (2, 2, 1.0)
    # Both bought at the bid, 0.05 below the mid, and paid 10 bps.
    worth = 0.6 * 60_000.05
    assert row["worth"] == round(worth, 6)
    assert abs(row["bps"] - (10 - 1e4 * 0.05 / 60_000.05)) < 0.01


def test_orders_of_before_the_first_look_are_counted_too() -> None:
    run = PageRun()
    run.send(signal("s1"))
    run.run(20 * MS)
    (child,) = run.engine.order_store.known["s1"].live
    run.venue.fill(child.client_id, 500)
    run.run(100 * MS)
    costs = Costs(run.vitals)
    assert costs.turn()
    assert [row["filled"] for row in costs.rows()] == [1]


def test_every_trip_says_how_it_ends() -> None:
    run = PageRun()
    breakers = run.engine.risk.breakers
    for code in ("STALE_FEED", "REJECT_BURST", "DAILY_LOSS", "OVERFILL", "OPERATOR_KILL"):
        breakers.trip(code, "global", "why", run.now)
    ends = {row["code"]: (row["by_hand"], row["how"]) for row in trip_rows(run.engine).values()}
    assert ends["STALE_FEED"] == (False, "resets by itself after 10 s in good order")
    assert ends["REJECT_BURST"] == (False, "resets by itself 60 s after the last time")
    assert ends["DAILY_LOSS"][0]
    assert not ends["OVERFILL"][0]
    assert "reconciliation" in ends["OVERFILL"][1]
    assert ends["OPERATOR_KILL"][0]
    assert "twice" in ends["OPERATOR_KILL"][1]
    breakers.reconciled(VENUE)
    for trip in breakers.trips:
        if trip.reset_class not in ("automatic", "timed"):
            assert trip_rows(run.engine)[trip.trip_id]["by_hand"], trip.code
            breakers.reset(trip.trip_id, "r", run.now)
    after = {trip.code: how_to_reset(trip, SECOND, SECOND) for trip in breakers.trips}
    assert after["DAILY_LOSS"] == "ends after 3 more clean orders; entries are smaller until then"
    assert after["OPERATOR_KILL"] == "reset it with a reason; trading goes on in probation"


def test_of_many_books_some_are_read_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citadel_micro.shell.page.view.BOOKS_IN_TURN", 3)
    run = PageRun()
    for number in range(10):
        symbol = f"C{number}/USDT"
        run.engine.markets[VENUE, symbol] = MarketBook(VENUE, symbol, "range_bridge_spot")
    now = 100.0
    live = Live(run.vitals, History(run.vitals, None), lambda: now)  # type: ignore[arg-type]
    live.refresh()
    assert len(live.board.rows("books")) == 11
    for market in run.engine.markets.values():
        market.reason = "new"
    seen: list[int] = []
    for _ in range(40):
        now += TICK_S
        live.refresh()
        seen.append(sum(row["reason"] == "new" for row in live.board.rows("books").values()))
    assert seen[-1] == 11
    steps = [after - before for before, after in pairwise([0, *seen])]
    assert max(steps) <= 3


def test_courses_are_few() -> None:
    run = PageRun()
    history = History(run.vitals, None)  # type: ignore[arg-type]  # no timer is started
    for number in range(COURSES + 5):
        created = {"created_ns": run.now, "expires_ns": run.now + 10 * SECOND}
        run.send(signal(f"s{number}", quantity=Decimal("0.01"), **created))
        run.run(20 * MS)
        history.sample()
    assert len(history.courses) == COURSES
    assert f"s{COURSES + 4}" in history.courses
