"""Exits larger than one order may be are worked in slices; entries of that size are refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_exchange import Faults
from engine_kit import MS, SECOND, SYMBOL, VENUE
from exit_kit import AMENDS, exit_, fall, held, holding, large, stop

from citadel_micro.core.model.events import (
    BalancesUpdated,
    FeedStatus,
    StreamProof,
)
from citadel_micro.core.model.risk_limits import paper_defaults


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
