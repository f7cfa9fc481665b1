"""Do Freqtrade's books match what micro did? Compared order by order and trade by trade.

Freqtrade's side is read from its own SQLite file, micro's from the reports in its journal.

- For every order, the filled amount and the average price must be exactly those of micro's report,
  and what Freqtrade considers closed must be closed.
- A trade must hold what Freqtrade's own rule (see ``running``) makes of micro's numbers, at the running
  average that it makes, or that average rounded to a tick of the pair. What a still open order
  has filled is compared in the order's row only.
- A closed trade must have sold what it held, except less than a step, or the rest that macro noted
  when it closed the trade because that was too small to sell. Its close rate is that of its last exit;
  Freqtrade itself drops it when an exit fills while it is being canceled.
- Fees: Freqtrade keeps the first exit's as money. Of entries it keeps the rate of one, rounded to eight
  digits; macro has it keep the mean of several, by their values. What it deducted from an amount must be what the venue took.
- Every order must be of the owner of these books. Orders of other owners are counted and are no
  difference; an order of theirs in these books is one, unless it has closed what a trade held. Of
  such an order the books have the part that was theirs, at its average.

Figures of trades are sums that Freqtrade made in binary floats, so they may differ from micro's exact
ones in the last binary digits and nowhere else: they are compared to ``SUM_DIGITS`` relative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from operator import mul
from typing import TYPE_CHECKING, Final

from citadel_micro.demo import ownership
from citadel_micro.demo.freqtrade_books import (
    BookedOrder,
    BookedTrade,
    read_deleted,
    read_freqtrade,
    read_owners,
)
from citadel_micro.demo.running import base_fee, down, running
from citadel_proto.messages import TERMINAL_STATUSES
from citadel_proto.shortfall import Traded, costs, fee_in_quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from citadel_micro.core.model.commands import FillView, PublishReport
    from citadel_proto.shortfall import Costs

__all__ = [
    "Audit",
    "BookedOrder",
    "BookedTrade",
    "compare",
    "read_deleted",
    "read_freqtrade",
    "read_owners",
]

SUM_DIGITS: Final = 1e-12
"""Relative difference allowed between a float sum and the exact one."""
PRICE_DIGITS: Final = 1e-16
"""Freqtrade divides with 18 decimal places, which is not much for a coin of 10^-8."""
RATE_PLACES: Final = 8
"""Decimal places to which Freqtrade rounds the rate of a fee."""
LOWERED: Final = Decimal("0.98")
"""Freqtrade treats a wallet that holds at least this part of a trade as the whole of it."""


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
    owner: str = ""
    """Of its orders at micro; several are joined by ``+``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result: rows to show, and every difference as text (none when the books agree)."""

    rows: tuple[Row, ...]
    differences: tuple[str, ...]
    orders: int
    owners: tuple[str, ...] = ()
    """Owners of these books; none where neither side names an owner."""
    others: int = 0
    """Orders of other owners that micro filled: correctly not in these books."""
    deleted: tuple[str, ...] = ()
    """Filled orders of trades that were deleted in Freqtrade."""
    flattened: tuple[str, ...] = ()
    """Orphans that macro has sold again, which Freqtrade never booked."""

    @property
    def round_trips(self) -> int:
        """Trades closed in Freqtrade's books."""
        return sum(1 for row in self.rows if not row.trade.open)


def compare(
    orders: Iterable[BookedOrder],
    trades: Iterable[BookedTrade],
    reports: Mapping[str, PublishReport],
    owners: Collection[str] = (),
    deleted: Collection[str] = (),
) -> Audit:
    """Compare Freqtrade's rows with micro's last report of each order.

    Args:
        orders: Freqtrade's orders.
        trades: Freqtrade's trades.
        reports: micro's last report of every parent order, by signal id.
        owners: of these books (``read_owners``); none: the owner of their orders, of which
            there may then be one only.
        deleted: filled orders whose trade was deleted (``read_deleted``): they have no row.
    """
    differences: list[str] = []
    booked = list(orders)
    listed = list(trades)
    by_trade: dict[int, list[tuple[BookedOrder, PublishReport]]] = {}
    for order in booked:
        report = reports.get(order.order_id)
        if report is None:
            # A signal can expire in transit, while micro is down: then it had no effect.
            if order.open or order.filled:
                differences.append(
                    f"order {order.order_id}: Freqtrade has it, micro never received it"
                )
            continue
        report = ownership.part(order, report, owners)
        differences += _order_differences(order, report)
        by_trade.setdefault(order.trade_id, []).append((order, report))
    entry_sides = {
        trade.trade_id: _entry_side(trade, by_trade.get(trade.trade_id, [])) for trade in listed
    }
    exits = {
        order.order_id
        for order in booked
        if order.side != entry_sides.get(order.trade_id, order.side)
    }
    ours = ownership.owners_of(owners, by_trade, exits, differences)
    known = {order.order_id for order in booked}
    held = ownership.held_when(listed, by_trade, exits)
    missing = {
        signal_id: report
        for signal_id, report in reports.items()
        if signal_id not in known and report.filled > 0 and signal_id not in deleted
    }
    others = {name for name, report in missing.items() if ownership.of_others(report, ours, held)}
    flattened = ownership.flattened({n: r for n, r in missing.items() if n not in others})
    differences += [
        f"order {signal_id}: micro filled {report.filled} {report.symbol}, Freqtrade has no row"
        + (f" (owner {report.owner})" if report.owner else "")
        for signal_id, report in missing.items()
        if signal_id not in others and signal_id not in flattened
    ]
    rows = [_row(trade, by_trade.get(trade.trade_id, []), differences) for trade in listed]
    return Audit(
        rows=tuple(rows),
        differences=tuple(differences),
        orders=len(booked),
        owners=tuple(sorted(ours)),
        others=len(others),
        deleted=tuple(name for name in deleted if name in reports and name not in known),
        flattened=tuple(name for name in flattened if ownership.FLATTENS.match(name) is None),
    )


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
    entry_side = _entry_side(trade, legs)
    entries = [report for order, report in legs if order.side == entry_side]
    exits = [report for order, report in legs if order.side != entry_side]
    entry_fills = [fill for report in entries for fill in report.fills]
    exit_fills = [fill for report in exits for fill in report.fills]
    where = f"trade {trade.trade_id} ({trade.pair})"
    over = {order.order_id for order, _ in legs if not order.open}
    counted = [report for report in entries if report.signal_id in over and report.fills]
    fees: dict[str, Decimal] = {}
    for fill in (*entry_fills, *exit_fills):
        fees[fill.fee_currency] = fees.get(fill.fee_currency, Decimal(0)) + fill.fee
    amount = _quantity(exit_fills)
    kept = _check_kept(trade, legs, entry_side, differences)
    if counted:  # before that a trade has the expected rate
        _check_rate(differences, f"{where}: entry", trade, counted)
    if not trade.open:
        _check_close(trade, exits, differences)
    return Row(
        trade=trade,
        booked=_booked(trade, legs, entry_side),
        amount=kept if trade.open else amount,
        open_average=_average(entry_fills),
        close_average=_average(exit_fills),
        fees=fees,
        shortfall_bps=traded_shortfall(entries + exits),
        agrees=len(differences) == before,
        owner="+".join(sorted({report.owner for _, report in legs if report.owner})),
    )


def _check_kept(
    trade: BookedTrade,
    legs: list[tuple[BookedOrder, PublishReport]],
    entry_side: str,
    differences: list[str],
) -> Decimal:
    """Compare a trade with Freqtrade's own rule; returns the amount that it must hold."""
    where = f"trade {trade.trade_id} ({trade.pair})"
    base = trade.pair.partition("/")[0]
    for order, report in legs:
        if order.fee_base and not _same(order.fee_base, base_fee(report, base)):
            differences.append(
                f"order {order.order_id} ({order.pair} {order.side}): {order.fee_base!r} taken off "
                f"as fee in Freqtrade, {base_fee(report, base)} {base} in micro"
            )
    must = running(trade, legs, entry_side)
    if trade.dust is not None:
        wanted = (must.rest, must.amount, max(must.rest, Decimal(0)))
        if trade.open or not any(_same(trade.dust, each) for each in wanted):
            differences.append(f"{where}: noted rest {trade.dust!r}, {must.rest} in micro")
    elif not trade.open and all(order.fee_base is not None for order, _ in legs):
        left = down(must.rest - must.uncut, trade.step)
        if left > 0:
            differences.append(
                f"{where}: closed in Freqtrade with {left.normalize():f} not sold in micro"
            )
        if must.rest < 0 and not any(report.own for _, report in legs):
            differences.append(
                f"{where}: sold {-must.rest.normalize():f} in micro that it did not hold"
            )
    # Freqtrade lowers the amount to the wallet's, if that is a little less, before an exit.
    less_fee = must.rest - must.uncut
    forms = [must.amount, less_fee, down(less_fee, trade.step)]
    exits = [report for order, report in legs if order.side != entry_side and report.filled > 0]
    if exits and not trade.open:
        last = exits[-1].filled
        forms.append(last)
        booked = Decimal(repr(trade.amount))
        lowered = must.amount * LOWERED < booked < must.amount
        if trade.dust is None and lowered and last <= booked < last + trade.step:
            forms.append(booked)
    if not any(_same(trade.amount, each) for each in forms):
        what = "holds" if trade.open else "amount"
        differences.append(f"{where}: {what} {trade.amount!r} in Freqtrade, {must.amount} in micro")
    if must.rate is not None and not _same_rate(trade, must.rate):
        differences.append(
            f"{where}: open rate {trade.open_rate!r} in Freqtrade, {must.rate:.16g} in micro"
        )
    return next((each for each in forms if _same(trade.amount, each)), must.amount)


def _check_close(trade: BookedTrade, exits: list[PublishReport], differences: list[str]) -> None:
    """A trade exited by several orders keeps the rate of the last and the fee of the first."""
    where = f"trade {trade.trade_id} ({trade.pair})"
    filled = [report.fills for report in exits if report.fills]
    if filled:
        if trade.close_rate is not None:
            _check(differences, f"{where}: close rate", trade.close_rate, _average(filled[-1]))
        fee = sum((fill.fee for fill in filled[0]), Decimal(0))
        _check(differences, f"{where}: exit fee", trade.fee_close, fee)
    elif trade.dust is not None:  # nothing could be sold: at its own price
        if trade.close_rate != trade.open_rate:
            differences.append(
                f"{where}: close rate {trade.close_rate!r} in Freqtrade, nothing sold in micro"
            )
    elif trade.close_rate is not None:
        _check(differences, f"{where}: close rate", trade.close_rate, None)
    else:
        differences.append(f"{where}: closed in Freqtrade, nothing sold in micro")


def _check_rate(
    differences: list[str], where: str, trade: BookedTrade, entries: list[PublishReport]
) -> None:
    """The rate of one entry's fee, or of all. A fee in a third currency is not compared."""
    base, _, rest = trade.pair.partition("/")
    quote = rest.partition(":")[0]
    amount = fees = Decimal(0)
    rates, values = [], []
    for report in entries:
        currencies = {fill.fee_currency for fill in report.fills}
        fee = sum((fill.fee for fill in report.fills), Decimal(0))
        paid_on = _quantity(report.fills)
        if currencies == {quote}:
            paid_on = sum((fill.price * fill.quantity for fill in report.fills), Decimal(0))
        elif currencies != {base}:
            return
        amount += paid_on
        fees += fee
        rates.append(fee / paid_on)
        values.append(sum((fill.price * fill.quantity for fill in report.fills), Decimal(0)))
    mean = sum(map(mul, rates, values), Decimal(0)) / sum(values, Decimal(0))
    booked = trade.fee_open_rate
    rounded = {round(float(rate), RATE_PLACES) for rate in rates}
    if booked not in rounded and not any(_same(booked, rate) for rate in (*rates, mean)):
        differences.append(
            f"{where} fee {booked * float(amount)!r} in Freqtrade, {fees} in micro (rate "
            f"{booked!r}, {', '.join(f'{rate:.8f}' for rate in rates)})"
        )


def _same_rate(trade: BookedTrade, exact: Decimal) -> bool:
    """Whether a trade has this average, or this average rounded to a tick in either direction."""
    booked = trade.open_rate
    if math.isclose(booked, float(exact), rel_tol=SUM_DIGITS, abs_tol=PRICE_DIGITS):
        return True
    if not trade.tick:
        return False
    steps = (Decimal(repr(booked)) / trade.tick).to_integral_value(ROUND_HALF_EVEN)
    on_grid = math.isclose(booked, float(steps * trade.tick), rel_tol=SUM_DIGITS)
    half = trade.tick / 2 * (1 + Decimal(repr(SUM_DIGITS)))
    return on_grid and abs(steps * trade.tick - exact) <= half


def _booked(
    trade: BookedTrade, legs: list[tuple[BookedOrder, PublishReport]], entry_side: str
) -> Booked:
    base, _, rest = trade.pair.partition("/")
    quote = rest.partition(":")[0]
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


def _entry_side(trade: BookedTrade, legs: list[tuple[BookedOrder, PublishReport]]) -> str:
    if trade.short is not None:
        return "sell" if trade.short else "buy"
    return legs[0][0].side if legs else "buy"


def _quantity(fills: Iterable[FillView]) -> Decimal:
    return sum((fill.quantity for fill in fills), Decimal(0))


def _average(fills: Collection[FillView]) -> Decimal | None:
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


def traded_shortfall(reports: list[PublishReport]) -> float | None:
    """Implementation shortfall against the arrival mids, fees included, in bps of what was traded.

    Positive is a cost (``citadel_proto.shortfall``: Perold 1988). The unfilled rest is left out, as
    Freqtrade gave it up on purpose, and so are fees in a third currency. None where nothing was
    traded, or an arrival mid is not known.
    """
    total: Costs | None = None
    for report in reports:
        if not report.fills:
            continue
        if not (math.isfinite(report.arrival_mid) and report.arrival_mid > 0):
            return None
        base, _, rest = report.symbol.partition("/")
        quote = rest.partition(":")[0]
        traded = []
        for fill in report.fills:
            fee = fee_in_quote(
                fill.fee, fill.fee_currency, base=base, quote=quote, price=fill.price
            )
            traded.append(Traded(Fraction(fill.price), Fraction(fill.quantity), fee=fee or 0))
        # The shortest text of the float is the mid that micro rounded it from.
        arrival = Fraction(repr(report.arrival_mid))
        cost = costs(traded, sign=1 if report.side == "buy" else -1, arrival=arrival)
        total = cost if total is None else total + cost
    return None if total is None else total.shortfall().total_bps
