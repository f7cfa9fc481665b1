"""RiskManager: the one gate between a decision and a venue.

Venues accept ``Approved[...]`` only, and open only what this gate has given. Every check runs on every
order; the first failure is the reason; nothing is resized. See docs/reference/risk-checks.md.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, cast

from citadel_micro.core.model.approval import Approvals
from citadel_micro.core.model.commands import AmendOrder, Note, Persist, PlaceOrder, PublishRisk
from citadel_micro.core.risk.check_context import Case
from citadel_micro.core.risk.circuit_breakers import (
    GLOBAL,
    Breakers,
    check_scope,
    symbol_scope,
)
from citadel_micro.core.risk.codes import TRAITS, TRIPS
from citadel_micro.core.risk.table import describes, judge_all, judge_held
from citadel_micro.core.risk.types import (
    CheckResult,
    LeaseAction,
    RiskCommand,
    RiskRequest,
    RiskView,
    Verdict,
)
from citadel_proto.errors import BadInput, InvariantError
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.model.approval import Approved
    from citadel_micro.core.model.events import OperatorCommand
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.codes import State

__all__ = [
    "CheckResult",
    "LeaseAction",
    "RiskCommand",
    "RiskManager",
    "RiskRequest",
    "RiskView",
    "Verdict",
    "make_breakers",
]

_OPERATOR_TRIPS = {
    "pause": RiskCode.OPERATOR_PAUSE,
    "halt": RiskCode.OPERATOR_HALT,
    "kill": RiskCode.OPERATOR_KILL,
}


def make_breakers(limits: RiskLimits) -> Breakers:
    """Breakers with the times that the limits name."""
    return Breakers(
        healthy_ns=limits.healthy_ns,
        cooldown_ns=limits.cooldown_ns,
        probation_parents=limits.probation_parents,
    )


class RiskManager:
    """Judges orders, watches losses, leases and feeds, and holds the breakers.

    Every method that returns commands has changed state already; the caller only passes them on.
    """

    def __init__(self, limits: RiskLimits, breakers: Breakers | None = None) -> None:
        self.limits = limits
        self.breakers = make_breakers(limits) if breakers is None else breakers
        self.lease_action = LeaseAction.NONE
        """What the last ``on_tick`` found about the lease."""
        self._limits_epoch = 0
        self._approvals = Approvals(lambda: self.risk_epoch)
        self._armed: dict[str, bool] = {}
        self._warned: dict[str, bool] = {}
        self._feed_down_ns: dict[tuple[str, str], tuple[int, str]] = {}
        self._feed_seen: dict[tuple[str, str], None] = {}
        """Books that were LIVE once; the first snapshot of many takes its time at the start."""
        self._rejects: dict[tuple[str, str], deque[int]] = {}
        self._rebase_peak = False
        self._persisted = self.breakers.version

    # judging

    def judge(self, request: RiskRequest, view: RiskView, now_ns: int) -> Verdict:
        """Run every check on one order; changes nothing."""
        return self._judge(request, view, now_ns, None).verdict()

    def judge_held(self, request: RiskRequest, view: RiskView, now_ns: int) -> Verdict:
        """Run on a stop what does not depend on the market that will trigger it; changes nothing.

        Its orders are judged in full when they are sent. It can only reduce, so the checks that
        verified reductions skip are skipped, whether or not the position is there yet.
        """
        state = self.breakers.state(request.venue, request.symbol, request.strategy)
        case = self._case(request, view, now_ns, state, None)
        held_lots = view.held_lots(request.venue, request.symbol, request.side)
        judge_held(case, held_lots)
        return case.verdict()

    def approve_place(
        self, order: PlaceOrder, request: RiskRequest, view: RiskView, now_ns: int
    ) -> Approved[PlaceOrder] | Verdict:
        """Judge a new child order; an approval to send it once, or the verdict that denies it.

        Raises InvariantError when the request does not describe the order.
        """
        describes(request, order)
        if order.time_in_force == "IOC" and not request.ioc:
            raise InvariantError(f"{order.client_id} is IOC, its risk request is not")
        case = self._judge(request, view, now_ns, order.expires_ns)
        if case.denied or case.market is None:
            return case.verdict()
        return self._approvals.issue(order, book_seq=case.market.last_seq)

    def approve_amend(
        self, order: AmendOrder, request: RiskRequest, view: RiskView, now_ns: int
    ) -> Approved[AmendOrder] | Verdict:
        """Judge the change of a resting child; ``quantity_lots`` of both is the new total.

        Raises InvariantError when the request does not describe the order.
        """
        describes(request, order)
        case = self._judge(request, view, now_ns, order.expires_ns)
        if case.denied or case.market is None:
            return case.verdict()
        return self._approvals.issue(order, book_seq=case.market.last_seq)

    def still_valid(self, approved: Approved[PlaceOrder] | Approved[AmendOrder]) -> bool:
        """Whether this gate gave it, and nothing was tripped, reset or reconfigured since.

        To be asked at the moment of sending; what is not valid any more is not sent.
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
        """The worst state of all scopes that such an order is under."""
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
        """Whether a working order has to be cancelled: by its state, or by a lost lease.

        ``exit_order``: it was admitted as a verified reduction. ``unwatched``: its own macro has
        been silent for longer than the hard lease. ``through_halt``: it is a flattening that was
        asked to pass a halt.
        """
        state = self.effective_state(venue, symbol, strategy)
        if state == "KILLED" or (state == "HALTED" and not through_halt):
            return True
        silent = unwatched or self.lease_action is LeaseAction.CANCEL_ENTRIES
        return (silent or state == "REDUCING") and not exit_order

    def beat_state(self) -> Literal["active", "reducing", "halted", "killed"]:
        """The global state in the words of a heartbeat."""
        state = self.breakers.scope_state(GLOBAL)
        if state == "KILLED":
            return "killed"
        if state == "HALTED":
            return "halted"
        return "reducing" if state == "REDUCING" else "active"

    # what happened

    def trip(self, code: str, scope: str, reason: str, now_ns: int) -> list[RiskCommand]:
        """Trip a breaker: OVERFILL, POSITION_MISMATCH, JOURNAL_FAULT ... (``codes.TRIPS``).

        Raises InvariantError for another code, BadInput for a scope that cannot be.
        """
        if code not in TRIPS:
            raise InvariantError(f"there is no breaker {code}")
        self.breakers.trip(code, check_scope(scope), reason, now_ns)
        return self._changes()

    def on_tick(self, view: RiskView, now_ns: int) -> list[RiskCommand]:
        """Look at losses, the lease and the feeds; let due resets happen.

        Sets ``lease_action``. To be called at least once a second, and after every fill.
        """
        commands = self._watch_losses(view, now_ns)
        self._watch_lease(view, now_ns)
        self._watch_feeds(now_ns)
        self.breakers.advance(now_ns, reconciled=not view.reconciling)
        return commands + self._changes()

    def on_feed(
        self, venue: str, symbol: str, now_ns: int, *, live: bool, reason: str
    ) -> list[RiskCommand]:
        """Take a book's change to or from LIVE; its breaker trips when it stays away.

        One that was never LIVE trips nothing: check 7 refuses orders on it anyway.
        """
        key = (venue, symbol)
        if live:
            self._feed_seen[key] = None
            self._feed_down_ns.pop(key, None)
        elif key in self._feed_seen:
            self._feed_down_ns.setdefault(key, (now_ns, reason))
        self.breakers.healthy(
            RiskCode.STALE_FEED, symbol_scope(venue, symbol), now_ns, healthy=live
        )
        return self._changes()

    def on_venue_reject(self, venue: str, symbol: str, now_ns: int) -> list[RiskCommand]:
        """Count an order that the venue refused (post-only refusals are no fault: leave out)."""
        times = self._rejects.setdefault((venue, symbol), deque(maxlen=self.limits.reject_burst))
        times.append(now_ns)
        full = len(times) >= self.limits.reject_burst
        if not full or now_ns - times[0] > self.limits.reject_window_ns:
            return []
        times.clear()
        text = (
            f"{self.limits.reject_burst} orders refused within "
            f"{self.limits.reject_window_ns / 1e9:g} s"
        )
        return self.trip(RiskCode.REJECT_BURST, symbol_scope(venue, symbol), text, now_ns)

    def on_parent_done(
        self, venue: str, symbol: str, strategy: str, *, clean: bool
    ) -> list[RiskCommand]:
        """Count a finished parent towards the end of probation; clean: no reject, no anomaly."""
        self.breakers.parent_done(venue, symbol, strategy, clean=clean)
        return self._changes()

    def on_reconciled(self, venue: str) -> list[RiskCommand]:
        """Note that a reconciliation with this venue was completed and explained everything."""
        self.breakers.reconciled(venue)
        return self._changes()

    def set_dms_armed(self, venue: str, *, armed: bool) -> None:
        """Note whether the venue's own dead man's switch is running for us."""
        self._armed[venue] = armed

    def replace_limits(self, limits: RiskLimits) -> None:
        """Judge by other limits from now on; approvals given before are void."""
        self.limits = limits
        self.breakers.healthy_ns = limits.healthy_ns
        self.breakers.cooldown_ns = limits.cooldown_ns
        self.breakers.probation_parents = limits.probation_parents
        self._rejects.clear()
        self._limits_epoch += 1

    def on_operator(self, command: OperatorCommand, now_ns: int) -> list[RiskCommand]:
        """Pause, halt, kill or reset; other actions are the engine's and give nothing here.

        A command that cannot be carried out changes nothing and becomes an error note.
        """
        try:
            if command.action in _OPERATOR_TRIPS:
                scope = check_scope(command.scope)
                code = _OPERATOR_TRIPS[command.action]
                self.breakers.trip(code, scope, command.reason, now_ns)
            elif command.action == "reset":
                trip = self.breakers.reset(command.trip_id, command.reason, now_ns)
                if trip.code == RiskCode.DRAWDOWN:
                    # The fall is accepted by name; without a new peak it would trip again.
                    self._rebase_peak = True
            else:
                return []
        except BadInput as error:
            fields = (("action", command.action), ("error", str(error)))
            return [Note(level="error", event="operator_command_refused", fields=fields)]
        return self._changes()

    # durable state

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``restore`` makes a gate that judges the same."""
        return {
            "breakers": self.breakers.to_state(),
            "limits_epoch": self._limits_epoch,
            "warned": sorted(code for code, warned in self._warned.items() if warned),
            "feed_down": [[v, s, ns, why] for (v, s), (ns, why) in self._feed_down_ns.items()],
            "feed_seen": [list(key) for key in self._feed_seen],
            "rejects": [[v, s, list(times)] for (v, s), times in self._rejects.items()],
            "rebase_peak": self._rebase_peak,
        }

    def restore(self, state: dict[str, object]) -> list[RiskCommand]:
        """Take over what ``to_state`` gave; returns what to publish. Switches are unarmed."""
        self.breakers.load(cast("dict[str, object]", state["breakers"]))
        self._limits_epoch = cast("int", state["limits_epoch"])
        self._warned = dict.fromkeys(cast("list[str]", state["warned"]), True)
        self._feed_down_ns = {
            (v, s): (ns, why)
            for v, s, ns, why in cast("list[tuple[str, str, int, str]]", state["feed_down"])
        }
        seen = cast("list[tuple[str, str]]", state.get("feed_seen", []))
        self._feed_seen = dict.fromkeys((v, s) for v, s in seen)
        self._rejects = {
            (v, s): deque(times, maxlen=self.limits.reject_burst)
            for v, s, times in cast("list[tuple[str, str, list[int]]]", state["rejects"])
        }
        self._rebase_peak = cast("bool", state["rebase_peak"])
        self._armed.clear()
        return self._changes()

    def publish_all(self) -> list[PublishRisk]:
        """State of the global scope and of every scope with a trip."""
        scopes = dict.fromkeys((GLOBAL, *self.breakers.scopes()))
        return [self._published(scope) for scope in scopes]

    # inside

    def _judge(
        self, request: RiskRequest, view: RiskView, now_ns: int, order_expires_ns: int | None
    ) -> Case:
        state = self.breakers.state(request.venue, request.symbol, request.strategy)
        case = self._case(request, view, now_ns, state, order_expires_ns)
        judge_all(case)
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
            dms_armed=self._armed.get(request.venue, False),
            now_ns=now_ns,
            order_expires_ns=order_expires_ns,
        )

    def _watch_losses(self, view: RiskView, now_ns: int) -> list[RiskCommand]:
        portfolio, limits = view.portfolio, self.limits
        profit = portfolio.observe(now_ns)
        if profit is None:
            return []
        if self._rebase_peak:
            self._rebase_peak = False
            portfolio.curve.rebase_peak()
            self.breakers.version += 1
        commands: list[RiskCommand] = []
        curve = portfolio.curve
        for code, loss, most in (
            (RiskCode.DAILY_LOSS, curve.daily_loss(profit), limits.max_daily_loss),
            (RiskCode.ROLLING_LOSS, curve.rolling_loss(profit), limits.max_rolling_loss),
            (RiskCode.DRAWDOWN, curve.drawdown(profit), limits.max_drawdown),
        ):
            text = f"loss of {loss:.2f} {limits.reporting_currency}, limit {most}"
            if loss >= most:
                tripped = self.breakers.find(code, GLOBAL)
                if tripped is None or tripped.phase != "tripped":
                    self.breakers.trip(code, GLOBAL, text, now_ns)
            near = loss >= most * limits.warn_fraction
            if near and not self._warned.get(code, False):
                fields = (("code", code), ("loss", str(loss)), ("limit", str(most)))
                commands.append(Note(level="warning", event="loss_near_limit", fields=fields))
            self._warned[code] = near
        return commands

    def _watch_lease(self, view: RiskView, now_ns: int) -> None:
        limits = self.limits
        age = view.lease_age_ns(now_ns)
        if not limits.lease_required:
            action = LeaseAction.NONE
        elif age is None:
            # Never heard: nothing of ours can be working for it, so there is nothing to cancel.
            action = LeaseAction.NO_NEW_PARENTS
        elif age > limits.lease_hard_ns:
            action = LeaseAction.CANCEL_ENTRIES
        elif age > limits.lease_soft_ns:
            action = LeaseAction.NO_NEW_PARENTS
        else:
            action = LeaseAction.NONE
        self.lease_action = action
        if action is LeaseAction.CANCEL_ENTRIES:
            text = f"no heartbeat of macro for {limits.lease_hard_ns / 1e9:g} s"
            self.breakers.trip(RiskCode.LEASE_LOST, GLOBAL, text, now_ns)
        healthy = action is LeaseAction.NONE
        self.breakers.healthy(RiskCode.LEASE_LOST, GLOBAL, now_ns, healthy=healthy)

    def _watch_feeds(self, now_ns: int) -> None:
        for (venue, symbol), (since_ns, reason) in self._feed_down_ns.items():
            if now_ns - since_ns >= self.limits.feed_trip_ns:
                scope = symbol_scope(venue, symbol)
                self.breakers.trip(RiskCode.STALE_FEED, scope, reason, now_ns)

    def _changes(self) -> list[RiskCommand]:
        """Publish and persist what changed since the last call."""
        scopes = self.breakers.take_changed()
        commands: list[RiskCommand] = [self._published(scope) for scope in scopes]
        if self.breakers.version != self._persisted:
            self._persisted = self.breakers.version
            commands.append(Persist(key="risk", value=self.to_state()))
        return commands

    def _published(self, scope: str) -> PublishRisk:
        trip = self.breakers.worst(scope)
        if trip is None:
            return PublishRisk(
                scope=scope,
                state="ACTIVE",
                trip_id="",
                code="",
                reason="",
                manual_reset=False,
                since_ns=0,
            )
        return PublishRisk(
            scope=scope,
            state=trip.state,
            trip_id=trip.trip_id,
            code=trip.code,
            reason=trip.reason,
            manual_reset=TRAITS[RiskCode(trip.code)].by_hand,
            since_ns=trip.since_ns,
        )
