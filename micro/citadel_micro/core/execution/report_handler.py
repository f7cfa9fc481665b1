"""Handling a venue's reports on one child, in any order, any number of times.

Each function updates one child and returns what the parent needs. Reports on
terminal children change nothing but the count of fills: a confirmation is final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from citadel_micro.core.execution.venue_honesty import LATE_NS, risen, untrue_end
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
)
from citadel_micro.core.model.time_units import FAR, MS
from citadel_micro.core.orders.order_states import ChildEvent, ChildState

if TYPE_CHECKING:
    from citadel_micro.core.execution.order_sender import OrderSender
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.orders import Parent

ChildReport = (
    OrderAccepted
    | OrderRejected
    | OrderDone
    | CancelRejected
    | OrderAmended
    | AmendRejected
    | RequestTimedOut
    | OrderState
)
CHILD_REPORTS: Final[tuple[type, ...]] = (*get_args(ChildReport), OrderFilled)
"""All kinds of venue reports on one order of ours."""

_PROOF: Final = {
    "filled": ChildEvent.PROVEN_FILLED,
    "canceled": ChildEvent.PROVEN_CANCELED,
    "expired": ChildEvent.PROVEN_EXPIRED,
}
_REFUSABLE: Final = (
    ChildState.PLACING,
    ChildState.CANCELING,
    ChildState.UNKNOWN,
    ChildState.QUARANTINED,
)
_UNSEEN: Final = (ChildState.REJECTED, ChildState.LOST)
_UNSURE: Final = (ChildState.UNKNOWN, ChildState.QUARANTINED)
_REFUSED: Final = "found refused at the venue"
POST_ONLY_BACKOFF_NS: Final = 50 * MS
POST_ONLY_PAUSE_NS: Final = 1_000 * MS
CANCEL_PAUSE_NS: Final = 250_000_000
"""After a rejected cancel; doubled by each in a row of one order ..."""
MOST_CANCEL_DOUBLINGS: Final = 4
"""... up to 4 s: a venue that returns 429 bans those who continue."""
AMEND_PAUSE_NS: Final = 1_000 * MS
"""After an amend that exceeded the venue's rate limit."""


def post_only_pause_ns(parent: Parent) -> int:
    """After a price that would have taken: 50 ms, doubled by each in a row, up to a second."""
    doublings = min(parent.post_only_rejects - 1, 5)
    return min(POST_ONLY_BACKOFF_NS << doublings, POST_ONLY_PAUSE_NS)


class ReportHandler:
    """Applies venue reports to children."""

    def __init__(self, config: EngineConfig, sender: OrderSender) -> None:
        self._config = config
        self._sender = sender
        self.lie = ""
        """Why the last report cannot be true, if it cannot."""

    def read(self, parent: Parent, child: Child, report: ChildReport, now_ns: int) -> None:
        """Update the child. The caller counts it in its parent."""
        parent.changed(child)
        if isinstance(report, OrderAccepted):
            self._accepted(parent, child, report, now_ns)
        elif isinstance(report, OrderDone) and report.cumulative_lots < 0:
            # Closed, but with what total? Taken as complete, later fills would not be expected.
            self._sender.mark_unknown(parent, child, now_ns, f"{report.status} without a total")
        elif isinstance(report, OrderDone):
            self.proven(child, _PROOF[report.status], report.cumulative_lots, report.reason, now_ns)
        elif isinstance(report, OrderRejected):
            self._rejected(parent, child, report, now_ns)
        elif isinstance(report, OrderState):
            self._state(parent, child, report, now_ns)
        elif isinstance(report, RequestTimedOut):
            self._timed_out(parent, child, report, now_ns)
        elif isinstance(report, CancelRejected):
            self._cancel_rejected(parent, child, report, now_ns)
        elif isinstance(report, OrderAmended):
            self._amended(parent, child, report, now_ns)
        else:
            self._amend_rejected(parent, child, report, now_ns)

    def alive(self, child: Child, now_ns: int) -> None:
        """A sign of life: the venue has, or had, this order."""
        if child.state in _UNSEEN:
            child.step(ChildEvent.REAPPEARED)
            child.unknown_since_ns = now_ns
            child.queries = 0
            child.query_due_ns = now_ns
        first = not child.acknowledged
        child.acknowledged = True
        if first and not child.terminal and not child.amend_quantity_lots:
            child.step(ChildEvent.ACCEPTED)
            child.accepted_ns = now_ns
            self._settled_down(child, now_ns)

    def filled_up(self, child: Child, now_ns: int) -> None:
        """After a fill: close the child when its whole quantity is filled."""
        if not child.terminal and child.reserved == 0:
            child.step(ChildEvent.FILLED_UP)
            self._ended(child, "", now_ns)

    def proven(
        self, child: Child, event: ChildEvent, cumulative: int, reason: str, now_ns: int
    ) -> None:
        """The venue's confirmation that it is closed, with its final total."""
        if event is not ChildEvent.PROVEN_ABSENT:
            self.lie = untrue_end(child, cumulative)
        child.note_total(cumulative)
        child.acknowledged = child.acknowledged or event is not ChildEvent.PROVEN_ABSENT
        was_terminal = child.terminal
        child.step(event)
        if not was_terminal:
            self._ended(child, reason, now_ns)
        elif not child.fills_complete and child.query_due_ns == FAR:
            child.query_due_ns = now_ns + self._config.query_interval_ns

    # by kind

    def _accepted(self, parent: Parent, child: Child, report: OrderAccepted, now_ns: int) -> None:
        child.venue_order_id = child.venue_order_id or report.venue_order_id
        if not child.acknowledged:
            parent.rejects = 0
            if child.state not in (ChildState.CANCELED, ChildState.EXPIRED, ChildState.FILLED):
                parent.post_only_rejects = 0
            self.alive(child, now_ns)

    def _rejected(self, parent: Parent, child: Child, report: OrderRejected, now_ns: int) -> None:
        if child.terminal:
            return
        if report.code == "DUPLICATE_ID":
            # The venue has an order of this id: ours, sent twice on the way.
            self._sender.mark_unknown(parent, child, now_ns, report.text)
        elif child.state in _REFUSABLE and not child.acknowledged:
            child.step(ChildEvent.REJECTED)
            self._ended(child, f"{report.code}: {report.text}", now_ns)
        else:
            self._sender.mark_unknown(parent, child, now_ns, report.text)

    def _timed_out(
        self, parent: Parent, child: Child, report: RequestTimedOut, now_ns: int
    ) -> None:
        state = child.state
        open_request = {
            "place": state is ChildState.PLACING
            or (state is ChildState.CANCELING and not child.acknowledged),
            "amend": state is ChildState.AMENDING,
            "cancel": state is ChildState.CANCELING,
            "query": False,
        }
        if open_request[report.request]:
            self._sender.mark_unknown(parent, child, now_ns, f"{report.request} timed out")

    def _cancel_rejected(
        self, parent: Parent, child: Child, report: CancelRejected, now_ns: int
    ) -> None:
        if child.terminal or child.state is not ChildState.CANCELING:
            return
        if report.code == "NOT_FOUND":
            # The venue does not know it *now*: filled, closed, or not yet arrived.
            self._sender.mark_unknown(parent, child, now_ns, "cancel: not found")
            return
        doublings = min(child.cancels_refused, MOST_CANCEL_DOUBLINGS)
        child.cancel_after_ns = now_ns + (CANCEL_PAUSE_NS << doublings)
        child.cancels_refused += 1
        if child.acknowledged:
            child.step(ChildEvent.CANCEL_REFUSED)
            self._settled_down(child, now_ns)
            if child.amend_quantity_lots:  # nobody waits for its answer any more
                child.query_due_ns = max(now_ns, self._sender.release_ns(parent, child) + 1)
        else:
            self._sender.mark_unknown(parent, child, now_ns, f"cancel: {report.code}")

    def _amended(self, parent: Parent, child: Child, report: OrderAmended, now_ns: int) -> None:
        self.alive(child, now_ns)
        asked = (child.amend_price_ticks, child.amend_quantity_lots)
        repeated = 0 < report.exchange_ns <= child.amended_exchange_ns
        if child.terminal or repeated or (report.price_ticks, report.quantity_lots) != asked:
            return
        child.amended_exchange_ns = report.exchange_ns
        if child.amends_unreported:  # it may be the report of one of those
            child.end_amend_unreported()
        child.settle_amend(report.price_ticks, report.quantity_lots, now_ns)
        child.step(ChildEvent.AMENDED)
        parent.post_only_rejects = 0
        self.filled_up(child, now_ns)
        if child.state is ChildState.WORKING:
            self._settled_down(child, now_ns)

    def _amend_rejected(
        self, parent: Parent, child: Child, report: AmendRejected, now_ns: int
    ) -> None:
        if child.terminal or not child.amend_quantity_lots:
            return
        if report.code == "NOT_FOUND":
            self._sender.mark_unknown(parent, child, now_ns, "amend: not found")
            return
        if child.state in _UNSURE:
            return  # one of two answers about an unknown order; the query decides
        child.amends_until_ns = max(child.amends_until_ns, child.amend_expires_ns)
        child.settle_amend(child.price_ticks, child.quantity_lots, now_ns)
        child.step(ChildEvent.AMEND_REFUSED)
        if report.code == "POST_ONLY":
            parent.post_only_rejects += 1
            parent.resume_ns = now_ns + post_only_pause_ns(parent)
        elif report.code == "RATE_LIMIT":
            parent.resume_ns = now_ns + AMEND_PAUSE_NS
        else:
            child.amend_refused = True
        if child.state is ChildState.WORKING:
            self._settled_down(child, now_ns)

    def _state(self, parent: Parent, child: Child, report: OrderState, now_ns: int) -> None:
        status = report.status
        if status == "open":
            self._found_open(parent, child, report, now_ns)
        elif status in _PROOF:
            self.proven(child, _PROOF[status], report.cumulative_lots, "found at the venue", now_ns)
        elif status == "rejected":
            if not child.terminal:
                if child.state in _REFUSABLE and not child.acknowledged:
                    child.step(ChildEvent.REJECTED)
                    self._ended(child, _REFUSED, now_ns)
                elif self._config.late_reject_ends:
                    # Some acknowledge first and judge then; the end was told while nobody listened.
                    told = report.cumulative_lots
                    self.proven(child, ChildEvent.PROVEN_CANCELED, told, _REFUSED, now_ns)
                else:
                    self._sender.mark_unknown(parent, child, now_ns, _REFUSED)
        elif not child.terminal:
            self._not_found(parent, child, report, now_ns)

    def _found_open(self, parent: Parent, child: Child, report: OrderState, now_ns: int) -> None:
        if risen(child, report):
            self.lie = f"the order is open, and was {child.state.value}"
            child.step(ChildEvent.REAPPEARED)
            child.unknown_since_ns = child.query_due_ns = now_ns
        child.note_total(report.cumulative_lots)
        child.absent_order = child.absent_trades = False
        self.alive(child, now_ns)
        if child.terminal:
            return
        if child.amend_quantity_lots:
            if not self._amend_over(parent, child, report, now_ns):
                return  # it may still be in flight
            if child.state is ChildState.AMENDING:
                child.step(ChildEvent.AMENDED)
        else:
            self._adopt_terms(child, report)
            child.step(ChildEvent.FOUND_OPEN)
        if child.state in _UNSURE:
            child.step(ChildEvent.FOUND_OPEN)
        self.filled_up(child, now_ns)
        if child.state is ChildState.WORKING:
            self._settled_down(child, now_ns)

    def _amend_over(self, parent: Parent, child: Child, report: OrderState, now_ns: int) -> bool:
        """Whether an answer to a query shows that the amend in flight is over; then it is settled."""
        told = (report.price_ticks, report.quantity_lots)
        asked = (child.amend_price_ticks, child.amend_quantity_lots)
        release_ns = self._sender.release_ns(parent, child)
        executed = told == asked and report.exchange_ns > child.changed_ns
        if not executed and report.exchange_ns <= release_ns:
            return False
        # A replica may have shown what the order was before: then the amend is still in flight.
        child.end_amend_unreported()
        if executed or report.exchange_ns > release_ns + LATE_NS:
            child.settle_amend(*told, now_ns)
            return True
        # Carried out or not, the replica may not know it yet, and may show terms of long before.
        price, lots = report.price_ticks, child.quantity_lots
        known = price in (child.price_ticks, child.amend_price_ticks)
        child.settle_amend(price if known else child.price_ticks, lots, now_ns)
        return True

    def _adopt_terms(self, child: Child, report: OrderState) -> None:
        """Take over price and quantity from the answer to a query, unless it may be out of date.

        Both times are of the engine's clock: the answer was made after ``exchange_ns``, from a replica
        that lags by less than ``LATE_NS``, and the terms that are known were confirmed by
        ``changed_ns``. An answer that is older than the last amend names a quantity whose reduction
        has been given to another order since.
        """
        at_ns, late_ns = report.exchange_ns, self._config.late_ns(report.venue)
        if at_ns <= child.changed_ns:
            return
        newer = at_ns > child.changed_ns + LATE_NS
        # Unless an amend that was taken for refused may have been executed since, only a stranger
        # can have changed it, or the answer is out of date.
        if newer or child.amends_until_ns + late_ns > child.changed_ns:
            child.price_ticks = report.price_ticks
        if report.quantity_lots > child.quantity_lots:
            settled = newer  # nothing of ours enlarges an order
        else:
            # An amend that was taken for refused, and asks for more, may be executed after it.
            settled = child.may_be_cut(at_ns - LATE_NS, late_ns)
        if settled:
            child.resize(report.quantity_lots)

    def _not_found(self, parent: Parent, child: Child, report: OrderState, now_ns: int) -> None:
        if child.state not in _UNSURE:
            if child.state is not ChildState.PLACING:
                self._sender.mark_unknown(parent, child, now_ns, "not found at the venue")
            return
        if report.exchange_ns <= self._sender.release_ns(parent, child):
            return
        if report.source == "order":
            child.absent_order = True
        else:
            child.absent_trades = True
        if not child.absent_order or not child.absent_trades:
            return
        if child.acknowledged or child.filled:
            # The venue had it, so it cannot never have had it: forgotten, or asked of a copy that
            # lags (Binance -2013). Nobody but a person can say what became of it.
            self._sender.quarantine(parent, child, "the venue took it, and does not know it now")
        else:
            self.proven(child, ChildEvent.PROVEN_ABSENT, 0, "never reached the venue", now_ns)

    def give_up(self, parent: Parent, child: Child, now_ns: int) -> None:
        """A person says that it is gone; should it live or fill after all, that counts."""
        parent.changed(child)
        self.proven(child, ChildEvent.PROVEN_ABSENT, 0, "given up by the operator", now_ns)

    # what follows

    def _settled_down(self, child: Child, now_ns: int) -> None:
        """It rests (or an immediate one is being matched): expect reports on it."""
        config = self._config
        child.queries = 0
        if child.state is not ChildState.WORKING:
            return
        if child.ioc:
            child.answer_due_ns = now_ns + config.request_timeout_ns
            child.query_due_ns = FAR
        else:
            child.answer_due_ns = FAR
            child.query_due_ns = now_ns + config.audit_ns

    def _ended(self, child: Child, reason: str, now_ns: int) -> None:
        child.done_ns = now_ns
        child.reason = reason or child.reason
        child.answer_due_ns = FAR
        child.queries = 0
        child.query_due_ns = (
            FAR if child.fills_complete else now_ns + self._config.query_interval_ns
        )
        child.no_amend()
