"""The audit finds every difference there can be, and none where there is none."""

# ruff: noqa: ANN401 - builders take the fields of records by name

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.commands import FillView, PublishReport
from citadel_micro.demo.audit import (
    Audit,
    BookedOrder,
    BookedTrade,
    compare,
    read_freqtrade,
)
from citadel_micro.demo.report import trades_table
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEE = Decimal("0.001")


def report(
    signal_id: str, side: str, fills: list[tuple[str, str]], **changes: Any
) -> PublishReport:
    """Micro's account of one order; fills are (price, quantity), fees as on Binance spot."""
    views = tuple(
        FillView(
            trade_id=f"{signal_id}-{number}",
            child_id=f"{signal_id}-c",
            price=Decimal(price),
            quantity=Decimal(quantity),
            fee=Decimal(quantity) * (FEE if side == "buy" else FEE * Decimal(price)),
            fee_currency="AAA" if side == "buy" else "USDT",
            liquidity="maker",
            ts_ns=number,
        )
        for number, (price, quantity) in enumerate(fills)
    )
    filled = sum((view.quantity for view in views), Decimal(0))
    value = sum((view.quantity * view.price for view in views), Decimal(0))
    values: dict[str, Any] = {
        "signal_id": signal_id,
        "revision": 3,
        "venue": "binance-spot",
        "symbol": "AAA/USDT",
        "side": side,
        "kind": "order",
        "order_type": "limit",
        "status": "filled",
        "quantity": filled,
        "filled": filled,
        "average": value / filled if filled else None,
        "limit_price": None,
        "stop_price": None,
        "triggered": False,
        "reason_code": "",
        "reason": "",
        "permitted": None,
        "fills": views,
        "balances": (),
        "position": None,
        "strategy": "s",
        "tag": "",
        "algo": "chase_limit",
        "arrival_mid": 100.0,
        "reprices": 0,
        "own": False,
        "created_ns": 1,
        "updated_ns": 2,
    }
    return PublishReport(**values | changes)


@dataclass
class Books:
    """Both sides of the same story. Freqtrade's is worked out as Freqtrade does, in floats."""

    orders: list[BookedOrder]
    trades: list[BookedTrade]
    reports: dict[str, PublishReport]

    def audit(self) -> Audit:
        return compare(self.orders, self.trades, self.reports)

    def change_order(self, number: int, **changes: Any) -> Books:
        orders = list(self.orders)
        orders[number] = replace(orders[number], **changes)
        return replace(self, orders=orders)

    def change_trade(self, number: int, **changes: Any) -> Books:
        trades = list(self.trades)
        trades[number] = replace(trades[number], **changes)
        return replace(self, trades=trades)


def booked(trade_id: int, each: PublishReport) -> BookedOrder:
    return BookedOrder(
        order_id=each.signal_id,
        trade_id=trade_id,
        pair=each.symbol,
        side=each.side,
        status="closed",
        open=False,
        filled=float(each.filled),
        average=None if each.average is None else float(each.average),
    )


def trip(trade_id: int, entry: PublishReport, exits: list[PublishReport]) -> BookedTrade:
    """Freqtrade's row of a trade; open where there is no exit."""
    assert entry.average is not None
    rate = float(entry.average)
    closing_order = exits[-1] if exits else None
    amount = entry.filled - sum(fill.fee for fill in entry.fills)
    step = Decimal("0.01")
    return BookedTrade(
        trade_id=trade_id,
        pair="AAA/USDT",
        open=closing_order is None,
        amount=float(amount // step * step) if not closing_order else float(closing_order.filled),
        open_rate=rate,
        close_rate=float(closing_order.average)
        if closing_order and closing_order.average
        else None,
        fee_open=float(FEE) * rate * float(entry.filled),
        fee_open_rate=float(FEE),
        fee_open_currency="AAA",
        fee_close=float(sum(fill.fee for fill in exits[0].fills)) if exits else None,
        fee_close_rate=float(FEE),
        fee_close_currency="USDT" if exits else None,
        profit=1.0 if exits else None,
        exit_reason="roi" if exits else "",
        step=step,
        tick=Decimal(0),
    )


def books(*trades: tuple[PublishReport, list[PublishReport]]) -> Books:
    made = Books([], [], {})
    for trade_id, (entry, exits) in enumerate(trades, start=1):
        made.trades.append(trip(trade_id, entry, exits))
        for each in (entry, *exits):
            made.orders.append(booked(trade_id, each))
            made.reports[each.signal_id] = each
    return made


def round_trip() -> Books:
    return books(
        (
            report("b", "buy", [("100.1", "1.2"), ("100.2", "0.8")]),
            [report("s", "sell", [("101.5", "1.99")])],
        )
    )


def test_equal_books_agree() -> None:
    found = round_trip().audit()
    assert found.differences == ()
    assert (found.orders, found.round_trips) == (2, 1)
    (row,) = found.rows
    assert row.agrees
    assert (row.amount, row.close_average) == (Decimal("1.99"), Decimal("101.5"))
    assert row.booked.amount == 1.99
    assert row.fees == {"AAA": Decimal("0.002"), "USDT": Decimal("0.201985")}
    assert row.booked.fees == {name: pytest.approx(float(fee)) for name, fee in row.fees.items()}


def test_shortfall_is_what_both_legs_cost() -> None:
    (row,) = round_trip().audit().rows
    bought, sold = Decimal("200.28"), Decimal("1.99") * Decimal("101.5")
    cost = (bought - 200) + (199 - sold)
    cost += Decimal("0.0012") * Decimal("100.1") + Decimal("0.0008") * Decimal("100.2") + sold * FEE
    assert row.shortfall_bps == pytest.approx(float(cost / 399 * 10_000))


def test_an_open_trade_holds_what_was_bought_less_the_fee_in_whole_steps() -> None:
    entry = report("b", "buy", [("100", "2.56")])
    whole = books((entry, []))
    assert whole.trades[0].amount == 2.55
    found = whole.audit()
    assert found.differences == ()
    assert found.rows[0].amount == Decimal("2.55")
    # The fee was found in the dust: nothing was taken from the amount.
    assert whole.change_trade(0, amount=2.56).audit().differences == ()
    assert whole.change_trade(0, amount=2.54).audit().differences


def test_what_an_open_order_has_filled_is_not_in_its_trade_yet() -> None:
    entry = report("b", "buy", [("100.3", "2.5")], status="working", quantity=Decimal(9))
    # Freqtrade's row of a trade whose first order is out: nothing held, at the price asked.
    young = books((entry, [])).change_order(0, open=True, status="open")
    young = young.change_trade(0, amount=0.0, open_rate=100.25)
    assert young.audit().differences == ()
    assert young.change_trade(0, amount=2.5).audit().differences
    assert young.change_order(0, filled=2.4).audit().differences
    # Once it is over, it counts.
    assert young.change_order(0, open=False, status="canceled").audit().differences

    entry = report("b", "buy", [("100", "2.56")])
    leaving = books((entry, []))
    working = report("s", "sell", [("101", "1.1")], status="working", quantity=Decimal("2.55"))
    leaving.orders.append(booked(1, working))
    leaving.reports["s"] = working
    leaving = leaving.change_order(1, open=True, status="open")
    assert leaving.audit().differences == ()
    assert leaving.change_trade(0, amount=1.45).audit().differences
    assert leaving.change_order(1, filled=1.0).audit().differences
    over = leaving.change_order(1, open=False, status="canceled").change_trade(0, amount=1.45)
    done = replace(working, status="canceled")
    assert replace(over, reports=over.reports | {"s": done}).audit().differences == ()


def test_a_trade_left_in_several_orders() -> None:
    entry = report("b", "buy", [("100", "3")])
    exits = [
        report("s1", "sell", [("101", "1.2")], status="canceled"),
        report("s2", "sell", [], status="canceled"),
        report("s3", "sell", [("102", "1.79")]),
    ]
    whole = books((entry, exits))
    found = whole.audit()
    assert found.differences == ()
    (row,) = found.rows
    assert row.amount == Decimal("2.99")
    assert row.booked.amount == pytest.approx(2.99)
    assert row.booked.close_average == pytest.approx(float(row.close_average or 0))
    assert whole.change_trade(0, amount=2.99).audit().differences


def test_an_open_rate_may_be_rounded_to_a_tick_and_no_further() -> None:
    entry = report("b", "buy", [("100.11", "1"), ("100.12", "2")])  # 100.11666… on average
    whole = books((entry, [])).change_trade(0, tick=Decimal("0.01"))
    assert whole.audit().differences == ()
    assert whole.change_trade(0, open_rate=100.12).audit().differences == ()
    assert whole.change_trade(0, open_rate=100.11).audit().differences
    assert whole.change_trade(0, open_rate=100.117).audit().differences
    assert whole.change_trade(0, open_rate=100.12, tick=Decimal(0)).audit().differences


def test_a_stop_is_an_exit() -> None:
    whole = books(
        (report("b", "buy", [("100", "1")]), [report("st", "sell", [("95", "0.99")], kind="stop")])
    ).change_order(1, side="stoploss")
    assert whole.audit().differences == ()
    assert whole.change_trade(0, close_rate=95.01).audit().differences


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.change_order(0, filled=2.0000001), "order b (AAA/USDT buy): filled 2.0000001"),
        (lambda b: b.change_order(1, filled=0.0), "order s (AAA/USDT sell): filled 0.0"),
        (lambda b: b.change_order(0, average=100.15), "average 100.15 in Freqtrade, 100.14 in"),
        (lambda b: b.change_order(1, average=None), "average None in Freqtrade, 101.5 in micro"),
        (
            lambda b: b.change_order(1, order_id="x"),
            "order x: Freqtrade has it, micro never received",
        ),
        (lambda b: b.change_order(1, order_id="x"), "order s: micro filled 1.99 AAA/USDT"),
        (lambda b: b.change_trade(0, amount=2.0), "trade 1 (AAA/USDT): amount 2.0"),
        (lambda b: b.change_trade(0, open_rate=100.13), "trade 1 (AAA/USDT): open rate 100.13"),
        (lambda b: b.change_trade(0, close_rate=101.4), "close rate 101.4 in Freqtrade, 101.5"),
        (lambda b: b.change_trade(0, fee_close=0.2), "exit fee 0.2 in Freqtrade, 0.201985"),
        (lambda b: b.change_trade(0, fee_close=None), "exit fee None in Freqtrade"),
        (lambda b: b.change_trade(0, fee_open_rate=0.00075), "entry fee 0.0015 in Freqtrade"),
    ],
)
def test_every_kind_of_difference_is_reported(change: Callable[[Books], Books], words: str) -> None:
    found = change(round_trip()).audit()
    assert any(words in text for text in found.differences), found.differences


def test_an_order_that_only_one_side_has() -> None:
    whole = round_trip()
    missing = replace(whole, orders=whole.orders[:1])
    assert any("Freqtrade has no row" in text for text in missing.audit().differences)
    never = replace(whole, reports={"b": whole.reports["b"]})
    assert any("micro never received it" in text for text in never.audit().differences)
    lost = BookedOrder(
        order_id="l",
        trade_id=1,
        pair="AAA/USDT",
        side="sell",
        status="expired",
        open=False,
        filled=0.0,
        average=None,
    )
    expired = replace(whole, orders=[*whole.orders, lost])
    assert expired.audit().differences == (), "it expired on its way"
    still_open = expired.change_order(2, open=True).audit().differences
    assert still_open == ("order l: Freqtrade has it, micro never received it",)
    # What was refused or never filled moved nothing; Freqtrade may not have kept it.
    refused = report("r", "buy", [], status="rejected", reason_code="MAX_ORDER_QTY")
    assert replace(whole, reports=whole.reports | {"r": refused}).audit().differences == ()


def test_what_freqtrade_holds_to_be_over_must_be_over() -> None:
    whole = round_trip()
    working = replace(whole.reports["s"], status="working")
    found = replace(whole, reports=whole.reports | {"s": working}).audit()
    assert found.differences == ("order s (AAA/USDT sell): closed in Freqtrade, working in micro",)


def test_a_trade_without_any_order_of_micro() -> None:
    whole = round_trip()
    found = replace(whole, orders=[], reports={}).audit()
    assert found.differences
    assert not found.rows[0].agrees


_prices = st.decimals("0.0001", "99999", places=4, allow_nan=False)
_quantities = st.decimals("0.0001", "9999", places=4, allow_nan=False)
_fills = st.lists(st.tuples(_prices, _quantities), min_size=1, max_size=5).map(
    lambda rows: [(str(price), str(quantity)) for price, quantity in rows]
)
_stories = st.lists(st.tuples(_fills, st.lists(_fills, max_size=3)), min_size=1, max_size=4)


def told(stories: list[tuple[list[tuple[str, str]], list[list[tuple[str, str]]]]]) -> Books:
    return books(
        *(
            (
                report(f"b{n}", "buy", entry),
                [report(f"s{n}-{m}", "sell", fills) for m, fills in enumerate(exits)],
            )
            for n, (entry, exits) in enumerate(stories)
        )
    )


@given(_stories)
def test_floats_alone_make_no_difference(stories: Any) -> None:
    found = told(stories).audit()
    assert found.differences == ()
    assert all(row.agrees for row in found.rows)
    assert trades_table(found).row_count == len(stories)


def _nudged(value: float | None, share: float) -> float:
    return 1.0 if value is None else value * (1 + share)


@given(
    stories=_stories,
    data=st.data(),
    share=st.sampled_from([1e-9, -1e-9, 1e-3, 1.0]),
)
def test_any_figure_that_is_off_is_found(stories: Any, data: st.DataObject, share: float) -> None:
    whole = told(stories)
    if data.draw(st.booleans(), label="an order"):
        number = data.draw(st.integers(0, len(whole.orders) - 1))
        name = data.draw(st.sampled_from(["filled", "average"]))
        was = getattr(whole.orders[number], name)
        changed = whole.change_order(number, **{name: _nudged(was, share)})
    else:
        number = data.draw(st.integers(0, len(whole.trades) - 1))
        names = ["open_rate", "fee_open_rate"]
        if not whole.trades[number].open:
            names += ["amount", "close_rate", "fee_close"]
        name = data.draw(st.sampled_from(names))
        was = getattr(whole.trades[number], name)
        changed = whole.change_trade(number, **{name: _nudged(was, share)})
    assert changed.audit().differences


# --- Freqtrade's file ---------------------------------------------------------------------------


def test_no_database_and_no_such_database(tmp_path: Path) -> None:
    path = tmp_path / "trades.sqlite"
    with pytest.raises(BadInput, match="no trade database"):
        read_freqtrade(path)
    path.write_text("not a database, and long enough not to be taken for an empty one" * 20)
    with pytest.raises(BadInput, match="not a Freqtrade trade database"):
        read_freqtrade(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as link:
        link.execute("CREATE TABLE orders (id INTEGER)")
        link.commit()
    with pytest.raises(BadInput, match="not a Freqtrade trade database"):
        read_freqtrade(path)


def test_the_columns_are_those_of_the_installed_freqtrade(tmp_path: Path) -> None:
    persistence = pytest.importorskip("freqtrade.persistence")
    path = tmp_path / "trades.sqlite"
    persistence.init_db(f"sqlite:///{path}")
    trade = persistence.Trade(
        pair="AAA/USDT",
        stake_amount=100.0,
        amount=1.99,
        open_rate=100.14,
        fee_open=0.001,
        fee_close=0.001,
        exchange="binance",
        is_open=True,
        amount_precision=0.01,
        precision_mode=4,
        price_precision=2,
        precision_mode_price=2,
    )
    trade.orders.append(
        persistence.Order(
            order_id="b",
            ft_order_side="buy",
            ft_pair="AAA/USDT",
            ft_amount=2.0,
            ft_price=100.14,
            ft_is_open=False,
            status="closed",
            filled=2.0,
            average=100.14,
        )
    )
    persistence.Trade.session.add(trade)
    persistence.Trade.commit()
    try:
        orders, trades = read_freqtrade(path)
    finally:
        persistence.Trade.session.remove()
    assert [(o.order_id, o.trade_id, o.side, o.filled, o.open) for o in orders] == [
        ("b", 1, "buy", 2.0, False)
    ]
    assert (trades[0].amount, trades[0].step, trades[0].open) == (1.99, Decimal("0.01"), True)
    assert trades[0].tick == Decimal("0.01")
    assert (trades[0].fee_open_rate, trades[0].fee_close_rate) == (0.001, 0.001)
