"""Flattening: in slices until flat, through halts only by name, over restarts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from exit_kit import exit_, fall, held, holding, sold_beside, stop

from citadel_micro.core.model.events import (
    OperatorCommand,
    OrderRejected,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import PARENT_TERMINAL
from citadel_micro.core.risk.circuit_breakers import GLOBAL


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


def test_a_triggered_stop_waits_for_a_flattening_and_is_there_when_that_is_canceled() -> None:
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


def test_a_flattening_that_pauses_lets_nothing_enter_until_it_is_reset() -> None:
    rig = Rig()
    rig.send(signal(order_type="market"))
    rig.run(300 * MS)
    assert rig.engine.portfolio.quantity(VENUE, SYMBOL) > 0
    rig.send(OperatorCommand(action="flatten", scope="", trip_id="", reason="enough", pause=True))
    rig.send(signal("again", order_type="market"))
    rig.run(SECOND)
    assert rig.engine.portfolio.quantity(VENUE, SYMBOL) == 0
    assert rig.report("again").status == "rejected"
    (trip,) = rig.engine.risk.breakers.trips
    assert (trip.code, trip.reason) == ("OPERATOR_PAUSE", "flatten: enough")
    rig.restart()
    rig.run(2 * SECOND)
    rig.send(signal("after a restart", order_type="market"))
    assert rig.report("after a restart").status == "rejected"
    rig.operate("reset", trip_id=trip.trip_id)
    rig.send(signal("and on", order_type="market", quantity=Decimal("0.1")))
    rig.run(300 * MS)
    assert rig.report("and on").status == "filled"


def test_a_refused_flattening_pauses_nothing() -> None:
    rig = Rig()
    rig.operate("halt")
    (halt,) = rig.engine.risk.breakers.trips
    rig.send(OperatorCommand(action="flatten", scope="", trip_id="", reason="enough", pause=True))
    assert rig.engine.risk.breakers.trips == (halt,)


def short_of_coins(*, ends_small: bool) -> Rig:
    """Others' coins were sold; buying them back, with a fee in coin, leaves less than an order can be."""
    instrument = rules(lot=Decimal("0.00001"), min_notional=Decimal(200))
    rig = Rig(config(flatten_ends_small=ends_small), instrument=instrument)
    rig.venue.partial_share, rig.venue.fee_in_base = 0.0, True
    rig.book(60_000.0, 60_000.1, size=1_000.0)
    sold_beside(rig, 2_100)
    rig.operate("flatten")
    rig.run(500 * MS)
    assert held(rig) == Decimal("-0.0021")
    return rig


def sold(rig: Rig) -> bool:
    return any(order.side == "sell" for order in rig.venue.placed)


def test_a_flattening_ends_with_its_order_when_the_rest_is_too_small_for_another() -> None:
    rig = short_of_coins(ends_small=True)
    flattened = next(note for note in rig.notes if note.event == "flattened")
    assert (flattened.level, dict(flattened.fields)["rest"]) == ("warning", "-0.00210")
    rig.send(signal("buy", order_type="market", quantity=Decimal("0.1")))
    rig.run(10 * SECOND)
    assert not sold(rig), "it has sold what was bought after it"
    assert held(rig) == Decimal("0.0879")


def test_a_journal_of_before_goes_on_as_it_did() -> None:
    rig = short_of_coins(ends_small=False)
    assert "flattened" not in rig.events_noted()
    rig.send(signal("buy", order_type="market", quantity=Decimal("0.1")))
    rig.run(10 * SECOND)
    assert sold(rig)


def test_what_an_entry_from_before_becomes_is_taken_in_after_a_buy_back_too() -> None:
    """The entry reaches the venue after the buy-back; it was out before the flattening, and is its to close."""
    rig = Rig(config(flatten_ends_small=True))
    rig.venue.partial_share = 0.0
    sold_beside(rig, 100)
    rig.venue.latency_ns = 50 * MS
    rig.send(signal("buy", order_type="market"))
    rig.operate("flatten")
    rig.run(5 * SECOND)
    assert rig.venue.filled_of("buy") == 500
    assert held(rig) == 0


def flattening_with_an_entry_after_it(
    *, spares: bool, restart: bool = False, size: str = "", counts: bool = True
) -> Rig:
    """The pause is reset while it still works, and an order buys: of 0.5 held it had sold nothing."""
    instrument = rules()
    if size:  # a perpetual's contracts of so many coins
        lot = Decimal("0.001") / Decimal(size)
        instrument = rules(
            kind="linear", lot=lot, contract_size=Decimal(size), min_notional=Decimal(0)
        )
    settings = config(flatten_spares_later=spares, flatten_counts_contracts=counts)
    rig = Rig(settings, instrument=instrument)
    rig.venue.partial_share = 0.0
    rig.send(signal(order_type="market"))
    rig.run(300 * MS)
    assert held(rig) * instrument.contract_size == Decimal("0.5")
    rig.venue.fill_at_once = False
    rig.send(OperatorCommand(action="flatten", scope="", trip_id="", reason="enough", pause=True))
    rig.run(300 * MS)
    if restart:
        rig.restart()
        rig.run(2 * SECOND)
    rig.operate("reset", trip_id=rig.engine.risk.breakers.trips[0].trip_id)
    rig.venue.fill_at_once = True
    rig.send(signal("later", order_type="market", quantity=Decimal("0.2")))
    rig.run(10 * SECOND)
    assert rig.report("later").status == "filled"
    assert not [key for key in rig.durable if key.startswith("flatten/")]
    return rig


@pytest.mark.parametrize("restart", [False, True])
def test_what_an_order_after_it_buys_is_not_sold(*, restart: bool) -> None:
    rig = flattening_with_an_entry_after_it(spares=True, restart=restart)
    assert held(rig) == Decimal("0.2")


@pytest.mark.parametrize("size", ["0.01", "10"])
def test_contracts_are_not_counted_as_coins(size: str) -> None:
    """Of contracts of a hundredth of a coin it took a hundredth of what was bought later for that."""
    rig = flattening_with_an_entry_after_it(spares=True, size=size)
    assert held(rig) * Decimal(size) == Decimal("0.2")


def test_a_journal_of_before_counts_contracts_as_coins() -> None:
    rig = flattening_with_an_entry_after_it(spares=True, size="0.01", counts=False)
    assert held(rig) * Decimal("0.01") < Decimal("0.2")


def test_a_journal_of_before_sells_what_was_bought_after_it() -> None:
    rig = flattening_with_an_entry_after_it(spares=False)
    assert held(rig) == 0
