"""Quantities of an order: to send, to display and to keep, within the algorithm's, budget and minimum."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from citadel_micro.core.risk.exact import exact

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Work
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


def wanted_lots(parent: Parent, work: Work, smallest: int) -> int:
    """The algorithm's quantity, within the budget."""
    if work.quantity_lots is None:
        return parent.available
    return min(parent.available, max(work.quantity_lots, smallest))


def displayed_lots(inst: InstrumentState, work: Work, lots: int) -> int | None:
    """Displayed quantity: the venue's minimum at least, None for the whole."""
    if work.displayed_lots is None or work.ioc or not inst.venue.displays_part:
        return None
    shown = max(work.displayed_lots, inst.instrument.min_lots_at(work.price_ticks))
    return shown if shown < lots else None


def clip(permitted: int, available: int, smallest: int) -> int:
    """Largest quantity up to ``permitted`` that leaves no rest, or a placeable one."""
    if permitted < smallest:
        return 0
    rest = available - permitted
    if 0 < rest < smallest:
        permitted = available - smallest
    return permitted if permitted >= smallest else 0


def open_lots(child: Child, work: Work, smallest: int) -> int:
    """Lots of it that stay open: all, or the algorithm's quantity where that is less."""
    rest = child.quantity_lots - child.filled
    return rest if work.quantity_lots is None else min(rest, max(work.quantity_lots, smallest))


def worst_within(bps: float, sign: int, mid2_ticks: int) -> int:
    """The furthest price times the side's sign within so many basis points of the mid, in ticks.

    Exactly, by the decimal that the limit was written as, and rounded to the safe side. In whole
    numbers: with fractions it would be a twelfth of all calls on the way of an order that leaves.

    Args:
        bps: of the mid.
        sign: 1 for a buy, -1 for a sell.
        mid2_ticks: twice the mid.
    """
    above, below = _ratio(bps)
    return mid2_ticks * (sign * 10_000 * below + above) // (20_000 * below)


@lru_cache(maxsize=64)
def _ratio(bps: float) -> tuple[int, int]:
    return exact(bps).as_integer_ratio()
