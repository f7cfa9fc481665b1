"""The live view of a demo run: processes, books, working orders, fills, risk."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from citadel_micro.demo.state import DemoState

_STATE_STYLE: Final = {"LIVE": "green", "SYNCING": "yellow", "STALE": "red", "BROKEN": "bold red"}
_SIDE_STYLE: Final = {"buy": "green", "sell": "red"}
SMALLEST: Final = 24
"""Lines of the smallest terminal that is drawn for."""
_HEAD_LINES: Final = 5
_LEAST_ROWS: Final = 4
"""Of orders and of fills, whatever else there is."""
_TEXTS: Final = {"symbol", "side", "algorithm", "state", "as"}


def picture(
    state: DemoState,
    *,
    title: str,
    processes: Sequence[tuple[str, str]],
    round_trips: int,
    todo: Sequence[str],
    height: int = SMALLEST,
) -> RenderableType:
    """Draw one frame of at most ``height`` lines, where that is no less than ``SMALLEST``.

    It fits 80 columns. What there is no room for is counted.
    """
    head = _head(state, title, processes, round_trips, todo)
    # A line stays free for the cursor below the frame; each table has a line of headings.
    room = max(height, SMALLEST) - 1 - _HEAD_LINES - 3
    books = min(len(state.books), max(room - _LEAST_ROWS * 2, 1))
    room -= max(books, 1)
    orders = min(max(len(state.working()), 1), room - _LEAST_ROWS)
    return Group(
        head, _books(state, books), _orders(state, orders), _fills(state, room - max(orders, 1))
    )


def _head(
    state: DemoState,
    title: str,
    processes: Sequence[tuple[str, str]],
    round_trips: int,
    todo: Sequence[str],
) -> RenderableType:
    line = Text(no_wrap=True, overflow="ellipsis")
    for name, status in processes:
        line.append(f"{name} ", style="bold")
        line.append(f"{status}  ", style="green" if status == "running" else "yellow")
    line.append(f"round trips {round_trips}", style="bold cyan")
    waiting = "; ".join(todo) if todo else "nothing more, winding down"
    coming = Text(f"to come: {waiting}", style="dim", no_wrap=True, overflow="ellipsis")
    return Panel(Group(line, _risk(state), coming), title=title)


def _risk(state: DemoState) -> Text:
    """Micro's state, and what is not as it should be."""
    beat = state.beat
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("risk ")
    line.append(beat.state if beat else "no heartbeat", style="green" if beat else "red")
    for scope, risk in sorted(state.risk.items()):
        if risk.state != "ACTIVE":
            line.append(f"; {scope} {risk.state}", style="red")
            line.append(f" {risk.code} {risk.reason}".rstrip())
    return line


def _table(*columns: str) -> Table:
    """Without lines between its rows, which would take half of a small terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_edge=False)
    for name in columns:
        first = name == columns[0]
        # Where there is no room the first column is cut, a name; numbers never are.
        table.add_column(
            name,
            justify="left" if first or name in _TEXTS else "right",
            no_wrap=not first,
            overflow="ellipsis",
        )
    return table


def _books(state: DemoState, rows: int) -> Table:
    table = _table("book", "bid", "ask", "spread bps", "imbalance", "age ms", "state")
    now = time.time_ns()
    for symbol, book in sorted(state.books.items())[:rows]:
        bids, asks = np.frombuffer(book.bids), np.frombuffer(book.asks)
        two_sided = len(bids) > 0 and len(asks) > 0
        table.add_row(
            symbol,
            f"{bids[0]:.10g}" if two_sided else "-",
            f"{asks[0]:.10g}" if two_sided else "-",
            f"{book.spread / asks[0] * 1e4:.2f}" if two_sided else "-",
            f"{book.imbalance:+.2f}",
            f"{min((now - book.recv_ns) / 1e6, 999_999):.0f}",
            Text(book.state, style=_STATE_STYLE[book.state]),
        )
    return table


def _orders(state: DemoState, rows: int) -> Table:
    table = _table("working", "symbol", "side", "algorithm", "filled/of", "reprices")
    working = state.working()
    shown = working if len(working) <= rows else working[-max(rows - 1, 0) :] if rows > 1 else []
    for report in shown:
        table.add_row(
            report.signal_id,
            report.symbol,
            Text(report.side, style=_SIDE_STYLE[report.side]),
            report.algo,
            f"{_number(report.filled)}/{_number(report.quantity)}",
            str(report.reprices),
        )
    if len(shown) < len(working):
        table.add_row(f"{len(working) - len(shown)}\N{NO-BREAK SPACE}more")
    return table


def _fills(state: DemoState, rows: int) -> Table:
    table = _table("filled", "side", "quantity", "price", "fee", "as")
    for report, fill in list(state.fills)[-rows:] if rows > 0 else []:
        table.add_row(
            report.symbol,
            Text(report.side, style=_SIDE_STYLE[report.side]),
            _number(fill.quantity),
            _number(fill.price),
            f"{Decimal(fill.fee):.6g} {fill.fee_currency}",
            fill.liquidity,
        )
    return table


def _number(text: str) -> str:
    """Exact, without trailing zeros."""
    value = Decimal(text)
    return f"{value.normalize():f}" if value else "0"
