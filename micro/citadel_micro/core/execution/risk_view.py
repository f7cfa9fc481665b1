"""The engine's answers to the risk gate's questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.orders.exit_priority import claimed_lots
from citadel_micro.core.orders.order_states import ChildState
from citadel_micro.core.risk.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.marketdata.reference_books import ReferenceBooks
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.portfolio.portfolio import Portfolio

_UNKNOWN = (ChildState.UNKNOWN, ChildState.QUARANTINED)


class EngineRiskView:
    """Implements ``RiskView`` over instruments, portfolio and the lease. See that protocol."""

    def __init__(
        self, inst_states: Mapping[tuple[str, str], InstrumentState], portfolio: Portfolio
    ) -> None:
        self.portfolio = portfolio
        self.reconciling = True
        self.leases = Leases()
        self._inst_states = inst_states
        self.references: ReferenceBooks | None = None

    def reference_mid(self, venue: str, symbol: str, now_ns: int) -> float | None:
        """Consolidated mid of the other venues, where the gate asks for one."""
        references = self.references
        return None if references is None else references.for_gate(venue, symbol, now_ns)

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        """Trading rules, or None."""
        inst = self._inst_states.get((venue, symbol))
        return None if inst is None else inst.instrument

    def market(self, venue: str, symbol: str) -> MarketBook | None:
        """The venue's own book, or None."""
        inst = self._inst_states.get((venue, symbol))
        return None if inst is None else inst.market

    def pending_lots(self, venue: str, symbol: str, side: Side, exclude_parent: str) -> int:
        """Lots that the parents of a side may still fill, but for one of them."""
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return 0
        return sum(
            parent.pending
            for parent in inst.parents
            if parent.signal.side == side and parent.id != exclude_parent
        )

    def claimed_lots(self, venue: str, symbol: str, side: Side, parent_id: str) -> int:
        """Lots of a position that others of a side have, of which this parent can take none.

        Of those that come before it (``Parent.precedes``) what they claim, of the others only what
        they have out. So two that wait never wait for each other.
        """
        inst = self._inst_states.get((venue, symbol))
        return 0 if inst is None else claimed_lots(inst, side, parent_id)

    def open_parents(self, venue: str | None) -> int:
        """Parents with something pending."""
        return sum(
            1
            for key, inst in self._inst_states.items()
            if venue is None or key[0] == venue
            for parent in inst.parents
            if parent.pending
        )

    def own_best(self, venue: str, symbol: str, side: Side) -> int | None:
        """Most aggressive price of our own orders of a side at the venue; None when there is none.

        One in doubt is left out: nothing can be done about it before its venue has answered, and
        an exit must not wait for that.
        """
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return None
        sign = 1 if side == "buy" else -1
        best = max(
            (
                sign * price
                for parent in inst.parents
                if parent.signal.side == side
                for child in parent.live
                if child.state not in _UNKNOWN
                for price in (child.price_ticks, child.amend_price_ticks)
                if price
            ),
            default=None,
        )
        return None if best is None else sign * best

    def held_orders(self) -> int:
        """Stops that wait for their trigger."""
        return sum(len(inst.held.waiting) for inst in self._inst_states.values())

    def held_lots(self, venue: str, symbol: str, side: Side) -> int:
        """What they would fill on one side of a symbol."""
        inst = self._inst_states.get((venue, symbol))
        return 0 if inst is None else inst.held.lots[side]

    def lease_age_ns(self, now_ns: int) -> int | None:
        """Time since the last beat of any macro; None when none was ever heard."""
        heard_ns = self.leases.last_beat_ns
        return None if heard_ns is None else now_ns - heard_ns

    def owner_age_ns(self, owner: str, epoch: int, now_ns: int) -> int | None:
        """Time since the owner of an order was heard; None when he never was."""
        return self.leases.age_ns(owner, epoch, now_ns)

    def owner_skew_ns(self, owner: str, epoch: int) -> int:
        """The owner's wall clock minus ours; 0 when he was never heard."""
        return self.leases.skew_ns(owner, epoch)

    def unknown_children(self, venue: str, symbol: str) -> int:
        """Children of which nobody knows whether the venue has them."""
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return 0
        return sum(1 for parent in inst.parents for child in parent.live if child.state in _UNKNOWN)

    def in_doubt(self, venue: str) -> int:
        """The same of a whole venue."""
        return sum(self.unknown_children(*key) for key in self._inst_states if key[0] == venue)

    def active_symbols(self) -> Sequence[tuple[str, str, Mapping[Side, int]]]:
        """Pending lots by side of every symbol that has any."""
        rows: list[tuple[str, str, Mapping[Side, int]]] = []
        for (venue, symbol), inst in self._inst_states.items():
            lots: dict[Side, int] = {"buy": 0, "sell": 0}
            for parent in inst.parents:
                lots[parent.signal.side] += parent.pending
            if lots["buy"] or lots["sell"]:
                rows.append((venue, symbol, lots))
        return rows
