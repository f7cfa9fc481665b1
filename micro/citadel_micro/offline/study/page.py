"""Results of a study on a page: plots and tables below a line, what is above it stays."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from citadel_micro.offline.study.tables import BASE, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.offline.study.tables import Line

RESULTS: Final = "<!-- below: written by citadel study --page -->"
_WIDTH, _LEFT, _ROW, _TOP = 760, 190, 22, 46
_COLOURS: Final = {"cross": "#b4432f", "join": "#8a6d1f", "chase": "#2f6db4", "auto": "#2b7a3d"}
_OTHER: Final = "#6b4fa0"


def write(page: Path, found: Sequence[Line], notes: Sequence[str]) -> list[Path]:
    """Write the page and a plot for each recording beside it. Returns all files written."""
    above = page.read_text().partition(RESULTS)[0] if page.exists() else "# Study of execution\n\n"
    parts = [above.rstrip(), "", RESULTS, "", *notes, ""]
    files = [page]
    both = [line for line in found if line.side == "both"]
    for name, group in groupby(both, lambda line: line.recording):
        lines = list(group)
        image = page.with_name(f"{page.stem}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}.svg")
        image.write_text(plot(name, lines))
        files.append(image)
        parts += [f"## {name}", "", f"![mean costs of {name}]({image.name})", ""]
        parts += [markdown(lines, sides=False)]
    page.write_text("\n".join(parts).rstrip() + "\n")
    return files


def plot(title: str, lines: Sequence[Line]) -> str:
    """Means with two errors to each side, a row for each size and plan, as SVG."""
    edges = [line.cost.mean + side * _reach(line) for line in lines for side in (-1, 1)]
    low, high = min(edges), max(edges)
    low, high = low - 0.05 * (high - low or 1), high + 0.05 * (high - low or 1)
    scale = (_WIDTH - _LEFT - 60) / (high - low)
    sizes = [(size, list(group)) for size, group in groupby(lines, lambda line: line.quantity)]
    height = _TOP + sum(_ROW * len(group) + 10 for _, group in sizes) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text { font: 12px sans-serif; }</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="20" font-weight="bold">{_text(title)}: cost in bps, mean and two errors</text>',
    ]
    for tick in _ticks(low, high):
        x = _LEFT + (tick - low) * scale
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 10}" y2="{height - 26}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle" fill="#555">{tick:g}</text>'
        )
    y = _TOP
    for size, group in sizes:
        parts.append(f'<text x="12" y="{y + 4}">{_text(size)}</text>')
        for line in sorted(group, key=_order):
            x = _LEFT + (line.cost.mean - low) * scale
            reach = _reach(line) * scale
            colour = _COLOURS.get(line.plan, _OTHER)
            parts.append(
                f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{_text(line.plan)}</text>'
                f'<line x1="{x - reach:.1f}" x2="{x + reach:.1f}" y1="{y}" y2="{y}" '
                f'stroke="{colour}" stroke-width="3"/>'
                f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{colour}"/>'
                f'<text x="{_WIDTH - 50}" y="{y + 4}" fill="#333">{line.cost.mean:.2f}</text>'
            )
            y += _ROW
        y += 10
    return "\n".join([*parts, "</svg>"]) + "\n"


def _order(line: Line) -> tuple[int, str]:
    known = [*BASE, "auto"]
    return (known.index(line.plan) if line.plan in known else len(known), line.plan)


def _reach(line: Line) -> float:
    return 2 * line.cost.error if line.cost.error < 1e6 else 0.0  # noqa: PLR2004 - of one order


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, four to nine of them."""
    step = 0.01
    for step in (each * 10**power for power in range(-2, 6) for each in (1, 2, 5)):
        if (high - low) / step <= 9:  # noqa: PLR2004 - as the docstring says
            break
    first = int(low // step) + 1
    return [round(number * step, 6) for number in range(first, int(high // step) + 1)]


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
