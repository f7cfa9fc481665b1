"""Profit and balances of random fills, exact to the last digit, also over a restart."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portfolio_kit import BTC, HOUR_NS, VENUE, book, fill

from citadel_micro.core.model.events import OrderFilled, Side
from citadel_micro.core.portfolio.pnl_curve import DAY_NS
from citadel_micro.core.portfolio.portfolio import Portfolio


@dataclass(frozen=True)
class Trade:
    side: Side
    ticks: int
    lots: int
    fee: Decimal
    currency: Literal["USDT", "BTC"]


TRADES = st.lists(
    st.builds(
        Trade,
        side=st.sampled_from(["buy", "sell"]),
        ticks=st.integers(1, 10**7),
        lots=st.integers(1, 10**5),
        fee=st.decimals(min_value=0, max_value=Decimal("0.001"), places=6),
        currency=st.sampled_from(["USDT", "BTC"]),
    ),
    max_size=12,
)


def replay(trades: list[Trade], portfolio: Portfolio) -> None:
    for i, t in enumerate(trades):
        one = fill(BTC, "1", "1", str(t.fee), t.currency, exchange_ns=i)
        one = OrderFilled(
            venue=one.venue,
            symbol=one.symbol,
            client_id=one.client_id,
            trade_id=str(i),
            price_ticks=t.ticks,
            quantity_lots=t.lots,
            cumulative_lots=-1,
            fee=t.fee,
            fee_currency=t.currency,
            liquidity="taker",
            exchange_ns=i,
        )
        portfolio.apply_fill(BTC, t.side, one, i)


@given(TRADES, st.integers(1, 10**7))
def test_profit_is_cash_plus_holdings_to_the_last_digit(trades: list[Trade], mark: int) -> None:
    portfolio = Portfolio()
    replay(trades, portfolio)
    cash = held = Fraction(0)
    for t in trades:
        sign = 1 if t.side == "buy" else -1
        quantity, price = Fraction(t.lots, 1000), Fraction(t.ticks, 100)
        held += sign * quantity
        cash -= sign * quantity * price
        if t.currency == "USDT":
            cash -= Fraction(t.fee)
        else:
            held -= Fraction(t.fee)
    portfolio.mark(VENUE, "BTC/USDT", float(Decimal(mark) / 100))
    profit = portfolio.profit()
    assert profit is not None
    assert Fraction(profit) == cash + held * Fraction(mark, 100)
    position = portfolio.position(VENUE, "BTC/USDT")
    if position is not None:
        assert Fraction(position.quantity) == held
        split = position.realised + position.unrealised(Decimal(mark) / 100)
        assert split == pytest.approx(profit, abs=Decimal("1e-12"))


@given(TRADES)
def test_balances_follow_fills_exactly(trades: list[Trade]) -> None:
    portfolio = Portfolio()
    start = [("USDT", Decimal(10**12), Decimal(7)), ("BTC", Decimal(10**9), Decimal(3))]
    portfolio.set_balances(VENUE, start, exchange_ns=-1)
    replay(trades, portfolio)
    position = portfolio.position(VENUE, "BTC/USDT")
    held = Decimal(0) if position is None else position.quantity
    base = portfolio.balance(VENUE, "BTC")
    assert base is not None
    assert base.total == Decimal(10**9) + 3 + held
    assert base.used >= 0


@given(TRADES, st.integers(0, 12), st.integers(1, 10**7))
def test_a_restart_is_no_restart(trades: list[Trade], cut: int, mark: int) -> None:
    def run(trades: list[Trade], portfolio: Portfolio) -> None:
        portfolio.mark(VENUE, "BTC/USDT", mark / 100)
        replay(trades, portfolio)
        portfolio.observe(len(trades) * HOUR_NS)

    whole, first, second = Portfolio(), Portfolio(), Portfolio()
    for portfolio in (whole, first):
        portfolio.set_balances(VENUE, [("USDT", Decimal(100), Decimal(1))], exchange_ns=0)
        run(trades[:cut], portfolio)
    second.load(first.to_state())
    assert second.to_state() == first.to_state()
    for portfolio in (whole, second):
        run(trades[cut:], portfolio)
    assert second.to_state() == whole.to_state()
    assert second.profit() == whole.profit()


def test_state_is_plain_data() -> None:
    portfolio = Portfolio()
    portfolio.set_balances(VENUE, [("USDT", Decimal(100), Decimal(1))], exchange_ns=0)
    book(portfolio, "buy", fill(BTC, "100", "1", "0.1", "BNB"))
    portfolio.mark(VENUE, "BTC/USDT", 100.0)
    portfolio.observe(DAY_NS)

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in {str, int, bool}

    assert plain(portfolio.to_state())
    again = Portfolio()
    again.load(portfolio.to_state())
    assert again.foreign_fees == {(VENUE, "BNB"): Decimal("0.1")}
    assert [p.symbol for p in again.positions()] == ["BTC/USDT"]
