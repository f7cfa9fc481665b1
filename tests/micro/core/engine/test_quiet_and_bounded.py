"""What must stay small while everything goes on: wakeups, orders, memory, answers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from effort import examples
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, signal

from citadel_micro.core.model.commands import CancelOrder, Persist
from citadel_micro.core.model.events import (
    DepthUpdate,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
)
from citadel_micro.core.model.risk_limits import for_symbol, paper_defaults
from citadel_micro.core.orders import order_store
from citadel_micro.core.orders.order_states import ChildState, ParentState
from citadel_micro.core.orders.order_store import FREE_FILLS


def test_an_immediate_order_that_outlives_the_time_limit_keeps_nobody_awake() -> None:
    rig = Rig()
    rig.venue.mute = True
    rig.send(signal(algo="marketable_limit", params=(("time_limit_ms", 200),)))
    (child,) = rig.parent().children
    rig.send(
        OrderAccepted(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=child.client_id,
            venue_order_id="v1",
            exchange_ns=rig.now,
        )
    )
    rig.run(1 * SECOND)
    assert child.state is ChildState.WORKING
    assert rig.engine.executor.due_ns - rig.now > 100 * MS


def test_an_order_that_is_explained_keeps_nobody_awake_for_one_that_is_not() -> None:
    """Two orders of one parent end before their fills are told; then those of the first are."""
    rig = Rig()
    rig.venue.mute = True
    rig.send(signal(algo="marketable_limit"))

    def done(number: int, lots: int) -> None:
        rig.send(
            OrderDone(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=rig.parent().children[number].client_id,
                status="expired",
                cumulative_lots=lots,
                reason="",
                exchange_ns=rig.now,
            )
        )

    done(0, 200)
    rig.run(300 * MS)
    done(1, 300)
    rig.send(
        OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=rig.parent().children[0].client_id,
            trade_id="t1",
            price_ticks=600_001,
            quantity_lots=200,
            cumulative_lots=200,
            fee=Decimal(1),
            fee_currency="USDT",
            liquidity="taker",
            exchange_ns=rig.now,
        )
    )
    rig.run(600 * MS)
    assert rig.parent().state is ParentState.CLOSING
    assert rig.engine.executor.due_ns - rig.now > 50 * MS


def test_a_held_stop_keeps_nobody_awake_while_the_process_stops() -> None:
    rig = Rig()
    rig.venue.mute = True
    rig.send(signal())
    rig.send(
        signal(
            "stop",
            kind="stop",
            side="sell",
            order_type="market",
            stop_price=Decimal(60_000),
            params=(("confirm_updates", 1_000), ("confirm_ms", 50)),
            algo="stop",
        )
    )
    rig.book(59_990.0, 59_990.1)
    rig.operate("shutdown")
    rig.run(1 * SECOND, refresh_ns=0)
    assert rig.parent("stop").state is ParentState.HELD
    assert rig.engine.executor.due_ns - rig.now > 50 * MS


def test_immediate_orders_that_find_nothing_grow_rare() -> None:
    rig = Rig()
    rig.venue.fill_at_once = False
    rig.send(signal(algo="marketable_limit", params=(("time_limit_ms", 60_000),)))
    rig.run(10 * SECOND, refresh_ns=10 * MS)
    assert 10 <= len(rig.venue.placed) <= 20
    rig.venue.fill_at_once = True
    rig.run(1 * SECOND)
    assert rig.parent().state is ParentState.FILLED


def post_only_refused(rig: Rig) -> None:
    """Its first order is refused as one that would take."""
    rig.venue.mute = True
    rig.send(signal())
    first = rig.parent().children[0].client_id
    rig.venue.mute = False
    rig.send(
        OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=first, code="POST_ONLY", text="no")
    )
    rig.venue.orders.clear()
    assert rig.parent().children[0].state is ChildState.REJECTED


@pytest.mark.parametrize("sequence", [1, -1])
def test_a_venue_that_counts_anew_or_not_at_all_is_still_traded_on(sequence: int) -> None:
    """A newer book is one that came later, whatever number it bears."""
    rig = Rig()
    rig.seq = 1_000_000
    rig.book(60_000.0, 60_000.1)
    post_only_refused(rig)
    rig.now += 200 * MS
    levels = [(60_000.0, 50.0)], [(60_000.1, 50.0)]
    rig.engine.markets[KEY].last_seq = sequence
    rig.send(
        DepthUpdate(VENUE, SYMBOL, True, sequence, sequence, -1, None, *levels, rig.now, rig.now)
    )
    assert len(rig.parent().children) == 2


def test_a_revision_says_the_same_before_and_after_a_crash() -> None:
    """Its child's end is torn away, so the parent is in doubt again: that is a new revision."""
    rig = Rig()
    rig.venue.mute = True
    rig.send(signal())
    assert rig.report().status == "working"
    first = rig.parent().children[0].client_id
    rig.drop_after = 1
    rig.send(
        OrderRejected(venue=VENUE, symbol=SYMBOL, client_id=first, code="RATE_LIMIT", text="slow")
    )
    rig.restart()
    assert rig.parent().state is ParentState.UNKNOWN
    assert rig.report().status == "paused"
    seen: dict[int, str] = {}
    for report in rig.reports:
        assert seen.setdefault(report.revision, report.status) == report.status


# --- many fills ---------------------------------------------------------------------------------


def resting(lots: int) -> tuple[Rig, str]:
    """A rig with one resting order of so many lots; its client id."""
    rig = Rig()
    price = Decimal(1_000)
    rig.book(1_000.0, 1_000.1, size=1e6)
    quantity = Decimal(lots) / 1_000
    rig.send(signal(algo="limit", limit_price=price, quantity=quantity, created_ns=rig.now))
    rig.run(20 * MS)
    (order,) = rig.venue.open_orders()
    return rig, order.place.client_id


def fill_one_by_one(rig: Rig, client_id: str, count: int) -> list[int]:
    """So many fills of a lot, 3 ms apart; the bytes made durable at each."""
    sizes: list[int] = []
    for _ in range(count):
        rig.venue.fill(client_id, 1)
        before = len(rig.commands)
        rig.run(3 * MS)
        new = [command for _, command in rig.commands[before:]]
        sizes.append(sum(len(repr(each)) for each in new if isinstance(each, Persist)))
    return sizes


def test_what_a_fill_writes_does_not_grow_with_those_before_it() -> None:
    rig, client_id = resting(400)
    sizes = fill_one_by_one(rig, client_id, 300)
    assert max(sizes[200:]) < 1.3 * max(sizes[:20])


def test_old_orders_with_too_many_fills_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(order_store, "MOST_FILLS", 250)
    rig, client_id = resting(200)
    fill_one_by_one(rig, client_id, 200)
    assert rig.report().status == "filled"
    rig.send(
        signal(
            "s2",
            algo="limit",
            limit_price=Decimal(1_000),
            quantity=Decimal("0.1"),
            created_ns=rig.now,
            expires_ns=rig.now + SECOND,
        )
    )
    rig.run(20 * MS)
    (order,) = rig.venue.open_orders()
    fill_one_by_one(rig, order.place.client_id, 100)
    rig.run(61 * SECOND)
    assert list(rig.engine.order_store.known) == ["s2"]
    assert not [key for key in rig.durable if client_id in key]


def test_many_fills_are_reported_now_and_then_and_their_end_at_once() -> None:
    rig, client_id = resting(500)
    fill_one_by_one(rig, client_id, 499)
    told = len(rig.reports)
    assert FREE_FILLS < told < 200
    rig.run(1 * SECOND)
    assert rig.report().filled == Decimal("0.499")
    assert len(rig.report().fills) == 499
    fill_one_by_one(rig, client_id, 1)
    assert rig.report().status == "filled"
    assert len(rig.report().fills) == 500


def test_fills_that_were_not_reported_before_a_crash_are_a_new_revision() -> None:
    rig, client_id = resting(500)
    fill_one_by_one(rig, client_id, FREE_FILLS)
    while len(rig.report().fills) == len(rig.parent().children[0].fills):
        fill_one_by_one(rig, client_id, 1)
    before, filled = rig.report(), rig.parent().filled
    rig.restart()
    after = rig.report()
    assert len(before.fills) < len(after.fills) == filled
    assert after.revision > before.revision
    rig.run(10 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == rig.instrument.quantity(filled)


def test_orders_that_came_to_nothing_are_forgotten_and_their_ids_never_used_again() -> None:
    limits = paper_defaults(
        lease_required=False, depth_participation_bps=10_000.0, stale_ns=60 * SECOND
    )
    rig = Rig(config(limits=limits))
    rig.venue.fill_at_once = False
    rig.send(signal(algo="marketable_limit", params=(("time_limit_ms", 86_400_000),)))
    for _ in range(400):  # two hours and more, a moment of each twenty seconds
        rig.now += 20 * SECOND
        rig.run(20 * MS, refresh_ns=0)
        rig.book(rig.bid, rig.ask)
        rig.run(20 * MS, refresh_ns=0)
    placed = [order.client_id for order in rig.venue.placed]
    assert len(placed) > 300
    assert len(set(placed)) == len(placed)
    assert len(rig.parent().children) < 200
    assert len([key for key in rig.durable if key.startswith("child/")]) < 200
    rig.restart()
    rig.run(10 * SECOND)
    rig.venue.fill_at_once = True
    rig.run(10 * SECOND)
    assert rig.parent().state is ParentState.FILLED
    assert len({order.client_id for order in rig.venue.placed}) == len(rig.venue.placed)


def test_a_burst_of_signals_is_answered_one_by_one_within_the_limits_and_what_is_kept() -> None:
    """Of 100,000 at one moment (``make long``; fewer in the suite) the gate takes what the limits leave.

    One publisher's are remembered up to half of the room for ids, and 500 rejects more; beyond that none is taken, and
    a note says so: a reject that is not remembered might be reversed.
    """
    count = examples(1_500, 100_000)
    rig = Rig()
    limits, final = rig.settings.limits, {"rejected", "filled"}
    answers: dict[str, str] = {}
    noted: set[str] = set()
    for number in range(count):
        rig.send(signal(f"s{number}", created_ns=rig.now))
        for report in rig.reports:
            answers[report.signal_id] = report.status
        rig.reports.clear()
        noted.update(note.event for note in rig.notes)
        rig.notes.clear()
        rig.commands.clear()
    assert list(answers) == [f"s{number}" for number in range(min(count, 40_500))]
    assert ("signal_not_taken" in noted) == (count > len(answers))
    working = [each for each, status in answers.items() if status not in final]
    assert 0 < len(working) <= limits.max_open_orders
    lots = sum(rig.engine.order_store.known[each].target for each in working)
    most = for_symbol(limits.max_position_quantity, *KEY)
    assert most is not None
    assert rig.instrument.quantity(lots) <= most
    assert len(rig.engine.order_store.known) <= 6_000
    # None of them is taken a second time, and a cancel still goes out at once.
    rig.send(signal("s0", created_ns=rig.now))
    assert len(rig.engine.order_store.active) == len(working)
    rig.run(100 * MS)
    rig.cancel(working[0])
    assert any(isinstance(command, CancelOrder) for _, command in rig.commands)
    rig.run(SECOND)
    assert rig.parent(working[0]).state is ParentState.CANCELED
