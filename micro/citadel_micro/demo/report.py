"""The closing tables of a demo run, both sides beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.demo.audit import Audit, Row
    from citadel_micro.demo.run import DemoRun


def tables(run: DemoRun, audit: Audit) -> list[Table]:
    """The trades, and the faults that the run went through."""
    return [trades_table(audit), _incidents(run)]


def trades_table(audit: Audit) -> Table:
    """Every trade as both sides have it: Freqtrade's figure, then micro's."""
    table = Table(title="trades: Freqtrade's database | micro's journal", title_justify="left")
    for name in ("pair", "amount", "open", "close", "fees", "shortfall bps", "agree"):
        table.add_column(name, justify="left" if name in {"pair", "agree"} else "right")
    for row in audit.rows:
        trade = row.trade
        table.add_row(
            trade.pair,
            f"{trade.amount:.10g} | {row.amount:f}",
            f"{trade.open_rate:.10g} | {_price(row.open_average)}",
            f"{trade.close_rate:.10g} | {_price(row.close_average)}"
            if trade.close_rate is not None
            else "open",
            _fees(row),
            "-" if row.shortfall_bps is None else f"{row.shortfall_bps:+.2f}",
            "[green]yes[/green]" if row.agrees else "[red]NO[/red]",
        )
    return table


def _price(value: Decimal | None) -> str:
    return "-" if value is None else f"{float(value):.10g}"


def _fees(row: Row) -> str:
    booked = f"{row.trade.fee_open_rate * 100:.6g} %"
    if row.trade.fee_close:
        booked += f" + {row.trade.fee_close:.6g} {row.trade.fee_close_currency}"
    exact = " + ".join(f"{float(fee):.6g} {currency}" for currency, fee in row.fees.items())
    return f"{booked} | {exact}"


def _incidents(run: DemoRun) -> Table:
    seen = run.state.incidents
    table = Table(title="what went wrong on purpose", title_justify="left")
    table.add_column("fault")
    table.add_column("what became of it")
    table.add_row("an order beyond a limit", f"refused: {seen.rejected or 'did not happen'}")
    report = run.state.reports.get(seen.partial_cancel)
    table.add_row(
        "a time limit with a part filled",
        "did not happen"
        if report is None
        else f"{report.symbol}: {report.filled} of {report.quantity} filled, rest cancelled",
    )
    table.add_row(
        "kill -9 of micro",
        f"{seen.worked_through} order(s) at work, taken up again from the journal"
        if seen.restarted
        else "did not happen",
    )
    return table
