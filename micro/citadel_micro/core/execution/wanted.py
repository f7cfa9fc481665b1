"""Matching live orders with wanted ones: which stand for which, and which are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.execution.order_sizes import open_lots
from citadel_micro.core.orders.order_states import ChildState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.algos.base import Work
    from citadel_micro.core.orders.children import Child

_SURE: Final = (ChildState.PLACING, ChildState.WORKING, ChildState.AMENDING)


def pair(
    live: Sequence[Child], wanted: Sequence[Work]
) -> tuple[list[tuple[Child, Work | None]], list[Work]]:
    """Every live order with the wanted one that it stands for (None: for none), and the missing ones.

    First those at a wanted price, then any other, and of both those with a certain state first: one
    that is being canceled, or unknown, is used only where more are wanted than are certain. So
    nothing is placed beside an order that may still be the one it was to replace.
    """
    if len(live) == 1 and len(wanted) == 1:
        return [(live[0], wanted[0])], []
    missing = list(wanted)
    found: dict[int, Work] = {}
    turns = sorted(range(len(live)), key=lambda each: live[each].state not in _SURE)
    for turn in turns:
        at = next((n for n, work in enumerate(missing) if stands(live[turn], work)), None)
        if at is not None:
            found[turn] = missing.pop(at)
    for turn in turns:
        if turn not in found and missing:
            found[turn] = missing.pop(0 if live[turn].state in _SURE else -1)
    return [(child, found.get(number)) for number, child in enumerate(live)], missing


def stands(child: Child, work: Work) -> bool:
    """Whether an order is at that price, or being amended to it; an immediate one always is."""
    if child.ioc or work.ioc:
        return child.ioc and work.ioc
    return work.price_ticks == (child.amend_price_ticks or child.price_ticks)


def as_wanted(live: Sequence[Child], wanted: Sequence[Work]) -> bool:
    """Whether exactly these are live, so that nothing is to be done."""
    if len(live) != len(wanted):
        return False
    pairs, _ = pair(live, wanted)
    return all(
        work is not None and stands(child, work) and open_lots(child, work, 1) >= child.reserved
        for child, work in pairs
    )
