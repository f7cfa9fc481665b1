"""Reject policy: what a parent does when the gate, the budget or the venue rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.algos.base import Finish
from citadel_micro.core.execution.report_handler import post_only_pause_ns
from citadel_micro.core.model.approval import VOID
from citadel_micro.core.model.time_units import MS
from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_micro.core.risk.codes import ENDS_ENTRY
from citadel_proto.reason_codes import DUST, INSUFFICIENT_FUNDS, RiskCode

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.algos.base import Wait
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.order_sender import Denied
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.types import Verdict

_P, _V = ParentState, ParentEvent
BUSY: Final = "POSITION_BUSY"
"""It waits for lots of the position that other orders have reserved."""
POST_ONLY_LIMIT: Final = 5
REJECT_BACKOFF_NS: Final = 100 * MS
REJECT_LIMIT: Final = 5
RATE_PAUSE_NS: Final = 1_000 * MS
LOOK_PAUSE_NS: Final = 2_000 * MS
"""For the venue's answer about a position that it says does not exist."""


class Resync(NamedTuple):
    """The book is wrong, and is to be resynchronized."""

    reason: str


class RejectPolicy:
    """Waits, gives up, or retries less aggressively.

    An end of the parent, or a resync, is returned, and done by the caller.
    """

    def __init__(self, context: EngineContext) -> None:
        self._config = context.config
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out

    def denied(self, parent: Parent, denied: Denied, now_ns: int) -> Finish | None:
        """No order was sent: how the parent ends, or None where it waits."""
        verdict = denied.verdict
        if verdict is not None:
            return self._refused(parent, verdict, now_ns)
        if denied.until_ns:
            text = "the venue's message rate"
            self.pause(parent, RiskCode.MESSAGE_RATE, text, denied.until_ns)
        elif not denied.dust:
            text = "other orders are reducing the position"
            self.pause(parent, BUSY, text, now_ns + self._config.gate_retry_ns)
        elif parent.exits:
            return self._leave_rest(parent)
        elif parent.filled:
            return Finish(_V.DUST, DUST, "the rest is below the venue's minimum")
        else:
            return Finish(_V.CANCEL, RiskCode.BELOW_MIN, "below the venue's minimum at this price")
        return None

    def _leave_rest(self, parent: Parent) -> Finish:
        """End an exit that can place nothing more: no position is left, or too little for an order."""
        rules = parent.rules
        held = self._held(parent)
        if held <= 0:
            text = "there is no position left to reduce"
            end = _V.DUST if parent.filled else _V.CANCEL
            return Finish(end, "POSITION_CLOSED", text)
        rest = min(held, rules.quantity(parent.available)) * rules.contract_size
        text = f"a rest of {rest} {rules.base} cannot leave: it is below the venue's minimum"
        self._out.note("warning", "dust_left", signal_id=parent.id, rest=str(rest))
        return Finish(_V.DUST, DUST, text)

    def _held(self, parent: Parent) -> Decimal:
        """The position left to reduce, without what it has sold of it already."""
        rules = parent.rules
        held = self._view.portfolio.quantity(rules.venue, rules.symbol) * -parent.sign
        return held - rules.quantity(parent.unbooked)

    def _refused(self, parent: Parent, verdict: Verdict, now_ns: int) -> Finish | None:
        exits = parent.exits
        if verdict.code in ENDS_ENTRY and not exits and not verdict.unknown:
            parent.permitted = verdict.permitted_lots
            end = _V.CANCEL if parent.children else _V.DENY
            return Finish(end, verdict.code, verdict.reason)
        until_ns = now_ns + self._config.gate_retry_ns
        self.pause(parent, verdict.code, verdict.reason, until_ns)
        return None

    def pause(self, parent: Parent, code: str, reason: str, until_ns: int) -> None:
        """Place nothing before a time, and report why."""
        parent.resume_ns = until_ns
        parent.reason_code, parent.reason = code, reason
        if parent.state is _P.READY:
            parent.paused = True

    def wait(self, parent: Parent, wait: Wait, now_ns: int) -> Finish | None:
        """Report what an algorithm waits for; it is called again with every change of the market.

        An exit whose price does not come, and whose position others have sold meanwhile, ends:
        otherwise it would wait for the next position.
        """
        idle = wait.code == "NOT_MARKETABLE" and not parent.live and parent.fills_complete
        if idle and parent.exits and self._held(parent) < parent.rules.lot:
            return self._leave_rest(parent)
        known = parent.state is _P.PAUSED and parent.reason_code == wait.code
        if not known and not parent.live and now_ns >= parent.resume_ns:
            self.pause(parent, wait.code, wait.reason, 0)
            self._order_store.touch(parent)
        return None

    def by_venue(
        self, parent: Parent, child: Child, inst: InstrumentState, now_ns: int
    ) -> Finish | Resync | None:
        """The venue certainly rejected an order."""
        code, _, text = child.reason.partition(": ")
        self._out.note("warning", "order_rejected", client_id=child.client_id, code=code, text=text)
        if code == VOID:  # ours, not the venue's
            parent.resume_ns = now_ns + self._config.gate_retry_ns
            return None
        if code == "POST_ONLY":
            parent.post_only_rejects += 1
            parent.resume_ns = now_ns + post_only_pause_ns(parent)
            parent.await_book(inst.book_id(), now_ns)
            if parent.post_only_rejects % POST_ONLY_LIMIT == 0:
                parent.resume_ns = now_ns + RATE_PAUSE_NS
                return Resync(f"{POST_ONLY_LIMIT} post-only orders in a row would have taken")
            return None
        if code == "NOT_FILLED":  # the answer that a fill or kill asks for
            return None
        limited = code == "RATE_LIMIT"  # it was not accepted, and the order is not at fault
        if not limited or inst.venue.counts_rate_limits:
            self._out.commands.extend(self._risk.on_venue_reject(*inst.key, now_ns))
        if limited:
            parent.resume_ns = now_ns + RATE_PAUSE_NS
            return None
        parent.rejects += 1
        parent.resume_ns = now_ns + (REJECT_BACKOFF_NS << min(parent.rejects, 5))
        if code == "NOTHING_TO_REDUCE":
            # The position is smaller than we think, or others reduce it already: check it first.
            self._order_store.doubted[inst.key] = None
            parent.resume_ns = now_ns + LOOK_PAUSE_NS
        exits = parent.exits
        if (code == INSUFFICIENT_FUNDS or parent.rejects >= REJECT_LIMIT) and (
            not exits or not parent.rank
        ):
            end = _V.CANCEL if parent.filled else _V.DENY
            return Finish(end, code or "VENUE_REJECT", text or child.reason)
        return None
