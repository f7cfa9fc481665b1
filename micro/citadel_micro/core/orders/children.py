"""One order at a venue: its reserved and filled quantity, and its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from citadel_micro.core.model.commands import FillView
from citadel_micro.core.model.exact_fill import ExactFill
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.open_orders import NOWHERE, PendingChanges
from citadel_micro.core.orders.order_states import (
    CHILD_TABLE,
    CHILD_TERMINAL,
    ChildEvent,
    ChildState,
    ParentState,
    after,
    doing,
)

if TYPE_CHECKING:
    from citadel_micro.core.model.events import OrderFilled

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFill:
    """One fill of one child, with the market it happened in."""

    trade_id: str
    price_ticks: int
    quantity_lots: int
    fee: Decimal
    fee_currency: str
    liquidity: Literal["maker", "taker"]
    exchange_ns: int
    recv_ns: int
    mid_half_ticks: int
    """Best bid + best ask in ticks when its report came; 0 when there was no two-sided book."""
    exact: ExactFill | None = None
    """Where it was between two of our ticks or lots. ``quantity_lots`` are then those that it has completed,
    with what was left of the fills before."""
    rest: Decimal = _ZERO
    """What is left then beyond whole lots, in the venue's units."""


# Neither orders nor parents are values: two with equal fields are still two. So a list is searched
# for one of them by identity, without comparing every field.
@dataclass(slots=True, kw_only=True, eq=False)
class Child:
    """One order at a venue."""

    client_id: str
    price_ticks: int
    quantity_lots: int
    post_only: bool
    ioc: bool
    reduce_only: bool
    placed_ns: int
    expires_ns: int
    """The venue may not accept the request after this."""
    book_seq: int
    mid_half_ticks: int
    state: ChildState = ChildState.PLACING
    seen_lots: int = 0
    """Sum of unique fills."""
    rest: Decimal = _ZERO
    """What has filled beyond these, less than a lot, in the venue's units."""
    cumulative_lots: int = 0
    """Highest total that the venue has reported."""
    fills: list[ChildFill] = field(default_factory=list)
    trade_ids: dict[str, None] = field(default_factory=dict)
    acknowledged: bool = False
    venue_order_id: str = ""
    accepted_ns: int = 0
    capped: bool = False
    changed_ns: int = 0
    """Time of the last place or amend, for the dwell."""
    done_ns: int = 0
    reason: str = ""
    # an amend in flight
    amend_price_ticks: int = 0
    amend_quantity_lots: int = 0
    amend_expires_ns: int = 0
    amended_exchange_ns: int = 0
    amends_until_ns: int = 0
    """Until then the venue may execute an amend that was reported rejected, or that another has followed:
    one answer says nothing about other requests. Not stored (``core.engine.reconciliation``)."""
    amends_unreported: bool = False
    """The answer to a query has ended an amend, whose own report may still come. Not stored."""
    amend_refused: bool = False
    """The venue has rejected amending it: it is replaced instead. Not stored: after a restart it is tried once more."""
    # requests and queries; engine times, not stored
    cancel_after_ns: int = 0
    """No cancel before this, because the venue has just rejected one."""
    cancels_refused: int = 0
    repriced: bool = False
    """It may have had another price than now: an amend was sent, or it is of an earlier run."""
    answer_due_ns: int = FAR
    """An unanswered request makes it unknown at this time."""
    query_due_ns: int = FAR
    queries: int = 0
    unknown_since_ns: int = 0
    absent_order: bool = False
    absent_trades: bool = False
    number: int = 0
    """Its number among its parent's, from 1: the last part of its id, and not stored beside it."""
    counted: tuple[int, int, int] = (0, 0, 0)
    """What its parent has counted of it: lots filled, lots reported, number of fills."""
    stored_fills: int = 0
    """Number of ``fills`` that are durable."""
    views: list[FillView] = field(default_factory=list)
    """The first of ``fills`` as they are reported; a fill never changes."""
    pending_changes: PendingChanges = NOWHERE
    """Of its instrument: whatever changes ``reserved`` or ``filled`` notes it there, so only methods here do."""

    @property
    def terminal(self) -> bool:
        """Confirmed closed."""
        return self.state in CHILD_TERMINAL

    @property
    def doing(self) -> ParentState:
        """The parent state that corresponds to it, while it is live.

        One that was unknown until now does not count as closed at once.
        """
        immediate = self.ioc and not self.unknown_since_ns
        return doing(self.state, immediate=immediate, capped=self.capped and not immediate)

    @property
    def filled(self) -> int:
        """Lots filled, whether or not every single fill has been reported."""
        return max(self.seen_lots, self.cumulative_lots)

    @property
    def reserved(self) -> int:
        """Lots that it may still fill."""
        if self.state in CHILD_TERMINAL:
            return 0
        most, amended = self.quantity_lots, self.amend_quantity_lots
        seen, told = self.seen_lots, self.cumulative_lots
        return max(0, max(most, amended) - max(told, seen))

    @property
    def worst_ticks(self) -> int:
        """The higher of its price and the price of an amend in flight."""
        return max(self.price_ticks, self.amend_price_ticks)

    def may_be_cut(self, at_ns: int, late_ns: int) -> bool:
        """Whether no amend is in flight: one that came after the reduction would undo it.

        Its lots would be given to another order meanwhile. ``late_ns``: how long after its expiry one
        may still be executed.
        """
        return not self.amend_quantity_lots and at_ns > self.amends_until_ns + late_ns

    @property
    def fills_complete(self) -> bool:
        """Every fill that the venue has counted has been reported, with its price and fee."""
        return self.seen_lots >= self.cumulative_lots

    def step(self, event: ChildEvent) -> None:
        """Move along the table. Raises InvariantError, changing nothing, for an illegal move."""
        self.state = after(CHILD_TABLE, self.state, event, f"child {self.client_id}")
        self.pending_changes.note()

    def note_total(self, cumulative_lots: int) -> None:
        """The venue says that so many lots have filled in all."""
        self.cumulative_lots = max(self.cumulative_lots, cumulative_lots)
        self.pending_changes.note()

    def note_fill(self, report: OrderFilled, now_ns: int, mid_half_ticks: int) -> ChildFill | None:
        """Count a fill once. None for one that was counted before."""
        self.note_total(report.cumulative_lots)
        if report.trade_id in self.trade_ids:
            return None
        lots, exact = report.quantity_lots, report.exact
        if exact is not None:
            self.rest += exact.quantity - exact.lot * lots
            more = int(self.rest // exact.lot)
            self.rest -= exact.lot * more
            lots += more
        fill = ChildFill(
            trade_id=report.trade_id,
            price_ticks=report.price_ticks,
            quantity_lots=lots,
            fee=report.fee,
            fee_currency=report.fee_currency,
            liquidity=report.liquidity,
            exchange_ns=report.exchange_ns,
            recv_ns=now_ns,
            mid_half_ticks=mid_half_ticks,
            exact=exact,
            rest=self.rest,
        )
        self.trade_ids[report.trade_id] = None
        self.fills.append(fill)
        self.seen_lots += lots
        return fill

    def begin_amend(self, price_ticks: int, quantity_lots: int, expires_ns: int) -> None:
        """An amend to this is in flight."""
        self.amend_price_ticks, self.amend_quantity_lots = price_ticks, quantity_lots
        self.amend_expires_ns = expires_ns
        self.pending_changes.note()

    def no_amend(self) -> None:
        """None is in flight any more."""
        self.amend_price_ticks = self.amend_quantity_lots = self.amend_expires_ns = 0
        self.pending_changes.note()

    def resize(self, quantity_lots: int) -> None:
        """The venue says that its quantity is this."""
        self.quantity_lots = quantity_lots
        self.pending_changes.note()

    def end_amend_unreported(self) -> None:
        """The amend in flight seems to be over, but the venue has not reported it: it may come yet."""
        self.amends_until_ns = max(self.amends_until_ns, self.amend_expires_ns)
        self.amends_unreported = True

    def settle_amend(self, price_ticks: int, quantity_lots: int, now_ns: int) -> None:
        """The order is confirmed at this price and quantity; no amend is in flight."""
        self.price_ticks, self.quantity_lots = price_ticks, quantity_lots
        self.no_amend()
        self.changed_ns = now_ns
