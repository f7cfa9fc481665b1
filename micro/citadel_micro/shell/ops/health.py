"""Whether a run is healthy, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.risk_limits import fingerprint
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.shell.bridge.uplink import Uplink
from citadel_micro.shell.clock import STEP_NS, Clock
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_micro.shell.runner import Runner
from citadel_micro.shell.stats import Stats

OWN_BEAT_NS: Final = 5_000_000_000
"""A loop that has published no heartbeat for this long is stuck."""
MACRO_BEAT_NS: Final = 5_000_000_000
"""Equals the soft lease of the risk gate."""


@dataclass(slots=True, kw_only=True)
class Vitals:
    """The parts of a run that health and metrics are built from."""

    run_id: str
    instance: str
    mode: str
    macro_required: bool
    engine: Engine
    runner: Runner
    uplink: Uplink
    clock: Clock
    stats: Stats
    state: str = "starting"
    """``starting``, ``running`` or ``stopping``."""
    resumed: bool = False
    """It goes on from the state of an earlier run of its folder."""
    execution: Mapping[str, str] = field(default_factory=dict)
    """Venue -> ``native``, ``unverified`` or ``paper``."""
    watchdogs: Callable[[], dict[str, dict[str, object]]] = dict
    """Watchdogs that have asked."""
    kill: Callable[[str], None] | None = None
    """The kill switch, for whatever serves a person: see ``shell.ops.kill_switch``."""
    connections: Callable[[], list[ConnectionHealth]] = list
    """State of every connection of the feeds."""
    page: str = ""
    """Address of the page; empty where there is none."""
    page_token: str = ""
    """File with the page's token."""

    def open_parents(self) -> int:
        """Number of open parents."""
        return self.engine.open_parents(None)


class Reason(NamedTuple):
    """Why a run is not healthy."""

    key: str
    """The same for as long as the same thing is wrong, whatever numbers its text holds."""
    text: str
    grave: bool = False
    """Nothing is traded, or money may be at risk, until a person has looked."""


def reasons_of(vitals: Vitals) -> list[Reason]:
    """Every reason why a run is not healthy; empty when it is."""
    now_ns = vitals.clock.now()
    reasons: list[Reason] = []
    if vitals.state != "running":
        reasons.append(Reason("state", f"micro is {vitals.state}"))
    if vitals.runner.failed:
        reasons.append(Reason("fault", "halted by a fault", grave=True))
    beat_ns = vitals.uplink.last_beat_ns
    if vitals.state == "running" and now_ns - beat_ns > OWN_BEAT_NS:
        reasons.append(Reason("stuck", "micro publishes no heartbeats", grave=True))
    for (venue, symbol), market in vitals.engine.followed():
        # An outage of a reference book stops nothing.
        if market.state != "LIVE" and (venue, symbol) in vitals.engine.inst_states:
            why = f" ({market.reason})" if market.reason else ""
            name = f"book {venue}:{symbol}"
            reasons.append(Reason(name, f"{name} is {market.state}{why}"))
    reasons += _idle(vitals, now_ns)
    macro_ns = vitals.uplink.macro_age_ns(now_ns)
    if vitals.macro_required and (macro_ns is None or macro_ns > MACRO_BEAT_NS):
        state = (
            "was never connected" if macro_ns is None else f"is silent for {macro_ns / 1e9:.1f} s"
        )
        reasons.append(Reason("macro", f"macro {state}"))
    limit_ns = vitals.engine.risk.limits.max_skew_ns
    reasons += [
        Reason(
            f"clock {name}",
            f"the clocks of {name} and of this machine differ by {skew_ns / 1e9:+.3f} s: "
            "no entries of it",
        )
        for name, skew_ns in vitals.uplink.skews(now_ns).items()
        if abs(skew_ns) > limit_ns
    ]
    return reasons


def check(vitals: Vitals) -> tuple[bool, dict[str, Any]]:
    """Check a run: (healthy, body of ``/healthz``). ``reasons`` is empty exactly when healthy."""
    now_ns = vitals.clock.now()
    reasons = [reason.text for reason in reasons_of(vitals)]
    macro_ns = vitals.uplink.macro_age_ns(now_ns)
    skews = vitals.uplink.skews(now_ns)
    feeds = {
        f"{venue}:{symbol}": {
            "state": market.state,
            "reason": market.reason,
            "age_ms": (now_ns - market.last_recv_ns) // 1_000_000 if market.last_recv_ns else None,
            "proof_age_ms": (now_ns - market.proof_ns) // 1_000_000 if market.proof_ns else None,
        }
        for (venue, symbol), market in vitals.engine.followed()
    }
    body = {
        "status": "unhealthy" if reasons else "ok",
        "reasons": reasons,
        "run": vitals.run_id,
        "instance": vitals.instance,
        "mode": vitals.mode,
        "execution": dict(vitals.execution),
        "state": vitals.state,
        "risk": vitals.engine.risk.beat_state(),
        "limits": fingerprint(vitals.engine.risk.limits),
        "trips": [
            {
                "trip_id": trip.trip_id,
                "state": trip.state,
                "scope": trip.scope,
                "code": trip.code,
                "reason": trip.reason,
                "reset": trip.reset_class,
                "since_ns": trip.since_ns,
            }
            for trip in vitals.engine.risk.breakers.trips
        ],
        "macro_age_ms": None if macro_ns is None else macro_ns // 1_000_000,
        "heard_by": vitals.uplink.received_by(now_ns),
        "open_parents": vitals.open_parents(),
        "listening": vitals.uplink.listening(),
        "lane": vitals.uplink.lane(),
        "refused": vitals.uplink.refused(),
        "clock": _clock(vitals.clock, skews),
        "watchdogs": vitals.watchdogs(),
        "foreign": _foreign(vitals.engine),
        "feeds": feeds,
        "connections": [_connection(each) for each in vitals.connections()],
    }
    return not reasons, body


def _idle(vitals: Vitals, now_ns: int) -> Iterator[Reason]:
    """Why it cannot trade although it runs: a halt, or a missing venue connection or macro."""
    engine = vitals.engine
    if engine.reconciling:
        yield Reason(
            "recovery",
            "recovery is not complete: not every order is reconciled with the venue yet",
        )
    for trip in engine.risk.breakers.trips:
        everything = trip.scope.partition(":")[0] in (GLOBAL, "venue")
        grave = trip.state in ("HALTED", "KILLED")
        if grave or (trip.state == "REDUCING" and everything):
            text = f"{trip.scope} is {trip.state}: {trip.code} ({trip.trip_id}): {trip.reason}"
            yield Reason(f"trip {trip.trip_id}", text, grave)
    for venue, why in engine.executor.venue_down.items():
        yield Reason(f"venue {venue}", f"the order connection of {venue} is down: {why}")
    for venue, why in engine.executor.sender.blind.items():
        text = (
            f"nothing is placed on {venue}, which does not tell what becomes of our orders: {why}"
        )
        yield Reason(f"blind {venue}", text)
    for venue in engine.risk.limits.dms_venues:
        if venue in engine.config.venues and not engine.risk.dms_armed.get(venue):
            yield Reason(
                f"watchdog {venue}",
                f"no new risk on {venue}, where nothing would cancel our orders if micro fell "
                "silent: no watchdog stands by, or the venue's timer is not armed",
            )
    unwatched = engine.unwatched(now_ns)
    if unwatched:
        yield Reason(
            "unwatched",
            f"the macro of {unwatched} open orders has been silent for more than "
            f"{engine.risk.limits.lease_soft_ns / 1e9:g} s",
        )


def _foreign(engine: Engine) -> dict[str, Any]:
    """What others do on the accounts; that alone stops nothing."""
    book = engine.portfolio.foreign
    return {
        "open_orders": {venue: list(ids) for venue, ids in engine.foreign_orders().items()},
        "net_traded": {":".join(key): str(amount) for key, amount in book.net.items()},
        "other_micros_hold": {":".join(key): str(amount) for key, amount in book.others.items()},
    }


def _clock(clock: Clock, skews: dict[str, int]) -> dict[str, Any]:
    """Whether this machine's clock was set during the run; that alone stops nothing."""
    drift_ns = clock.drift_ns()
    return {
        "wall_minus_engine_ms": drift_ns / 1e6,
        "steps": clock.steps,
        "last_step_ms": clock.last_step_ns / 1e6,
        "note": f"this machine's clock was set: order timestamps are {-drift_ns / 1e9:+.3f} s off it"
        if abs(drift_ns) >= STEP_NS
        else "",
        "macros_ms": {name: skew_ns / 1e6 for name, skew_ns in skews.items()},
    }


def _connection(each: ConnectionHealth) -> dict[str, Any]:
    load, clock = each.load, each.clock
    return {
        "venue": each.venue,
        "connection": each.number,
        "up": each.up,
        "connects": each.connects,
        "overloaded": load.overloaded,
        "behind_ms": load.behind_ns // 1_000_000,
        "waiting": load.waiting,
        "conflated": load.conflated,
        "clock_offset_ms": None if clock is None else clock.offset_ns / 1e6,
        "clock_error_ms": None if clock is None else clock.error_ns / 1e6,
    }
