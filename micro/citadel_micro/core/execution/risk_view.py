"""The state of the engine, as the risk gate reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

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
    from citadel_micro.core.orders.open_orders import OpenOrders
    from citadel_micro.core.portfolio.portfolio import Portfolio
    from citadel_micro.core.risk.types import Standing

_UNKNOWN = (ChildState.UNKNOWN, ChildState.QUARANTINED)


class _Elsewhere(NamedTuple):
    """What is open on the instruments but one, since so many changes of theirs."""

    changes: int
    parents: int
    rows: list[tuple[Instrument, int, int]]


class EngineRiskView:
    """Implements ``RiskView`` over instruments, portfolio and the lease. See that protocol."""

    def __init__(
        self,
        inst_states: Mapping[tuple[str, str], InstrumentState],
        portfolio: Portfolio,
        open_orders: OpenOrders[InstrumentState],
    ) -> None:
        self.portfolio = portfolio
        self.reconciling = True
        self.leases = Leases()
        self._inst_states = inst_states
        self._open = open_orders
        self._elsewhere: dict[tuple[str, str], _Elsewhere] = {}
        self.references: ReferenceBooks | None = None

    def reference_mid(self, venue: str, symbol: str, now_ns: int) -> float | None:
        """Consolidated mid of the other venues, where the gate needs one."""
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
        """Lots that the parents of a side may still fill, except one of them."""
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return 0
        lots = 0
        for parent in inst.parents:
            signal = parent.signal
            if signal.side == side and signal.signal_id != exclude_parent:
                lots += parent.pending
        return lots

    def pending_of(
        self, kind: Literal["strategy", "owner"], name: str, exclude_parent: str
    ) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Lots that the buys and the sells of one strategy or owner may still fill."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for key, inst in self._inst_states.items():
            lots = [0, 0]
            for parent in inst.parents:
                signal = parent.signal
                whose = signal.strategy if kind == "strategy" else signal.owner
                if whose == name and parent.id != exclude_parent:
                    lots[signal.side == "sell"] += parent.pending
            if any(lots):
                found[key] = (lots[0], lots[1])
        return found

    def claimed_lots(self, venue: str, symbol: str, side: Side, parent_id: str) -> int:
        """Lots of a position that others of a side have, and that are not free for this parent.

        Of those with priority (``Parent.precedes``) what they claim, of the others only their live
        orders. So two that wait never wait for each other.
        """
        inst = self._inst_states.get((venue, symbol))
        return 0 if inst is None else claimed_lots(inst, side, parent_id)

    def open_parents(self, venue: str | None) -> int:
        """Parents with something pending."""
        count = 0
        for key, inst in self._inst_states.items():
            if inst.parents and (venue is None or key[0] == venue):
                for parent in inst.parents:
                    if parent.pending:
                        count += 1
        return count

    def own_best(self, venue: str, symbol: str, side: Side) -> int | None:
        """Most aggressive price of our own orders of a side at the venue; None when there is none.

        An unknown one is left out: nothing can be done about it before its venue has answered, and
        an exit must not wait for that.
        """
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return None
        prices = [
            price
            for parent in inst.parents
            if parent.signal.side == side
            for child in parent.live
            if child.state not in _UNKNOWN
            for price in (child.price_ticks, child.amend_price_ticks)
            if price
        ]
        if not prices:
            return None
        return max(prices) if side == "buy" else min(prices)

    def held_orders(self) -> int:
        """Stops waiting for their trigger."""
        return sum(len(inst.held.waiting) for inst in self._inst_states.values())

    def held_lots(self, venue: str, symbol: str, side: Side) -> int:
        """Their quantity on one side of a symbol."""
        inst = self._inst_states.get((venue, symbol))
        return 0 if inst is None else inst.held.lots[side]

    def lease_age_ns(self, now_ns: int) -> int | None:
        """Time since the last heartbeat of any macro; None when there was none."""
        beat_ns = self.leases.last_beat_ns
        return None if beat_ns is None else now_ns - beat_ns

    def owner_age_ns(self, owner: str, epoch: int, now_ns: int) -> int | None:
        """Time since the last heartbeat of an order's owner; None when there was none."""
        return self.leases.age_ns(owner, epoch, now_ns)

    def owner_skew_ns(self, owner: str, epoch: int) -> int:
        """The owner's wall clock minus ours; 0 without a heartbeat."""
        return self.leases.skew_ns(owner, epoch)

    def unknown_children(self, venue: str, symbol: str) -> int:
        """Unknown children: the venue may or may not have them."""
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return 0
        count = 0
        for parent in inst.parents:
            for child in parent.live:
                if child.state in _UNKNOWN:
                    count += 1
        return count

    def in_doubt(self, venue: str) -> int:
        """The same of a whole venue."""
        return sum(self.unknown_children(*key) for key in self._inst_states if key[0] == venue)

    def standing(self, venue: str, symbol: str, side: Side, parent_id: str) -> Standing | None:
        """All that ``PlainOrders`` needs of our orders, with one pass over those of the instrument.

        Those of the others are counted again once something of these has changed.
        """
        inst = self._inst_states.get((venue, symbol))
        if inst is None:
            return None
        same = other = own = 0
        for parent in inst.parents:
            for child in parent.live:
                if child.state in _UNKNOWN:
                    return None
            signal = parent.signal
            if signal.side == side:
                if signal.signal_id != parent_id:
                    same += parent.pending
                continue
            other += parent.pending
            for child in parent.live:
                for price in (child.price_ticks, child.amend_price_ticks):
                    if price and (not own or (price < own if side == "buy" else price > own)):
                        own = price
        changes = self._open.changes - inst.pending_changes.count
        elsewhere = self._elsewhere.get(inst.key)
        if elsewhere is None or elsewhere.changes != changes:
            elsewhere = self._elsewhere[inst.key] = self._count_elsewhere(inst, changes)
        return same, other, own, elsewhere.parents + len(inst.parents), elsewhere.rows

    def _count_elsewhere(self, inst: InstrumentState, changes: int) -> _Elsewhere:
        count = 0
        rows: list[tuple[Instrument, int, int]] = []
        for one in self._open.busy.values():
            if one is not inst:
                count += len(one.parents)
                kept = one.pending_changes
                if kept.counted != kept.count:
                    kept.buys, kept.sells = _pending(one)
                    kept.counted = kept.count
                if kept.buys or kept.sells:
                    rows.append((one.instrument, kept.buys, kept.sells))
        return _Elsewhere(changes, count, rows)

    def active_symbols(self) -> Sequence[tuple[str, str, Mapping[Side, int]]]:
        """Pending lots by side of every symbol that has any."""
        rows: list[tuple[str, str, Mapping[Side, int]]] = []
        for (venue, symbol), inst in self._inst_states.items():
            if not inst.parents:
                continue
            buys, sells = _pending(inst)
            if buys or sells:
                rows.append((venue, symbol, {"buy": buys, "sell": sells}))
        return rows


def _pending(inst: InstrumentState) -> tuple[int, int]:
    """Lots that the buys and the sells of an instrument may still fill."""
    buys = sells = 0
    for parent in inst.parents:
        if parent.signal.side == "buy":
            buys += parent.pending
        else:
            sells += parent.pending
    return buys, sells
