from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from engine_exchange import FakeOrder, Faults
from engine_kit import KEY, MS, SECOND, VENUE, Rig, config, rules, signal

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, QueryOrder, QueryVenue
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import OrderFilled, QueryReceived, Started, VenueSnapshot
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.order_states import ChildState, ParentState
from citadel_proto.errors import BadInput


def test_nothing_happens_before_the_venues_have_answered() -> None:
    rig = Rig(start=False)
    rig.venue.mute = True
    rig.send(Started(state={}, damaged=""))
    rig.book(60_000.0, 60_000.1)
    rig.send(signal())
    assert rig.recovering()
    assert rig.report().status == "accepted"
    rig.run(5 * SECOND)
    assert rig.venue.placed == []
    assert len(rig.sent(QueryVenue)) == 3  # asked again every two seconds
    rig.venue.mute = False
    rig.run(3 * SECOND)
    assert not rig.recovering()
    assert len(rig.venue.placed) == 1
    assert rig.report().status == "working"


def test_a_signal_that_expired_meanwhile_is_not_executed() -> None:
    rig = Rig(start=False)
    rig.venue.mute = True
    rig.send(Started(state={}, damaged=""))
    rig.book(60_000.0, 60_000.1)
    rig.send(signal())
    rig.run(11 * SECOND)
    rig.venue.mute = False
    rig.run(3 * SECOND)
    assert rig.venue.placed == []
    assert rig.report().status == "rejected"
    assert rig.report().reason_code == "INTENT_EXPIRED"


def test_a_working_order_is_adopted_with_what_filled_meanwhile() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 100)
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 150)  # and the report dies with the process
    rig.restart()
    assert rig.recovering()
    rig.run(50 * MS)
    assert not rig.recovering()
    parent = rig.parent()
    assert parent.state is ParentState.WORKING
    assert parent.filled == 250
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.25")
    assert rig.report().filled == Decimal("0.25")
    assert len(rig.sent(PlaceOrder)) == 1
    rig.venue.fill("sctest-1-1", 250)
    rig.run(10 * MS)
    assert rig.report().status == "filled"


def test_an_order_that_ended_meanwhile_is_found_out_and_replaced() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 100)
    rig.venue._close(rig.venue.orders["sctest-1-1"], "canceled")
    rig.restart()
    rig.run(1 * SECOND)
    assert [c.state for c in rig.parent().children] == [ChildState.CANCELED, ChildState.WORKING]
    assert rig.parent().children[1].quantity_lots == 400
    assert rig.parent().children[1].client_id == "sctest-1-2"


def test_an_order_that_was_stored_but_never_sent_is_released_only_after_its_expiry() -> None:
    rig = Rig()
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.send(signal())
    rig.venue.heal()
    rig.restart()
    rig.run(2 * SECOND)
    assert rig.recovering()
    assert rig.parent().reserved == 500
    rig.run(1 * SECOND)
    assert not rig.recovering()
    assert rig.parent().children[0].state is ChildState.LOST
    rig.run(1 * SECOND)
    assert rig.parent().children[1].state is ChildState.WORKING


def test_an_order_of_ours_that_nobody_remembers_is_cancelled_and_others_are_left() -> None:
    """Another micro on the account has a mark of its own, and anybody may begin an id with sc."""
    rig = Rig(config(VenueConfig(shows_own_orders=False, mark="abc123")))
    rig.send(signal())
    rig.run(10 * MS)
    theirs = rig.venue.orders["scabc123test-1-1"]
    foreign = ("web_1234", "scold-9-1", "sc", "sctest-9-1", "scxyz789test-1-1", "SCABC123old-9-1")
    for name in ("scabc123old-9-1", *foreign):
        rig.venue.orders[name] = FakeOrder(theirs.place, 590_000, 5)
    rig.restart()
    rig.run(50 * MS)
    cancelled = [request.client_id for _, request in rig.sent(CancelOrder)]  # type: ignore[attr-defined]
    assert cancelled == ["scabc123old-9-1"]
    assert "forgotten_order_cancelled" in rig.events_noted()
    told = [dict(note.fields)["client_id"] for note in rig.notes if note.event == "foreign_order"]
    assert sorted(told) == sorted(foreign)
    rows = [rig.venue.state_of(name, "order") for name in foreign]
    rig.send(VenueSnapshot(venue=VENUE, open_orders=tuple(rows), balances=(), exchange_ns=rig.now))
    again = [note for note in rig.notes if note.event == "foreign_order"]
    assert len(again) == len(told), "told once"


def test_without_a_mark_only_this_runs_orders_are_its_own() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    known = rig.venue.orders["sctest-1-1"]
    for name in ("sctest-9-1", "scold-9-1", "sctested-1-1"):
        rig.venue.orders[name] = FakeOrder(known.place, 590_000, 5)
    rig.restart()
    rig.run(50 * MS)
    cancelled = [request.client_id for _, request in rig.sent(CancelOrder)]  # type: ignore[attr-defined]
    assert cancelled == ["sctest-9-1"]


@pytest.mark.parametrize("mark", ["abc", "ABC123", "abc-12", "abc1234"])
def test_a_mark_that_could_be_the_beginning_of_another_is_refused(mark: str) -> None:
    with pytest.raises(BadInput, match="mark"):
        VenueConfig(mark=mark)


def test_balances_that_differ_are_noted_and_the_venue_is_believed() -> None:
    rig = Rig()
    rig.engine.portfolio.set_balances(VENUE, [("USDT", Decimal(5), Decimal(0))])
    rig.engine.order_store.holdings_changed()
    rig.cancel("nothing")
    rig.restart()
    rig.run(50 * MS)
    assert "balance_differs" in rig.events_noted()
    balance = rig.engine.portfolio.balance(VENUE, "USDT")
    assert balance is not None
    assert balance.free == 1_000_000


def test_a_damaged_journal_halts_with_a_way_to_look_at_it() -> None:
    rig = Rig(start=False)
    rig.send(Started(state={}, damaged="record 17 fails its checksum"))
    rig.book(60_000.0, 60_000.1)
    rig.run(50 * MS)
    assert rig.engine.risk.beat_state() == "halted"
    trip = rig.engine.risk.breakers.trips[0]
    assert trip.code == "JOURNAL_FAULT"
    assert "record 17" in trip.reason
    assert "citadel tape info" in trip.reason
    rig.send(signal())
    assert rig.report().reason_code == "HALTED"
    question = QueryReceived(
        query_id="q",
        kind="order",
        reply_to="m",
        signal_id="?",
        venue="",
        symbol="",
        since_ns=0,
    )
    assert "record 17" in rig.send(question)[-1].error  # type: ignore[union-attr]
    rig.operate("reset", trip_id=trip.trip_id, reason="compared with the venue")
    assert rig.engine.risk.beat_state() != "halted"
    assert rig.send(question)[-1].error == ""  # type: ignore[union-attr]


def test_a_duplicate_after_a_restart_is_still_a_duplicate() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 500)
    rig.run(10 * MS)
    revision = rig.report().revision
    rig.restart()
    rig.run(50 * MS)
    rig.reports.clear()
    rig.send(signal())
    assert rig.report().status == "filled"
    assert rig.report().revision == revision
    rig.run(1 * SECOND)
    assert len(rig.venue.placed) == 1


def test_a_cancel_before_its_signal_holds_over_a_restart() -> None:
    rig = Rig()
    rig.cancel("s1")
    assert "cancel_of_unknown_signal" in rig.events_noted()
    rig.restart()
    rig.run(50 * MS)
    rig.send(signal())
    assert rig.report().status == "canceled"
    assert rig.report().reason_code == "CANCELED_BY_MACRO"
    assert rig.venue.placed == []


def test_a_closing_parent_goes_on_closing() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.mute = True
    rig.cancel()
    rig.venue.mute = False
    rig.restart()
    rig.run(1 * SECOND)
    assert rig.report().status == "canceled"
    assert rig.venue.open_orders() == []


def test_a_fill_torn_from_its_order_by_the_crash_counts_once() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    report = rig.venue.fill("sctest-1-1", 100)
    rig.venue._outbox.clear()
    rig.drop_after = 1  # the portfolio is stored, the order is not
    rig.send(report)
    assert "portfolio" in rig.durable
    rig.restart()
    rig.run(50 * MS)
    assert rig.parent().filled == 100
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1")


def test_a_peak_between_fills_and_the_day_survive() -> None:
    """Drawdown and daily loss are measured from the same heights as without the crash."""
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.send(signal(order_type="market"))
    rig.run(1 * SECOND)
    rig.book(60_200.0, 60_200.1)
    rig.run(3 * SECOND)
    rig.book(60_100.0, 60_100.1)
    rig.run(3 * SECOND)
    before = rig.engine.portfolio.curve.anchors
    assert before[2] > 5
    rig.restart()
    rig.run(3 * SECOND)
    after = rig.engine.portfolio.curve.anchors
    assert after[:3] == before[:3]
    assert rig.engine.portfolio.curve.drawdown(rig.engine.portfolio.curve.last) > 40


def test_breakers_survive() -> None:
    rig = Rig()
    rig.operate("kill")
    rig.restart()
    rig.run(50 * MS)
    rig.send(signal())
    assert rig.report().reason_code == "KILLED"


def test_an_order_on_a_symbol_that_is_gone_halts_and_says_so() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    engine = Engine(config(), {})
    commands = engine.handle(Started(state=dict(rig.durable), damaged=""), rig.now)
    assert engine.risk.beat_state() == "halted"
    assert any("no longer configured" in repr(command) for command in commands)


@pytest.mark.parametrize("venue", [VENUE, "other"])
def test_an_order_on_something_that_is_gone_is_kept_for_a_run_that_knows_it(venue: str) -> None:
    """Whatever is heard of it or asked about it meanwhile; also when its whole venue is gone."""
    rig = Rig()
    rig.send(signal())
    rig.run(50 * MS)
    (order,) = rig.venue.open_orders()
    known, settings = rig.settings, replace(rig.settings, venues={venue: VenueConfig()})
    rig.engine = Engine(settings, {(venue, "ETH/USDT"): rules(venue=venue, symbol="ETH/USDT")})
    rig.send(Started(state=dict(rig.durable), damaged=""))
    rig.venue.fill(order.place.client_id, 100)
    rig.run(20 * SECOND, refresh_ns=0)
    rig.cancel()
    rig.send(rig.venue.state_of(order.place.client_id, "order"))
    assert rig.engine.executor.due_ns == FAR
    assert "report_on_lost_order" in rig.events_noted()
    assert [r for at, r in rig.sent(CancelOrder)] == []
    rig.settings = known
    rig.restart()
    rig.run(5 * SECOND)
    assert rig.parent().filled == rig.venue.filled_of("s1") == 100
    assert rig.venue.open_orders() == []
    assert rig.parent().state is ParentState.CANCELED


def test_the_audit_finds_an_end_that_was_never_reported() -> None:
    rig = Rig()
    rig.send(signal(params=(("time_limit_ms", 600_000),)))
    rig.run(10 * MS)
    rig.venue.mute = True
    rig.venue.fill("sctest-1-1", 500)
    rig.venue.mute = False
    rig.run(20 * SECOND)
    assert len(rig.sent(QueryOrder)) >= 1
    assert rig.report().status == "filled"
    assert rig.report().fills[0].quantity == Decimal("0.5")


def test_a_total_without_its_fills_is_asked_about_before_the_end_is_reported() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    fill = rig.venue.fill("sctest-1-1", 500)
    rig.venue._outbox = [row for row in rig.venue._outbox if not isinstance(row[2], OrderFilled)]
    rig.run(5 * MS)
    assert rig.parent().filled == 500
    assert rig.report().status == "working"
    rig.run(1 * SECOND)
    assert rig.report().status == "filled"
    assert rig.report().fills[0].trade_id == fill.trade_id


def test_an_order_that_a_crash_has_torn_away_is_reported_as_a_new_revision() -> None:
    """Its parent was stored with it, and told as working under that revision."""
    rig = Rig()
    rig.send(signal())
    told = rig.report()
    assert told.status == "working"
    rig.durable = {k: v for k, v in rig.durable.items() if not k.startswith("child/")}
    rig.reports.clear()
    rig.restart()
    assert (rig.reports[0].status, rig.reports[0].revision) == ("accepted", told.revision + 1)
