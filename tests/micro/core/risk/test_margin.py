"""Margin of derivatives: the liquidation price, and what the gate makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.account_events import FundingPayment, MarginTier
from citadel_micro.core.model.commands import PlaceOrder, QueryTrades
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    AccountTrades,
    BalancesUpdated,
    FundingDue,
    MarginTerms,
    MarkPrice,
    Started,
    VenueSnapshot,
)
from citadel_micro.core.orders.execution_reports import position_view
from citadel_micro.core.portfolio.margin import liquidation_price

if TYPE_CHECKING:
    from citadel_micro.core.model.account_events import MarginMode

TIERS = (
    MarginTier(Decimal(50_000), 125, Decimal("0.004"), Decimal(0)),
    MarginTier(Decimal(600_000), 100, Decimal("0.005"), Decimal(50)),
)
USUAL: dict[str, Any] = {
    "shows_own_orders": False,
    "messages_per_second": 100,
    "message_burst": 500,
    "margined": True,
    "tells_trades": True,
}


def marked(rig: Rig, mark: float = 60_000.0, *, next_funding_ns: int = 0) -> None:
    rig.send(
        MarkPrice(VENUE, SYMBOL, mark, mark, 0.0001, next_funding_ns, rig.now, rig.now),
    )


def terms(rig: Rig, leverage: int = 3, mode: MarginMode = "isolated") -> None:
    rig.send(
        MarginTerms(venue=VENUE, symbol=SYMBOL, mode=mode, leverage=leverage, tiers=TIERS),
    )


def margined(leverage: int = 3, mode: MarginMode = "isolated", wallet: str = "20000") -> Rig:
    """A linear contract on an account with some USDT."""
    rig = Rig(config(VenueConfig(**USUAL)), instrument=rules(kind="linear"))
    rig.venue.coins = {"USDT": wallet}
    rig.venue.true_positions = True
    terms(rig, leverage, mode)
    marked(rig)
    funded(rig, wallet)
    return rig


def funded(rig: Rig, wallet: str) -> None:
    rows = (("USDT", Decimal(wallet), Decimal(0)),)
    rig.send(BalancesUpdated(venue=VENUE, balances=rows, exchange_ns=rig.now))


def bought(rig: Rig, quantity: str = "0.5", side: str = "buy") -> None:
    """Hold a position that was entered at 60,000."""
    price = Decimal(60_000)
    rig.send(signal(side=side, quantity=Decimal(quantity), algo="limit", limit_price=price))
    rig.run(10 * MS)
    for order in rig.venue.open_orders():
        rig.venue.fill(order.place.client_id, order.quantity_lots)
    rig.run(100 * MS)
    marked(rig)


def funding(rig: Rig, payment_id: str, amount: str) -> AccountTrades:
    return AccountTrades(
        venue=VENUE,
        symbol=SYMBOL,
        since_ns=0,
        trades=(),
        exchange_ns=rig.now,
        funding=(
            FundingPayment(
                payment_id=payment_id,
                amount=Decimal(amount),
                currency="USDT",
                exchange_ns=rig.now,
            ),
        ),
    )


@given(
    lots=st.integers(-(10**6), 10**6).filter(bool),
    entry=st.integers(1, 10**7),
    hundredths=st.integers(0, 200),
    rate=st.integers(1, 500),
    amount=st.integers(0, 10**4),
)
def test_at_the_liquidation_price_the_margin_is_the_maintenance_margin(
    lots: int, entry: int, hundredths: int, rate: int, amount: int
) -> None:
    size, price = Decimal(lots) / 1_000, Decimal(entry) / 10
    margin = abs(size) * price * hundredths / 100
    tier = MarginTier(Decimal(10) ** 12, 125, Decimal(rate) / 1_000, Decimal(amount))
    found = liquidation_price(size, price, margin, tier)
    if found is None:
        assert lots > 0  # only a long can lose no more than its price
        assert size * -price + margin >= -tier.maintenance_amount - Decimal("1e-9")
        return
    there = margin + size * (found - price)
    needed = abs(size) * found * tier.maintenance_rate - tier.maintenance_amount
    assert abs(there - needed) <= Decimal("1e-12") * (1 + abs(size) * found)


def test_without_terms_or_mark_no_position_is_opened() -> None:
    rig = Rig(config(VenueConfig(**USUAL)), instrument=rules(kind="linear"))
    rig.send(signal(quantity=Decimal("0.01")))
    rig.run(SECOND)
    assert rig.sent(PlaceOrder) == []
    terms(rig)
    rig.send(signal("s2", quantity=Decimal("0.01")))
    rig.run(SECOND)
    assert rig.sent(PlaceOrder) == []
    marked(rig)
    rig.send(signal("s3", quantity=Decimal("0.01")))
    rig.run(SECOND)
    assert len(rig.sent(PlaceOrder)) > 0


def test_an_old_mark_opens_nothing() -> None:
    rig = margined()
    rig.run(11 * SECOND)
    created_ns = rig.now
    rig.send(signal(created_ns=created_ns, expires_ns=created_ns + SECOND))
    rig.run(100 * MS)
    assert rig.sent(PlaceOrder) == []


@pytest.mark.parametrize(
    ("asked", "leverage", "wallet", "code"),
    [
        ("3", 3, "20000", ""),
        ("2", 3, "20000", ""),
        ("4", 3, "20000", "LEVERAGE"),
        ("1", 3, "10000", "FREE_BALANCE"),  # half a coin at 60,000 is 10,000 of margin, and the fee
        ("1", 10, "20000", "LIQUIDATION_DISTANCE"),
    ],
)
def test_what_a_position_may_be_opened_with(
    asked: str, leverage: int, wallet: str, code: str
) -> None:
    rig = margined(leverage, wallet=wallet)
    rig.send(signal(leverage=Decimal(asked)))
    rig.run(10 * MS)
    assert rig.report().reason_code == code
    assert bool(rig.sent(PlaceOrder)) is not bool(code)


def test_a_reduction_needs_neither_terms_nor_margin() -> None:
    rig = margined()
    bought(rig)
    again = Rig(config(VenueConfig(**USUAL)), instrument=rules(kind="linear"), start=False)
    again.now = rig.now
    again.venue = rig.venue
    again.send(Started(state=dict(rig.durable), damaged=""))
    again.book(60_000.0, 60_000.1)
    again.run(3 * SECOND)
    assert again.engine.portfolio.margin.terms == {}
    created_ns = again.now
    again.send(
        signal(
            "out",
            side="sell",
            reduce_only=True,
            leverage=Decimal(9),
            created_ns=created_ns,
            expires_ns=created_ns + SECOND,
        )
    )
    again.run(100 * MS)
    assert again.venue.placed[-1].side == "sell"


def test_the_liquidation_price_is_published_and_follows_the_stated_margin() -> None:
    rig = margined(3)
    bought(rig)
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    # 0.5 coins with 10,000: (30,000 - 10,000) / (0.5 x 0.996)
    price = rig.engine.portfolio.liquidation_price(position)
    assert price is not None
    assert price.quantize(Decimal("0.01")) == Decimal("40160.64")
    rig.send(
        VenueSnapshot(
            venue=VENUE,
            open_orders=(),
            balances=(("USDT", Decimal(9_000), Decimal(11_000)),),
            exchange_ns=rig.now,
            positions=((SYMBOL, Decimal("0.5")),),
            isolated=((SYMBOL, Decimal(11_000)),),
        )
    )
    price = rig.engine.portfolio.liquidation_price(position)
    assert price is not None
    assert price.quantize(Decimal("0.01")) == Decimal("38152.61")
    rig.send(funding(rig, "1", "-1000"))
    price = rig.engine.portfolio.liquidation_price(position)
    assert price is not None
    assert price.quantize(Decimal("0.01")) == Decimal("40160.64")


def test_a_cross_position_has_the_whole_wallet() -> None:
    rig = margined(20, "cross", "30000")
    bought(rig)
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    assert rig.engine.portfolio.liquidation_price(position) is None  # worth less than the wallet
    funded(rig, "15000")
    price = rig.engine.portfolio.liquidation_price(position)
    assert price is not None
    assert price.quantize(Decimal("0.01")) == Decimal("30120.48")


def test_a_short_is_liquidated_above() -> None:
    rig = margined(3)
    rig.book(60_000.0, 60_000.1)
    bought(rig, side="sell")
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    assert position.quantity == Decimal("-0.5")
    price = rig.engine.portfolio.liquidation_price(position)
    assert price is not None
    assert price.quantize(Decimal("0.01")) == Decimal("79681.27")


def test_funding_is_a_loss_once_and_after_a_restart() -> None:
    rig = margined()
    bought(rig)
    before = rig.engine.portfolio.profit()
    rig.now += SECOND
    paid = funding(rig, "77", "-12.5")
    rig.send(paid)
    rig.send(paid)
    after = rig.engine.portfolio.profit()
    assert before is not None
    assert after == before - Decimal("12.5")
    again = Rig(config(VenueConfig(**USUAL)), instrument=rules(kind="linear"), start=False)
    again.now = rig.now
    again.send(Started(state=dict(rig.durable), damaged=""))
    again.book(60_000.0, 60_000.1)
    again.send(paid)
    position = again.engine.portfolio.position(*KEY)
    assert position is not None
    assert position.funding == Decimal("-12.5")
    assert again.engine.portfolio.profit() == after


def test_funding_of_the_last_position_is_reported_also_after_its_end() -> None:
    rig = margined()
    bought(rig)
    rig.now += SECOND
    rig.send(funding(rig, "1", "-3"))
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    rules_ = rig.instrument
    for quantity in ("-0.2", "-0.3"):
        position.trade(Decimal(quantity), rules_.price(600_000))
    assert position_view(rig.engine.portfolio, position, Decimal(3)).funding == -3
    position.trade(Decimal("-0.1"), rules_.price(600_000))
    assert position_view(rig.engine.portfolio, position, Decimal(3)).funding == 0
    assert position.funding == -3


def test_funding_trips_the_daily_loss() -> None:
    rig = margined()
    bought(rig)
    rig.now += SECOND
    rig.send(funding(rig, "77", "-2500"))
    rig.run(2 * SECOND)
    assert rig.engine.risk.effective_state(VENUE, SYMBOL, "test") == "REDUCING"


def test_payments_are_asked_for_when_they_are_due() -> None:
    rig = margined()
    bought(rig)
    rig.run(10 * SECOND)
    asked = len(rig.sent(QueryTrades))
    marked(rig, next_funding_ns=rig.now + SECOND)
    rig.run(5 * SECOND)
    assert len(rig.sent(QueryTrades)) == asked
    marked(rig, next_funding_ns=rig.now + 8 * 3_600 * SECOND)
    rig.run(31 * SECOND)
    assert len(rig.sent(QueryTrades)) == asked + 1
    rig.send(FundingDue(venue=VENUE, exchange_ns=rig.now))
    rig.run(SECOND)
    assert len(rig.sent(QueryTrades)) == asked + 2


def test_a_position_near_its_liquidation_is_reported_once() -> None:
    rig = margined(3)
    bought(rig)

    def told() -> int:
        return sum(note.event == "liquidation_near" for note in rig.notes)

    marked(rig, 44_000.0)
    assert told() == 1
    marked(rig, 43_000.0)
    assert told() == 1
    marked(rig, 60_000.0)
    marked(rig, 44_000.0)
    assert told() == 2
