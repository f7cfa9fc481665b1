"""One page that needs nothing else: the tables, and each order as a picture of its chase."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.offline.tca.rows import order_row
from citadel_micro.offline.tca.tables import COSTS, COSTS_TITLE, HOW, HOW_TITLE, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from citadel_micro.offline.tca.order_costs import OrderCosts
    from citadel_micro.offline.tca.orders import Order
    from citadel_micro.offline.tca.tables import Column

MOST_PICTURES: Final = 200
"""Orders that are drawn, the most expensive first; all are in the tables."""
WIDTH, HEIGHT, LEFT, ROUND = 1028, 190, 84, 14

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --faint: #667085; --line: #d5dae3; --back: #fff;
  --bid: #1a7f4b; --ask: #b3402f; --ours: #2458d3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8f0; --faint: #98a2b5; --line: #333c4d;
  --back: #12161e; --bid: #4cc38a; --ask: #f0806e; --ours: #7aa2ff; } }
body { background: var(--back); color: var(--ink); font: 14px/1.45 system-ui, sans-serif;
  margin: 0 auto; max-width: 1060px; padding: 24px 16px 64px; }
h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 15px; margin: 28px 0 8px; }
p { color: var(--faint); margin: 0 0 12px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
caption { color: var(--faint); padding-bottom: 6px; text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: 4px 8px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
th { font-weight: 600; }
figure { border-top: 1px solid var(--line); margin: 20px 0 0; padding-top: 12px; }
figcaption { margin-bottom: 6px; } figcaption small { color: var(--faint); display: block; }
svg { display: block; height: auto; max-width: 100%; }
svg text { fill: var(--faint); font-size: 11px; }
.bid { stroke: var(--bid); } .ask { stroke: var(--ask); } .ours { stroke: var(--ours); stroke-width: 2.5; }
.bid, .ask, .ours { fill: none; } .arrival { stroke: var(--faint); stroke-dasharray: 3 4; }
.maker { fill: var(--ours); } .taker { fill: var(--ask); }
"""


def page(rows: Sequence[dict[str, Any]], by: Sequence[str], costs: Sequence[OrderCosts]) -> str:
    """The page, as HTML."""
    drawn = sorted(
        (one for one in costs if one.parts is not None and one.order.points),
        key=lambda one: order_row(one)["cost_bps"],
        reverse=True,
    )[:MOST_PICTURES]
    left_out = sum(1 for one in costs if one.order.points) - len(drawn)
    said = f"{_orders(len(drawn))}, the most expensive first"
    if left_out:
        said += f"; {left_out} more are not drawn"
    said += (
        ". Lines: best bid and ask, and where our orders stood; dots: fills, round ones rested; "
        "dashed: the mid at arrival."
    )
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Transaction costs</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>Transaction costs</h1><p>{escape(_span(costs))}</p>",
        _table(rows, by, COSTS, COSTS_TITLE),
        _table(rows, by, HOW, HOW_TITLE),
        f"<h2>Orders</h2><p>{said}</p>",
        *(_figure(one) for one in drawn),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _span(costs: Sequence[OrderCosts]) -> str:
    if not costs:
        return "no orders"
    times = [one.order.arrived_ns for one in costs]
    return f"{_orders(len(costs))}, {_time(min(times))} to {_time(max(times))} UTC"


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count} orders"


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, tz=UTC):%Y-%m-%d %H:%M:%S}"


def _table(
    rows: Sequence[dict[str, Any]], by: Sequence[str], columns: Sequence[Column], title: str
) -> str:
    several = len({row["currency"] for row in rows}) > 1
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    lines = [
        f"<tr><td>{escape(name_of(row, by, several=several))}</td>"
        + "".join(f"<td>{escape(cell(row))}</td>" for _, cell in columns)
        + "</tr>"
        for row in rows
    ]
    return (
        f'<div class="wide"><table><caption>{escape(title)}</caption><thead><tr>'
        f"<th>{escape(', '.join(by) or 'orders of')}</th>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div><h2></h2>"
    )


def _figure(one: OrderCosts) -> str:
    row = order_row(one)
    title = f"{row['side']} {row['quantity']} {row['symbol']} by {row['algo'] or 'stop'}: {row['status']}"
    cost = f"{row['cost_bps']:.2f} bps"
    parts = ", ".join(
        f"{name} {row[f'{name}_bps']:.2f}"
        for name in ("delay", "spread", "impact", "fees", "opportunity")
    )
    other = ", ".join(
        f"{words} {row[f'{way}_bps']:.2f}"
        for way, words in (
            ("crossing", "crossing at arrival"),
            ("resting", "resting at arrival"),
            ("freqtrade_alone", "Freqtrade alone"),
        )
        if row[f"{way}_bps"] is not None
    )
    return (
        f"<figure><figcaption>{escape(title)}, {cost}"
        f"<small>{escape(row['order'])} {_time(one.order.arrived_ns)}: {escape(parts)}"
        f"{escape('; ' + other if other else '')}</small></figcaption>"
        f"{_picture(one.order, title)}</figure>"
    )


def _picture(order: Order, title: str) -> str:
    points = [each for each in order.points if each.bid]
    if not points:
        return "<p>no market to draw</p>"
    ends = [points[-1].at_ns, *(s.at_ns for s in order.standing), *(f.at_ns for f in order.fills)]
    first, last = points[0].at_ns, max(ends)
    ticks = [t for each in points for t in (each.bid, each.ask)]
    ticks += [each.ticks for each in order.standing if each.ticks]
    ticks += [fill.price_ticks for fill in order.fills]
    low, high = min(ticks), max(ticks)
    span_x, span_y = max(last - first, 1), max(high - low, 1)

    def x(at_ns: int) -> float:
        return round(
            LEFT + (min(max(at_ns, first), last) - first) / span_x * (WIDTH - LEFT - ROUND), 1
        )

    def y(tick: float) -> float:
        return round(ROUND + (high - tick) / span_y * (HEIGHT - 3 * ROUND), 1)

    def steps(line: Sequence[tuple[int, int]]) -> Iterator[str]:
        path = ""
        before = 0.0
        for at_ns, tick in line:
            if not tick:
                path += f"H{x(at_ns)}" if path and before else ""
                before = 0.0
                continue
            path += f"H{x(at_ns)}V{y(tick)}" if before else f"M{x(at_ns)} {y(tick)}"
            before = tick
        yield path + (f"H{x(last)}" if before else "")

    rules = order.instrument
    lines = [
        f'<path class="{name}" d="{path}"/>'
        for name, line in (
            ("bid", [(p.at_ns, p.bid) for p in order.points]),
            ("ask", [(p.at_ns, p.ask) for p in order.points]),
        )
        for path in steps(line)
    ]
    children: dict[str, list[tuple[int, int]]] = {}
    for stood in order.standing:
        children.setdefault(stood.child_id, []).append((stood.at_ns, stood.ticks))
    lines += [
        f'<path class="ours" d="{path}"/>' for each in children.values() for path in steps(each)
    ]
    arrival = order.arrival.mid2 if order.arrival is not None else None
    if arrival is not None:
        at = y(arrival / 2)
        lines.append(
            f'<line class="arrival" x1="{LEFT}" x2="{WIDTH - ROUND}" y1="{at}" y2="{at}"/>'
        )
    lines += [
        _dot(x(f.at_ns), y(f.price_ticks), rested=f.liquidity == "maker") for f in order.fills
    ]
    lines += [
        f'<text x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{rules.price(tick)}</text>'
        for tick in sorted({low, high})
    ]
    lines += [
        f'<text x="{LEFT}" y="{HEIGHT - 4}">0 s</text>',
        f'<text x="{WIDTH - ROUND}" y="{HEIGHT - 4}" text-anchor="end">{span_x / 1e9:.3g} s</text>',
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'aria-label="{escape(title)}">{"".join(lines)}</svg>'
    )


def _dot(x: float, y: float, *, rested: bool) -> str:
    if rested:
        return f'<circle class="maker" cx="{x}" cy="{y}" r="3.5"/>'
    return f'<path class="taker" d="M{x - 4} {y + 4}L{x} {y - 4}L{x + 4} {y + 4}Z"/>'
