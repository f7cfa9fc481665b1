"""Whether a run is well, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_micro.shell.bridge.uplink import Uplink
from citadel_micro.shell.clock import STEP_NS, Clock
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_micro.shell.runner import Runner
from citadel_micro.shell.stats import Stats

OWN_BEAT_NS: Final = 5_000_000_000
"""A loop that has not published a heartbeat for this long is stuck."""
MACRO_BEAT_NS: Final = 5_000_000_000
"""As the soft lease of the risk gate."""


@dataclass(slots=True, kw_only=True)
class Vitals:
    """Everything about a run that health and metrics are made of."""

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
    connections: Callable[[], list[ConnectionHealth]] = list
    """State of every connection of the feeds."""

    def open_parents(self) -> int:
        """Parents that have not ended."""
        return self.engine.open_parents(None)


def check(vitals: Vitals) -> tuple[bool, dict[str, Any]]:
    """Judge a run: (well, the body of ``/healthz``). ``reasons`` is empty exactly when well."""
    now_ns = vitals.clock.now()
    reasons: list[str] = []
    if vitals.state != "running":
        reasons.append(f"micro is {vitals.state}")
    if vitals.runner.failed:
        reasons.append("halted by a fault")
    beat_ns = vitals.uplink.last_beat_ns
    if vitals.state == "running" and now_ns - beat_ns > OWN_BEAT_NS:
        reasons.append("micro publishes no heartbeats")
    feeds = {}
    for (venue, symbol), market in sorted(vitals.engine.markets.items()):
        feeds[f"{venue}:{symbol}"] = {
            "state": market.state,
            "reason": market.reason,
            "age_ms": (now_ns - market.last_recv_ns) // 1_000_000 if market.last_recv_ns else None,
            "proof_age_ms": (now_ns - market.proof_ns) // 1_000_000 if market.proof_ns else None,
        }
        # The loss of a book that is only compared with stops nothing.
        if market.state != "LIVE" and (venue, symbol) in vitals.engine.inst_states:
            why = f" ({market.reason})" if market.reason else ""
            reasons.append(f"book {venue}:{symbol} is {market.state}{why}")
    reasons += _idle(vitals, now_ns)
    macro_ns = vitals.uplink.macro_age_ns(now_ns)
    if vitals.macro_required and (macro_ns is None or macro_ns > MACRO_BEAT_NS):
        heard = "never heard" if macro_ns is None else f"silent for {macro_ns / 1e9:.1f} s"
        reasons.append(f"macro is {heard}")
    limit_ns = vitals.engine.risk.limits.max_skew_ns
    skews = vitals.uplink.skews(now_ns)
    reasons += [
        f"the clocks of {name} and of this machine differ by {skew_ns / 1e9:+.3f} s: no new risk of it"
        for name, skew_ns in skews.items()
        if abs(skew_ns) > limit_ns
    ]
    body = {
        "status": "unhealthy" if reasons else "ok",
        "reasons": reasons,
        "run": vitals.run_id,
        "instance": vitals.instance,
        "mode": vitals.mode,
        "state": vitals.state,
        "risk": vitals.engine.risk.beat_state(),
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
        "heard_by": vitals.uplink.heard_by(now_ns),
        "open_parents": vitals.open_parents(),
        "listening": vitals.uplink.listening(),
        "refused": vitals.uplink.refused(),
        "clock": _clock(vitals.clock, skews),
        "feeds": feeds,
        "connections": [_connection(each) for each in vitals.connections()],
    }
    return not reasons, body


def _idle(vitals: Vitals, now_ns: int) -> Iterator[str]:
    """Why it cannot trade though it runs: it is held back, or those it works for and with are gone."""
    engine = vitals.engine
    if engine.reconciling:
        yield "recovery is not complete: the venue has not yet explained every order"
    for trip in engine.risk.breakers.trips:
        everything = trip.scope.partition(":")[0] in (GLOBAL, "venue")
        if trip.state in ("HALTED", "KILLED") or (trip.state == "REDUCING" and everything):
            yield f"{trip.scope} is {trip.state}: {trip.code} ({trip.trip_id}): {trip.reason}"
    for venue, why in engine.executor.venue_down.items():
        yield f"the order connection of {venue} is down: {why}"
    unwatched = engine.unwatched(now_ns)
    if unwatched:
        yield (
            f"the macro of {unwatched} open orders has been silent for more than "
            f"{engine.risk.limits.lease_soft_ns / 1e9:g} s"
        )


def _clock(clock: Clock, skews: dict[str, int]) -> dict[str, Any]:
    """Whether this machine's clock was set while we ran; that alone stops nothing."""
    drift_ns = clock.drift_ns()
    return {
        "wall_minus_engine_ms": drift_ns / 1e6,
        "steps": clock.steps,
        "last_step_ms": clock.last_step_ns / 1e6,
        "note": f"this machine's clock was set: orders are stamped by one {-drift_ns / 1e9:+.3f} s off it"
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
