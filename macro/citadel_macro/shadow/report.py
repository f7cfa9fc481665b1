"""``citadel shadow report``: a comparison for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from citadel_macro.shadow.compare import FEW

if TYPE_CHECKING:
    from rich.console import RenderableType

    from citadel_macro.shadow.compare import Comparison, Group

LEGEND: Final = (
    "Basis points of the order's worth at micro's mid when it arrived, fees included; lower is better. "
    "The difference is Freqtrade less micro, with its 95 % interval: above 0, micro paid less. From fewer "
    f"than {FEW} orders nothing is concluded."
)
_MONEY: Final = "Freqtrade's side traded at its exchange. "
_DRY: Final = "Freqtrade's side is its own dry run, a simulation too. "
CAVEAT: Final = (
    "Micro's side is a simulation on paper: turns in the queue are estimated, and its orders move no "
    "market. Only orders that both sides filled whole compare; look at the fill shares beside them, since an "
    "order left unfilled costs as well. Orders close in time share a market, so the interval is rather too "
    "narrow than too wide."
)
_STYLE: Final = {"micro paid less": "green", "micro paid more": "red"}
_NONE: Final = "-"


def caveat(found: Comparison) -> str:
    """What the numbers are worth, in words."""
    return (_DRY if found.dry_run else _MONEY) + CAVEAT


def headline(found: Comparison) -> str:
    """How much was compared, of what, from when to when."""
    if not found.orders:
        return "Shadow: no order yet."
    first, last = (_day(each) for each in (found.first_ns, found.last_ns))
    return f"Shadow: {len(found.compared)} of {found.orders} orders compare, {first} to {last} UTC."


def picture(found: Comparison) -> RenderableType:
    """For a terminal of 80 columns or more."""
    parts: list[RenderableType] = [Text(headline(found), style="bold")]
    if found.groups:
        parts += [Text(LEGEND, style="dim"), _costs(found), _fills(found)]
    if found.apart:
        table = _table("not compared", ("orders", "right"), ("why", "left"))
        for reason, count in found.apart:
            table.add_row(str(count), reason)
        parts.append(table)
    if found.orders:
        parts.append(Text(caveat(found), style="dim"))
    return Lines(*parts)


def _costs(found: Comparison) -> Table:
    table = _table(
        "cost, bps",
        ("pair", "left"),
        ("side", "left"),
        ("n", "right"),
        ("Freqtrade", "right"),
        ("micro", "right"),
        ("difference", "right"),
        ("", "left"),
    )
    for group in found.groups:
        cells = (*_name(group), str(group.compared), *_bps(group))
        table.add_row(*cells, Text(group.verdict, style=_STYLE.get(group.verdict, "yellow")))
    return table


def _fills(found: Comparison) -> Table:
    table = _table(
        "fills",
        ("pair", "left"),
        ("side", "left"),
        ("orders", "right"),
        ("Freqtrade", "right"),
        ("micro", "right"),
        ("Freqtrade s", "right"),
        ("micro s", "right"),
        ("maker", "right"),
    )
    for group in found.groups:
        table.add_row(*_name(group), str(group.orders), *_shares(group))
    return table


def markdown(found: Comparison) -> str:
    """For an issue, a chat, a page."""
    lines = [f"**{headline(found)}**", ""]
    if found.groups:
        lines += [
            LEGEND,
            "",
            "| pair | side | n | Freqtrade bps | micro bps | difference | |",
            "| --- | --- | ---: | ---: | ---: | ---: | --- |",
        ]
        for group in found.groups:
            lines.append(_line(*_name(group), str(group.compared), *_bps(group), group.verdict))
        lines += [
            "",
            "| pair | side | orders | Freqtrade filled | micro filled | Freqtrade s | micro s | micro maker |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for group in found.groups:
            lines.append(_line(*_name(group), str(group.orders), *_shares(group)))
        lines.append("")
    if found.apart:
        lines += ["| not compared | orders |", "| --- | ---: |"]
        lines += [_line(reason, str(count)) for reason, count in found.apart]
        lines.append("")
    if found.orders:
        lines.append(caveat(found))
    return "\n".join(lines) + "\n"


def as_json(found: Comparison) -> dict[str, Any]:
    """Everything, with the facts of every order that compares."""
    return {
        "orders": found.orders,
        "dry_run": found.dry_run,
        "first_ns": found.first_ns,
        "last_ns": found.last_ns,
        "groups": [dataclasses.asdict(group) for group in found.groups],
        "not_compared": dict(found.apart),
        "compared": [
            {
                **dataclasses.asdict(each.row),
                "freqtrade_bps": each.freqtrade_bps,
                "micro_bps": each.micro_bps,
                "saved_bps": each.saved_bps,
            }
            for each in found.compared
        ],
    }


def _table(title: str, *columns: tuple[str, Any]) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), show_edge=False
    )
    for name, justify in columns:
        folded = name in {"pair", "why", ""}
        table.add_column(name, justify=justify, no_wrap=not folded, overflow="fold")
    return table


def _name(group: Group) -> tuple[str, str]:
    return group.pair, group.side


def _bps(group: Group) -> tuple[str, str, str]:
    difference = _NONE if group.saved_bps is None else f"{group.saved_bps:+.2f}"
    if group.interval_bps is not None:
        difference += f" ± {group.interval_bps:.2f}"
    return _number(group.freqtrade_bps), _number(group.micro_bps), difference


def _shares(group: Group) -> tuple[str, str, str, str, str]:
    return (
        _percent(group.freqtrade_filled),
        _percent(group.micro_filled),
        _number(group.freqtrade_s),
        _number(group.micro_s),
        _percent(group.maker_share),
    )


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0%}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _day(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M}"
