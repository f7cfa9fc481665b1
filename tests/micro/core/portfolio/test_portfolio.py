"""Positions, balances and losses from fills, exact to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from portfolio_kit import BTC, HOUR_NS, VENUE, book, fill

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.portfolio.pnl_curve import DAY_NS, LossCurve
from citadel_micro.core.portfolio.portfolio import Balance, Portfolio

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side


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


def test_a_balance_nobody_has_stated_is_unknown_an_unnamed_currency_is_zero() -> None:
    portfolio = Portfolio()
    assert portfolio.balance(VENUE, "USDT") is None
    assert portfolio.balances(VENUE) == ()
    portfolio.set_balances(VENUE, [("USDT", Decimal(5), Decimal(1))])
    assert portfolio.balance(VENUE, "BTC") == Balance(Decimal(0), Decimal(0))
    assert portfolio.balances(VENUE) == (("USDT", Balance(Decimal(5), Decimal(1))),)


def test_the_balances_of_some_currencies_are_those_that_were_stated_by_name() -> None:
    portfolio = Portfolio()
    assert portfolio.balances_in(VENUE, ("USDT",)) == ()
    rows = [(name, Decimal(number), Decimal(0)) for number, name in enumerate(("B", "USDT", "A"))]
    portfolio.set_balances(VENUE, rows)
    found = portfolio.balances_in(VENUE, ("USDT", "ETH", "A"))
    assert found == tuple(each for each in portfolio.balances(VENUE) if each[0] != "B")
    assert [name for name, _ in found] == ["A", "USDT"]


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
