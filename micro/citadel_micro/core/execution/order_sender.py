"""What goes out to a venue: orders through the gate, cancels and questions past it.

Every order is checked here once more against its parent's budget and cap, spends a message of the
venue's bucket, and is durable before it is sent (the executor stores every child it touched).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Final

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
"""Begins every client order id of ours. Others may begin so as well: see ``OrderSender.is_own``."""
MAX_QUERY_INTERVAL_NS: Final = 5_000_000_000


class Denied:
    """Why no order went out: the gate's verdict, dust, or a time or book to wait for."""

    __slots__ = ("dust", "until_ns", "verdict")

    @property
    def code(self) -> str:
        """The gate's reason; empty where it was not the gate."""
        return "" if self.verdict is None else self.verdict.code

    def fails(self, code: RiskCode) -> bool:
        """Whether the gate has found this, as the first reason or behind another."""
        rows = () if self.verdict is None else self.verdict.rows
        return any(row[1] == code and not row[2] for row in rows)

    @property
    def size(self) -> bool:
        """The gate would take a smaller order."""
        return self.code in SLICED

    def __init__(
        self, *, verdict: Verdict | None = None, until_ns: int = 0, dust: bool = False
    ) -> None:
        self.verdict = verdict
        self.until_ns = until_ns
        self.dust = dust


class OrderSender:
    """Makes and sends requests; see the module."""

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

    # orders

    def place(
        self, parent: Parent, inst: InstrumentState, work: Work, now_ns: int
    ) -> Child | Denied:
        """Send a new child, or say why not; then nothing has changed."""
        rules = inst.instrument
        touch = inst.touch_ticks()
        if work.ioc and touch is not None:
            work = work._replace(price_ticks=self._within_collar(parent, work.price_ticks, touch))
        smallest = rules.min_lots_at(work.price_ticks, reduce_only=parent.reduce_only)
        wanted = _wanted(parent, work, smallest)
        if parent.exits:
            wanted = min(wanted, self.reducible(parent, inst, alone=True))
        if wanted < smallest and work.ioc and touch is not None:
            # Too little at the worst price that it might pay may be enough at the best one.
            near = touch[1] if parent.sign > 0 else touch[0]
            smallest = rules.min_lots_at(near, reduce_only=parent.reduce_only)
            work = work._replace(price_ticks=near)
        if wanted < smallest:
            return Denied(dust=True)
        lots = wanted
        if parent.exits:
            free = self.reducible(parent, inst)
            # What is free meanwhile, as long as the rest can be placed too.
            lots = wanted if free >= wanted else _clip(free, wanted, smallest)
            if lots == 0:
                return Denied()
        self._check_price(parent, inst, work)
        bucket = self.buckets[rules.venue]
        urgent = parent.rank > 0 or (parent.exits and work.ioc)
        wait_ns = bucket.order_ready_ns(now_ns, urgent=urgent)
        if wait_ns:
            return Denied(until_ns=wait_ns)
        answer = self._approve(parent, inst, work, lots, now_ns)
        if not isinstance(answer, Approved):
            permitted = _clip(answer.permitted_lots, wanted, smallest)
            if parent.exits and answer.code == RiskCode.FREE_BALANCE:
                permitted = answer.permitted_lots  # what is not there leaves no rest to place
            elif answer.code not in SLICED:
                permitted = 0
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
        if not parent.arrival_half_ticks:
            parent.arrival_half_ticks = mid
        if not parent.release_half_ticks:
            parent.release_half_ticks = mid
        self._out.commands.append(answer)
        return child

    def amend(
        self, parent: Parent, inst: InstrumentState, work: Work, now_ns: int
    ) -> Denied | None:
        """Move the working child to another price in place; None when it was sent."""
        child = parent.live[0]
        self._check_price(parent, inst, work)
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
            quantity_lots=child.quantity_lots,
            post_only=work.post_only,
            reduce_only=child.reduce_only,
            expires_ns=now_ns + inst.venue.order_window_ns,
        )
        request = self._request(
            parent,
            work,
            child.quantity_lots,
            filled=child.filled,
            reduce_only=child.reduce_only,
            now_ns=now_ns,
        )
        answer = self._risk.approve_amend(order, request, self._view, now_ns)
        if not isinstance(answer, Approved):
            return Denied(verdict=answer)
        bucket.take_order(now_ns)
        child.step(ChildEvent.AMEND_SENT)
        child.amend_price_ticks = order.price_ticks
        child.amend_quantity_lots = order.quantity_lots
        child.amend_expires_ns = order.expires_ns
        child.answer_due_ns = now_ns + self._config.request_timeout_ns
        child.capped = work.capped
        parent.changed(child)
        self._out.commands.append(answer)
        return None

    def reducible(self, parent: Parent, inst: InstrumentState, *, alone: bool = False) -> int:
        """Lots of position left for it to reduce, beside other parents unless ``alone``."""
        venue, symbol = inst.key
        held = self._view.portfolio.quantity(venue, symbol) * -parent.sign
        lots = int(held // inst.instrument.lot) if held > 0 else 0
        lots -= parent.unbooked
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
            time_in_force="IOC" if work.ioc else "GTC",
            reduce_only=parent.reduce_only,
            expires_ns=now_ns + inst.venue.order_window_ns,
            displayed_lots=_displayed(inst, work, lots),
        )
        request = self._request(
            parent, work, lots, filled=0, reduce_only=parent.reduce_only, now_ns=now_ns
        )
        return self._risk.approve_place(order, request, self._view, now_ns)

    def client_id(self, parent: Parent, number: int) -> str:
        """At most 36 of letters, digits and '-': mark, run, parent and child."""
        mark = self._config.venues[parent.signal.venue].mark
        run = self._config.run_id
        return f"{MARK}{mark}{run}-{base36(parent.number)}-{base36(number)}"

    def is_own(self, venue: str, client_id: str) -> bool:
        """Whether an order at a venue was made by this micro, in this run or an earlier one."""
        mark = self._config.venues[venue].mark
        return client_id.startswith(f"{MARK}{mark}" if mark else f"{MARK}{self._config.run_id}-")

    def _request(
        self, parent: Parent, work: Work, lots: int, *, filled: int, reduce_only: bool, now_ns: int
    ) -> RiskRequest:
        signal = parent.signal
        return RiskRequest(
            scope="child",
            venue=signal.venue,
            symbol=signal.symbol,
            strategy=signal.strategy,
            side=signal.side,
            quantity_lots=lots,
            # An exit cannot fill more than what it may still reduce.
            exposure_lots=(lots - filled if parent.exits else parent.remaining) + parent.unbooked,
            price_ticks=work.price_ticks,
            post_only=work.post_only,
            reduce_only=reduce_only,
            ioc=work.ioc,
            parent_id=parent.id,
            signal_created_ns=signal.created_ns,
            signal_expires_ns=signal.expires_ns,
            filled_lots=filled,
            owner=signal.owner,
            epoch=signal.epoch,
            through_halt=parent.through_halt,
            reference_mid=self._view.reference_mid(signal.venue, signal.symbol, now_ns),
        )

    def _within_collar(self, parent: Parent, price_ticks: int, touch: tuple[int, int]) -> int:
        """The worst price of an immediate order, no farther from the mid than the gate's collar.

        It would be refused again and again, and a stop with it. Not before the touch: where that
        is beyond the collar, the gate says so.
        """
        bps, sign = Fraction(repr(self._risk.limits.price_collar_bps)), parent.sign
        mid = Fraction(sum(touch), 2)
        worst = math.floor(sign * mid + mid * bps / 10_000)
        far = touch[1] if sign > 0 else -touch[0]
        return sign * min(sign * price_ticks, max(worst, far))

    @staticmethod
    def _check_price(parent: Parent, inst: InstrumentState, work: Work) -> None:
        """Raise InvariantError for a price beyond the cap or a post-only one that would take.

        And for any order of a parent that may have none.
        """
        if parent.phase is not ParentPhase.ACTIVE:
            raise InvariantError(f"parent {parent.id}: no order while {parent.phase.value}")
        sign, limit = parent.sign, parent.limit_ticks
        price = sign * work.price_ticks
        if limit is not None and price > sign * limit:
            raise InvariantError(f"parent {parent.id}: price {work.price_ticks} beyond {limit}")
        touch = inst.touch_ticks()
        if work.post_only and touch is not None:
            far = touch[1] if sign > 0 else -touch[0]
            if price >= far:
                raise InvariantError(f"parent {parent.id}: post-only {work.price_ticks} would take")

    # cancels and questions

    def cancel(self, parent: Parent, child: Child, now_ns: int) -> None:
        """Ask the venue to cancel, or as soon as its bucket and its connection permit."""
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
        """Cancel what stands at the wrong price, at an order's turn: 0, else when to try again."""
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
        """Ask the venue what became of a child, and set when to ask again."""
        venue = parent.signal.venue
        wait_ns = FAR if venue in self.down else self.buckets[venue].take_question(now_ns)
        if wait_ns:
            child.query_due_ns = wait_ns
            return
        interval = self._config.query_interval_ns << min(child.queries, 5)
        child.queries += 1
        # As long as all others in doubt need for theirs, and a fifth for what is no question.
        turn_ns = self._view.in_doubt(venue) * self.buckets[venue].message_ns * 5 // 4
        child.query_due_ns = now_ns + max(min(interval, MAX_QUERY_INTERVAL_NS), turn_ns)
        if child.state is ChildState.UNKNOWN:
            # A question that is sure to be asked after the venue can no longer take the request.
            release_ns = (
                max(child.expires_ns, child.amend_expires_ns) + self._config.release_skew_ns
            )
            if now_ns <= release_ns < child.query_due_ns:
                child.query_due_ns = release_ns + 1
        signal = parent.signal
        self._out.commands.append(
            QueryOrder(venue=signal.venue, symbol=signal.symbol, client_id=child.client_id)
        )

    # time

    def check_timeouts(self, parent: Parent, child: Child, now_ns: int) -> None:
        """Doubt what was not answered, ask about what is unknown, in doubt or long unheard of."""
        if parent.instrument_unknown:
            return
        config = self._config
        if now_ns >= child.cancel_after_ns:
            child.cancel_after_ns = 0
        if now_ns >= child.answer_due_ns:
            self.mark_unknown(parent, child, now_ns, "no answer in time")
        if child.state is ChildState.UNKNOWN and (
            now_ns - child.unknown_since_ns >= config.quarantine_ns
        ):
            child.step(ChildEvent.QUARANTINED)
            parent.changed(child)
            self._out.note(
                "error",
                "child_quarantined",
                client_id=child.client_id,
                signal_id=parent.id,
                reserved_lots=child.reserved,
            )
        if now_ns >= child.query_due_ns:
            self.query(parent, child, now_ns)

    def mark_unknown(self, parent: Parent, child: Child, now_ns: int, reason: str) -> None:
        """Nobody knows what became of it: keep its reservation and ask."""
        child.answer_due_ns = FAR
        if child.terminal:
            return
        before = child.state
        child.step(ChildEvent.DOUBTED)
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


def _wanted(parent: Parent, work: Work, smallest: int) -> int:
    """What the algorithm names, of what the budget permits."""
    if work.quantity_lots is None:
        return parent.available
    return min(parent.available, max(work.quantity_lots, smallest))


def _displayed(inst: InstrumentState, work: Work, lots: int) -> int | None:
    """What the book shall show: the venue's minimum at least, None for the whole."""
    if work.displayed_lots is None or work.ioc or not inst.venue.displays_part:
        return None
    shown = max(work.displayed_lots, inst.instrument.min_lots_at(work.price_ticks))
    return shown if shown < lots else None


def _clip(permitted: int, available: int, smallest: int) -> int:
    """Largest quantity up to ``permitted`` that leaves nothing, or something placeable."""
    if permitted < smallest:
        return 0
    rest = available - permitted
    if 0 < rest < smallest:
        permitted = available - smallest
    return permitted if permitted >= smallest else 0
