"""Printing one order for people: a line per change, and its fills as a table at the end."""

from __future__ import annotations

import json as json_module
import math
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from citadel_proto.messages import ExecutionReport


class OrderPrinter:
    """Prints a line for each new revision, on standard error.

    Args:
        signal_id: the order.
        silent: print nothing.
    """

    def __init__(self, signal_id: str, *, silent: bool) -> None:
        self._console = Console(stderr=True, quiet=silent, highlight=False)
        self._revision = -1
        self._console.print(f"sent {signal_id}", markup=False)

    def update(self, report: ExecutionReport) -> None:
        """Print the report unless it was printed before."""
        if report.revision <= self._revision:
            return
        self._revision = report.revision
        average = f" at {report.average}" if report.average is not None else ""
        why = f" ({report.reason_code})" if report.reason_code else ""
        self._console.print(
            f"{report.status}{why}: {report.filled} of {report.quantity}{average}, "
            f"{report.reprices} reprices",
            markup=False,
        )


def show(report: ExecutionReport, *, json: bool) -> None:
    """Print the state of an order on standard output, for a person or as one JSON object."""
    console = Console(highlight=False, soft_wrap=json)
    if json:
        console.file.write(json_module.dumps(as_plain(report), allow_nan=False) + "\n")
        return
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column()
    rows = (
        ("order", f"{report.signal_id}  {report.side} {report.quantity} {report.symbol}"),
        ("venue", report.venue),
        ("status", report.status),
        ("reason", f"{report.reason_code} {report.reason}".strip()),
        ("would pass", report.permitted or ""),
        ("filled", report.filled),
        ("average", report.average or ""),
        ("arrival mid", f"{report.arrival_mid:.10g}" if report.arrival_mid > 0 else ""),
        ("reprices", str(report.reprices)),
    )
    for name, value in rows:
        if value:
            facts.add_row(name, value)
    console.print(facts, markup=False)
    if report.fills:
        table = Table(box=None, pad_edge=False, collapse_padding=True, padding=(0, 1))
        for name in ("price", "quantity", "fee", "currency", "liquidity"):
            table.add_column(name, no_wrap=True)
        table.add_column("trade", overflow="fold")
        for fill in report.fills:
            table.add_row(
                fill.price,
                fill.quantity,
                fill.fee,
                fill.fee_currency,
                fill.liquidity,
                fill.trade_id,
            )
        console.print(table, markup=False)


def as_plain(value: Any) -> Any:  # noqa: ANN401 - any field of a message
    """A message as dicts and lists for JSON, by field name; NaN as None."""
    if isinstance(value, msgspec.Struct):
        return {name: as_plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
