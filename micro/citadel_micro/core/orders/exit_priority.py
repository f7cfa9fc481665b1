"""Priority of exits: which order comes first where several reduce one position.

A flattening has priority over a triggered stop, and a triggered stop over every other order of its
side. An order with priority cancels those that hold quantity it needs, and sends at once what is free;
the lots of a canceled order are free when its cancel is confirmed, never before. An exit also cancels
our own orders of the other side that it would trade with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


def claimed_lots(inst: InstrumentState, side: Side, parent_id: str) -> int:
    """See ``EngineRiskView.claimed_lots``. All precede a parent that is not on the instrument yet."""
    me = None
    for parent in inst.parents:
        if parent.id == parent_id:
            me = parent
            break
    return sum(
        parent.claims if me is None or parent.precedes(me) else parent.out
        for parent in inst.parents
        if parent is not me and parent.signal.side == side
    )


def in_the_way(parent: Parent, inst: InstrumentState, position_lots: int) -> list[Parent]:
    """Orders to cancel so that this one gets its part of the position.

    Those of lower rank and the same side, whether or not they are reduce-only: on this side all of
    them reduce the position. No more than needed; those of the same strategy first, then the
    newest. Nothing when the rest is free, or will be freed by pending cancels.
    """
    lower: list[Parent] = []
    free = position_lots
    first = coming = 0
    for other in inst.parents:
        if other is parent or other.signal.side != parent.signal.side:
            continue
        if other.precedes(parent):
            first += other.claims
            continue
        free -= other.out
        if other.rank < parent.rank:
            if other.terminal or other.verdict is not None:
                coming += other.out
            elif other.out:
                lower.append(other)
    missing = min(parent.available, position_lots - first) - (free - first) - coming
    if missing <= 0:
        return []
    mine = (parent.signal.owner, parent.signal.strategy)
    lower.sort(
        key=lambda each: ((each.signal.owner, each.signal.strategy) != mine, -each.number),
    )
    chosen: list[Parent] = []
    for other in lower:
        if missing <= 0:
            break
        chosen.append(other)
        missing -= other.out
    return chosen


def crossed_by(parent: Parent, inst: InstrumentState, price_ticks: int) -> list[Parent]:
    """Our own orders of the other side that an order at this price could trade with."""
    sign = parent.sign
    return [
        other
        for other in inst.parents
        if other.signal.side != parent.signal.side
        and any(
            sign * price <= sign * price_ticks
            for child in other.live
            for price in (child.price_ticks, child.amend_price_ticks)
            if price
        )
    ]
