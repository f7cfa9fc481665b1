"""Exits of one position: none waits for another, none is trapped, none goes without a word."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Faults, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    BalancesUpdated,
    FeedStatus,
    OrderDone,
    OrderFilled,
    OrderRejected,
    StreamProof,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ChildState
from citadel_micro.core.risk.circuit_breakers import GLOBAL

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument

AMENDS = VenueConfig(
    shows_own_orders=False, messages_per_second=100, message_burst=500, amend_native=True
)


def holding(
    quantity: str = "0.5", venue: VenueConfig | None = None, instrument: Instrument | None = None
) -> Rig:
    """A rig that has bought."""
    rig = Rig(config(venue), instrument=instrument)
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market", quantity=Decimal(quantity)))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(quantity)
    return rig


def exit_(rig: Rig, name: str, quantity: str = "0.5", **changes: object) -> None:
    """A take-profit that rests far from the market, unless told otherwise."""
    values = {
        "side": "sell",
        "algo": "limit",
        "limit_price": Decimal(60_500),
        "quantity": Decimal(quantity),
        "created_ns": rig.now,
        "expires_ns": rig.now + SECOND,
        **changes,
    }
    rig.send(signal(name, **values))


def stop(rig: Rig, name: str = "stop", quantity: str = "0.5", **changes: object) -> None:
    values = {
        "side": "sell",
        "kind": "stop",
        "order_type": "market",
        "stop_price": Decimal(59_990),
        "quantity": Decimal(quantity),
        "created_ns": rig.now,
        "expires_ns": rig.now + SECOND,
        **changes,
    }
    rig.send(signal(name, **values))


def fall(rig: Rig, to: float = 59_980.0) -> None:
    """Every stop at 59,990 triggers."""
    rig.book(to, to + 0.1)
    rig.book(to, to + 0.1)


def held(rig: Rig) -> Decimal:
    return rig.engine.portfolio.quantity(*KEY)


# --- a triggered stop goes first -----------------------------------------------------------------


@pytest.mark.parametrize("reduce_only", [True, False])
@pytest.mark.parametrize("venue", [None, AMENDS])
@pytest.mark.parametrize("algo", ["limit", "chase_limit"])
def test_a_triggered_stop_withdraws_a_resting_take_profit(
    algo: str, venue: VenueConfig | None, reduce_only: bool
) -> None:
    rig = holding(venue=venue)
    exit_(rig, "profit", reduce_only=reduce_only, algo=algo)
    stop(rig)
    rig.run(100 * MS)
    assert rig.report("profit").status == "working"
    fall(rig)
    rig.run(200 * MS)
    assert held(rig) == 0
    assert rig.report("stop").status == "filled"
    profit = rig.report("profit")
    assert (profit.status, profit.reason_code) == ("canceled", "OUTRANKED")
    assert profit.filled == 0
    assert "stop" in profit.reason
    assert rig.parent("profit").closed


def test_it_fires_only_when_the_take_profit_is_proven_gone() -> None:
    rig = holding()
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    rig.venue.mute = True
    fall(rig)
    rig.run(2 * SECOND)
    assert [o for o in rig.venue.placed if o.parent_id == "stop"] == []
    assert rig.report("stop").reason_code == "POSITION_BUSY"
    rig.venue.heal()
    rig.run(5 * SECOND)
    assert held(rig) == 0


def test_it_takes_what_is_free_meanwhile() -> None:
    rig = holding()
    exit_(rig, "profit", "0.2")
    stop(rig)
    rig.run(100 * MS)
    fall(rig)
    fired = [o for o in rig.venue.placed if o.parent_id == "stop"]
    assert [o.quantity_lots for o in fired] == [300]
    rig.run(300 * MS)
    fired = [o for o in rig.venue.placed if o.parent_id == "stop"]
    assert [o.quantity_lots for o in fired] == [300, 200]
    assert held(rig) == 0


def test_what_is_free_meanwhile_leaves_a_rest_that_can_be_placed() -> None:
    """The venue takes 10 lots at least: 495 of 500 would leave 5 behind."""
    rig = holding(instrument=rules(min_lots=10))
    exit_(rig, "profit", "0.01")
    stop(rig)
    rig.run(100 * MS)
    rig.venue.fill(rig.live("profit").place.client_id, 5)
    rig.run(10 * MS)
    fall(rig)
    assert rig.venue.placed[-1].quantity_lots == 485
    rig.run(300 * MS)
    assert held(rig) == 0


def test_what_the_take_profit_sells_on_its_way_out_is_not_sold_twice() -> None:
    rig = holding()
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    fall(rig)
    rig.venue.fill(rig.live("profit").place.client_id, 300)
    rig.run(300 * MS)
    assert rig.report("profit").filled == Decimal("0.3")
    assert rig.report("profit").status == "canceled"
    assert rig.report("stop").filled == Decimal("0.2")
    assert held(rig) == 0


def test_an_order_that_leaves_room_stays() -> None:
    rig = holding()
    exit_(rig, "profit", "0.3")
    stop(rig, quantity="0.2")
    rig.run(100 * MS)
    fall(rig)
    rig.run(300 * MS)
    assert rig.report("stop").status == "filled"
    assert rig.report("profit").status == "working"


def test_of_several_no_more_are_withdrawn_than_needed() -> None:
    rig = holding()
    exit_(rig, "other", "0.1", strategy="other")
    exit_(rig, "mine", "0.1")
    stop(rig, quantity="0.4")
    rig.run(100 * MS)
    fall(rig)
    rig.run(300 * MS)
    assert rig.report("stop").status == "filled"
    assert rig.report("mine").reason_code == "OUTRANKED"
    assert rig.report("other").status == "working"


def test_entries_stay() -> None:
    rig = holding()
    exit_(rig, "more", "0.1", side="buy", limit_price=Decimal(59_000))
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    fall(rig)
    rig.run(300 * MS)
    assert held(rig) == 0
    assert rig.report("more").status == "working"


def test_an_order_of_which_nobody_knows_holds_back_its_own_lots_only() -> None:
    rig = holding()
    exit_(rig, "profit", "0.2")
    rig.run(100 * MS)
    rig.venue.mute = True
    stop(rig)
    rig.cancel("profit")
    rig.run(4 * SECOND)
    assert rig.parent("profit").live[0].state is ChildState.UNKNOWN
    fall(rig)
    rig.venue.mute = False
    rig.run(1 * MS)
    assert [o.quantity_lots for o in rig.venue.placed if o.parent_id == "stop"] == [300]
    rig.run(10 * SECOND)
    assert held(rig) == 0


def test_two_stops_do_not_wait_for_each_other() -> None:
    rig = holding()
    stop(rig, "first")
    stop(rig, "second")
    rig.venue.fill_at_once = False
    fall(rig)
    rig.run(2 * SECOND)
    rig.venue.fill_at_once = True
    rig.run(2 * SECOND)
    assert held(rig) == 0
    assert rig.report("first").status == "filled"
    assert rig.report("second").reason_code == "POSITION_CLOSED"


def test_a_restart_in_the_middle_changes_nothing() -> None:
    rig = holding()
    exit_(rig, "profit")
    stop(rig)
    rig.run(100 * MS)
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    fall(rig)
    rig.run(10 * MS)
    rig.venue.heal()
    rig.restart()
    rig.run(10 * SECOND)
    assert held(rig) == 0
    assert rig.report("stop").status == "filled"
    assert (rig.report("profit").status, rig.report("profit").reason_code) == (
        "canceled",
        "OUTRANKED",
    )


@pytest.mark.parametrize("algo", ["limit", "marketable_limit"])
def test_an_exit_that_waits_does_not_sell_again_what_a_stop_has_sold(algo: str) -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    stop(rig)
    exit_(rig, "exit", algo=algo, limit_price=None if algo != "limit" else Decimal(60_500))
    if algo == "limit":
        rig.venue._inbox.clear()  # refused, so that it waits with nothing out
        child = rig.parent("exit").live[0].client_id
        rig.send(
            OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=child, code="OTHER", text="no")
        )
    else:
        rig.run(10 * MS)
    assert rig.parent("exit").live == []
    rig.venue.fill_at_once = True
    fall(rig)
    rig.run(10 * SECOND)
    assert held(rig) == 0
    assert rig.report("exit").status == "canceled"
    assert rig.report("exit").reason_code == "POSITION_CLOSED"


@given(seed=st.integers(0, 2**32))
def test_whatever_exits_do_together_never_too_much_and_in_the_end_nothing_is_held(
    seed: int,
) -> None:
    """Stops, take-profits, exits by hand and flattenings on a bad line; then on a good one."""
    chance = Random(seed)
    venue = chance.choice([None, AMENDS])
    limits = paper_defaults(
        lease_required=False,
        max_open_orders=1_000,
        max_order_notional=Decimal(chance.choice([3_000, 10_000, 50_000])),
        depth_participation_bps=float(chance.choice([2, 50, 10_000])),
        reject_burst=1_000,
    )
    rig = holding(chance.choice(["0.05", "0.5"]), venue)
    rig.venue.chance.seed(seed)
    rig.engine.risk.replace_limits(limits)
    rig.settings = config(venue, limits=limits)
    start = int(held(rig) * 1_000)
    rig.venue.faults = Faults(lose_request=0.1, lose_report=0.1, duplicate=0.1, slow=0.2)
    rig.venue.partial_share = 0.5
    stop(rig, "stop0", str(held(rig)))
    for number in range(1, 12):
        quantity = str(Decimal(chance.randint(1, start)) / 1_000)
        kind = chance.choice(["profit", "chase", "market", "stop", "flatten", "restart", "cancel"])
        if kind == "stop":
            after = chance.choice(["ioc", "chase"])
            stop(rig, f"stop{number}", quantity, algo="stop", params=(("after", after),))
        elif kind == "flatten":
            if chance.random() < 0.3:
                rig.operate("flatten")
        elif kind == "restart":
            rig.restart()
        elif kind == "cancel":
            rig.cancel(f"exit{chance.randint(1, number)}")
        else:
            limit = Decimal(60_000 + chance.randint(5, 50))
            kinds: dict[str, dict[str, object]] = {
                "profit": {"limit_price": limit},
                "chase": {"algo": "chase_limit", "limit_price": None},
                "market": {"algo": "", "order_type": "market", "limit_price": None},
            }
            pending = rig.engine.view.pending_lots(*KEY, "sell", "")
            covered = Decimal(quantity) * 1_000 + pending <= held(rig) * 1_000  # else it is a short
            reduce_only = not covered or rig.engine.reconciling or chance.random() < 0.5
            exit_(rig, f"exit{number}", quantity, reduce_only=reduce_only, **kinds[kind])
        base = 59_995.0 + chance.randint(-10, 10)
        rig.book(base, base + 0.1)
        rig.run(chance.randint(1, 800) * MS)
        if chance.random() < 0.3:
            rig.venue.fill_something()
        _not_too_much(rig, start)
    rig.venue.heal()
    rig.run(10 * SECOND)
    fall(rig)
    for _ in range(10):
        rig.run(15 * SECOND)
        _not_too_much(rig, start)
        if not held(rig):
            break
    assert held(rig) == 0, [
        (p.id, p.state, p.reason_code, p.reason) for p in rig.engine.order_store.active.values()
    ]
    for name, parent in rig.engine.order_store.known.items():
        if parent.triggered:
            assert parent.state in PARENT_TERMINAL, name


def _not_too_much(rig: Rig, start: int) -> None:
    sells = [o for o in rig.venue.orders.values() if o.place.side == "sell"]
    out = sum(o.quantity_lots - o.filled_lots for o in sells if o.status == "open")
    assert sum(o.filled_lots for o in sells) + out <= start


# --- sizes --------------------------------------------------------------------------------------


def large(**limits: object) -> Rig:
    """It holds 1.5 BTC, worth 90,000 where an order may be worth 50,000."""
    rig = Rig(config(limits=paper_defaults(lease_required=False, depth_participation_bps=10_000.0)))
    rig.venue.partial_share = 0.0
    for name in ("one", "two"):
        rig.send(signal(name, order_type="market", quantity=Decimal("0.75")))
        rig.run(200 * MS)
    assert held(rig) == Decimal("1.5")
    if limits:
        rig.engine.risk.replace_limits(paper_defaults(lease_required=False, **limits))
    return rig


@pytest.mark.parametrize("reduce_only", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"order_type": "market", "limit_price": None, "algo": ""},
        {"order_type": "market", "limit_price": None, "algo": "", "time_in_force": "IOC"},
        {"algo": "limit", "limit_price": Decimal(59_990)},
        {"algo": "chase_limit", "limit_price": None, "params": (("urgency", "cross"),)},
    ],
)
def test_an_exit_larger_than_an_order_may_be_is_sliced(
    changes: dict[str, object], reduce_only: bool
) -> None:
    rig = large()
    exit_(rig, "exit", "1.5", reduce_only=reduce_only, **changes)
    rig.run(3 * SECOND)
    assert held(rig) == 0
    assert rig.report("exit").status == "filled"
    lots = [o.quantity_lots for o in rig.venue.placed if o.parent_id == "exit"]
    assert sum(lots) == 1_500
    assert max(lots) * 60 <= 50_100


def test_an_entry_of_that_size_is_refused_as_before() -> None:
    rig = large()
    exit_(rig, "more", "0.9", side="buy", limit_price=Decimal(59_990))
    assert rig.report("more").reason_code == "MAX_ORDER_NOTIONAL"


@pytest.mark.parametrize("after", ["ioc", "chase"])
def test_a_stop_larger_than_an_order_may_be_is_sliced(after: str) -> None:
    rig = large()
    stop(rig, quantity="1.5", algo="stop", params=(("after", after),))
    fall(rig)
    rig.run(10 * SECOND)
    assert rig.report("stop").status == "filled"
    assert held(rig) == 0


def test_an_exit_from_a_thin_book_takes_its_part_of_it_again_and_again() -> None:
    rig = large(depth_participation_bps=1_000.0)
    rig.book(60_000.0, 60_000.1, size=1.0)
    exit_(rig, "exit", "1.5", order_type="market", limit_price=None, algo="")
    for _ in range(40):
        rig.book(60_000.0, 60_000.1, size=1.0)
        rig.run(100 * MS, refresh_ns=0)
    assert held(rig) == 0
    lots = [o.quantity_lots for o in rig.venue.placed if o.parent_id == "exit"]
    assert lots == [500, 500, 500]


def test_a_slice_is_never_below_what_the_venue_takes() -> None:
    """A tenth of what is shown is less than the venue's minimum, and still the exit goes on."""
    rig = large(depth_participation_bps=1.0)
    stop(rig, quantity="1.5")
    for _ in range(2):
        rig.book(59_980.0, 59_980.1, size=0.01)
    for _ in range(600):
        rig.book(59_980.0, 59_980.1, size=0.5)
        rig.run(60 * MS, refresh_ns=0)
        rig.book(59_980.0, 59_980.1, size=0.4)
    assert held(rig) < Decimal("1.5")
    lots = [o.quantity_lots for o in rig.venue.placed if o.parent_id == "stop"]
    assert set(lots) == {1}
    assert len(lots) > 100


def test_a_resting_exit_that_has_grown_too_large_for_the_book_is_moved_all_the_same() -> None:
    venue = AMENDS
    rig = holding(venue=venue)
    exit_(rig, "exit", algo="chase_limit", limit_price=None)
    rig.run(10 * MS)
    limits = paper_defaults(lease_required=False, depth_participation_bps=1_000.0)
    rig.engine.risk.replace_limits(limits)
    rig.book(59_900.0, 59_900.1, size=0.5)
    rig.run(400 * MS, refresh_ns=0)
    for _ in range(4):
        rig.book(59_900.0, 59_900.1, size=0.5)
        rig.run(200 * MS, refresh_ns=0)
    assert rig.live("exit").price_ticks == 599_001
    assert rig.live("exit").quantity_lots == 250


@pytest.mark.parametrize("algo", ["", "chase_limit", "limit"])
def test_an_exit_that_comes_while_a_feed_pauses_waits_for_it_and_says_so(algo: str) -> None:
    rig = holding()
    rig.run(1_700 * MS, refresh_ns=0)
    changes: dict[str, object] = {"order_type": "market", "limit_price": None} if not algo else {}
    exit_(rig, "exit", "0.5", algo=algo, **changes)
    report = rig.report("exit")
    assert (report.status, report.reason_code) == ("paused", "BOOK_STALE")
    exit_(rig, "entry", "0.1", side="buy", limit_price=Decimal(59_990))
    assert rig.report("entry").status == "rejected"
    rig.book(60_000.0, 60_000.1)
    rig.run(10 * MS)
    assert [o for o in rig.venue.placed if o.parent_id == "exit"]
    assert rig.report("exit").reason_code == ""


def test_what_will_not_pass_is_refused_at_once() -> None:
    rig = holding()
    rig.run(1_700 * MS, refresh_ns=0)
    exit_(rig, "slip", limit_price=Decimal(40_000))
    assert (rig.report("slip").status, rig.report("slip").reason_code) == ("rejected", "BOOK_STALE")


@pytest.mark.parametrize("what", ["slices", "lost", "nothing there"])
def test_in_a_quiet_market_an_exit_does_not_wait_for_a_newer_book(what: str) -> None:
    rig = large() if what == "slices" else holding()
    stop(rig, quantity=str(held(rig)), algo="stop", params=(("confirm_ms", 0),))
    if what == "lost":
        rig.venue.faults = Faults(lose_request=1.0)
    rig.venue.fill_at_once = what != "nothing there"
    rig.send(FeedStatus(venue=VENUE, symbol=SYMBOL, up=True, reason="", stream=7))
    fall(rig)
    for _ in range(20):
        rig.run(1 * SECOND, refresh_ns=0)
        rig.venue.heal()
        rig.venue.fill_at_once = True
        # The same book all the time, and proof that it is the venue's.
        rig.send(StreamProof(venue=VENUE, stream=7, recv_ns=rig.now))
    assert held(rig) == 0


@pytest.mark.parametrize("how", ["stop", "flatten"])
def test_an_exit_sells_what_the_account_has_where_that_is_less_than_the_position(how: str) -> None:
    rig = holding()
    rest = (Decimal("0.4994"), Decimal(0))
    rig.send(BalancesUpdated(venue=VENUE, balances=(("BTC", *rest),), exchange_ns=rig.now))
    if how == "stop":
        stop(rig)
        fall(rig)
    else:
        rig.operate("flatten")
    rig.run(2 * SECOND)
    assert held(rig) == Decimal("0.001")
    assert rig.reports[-1].reason_code == "FREE_BALANCE"


# --- flattening ---------------------------------------------------------------------------------


def test_flatten_is_worked_in_slices_until_flat() -> None:
    """A hundred held, four hundred shown within the collar, a tenth of it an order."""
    instrument = rules(tick=Decimal("0.01"), lot=Decimal(1), min_notional=Decimal(1))
    rig = Rig(config(), instrument=instrument)
    rig.book(99.99, 100.01, size=1_000.0)
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market", quantity=Decimal(100)))
    rig.run(100 * MS)
    limits = paper_defaults(lease_required=False, depth_participation_bps=1_000.0)
    rig.engine.risk.replace_limits(limits)
    rig.book(99.99, 100.01, size=80.0)
    rig.operate("flatten")
    for _ in range(10):
        rig.book(99.99, 100.01, size=80.0)
        rig.run(200 * MS, refresh_ns=0)
    sold = [o.quantity_lots for o in rig.venue.placed if o.side == "sell"]
    assert sold == [40, 40, 20]
    assert held(rig) == 0
    assert "flattened" in rig.events_noted()


def test_flatten_waits_for_a_feed_and_says_so() -> None:
    rig = holding()
    rig.run(1_700 * MS, refresh_ns=0)
    rig.operate("flatten")
    own = rig.reports[-1]
    assert (own.own, own.status, own.reason_code) == (True, "paused", "BOOK_STALE")
    waits = [dict(note.fields)["code"] for note in rig.notes if note.event == "flatten_waits"]
    assert waits == ["BOOK_STALE"]
    rig.run(200 * SECOND, refresh_ns=0)
    assert held(rig)
    rig.book(60_000.0, 60_000.1)
    rig.run(100 * MS)
    assert held(rig) == 0


def test_flatten_withdraws_take_profits_and_takes_what_is_free() -> None:
    rig = holding()
    exit_(rig, "profit", "0.2")
    rig.run(10 * MS)
    rig.operate("flatten")
    assert rig.venue.placed[-1].quantity_lots == 300
    rig.run(1 * SECOND)
    assert held(rig) == 0
    assert rig.report("profit").reason_code == "CANCELED_BY_OPERATOR"


def test_flatten_takes_in_what_an_entry_in_flight_becomes() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.venue.latency_ns = 50 * MS
    rig.send(signal("buy", order_type="market"))
    rig.operate("flatten")
    rig.run(5 * SECOND)
    assert rig.venue.filled_of("buy") == 500
    assert held(rig) == 0


def test_a_triggered_stop_waits_for_a_flattening_and_is_there_when_that_is_told_otherwise() -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    stop(rig)
    fall(rig)
    rig.run(100 * MS)
    rig.operate("flatten")
    rig.run(3 * SECOND)
    assert rig.parent("stop").triggered
    assert rig.report("stop").reason_code == "POSITION_BUSY"
    rig.operate("halt")
    assert "flatten_stopped" in rig.events_noted()
    rig.run(1 * SECOND)
    assert rig.parent("stop").state not in PARENT_TERMINAL
    rig.operate("reset", trip_id=rig.engine.risk.breakers.trips[0].trip_id)
    rig.venue.fill_at_once = True
    rig.run(2 * SECOND)
    assert rig.report("stop").status == "filled"


def test_a_halt_ends_it_and_what_is_out() -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    rig.operate("flatten")
    rig.run(100 * MS)
    rig.operate("halt")
    tries = len(rig.venue.placed)
    rig.run(20 * SECOND)
    assert len(rig.venue.placed) == tries
    assert rig.reports[-1].status == "canceled"
    assert not [key for key in rig.durable if key.startswith("flatten/")]


def test_flatten_under_a_halt_needs_to_name_it() -> None:
    rig = holding()
    rig.operate("halt", reason="lunch")
    rig.operate("flatten")
    error = next(dict(n.fields)["error"] for n in rig.notes if n.event.endswith("refused"))
    assert "--through-halt" in str(error)
    assert "lunch" in str(error)
    rig.run(2 * SECOND)
    assert held(rig)
    rig.operate("flatten", through_halt=True)
    rig.run(2 * SECOND)
    assert held(rig) == 0


def test_nothing_else_passes_a_halt() -> None:
    rig = holding()
    stop(rig)
    rig.operate("halt")
    rig.venue.fill_at_once = False
    rig.operate("flatten", through_halt=True)
    rig.run(1 * SECOND)
    exit_(rig, "exit", "0.1")
    assert rig.report("exit").reason_code == "HALTED"
    fall(rig)
    rig.run(1 * SECOND)
    assert not [o for o in rig.venue.placed if o.parent_id == "stop"]


def test_a_new_halt_ends_also_what_passes_one_and_a_breaker_does_not() -> None:
    rig = holding()
    rig.operate("halt")
    rig.venue.fill_at_once = False
    rig.operate("flatten", through_halt=True)
    rig.run(1 * SECOND)
    rig.engine.risk.trip("POSITION_MISMATCH", GLOBAL, "venue 1, ours 2", rig.now)
    tries = len(rig.venue.placed)
    rig.run(2 * SECOND)
    assert len(rig.venue.placed) > tries
    rig.operate("halt", reason="stop it")
    tries = len(rig.venue.placed)
    rig.run(5 * SECOND)
    assert len(rig.venue.placed) == tries


def test_the_kill_switch_stops_it_and_says_what_to_do() -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    rig.operate("flatten", through_halt=True)
    rig.run(100 * MS)
    rig.operate("kill")
    rig.operate("flatten", through_halt=True)
    error = next(dict(n.fields)["error"] for n in rig.notes if n.event.endswith("refused"))
    assert "reset trip-1" in str(error)
    tries = len(rig.venue.placed)
    rig.run(5 * SECOND)
    assert len(rig.venue.placed) == tries


@pytest.mark.parametrize("passed_ms", [0, 3, 500])
def test_it_goes_on_after_a_restart(passed_ms: int) -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    exit_(rig, "profit", "0.2")
    rig.operate("flatten")
    rig.run(passed_ms * MS)
    rig.restart()
    rig.run(3 * SECOND)
    rig.venue.fill_at_once = True
    rig.run(10 * SECOND)
    assert held(rig) == 0
    assert "flatten_goes_on" in rig.events_noted()
    assert not [key for key in rig.durable if key.startswith("flatten/")]


def test_it_survives_a_shutdown() -> None:
    rig = holding()
    rig.venue.fill_at_once = False
    rig.operate("flatten", through_halt=True)
    rig.run(100 * MS)
    rig.operate("shutdown")
    rig.run(3 * SECOND)
    rig.restart()
    rig.venue.fill_at_once = True
    rig.run(10 * SECOND)
    assert held(rig) == 0


def test_cancel_all_ends_it() -> None:
    for scope in ("", "strategy:citadel"):
        rig = holding()
        rig.venue.fill_at_once = False
        rig.operate("flatten")
        rig.run(100 * MS)
        rig.operate("cancel_all", scope=scope)
        rig.run(100 * MS)
        tries = len(rig.venue.placed)
        rig.run(10 * SECOND)
        assert len(rig.venue.placed) == tries


def test_refusals_of_the_venue_do_not_end_it() -> None:
    rig = Rig(config(limits=paper_defaults(lease_required=False, reject_burst=1_000)))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(1 * SECOND)
    rig.venue.latency_ns = 3_600 * SECOND  # whatever is said about its orders is said below
    rig.operate("flatten")
    refused: dict[str, None] = {}
    for _ in range(150):
        for child in next(p for p in rig.engine.order_store.active.values() if p.own).live:
            refused[child.client_id] = None
            rig.send(
                OrderRejected(
                    venue=VENUE, symbol=SYMBOL, client_id=child.client_id, code="OTHER", text="no"
                )
            )
        rig.run(250 * MS)
    assert len(refused) > 8
    rig.venue.latency_ns = 2 * MS
    rig.run(10 * SECOND)
    assert held(rig) == 0


# --- what is too little --------------------------------------------------------------------------


def shrunk(lots: int, instrument: Instrument) -> Rig:
    """Of 500 lots it holds so many still; a stop over the whole is held."""
    rig = holding(instrument=instrument)
    stop(rig)
    exit_(rig, "exit", str(Decimal(500 - lots) / 1_000))
    rig.run(10 * MS)
    rig.venue.fill(rig.live("exit").place.client_id, 500 - lots)
    rig.run(10 * MS)
    assert held(rig) == Decimal(lots) / 1_000
    return rig


def test_a_rest_below_the_minimum_ends_a_stop_as_dust_and_not_as_closed() -> None:
    rig = shrunk(2, rules(min_notional=Decimal(200)))
    fall(rig)
    rig.run(100 * MS)
    report = rig.report("stop")
    assert (report.status, report.reason_code) == ("done_dust", "DUST")
    assert "0.002 BTC" in report.reason
    assert held(rig) == Decimal("0.002")
    assert [dict(n.fields)["rest"] for n in rig.notes if n.event == "dust_left"] == ["0.002"]


def test_an_exempt_venue_takes_the_rest() -> None:
    exempt = rules(min_notional=Decimal(200), kind="linear", reduce_only_exempt_min_notional=True)
    rig = shrunk(2, exempt)
    fall(rig)
    rig.run(1 * SECOND)
    assert held(rig) == 0
    report = rig.report("stop")
    assert (report.status, report.reason_code) == ("done_dust", "POSITION_CLOSED")


def test_what_is_enough_at_the_touch_is_no_dust() -> None:
    """5 lots are worth 299.90 at the bid and 298.40 at the worst price of the stop."""
    rig = shrunk(5, rules(min_notional=Decimal("299.5")))
    fall(rig)
    rig.run(1 * SECOND)
    assert held(rig) == 0
    assert rig.venue.placed[-1].price_ticks == 599_800


def test_a_position_of_less_than_a_lot_is_dust_too() -> None:
    rig = holding(instrument=rules(fee_side="received"))
    fee = OrderFilled(
        venue=VENUE,
        symbol=SYMBOL,
        client_id="x",
        trade_id="x",
        price_ticks=600_000,
        quantity_lots=499,
        cumulative_lots=-1,
        fee=Decimal(0),
        fee_currency="USDT",
        liquidity="taker",
        exchange_ns=rig.now,
    )
    rig.engine.portfolio.apply_fill(rig.instrument, "sell", fee, rig.now)
    base_fee = replace(
        fee, trade_id="y", quantity_lots=0, fee=Decimal("0.0004"), fee_currency="BTC"
    )
    rig.engine.portfolio.apply_fill(rig.instrument, "sell", base_fee, rig.now)
    assert held(rig) == Decimal("0.0006")
    stop(rig)
    fall(rig)
    rig.run(100 * MS)
    assert (rig.report("stop").status, rig.report("stop").reason_code) == ("done_dust", "DUST")
    assert "0.0006" in rig.report("stop").reason


def test_flatten_of_dust_says_so_and_ends() -> None:
    rig = shrunk(2, rules(min_notional=Decimal(200)))
    rig.operate("flatten")
    rig.run(5 * SECOND)
    flattened = next(note for note in rig.notes if note.event == "flattened")
    assert flattened.level == "warning"
    assert dict(flattened.fields)["rest"] == "0.002"
    assert not [key for key in rig.durable if key.startswith("flatten/")]


def test_an_ioc_that_leaves_dust_ends_once_and_for_all() -> None:
    rig = holding(instrument=rules(min_notional=Decimal(200)))
    stop(rig)
    rig.venue.fill_at_once = False
    rig.venue.latency_ns = 20 * MS
    fall(rig)
    order = rig.venue.placed[-1]
    rig.venue._inbox.clear()
    for event in (
        OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=order.client_id,
            trade_id="part",
            price_ticks=599_800,
            quantity_lots=498,
            cumulative_lots=498,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="taker",
            exchange_ns=rig.now,
        ),
        OrderDone(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=order.client_id,
            status="expired",
            cumulative_lots=498,
            reason="",
            exchange_ns=rig.now,
        ),
    ):
        rig.send(event)
    rig.run(1 * SECOND)
    report = rig.report("stop")
    assert (report.status, report.reason_code) == ("done_dust", "DUST")
    assert report.filled == Decimal("0.498")
    assert "0.002 BTC" in report.reason


def test_an_own_entry_in_the_way_of_a_slice_is_withdrawn_too() -> None:
    """The size is refused first, the entry that it would trade with second."""
    rig = large()
    exit_(rig, "more", "0.01", side="buy", limit_price=Decimal(59_900))
    stop(rig, quantity="1.5")
    rig.run(100 * MS)
    fall(rig)
    rig.run(3 * SECOND)
    assert held(rig) == 0
    assert rig.report("more").reason_code == "SELF_CROSS"


# --- the collar ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.1, 900.0, 1_190.0])
@pytest.mark.parametrize("cross_bps", [20.0, 100.0, 300.0, 1_000.0])
@pytest.mark.parametrize("how", ["stop", "market", "late", "flatten"])
def test_a_worst_price_beyond_the_collar_is_drawn_in_and_traps_no_exit(
    how: str, cross_bps: float, spread: float
) -> None:
    rig = Rig(config(flatten_cross_bps=cross_bps))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(SECOND)
    worst = ("max_cross_bps", cross_bps)
    low, high = round(60_000.05 - spread / 2, 1), round(60_000.05 + spread / 2, 1)
    if how == "stop":
        stop(rig, stop_price=Decimal(60_000), algo="stop", params=(worst,))
    rig.book(low, high)
    rig.book(low, high)
    if how == "market":
        exit_(rig, "exit", order_type="market", limit_price=None, algo="", params=(worst,))
    elif how == "late":
        late = (("time_limit_ms", 200), ("on_timeout", "cross_ioc"), ("max_chase_bps", 1_000.0))
        params = (worst, *late)
        exit_(rig, "exit", algo="chase_limit", limit_price=None, params=params)
    elif how == "flatten":
        rig.operate("flatten")
    rig.run(2 * SECOND)
    assert held(rig) == 0
    for order in rig.venue.placed:
        if order.side == "sell" and order.time_in_force == "IOC":
            assert order.price_ticks >= 594_001  # 100 bps below the mid


def test_a_touch_beyond_the_collar_is_waited_out_and_said() -> None:
    rig = holding()
    rig.book(59_000.0, 61_000.0)
    rig.operate("flatten")
    rig.run(2 * SECOND)
    assert held(rig) == Decimal("0.5")
    assert rig.reports[-1].reason_code == "PRICE_COLLAR"
    rig.book(59_800.0, 60_200.0)
    rig.run(2 * SECOND)
    assert held(rig) == 0


@pytest.mark.parametrize("how", ["flatten", "market", "stop"])
def test_a_coin_that_has_fallen_to_a_few_ticks_can_still_be_sold(how: str) -> None:
    """One tick is 2 % of its price, more than the collar on each side of the mid."""
    coin = rules(tick=Decimal("0.1"), lot=Decimal(1), min_notional=Decimal(0))
    rig = Rig(config(), instrument=coin)
    rig.venue.partial_share = 0.0
    rig.book(60.0, 60.1)
    rig.send(signal("buy", order_type="market", quantity=Decimal(5)))
    rig.run(SECOND)
    if how == "stop":
        stop(rig, quantity="5", stop_price=Decimal(10))
    rig.book(3.0, 3.1)
    rig.book(3.0, 3.1)
    if how == "flatten":
        rig.operate("flatten")
    elif how == "market":
        exit_(rig, "exit", "5", order_type="market", limit_price=None, algo="")
    rig.run(2 * SECOND)
    assert held(rig) == 0
    entry = {"order_type": "market", "quantity": Decimal(5), "created_ns": rig.now}
    rig.send(signal("again", expires_ns=rig.now + SECOND, **entry))
    assert rig.report("again").status == "rejected"


# --- an exit that cannot leave holds back no other one -------------------------------------------


def _beyond_its_limit(rig: Rig) -> None:
    """A stop with a limit that has triggered below it."""
    stop(rig, "limited", limit_price=Decimal(59_950))
    rig.run(100 * MS)
    fall(rig, 59_900.0)
    rig.run(SECOND)
    assert rig.report("limited").reason_code == "NOT_MARKETABLE"


@pytest.mark.parametrize("kind", ["spot", "linear"])
@pytest.mark.parametrize("how", ["stop", "market", "limit", "chase_limit"])
def test_a_stop_that_waits_for_its_limit_holds_back_no_other_exit(how: str, kind: str) -> None:
    rig = holding(instrument=rules(kind=kind))
    if how == "stop":
        stop(rig, "other", stop_price=Decimal(59_500))
    _beyond_its_limit(rig)
    if how == "market":
        exit_(rig, "other", order_type="market", limit_price=None, algo="", reduce_only=True)
    elif how == "limit":
        exit_(rig, "other", limit_price=Decimal(59_890), reduce_only=True)
    elif how == "chase_limit":
        params = (("time_limit_ms", 500), ("on_timeout", "cross_ioc"))
        exit_(rig, "other", algo=how, limit_price=None, params=params, reduce_only=True)
    fall(rig, 59_400.0 if how == "stop" else 59_900.0)
    rig.run(2 * SECOND)
    assert rig.report("other").status == "filled"
    assert held(rig) == 0
    assert rig.report("limited").reason_code == "POSITION_CLOSED"


def test_a_stop_of_a_halted_strategy_holds_back_no_other_one() -> None:
    rig = holding()
    stop(rig, "one", strategy="halted", stop_price=Decimal(59_990))
    stop(rig, "two", strategy="test", stop_price=Decimal(59_900))
    rig.operate("halt", "strategy:halted")
    fall(rig)
    rig.run(SECOND)
    assert rig.report("one").reason_code == "HALTED"
    fall(rig, 59_890.0)
    rig.run(SECOND)
    assert held(rig) == 0
    assert rig.report("two").status == "filled"


def test_when_the_price_comes_back_both_sell_no_more_than_is_held() -> None:
    rig = holding()
    stop(rig, "other", stop_price=Decimal(59_500), limit_price=Decimal(59_480))
    _beyond_its_limit(rig)
    fall(rig, 59_400.0)
    rig.run(SECOND)
    assert rig.report("other").reason_code == "NOT_MARKETABLE"
    fall(rig, 59_960.0)
    rig.run(2 * SECOND)
    assert held(rig) == 0
    sold = sum(o.filled_lots for o in rig.venue.orders.values() if o.place.side == "sell")
    assert sold == 500
