"""What ``citadel tca`` prints: three tables, all readable at 80 columns, or the same as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group as Stacked
from rich.table import Table

from citadel_micro.offline.tca.orders import HORIZONS_NS
from citadel_micro.offline.tca.rows import horizon_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import RenderableType

    Column = tuple[str, Callable[[Mapping[str, Any]], str]]


def _bps(name: str, *, signed: bool = False) -> Callable[[Mapping[str, Any]], str]:
    def cell(row: Mapping[str, Any]) -> str:
        value = row[name]
        return "-" if value is None else f"{value:{'+' if signed else ''}.2f}"

    return cell


def _part(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: "-" if row[name] is None else f"{row[name]:.0%}"


def _seconds(row: Mapping[str, Any]) -> str:
    value = row["seconds_to_last_fill"]
    return "-" if value is None else f"{value:.3g}"


def _not_said(row: Mapping[str, Any]) -> str:
    known = row["freqtrade_alone_compared"] + row["freqtrade_alone_gave_up"]
    return str(row["orders"] - known)


COSTS: tuple[Column, ...] = (
    ("orders", lambda row: str(row["orders"])),
    ("filled", _part("filled")),
    ("cost", _bps("cost_bps")),
    ("delay", _bps("delay_bps")),
    ("spread", _bps("spread_bps")),
    ("impact", _bps("impact_bps")),
    ("fees", _bps("fees_bps")),
    ("missed", _bps("opportunity_bps")),
)
HOW: tuple[Column, ...] = (
    ("maker", _part("maker")),
    *((horizon_name(each), _bps(f"markout_{horizon_name(each)}_bps")) for each in HORIZONS_NS),
    ("s", _seconds),
    ("cross", _bps("saved_against_crossing_bps", signed=True)),
    ("rest", _bps("saved_against_resting_bps", signed=True)),
)
ALONE: tuple[Column, ...] = (
    ("saved", _bps("saved_against_freqtrade_alone_bps", signed=True)),
    ("compared", lambda row: str(row["freqtrade_alone_compared"])),
    ("given up", lambda row: str(row["freqtrade_alone_gave_up"])),
    ("not said", _not_said),
)
COSTS_TITLE = "cost against the mid at arrival, in bps; positive is paid"
HOW_TITLE = "after fills: markouts in bps, seconds to the last; saved against cross, rest"
ALONE_TITLE = "saved against Freqtrade alone at its own pace, in bps; orders compared"

_TABLES: Final = ((COSTS, COSTS_TITLE), (HOW, HOW_TITLE), (ALONE, ALONE_TITLE))


def terminal(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> RenderableType:
    """All tables."""
    shown = [_table(rows, by, columns, title) for columns, title in _TABLES]
    return Stacked(*(part for table in shown for part in (table, "")))


def markdown(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> str:
    """All tables."""
    return "\n\n".join(_markdown(rows, by, columns, title) for columns, title in _TABLES)


def name_of(row: Mapping[str, Any], by: Sequence[str], *, several: bool) -> str:
    """What the orders of a row have in common."""
    parts = [str(row[each]) for each in by] or ["all"]
    return ", ".join([*parts, row["currency"]] if several else parts)


def _several(rows: Sequence[Mapping[str, Any]]) -> bool:
    return len({row["currency"] for row in rows}) > 1


def _table(
    rows: Sequence[Mapping[str, Any]], by: Sequence[str], columns: Sequence[Column], title: str
) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column(", ".join(by) or "orders of", overflow="fold")
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    several = _several(rows)
    for row in rows:
        table.add_row(name_of(row, by, several=several), *(cell(row) for _, cell in columns))
    return table


def _markdown(
    rows: Sequence[Mapping[str, Any]], by: Sequence[str], columns: Sequence[Column], title: str
) -> str:
    several = _several(rows)
    lines = [
        f"**{title}**",
        "",
        f"| {', '.join(by) or 'orders of'} | " + " | ".join(name for name, _ in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row in rows:
        cells = [name_of(row, by, several=several), *(cell(row) for _, cell in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
