"""Fills of ours that no report brought, found in the account's trades."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from history_kit import quantity, spot, telling, trips

from citadel_micro.core.engine.account_history import MOST_BACK_NS, OVERLAP_NS
from citadel_micro.core.model.commands import PlaceOrder, QueryTrades
from citadel_micro.core.model.events import (
    OrderDone,
    OrderFilled,
    VenueStatus,
)
from citadel_micro.core.orders.order_states import ParentState


@pytest.mark.parametrize("kind", ["spot", "linear"])
@pytest.mark.parametrize("named", [True, False])
def test_a_fill_that_no_report_ever_brought_of_an_order_that_is_gone_is_found(
    kind: str, *, named: bool
) -> None:
    """The venue said that nothing had filled, so nobody asks about the order any more."""
    rig = Rig(config(telling()), instrument=rules(kind=kind))
    rig.venue.names_orders = named
    rig.send(signal())
    rig.run(10 * MS)
    order = rig.live()
    rig.venue.faults = Faults(lose_report=1.0)
    rig.venue.fill(order.place.client_id, 100)
    order.status = "canceled"
    rig.venue.heal()
    rig.cancel("s1")
    rig.send(
        OrderDone(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=order.place.client_id,
            status="canceled",
            cumulative_lots=0,
            reason="",
            exchange_ns=rig.now,
        )
    )
    rig.run(SECOND)
    assert rig.parent().closed
    assert quantity(rig) == 0
    rig.run(62 * SECOND)
    assert quantity(rig) == Decimal("0.1")
    assert rig.parent().filled == 100
    assert rig.report().filled == Decimal("0.1")
    assert trips(rig) == ["VENUE_ANOMALY"], "it had said that nothing had filled"


def test_a_fill_during_an_interruption_is_found_at_its_end() -> None:
    rig = Rig(config(telling()))
    rig.send(signal())
    rig.run(10 * MS)
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    rig.venue.faults = Faults(lose_report=1.0)
    rig.venue.fill(rig.live().place.client_id, 500)
    rig.venue.heal()
    rig.run(SECOND)
    assert quantity(rig) == 0
    rig.send(VenueStatus(venue=VENUE, up=True, reason="back"))
    rig.run(100 * MS)
    assert quantity(rig) == Decimal("0.5")
    assert rig.parent().state is ParentState.FILLED
    assert trips(rig) == []


def test_a_fill_while_we_were_dead_is_found_though_its_order_is_forgotten_there() -> None:
    """The order itself is not known to the venue any more; its trade is."""
    rig = Rig(config(telling()))
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 500)
    del rig.venue.orders["sctest-1-1"]
    rig.restart()
    assert rig.recovering()
    rig.run(5 * SECOND)
    assert not rig.recovering()
    assert rig.report().status == "filled"
    assert quantity(rig) == Decimal("0.5")
    assert len(rig.sent(PlaceOrder)) == 1


def test_recovery_waits_for_the_trades() -> None:
    rig = spot()
    rig.venue.faults = Faults(lose_report=1.0)
    rig.restart()
    rig.run(5 * SECOND)
    assert rig.recovering()
    assert len(rig.sent(QueryTrades)) >= 2
    rig.venue.heal()
    rig.run(3 * SECOND)
    assert not rig.recovering()


def test_trades_are_asked_for_where_something_was_traded_and_seldom() -> None:
    rig = Rig(config(telling()))
    rig.run(600 * SECOND)
    assert rig.sent(QueryTrades) == []
    rig.send(signal("buy", order_type="market", created_ns=rig.now, expires_ns=rig.now + SECOND))
    rig.run(600 * SECOND)
    asked = rig.sent(QueryTrades)
    assert 1 <= len(asked) <= 2
    at, query = asked[-1]
    assert isinstance(query, QueryTrades)
    assert at - query.since_ns <= 2 * OVERLAP_NS + 600 * SECOND


def test_after_a_week_of_silence_one_day_is_read_and_recovery_ends() -> None:
    """No venue lists a week at once; recovery must not hang on it."""
    rig = spot()
    rig.run(70 * SECOND)
    rig.now += 7 * 86_400 * SECOND
    rig.venue.now = rig.now
    rig.restart()
    rig.run(5 * SECOND)
    assert not rig.recovering()
    at, query = rig.sent(QueryTrades)[-1]
    assert isinstance(query, QueryTrades)
    assert at - query.since_ns == MOST_BACK_NS
    assert rig.engine.portfolio.foreign.known_ns[KEY] > at


def test_both_orders_of_a_self_trade_are_filled_though_they_share_the_trade_id() -> None:
    """Binance: one trade id, two orders of one account."""
    rig = Rig(config(telling()))
    for name, side in (("b", "buy"), ("s", "sell")):
        rig.send(
            signal(
                name, side=side, quantity=Decimal("0.1"), algo="limit", limit_price=Decimal(60_000)
            )
            if side == "buy"
            else signal(
                name, side=side, quantity=Decimal("0.1"), algo="limit", limit_price=Decimal(60_001)
            )
        )
    rig.run(10 * MS)
    for number, ticks in ((1, 600_000), (2, 600_010)):
        rig.send(
            OrderFilled(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=f"sctest-{number}-1",
                trade_id="77",
                price_ticks=ticks,
                quantity_lots=100,
                cumulative_lots=100,
                fee=Decimal(0),
                fee_currency="USDT",
                liquidity="maker",
                exchange_ns=rig.now,
            )
        )
    assert [rig.parent(name).filled for name in ("b", "s")] == [100, 100]
    assert quantity(rig) == 0


def test_of_a_pair_on_demand_nothing_is_read_before_it_is_traded() -> None:
    rig = Rig(config(telling(on_demand=(SYMBOL,))))
    rig.run(3 * SECOND)
    assert rig.sent(QueryTrades) == []
    assert rig.engine.portfolio.foreign.known_ns == {}
    began_ns = rig.now
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill(rig.live().place.client_id, 500)
    rig.run(70 * SECOND)
    (_, first), *_ = [(at, c) for at, c in rig.commands if isinstance(c, QueryTrades)]
    assert first.since_ns < began_ns, "from the start of the run on, less an overlap"
    assert quantity(rig) == Decimal("0.5")
    rig.restart()
    rig.run(5 * SECOND)
    assert KEY in rig.engine.portfolio.foreign.known_ns, "something is held there"


def test_a_pair_on_demand_is_forgotten_by_a_restart_when_nothing_there_is_ours() -> None:
    rig = Rig(config(telling(on_demand=(SYMBOL,))))
    rig.run(SECOND)
    trade = rig.venue.foreign_trade("buy", 100)
    rig.send(
        OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=trade.client_id,
            trade_id=trade.trade_id,
            price_ticks=trade.price_ticks,
            quantity_lots=trade.quantity_lots,
            cumulative_lots=trade.quantity_lots,
            fee=trade.fee,
            fee_currency=trade.fee_currency,
            liquidity="taker",
            exchange_ns=rig.now,
        )
    )
    rig.run(5 * SECOND)
    assert rig.engine.portfolio.foreign.net[KEY] == Decimal("0.1"), "it is reported, once"
    assert KEY in rig.engine.portfolio.foreign.known_ns
    rig.restart()
    rig.run(70 * SECOND)
    assert not rig.recovering()
    assert rig.engine.portfolio.foreign.known_ns == {}
    assert trips(rig) == []
