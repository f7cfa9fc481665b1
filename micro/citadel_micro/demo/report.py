"""The closing tables of a demo run, both sides beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from citadel_micro.demo.audit import Audit
    from citadel_micro.demo.run import DemoRun


OWNER_SHOWN: Final = 7
"""First characters of an owner's id: enough to tell a few apart."""


def tables(run: DemoRun, audit: Audit) -> list[Table]:
    """The trades, and the faults that the run went through."""
    return [trades_table(audit), _incidents(run)]


def trades_table(audit: Audit) -> Table:
    """Every trade as both sides have it: Freqtrade's figure, then micro's."""
    table = Table(title="trades: Freqtrade's database | micro's journal", title_justify="left")
    for name in ("pair", "amount", "open", "close", "fees", "shortfall bps", "owner", "agree"):
        table.add_column(name, justify="left" if name in {"pair", "owner", "agree"} else "right")
    for row in audit.rows:
        booked = row.booked
        table.add_row(
            row.trade.pair,
            f"{booked.amount:.10g} | {row.amount.normalize():f}",
            f"{_price(booked.open_average)} | {_price(row.open_average)}",
            "open"
            if row.trade.open
            else f"{_price(booked.close_average)} | {_price(row.close_average)}",
            f"{_fees(booked.fees)} | {_fees(row.fees)}",
            "-" if row.shortfall_bps is None else f"{row.shortfall_bps:+.2f}",
            "+".join(name[:OWNER_SHOWN] for name in row.owner.split("+")) or "-",
            "[green]yes[/green]" if row.agrees else "[red]NO[/red]",
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
    table = Table(title="what went wrong on purpose", title_justify="left")
    table.add_column("fault")
    table.add_column("what became of it")
    report = run.state.reports.get(seen.partial_cancel)
    rows = (
        ("an order beyond a limit", f"refused: {seen.rejected}" if seen.rejected else ""),
        (
            "a time limit with a part filled",
            ""
            if report is None
            else f"{report.symbol}: {report.filled} of {report.quantity} filled, rest cancelled",
        ),
        (
            "kill -9 of micro",
            f"{seen.worked_through} order(s) at work, taken up again from the journal"
            if seen.restarted
            else "",
        ),
    )
    for fault, outcome in rows:
        if outcome:
            table.add_row(fault, outcome)
    return table
