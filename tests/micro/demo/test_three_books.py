"""The exchange's ledger against micro's journal and Freqtrade's database: every difference is found."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

from citadel_micro.core.model.commands import FillView, PublishReport
from citadel_micro.demo.audit import Audit, BookedOrder, BookedTrade, compare
from citadel_micro.demo.journals import MicroAccount
from citadel_micro.demo.ledger import Ledger, LedgerFill, read_ledger
from citadel_micro.demo.report import as_plain, money_table, trades_table
from citadel_micro.demo.three_books import ThreeBooks, compare_ledger
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MS = 1_000_000


def ledger_fill(number: int, **changes: Any) -> LedgerFill:  # noqa: ANN401 - fields by name
    """Fill of a buy; ``number`` makes its trade."""
    values: dict[str, Any] = {
        "symbol": "AAA/USDT",
        "order_id": 71,
        "client_order_id": "c-b",
        "trade_id": number,
        "side": "BUY",
        "price": Decimal("100.1"),
        "quantity": Decimal("1.2"),
        "fee": Decimal("0.0012"),
        "fee_asset": "AAA",
        "maker": True,
        "time": 1_700_000_000_000 + number,
    }
    values |= changes
    return LedgerFill(**values, quote=values["price"] * values["quantity"])


BOUGHT = (ledger_fill(1), ledger_fill(2, price=Decimal("100.2"), quantity=Decimal("0.8")))
SOLD = ledger_fill(
    3,
    order_id=72,
    client_order_id="c-s",
    side="SELL",
    price=Decimal("101.5"),
    quantity=Decimal("1.9"),
    fee=Decimal("0.19285"),
    fee_asset="USDT",
    maker=False,
)


def report_of(signal_id: str, fills: tuple[LedgerFill, ...]) -> PublishReport:
    views = tuple(
        FillView(
            trade_id=str(fill.trade_id),
            child_id=fill.client_order_id,
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            fee_currency=fill.fee_asset,
            liquidity="maker" if fill.maker else "taker",
            ts_ns=fill.time * MS,
        )
        for fill in fills
    )
    filled = sum((view.quantity for view in views), Decimal(0))
    return PublishReport(
        signal_id=signal_id,
        revision=3,
        venue="binance-spot",
        symbol="AAA/USDT",
        side="buy" if fills[0].buys else "sell",
        kind="order",
        order_type="limit",
        status="filled",
        quantity=filled,
        filled=filled,
        average=sum((v.quantity * v.price for v in views), Decimal(0)) / filled,
        limit_price=None,
        stop_price=None,
        triggered=False,
        reason_code="",
        reason="",
        permitted=None,
        fills=views,
        balances=(),
        position=None,
        strategy="s",
        tag="",
        algo="chase_limit",
        arrival_mid=100.0,
        reprices=0,
        own=False,
        created_ns=1,
        updated_ns=2,
    )


def booked(report: PublishReport) -> BookedOrder:
    return BookedOrder(
        order_id=report.signal_id,
        trade_id=1,
        pair=report.symbol,
        side=report.side,
        status="closed",
        open=False,
        filled=float(report.filled),
        average=None if report.average is None else float(report.average),
    )


@dataclass(frozen=True)
class Books:
    ledger: Ledger
    reports: dict[str, PublishReport]
    orders: tuple[BookedOrder, ...]
    balances: dict[str, Decimal]

    def compare(self, *trades: BookedTrade) -> ThreeBooks:
        account = MicroAccount(balances=self.balances, positions={})
        return compare_ledger(self.ledger, self.orders, trades, self.reports, account)

    def with_fills(self, *fills: LedgerFill) -> Books:
        """The exchange has these fills, and the balances that they make."""
        held = dict(self.ledger.opening)
        for fill in fills:
            for name, amount in (*fill.flows(), (fill.fee_asset, -fill.fee)):
                held[name] = held.get(name, Decimal(0)) + amount
        ledger = msgspec.structs.replace(self.ledger, fills=list(fills), balances=held)
        return replace(self, ledger=ledger)

    def with_view(self, **changes: Any) -> Books:  # noqa: ANN401 - fields by name
        """Micro's journal has the first fill otherwise."""
        report = self.reports["b"]
        fills = (replace(report.fills[0], **changes), *report.fills[1:])
        return replace(self, reports={**self.reports, "b": replace(report, fills=fills)})


def equal_books() -> Books:
    reports = {"b": report_of("b", BOUGHT), "s": report_of("s", (SOLD,))}
    opening = {"USDT": Decimal(1_000)}
    books = Books(
        ledger=Ledger(account="demo", opening=opening, balances={}, fills=[]),
        reports=reports,
        orders=tuple(booked(report) for report in reports.values()),
        balances={},
    ).with_fills(*BOUGHT, SOLD)
    return replace(books, balances=dict(books.ledger.balances))


def test_equal_books_agree_by_every_figure() -> None:
    found = equal_books().compare()
    assert found.differences == ()
    assert (found.fills, found.orders) == (3, 2)
    coin, cash = found.moved
    assert (coin.currency, coin.exchange_traded, coin.exchange_fees) == (
        *("AAA", Decimal("0.1")),
        Decimal("0.0024"),
    )
    assert coin.exchange_balance == Decimal("0.0976")
    spent = Decimal("1.2") * Decimal("100.1") + Decimal("0.8") * Decimal("100.2")
    assert cash.freqtrade_traded == Decimal("1.9") * Decimal("101.5") - spent
    assert found.leg(1, "buy").average == spent / 2
    assert found.leg(1, "sell").quantity == Decimal("1.9")


@pytest.mark.parametrize("short", [False, True])
def test_a_stop_has_traded_on_the_side_of_its_trades_exit(short: bool) -> None:
    books = equal_books()
    bought, sold = books.orders
    orders = (
        (replace(bought, side="stoploss"), sold)
        if short
        else (bought, replace(sold, side="stoploss"))
    )
    trade: Any = SimpleNamespace(trade_id=1, short=short)
    found = replace(books, orders=orders).compare(trade)
    assert found.differences == ()
    assert found.leg(1, "buy").quantity == Decimal(2)
    assert found.leg(1, "sell").quantity == Decimal("1.9")


def nothing_filled(books: Books) -> Books:
    return replace(books, orders=(replace(books.orders[0], filled=0.0, average=None),))


DIFFERENT: list[tuple[str, Callable[[Books], Books], str]] = [
    (
        "a fill that micro has not",
        lambda books: books.with_fills(*BOUGHT, SOLD, ledger_fill(9)),
        "fill 9 of c-b (AAA/USDT): in the exchange's ledger, not in micro's journal",
    ),
    (
        "a fill that the exchange has not",
        lambda books: books.with_fills(BOUGHT[0], SOLD),
        "fill 2 of c-b (AAA/USDT): in micro's journal, not in the exchange's ledger",
    ),
    (
        "one counted twice",
        lambda books: books.with_fills(*BOUGHT, SOLD, SOLD),
        "fill 3 of c-s (AAA/USDT): twice in the exchange's ledger",
    ),
    (
        "an order sent twice",
        lambda books: books.with_fills(
            BOUGHT[0], msgspec.structs.replace(BOUGHT[1], order_id=99), SOLD
        ),
        "order c-b (AAA/USDT): 2 orders at the exchange: it was sent again",
    ),
    (
        "the price",
        lambda books: books.with_view(price=Decimal("100.11")),
        ": price 100.11 in micro",
    ),
    (
        "the fee by a unit",
        lambda books: books.with_view(fee=Decimal("0.00120001")),
        ": fee 0.00120001 in micro, 0.0012 at the exchange",
    ),
    ("whose fee", lambda books: books.with_view(fee_currency="BNB"), ": fee currency BNB in micro"),
    ("who waited", lambda books: books.with_view(liquidity="taker"), ": liquidity taker in micro"),
    ("when", lambda books: books.with_view(ts_ns=5 * MS), ": time in ms 5 in micro"),
    (
        "a balance by a unit",
        lambda books: replace(
            books, balances={**books.balances, "USDT": books.balances["USDT"] + Decimal("1e-8")}
        ),
        "USDT: balance 992.37715001 in micro, 992.37715 at the exchange",
    ),
    (
        "a balance that micro does not know of",
        lambda books: replace(books, balances={"USDT": books.balances["USDT"]}),
        "AAA: balance None in micro",
    ),
    (
        "money from elsewhere",
        lambda books: replace(
            books,
            ledger=msgspec.structs.replace(
                books.ledger, opening={"USDT": Decimal(1_000), "BNB": Decimal(1)}
            ),
        ),
        "BNB: the exchange has moved -1 beside any fill",
    ),
    (
        "an amount in Freqtrade",
        lambda books: replace(
            books, orders=(books.orders[0], replace(books.orders[1], filled=1.9000001))
        ),
        "order s (AAA/USDT sell): filled 1.9000001 in Freqtrade, 1.9 at the exchange",
    ),
    (
        "an average in Freqtrade",
        lambda books: replace(
            books, orders=(books.orders[0], replace(books.orders[1], average=101.50000001))
        ),
        "order s (AAA/USDT sell): average 101.50000001 in Freqtrade, 101.5 at the exchange",
    ),
    (
        "an order that Freqtrade has not",
        lambda books: replace(books, orders=books.orders[:1]),
        "AAA: traded 2.0 in Freqtrade, 0.1 at the exchange",
    ),
    (
        "an order that Freqtrade takes for empty",
        nothing_filled,
        "order b (AAA/USDT buy): filled 0.0 in Freqtrade, 2.0 at the exchange",
    ),
]


@pytest.mark.parametrize(
    ("changed", "said"), [pytest.param(each[1], each[2], id=each[0]) for each in DIFFERENT]
)
def test_every_difference_is_said(changed: Callable[[Books], Books], said: str) -> None:
    differences = changed(equal_books()).compare().differences
    assert any(said in text for text in differences), differences


def test_a_self_trade_has_one_trade_id_on_both_of_its_orders() -> None:
    sold = msgspec.structs.replace(SOLD, trade_id=1)
    books = equal_books().with_fills(*BOUGHT, sold)
    reports = {"b": report_of("b", BOUGHT), "s": report_of("s", (sold,))}
    assert replace(books, reports=reports).compare().differences == ()


def test_the_ledger_is_read_as_the_exchange_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    told = {
        "account": "demo",
        "opening": {"USDT": "10"},
        "balances": {"USDT": "10.00000001"},
        "movements": [],
        "fills": [
            {
                "number": 1,
                "symbol": "AAA/USDT",
                "orderId": 7,
                "clientOrderId": "c",
                "tradeId": 8,
                "side": "SELL",
                "price": "2.50",
                "quantity": "4",
                "quote": "10",
                "fee": "0.01",
                "feeAsset": "USDT",
                "maker": True,
                "time": 9,
            }
        ],
    }
    path.write_text(json.dumps(told))
    ledger = read_ledger(path)
    assert ledger.fills[0].price == Decimal("2.5")
    assert ledger.unexplained() == {"AAA": Decimal(4), "USDT": Decimal("-9.98999999")}
    for text in ("", "{}", "[1]", json.dumps(told | {"opening": {"USDT": "much"}})):
        path.write_text(text)
        with pytest.raises(BadInput, match="not a ledger"):
            read_ledger(path)
    with pytest.raises(BadInput, match="No such file"):
        read_ledger(tmp_path / "absent")


def test_the_tables_show_every_book_on_a_line_of_its_own() -> None:
    found = equal_books().compare()
    console = Console(width=160)
    with console.capture() as shown:
        console.print(money_table(found))
        console.print(trades_table(Audit(rows=(), differences=(), orders=0), found))
    text = shown.get()
    for words in ("Freqtrade", "micro", "exchange", "992.37715000", "0.00240000", "yes"):
        assert words in text
    wrong = replace(equal_books(), balances={}).compare()
    assert "NO" not in text
    with console.capture() as shown:
        console.print(money_table(wrong))
    assert "NO" in shown.get()


def test_a_trade_agrees_only_if_the_exchange_has_it_too() -> None:
    books = equal_books()
    report = books.reports["s"]
    (row,) = audit_of(books).rows
    assert row.agrees
    for third, said in (
        (books.compare(), "yes"),
        (books.with_fills(*BOUGHT).compare(), "NO"),
        (
            books.with_fills(*BOUGHT, msgspec.structs.replace(SOLD, fee=report.filled)).compare(),
            "NO",
        ),
    ):
        console = Console(width=160)
        with console.capture() as shown:
            console.print(trades_table(audit_of(books), third))
        assert f" {said} " in shown.get()


def audit_of(books: Books) -> Audit:
    """Freqtrade's one trade is what its orders make."""
    bought, sold = (books.reports[name] for name in ("b", "s"))
    trade = BookedTrade(
        trade_id=1,
        pair="AAA/USDT",
        open=False,
        amount=float(sold.filled),
        open_rate=float(bought.average or 0),
        close_rate=float(sold.average or 0),
        fee_open=None,
        fee_open_rate=0.0012,
        fee_open_currency="AAA",
        fee_close=float(SOLD.fee),
        fee_close_rate=0.001,
        fee_close_currency="USDT",
        profit=1.0,
        exit_reason="roi",
        step=Decimal("0.1"),
        tick=Decimal(0),
    )
    return compare(books.orders, [trade], books.reports)


@pytest.mark.parametrize(("width", "wide"), [(80, False), (120, True)])
def test_the_tables_fit_a_terminal_and_cut_no_number(width: int, wide: bool) -> None:
    books = equal_books()
    audit = audit_of(books)
    (row,) = audit.rows
    long = replace(
        row,
        trade=replace(row.trade, pair="1000PEPE/USDT"),
        booked=replace(row.booked, amount=12_345.678901, open_average=0.1234567891),
        amount=Decimal("12345.678901"),
        open_average=Decimal("0.1234567891"),
        fees={"BNB": Decimal("0.00123456"), "USDT": Decimal("1234.56")},
    )
    third = books.compare()
    moved = replace(
        third.moved[0],
        freqtrade_traded=Decimal("-12345678.12345678"),
        micro_balance=Decimal("123456789.12345678"),
    )
    console = Console(width=width)
    with console.capture() as shown:
        console.print(trades_table(replace(audit, rows=(long,)), third, wide=wide))
        console.print(money_table(replace(third, moved=(moved,))))
    text = shown.get()
    assert max(map(len, text.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    for number in ("12345.6789", "0.1234567891", "-12345678.12345678", "123456789.12345678"):
        assert number in text
    assert ("1234.56 USDT" in text) is wide


def test_the_verdict_for_programs_says_what_the_tables_say() -> None:
    books = equal_books()
    told = json.loads(json.dumps(as_plain(audit_of(books), books.compare())))
    assert told["agree"]
    assert told["differences"] == []
    assert told["fills_at_exchange"] == 3
    (trade,) = told["trades"]
    assert trade["pair"] == "AAA/USDT"
    assert Decimal(trade["amount"]) == Decimal("1.9")
    wrong = replace(books, balances={}).compare()
    assert as_plain(audit_of(books), wrong)["differences"] == list(wrong.differences)
    assert not as_plain(audit_of(books), wrong)["agree"]
    assert as_plain(audit_of(books), None)["fills_at_exchange"] is None
