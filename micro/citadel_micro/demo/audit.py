"""Do Freqtrade's books say what micro did? Compared order by order and trade by trade.

Freqtrade's side is read from its own SQLite file, micro's from the reports in its journal.

- Of every order, the filled amount and the average price must be the very numbers of micro's report,
  and what Freqtrade holds to be over must be over.
- A closed trade must have sold what micro sold. (Freqtrade's row of a trade that was left in several
  orders keeps the last order's amount and rate, and the first one's fee.)
- An open trade must hold what micro bought. Where the venue took the fee in base currency and
  Freqtrade did not find it in its dust: less the fee, cut down to a whole step of the pair.
  Freqtrade counts an order into its trade when the order is over, so what one that is still open
  has filled is compared in the order's row only.
- The trade's open rate must be micro's average, or that rounded to a tick of the pair, as Freqtrade
  does when it works the trade out of its orders. (The orders' own averages are never rounded.)
- Fees: Freqtrade keeps an exit's fee as money. Of an entry's it keeps the rate; where the venue took
  base currency, rate times filled amount must be that fee.

Figures of trades are sums that Freqtrade made in binary floats, so they may differ from micro's exact
ones in the last binary digits and nowhere else: they are compared to ``SUM_DIGITS`` relative.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

from citadel_proto.errors import BadInput
from citadel_proto.messages import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from citadel_micro.core.commands import FillView, PublishReport

SUM_DIGITS: Final = 1e-12
"""Relative difference allowed between a float sum and the exact one."""

_DECIMAL_PLACES, _TICK_SIZE = 2, 4

_ORDERS: Final = """
    SELECT o.order_id, o.ft_trade_id, o.ft_pair, o.ft_order_side, o.status, o.ft_is_open,
           o.filled, o.average
    FROM orders o ORDER BY o.id
"""
_TRADES: Final = """
    SELECT id, pair, is_open, amount, open_rate, close_rate, fee_open_cost, fee_open_currency,
           fee_close_cost, fee_close_currency, close_profit_abs, exit_reason, fee_open, fee_close,
           amount_precision, precision_mode, price_precision, precision_mode_price
    FROM trades ORDER BY id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedOrder:
    """One row of Freqtrade's order table."""

    order_id: str
    trade_id: int
    pair: str
    side: str
    status: str
    open: bool
    filled: float
    average: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedTrade:
    """One row of Freqtrade's trade table."""

    trade_id: int
    pair: str
    open: bool
    amount: float
    open_rate: float
    close_rate: float | None
    fee_open: float | None
    """Money that Freqtrade works out of the rate."""
    fee_open_rate: float
    fee_open_currency: str | None
    fee_close: float | None
    fee_close_rate: float
    fee_close_currency: str | None
    profit: float | None
    exit_reason: str
    step: Decimal
    """Freqtrade cuts what it holds after fees down to a multiple of this; 0 where it does not."""
    tick: Decimal
    """Freqtrade rounds an average over several orders to a multiple of this; 0 where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """One trade as Freqtrade's own rows of its orders add up."""

    amount: float
    open_average: float | None
    close_average: float | None
    fees: dict[str, float]
    """By currency: the trade's rates on what its orders filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One trade as both sides have it; ``shortfall_bps`` is micro's, over both legs."""

    trade: BookedTrade
    booked: Booked
    amount: Decimal
    open_average: Decimal | None
    close_average: Decimal | None
    fees: dict[str, Decimal]
    shortfall_bps: float | None
    agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The verdict: rows to show, and every difference in words (none when the books agree)."""

    rows: tuple[Row, ...]
    differences: tuple[str, ...]
    orders: int

    @property
    def round_trips(self) -> int:
        """Trades closed in Freqtrade's books."""
        return sum(1 for row in self.rows if not row.trade.open)


def read_freqtrade(database: Path) -> tuple[list[BookedOrder], list[BookedTrade]]:
    """Read both tables of a Freqtrade trade database, without locking it.

    Raises BadInput when the file is not there or is not such a database.
    """
    if not database.is_file():
        raise BadInput("no trade database", where=str(database), mend="let Freqtrade start once")
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as link:
            orders = [
                BookedOrder(
                    order_id=row[0],
                    trade_id=row[1],
                    pair=row[2],
                    side=row[3],
                    status=row[4] or "",
                    open=bool(row[5]),
                    filled=row[6] or 0.0,
                    average=row[7],
                )
                for row in link.execute(_ORDERS)
            ]
            trades = [
                BookedTrade(
                    trade_id=row[0],
                    pair=row[1],
                    open=bool(row[2]),
                    amount=row[3],
                    open_rate=row[4],
                    close_rate=row[5],
                    fee_open=row[6],
                    fee_open_currency=row[7],
                    fee_close=row[8],
                    fee_close_currency=row[9],
                    profit=row[10],
                    exit_reason=row[11] or "",
                    fee_open_rate=row[12] or 0.0,
                    fee_close_rate=row[13] or 0.0,
                    step=_step(row[14], row[15]),
                    tick=_step(row[16], row[17]),
                )
                for row in link.execute(_TRADES)
            ]
    except sqlite3.DatabaseError as error:
        raise BadInput(f"not a Freqtrade trade database: {error}", where=str(database)) from error
    return orders, trades


def _step(precision: float | None, mode: int | None) -> Decimal:
    """Step of an amount or a price. Mode 4 of ccxt counts in steps, 2 in decimal places."""
    if not precision:
        return Decimal(0)
    if mode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(precision))
    return Decimal(repr(precision)) if mode == _TICK_SIZE else Decimal(0)


def compare(
    orders: Iterable[BookedOrder],
    trades: Iterable[BookedTrade],
    reports: Mapping[str, PublishReport],
) -> Audit:
    """Hold Freqtrade's rows against micro's last report of each order.

    Args:
        orders: Freqtrade's orders.
        trades: Freqtrade's trades.
        reports: micro's last report of every parent order, by signal id.
    """
    differences: list[str] = []
    booked = list(orders)
    by_trade: dict[int, list[tuple[BookedOrder, PublishReport]]] = {}
    for order in booked:
        report = reports.get(order.order_id)
        if report is None:
            # A signal can expire on its way, while micro is away: then nothing came of it.
            if order.open or order.filled:
                differences.append(f"order {order.order_id}: Freqtrade has it, micro never saw it")
            continue
        differences += _order_differences(order, report)
        by_trade.setdefault(order.trade_id, []).append((order, report))
    known = {order.order_id for order in booked}
    differences += [
        f"order {signal_id}: micro filled {report.filled} {report.symbol}, Freqtrade has no row"
        for signal_id, report in reports.items()
        if signal_id not in known and report.filled > 0
    ]
    rows = []
    for trade in trades:
        row = _row(trade, by_trade.get(trade.trade_id, []), differences)
        rows.append(row)
    return Audit(rows=tuple(rows), differences=tuple(differences), orders=len(booked))


def _order_differences(order: BookedOrder, report: PublishReport) -> list[str]:
    found = []
    if order.filled != float(report.filled):
        found.append(
            f"order {order.order_id} ({order.pair} {order.side}): filled {order.filled!r} "
            f"in Freqtrade, {report.filled} in micro"
        )
    average = None if report.average is None else float(report.average)
    if report.filled > 0 and order.average != average:
        found.append(
            f"order {order.order_id} ({order.pair} {order.side}): average {order.average!r} "
            f"in Freqtrade, {report.average} in micro"
        )
    if not order.open and report.status not in TERMINAL_STATUSES:
        found.append(
            f"order {order.order_id} ({order.pair} {order.side}): {order.status} in Freqtrade, "
            f"{report.status} in micro"
        )
    return found


def _row(
    trade: BookedTrade,
    legs: list[tuple[BookedOrder, PublishReport]],
    differences: list[str],
) -> Row:
    before = len(differences)
    entries = [report for order, report in legs if order.side == _entry_side(legs)]
    exits = [report for order, report in legs if order.side not in {_entry_side(legs), "stoploss"}]
    exits += [report for order, report in legs if order.side == "stoploss"]
    entry_fills = [fill for report in entries for fill in report.fills]
    exit_fills = [fill for report in exits for fill in report.fills]
    booked = _booked(trade, legs)
    where = f"trade {trade.trade_id} ({trade.pair})"
    over = {order.order_id for order, _ in legs if not order.open}
    counted = [fill for report in entries if report.signal_id in over for fill in report.fills]
    sold = _quantity(exit_fills)
    open_average, close_average = _average(entry_fills), _average(exit_fills)
    fees: dict[str, Decimal] = {}
    for fill in (*entry_fills, *exit_fills):
        fees[fill.fee_currency] = fees.get(fill.fee_currency, Decimal(0)) + fill.fee
    held = Decimal(0)
    if trade.open:
        gone = [fill for report in exits if report.signal_id in over for fill in report.fills]
        held = _held(trade, counted, gone)
        _check(differences, f"{where}: holds", trade.amount, held)
    else:
        # A trade that was left in several orders keeps the amount and rate of the last one and the
        # fee of the first; its orders, which were compared one by one, hold the whole.
        last = [report.fills for report in exits if report.fills][-1:]
        first = [report.fills for report in exits if report.fills][:1]
        last_fills = [fill for fills in last for fill in fills]
        first_fills = [fill for fills in first for fill in fills]
        _check(differences, f"{where}: amount", trade.amount, _quantity(last_fills))
        _check(differences, f"{where}: close rate", trade.close_rate, _average(last_fills))
        _check_fee(differences, f"{where}: exit", trade, first_fills, trade.fee_close)
    if counted:  # before that a trade has the price that was asked
        rounded = _rounded(_average(counted), trade)
        _check(differences, f"{where}: open rate", trade.open_rate, rounded)
        _check_fee(differences, f"{where}: entry", trade, counted, trade.fee_open)
    return Row(
        trade=trade,
        booked=booked,
        amount=held if trade.open else sold,
        open_average=open_average,
        close_average=close_average,
        fees=fees,
        shortfall_bps=_shortfall(entries + exits),
        agrees=len(differences) == before,
    )


def _held(trade: BookedTrade, bought: list[FillView], sold: list[FillView]) -> Decimal:
    """What an open trade holds by micro's account, in the form that Freqtrade keeps if it does."""
    base = trade.pair.partition("/")[0]
    held = _quantity(bought) - _quantity(sold)
    fees = (fill.fee for fill in (*bought, *sold) if fill.fee_currency == base)
    less_fee = held - sum(fees, Decimal(0))
    cut = less_fee // trade.step * trade.step if trade.step else less_fee
    return next((each for each in (less_fee, cut) if _same(trade.amount, each)), held)


def _rounded(average: Decimal | None, trade: BookedTrade) -> Decimal | None:
    """The average, or what Freqtrade rounded it to if the trade has exactly that."""
    if average is None or not trade.tick:
        return average
    nearest = (average / trade.tick).to_integral_value(ROUND_HALF_EVEN) * trade.tick
    return nearest if _same(trade.open_rate, nearest) else average


def _booked(trade: BookedTrade, legs: list[tuple[BookedOrder, PublishReport]]) -> Booked:
    base, _, rest = trade.pair.partition("/")
    quote = rest.partition(":")[0]
    entry_side = _entry_side(legs)
    sums: dict[bool, tuple[float, float]] = {}
    in_base = False
    for order, report in legs:
        entry = order.side == entry_side
        amount, value = sums.get(entry, (0.0, 0.0))
        sums[entry] = (amount + order.filled, value + order.filled * (order.average or 0.0))
        in_base = in_base or (entry and any(fill.fee_currency == base for fill in report.fills))
    (bought, spent), (sold, earned) = sums.get(True, (0.0, 0.0)), sums.get(False, (0.0, 0.0))
    fees = {base: trade.fee_open_rate * bought} if in_base else {quote: trade.fee_open_rate * spent}
    fees[quote] = fees.get(quote, 0.0) + trade.fee_close_rate * earned
    return Booked(
        amount=trade.amount if trade.open else sold,
        open_average=spent / bought if bought else None,
        close_average=earned / sold if sold else None,
        fees=fees,
    )


def _entry_side(legs: list[tuple[BookedOrder, PublishReport]]) -> str:
    return legs[0][0].side if legs else "buy"


def _check_fee(
    differences: list[str],
    where: str,
    trade: BookedTrade,
    fills: list[FillView],
    booked: float | None,
) -> None:
    exact = sum((fill.fee for fill in fills), Decimal(0))
    currencies = {fill.fee_currency for fill in fills}
    if currencies == {trade.pair.partition("/")[0]}:
        booked = trade.fee_open_rate * float(_quantity(fills))
    _check(differences, f"{where} fee", booked, exact)


def _quantity(fills: list[FillView]) -> Decimal:
    return sum((fill.quantity for fill in fills), Decimal(0))


def _average(fills: list[FillView]) -> Decimal | None:
    quantity = _quantity(fills)
    if quantity == 0:
        return None
    return sum((fill.price * fill.quantity for fill in fills), Decimal(0)) / quantity


def _same(booked: float | None, exact: Decimal | None) -> bool:
    if booked is None or exact is None:
        return booked is None and exact is None
    return math.isclose(booked, float(exact), rel_tol=SUM_DIGITS, abs_tol=0.0)


def _check(differences: list[str], what: str, booked: float | None, exact: Decimal | None) -> None:
    if not _same(booked, exact):
        differences.append(f"{what} {booked!r} in Freqtrade, {exact} in micro")


def _shortfall(reports: list[PublishReport]) -> float | None:
    """Implementation shortfall against the arrival mids, fees included, in bps of what was traded.

    Positive is a cost. Perold, *The implementation shortfall* (1988); the unfilled rest is left out,
    as Freqtrade gave it up on purpose.
    """
    cost = 0.0
    value = 0.0
    for report in reports:
        sign = 1.0 if report.side == "buy" else -1.0
        for fill in report.fills:
            quantity, price = float(fill.quantity), float(fill.price)
            value += quantity * report.arrival_mid
            cost += sign * (price - report.arrival_mid) * quantity
            in_base = fill.fee_currency == report.symbol.partition("/")[0]
            cost += float(fill.fee) * (price if in_base else 1.0)
    return cost / value * 1e4 if value > 0 else None
