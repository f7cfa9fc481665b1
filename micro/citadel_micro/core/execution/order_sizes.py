"""Quantities of an order: to send, to display and to keep, within the algorithm's, budget and minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
