"""Budgets: what the venue counts, what is kept for cancels, and pauses that hold for all."""

from __future__ import annotations

import pytest

from citadel_micro.shell.venue.request_budget import RequestBudget

S = 1_000_000_000
START = 1_800_000_000 * S


def budget() -> RequestBudget:
    return RequestBudget({("weight", 60): 100, ("orders", 10): 10})


def test_orders_leave_a_fifth_to_cancels_and_a_tenth_of_it_to_queries() -> None:
    made = budget()
    made.spend({"weight": 80}, START)
    assert made.wait_ns("place", {"weight": 1, "orders": 1}, START) == 60 * S
    assert made.wait_ns("query", {"weight": 4}, START) == 0
    made.spend({"weight": 10}, START)
    assert made.wait_ns("query", {"weight": 4}, START) == 60 * S
    assert made.wait_ns("cancel", {"weight": 10}, START) == 0
    assert made.wait_ns("cancel", {"weight": 11}, START) == 60 * S


def test_a_window_begins_anew_with_the_venues_minute() -> None:
    made = budget()
    made.spend({"weight": 100}, START)
    assert made.wait_ns("cancel", {"weight": 1}, START + 59 * S) == S
    assert made.wait_ns("cancel", {"weight": 1}, START + 60 * S) == 0


def test_the_venues_count_replaces_ours() -> None:
    made = budget()
    made.spend({"orders": 1}, START)
    made.told("orders", 10, 0, START)  # a fill gives it back
    assert made.used()["orders/10s"] == (0, 10)
    made.told("orders", 10, 8, START, limit=50)
    assert made.wait_ns("place", {"orders": 1}, START) == 0
    assert made.used()["orders/10s"] == (8, 50)


def test_a_window_that_the_venue_names_is_taken_up() -> None:
    made = budget()
    made.told("orders", 86_400, 5, START, limit=5)
    assert made.wait_ns("cancel", {"orders": 1}, START) > 0
    made.told("raw", 300, 5, START)  # without its limit there is nothing to compare with
    assert "raw/300s" not in made.used()


@pytest.mark.parametrize(
    ("told_s", "banned", "length_s"),
    [(7, False, 7), (0, False, 5), (0, True, 120), (300, True, 300)],
)
def test_a_pause_holds_back_cancels_too(told_s: int, banned: bool, length_s: int) -> None:
    made = budget()
    made.pause(told_s, START, "429", banned=banned)
    for purpose in ("place", "amend", "cancel", "query", "upkeep"):
        assert made.wait_ns(purpose, {}, START) == length_s * S
        assert made.wait_ns(purpose, {}, START + length_s * S) == 0


def test_too_many_orders_hold_back_orders_alone() -> None:
    made = budget()
    made.pause(3, START, "-1015", orders_only=True)
    assert made.wait_ns("place", {}, START) == 3 * S
    assert made.wait_ns("amend", {}, START) == 3 * S
    assert made.wait_ns("cancel", {}, START) == 0
    assert made.wait_ns("query", {}, START) == 0
    assert made.wait_ns("place", {}, START + 3 * S) == 0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    made = budget()
    made.pause(60, START, "418", banned=True)
    made.pause(1, START, "429")
    assert made.wait_ns("cancel", {}, START) == 60 * S
    assert made.reason == "418"


def test_a_counter_is_given_back_steadily() -> None:
    made = RequestBudget({}, {"calls": (10, 2.0)})
    now_ns = START
    assert made.wait_ns("cancel", {"calls": 10}, now_ns) == 0
    made.spend({"calls": 10}, now_ns)
    assert made.wait_ns("cancel", {"calls": 4}, now_ns) == pytest.approx(2 * S, abs=2)
    assert made.wait_ns("cancel", {"calls": 4}, now_ns + 2 * S) == 0
    # Queries leave a tenth of it, orders a fifth.
    assert made.wait_ns("query", {"calls": 4}, now_ns + 2 * S) > 0
    assert made.wait_ns("cancel", {"weight": 4}, now_ns) == 0
    assert made.used()["calls"] == (6, 10)


def test_a_request_dearer_than_its_share_waits_for_an_empty_counter() -> None:
    made = RequestBudget({}, {"calls": (5, 1.0)})
    now_ns = START
    assert made.wait_ns("query", {"calls": 5}, now_ns) == 0
    made.spend({"calls": 5}, now_ns)
    assert made.wait_ns("query", {"calls": 5}, now_ns) == pytest.approx(5 * S, abs=2)


def test_a_venue_may_allow_more_than_was_thought() -> None:
    made = RequestBudget({}, {"calls": (5, 1.0)})
    now_ns = START
    made.spend({"calls": 5}, now_ns)
    made.widen("calls", 20, 4.0)
    made.widen("others", 20, 4.0)
    assert made.wait_ns("cancel", {"calls": 15}, now_ns) == 0
    assert set(made.used()) == {"calls"}


def test_audits_leave_room_for_the_search_of_an_order() -> None:
    made = RequestBudget({}, {"calls": (15, 0.33)})
    for _ in range(20):  # as often as one is permitted
        if not made.wait_ns("audit", {"calls": 2}, START):
            made.spend({"calls": 2}, START)
    assert made.wait_ns("query", {"calls": 4}, START) == 0


def test_a_venue_clock_that_was_wrong_for_a_while_locks_nothing_up() -> None:
    made = RequestBudget({("orders", 10): 10}, {"calls": (10.0, 1.0)})
    hour = 3_600 * S
    made.spend({"orders": 8, "calls": 8}, START + hour)  # by a clock that was an hour ahead
    made.pause(5.0, START + hour, "429")
    made.pause(7.0, START + hour, "-1015", orders_only=True)
    assert made.pause_ns(START) == 5 * S
    assert made.wait_ns("place", {"orders": 1}, START + 5 * S) == 7 * S
    made = RequestBudget({("orders", 10): 10}, {"calls": (10.0, 1.0)})
    made.spend({"orders": 8, "calls": 8}, START + hour)
    assert made.wait_ns("place", {"orders": 1, "calls": 1}, START) == S + 1
    assert made.wait_ns("place", {"orders": 1, "calls": 1}, START + 2 * S) == 0
    # Back by less than a window: that one is not given out twice.
    made = RequestBudget({("orders", 10): 10})
    made.spend({"orders": 8}, START)
    assert made.wait_ns("place", {"orders": 1}, START - S) > 0


def test_queries_wait_longer_each_time_where_the_venue_says_not_how_long() -> None:
    """Asked again every five seconds until it banned the address; exits wait five seconds each time."""
    made = budget()
    now, waits = START, []
    for _ in range(6):
        made.pause(0, now, "429")
        made.pause(0, now, "429")  # of a second request that was under way
        waits.append(made.wait_ns("query", {}, now) // S)
        assert made.wait_ns("audit", {}, now) // S == waits[-1]
        assert made.wait_ns("place", {}, now) == made.wait_ns("cancel", {}, now) == 5 * S
        assert made.wait_ns("upkeep", {}, now) == 5 * S
        now += waits[-1] * S
    assert waits == [5, 10, 20, 40, 60, 60]
    now += 60 * S
    made.pause(0, now, "429")
    assert made.wait_ns("query", {}, now) == 5 * S


def test_a_pause_that_the_venue_tells_is_as_long_for_queries() -> None:
    made = budget()
    for start in range(3):
        now = START + 10 * start * S
        made.pause(7, now, "429")
        assert made.wait_ns("query", {}, now) == 7 * S
