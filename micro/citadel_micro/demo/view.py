"""The live picture of a demo run: processes, books, orders at work, fills, risk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.columns import Columns
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


def picture(
    state: DemoState, *, title: str, processes: Sequence[tuple[str, str]], round_trips: int
) -> RenderableType:
    """Draw one frame."""
    return Group(
        _head(state, title, processes, round_trips),
        Columns([_books(state), _risk(state)], expand=False),
        _orders(state),
        _fills(state),
    )


def _head(
    state: DemoState, title: str, processes: Sequence[tuple[str, str]], round_trips: int
) -> RenderableType:
    line = Text()
    for name, status in processes:
        line.append(f"{name} ", style="bold")
        line.append(f"{status}   ", style="green" if status == "running" else "yellow")
    line.append(f"round trips {round_trips}", style="bold cyan")
    todo = state.incidents.missing()
    waiting = "; ".join(todo) if todo else "nothing more, winding down"
    return Panel(Group(line, Text(f"still to come: {waiting}", style="dim")), title=title)


def _books(state: DemoState) -> Table:
    table = Table(title="books, as micro publishes them", title_justify="left")
    for name in ("symbol", "bid", "ask", "spread bps", "imbalance", "age ms", "state"):
        table.add_column(name, justify="left" if name in {"symbol", "state"} else "right")
    now = time.time_ns()
    for symbol, book in sorted(state.books.items()):
        bids, asks = np.frombuffer(book.bids), np.frombuffer(book.asks)
        two_sided = len(bids) > 0 and len(asks) > 0
        table.add_row(
            symbol,
            f"{bids[0]:.10g}" if two_sided else "-",
            f"{asks[0]:.10g}" if two_sided else "-",
            f"{book.spread / asks[0] * 1e4:.2f}" if two_sided else "-",
            f"{book.imbalance:+.2f}",
            f"{(now - book.recv_ns) / 1e6:.0f}",
            Text(book.state, style=_STATE_STYLE[book.state]),
        )
    return table


def _risk(state: DemoState) -> Table:
    table = Table(title="risk", title_justify="left")
    for name in ("scope", "state", "why"):
        table.add_column(name)
    beat = state.beat
    table.add_row("micro", beat.state if beat else "no heartbeat", "")
    for scope, risk in sorted(state.risk.items()):
        table.add_row(scope, risk.state, f"{risk.code} {risk.reason}".strip())
    return table


def _orders(state: DemoState) -> Table:
    table = Table(title="orders at work", title_justify="left")
    for name in ("order", "symbol", "side", "algorithm", "status", "filled", "of", "reprices"):
        table.add_column(name, justify="right" if name in {"filled", "of", "reprices"} else "left")
    for report in state.working():
        table.add_row(
            report.signal_id,
            report.symbol,
            Text(report.side, style=_SIDE_STYLE[report.side]),
            report.algo,
            report.status,
            report.filled,
            report.quantity,
            str(report.reprices),
        )
    return table


def _fills(state: DemoState) -> Table:
    table = Table(title="last fills", title_justify="left")
    for name in ("symbol", "side", "quantity", "price", "fee", "as"):
        table.add_column(name, justify="right" if name in {"quantity", "price", "fee"} else "left")
    for report, fill in list(state.fills):
        table.add_row(
            report.symbol,
            Text(report.side, style=_SIDE_STYLE[report.side]),
            fill.quantity,
            fill.price,
            f"{fill.fee} {fill.fee_currency}",
            fill.liquidity,
        )
    return table
