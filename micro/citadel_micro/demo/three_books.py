"""Freqtrade's database, micro's journal and the exchange's ledger: the same trades, to the last unit?

- Every fill of the exchange's ledger is one of micro's journal and the other way round, with the
  same order, side, price, quantity, fee, currency of the fee, maker or taker, and time. Nothing else
  has moved money at the exchange.
- No order was sent twice: one id of ours stands for one order of the exchange.
- Each balance of micro is the exchange's.
- Of futures, each position's funding is the same in all three, and what a closed one has gained is the
  same at micro and the exchange. Only profit, fees and funding have moved the wallet.
- Of every order Freqtrade has the amount and the average price of the exchange; and what its orders
  have brought and taken is, by currency, what the exchange's fills have, each order rounded to the
  unit in which the exchange keeps money.

All exact, in decimals. Freqtrade keeps fees as rates: these are held against micro's (``audit``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.demo.ledger import MS, UNIT, LedgerFill, OrderFills, added, coins
from citadel_micro.demo.position_books import PositionBooks, compare_positions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from citadel_micro.core.model.commands import FillView, PublishReport
    from citadel_micro.demo.freqtrade_books import BookedOrder, BookedTrade
    from citadel_micro.demo.journals import MicroAccount
    from citadel_micro.demo.ledger import Ledger

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One currency in the three books. ``traded`` is what came less what went, without fees."""

    currency: str
    freqtrade_traded: Decimal
    micro_traded: Decimal
    exchange_traded: Decimal
    micro_fees: Decimal
    exchange_fees: Decimal
    micro_balance: Decimal | None
    exchange_balance: Decimal | None
    """None where there is no such balance: a coin of which only futures are held."""

    @property
    def agrees(self) -> bool:
        """Whether every figure is the same in all books."""
        return (
            self.freqtrade_traded == self.micro_traded == self.exchange_traded
            and self.micro_fees == self.exchange_fees
            and self.micro_balance == self.exchange_balance
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeBooks:
    """The verdict: what to show beside each trade, and every difference in words."""

    fills: int
    orders: int
    """Orders of the exchange that were filled."""
    moved: tuple[Moved, ...]
    legs: Mapping[tuple[int, str], OrderFills]
    """By Freqtrade's number of the trade and side: what the exchange has of it."""
    differences: tuple[str, ...]
    positions: tuple[PositionBooks, ...] = ()
    """Of futures."""

    def leg(self, trade_id: int, side: str) -> OrderFills:
        """One side of a trade; nothing where nothing was filled."""
        return self.legs.get((trade_id, side), OrderFills())


def compare_ledger(
    ledger: Ledger,
    orders: Iterable[BookedOrder],
    trades: Iterable[BookedTrade],
    reports: Mapping[str, PublishReport],
    account: MicroAccount,
) -> ThreeBooks:
    """Hold the exchange's ledger against the two others.

    Args:
        ledger: of the exchange.
        orders: Freqtrade's orders.
        trades: its trades.
        reports: micro's last report of every parent order, by signal id.
        account: micro's balances and positions.
    """
    listed = list(trades)
    shorts = {each.trade_id for each in listed if each.short}
    booked = [_sided(order, shorts) for order in orders]
    parents = {fill.child_id: name for name, each in reports.items() for fill in each.fills}
    by_parent: dict[str, list[LedgerFill]] = {}
    for fill in ledger.fills:
        by_parent.setdefault(parents.get(fill.client_order_id, ""), []).append(fill)
    differences = [
        f"{currency}: the exchange has moved {amount:f} beside any fill"
        for currency, amount in ledger.unexplained().items()
    ]
    differences += _fill_differences(ledger, reports)
    differences += _sent_twice(ledger)
    differences += _order_differences(booked, by_parent)
    moved = tuple(_moved(ledger, booked, reports, account.balances))
    differences += [text for each in moved if not each.agrees for text in _said(each)]
    positions = compare_positions(ledger, listed, account.positions) if ledger.futures else ()
    differences += [text for each in positions for text in each.differences]
    legs: dict[tuple[int, str], list[LedgerFill]] = {}
    for order in booked:
        leg = legs.setdefault((order.trade_id, order.side), [])
        leg += by_parent.get(order.order_id, [])
    return ThreeBooks(
        fills=len(ledger.fills),
        orders=len({(fill.symbol, fill.order_id) for fill in ledger.fills}),
        moved=moved,
        legs={key: added(fills) for key, fills in legs.items()},
        differences=tuple(differences),
        positions=positions,
    )


def _sided(order: BookedOrder, shorts: Collection[int]) -> BookedOrder:
    """An order with the side that it traded on, where Freqtrade calls it a stop only."""
    if order.side in {"buy", "sell"}:
        return order
    return replace(order, side="buy" if order.trade_id in shorts else "sell")


_Key = tuple[str, str, str]


def _fill_differences(ledger: Ledger, reports: Mapping[str, PublishReport]) -> list[str]:
    theirs: dict[_Key, tuple[object, ...]] = {}
    ours: dict[_Key, tuple[object, ...]] = {}
    found = []
    for fill in ledger.fills:
        key = (fill.symbol, fill.client_order_id, str(fill.trade_id))
        if key in theirs:
            found.append(f"{_named(key)}: twice in the exchange's ledger")
        theirs[key] = (
            *(fill.side.lower(), fill.price, fill.quantity, fill.fee, fill.fee_asset),
            *("maker" if fill.maker else "taker", fill.time),
        )
    for report in reports.values():
        for view in report.fills:
            key = (report.symbol, view.child_id, view.trade_id)
            if key in ours:
                found.append(f"{_named(key)}: twice in micro's journal")
            ours[key] = (
                *(report.side, view.price, view.quantity, view.fee, view.fee_currency),
                *(view.liquidity, view.ts_ns // MS),
            )
    names = ("side", "price", "quantity", "fee", "fee currency", "liquidity", "time in ms")
    for key in sorted(theirs.keys() | ours.keys()):
        if key not in ours:
            found.append(f"{_named(key)}: in the exchange's ledger, not in micro's journal")
        elif key not in theirs:
            found.append(f"{_named(key)}: in micro's journal, not in the exchange's ledger")
        else:
            found += [
                f"{_named(key)}: {name} {mine} in micro, {its} at the exchange"
                for name, mine, its in zip(names, ours[key], theirs[key], strict=True)
                if mine != its
            ]
    return found


def _named(key: _Key) -> str:
    symbol, client_id, trade_id = key
    return f"fill {trade_id} of {client_id} ({symbol})"


def _sent_twice(ledger: Ledger) -> list[str]:
    ids: dict[tuple[str, str], set[int]] = {}
    for fill in ledger.fills:
        ids.setdefault((fill.symbol, fill.client_order_id), set()).add(fill.order_id)
    return [
        f"order {name} ({symbol}): {len(each)} orders at the exchange: it was sent again"
        for (symbol, name), each in ids.items()
        if len(each) > 1
    ]


def _order_differences(
    booked: Iterable[BookedOrder], by_parent: Mapping[str, list[LedgerFill]]
) -> list[str]:
    found = []
    for order in booked:
        its = added(by_parent.get(order.order_id, []))
        where = f"order {order.order_id} ({order.pair} {order.side})"
        if order.filled != float(its.quantity):
            found.append(
                f"{where}: filled {order.filled!r} in Freqtrade, {its.quantity} at the exchange"
            )
        if its.average is not None and order.average != float(its.average):
            found.append(
                f"{where}: average {order.average!r} in Freqtrade, {its.average} at the exchange"
            )
    return found


def _moved(
    ledger: Ledger,
    booked: Iterable[BookedOrder],
    reports: Mapping[str, PublishReport],
    balances: Mapping[str, Decimal],
) -> list[Moved]:
    theirs = _sums(flow for fill in ledger.fills for flow in fill.flows())
    ours = _sums(
        flow
        for report in reports.values()
        for fill in report.fills
        for flow in _flows(report, fill)
    )
    macros = _sums(flow for order in booked for flow in _order_flows(order))
    fees = _sums((fill.fee_asset, fill.fee) for fill in ledger.fills)
    paid = _sums(
        (fill.fee_currency, fill.fee) for report in reports.values() for fill in report.fills
    )
    held = {name for name, each in (*ledger.balances.items(), *balances.items()) if each}
    names = theirs.keys() | ours.keys() | macros.keys() | fees.keys() | paid.keys() | held
    return [
        Moved(
            currency=name,
            freqtrade_traded=macros.get(name, _ZERO),
            micro_traded=ours.get(name, _ZERO),
            exchange_traded=theirs.get(name, _ZERO),
            micro_fees=paid.get(name, _ZERO),
            exchange_fees=fees.get(name, _ZERO),
            micro_balance=balances.get(name),
            exchange_balance=ledger.balances.get(name, None if ledger.futures else _ZERO),
        )
        for name in sorted(names)
    ]


def _sums(rows: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for name, amount in rows:
        found[name] = found.get(name, _ZERO) + amount
    return found


def _flows(report: PublishReport, fill: FillView) -> tuple[tuple[str, Decimal], ...]:
    base, quote = coins(report.symbol)
    sign = 1 if report.side == "buy" else -1
    return (base, sign * fill.quantity), (quote, -sign * fill.quantity * fill.price)


def _order_flows(order: BookedOrder) -> tuple[tuple[str, Decimal], ...]:
    """Of Freqtrade's floats: the amount is exact, and its value to far less than a unit."""
    if not order.filled or order.average is None:
        return ()
    base, quote = coins(order.pair)
    sign = 1 if order.side == "buy" else -1
    amount = Decimal(repr(order.filled))
    value = (amount * Decimal(repr(order.average))).quantize(UNIT, ROUND_HALF_EVEN)
    return (base, sign * amount), (quote, -sign * value)


def _said(moved: Moved) -> list[str]:
    rows = (
        ("traded", "Freqtrade", moved.freqtrade_traded, moved.exchange_traded),
        ("traded", "micro", moved.micro_traded, moved.exchange_traded),
        ("fees", "micro", moved.micro_fees, moved.exchange_fees),
        ("balance", "micro", moved.micro_balance, moved.exchange_balance),
    )
    return [
        f"{moved.currency}: {what} {ours} in {book}, {theirs} at the exchange"
        for what, book, ours, theirs in rows
        if ours != theirs
    ]
