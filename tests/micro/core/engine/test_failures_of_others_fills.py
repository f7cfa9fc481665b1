"""Failures of other trading programs: fills, positions, rate limits, messages.

Names of tests begin with the project and the number of its issue.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from failures_kit import CHILD, child, rejected, resting, venue

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, QueryTrades
from citadel_micro.core.model.events import (
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderState,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import ChildState, ParentState


def test_ccxt_18028_a_fill_that_comes_twice_is_counted_once() -> None:
    """ccxt/ccxt#18028: one fill delivered twice."""
    rig = resting()
    report = rig.venue.fill(CHILD, 100)
    for _ in range(3):
        rig.send(report)
    assert rig.parent().filled == 100
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1")


def test_lean_5972_a_fill_that_is_never_reported_is_found_by_asking() -> None:
    """QuantConnect/Lean#5972: the event of a fill never came."""
    rig = resting()
    rig.venue.fill(CHILD, 100)
    rig.venue.mute = False
    rig.run(20 * SECOND)  # an order that rests is asked about now and then
    assert rig.parent().filled == 100
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1")


def test_connector_rust_74_nothing_is_placed_while_the_user_stream_is_mute() -> None:
    """binance/binance-connector-rust#74: the user stream died without a word.

    That it is mute finds the adapter, which then says that the venue is blind.
    """
    rig = resting(tells_trades=True)
    rig.venue.mute = False
    rig.send(VenueStatus(venue=VENUE, up=True, blind=True, reason="no event for an answer"))
    placed = len(rig.sent(PlaceOrder))
    rig.send(signal("s2", quantity=Decimal("0.1"), created_ns=rig.now, expires_ns=rig.now + SECOND))
    rig.venue.faults = Faults(lose_report=1.0)
    rig.venue.fill(CHILD, 200)
    rig.venue.heal()
    for tick in range(50):
        rig.book(60_000.0 + tick, 60_000.1 + tick)
        rig.run(100 * MS)
    assert len(rig.sent(PlaceOrder)) == placed, "0 orders while blind"
    assert rig.report("s2").reason_code == "VENUE_BLIND"
    rig.cancel("s1")
    rig.run(SECOND)
    assert [c.client_id for _, c in rig.sent(CancelOrder)] == [CHILD], "cancels pass"  # type: ignore[attr-defined]
    rig.venue.latency_ns = 300 * MS
    rig.send(VenueStatus(venue=VENUE, up=True, reason="subscribed again"))
    rig.book(60_050.0, 60_050.1)
    rig.run(500 * MS)
    assert len(rig.sent(PlaceOrder)) == placed, "nor before the venue has said what it holds"
    rig.run(300 * MS)
    assert len(rig.sent(PlaceOrder)) == placed + 1
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.2")
    assert rig.sent(QueryTrades)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_exits_wait_too_while_the_venue_is_blind(side: str) -> None:
    """What may have been sold already is not sold once more."""
    rig = Rig(config(venue()))
    rig.venue.partial_share = 0.0
    if side == "sell":
        rig.send(signal("have", order_type="market"))
        rig.run(SECOND)
    rig.send(VenueStatus(venue=VENUE, up=True, blind=True, reason="mute"))
    before = len(rig.venue.placed)
    rig.send(
        signal("x", side=side, order_type="market", created_ns=rig.now, expires_ns=rig.now + SECOND)
    )
    rig.run(2 * SECOND)
    assert len(rig.venue.placed) == before
    rig.send(VenueStatus(venue=VENUE, up=True, reason="back"))
    rig.run(SECOND)
    assert len(rig.venue.placed) == before + 1


def holding(kind: str = "linear", **changes: object) -> Rig:
    """Half a coin."""
    rig = Rig(config(venue(**changes)), instrument=rules(kind=kind))
    rig.venue.partial_share = 0.0
    rig.venue.true_positions = kind != "spot"
    rig.send(signal("have", order_type="market"))
    rig.run(SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    return rig


def exit_signal(rig: Rig, name: str, quantity: str, **changes: object) -> None:
    values: dict[str, object] = {
        "side": "sell",
        "quantity": Decimal(quantity),
        "reduce_only": True,
        "created_ns": rig.now,
        "expires_ns": rig.now + 3_600 * SECOND,
    }
    rig.send(signal(name, **{**values, **changes}))


def test_freqtrade_6739_a_refused_reduction_refreshes_the_position() -> None:
    """freqtrade/freqtrade#6739: the exit had filled unseen, and -2022 came again and again."""
    rig = holding(tells_trades=True)
    rig.venue.foreign_trade("sell", 500)  # closed, and nobody has told
    rig.venue.mute = True
    exit_signal(rig, "x", "0.5")
    rig.run(10 * MS)
    del rig.venue.orders["sctest-2-1"]
    rig.venue.mute = False
    rejected(rig, "NOTHING_TO_REDUCE", "sctest-2-1", "ReduceOnly Order is rejected.")
    rig.run(5 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert rig.parent("x").terminal
    assert rig.report("x").reason_code == "POSITION_CLOSED"
    assert len(rig.sent(PlaceOrder)) == 2, "the entry, and the exit once"
    assert rig.engine.risk.breakers.trips == ()


def test_qubx_386_resting_reductions_are_counted() -> None:
    """xLydianSoftware/Qubx#386: a resting reduce-only order blocked the exit, -4118."""
    rig = holding()
    exit_signal(rig, "target", "0.4", algo="limit", limit_price=Decimal(61_000))
    rig.run(10 * MS)
    exit_signal(rig, "much", "0.5")
    assert rig.report("much").reason_code == "REDUCE_ONLY"
    exit_signal(rig, "exit", "0.1")
    rig.run(100 * MS)
    open_lots = [o.quantity_lots - o.filled_lots for o in rig.venue.open_orders()]
    assert sum(open_lots) <= 500
    assert sorted(open_lots) == [100, 400]


def test_qubx_386_a_venue_that_counts_more_of_them_does_not_make_a_loop() -> None:
    """The resting ones are of somebody else: the exit ends with the venue's words."""
    rig = holding(tells_trades=True)
    rig.venue.mute = True
    exit_signal(rig, "x", "0.5")
    for number in range(1, 30):
        if rig.parent("x").terminal:
            break
        rejected(rig, "NOTHING_TO_REDUCE", f"sctest-2-{number}", "-4118")
        rig.run(5 * SECOND)
    assert rig.parent("x").terminal
    assert number <= 6
    assert "-4118" in rig.report("x").reason


def test_freqtrade_2877_a_fee_in_coins_leaves_less_to_sell() -> None:
    """freqtrade/freqtrade#2877: a partial buy, less its fee, and a stop for more than was there."""
    rig = Rig(config(venue()), instrument=rules(fee_side="received"))
    rig.send(signal("have", algo="limit", limit_price=Decimal(60_000)))
    rig.run(10 * MS)
    rig.venue.mute = True
    report = rig.venue.fill(CHILD, 200)
    rig.send(replace(report, fee=Decimal("0.0002"), fee_currency="BTC"))
    rig.cancel("have")
    rig.send(done(rig, CHILD, 200))
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1998")
    rig.venue.mute = False
    exit_signal(
        rig,
        "stop",
        "0.2",
        kind="stop",
        reduce_only=False,
        order_type="market",
        stop_price=Decimal(59_000),
        algo="stop",
    )
    rig.book(58_900.0, 58_900.1)
    rig.run(5 * SECOND)
    sold = [o for o in rig.venue.orders.values() if o.place.side == "sell"]
    assert sold
    assert sum(o.filled_lots for o in sold) <= 199
    assert all(o.quantity_lots <= 199 for o in sold)


def done(rig: Rig, client_id: str, lots: int) -> OrderDone:
    return OrderDone(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=client_id,
        status="canceled",
        cumulative_lots=lots,
        reason="",
        exchange_ns=rig.now,
    )


def test_freqtrade_3622_a_rest_below_the_minimum_is_dust() -> None:
    """freqtrade/freqtrade#3622: what an immediate order left was less than the venue takes."""
    rig = holding("spot")
    rig.book(60_000.0, 60_000.1)
    rig.venue.partial_share = 0.0
    rig.venue.fill_at_once = False
    exit_signal(rig, "x", "0.5", reduce_only=False, algo="marketable_limit")
    rig.run(MS)
    rig.instrument = rules(min_notional=Decimal(500))
    assert rig.parent("x").live
    name = rig.parent("x").live[0].client_id
    rig.venue.mute = True
    inst = rig.engine.inst_states[KEY]
    inst.instrument = rig.parent("x").instrument = rules(min_notional=Decimal(500))
    rig.send(
        OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=name,
            trade_id="t",
            price_ticks=600_000,
            quantity_lots=495,
            cumulative_lots=495,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="taker",
            exchange_ns=rig.now,
        )
    )
    rig.send(done(rig, name, 495))
    rig.run(10 * SECOND)
    assert rig.parent("x").state is ParentState.DONE_DUST
    assert "0.005" in rig.report("x").reason


def test_hummingbot_1291_a_rate_limit_holds_everything_back() -> None:
    """hummingbot/hummingbot#1291: 429 was ignored, and 418 followed.

    That nothing at all is sent for as long as the venue says, is the adapter's affair.
    """
    rig = Rig(config(venue(counts_rate_limits=False)))
    rig.venue.mute = True
    rig.send(signal())
    at = rig.now
    rejected(rig, "RATE_LIMIT", text="Too many requests")
    rig.run(900 * MS)
    assert len(rig.sent(PlaceOrder)) == 1
    rig.run(200 * MS)
    assert len(rig.sent(PlaceOrder)) == 2
    assert rig.sent(PlaceOrder)[1][0] - at >= SECOND
    assert rig.parent().rejects == 0, "it was not taken, which says nothing of the order"
    for number in range(2, 22):
        rejected(rig, "RATE_LIMIT", f"sctest-1-{number}")
        rig.run(1_100 * MS)
    assert rig.engine.risk.breakers.trips == ()


def test_hummingbot_1291_cancels_are_tried_ever_more_slowly() -> None:
    rig = resting()
    rig.cancel("s1")
    for _ in range(60):
        rig.send(
            CancelRejected(
                venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="RATE_LIMIT", text="429"
            )
        )
        rig.run(SECOND)
    assert 10 <= len(rig.sent(CancelOrder)) <= 24
    assert child(rig).state in (ChildState.WORKING, ChildState.CANCELING)


def test_passivbot_437_each_order_has_an_outcome_of_its_own() -> None:
    """enarjord/passivbot#437: in a batch one -5022, one live, and both taken for refused.

    The engine sends no batches; an adapter that did would report each leg.
    """
    limits = paper_defaults(
        lease_required=False, max_open_orders=10, depth_participation_bps=10_000.0
    )
    rig = Rig(config(limits=limits))
    rig.venue.mute = True
    for name in ("a", "b"):
        rig.send(signal(name, quantity=Decimal("0.1")))
    rejected(rig, "POST_ONLY", "sctest-1-1")
    rig.send(
        OrderAccepted(
            venue=VENUE,
            symbol=SYMBOL,
            client_id="sctest-2-1",
            venue_order_id="2",
            exchange_ns=rig.now,
        )
    )
    assert rig.parent("a").children[0].state is ChildState.REJECTED
    assert rig.parent("b").children[0].state is ChildState.WORKING


def test_nautilus_3827_the_legs_of_an_amend_are_no_end() -> None:
    """nautechsystems/nautilus_trader#3827: a modify's cancel leg was taken for the order's end.

    The adapter hides the legs and says ``OrderAmended``; a venue id that changes with it is its own
    affair, since orders are known by our id.
    """
    rig = resting(amend_native=True)
    rig.send(
        OrderAmended(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=CHILD,
            price_ticks=600_000,
            quantity_lots=500,
            exchange_ns=rig.now,
        )
    )
    assert child(rig).state is ChildState.WORKING
    assert rig.parent().reserved == 500


def test_nautilus_3287_orders_of_every_list_of_a_venue_are_reconciled() -> None:
    """nautechsystems/nautilus_trader#3287: stops moved to another API, and vanished.

    Micro holds its stops itself, so nothing of its own is in another list; an order of others in a
    snapshot is left alone, wherever the venue lists it.
    """
    rig = resting()
    rows = (
        rig.venue.state_of(CHILD, "order"),
        OrderState(
            venue=VENUE,
            symbol=SYMBOL,
            client_id="x-algo-77",
            status="open",
            source="order",
            price_ticks=500_000,
            quantity_lots=10,
            cumulative_lots=0,
            exchange_ns=rig.now,
        ),
    )
    rig.send(VenueSnapshot(venue=VENUE, open_orders=rows, balances=(), exchange_ns=rig.now))
    assert rig.engine.foreign_orders() == {VENUE: ("x-algo-77",)}
    assert rig.sent(CancelOrder) == []
    assert child(rig).state is ChildState.WORKING
