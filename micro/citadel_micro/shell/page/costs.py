"""What execution cost, by pair and algorithm, over the orders that this run remembers.

Each order is counted once, when it has ended, a few at a time: a journal may bring thousands.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.orders.tca import shortfall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.shell.ops.health import Vitals

MOST_ORDERS: Final = 2_000
"""Ended orders taken over from before the first look, the newest."""
TURN: Final = 20
"""Orders counted in one turn: about a millisecond at a few fills each."""
MOST_FILLS: Final = 2_000
"""An order with more is not valued here: its cost takes as many exact fractions."""


@dataclass(slots=True)
class _Sum:
    orders: int = 0
    filled: int = 0
    """Orders that traded at all."""
    worth: float = 0.0
    """Worth of their targets at arrival, in quote units: the weight of a cost in basis points."""
    cost: float = 0.0
    traded: float = 0.0
    maker: float = 0.0
    reprices: int = 0
    seconds: float = 0.0


class Costs:
    """Sums by venue, symbol and algorithm."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._sums: dict[tuple[str, str, str], _Sum] = {}
        self._open: dict[str, Parent] = {}
        """Not counted yet: they have not ended, or their turn has not come."""
        self._new: deque[Parent] = deque()
        self._seen = -1
        """Highest number of a parent that was taken over."""

    def turn(self) -> bool:
        """Count what has ended since; returns whether a sum has changed."""
        self._take_over()
        changed = False
        for _ in range(min(TURN, len(self._new))):
            parent = self._new.popleft()
            if not parent.terminal:
                self._open[parent.id] = parent
            else:
                changed = self._count(parent) or changed
        ended = [parent for parent in self._open.values() if parent.terminal]
        for parent in ended[:TURN]:
            del self._open[parent.id]
            changed = self._count(parent) or changed
        return changed

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per venue, symbol and algorithm."""
        for (venue, symbol, algo), each in sorted(self._sums.items()):
            yield {
                "venue": venue,
                "symbol": symbol,
                "algo": algo,
                "orders": each.orders,
                "filled": each.filled,
                "worth": each.worth,
                "bps": each.cost / each.worth if each.worth else None,
                "maker": each.maker / each.traded if each.traded else None,
                "reprices": each.reprices / each.orders if each.orders else None,
                "seconds": each.seconds / each.filled if each.filled else None,
            }

    def _take_over(self) -> None:
        found: list[Parent] = []
        for parent in reversed(self._vitals.engine.order_store.known.values()):
            if parent.number <= self._seen or len(found) >= MOST_ORDERS:
                break
            found.append(parent)
        if found:
            self._seen = found[0].number
            self._new.extend(reversed(found))

    def _count(self, parent: Parent) -> bool:
        rules = parent.instrument
        if rules is None or not parent.placed:
            return False  # it was refused, or ended before anything was sent
        signal = parent.signal
        algo = signal.algo if parent.algo is None else parent.algo.name
        total = self._sums.setdefault((signal.venue, signal.symbol, algo), _Sum())
        total.orders += 1
        total.reprices += parent.reprices
        if not parent.filled:
            return True
        total.filled += 1
        total.seconds += (parent.done_ns - parent.created_ns) / 1e9
        total.traded += parent.filled
        total.maker += maker_lots(parent)
        cost = shortfall(parent) if parent.fills <= MOST_FILLS else None
        if cost is not None:
            each = float(rules.lot * rules.contract_size)
            price = (
                1.0 if rules.kind == "inverse" else parent.arrival_mid2_ticks * rules.tick_float / 2
            )
            worth = parent.target * each * price
            total.worth += worth
            total.cost += cost.total_bps * worth
        return True


def maker_lots(parent: Parent) -> int:
    """Lots of an order that were filled while it rested."""
    return sum(
        fill.quantity_lots
        for child in parent.with_fills
        for fill in child.fills
        if fill.liquidity == "maker"
    )
