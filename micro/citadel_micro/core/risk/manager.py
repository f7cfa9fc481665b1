"""RiskManager: the one gate between a decision and a venue.

Venues accept ``Approved[...]`` only, and redeem only what this gate has issued. Every check runs on
every order; the first failure is the reason; nothing is resized. See docs/reference/risk-checks.md.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, cast

from citadel_micro.core.model.approval import Approvals
from citadel_micro.core.model.commands import AmendOrder, Note, Persist, PlaceOrder, PublishRisk
from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.risk.budgets import Budgets
from citadel_micro.core.risk.check_context import Case
from citadel_micro.core.risk.circuit_breakers import (
    GLOBAL,
    Breakers,
    check_scope,
    symbol_scope,
)
from citadel_micro.core.risk.codes import TRIPS
from citadel_micro.core.risk.conduct import Conduct
from citadel_micro.core.risk.plain_orders import PlainOrders
from citadel_micro.core.risk.risk_messages import risk_message
from citadel_micro.core.risk.table import describes, judge_all, judge_held
from citadel_micro.core.risk.types import (
    CheckResult,
    LeaseAction,
    RiskCommand,
    RiskRequest,
    RiskView,
    Verdict,
)
from citadel_micro.core.risk.watches import FeedWatch, LossWatch, watch_lease
from citadel_proto.errors import BadInput, InvariantError
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from citadel_micro.core.model.approval import Approved, OrderT
    from citadel_micro.core.model.events import OperatorCommand
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.portfolio.position import Position
    from citadel_micro.core.risk.codes import State
    from citadel_micro.core.risk.conduct import Cause

__all__ = [
    "CheckResult", "LeaseAction", "RiskCommand", "RiskManager", "RiskRequest", "RiskView", "Verdict",
]  # fmt: skip

_OPERATOR_TRIPS = {
    "pause": RiskCode.OPERATOR_PAUSE, "halt": RiskCode.OPERATOR_HALT, "kill": RiskCode.OPERATOR_KILL
}  # fmt: skip


class RiskManager:
    """Checks orders, watches losses, leases and feeds, and holds the breakers.

    Every method that returns commands has changed state already; the caller only passes them on.
    """

    def __init__(self, limits: RiskLimits, breakers: Breakers | None = None) -> None:
        self.limits = limits
        if breakers is None:
            breakers = Breakers(
                healthy_ns=limits.healthy_ns,
                cooldown_ns=limits.cooldown_ns,
                probation_parents=limits.probation_parents,
            )
        self.breakers = breakers
        self.lease_action = LeaseAction.NONE
        """What the last ``on_tick`` found about the lease."""
        self._limits_epoch = 0
        self._approvals = Approvals(lambda: self.risk_epoch)
        self.dms_armed: dict[str, bool] = {}
        self._losses = LossWatch(self.breakers)
        self._feeds = FeedWatch(self.breakers)
        self._rejects: dict[tuple[str, str], deque[int]] = {}
        self.watch: Callable[[Case], None] | None = None
        """Shown every order that was judged, to explain it."""
        self.conduct = Conduct()
        self.budgets = Budgets()
        self._plain = PlainOrders()
        self._persisted = self.breakers.version

    # checking

    def judge(self, request: RiskRequest, view: RiskView, now_ns: int) -> Verdict:
        """Run every check on one order; changes nothing."""
        return self._judge(request, view, now_ns, None).verdict()

    def admit(self, request: RiskRequest, view: RiskView, now_ns: int) -> Verdict:
        """``judge`` of a parent at its admission; of one that is plain without its rows."""
        verdict = None
        if self.watch is None:  # else somebody wants to see every check
            verdict = self._plain.admits(
                request,
                view,
                self.limits,
                breakers=self.breakers,
                armed=self.dms_armed.get(request.venue, False),
                conduct=self.conduct,
                now_ns=now_ns,
            )
        return self.judge(request, view, now_ns) if verdict is None else verdict

    def judge_held(self, request: RiskRequest, view: RiskView, now_ns: int) -> Verdict:
        """Run on a stop what does not depend on the market at its trigger; changes nothing.

        Its orders are checked in full when they are sent. It can only reduce, so the checks that
        verified reductions skip are skipped, whether or not the position exists yet.
        """
        state = self.breakers.state(request.venue, request.symbol, request.strategy)
        case = self._case(request, view, now_ns, state, None)
        held_lots = view.held_lots(request.venue, request.symbol, request.side)
        judge_held(case, held_lots)
        return case.verdict()

    def approve_place(
        self, order: PlaceOrder, request: RiskRequest, view: RiskView, now_ns: int
    ) -> Approved[PlaceOrder] | Verdict:
        """Check a new child order; an approval to send it once, or the verdict that denies it.

        Raises InvariantError when the request does not describe the order.
        """
        describes(request, order)
        if order.time_in_force != "GTC" and not request.ioc:
            raise InvariantError(
                f"{order.client_id} is {order.time_in_force}, its risk request is not"
            )
        return self._approve(order, request, view, now_ns)

    def approve_amend(
        self, order: AmendOrder, request: RiskRequest, view: RiskView, now_ns: int
    ) -> Approved[AmendOrder] | Verdict:
        """Check an amend of a resting child; ``quantity_lots`` of both is the new total.

        Raises InvariantError when the request does not describe the order.
        """
        describes(request, order)
        return self._approve(order, request, view, now_ns)

    def still_valid(self, approved: Approved[PlaceOrder] | Approved[AmendOrder]) -> bool:
        """Whether this gate issued it, and nothing was tripped, reset or reconfigured since.

        To be called at the moment of sending; an invalid one is not sent.
        """
        return self._approvals.valid(approved)

    def open(
        self, approved: Approved[PlaceOrder] | Approved[AmendOrder]
    ) -> PlaceOrder | AmendOrder:
        """The order of an approval of this gate, once, for an adapter to send.

        Raises InvariantError for any other, and for one that is void.
        """
        if approved.given_by is not self._approvals:
            raise InvariantError(f"{approved!r} was never given by this gate")
        return approved.spend()

    @property
    def risk_epoch(self) -> int:
        """Grows with every change of breakers or limits, over restarts too."""
        return self._limits_epoch + self.breakers.epoch

    def effective_state(self, venue: str, symbol: str, strategy: str) -> State:
        """The strictest state of all scopes that cover such an order."""
        return self.breakers.state(venue, symbol, strategy)

    def must_cancel(
        self,
        venue: str,
        symbol: str,
        strategy: str,
        *,
        exit_order: bool,
        unwatched: bool = False,
        through_halt: bool = False,
    ) -> bool:
        """Whether a working order has to be canceled: by its state, or by a lost lease.

        ``exit_order``: it was admitted as a verified reduction. ``unwatched``: its own macro has
        been silent for longer than the hard lease. ``through_halt``: it is a flattening requested to
        pass a halt.
        """
        state = self.effective_state(venue, symbol, strategy)
        if state == "KILLED" or (state == "HALTED" and not through_halt):
            return True
        silent = unwatched or self.lease_action is LeaseAction.CANCEL_ENTRIES
        return (silent or state == "REDUCING") and not exit_order

    def beat_state(self) -> Literal["active", "reducing", "halted", "killed"]:
        """The global state in the terms of a heartbeat."""
        state = self.breakers.scope_state(GLOBAL)
        if state == "KILLED":
            return "killed"
        if state == "HALTED":
            return "halted"
        return "reducing" if state == "REDUCING" else "active"

    # updates

    def trip(self, code: str, scope: str, reason: str, now_ns: int) -> list[RiskCommand]:
        """Trip a breaker: OVERFILL, POSITION_MISMATCH, JOURNAL_FAULT ... (``codes.TRIPS``).

        Raises InvariantError for another code, BadInput for a scope that cannot be.
        """
        if code not in TRIPS:
            raise InvariantError(f"there is no breaker {code}")
        self.breakers.trip(code, check_scope(scope), reason, now_ns)
        return self._changes()

    def on_tick(self, view: RiskView, now_ns: int) -> list[RiskCommand]:
        """Check losses, the lease and the feeds; execute due resets.

        Sets ``lease_action``. To be called at least once a second, and after every fill.
        """
        notes = self._losses.check(view.portfolio, self.limits, now_ns)
        self.lease_action = watch_lease(view, self.limits, self.breakers, now_ns)
        self._feeds.check(self.limits, now_ns)
        if self.limits.flash_move_bps < UNUSED:
            for key, mid in view.portfolio.marks.items():
                cause = self.conduct.moved(key, mid, self.limits, now_ns)
                if cause is not None:
                    self.breakers.trip(*cause, now_ns)
        self.breakers.advance(now_ns, reconciled=not view.reconciling)
        return [*notes, *self._changes()]

    def on_feed(
        self, venue: str, symbol: str, now_ns: int, *, live: bool, reason: str
    ) -> list[RiskCommand]:
        """A book became LIVE, or is no longer; its breaker trips when it stays away.

        One that was never LIVE trips nothing: check 7 rejects orders on it anyway.
        """
        self._feeds.on_feed((venue, symbol), now_ns, live=live, reason=reason)
        return self._changes()

    def feed_dropped(self, venue: str, symbol: str) -> None:
        """A book is not followed any more, as intended: its absence trips nothing."""
        self._feeds.forget((venue, symbol))

    def on_venue_reject(self, venue: str, symbol: str, now_ns: int) -> list[RiskCommand]:
        """Count an order that the venue rejected (post-only rejects are no fault: leave out)."""
        if self.conduct.rejected(venue, self.limits, now_ns):
            self.breakers.version += 1
        times = self._rejects.setdefault((venue, symbol), deque(maxlen=self.limits.reject_burst))
        times.append(now_ns)
        full = len(times) >= self.limits.reject_burst
        if not full or now_ns - times[0] > self.limits.reject_window_ns:
            return self._changes()
        times.clear()
        text = (
            f"{self.limits.reject_burst} orders refused within "
            f"{self.limits.reject_window_ns / 1e9:g} s"
        )
        return self.trip(RiskCode.REJECT_BURST, symbol_scope(venue, symbol), text, now_ns)

    def on_admission(
        self, request: RiskRequest, verdict: Verdict, now_ns: int
    ) -> list[RiskCommand]:
        """Count a parent's admission, or its denial: one entry too many trips its symbol's breaker."""
        if verdict.ok and not verdict.reducing:
            if self.conduct.admitted(request, self.limits, now_ns):
                self.breakers.version += 1
                return self._changes()
        elif verdict.code == RiskCode.REPEATED_EXECUTION:
            return self.trip_for(self.conduct.repeated(request, self.limits), now_ns)
        return []

    def on_fill(
        self,
        key: tuple[str, str],
        change: Decimal,
        position: Position,
        *,
        dust: Decimal,
        whose: tuple[str, str],
    ) -> Cause | None:
        """Attribute a booked fill and judge the position after it; what it trips, if anything.

        Args:
            key: venue and symbol.
            change: of the position, signed.
            position: after the fill.
            dust: a smaller quantity counts as none.
            whose: the strategy and the owner of the order.
        """
        limits, quantity = self.limits, position.quantity
        self.conduct.filled(*key)
        strategy, owner = whose
        spent = self.budgets.booked(key, change, strategy=strategy, owner=owner, limits=limits)
        side = 0 if abs(quantity) < dust else 1 if quantity > 0 else -1
        kept, cause = self.conduct.position(key, side, position.realised, limits)
        self.breakers.version += spent or kept
        return cause

    def trip_for(self, cause: Cause | None, now_ns: int) -> list[RiskCommand]:
        """Trip what was found, if anything was."""
        return self._changes() if cause is None else self.trip(*cause, now_ns)

    def on_parent_done(
        self, venue: str, symbol: str, strategy: str, *, clean: bool
    ) -> list[RiskCommand]:
        """Count a finished parent towards the end of probation; clean: no reject, no anomaly."""
        self.breakers.parent_done(venue, symbol, strategy, clean=clean)
        return self._changes()

    def on_reconciled(self, venue: str) -> list[RiskCommand]:
        """Record that a reconciliation with this venue was completed and explained everything."""
        self.breakers.reconciled(venue)
        return self._changes()

    def set_dms_armed(self, venue: str, *, armed: bool) -> None:
        """Record whether the venue's own dead man's switch is armed for us."""
        self.dms_armed[venue] = armed

    def replace_limits(self, limits: RiskLimits) -> None:
        """Check against other limits from now on; approvals issued before are void."""
        self.limits = limits
        self.breakers.healthy_ns = limits.healthy_ns
        self.breakers.cooldown_ns = limits.cooldown_ns
        self.breakers.probation_parents = limits.probation_parents
        self._rejects.clear()
        self._limits_epoch += 1

    def on_operator(self, command: OperatorCommand, now_ns: int) -> list[RiskCommand]:
        """Pause, halt, kill or reset; other actions are the engine's and do nothing here.

        A command that cannot be executed changes nothing and becomes an error note.
        """
        try:
            if command.action in _OPERATOR_TRIPS:
                scope = check_scope(command.scope)
                code = _OPERATOR_TRIPS[command.action]
                self.breakers.trip(code, scope, command.reason, now_ns)
            elif command.action == "reset":
                trip = self.breakers.reset(command.trip_id, command.reason, now_ns)
                if trip.code == RiskCode.DRAWDOWN:
                    self._losses.rebase_peak = True
            else:
                return []
        except BadInput as error:
            fields = (("action", command.action), ("error", str(error)))
            return [Note(level="error", event="operator_command_refused", fields=fields)]
        return self._changes()

    # durable state

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``restore`` makes an equivalent gate."""
        later = {"conduct": self.conduct.to_state(), "budgets": self.budgets.to_state()}
        return {
            "breakers": self.breakers.to_state(),
            "limits_epoch": self._limits_epoch,
            "warned": sorted(code for code, warned in self._losses.warned.items() if warned),
            **self._feeds.to_state(),
            "rejects": [[v, s, list(times)] for (v, s), times in self._rejects.items()],
            "rebase_peak": self._losses.rebase_peak,
            # Left out where there is nothing, as in journals of earlier versions.
            **{name: value for name, value in later.items() if value},
        }

    def restore(self, state: dict[str, object]) -> list[RiskCommand]:
        """Restore what ``to_state`` gave; returns what to publish. Switches are unarmed."""
        self.breakers.load(cast("dict[str, object]", state["breakers"]))
        self._limits_epoch = cast("int", state["limits_epoch"])
        self._losses.warned = dict.fromkeys(cast("list[str]", state["warned"]), True)
        self._feeds.load(state)
        self._rejects = {
            (v, s): deque(times, maxlen=self.limits.reject_burst)
            for v, s, times in cast("list[tuple[str, str, list[int]]]", state["rejects"])
        }
        self._losses.rebase_peak = cast("bool", state["rebase_peak"])
        self.conduct.load(cast("dict[str, object]", state.get("conduct", {})))
        self.budgets.load(state.get("budgets", []))
        self.dms_armed.clear()
        return self._changes()

    def publish_all(self) -> list[PublishRisk]:
        """State of the global scope and of every scope with a trip."""
        scopes = dict.fromkeys((GLOBAL, *self.breakers.scopes()))
        return [risk_message(self.breakers, scope) for scope in scopes]

    # inside

    def _approve(
        self, order: OrderT, request: RiskRequest, view: RiskView, now_ns: int
    ) -> Approved[OrderT] | Verdict:
        market = None
        if self.watch is None:  # else somebody wants to see every check
            market = self._plain.passes(
                request,
                view,
                self.limits,
                breakers=self.breakers,
                armed=self.dms_armed.get(request.venue, False),
                conduct=self.conduct,
                now_ns=now_ns,
                expires_ns=order.expires_ns,
            )
        if market is None:
            case = self._judge(request, view, now_ns, order.expires_ns)
            market = case.market
            if case.denied or market is None:
                return case.verdict()
        self.conduct.sent(request, self.limits, now_ns)
        return self._approvals.issue(order, book_seq=market.last_seq)

    def _judge(
        self, request: RiskRequest, view: RiskView, now_ns: int, order_expires_ns: int | None
    ) -> Case:
        state = self.breakers.state(request.venue, request.symbol, request.strategy)
        case = self._case(request, view, now_ns, state, order_expires_ns)
        judge_all(case, self.conduct, self.budgets)
        if self.watch is not None:
            self.watch(case)
        return case

    def _case(
        self,
        request: RiskRequest,
        view: RiskView,
        now_ns: int,
        state: State,
        order_expires_ns: int | None,
    ) -> Case:
        return Case(
            request,
            view,
            self.limits,
            state=state,
            dms_armed=self.dms_armed.get(request.venue, False),
            now_ns=now_ns,
            order_expires_ns=order_expires_ns,
        )

    def _changes(self) -> list[RiskCommand]:
        """Publish and persist what changed since the last call."""
        scopes = self.breakers.take_changed()
        commands: list[RiskCommand] = [risk_message(self.breakers, scope) for scope in scopes]
        if self.breakers.version != self._persisted:
            self._persisted = self.breakers.version
            commands.append(Persist(key="risk", value=self.to_state()))
        return commands
