"""Sending to a venue: orders through the gate, cancels and queries past it.

Every order is checked here once more against its parent's budget and cap, spends a message of the
venue's rate limit, and is durable before it is sent (the executor stores every child it touched).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.execution.order_sizes import clip, displayed_lots, wanted_lots, worst_within
from citadel_micro.core.execution.venue_steps import at_step
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder, QueryOrder
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.order_states import ChildEvent, ChildState, ParentPhase
from citadel_micro.core.orders.rate_limiter import MessageBucket
from citadel_micro.core.risk.codes import SLICED
from citadel_micro.core.risk.types import RiskRequest
from citadel_proto.base36 import base36
from citadel_proto.errors import InvariantError
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Work
    from citadel_micro.core.execution.risk_view import EngineRiskView
    from citadel_micro.core.model.command_buffer import CommandBuffer
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.manager import RiskManager
    from citadel_micro.core.risk.types import Verdict

MARK: Final = "sc"
"""Prefix of every client order id of ours. Others may use it as well: see ``OrderSender.is_own``."""
MAX_QUERY_INTERVAL_NS: Final = 5_000_000_000


class Denied:
    """Why no order was sent: the gate's verdict, dust, or a time or book to wait for."""

    __slots__ = ("dust", "until_ns", "verdict")

    @property
    def code(self) -> str:
        """The gate's reason; empty where it was not the gate."""
        return "" if self.verdict is None else self.verdict.code

    def fails(self, code: RiskCode) -> bool:
        """Whether the gate has found this, as the first reason or a later one."""
        rows = () if self.verdict is None else self.verdict.rows
        return any(row[1] == code and not row[2] for row in rows)

    @property
    def size(self) -> bool:
        """The gate would accept a smaller order."""
        return self.code in SLICED

    def __init__(
        self, *, verdict: Verdict | None = None, until_ns: int = 0, dust: bool = False
    ) -> None:
        self.verdict = verdict
        self.until_ns = until_ns
        self.dust = dust


class OrderSender:
    """Builds and sends requests; see the module."""

    def __init__(
        self, config: EngineConfig, risk: RiskManager, view: EngineRiskView, out: CommandBuffer
    ) -> None:
        self._config = config
        self._risk = risk
        self._view = view
        self._out = out
        self.buckets = {
            name: MessageBucket(
                per_second=venue.messages_per_second,
                burst=venue.message_burst,
                reserve=venue.cancel_reserve,
            )
            for name, venue in config.venues.items()
        }
        self.down: dict[str, str] = {}
        """Venues whose order connection is down, with the reason: nothing is sent there."""
        self.blind: dict[str, str] = {}
        """Venues that do not report on our orders, with the reason: only cancels and
        queries are sent there."""

    # orders

    def place(
        self, parent: Parent, inst: InstrumentState, work: Work, now_ns: int
    ) -> Child | Denied:
        """Send a new child, or return why not; then nothing has changed."""
        rules = inst.instrument
        touch = inst.touch_ticks()
        if work.ioc and touch is not None:
            work = self._within_collar(parent, inst, work, touch)
        smallest = rules.min_lots_at(work.price_ticks, reduce_only=parent.reduce_only)
        wanted = wanted_lots(parent, work, smallest)
        if parent.exits:
            wanted = min(wanted, self.reducible(parent, inst, alone=True))
        wanted = inst.steps.down(wanted)
        if wanted < smallest and work.ioc and touch is not None:
            # Too little at the worst price may be enough at the best one.
            near = touch[1] if parent.sign > 0 else touch[0]
            smallest = rules.min_lots_at(near, reduce_only=parent.reduce_only)
            work = work._replace(price_ticks=near)
        if wanted < smallest:
            return Denied(dust=True)
        lots = wanted
        if parent.exits:
            free = self.reducible(parent, inst)
            # Send what is free meanwhile, as long as the rest can be placed too.
            lots = wanted if free >= wanted else inst.steps.down(clip(free, wanted, smallest))
            if lots < smallest or (work.whole and lots < parent.available):
                return Denied()
        self._check_price(parent, inst, work)
        bucket = self.buckets[rules.venue]
        urgent = parent.rank > 0 or (parent.exits and work.ioc)
        wait_ns = bucket.order_ready_ns(now_ns, urgent=urgent)
        if wait_ns:
            return Denied(until_ns=wait_ns)
        answer = self._approve(parent, inst, work, lots, now_ns)
        if not isinstance(answer, Approved):
            permitted = clip(answer.permitted_lots, wanted, smallest)
            if parent.exits and answer.code == RiskCode.FREE_BALANCE and not work.whole:
                permitted = answer.permitted_lots  # lots that do not exist leave no rest to place
            elif work.whole or answer.code not in SLICED:
                permitted = 0
            permitted = inst.steps.down(permitted)
            if not 0 < permitted < lots:
                return Denied(verdict=answer)
            answer = self._approve(parent, inst, work, permitted, now_ns)
            if not isinstance(answer, Approved):
                return Denied(verdict=answer)
        bucket.take_order(now_ns, urgent=urgent)
        order = answer.order
        mid = inst.mid_half_ticks()
        child = Child(
            client_id=order.client_id,
            price_ticks=order.price_ticks,
            quantity_lots=order.quantity_lots,
            post_only=order.post_only,
            ioc=work.ioc,
            reduce_only=order.reduce_only,
            placed_ns=now_ns,
            changed_ns=now_ns,
            expires_ns=order.expires_ns,
            book_seq=answer.book_seq,
            mid_half_ticks=mid,
            capped=work.capped,
            answer_due_ns=now_ns + self._config.request_timeout_ns,
        )
        parent.add(child)
        if not parent.arrival_mid2_ticks:
            parent.arrival_mid2_ticks = mid
        if not parent.release_mid2_ticks:
            parent.release_mid2_ticks = mid
        self._out.commands.append(answer)
        return child

    def amend(
        self,
        parent: Parent,
        inst: InstrumentState,
        child: Child,
        work: Work,
        *,
        lots: int,
        now_ns: int,
    ) -> Denied | None:
        """Amend a working child's price, or its quantity to ``lots`` in all, in place.

        None when it was sent.
        """
        self._check_price(parent, inst, work, resting=child.price_ticks == work.price_ticks)
        bucket = self.buckets[inst.instrument.venue]
        wait_ns = bucket.order_ready_ns(now_ns)
        if wait_ns:
            return Denied(until_ns=wait_ns)
        order = AmendOrder(
            venue=inst.key[0],
            symbol=inst.key[1],
            client_id=child.client_id,
            parent_id=parent.id,
            side=parent.signal.side,
            price_ticks=work.price_ticks,
            quantity_lots=lots,
            post_only=work.post_only,
            reduce_only=child.reduce_only,
            expires_ns=now_ns + inst.venue.order_window_ns,
        )
        request = self._request(
            parent, work, lots, child=child, reduce_only=child.reduce_only, now_ns=now_ns
        )
        answer = self._risk.approve_amend(order, request, self._view, now_ns)
        if not isinstance(answer, Approved):
            return Denied(verdict=answer)
        bucket.take_order(now_ns)
        child.step(ChildEvent.AMEND_SENT)
        child.amends_until_ns = max(child.amends_until_ns, child.amend_expires_ns)
        child.repriced = True
        child.begin_amend(order.price_ticks, order.quantity_lots, order.expires_ns)
        child.answer_due_ns = now_ns + self._config.request_timeout_ns
        child.capped = work.capped
        parent.changed(child)
        self._out.commands.append(answer)
        return None

    def reducible(self, parent: Parent, inst: InstrumentState, *, alone: bool = False) -> int:
        """Lots of position free for a new order of it, beside other parents unless ``alone``."""
        venue, symbol = inst.key
        held = self._view.portfolio.quantity(venue, symbol) * -parent.sign
        lots = int(held // inst.instrument.lot) if held > 0 else 0
        lots -= parent.out
        if not alone:
            view, side = self._view, parent.signal.side
            lots -= view.claimed_lots(venue, symbol, side, parent.id)
        return max(0, lots)

    def _approve(
        self, parent: Parent, inst: InstrumentState, work: Work, lots: int, now_ns: int
    ) -> Approved[PlaceOrder] | Verdict:
        order = PlaceOrder(
            venue=inst.key[0],
            symbol=inst.key[1],
            client_id=self.client_id(parent, parent.placed + 1),
            parent_id=parent.id,
            side=parent.signal.side,
            price_ticks=work.price_ticks,
            quantity_lots=lots,
            post_only=work.post_only,
            time_in_force="FOK" if work.whole else "IOC" if work.ioc else "GTC",
            reduce_only=parent.reduce_only,
            expires_ns=now_ns + inst.venue.order_window_ns,
            displayed_lots=displayed_lots(inst, work, lots),
        )
        request = self._request(
            parent, work, lots, child=None, reduce_only=parent.reduce_only, now_ns=now_ns
        )
        return self._risk.approve_place(order, request, self._view, now_ns)

    def client_id(self, parent: Parent, number: int) -> str:
        """At most 36 of letters, digits and '-': mark, run, parent and child."""
        mark = self._config.venues[parent.signal.venue].mark
        run = self._config.run_id
        return f"{MARK}{mark}{run}-{base36(parent.number)}-{base36(number)}"

    def is_own(self, venue: str, client_id: str) -> bool:
        """Whether an order at a venue was sent by this micro, in this run or an earlier one."""
        mark = self._config.venues[venue].mark
        return client_id.startswith(f"{MARK}{mark}" if mark else f"{MARK}{self._config.run_id}-")

    def _request(
        self,
        parent: Parent,
        work: Work,
        lots: int,
        *,
        child: Child | None,
        reduce_only: bool,
        now_ns: int,
    ) -> RiskRequest:
        """The gate request of a new order, or of an amend."""
        signal = parent.signal
        filled = 0 if child is None else child.filled
        beside_lots, beside_cost = parent.beside(child)
        return RiskRequest(
            scope="child",
            venue=signal.venue,
            symbol=signal.symbol,
            strategy=signal.strategy,
            side=signal.side,
            quantity_lots=lots,
            # An exit cannot fill more than what it may still reduce.
            exposure_lots=(lots - filled + beside_lots if parent.exits else parent.remaining)
            + parent.unbooked,
            price_ticks=work.price_ticks,
            post_only=work.post_only,
            reduce_only=reduce_only,
            ioc=work.ioc,
            parent_id=parent.id,
            signal_created_ns=signal.created_ns,
            signal_expires_ns=signal.expires_ns,
            filled_lots=filled,
            beside_lots=beside_lots,
            beside_cost=beside_cost,
            leverage=signal.leverage,
            owner=signal.owner,
            epoch=signal.epoch,
            through_halt=parent.through_halt,
            reference_mid=self._view.reference_mid(signal.venue, signal.symbol, now_ns),
        )

    def _within_collar(
        self, parent: Parent, inst: InstrumentState, work: Work, touch: tuple[int, int]
    ) -> Work:
        """An immediate order whose worst price is limited to the gate's collar.

        Otherwise it would be rejected again and again, and a stop with it. Not inside the touch: where
        that is beyond the collar, the gate says so.
        """
        sign = parent.sign
        worst = worst_within(self._risk.limits.price_collar_bps, sign, sum(touch))
        far = touch[1] if sign > 0 else -touch[0]
        price = sign * min(sign * work.price_ticks, max(worst, far))
        if price == work.price_ticks:
            return work
        return at_step(work._replace(price_ticks=price), sign, inst.steps.price)

    @staticmethod
    def _check_price(
        parent: Parent, inst: InstrumentState, work: Work, *, resting: bool = False
    ) -> None:
        """Raise InvariantError for a price beyond the cap or a post-only one that would take.

        And for any order of a parent that may have none. One resting at its price has not taken.
        """
        if parent.phase is not ParentPhase.ACTIVE:
            raise InvariantError(f"parent {parent.id}: no order while {parent.phase.value}")
        sign, limit = parent.sign, parent.limit_ticks
        price = sign * work.price_ticks
        if limit is not None and price > sign * limit:
            raise InvariantError(f"parent {parent.id}: price {work.price_ticks} beyond {limit}")
        touch = inst.touch_ticks()
        if work.post_only and touch is not None and not resting:
            far = touch[1] if sign > 0 else -touch[0]
            if price >= far:
                raise InvariantError(f"parent {parent.id}: post-only {work.price_ticks} would take")

    # cancels and queries

    def barred(self, venue: str) -> tuple[str, str] | None:
        """Code and reason why nothing may be placed or amended at a venue now, if any."""
        if venue in self.down:
            return "VENUE_DOWN", self.down[venue]
        return ("VENUE_BLIND", self.blind[venue]) if venue in self.blind else None

    def release_ns(self, parent: Parent, child: Child) -> int:
        """Venue time after which a request for a child can no longer be executed."""
        late_ns = self._config.late_ns(parent.signal.venue)
        return max(child.expires_ns, child.amend_expires_ns) + late_ns

    def cancel(self, parent: Parent, child: Child, now_ns: int) -> None:
        """Send a cancel, or as soon as rate limit and connection permit."""
        if child.state is ChildState.CANCELING or child.terminal or now_ns < child.cancel_after_ns:
            return
        if parent.instrument_unknown:
            return
        venue = parent.signal.venue
        wait_ns = FAR if venue in self.down else self.buckets[venue].take_cancel(now_ns)
        if wait_ns:
            child.cancel_after_ns = wait_ns
            return
        self._send_cancel(parent, child, now_ns)

    def make_room(self, parent: Parent, child: Child, now_ns: int) -> int:
        """Cancel an order at the wrong price, at an order's priority: 0, else when to retry."""
        wait_ns = self.buckets[parent.signal.venue].take_order(now_ns)
        if not wait_ns:
            self._send_cancel(parent, child, now_ns)
        return wait_ns

    def _send_cancel(self, parent: Parent, child: Child, now_ns: int) -> None:
        child.step(ChildEvent.CANCEL_SENT)
        child.answer_due_ns = now_ns + self._config.request_timeout_ns
        child.query_due_ns = FAR
        parent.changed(child)
        signal = parent.signal
        self._out.commands.append(
            CancelOrder(venue=signal.venue, symbol=signal.symbol, client_id=child.client_id)
        )

    def query(self, parent: Parent, child: Child, now_ns: int) -> None:
        """Query a child's state at the venue, and set when to query again."""
        venue = parent.signal.venue
        wait_ns = FAR if venue in self.down else self.buckets[venue].take_question(now_ns)
        if wait_ns:
            child.query_due_ns = wait_ns
            return
        interval = self._config.query_interval_ns << min(child.queries, 5)
        child.queries += 1
        # As long as all other unknown orders need for theirs, and a fifth for other messages.
        turn_ns = self._view.in_doubt(venue) * self.buckets[venue].message_ns * 5 // 4
        child.query_due_ns = now_ns + max(min(interval, MAX_QUERY_INTERVAL_NS), turn_ns)
        if child.state is ChildState.UNKNOWN:
            # A query that is certainly sent after the venue can no longer accept the request.
            release_ns = self.release_ns(parent, child)
            if now_ns <= release_ns < child.query_due_ns:
                child.query_due_ns = release_ns + 1
        signal = parent.signal
        self._out.commands.append(
            QueryOrder(venue=signal.venue, symbol=signal.symbol, client_id=child.client_id)
        )

    # time

    def check_timeouts(self, parent: Parent, child: Child, now_ns: int) -> None:
        """Mark unanswered requests unknown; query unknown orders and those long without a report."""
        if parent.instrument_unknown:
            return
        config = self._config
        if now_ns >= child.cancel_after_ns:
            child.cancel_after_ns = 0
        if now_ns >= child.answer_due_ns:
            self.mark_unknown(parent, child, now_ns, "no answer in time")
        if now_ns - child.unknown_since_ns >= config.quarantine_ns:
            self.quarantine(parent, child)
        if now_ns >= child.query_due_ns:
            self.query(parent, child, now_ns)

    def quarantine(self, parent: Parent, child: Child, why: str = "") -> None:
        """A person should look at an unknown child; it stays reserved and is still queried."""
        if child.state is not ChildState.UNKNOWN:
            return
        child.step(ChildEvent.QUARANTINED)
        parent.changed(child)
        self._out.note(
            "error",
            "child_quarantined",
            client_id=child.client_id,
            signal_id=parent.id,
            reserved_lots=child.reserved,
            **({"why": why} if why else {}),  # left out as in journals of earlier versions
        )

    def mark_unknown(self, parent: Parent, child: Child, now_ns: int, reason: str) -> None:
        """Its state at the venue is not known: keep its reservation and query it."""
        child.answer_due_ns = FAR
        if child.terminal:
            return
        before = child.state
        child.step(ChildEvent.MARKED_UNKNOWN)
        parent.changed(child)
        if before is child.state:
            child.query_due_ns = min(child.query_due_ns, now_ns)
            return
        child.unknown_since_ns = now_ns
        child.queries = 0
        child.absent_order = child.absent_trades = False
        child.query_due_ns = now_ns
        child.reason = reason
        self._out.note(
            "warning", "child_unknown", client_id=child.client_id, signal_id=parent.id, why=reason
        )
