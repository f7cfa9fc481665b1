"""The closing tables of a demo run: the same figure in each of the books, below each other."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.demo.audit import Audit, Row
    from citadel_micro.demo.ledger import OrderFills
    from citadel_micro.demo.run import DemoRun
    from citadel_micro.demo.three_books import ThreeBooks

_BOOKS: Final = ("Freqtrade", "micro", "exchange")
WIDE: Final = 120
"""Columns of a terminal that has room for everything."""
_BESIDE: Final = frozenset({"fees", "owner"})
_TEXTS: Final = frozenset({"pair", "currency", "book", "owner", "agree"})
OWNER_SHOWN: Final = 7
"""First characters of an owner's id: enough to tell owners apart."""


def tables(run: DemoRun, audit: Audit, third: ThreeBooks | None, *, width: int) -> list[Table]:
    """The trades, the money, and the faults that the run went through.

    Args:
        run: that has ended.
        audit: of its books.
        third: the exchange's; None on paper.
        width: columns of the terminal.
    """
    trades = trades_table(audit, third, wide=width >= WIDE)
    return [trades, *money_tables(third), _incidents(run)]


def trades_table(audit: Audit, third: ThreeBooks | None = None, *, wide: bool = True) -> Table:
    """Every trade as each of the books has it, one line a book; fees and owner with ``wide`` only.

    What is left out is compared all the same.
    """
    table = _table("the trades in each of the books")
    names = ("pair", "book", "amount", "open", "close", "fees", "cost bps", "owner", "agree")
    for name in names:
        if wide or name not in _BESIDE:
            table.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    for row in audit.rows:
        booked = row.booked
        lines = [
            (
                f"{booked.amount:.10g}",
                _price(booked.open_average),
                _price(booked.close_average),
                _fees(booked.fees),
            ),
            (
                f"{row.amount.normalize():f}",
                _price(row.open_average),
                _price(row.close_average),
                _fees(row.fees),
            ),
        ]
        agrees = row.agrees
        if third is not None:
            entry, leave = _at_exchange(row, third)
            fees = _summed(entry, leave)
            # Of an open trade the exchange has no amount: to it that is so much of a coin.
            amount = row.amount if row.trade.open else leave.quantity
            shown = "-" if row.trade.open else f"{amount.normalize():f}"
            lines.append((shown, _price(entry.average), _price(leave.average), _fees(fees)))
            agrees = agrees and (amount, entry.average, leave.average, fees) == (
                *(row.amount, row.open_average, row.close_average),
                {currency: fee for currency, fee in row.fees.items() if fee},
            )
        columns = ["\n".join(each) for each in zip(*lines, strict=True)]
        if row.trade.open:
            columns[2] = "open"
        cells = (
            row.trade.pair,
            "\n".join(_BOOKS[: len(lines)]),
            *columns,
            "-" if row.shortfall_bps is None else f"{row.shortfall_bps:+.2f}",
            "+".join(name[:OWNER_SHOWN] for name in row.owner.split("+")) or "-",
            _said(agrees=agrees),
        )
        beside = [not wide and name in _BESIDE for name in names]
        table.add_row(*(cell for cell, hide in zip(cells, beside, strict=True) if not hide))
    return table


def _table(title: str) -> Table:
    """With a line between rows, which hold one line a book."""
    return Table(
        title=title,
        title_justify="left",
        show_lines=True,
        box=box.HORIZONTALS,
        pad_edge=False,
        collapse_padding=True,
    )


def _at_exchange(row: Row, third: ThreeBooks) -> tuple[OrderFills, OrderFills]:
    """What the exchange has of a trade: entered, and left."""
    number, sides = row.trade.trade_id, ("buy", "sell")
    entry, leave = reversed(sides) if row.trade.short else sides
    return third.leg(number, entry), third.leg(number, leave)


def _summed(*legs: OrderFills) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for currency, fee in (each for leg in legs for each in leg.fees):
        found[currency] = found.get(currency, Decimal(0)) + fee
    return {currency: fee for currency, fee in found.items() if fee}


def _said(*, agrees: bool) -> str:
    return "[green]yes[/green]" if agrees else "[red]NO[/red]"


def money_tables(third: ThreeBooks | None) -> list[Table]:
    """The money, and of futures the positions; none without a third book."""
    if third is None:
        return []
    return [money_table(third), *([positions_table(third)] if third.positions else [])]


def positions_table(third: ThreeBooks) -> Table:
    """Funding and gains of every pair of futures as each of the books has them, one line a book."""
    table = _table("the positions, to the last unit")
    for name in ("pair", "book", "funding", "gained, with funding and after fees", "agree"):
        table.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    for each in third.positions:
        funding = (each.freqtrade_funding, each.micro_funding, each.exchange_funding)
        table.add_row(
            each.pair,
            "\n".join(_BOOKS),
            "\n".join(map(_money, funding)),
            f"by rates of fees\n{_money(each.micro_gained)}\n{_money(each.exchange_gained)}",
            _said(agrees=not list(each.differences)),
        )
    return table


def _money(amount: Decimal | None) -> str:
    return "open" if amount is None else f"{amount:.8f}"


def money_table(third: ThreeBooks) -> Table:
    """Every currency as each of the books has it, one line a book."""
    table = _table("the money, to the last unit")
    for name in ("currency", "book", "bought less sold", "fees", "balance", "agree"):
        table.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    for each in third.moved:
        traded = (each.freqtrade_traded, each.micro_traded, each.exchange_traded)
        balances = (
            "-" if b is None else f"{b:.8f}" for b in (each.micro_balance, each.exchange_balance)
        )
        table.add_row(
            each.currency,
            "\n".join(_BOOKS),
            "\n".join(f"{amount:.8f}" for amount in traded),
            f"as rates\n{each.micro_fees:.8f}\n{each.exchange_fees:.8f}",
            "\n".join(("micro's", *balances)),
            _said(agrees=each.agrees),
        )
    return table


def _price(value: Decimal | float | None) -> str:
    return "-" if value is None else f"{float(value):.10g}"


def _fees(fees: Mapping[str, Decimal] | Mapping[str, float]) -> str:
    # Twice: a float just below a half and the exact half must not be rounded apart.
    rows = ((float(f"{float(fee):.12g}"), currency) for currency, fee in fees.items() if fee)
    return " + ".join(f"{fee:.6g} {currency}" for fee, currency in rows)


def _incidents(run: DemoRun) -> Table:
    seen = run.state.incidents
    table = Table(title="deliberate faults", title_justify="left", box=box.HORIZONTALS)
    table.add_column("fault")
    table.add_column("result")
    report = run.state.reports.get(seen.partial_cancel)
    rows = (
        ("an order beyond a limit", f"rejected: {seen.rejected}" if seen.rejected else ""),
        (
            "a time limit after a partial fill",
            ""
            if report is None
            else f"{report.symbol}: {report.filled} of {report.quantity} filled, rest canceled",
        ),
        (
            "kill -9 of micro",
            f"{seen.worked_through} working order(s), resumed from the journal"
            if seen.restarted
            else "",
        ),
        *(
            (fault.name, "" if fault.outcome is None else fault.outcome.text)
            for fault in run.venue.faults
        ),
    )
    for fault, outcome in rows:
        if outcome:
            table.add_row(fault, outcome)
    return table


def as_plain(audit: Audit, third: ThreeBooks | None) -> dict[str, Any]:
    """The verdict for other programs: exact numbers as text, and micro's figures of every trade."""
    differences = [*audit.differences, *(third.differences if third else ())]
    return {
        "agree": not differences,
        "differences": differences,
        "orders": audit.orders,
        "round_trips": audit.round_trips,
        "owners": audit.owners,
        "orders_of_others": audit.others,
        "flattened_orphans": audit.flattened,
        "orders_of_deleted_trades": audit.deleted,
        "fills_at_exchange": None if third is None else third.fills,
        "trades": [
            {
                "trade_id": row.trade.trade_id,
                "pair": row.trade.pair,
                "open": row.trade.open,
                "amount": f"{row.amount:f}",
                "open_average": None if row.open_average is None else f"{row.open_average:f}",
                "close_average": None if row.close_average is None else f"{row.close_average:f}",
                "fees": {name: f"{fee:f}" for name, fee in row.fees.items()},
                "shortfall_bps": row.shortfall_bps,
                "owner": row.owner,
                "agree": row.agrees,
            }
            for row in audit.rows
        ],
    }
