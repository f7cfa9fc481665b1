"""Row 16, budgets and the breakers of conduct, on a whole engine: what trips, what waits, what leaves."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal

from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.events import LimitsChanged
from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults

BTC = f"symbol:{VENUE}:{SYMBOL}"


def limits(**changes: object) -> RiskLimits:
    values: dict[str, object] = {
        "lease_required": False,
        "max_open_orders": 1_000,
        "depth_participation_bps": 10_000.0,
    }
    return paper_defaults(**{**values, **changes})


def rig_of(**changes: object) -> Rig:
    return Rig(config(limits=limits(**changes)))


def ask(rig: Rig, name: str, **changes: object) -> str:
    """Send a signal; the reason code of its report."""
    times = {"created_ns": rig.now, "expires_ns": rig.now + 10 * SECOND}
    rig.send(signal(name, **{"quantity": Decimal("0.1"), **times, **changes}))
    return rig.report(name).reason_code


def take(rig: Rig, name: str, side: str, quantity: str = "0.1") -> str:
    """An immediate order, filled."""
    rig.venue.partial_share = 0.0
    code = ask(
        rig,
        name,
        side=side,
        quantity=Decimal(quantity),
        algo="marketable_limit",
        order_type="market",
    )
    rig.run(100 * MS)
    return code


def state(rig: Rig, scope: str) -> tuple[str, str]:
    trip = rig.engine.risk.breakers.worst(scope)
    return ("ACTIVE", "") if trip is None else (trip.state, trip.code)


# --- repetitions ------------------------------------------------------------------------------


def test_the_same_order_again_and_again_is_denied_until_the_window_has_passed() -> None:
    rig = rig_of(max_identical_orders=2)
    assert [ask(rig, f"s{n}") for n in range(3)] == ["", "", "DUPLICATE_ORDER"]
    assert ask(rig, "larger", quantity=Decimal("0.2")) == ""
    assert ask(rig, "other", strategy="other") == ""
    rig.run(10 * SECOND)
    assert ask(rig, "later") == ""


def test_one_entry_too_many_trips_its_symbol_until_a_person_resets_it() -> None:
    rig = rig_of(max_repeated_entries=3)
    codes = [ask(rig, f"s{n}", quantity=Decimal(n) / 10) for n in range(1, 5)]
    assert codes == ["", "", "", "REPEATED_EXECUTION"]
    assert state(rig, BTC) == ("REDUCING", "REPEATED_EXECUTION")
    rig.run(120 * SECOND)  # no cooldown clears it ...
    rig.restart()  # ... and no restart
    rig.run(SECOND)
    assert state(rig, BTC) == ("REDUCING", "REPEATED_EXECUTION")
    assert ask(rig, "still") == "REDUCE_ONLY"
    trip = rig.engine.risk.breakers.worst(BTC)
    assert trip is not None
    rig.operate("reset", trip_id=trip.trip_id, reason="the loop in the strategy is mended")
    assert state(rig, BTC)[0] == "PROBATION"
    assert ask(rig, "again") == ""


def test_entries_of_both_sides_and_of_others_are_counted_apart() -> None:
    rig = rig_of(max_repeated_entries=1)
    assert ask(rig, "one") == ""
    assert ask(rig, "other", strategy="other") == ""
    assert ask(rig, "two", strategy="third", side="sell") == ""
    assert state(rig, BTC)[0] == "ACTIVE"


def test_repetitions_are_remembered_over_a_restart() -> None:
    rig = rig_of(max_identical_orders=2, max_repeated_entries=100)
    ask(rig, "s1")
    ask(rig, "s2")
    rig.restart()
    rig.run(SECOND)
    assert ask(rig, "s3") == "DUPLICATE_ORDER"


def test_an_exit_is_never_one_too_many() -> None:
    rig = rig_of(max_identical_orders=1, max_repeated_entries=1, max_unfilled_messages=1)
    assert take(rig, "in", "buy", "0.3") == ""
    for n in range(3):
        assert take(rig, f"out{n}", "sell") == ""
        assert rig.report(f"out{n}").status == "filled"


# --- messages ---------------------------------------------------------------------------------


def messages(rig: Rig) -> int:
    return len(rig.sent(PlaceOrder)) + len(rig.sent(AmendOrder))


def test_a_strategy_that_sends_too_much_waits_and_goes_on() -> None:
    rig = rig_of(max_messages_per_second=2)
    for n in range(4):
        ask(rig, f"s{n}")
    assert messages(rig) == 2
    assert [rig.report(f"s{n}").reason_code for n in (2, 3)] == ["MESSAGE_RATE"] * 2
    ask(rig, "other", strategy="other")
    assert messages(rig) == 3
    rig.run(1_100 * MS)
    assert messages(rig) == 5


def test_messages_without_a_fill_stop_and_a_fill_opens_the_way() -> None:
    rig = rig_of(max_unfilled_messages=2)
    for n in range(3):
        ask(rig, f"s{n}", algo="limit", limit_price=Decimal(60_000))
    rig.run(SECOND)
    assert messages(rig) == 2
    assert (rig.report("s2").status, rig.report("s2").reason_code) == ("rejected", "ORDER_TO_FILL")
    rig.venue.fill(rig.live("s0").place.client_id, 10)
    rig.run(SECOND)
    assert ask(rig, "s3") == ""
    assert messages(rig) == 3


def test_an_order_at_work_waits_with_its_reprices_while_nothing_fills() -> None:
    rig = rig_of(max_unfilled_messages=2, unfilled_window_ns=20 * SECOND)
    assert ask(rig, "s", quantity=Decimal("0.5")) == ""
    for n in range(1, 8):
        rig.book(60_000.0 + n, 60_000.1 + n)
        rig.run(SECOND)
    assert messages(rig) == 2
    assert rig.report("s").reason_code == "ORDER_TO_FILL"
    rig.run(20 * SECOND)
    assert messages(rig) == 3


def test_a_venue_that_rejects_much_is_left_alone_for_a_while() -> None:
    rig = rig_of(max_venue_rejects=2, reject_burst=100)
    rig.engine.risk.on_venue_reject(VENUE, SYMBOL, rig.now)
    assert ask(rig, "one") == ""
    rig.engine.risk.on_venue_reject(VENUE, SYMBOL, rig.now)
    assert ask(rig, "two") == "REJECT_RATE"
    rig.run(60 * SECOND)
    assert ask(rig, "later") == ""


# --- breakers ---------------------------------------------------------------------------------


def round_trip(rig: Rig, name: str, bought: float, sold: float) -> None:
    rig.book(bought - 0.1, bought)
    take(rig, f"{name}-in", "buy")
    rig.book(sold, sold + 0.1)
    take(rig, f"{name}-out", "sell")


def test_losing_positions_in_a_row_trip_their_symbol_and_lead_to_probation() -> None:
    rig = rig_of(loss_streak=2)
    round_trip(rig, "first", 60_000.0, 59_900.0)  # begins the count: what was before is not known
    round_trip(rig, "won", 60_000.0, 60_400.0)
    round_trip(rig, "lost", 60_000.0, 59_900.0)
    assert state(rig, BTC)[0] == "ACTIVE"
    rig.restart()
    rig.run(SECOND)
    round_trip(rig, "again", 60_000.0, 59_900.0)
    assert state(rig, BTC) == ("REDUCING", "LOSS_STREAK")
    rig.run(61 * SECOND)
    assert state(rig, BTC) == ("PROBATION", "LOSS_STREAK")


def test_a_gain_ends_a_streak() -> None:
    rig = rig_of(loss_streak=2)
    for n in range(3):
        round_trip(rig, f"lost{n}", 60_000.0, 59_900.0)
        round_trip(rig, f"won{n}", 60_000.0, 60_400.0)
    assert state(rig, BTC)[0] == "ACTIVE"


@pytest.mark.parametrize(("bps", "tripped"), [(99.0, True), (101.0, False)])
def test_a_move_within_the_window_trips_in_either_direction(bps: float, tripped: bool) -> None:
    for price in (60_600.0, 59_405.0):
        rig = rig_of(flash_move_bps=bps)
        rig.run(2 * SECOND)
        rig.book(price, price + 0.1)
        rig.run(2 * SECOND)
        assert state(rig, BTC) == (("REDUCING", "FLASH_MOVE") if tripped else ("ACTIVE", ""))


def test_the_same_move_taken_slowly_trips_nothing() -> None:
    rig = rig_of(flash_move_bps=99.0)
    for price in range(60_000, 60_601, 100):
        rig.book(float(price), price + 0.1)
        rig.run(5 * SECOND)
    assert state(rig, BTC)[0] == "ACTIVE"


def test_slow_acknowledgments_in_a_row_trip_the_venue() -> None:
    rig = rig_of(max_ack_ns=50 * MS, slow_acks=3)
    slow = [True, True, False, True, True, True]
    for n, each in enumerate(slow):
        rig.venue.latency_ns = (60 if each else 2) * MS
        assert state(rig, f"venue:{VENUE}")[0] == "ACTIVE"
        ask(rig, f"s{n}")
        rig.run(500 * MS)
    assert state(rig, f"venue:{VENUE}") == ("REDUCING", "LATENCY")
    rig.run(61 * SECOND)
    assert state(rig, f"venue:{VENUE}") == ("PROBATION", "LATENCY")


# --- budgets ----------------------------------------------------------------------------------


def test_a_strategys_holdings_and_orders_spend_its_budget() -> None:
    rig = rig_of(max_strategy_exposure={"test": Decimal(13_000), "*": Decimal(1_000)})
    assert take(rig, "in", "buy") == ""  # 6,000 held
    assert ask(rig, "rest", algo="limit", limit_price=Decimal(60_000)) == ""  # 12,000
    assert ask(rig, "more") == "STRATEGY_BUDGET"
    assert ask(rig, "other", strategy="other", quantity=Decimal("0.01")) == ""
    assert ask(rig, "large", strategy="other") == "STRATEGY_BUDGET"
    rig.restart()
    rig.run(SECOND)
    assert ask(rig, "after") == "STRATEGY_BUDGET"
    rig.cancel("rest")
    rig.run(SECOND)
    assert ask(rig, "smaller") == ""


def test_what_is_sold_again_is_free_again() -> None:
    rig = rig_of(max_owner_exposure={"o": Decimal(6_500)})
    assert ask(rig, "nobody") == "OWNER_BUDGET"
    for n in range(2):
        rig.venue.partial_share = 0.0
        for side in ("buy", "sell"):
            name = f"{side}{n}"
            assert ask(rig, name, side=side, owner="o", algo="marketable_limit") == ""
            rig.run(100 * MS)
            assert rig.report(name).status == "filled"
    assert ask(rig, "again", owner="o") == ""


# --- as before --------------------------------------------------------------------------------


def test_a_limit_that_is_not_used_leaves_no_trace_in_the_durable_state() -> None:
    rig = rig_of()
    take(rig, "in", "buy")
    take(rig, "out", "sell")
    rig.operate("pause")
    assert set(rig.engine.risk.to_state()) == {
        *("breakers", "limits_epoch", "warned", "feed_down", "feed_seen", "rejects", "rebase_peak")
    }


def test_what_is_stored_does_not_grow_with_history() -> None:
    rig = rig_of(max_identical_orders=2, max_repeated_entries=100, repeated_window_ns=SECOND)
    sizes = []
    for n in range(40):
        price = rig.instrument.price(rig.venue.bid_ticks - 100 - n % 50)
        assert ask(rig, f"s{n}", strategy=f"t{n}", algo="limit", limit_price=price) == ""
        rig.cancel(f"s{n}")
        rig.run(SECOND)
        sizes.append(len(repr(rig.engine.risk.to_state()["conduct"])))
    assert max(sizes[20:]) <= max(sizes[:20]) + 20  # names with one more digit


def test_limits_that_come_into_use_while_it_runs_count_from_then_on() -> None:
    rig = rig_of()
    ask(rig, "s1")
    rig.send(LimitsChanged(limits=limits(max_identical_orders=1), reason="t"))
    assert ask(rig, "s2") == ""
    assert ask(rig, "s3") == "DUPLICATE_ORDER"
    rig.send(LimitsChanged(limits=limits(), reason="t"))
    assert ask(rig, "s4") == ""


def test_what_is_a_position_of_a_derivative_is_closed_at_nothing() -> None:
    rig = Rig(config(limits=limits(loss_streak=2)), instrument=rules(kind="linear"))
    for n in range(3):
        round_trip(rig, f"lost{n}", 60_000.0, 59_900.0)
    assert state(rig, BTC) == ("REDUCING", "LOSS_STREAK")
