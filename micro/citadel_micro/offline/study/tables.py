"""Results of a study as tables: one line per recording, size, side and plan."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from citadel_micro.offline.study.parents import MARKOUTS_NS
from citadel_micro.offline.study.stats import Mean, newey_west, paired, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from citadel_micro.offline.study.parents import Row

BASE: Final[tuple[str, ...]] = ("cross", "join", "chase")
"""Plans that others are compared with, where they take part."""


class Line(NamedTuple):
    """One cell of a study. Costs in bps; ``markouts`` as ``MARKOUTS_NS``."""

    recording: str
    side: str
    quantity: str
    plan: str
    parents: int
    cost: Mean
    p95: float
    over_best: Mean | None
    """Against the best baseline of the cell: positive costs more. None for that one itself."""
    best: str
    filled: float
    maker: float
    seconds: float
    reprices: float
    markouts: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        over = self.over_best
        return {
            **{
                name: getattr(self, name)
                for name in ("recording", "side", "quantity", "plan", "parents")
            },
            "cost_bps": self.cost.mean,
            "cost_error_bps": self.cost.error if math.isfinite(self.cost.error) else None,
            "cost_p95_bps": self.p95,
            "best_baseline": self.best,
            "over_best_bps": None if over is None else over.mean,
            "over_best_t": None if over is None else over.t,
            "filled": self.filled,
            "maker": self.maker,
            "seconds": self.seconds,
            "reprices": self.reprices,
            "markouts_bps": [None if math.isnan(each) else each for each in self.markouts],
        }


def lines(recording: str, rows: Iterable[Row], lags: int) -> list[Line]:
    """One line per side, size and plan, and one of both sides together.

    Both sides of a start together cancel the market's drift: a buyer gains what a seller loses.
    """
    cells: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if math.isnan(row.cost_bps):
            continue  # rejected: it was never an order
        cells[row.quantity, row.side][row.plan].append(row)
        cells[row.quantity, "both"][row.plan].append(row)
    found: list[Line] = []
    for (quantity, side), plans in cells.items():
        costs = {plan: _by_start(each) for plan, each in plans.items()}
        means = {plan: newey_west(list(cost.values()), lags) for plan, cost in costs.items()}
        base = [plan for plan in BASE if plan in means] or list(means)
        best = min(base, key=lambda plan: means[plan].mean)
        for plan, each in plans.items():
            over = None if plan == best else paired(costs[plan], costs[best], lags)
            markouts = tuple(
                _mean(row.markouts[k] for row in each) for k in range(len(MARKOUTS_NS))
            )
            found.append(
                Line(
                    recording=recording,
                    side=side,
                    quantity=quantity,
                    plan=plan,
                    parents=len(each),
                    cost=means[plan],
                    p95=quantile([row.cost_bps for row in each], 0.95),
                    over_best=over,
                    best=best,
                    filled=_mean(row.filled for row in each),
                    maker=_mean(row.maker for row in each),
                    seconds=_mean(row.seconds for row in each),
                    reprices=_mean(row.reprices for row in each),
                    markouts=markouts,
                )
            )
    return found


def _by_start(rows: Sequence[Row]) -> dict[int, float]:
    """Mean cost of the orders of each start, in the order of time."""
    found: dict[int, list[float]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.start):
        found[row.start].append(row.cost_bps)
    return {start: math.fsum(costs) / len(costs) for start, costs in found.items()}


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def markdown(found: Sequence[Line], *, sides: bool) -> str:
    """A table of all lines: those of both sides together, or each side by itself."""
    head = (
        "recording, order",
        *(("side",) if sides else ()),
        *("plan", "parents", "mean", "± error", "p95", "over the best (t)"),
        *("filled", "maker", "s", "reprices", "markouts 0.1, 1, 5, 30 s"),
    )
    text = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    for line in found:
        if (line.side == "both") == sides:
            continue
        over = line.over_best
        cells = (
            f"{line.recording} {line.quantity}",
            *((line.side,) if sides else ()),
            line.plan if over is not None else f"**{line.plan}**",
            str(line.parents),
            f"{line.cost.mean:.2f}",
            f"{line.cost.error:.2f}",
            f"{line.p95:.2f}",
            f"best of {', '.join(BASE)}" if over is None else f"{over.mean:+.2f} ({over.t:+.1f})",
            f"{line.filled:.0%}",
            f"{line.maker:.0%}",
            f"{line.seconds:.1f}",
            f"{line.reprices:.1f}",
            ", ".join("-" if math.isnan(each) else f"{each:+.2f}" for each in line.markouts),
        )
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"
