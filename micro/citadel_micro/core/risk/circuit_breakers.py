"""Circuit breakers: trading restrictions after something went wrong.

A *trip* puts one scope into a state, and every trip has its own reset:

=============  ==========================================================  ==================
reset class    codes                                                       way back
=============  ==========================================================  ==================
automatic      STALE_FEED, LEASE_LOST                                      10 s healthy and
                                                                           reconciled → gone
timed          REJECT_BURST, LOSS_STREAK, FLASH_MOVE, LATENCY              60 s → PROBATION
manual         DAILY_LOSS, ROLLING_LOSS, DRAWDOWN, REPEATED_EXECUTION,     trip id and reason
               OPERATOR_PAUSE, OPERATOR_HALT, FORCED_CLOSE,                → PROBATION
               SHARED_POSITION
reconcile      OVERFILL, POSITION_MISMATCH, JOURNAL_FAULT,                 the same, after a
               VENUE_ANOMALY                                               reconciliation
kill           OPERATOR_KILL                                               the same twice:
                                                                           → HALTED →
                                                                           PROBATION
=============  ==========================================================  ==================

PROBATION ends after three clean parents. The state of an order is the strictest of all trips whose
scope covers it. Time only moves forward in here: a clock that is set back unlocks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from citadel_micro.core.risk.codes import TRIPS, ResetClass, State
from citadel_proto.errors import BadInput

Phase = Literal["tripped", "disarmed", "probation"]

SEVERITY: dict[State, int] = {
    "ACTIVE": 0,
    "PROBATION": 1,
    "REDUCING": 2,
    "HALTED": 3,
    "KILLED": 4,
}

GLOBAL = "global"


def venue_scope(venue: str) -> str:
    """All orders of one venue."""
    return f"venue:{venue}"


def symbol_scope(venue: str, symbol: str) -> str:
    """All orders of one symbol on one venue."""
    return f"symbol:{venue}:{symbol}"


def strategy_scope(strategy: str) -> str:
    """All orders of one strategy."""
    return f"strategy:{strategy}"


def check_scope(scope: str) -> str:
    """Return the scope, ``global`` for an empty one. Raises BadInput when it cannot be one."""
    kind, _, rest = scope.partition(":")
    venue, colon, symbol = rest.partition(":")
    good = {
        "": not rest,
        GLOBAL: not rest,
        "venue": bool(rest),
        "symbol": bool(venue and colon and symbol),
        "strategy": bool(rest),
    }
    if not good.get(kind, False):
        raise BadInput(
            f"risk scope {scope!r} does not exist",
            allowed="global, venue:<id>, symbol:<venue>:<symbol>, strategy:<name>",
            mend="name one of these",
        )
    return scope or GLOBAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One reason why a scope is not ACTIVE. Times in ns on the engine's clock."""

    trip_id: str
    code: str
    scope: str
    reason: str
    phase: Phase
    since_ns: int
    healthy_since_ns: int | None
    """Automatic: since when its cause has been gone without a relapse."""
    reconciled: bool
    """Reconcile: a reconciliation was completed after the trip."""
    clean_left: int
    """Probation: clean parents still to come."""
    reset_reason: str

    @property
    def state(self) -> State:
        """What this trip alone permits."""
        if self.phase == "probation":
            return "PROBATION"
        if self.phase == "disarmed":
            return "HALTED"
        return TRIPS[self.code][0]

    @property
    def reset_class(self) -> ResetClass:
        """How it is reset."""
        return TRIPS[self.code][1]

    def covers(self, venue: str, symbol: str, strategy: str) -> bool:
        """Whether an order of these three is under this trip."""
        return self.scope in (
            GLOBAL,
            venue_scope(venue),
            symbol_scope(venue, symbol),
            strategy_scope(strategy),
        )


class Breakers:
    """All trips of one engine, oldest first.

    Args:
        healthy_ns: how long the cause of an automatic trip must be gone.
        cooldown_ns: how long a timed trip lasts.
        probation_parents: clean parents that end a probation.
    """

    def __init__(self, *, healthy_ns: int, cooldown_ns: int, probation_parents: int) -> None:
        self.healthy_ns = healthy_ns
        self.cooldown_ns = cooldown_ns
        self.probation_parents = probation_parents
        self.trips: tuple[Trip, ...] = ()
        self.epoch = 0
        """Grows with every change of what is permitted."""
        self.version = 0
        """Grows with every change that must survive a restart."""
        self._now_ns = 0
        self._next_id = 1
        self._touched: dict[str, None] = {}

    # queries

    def state(self, venue: str, symbol: str, strategy: str) -> State:
        """The strictest state of all scopes that cover such an order."""
        worst: State = "ACTIVE"
        for trip in self.trips:
            if trip.covers(venue, symbol, strategy) and SEVERITY[trip.state] > SEVERITY[worst]:
                worst = trip.state
        return worst

    def scope_state(self, scope: str) -> State:
        """State of one scope by itself, without those around it."""
        worst = self.worst(scope)
        return "ACTIVE" if worst is None else worst.state

    def worst(self, scope: str) -> Trip | None:
        """The trip that decides a scope's state, the oldest of equals."""
        worst: Trip | None = None
        for trip in self.trips:
            if trip.scope == scope and (
                worst is None or SEVERITY[trip.state] > SEVERITY[worst.state]
            ):
                worst = trip
        return worst

    def scopes(self) -> tuple[str, ...]:
        """Every scope with a trip, in the order of their oldest."""
        return tuple(dict.fromkeys(trip.scope for trip in self.trips))

    def find(self, code: str, scope: str) -> Trip | None:
        """The trip of this code and scope, whatever its phase."""
        for trip in self.trips:
            if trip.code == code and trip.scope == scope:
                return trip
        return None

    # changes

    def trip(self, code: str, scope: str, reason: str, now_ns: int) -> Trip:
        """Trip a scope, or renew the existing trip.

        A trip being reset is tripped again under a new id, so that a reset that was meant for
        the first cannot clear the second. ``code`` is a key of ``TRIPS``.
        """
        now = self._advance_clock(now_ns)
        old = self.find(code, scope)
        if old is not None and old.phase == "tripped":
            renewed = replace(old, since_ns=self._renewed_since(old, now), healthy_since_ns=None)
            renewed = replace(renewed, reconciled=False)
            if renewed != old:
                self._put(old, renewed)
            return renewed
        new = Trip(
            trip_id=f"trip-{self._next_id}",
            code=code,
            scope=scope,
            reason=reason,
            phase="tripped",
            since_ns=now,
            healthy_since_ns=None,
            reconciled=False,
            clean_left=0,
            reset_reason="",
        )
        self._next_id += 1
        self._put(old, new)
        self.epoch += 1
        return new

    def healthy(self, code: str, scope: str, now_ns: int, *, healthy: bool) -> None:
        """Report whether the cause of an automatic trip is gone. Unknown trips are ignored."""
        now = self._advance_clock(now_ns)
        trip = self.find(code, scope)
        if trip is None or trip.reset_class != "automatic":
            return
        if healthy and trip.healthy_since_ns is None:
            self._put(trip, replace(trip, healthy_since_ns=now))
        elif not healthy and trip.healthy_since_ns is not None:
            self._put(trip, replace(trip, healthy_since_ns=None))

    def advance(self, now_ns: int, *, reconciled: bool) -> None:
        """Execute the automatic and timed resets that are due."""
        now = self._advance_clock(now_ns)
        for trip in self.trips:
            if trip.phase != "tripped":
                continue
            if trip.reset_class == "automatic":
                since = trip.healthy_since_ns
                if reconciled and since is not None and now - since >= self.healthy_ns:
                    self._put(trip, None)
                    self.epoch += 1
            elif trip.reset_class == "timed" and now - trip.since_ns >= self.cooldown_ns:
                self._to_probation(trip, "cooled down")

    def reconciled(self, venue: str) -> None:
        """Record that all orders and balances of the venue were just reconciled."""
        for trip in self.trips:
            kind, _, rest = trip.scope.partition(":")
            elsewhere = kind in {"venue", "symbol"} and rest.partition(":")[0] != venue
            if trip.reset_class == "reconcile" and not trip.reconciled and not elsewhere:
                self._put(trip, replace(trip, reconciled=True))

    def reset(self, trip_id: str, reason: str, now_ns: int) -> Trip:
        """Execute one step of a manual reset; returns the trip as it was before.

        Raises BadInput for an unknown id, an empty reason, a trip that resets by itself, and one
        that needs a reconciliation first; nothing is changed then.
        """
        self._advance_clock(now_ns)
        trip = next((t for t in self.trips if t.trip_id == trip_id), None)
        if trip is None or trip.phase == "probation":
            raise BadInput(
                f"there is no trip {trip_id!r} to reset",
                allowed=", ".join(t.trip_id for t in self.trips if t.phase != "probation")
                or "nothing is tripped",
            )
        if not reason.strip():
            raise BadInput(f"reset of {trip_id} has no reason", mend="say why it is safe again")
        if trip.reset_class in {"automatic", "timed"}:
            raise BadInput(f"{trip_id} ({trip.code}) resets by itself", mend="wait for it")
        if trip.reset_class == "reconcile" and not trip.reconciled:
            raise BadInput(
                f"{trip_id} ({trip.code}) needs a complete reconciliation with the venue first",
                mend="wait until one is finished, then reset again",
            )
        if trip.reset_class == "kill" and trip.phase == "tripped":
            self._put(trip, replace(trip, phase="disarmed", reset_reason=reason))
            self.epoch += 1
        else:
            self._to_probation(trip, reason)
        return trip

    def parent_done(self, venue: str, symbol: str, strategy: str, *, clean: bool) -> None:
        """Count a finished parent towards the end of every probation that covers it.

        One that was not clean (rejected by the venue, anomaly) restarts the count.
        """
        for trip in self.trips:
            if trip.phase != "probation" or not trip.covers(venue, symbol, strategy):
                continue
            left = trip.clean_left - 1 if clean else self.probation_parents
            if left == 0:
                self._put(trip, None)
                self.epoch += 1
            elif left != trip.clean_left:
                self._put(trip, replace(trip, clean_left=left))

    def take_changed(self) -> tuple[str, ...]:
        """Scopes whose trips changed since the last call, in the order of their first change."""
        scopes = tuple(self._touched)
        self._touched.clear()
        return scopes

    # durable state

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``from_state`` makes an equal object."""
        return {
            "epoch": self.epoch,
            "now_ns": self._now_ns,
            "next_id": self._next_id,
            "trips": [
                {
                    "trip_id": t.trip_id,
                    "code": t.code,
                    "scope": t.scope,
                    "reason": t.reason,
                    "phase": t.phase,
                    "since_ns": t.since_ns,
                    "healthy_since_ns": t.healthy_since_ns,
                    "reconciled": t.reconciled,
                    "clean_left": t.clean_left,
                    "reset_reason": t.reset_reason,
                }
                for t in self.trips
            ],
        }

    def load(self, state: dict[str, object]) -> None:
        """Restore what ``to_state`` gave. The epoch grows: no approval outlives a restart."""
        self._now_ns = cast("int", state["now_ns"])
        self._next_id = cast("int", state["next_id"])
        self.epoch = cast("int", state["epoch"]) + 1
        rows = cast("list[dict[str, Any]]", state["trips"])
        self.trips = tuple(Trip(**row) for row in rows)
        self._touched = dict.fromkeys(t.scope for t in self.trips)

    # inside

    def _advance_clock(self, now_ns: int) -> int:
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    @staticmethod
    def _renewed_since(trip: Trip, now_ns: int) -> int:
        """A timed trip that recurs restarts its cooldown; others keep their start."""
        return now_ns if trip.reset_class == "timed" else trip.since_ns

    def _to_probation(self, trip: Trip, reason: str) -> None:
        self._put(
            trip,
            replace(
                trip, phase="probation", clean_left=self.probation_parents, reset_reason=reason
            ),
        )
        self.epoch += 1

    def _put(self, old: Trip | None, new: Trip | None) -> None:
        """Replace, add (no old) or remove (no new) one trip, keeping the order of the others."""
        if old is None:
            self.trips = (*self.trips, cast("Trip", new))
        elif new is None:
            self.trips = tuple(t for t in self.trips if t is not old)
        else:
            self.trips = tuple(new if t is old else t for t in self.trips)
        self._touched.setdefault((new or cast("Trip", old)).scope)
        self.version += 1
