"""Positions, balances and losses from fills, exact to the last digit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import OrderFilled, Side
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.portfolio.pnl_curve import DAY_NS, LossCurve
from citadel_micro.core.portfolio.portfolio import Balance, Portfolio

VENUE = "binance-spot"
HOUR_NS = 3_600_000_000_000


def spot(symbol: str = "BTC/USDT") -> Instrument:
    base, _, quote = symbol.partition("/")
    return Instrument(
        venue=VENUE,
        symbol=symbol,
        venue_symbol=base + quote,
        base=base,
        quote=quote,
        settle=quote,
        kind="spot",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        min_lots=1,
        min_notional=Decimal(5),
        contract_size=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        fee_side="received",
    )


def perpetual(kind: Literal["linear", "inverse"], contract_size: str) -> Instrument:
    settle = "USDT" if kind == "linear" else "BTC"
    return Instrument(
        venue="okx",
        symbol=f"BTC/USDT:{settle}",
        venue_symbol="BTC-USDT-SWAP",
        base="BTC",
        quote="USDT",
        settle=settle,
        kind=kind,
        tick=Decimal("0.5"),
        lot=Decimal(1),
        min_lots=1,
        min_notional=Decimal(0),
        contract_size=Decimal(contract_size),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        fee_side="quote",
    )


BTC = spot()


def fill(
    rules: Instrument,
    price: str,
    quantity: str,
    fee: str = "0",
    currency: str = "USDT",
    *,
    exchange_ns: int = 1,
) -> OrderFilled:
    return OrderFilled(
        venue=rules.venue,
        symbol=rules.symbol,
        client_id="c-1",
        trade_id="t-1",
        price_ticks=rules.ticks(Decimal(price), "nearest"),
        quantity_lots=rules.lots(Decimal(quantity)),
        cumulative_lots=-1,
        fee=Decimal(fee),
        fee_currency=currency,
        liquidity="maker",
        exchange_ns=exchange_ns,
    )


def book(portfolio: Portfolio, side: Side, one: OrderFilled, rules: Instrument = BTC) -> None:
    portfolio.apply_fill(rules, side, one, now_ns=7)


def test_a_base_fee_leaves_the_position_and_counts_at_the_fills_price() -> None:
    portfolio = Portfolio()
    book(portfolio, "buy", fill(BTC, "60000", "0.5", "0.0005", "BTC"))
    position = portfolio.position(VENUE, "BTC/USDT")
    assert position is not None
    assert position.quantity == Decimal("0.4995")
    assert position.entry_price == 60_000
    assert position.realised == -30
    assert position.fees == 30
    assert position.updated_ns == 7
    portfolio.mark(VENUE, "BTC/USDT", 60_000.0)
    assert portfolio.profit() == -30
    portfolio.mark(VENUE, "BTC/USDT", 61_000.0)
    assert portfolio.profit() == Decimal("0.4995") * 1_000 - 30


def test_a_quote_fee_is_paid_from_the_proceeds() -> None:
    portfolio = Portfolio()
    book(portfolio, "buy", fill(BTC, "100", "2"))
    book(portfolio, "sell", fill(BTC, "110", "2", "0.22"))
    position = portfolio.position(VENUE, "BTC/USDT")
    assert position is not None
    assert position.quantity == 0
    assert position.entry_price == 0
    assert position.realised == Decimal("19.78")
    assert portfolio.profit() == Decimal("19.78")


def test_adding_averages_closing_in_part_keeps_the_entry_flipping_starts_anew() -> None:
    portfolio = Portfolio()
    steps: list[tuple[Side, str, str, str, str, str]] = [
        # side, price, quantity -> quantity, entry, realised
        ("buy", "100", "1", "1", "100", "0"),
        ("buy", "110", "1", "2", "105", "0"),
        ("sell", "120", "0.5", "1.5", "105", "7.5"),
        ("sell", "95", "2.5", "-1", "95", "-7.5"),
        ("sell", "97", "1", "-2", "96", "-7.5"),
        ("buy", "90", "2", "0", "0", "4.5"),
    ]
    for side, price, quantity, *expected in steps:
        book(portfolio, side, fill(BTC, price, quantity))
        position = portfolio.position(VENUE, "BTC/USDT")
        assert position is not None
        found = (position.quantity, position.entry_price, position.realised)
        assert found == tuple(map(Decimal, expected))
    assert portfolio.quantity(VENUE, "BTC/USDT") == 0
    assert portfolio.quantity(VENUE, "ETH/USDT") == 0
    assert portfolio.position(VENUE, "ETH/USDT") is None


def test_a_fee_in_a_third_currency_is_kept_apart_and_flagged_until_it_has_a_rate() -> None:
    portfolio = Portfolio()
    book(portfolio, "buy", fill(BTC, "100", "1", "0.01", "BNB"))
    book(portfolio, "sell", fill(BTC, "100", "1", "0.02", "BNB"))
    assert portfolio.foreign_fees == {(VENUE, "BNB"): Decimal("0.03")}
    assert list(portfolio.unvalued_fees) == ["BNB"]
    assert portfolio.profit() == 0
    portfolio.mark(VENUE, "BNB/USDT", 600.0)
    assert not portfolio.unvalued_fees
    assert portfolio.profit() == -18


def test_linear_contracts_count_their_size() -> None:
    rules = perpetual("linear", "0.01")
    portfolio = Portfolio()
    book(portfolio, "sell", fill(rules, "60000", "10", "3"), rules)
    portfolio.mark("okx", rules.symbol, 59_000.0)
    position = portfolio.position("okx", rules.symbol)
    assert position is not None
    assert position.entry_price == 60_000
    assert position.unrealised(Decimal(59_000)) == 100
    assert portfolio.profit() == 97
    assert portfolio.equity() == 100


def test_inverse_contracts_gain_in_base_currency() -> None:
    rules = perpetual("inverse", "100")
    portfolio = Portfolio()
    book(portfolio, "buy", fill(rules, "50000", "10", "0.00001", "BTC"), rules)
    position = portfolio.position("okx", rules.symbol)
    assert position is not None
    assert position.entry_price == 50_000
    # 1,000 USD of contracts: 0.02 BTC at the entry, 0.016 at the exit.
    assert position.unrealised(Decimal(62_500)) == Decimal("0.004")
    portfolio.mark("okx", rules.symbol, 62_500.0)
    assert portfolio.profit() is None  # nobody has said what a BTC is worth
    portfolio.mark(VENUE, "BTC/USDT", 62_500.0)
    assert portfolio.profit() == (Decimal("0.004") - Decimal("0.00001")) * 62_500
    book(portfolio, "sell", fill(rules, "62500", "10", "0", "BTC"), rules)
    assert position.realised == Decimal("0.00399")
    assert position.unrealised(Decimal(1)) == 0


# --- what it is worth ------------------------------------------------------------------------


def test_a_missing_mark_makes_profit_unknown_not_zero() -> None:
    portfolio = Portfolio()
    book(portfolio, "buy", fill(BTC, "100", "1"))
    assert portfolio.profit() is None
    assert portfolio.observe(1) is None
    assert portfolio.curve.last_ns == 0
    portfolio.mark(VENUE, "BTC/USDT", 90.0)
    assert portfolio.profit() == -10
    for unusable in (None, float("nan"), float("inf"), 0.0, -1.0):
        portfolio.mark(VENUE, "BTC/USDT", 90.0)
        portfolio.mark(VENUE, "BTC/USDT", unusable)
        assert portfolio.mark_price(VENUE, "BTC/USDT") is None
        assert portfolio.profit() is None


def test_marks_are_the_decimals_they_were_written_as() -> None:
    portfolio = Portfolio()
    portfolio.mark(VENUE, "BTC/USDT", 60_000.01)
    assert portfolio.mark_price(VENUE, "BTC/USDT") == Decimal("60000.01")
    assert portfolio.mark_price(VENUE, "BTC/USDT") == Decimal("60000.01")
    portfolio.mark(VENUE, "BTC/USDT", 60_000.03)
    assert portfolio.mark_price(VENUE, "BTC/USDT") == Decimal("60000.03")


def test_rates_come_from_spot_marks_either_way_round_and_from_par() -> None:
    portfolio = Portfolio("USDT", par_currencies=("USDC",))
    assert portfolio.rate("USDT") == 1
    assert portfolio.rate("USDC") == 1
    assert portfolio.rate("EUR") is None
    portfolio.mark(VENUE, "USDT/EUR", 0.8)
    assert portfolio.rate("EUR") == Decimal("1.25")
    portfolio.mark(VENUE, "EUR/USDT", 1.2)
    assert portfolio.rate("EUR") == Decimal("1.2")
    portfolio.mark("kraken-spot", "EUR/USDT", 1.3)
    portfolio.mark(VENUE, "EUR/USDT", None)
    assert portfolio.rate("EUR") == Decimal("1.3")
    portfolio.mark("kraken-spot", "EUR/USDT", None)
    portfolio.mark(VENUE, "USDT/EUR", None)
    assert portfolio.rate("EUR") is None
    portfolio.mark(VENUE, "EUR/USDT", 1.1)
    assert portfolio.rate("EUR") == Decimal("1.1")


def test_a_perpetuals_mark_is_no_rate() -> None:
    portfolio = Portfolio()
    portfolio.mark("okx", "BTC/USDT:USDT", 60_000.0)
    assert portfolio.rate("BTC") is None


def test_equity_is_every_balance_at_its_mark() -> None:
    portfolio = Portfolio()
    portfolio.set_balances(
        VENUE,
        [("USDT", Decimal(900), Decimal(100)), ("BTC", Decimal("0.5"), Decimal(0))],
    )
    assert portfolio.equity() is None
    portfolio.mark(VENUE, "BTC/USDT", 60_000.0)
    assert portfolio.equity() == 31_000
    portfolio.set_balances(VENUE, [("DUST", Decimal(0), Decimal(0))])
    assert portfolio.equity() == 31_000
    rules = perpetual("linear", "1")
    book(portfolio, "buy", fill(rules, "50000", "1"), rules)
    assert portfolio.equity() is None
    portfolio.mark("okx", rules.symbol, 50_010.0)
    assert portfolio.equity() == 31_010
    book(portfolio, "buy", fill(BTC, "60000", "0.1"))  # spot: its worth is in the balances
    assert portfolio.equity() == 31_010


# --- balances --------------------------------------------------------------------------------


def test_a_balance_nobody_has_stated_is_unknown_an_unnamed_currency_is_zero() -> None:
    portfolio = Portfolio()
    assert portfolio.balance(VENUE, "USDT") is None
    assert portfolio.balances(VENUE) == ()
    portfolio.set_balances(VENUE, [("USDT", Decimal(5), Decimal(1))])
    assert portfolio.balance(VENUE, "BTC") == Balance(Decimal(0), Decimal(0))
    assert portfolio.balances(VENUE) == (("USDT", Balance(Decimal(5), Decimal(1))),)


def test_a_fill_moves_spot_balances_and_eats_what_was_locked_first() -> None:
    portfolio = Portfolio()
    portfolio.set_balances(VENUE, [("USDT", Decimal(500), Decimal(150))])
    book(portfolio, "buy", fill(BTC, "100", "2", "0.002", "BTC"))
    assert portfolio.balance(VENUE, "USDT") == Balance(Decimal(450), Decimal(0))
    assert portfolio.balance(VENUE, "BTC") == Balance(Decimal("1.998"), Decimal(0))


def test_fills_before_any_statement_leave_balances_unknown() -> None:
    portfolio = Portfolio()
    book(portfolio, "buy", fill(BTC, "100", "2"))
    assert portfolio.balance(VENUE, "USDT") is None


def test_a_statement_and_a_fill_count_once_in_either_order() -> None:
    stated = [("USDT", Decimal(800), Decimal(0)), ("BTC", Decimal(2), Decimal(0))]
    for order in ("fill first", "statement first"):
        portfolio = Portfolio()
        portfolio.set_balances(VENUE, [("USDT", Decimal(1000), Decimal(0))], exchange_ns=1)
        if order == "statement first":
            portfolio.set_balances(VENUE, stated, exchange_ns=5)
        book(portfolio, "buy", fill(BTC, "100", "2", exchange_ns=5))
        if order == "fill first":
            portfolio.set_balances(VENUE, stated, exchange_ns=5)
        assert portfolio.balance(VENUE, "USDT") == Balance(Decimal(800), Decimal(0))
        assert portfolio.balance(VENUE, "BTC") == Balance(Decimal(2), Decimal(0))


def test_a_statement_older_than_a_fill_is_left_aside() -> None:
    portfolio = Portfolio()
    portfolio.set_balances(VENUE, [("USDT", Decimal(1000), Decimal(0))], exchange_ns=1)
    book(portfolio, "buy", fill(BTC, "100", "2", exchange_ns=5))
    portfolio.set_balances(VENUE, [("USDT", Decimal(1000), Decimal(0))], exchange_ns=4)
    assert portfolio.balance(VENUE, "USDT") == Balance(Decimal(800), Decimal(0))


def test_derivatives_leave_balances_to_the_venue() -> None:
    rules = perpetual("linear", "1")
    portfolio = Portfolio()
    portfolio.set_balances("okx", [("USDT", Decimal(1000), Decimal(0))])
    book(portfolio, "buy", fill(rules, "100", "2", "0.1"), rules)
    assert portfolio.balance("okx", "USDT") == Balance(Decimal(1000), Decimal(0))


# --- the loss curve --------------------------------------------------------------------------


def test_the_day_begins_at_midnight_utc_with_the_last_profit_seen_before() -> None:
    curve = LossCurve(HOUR_NS)
    curve.observe(DAY_NS + 1, Decimal(-5))
    assert curve.daily_loss(Decimal(-5)) == 5
    curve.observe(2 * DAY_NS - 1, Decimal(-30))
    assert curve.daily_loss(Decimal(-30)) == 30
    curve.observe(2 * DAY_NS, Decimal(-32))
    assert curve.daily_loss(Decimal(-32)) == 2


def test_drawdown_is_measured_from_the_best() -> None:
    curve = LossCurve(HOUR_NS)
    for profit in (10, 40, 15):
        curve.observe(1, Decimal(profit))
    assert curve.drawdown(Decimal(15)) == 25
    assert curve.drawdown(Decimal(50)) == 0
    curve.rebase_peak()
    assert curve.drawdown(Decimal(14)) == 1


def test_rolling_loss_forgets_what_is_older_than_the_window() -> None:
    curve = LossCurve(HOUR_NS)
    assert curve.rolling_loss(Decimal(-3)) == 3
    minute = HOUR_NS // 60
    for i in range(200):
        curve.observe(DAY_NS + i * minute, Decimal(-i))
    now = Decimal(-199)
    assert 59 <= curve.rolling_loss(now) <= 61
    assert len(curve.samples) <= 61


def test_a_clock_set_back_begins_no_day_and_forgets_no_loss() -> None:
    curve = LossCurve(HOUR_NS)
    curve.observe(5 * DAY_NS + 7, Decimal(-10))
    for earlier in (4 * DAY_NS, 1, 5 * DAY_NS):
        curve.observe(earlier, Decimal(-10))
    assert curve.day == 5
    assert curve.daily_loss(Decimal(-10)) == 10
    assert curve.last_ns == 5 * DAY_NS + 7


# --- properties ------------------------------------------------------------------------------


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
