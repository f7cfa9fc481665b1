"""The audit of books that real Freqtrade has kept: entries and exits in any order, dust, two bots."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.exchange.exchange_utils import amount_to_contract_precision
from freqtrade.persistence import KeyValueStore, Order, Trade, init_db
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citadel_macro import books
from citadel_micro.core.model.commands import FillView, PublishReport
from citadel_micro.demo.audit import Audit, compare, read_freqtrade, read_owners

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, THEIRS = "o" + "1" * 24, "o" + "2" * 24


@dataclass(frozen=True)
class Market:
    """What Freqtrade knows of a pair."""

    pair: str
    short: bool
    leverage: float
    step: Decimal
    contract: float
    tick: float
    price_mode: int
    base_fee: bool


SPOT = Market("AAA/USDT", False, 1.0, Decimal("0.001"), 1.0, 0.01, 4, True)
SPOT_IN_QUOTE = Market("AAA/USDT", False, 1.0, Decimal("0.001"), 1.0, 2, 2, False)
SHORT = Market("AAA/USDT:USDT", True, 3.0, Decimal("0.01"), 0.01, 5, 3, False)
MARKETS = [SPOT, SPOT_IN_QUOTE, SHORT]


@dataclass
class Books:
    """One trade in Freqtrade's database, and micro's reports of its orders."""

    database: Path
    market: Market
    owner: str = OURS
    prefix: str = ""
    reports: dict[str, PublishReport] = field(default_factory=dict)
    trade: Any = None

    def audit(self, **others: PublishReport) -> Audit:
        found = read_freqtrade(self.database)
        return compare(*found, self.reports | others, read_owners(self.database))

    def report(self, side: str, fills: list[tuple[Decimal, Decimal]], rate: str) -> PublishReport:
        """Micro's account of one order; fills are (price, quantity)."""
        name = f"{self.prefix}{len(self.reports)}"
        base_fee = self.market.base_fee and side == "buy"
        views = tuple(
            FillView(
                trade_id=f"{name}-{number}",
                child_id=f"{name}-c",
                price=price,
                quantity=quantity,
                fee=(quantity if base_fee else quantity * price) * Decimal(rate),
                fee_currency="AAA" if base_fee else "USDT",
                liquidity="maker",
                ts_ns=number,
            )
            for number, (price, quantity) in enumerate(fills)
        )
        filled = sum((view.quantity for view in views), Decimal(0))
        value = sum((view.quantity * view.price for view in views), Decimal(0))
        made = PublishReport(
            **dict.fromkeys(("limit_price", "stop_price", "permitted", "position"), None),  # type: ignore[arg-type]
            **dict.fromkeys(("reason_code", "reason", "tag"), ""),  # type: ignore[arg-type]
            signal_id=name,
            revision=1,
            venue="v",
            symbol=self.market.pair,
            side="buy" if side == "buy" else "sell",
            kind="order",
            order_type="limit",
            status="filled",
            quantity=filled,
            filled=filled,
            average=value / filled if filled else None,
            triggered=False,
            fills=views,
            balances=(),
            strategy="s",
            algo="chase_limit",
            arrival_mid=100.0,
            reprices=0,
            own=False,
            created_ns=1,
            updated_ns=2,
            owner=self.owner,
        )
        self.reports[name] = made
        return made

    def row(self, report: PublishReport, side: str, *, over: bool = True) -> Order:
        """Freqtrade's row of an order, on the trade."""
        average = float(report.average or 0)
        order = Order(
            order_id=report.signal_id,
            ft_order_side=side,
            ft_pair=self.market.pair,
            ft_amount=float(report.quantity),
            ft_price=average,
            ft_is_open=not over,
            status="closed" if over else "open",
            order_type="limit",
            side=report.side,
            price=average,
            average=average,
            amount=float(report.quantity),
            filled=float(report.filled),
            remaining=0.0,
            order_filled_date=datetime.now(UTC),
        )
        self.trade.orders.append(order)
        return order

    def booked(self, report: PublishReport, side: str, *, eaten: bool = False) -> None:
        """As ``FreqtradeBot.update_trade_state`` does once an order is over."""
        fee = sum((fill.fee for fill in report.fills), Decimal(0))
        currency = report.fills[0].fee_currency
        paid_on = report.filled if currency == "AAA" else report.filled * (report.average or 0)
        if side == self.trade.entry_side and self.trade.nr_of_successful_entries:
            self.trade.fee_open_currency = None
        order = self.row(report, side)
        self.trade.update_fee(
            float(fee), currency, round(float(fee) / float(paid_on), 8), report.side
        )
        if currency == "AAA" and not eaten:
            order.ft_fee_base = float(fee)
        self.trade.update_trade(order)
        Trade.commit()  # type: ignore[no-untyped-call]

    def enter(
        self, fills: list[tuple[Decimal, Decimal]], rate: str = "0.001", *, eaten: bool = False
    ) -> None:
        side = "sell" if self.market.short else "buy"
        report = self.report(side, fills, rate)
        if self.trade is None:
            self.trade = Trade(  # type: ignore[no-untyped-call]
                pair=self.market.pair,
                base_currency="AAA",
                stake_currency="USDT",
                stake_amount=100.0,
                amount=0.0,
                open_rate=float(fills[0][0]),
                fee_open=0.001,
                fee_close=0.001,
                exchange="binance",
                is_open=True,
                open_date=datetime.now(UTC),
                is_short=self.market.short,
                leverage=self.market.leverage,
                trading_mode="futures" if self.market.short else "spot",
                amount_precision=float(self.market.step) / self.market.contract,
                precision_mode=4,
                price_precision=self.market.tick,
                precision_mode_price=self.market.price_mode,
                contract_size=self.market.contract,
            )
            self.trade.funding_fee_running = 0.0
            Trade.session.add(self.trade)
        self.booked(report, side, eaten=eaten)

    def leave(self, quantity: Decimal, price: Decimal, rate: str, *, stop: bool = False) -> None:
        side = "buy" if self.market.short else "sell"
        report = self.report(side, [(price, quantity)], rate)
        self.booked(report, "stoploss" if stop else side)

    def close_as_dust(self) -> None:
        bot: Any = SimpleNamespace(
            handle_protections=lambda *_: None, wallets=SimpleNamespace(update=lambda: None)
        )
        exchange: Any = SimpleNamespace(unsellable=set(), lock=lambda *_: None)
        books._close(bot, exchange, self.trade, self.trade.amount)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("books") / "trades.sqlite"
    init_db(f"sqlite:///{path}")
    yield path
    Trade.session.remove()


def emptied(database: Path, market: Market, owner: str = OURS) -> Books:
    Trade.session.remove()
    with closing(sqlite3.connect(database)) as link:
        for table in ("orders", "trade_custom_data", "trades", '"KeyValueStore"'):
            link.execute(f"DELETE FROM {table}")  # noqa: S608 - the names above
        link.commit()
    return Books(database, market, owner)


def change(database: Path, table: str, column: str, by: float) -> bool:
    """Make a figure of the first row wrong; whether there was one."""
    first = f"id = (SELECT min(id) FROM {table})"  # noqa: S608 - names of this file
    query = f"UPDATE {table} SET {column} = {column} * ? WHERE {column} != 0 AND {first}"  # noqa: S608
    with closing(sqlite3.connect(database)) as link:
        done = link.execute(query, (by,))
        link.commit()
        return done.rowcount == 1


_prices = st.integers(1_000, 90_000).map(lambda number: Decimal(number) / 100)
_counts = st.integers(20, 3_000)
_rates = st.sampled_from(["0.001", "0.00075", "0.0002"])
_entry = st.tuples(
    st.just("enter"), st.lists(st.tuples(_prices, _counts), min_size=1, max_size=3), _rates
)
_exit = st.tuples(st.just("leave"), st.tuples(st.floats(0.05, 0.9), _prices, st.booleans()), _rates)


@dataclass(frozen=True)
class Story:
    """What happens to one trade, and which figure is made wrong in the end."""

    market: Market
    steps: list[tuple[str, Any, str]]
    end: str
    last: Decimal
    wrong: tuple[str, str]


_stories = st.builds(
    lambda market, first, steps, end, last, wrong: Story(market, [first, *steps], end, last, wrong),
    st.sampled_from(MARKETS),
    _entry,
    st.lists(st.one_of(_entry, _exit), max_size=7),
    st.sampled_from(["open", "closed", "dust", "nulled"]),
    _prices,
    st.sampled_from(
        [("trades", "open_rate"), ("trades", "amount"), ("orders", "filled"), ("orders", "average")]
    ),
)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=_stories)
def test_books_that_freqtrade_keeps_agree_and_wrong_ones_do_not(
    database: Path, story: Story
) -> None:
    market = story.market
    told = emptied(database, market)
    for kind, what, rate in story.steps:
        if kind == "enter":
            told.enter([(price, count * market.step) for price, count in what], rate)
        else:
            share, price, stop = what
            steps = int(Decimal(repr(told.trade.amount)) / market.step * Decimal(repr(share)))
            if steps:
                told.leave(steps * market.step, price, rate, stop=stop)
        assert told.audit().differences == ()
    if story.end == "dust":
        steps = int(Decimal(repr(told.trade.amount)) / market.step)
        if steps > 1:
            told.leave((steps - 1) * market.step, story.last, "0.001", stop=True)
        told.close_as_dust()
    elif story.end != "open":
        told.leave(Decimal(repr(told.trade.amount)), story.last, "0.001")
        assert not told.trade.is_open
        if story.end == "nulled":
            told.trade.close_rate = None
            Trade.commit()  # type: ignore[no-untyped-call]
    found = told.audit()
    assert found.differences == ()
    assert [row.owner for row in found.rows] == [OURS]
    if change(database, *story.wrong, by=1.001):
        assert told.audit().differences, story.wrong


def test_a_further_entry_after_a_part_was_sold_is_averaged_with_what_is_left(
    database: Path,
) -> None:
    told = emptied(database, SPOT_IN_QUOTE)
    told.enter([(Decimal(100), Decimal(10))])
    told.leave(Decimal(5), Decimal(110), "0.001")
    told.enter([(Decimal(50), Decimal(5))])
    assert told.trade.open_rate == 75.0, "83.33 on all that was ever bought"
    assert told.audit().differences == ()
    told.trade.open_rate = 83.33
    Trade.commit()  # type: ignore[no-untyped-call]
    (text,) = told.audit().differences
    assert text == "trade 1 (AAA/USDT): open rate 83.33 in Freqtrade, 75 in micro"


def test_what_an_open_order_fills_counts_when_it_is_over(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    working = told.report("buy", [(Decimal(90), Decimal(1))], "0.001")
    told.row(working, "buy", over=False)
    Trade.commit()  # type: ignore[no-untyped-call]
    assert told.audit().differences == ()


def test_a_fee_paid_from_dust_is_no_difference(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))], eaten=True)
    assert told.trade.amount == 2.0
    assert told.audit().differences == ()
    told.leave(Decimal(2), Decimal(110), "0.001")
    assert told.audit().differences == ()


def test_a_closed_trade_that_did_not_sell_everything_differs(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    told.leave(Decimal("1.5"), Decimal(110), "0.001")
    told.trade.is_open = False
    told.trade.close_rate = 110.0
    Trade.commit()  # type: ignore[no-untyped-call]
    (text,) = told.audit().differences
    assert "closed in Freqtrade with 0.498 not sold" in text


def test_a_wrong_note_of_dust_differs(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal("0.03"))])
    told.close_as_dust()
    assert (told.trade.is_open, told.trade.close_rate) == (False, 100.0)
    assert told.audit().differences == ()
    told.trade.set_custom_data(f"{books.DATA_PREFIX}dust", 0.5)
    Trade.commit()  # type: ignore[no-untyped-call]
    assert any("noted rest 0.5" in text for text in told.audit().differences)


# --- owners ---------------------------------------------------------------------------------------


def name(owner: str) -> None:
    exchange: Any = SimpleNamespace(link=SimpleNamespace(connector=SimpleNamespace(owner=owner)))
    books.name_owner(exchange)


def test_orders_of_another_owner_in_these_books_differ(database: Path) -> None:
    told = emptied(database, SPOT, owner=THEIRS)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    (text,) = told.audit().differences
    assert text == f"order 0 (AAA/USDT buy): of owner {THEIRS}, these are the books of {OURS}"


def test_books_of_two_owners_differ_though_nobody_named_them(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    told.owner = THEIRS
    told.enter([(Decimal(101), Decimal(1))])
    (text,) = told.audit().differences
    assert text == (
        f"these books hold orders of several owners: {OURS} (1 orders), {THEIRS} (1 orders)"
    )


def test_orders_of_others_that_these_books_do_not_have_are_counted(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    other = Books(database, SPOT, owner=THEIRS, prefix="t")
    theirs = other.report("buy", [(Decimal(100), Decimal(9))], "0.001")
    found = told.audit(t0=theirs)
    assert (found.differences, found.others, found.owners) == ((), 1, (OURS,))
    ours = Books(database, SPOT, prefix="u").report("buy", [(Decimal(100), Decimal(9))], "0.001")
    assert told.audit(u0=ours).differences == (
        f"order u0: micro filled 9 AAA/USDT, Freqtrade has no row (owner {OURS})",
    )


def test_an_orphan_that_was_sold_again_is_no_difference(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    lone = Books(database, SPOT, prefix="x")
    bought = lone.report("buy", [(Decimal(100), Decimal(1))], "0.001")
    sold = lone.report("sell", [(Decimal(99), Decimal("0.999"))], "0.001")
    found = told.audit(**{"x0": bought, "x0-flat0": sold})
    assert (found.differences, found.flattened) == ((), ("x0",))
    part = lone.report("sell", [(Decimal(99), Decimal("0.5"))], "0.001")
    assert len(told.audit(**{"x0": bought, "x0-flat0": part}).differences) == 2


def test_a_new_intent_log_adds_its_owner(database: Path) -> None:
    emptied(database, SPOT)
    name(OURS)
    name(OURS)
    name(THEIRS)
    assert KeyValueStore.get_string_value("citadel_owner") == f"{OURS},{THEIRS}"  # type: ignore[arg-type]
    assert read_owners(database) == {OURS, THEIRS}


def test_steps_of_contracts_are_those_of_freqtrade(database: Path) -> None:
    told = emptied(database, SHORT)
    told.enter([(Decimal(100), Decimal("1.23"))])
    (trade,) = read_freqtrade(database)[1]
    assert trade.step == SHORT.step
    assert amount_to_contract_precision(1.239, 1.0, 4, 0.01) == 1.23
