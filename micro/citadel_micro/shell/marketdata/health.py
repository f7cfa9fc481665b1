"""Counts of one connection of a feed, for logs and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from citadel_micro.shell.marketdata.clock_offset import ClockEstimate
from citadel_micro.shell.marketdata.lag_monitor import LoadHealth
from citadel_proto.feed_parts import FeedHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionHealth:
    """State of one connection, for logs and metrics."""

    venue: str
    number: int
    up: bool
    symbols: tuple[str, ...]
    frames: int
    octets: int
    violations: int
    connects: int
    failures: int
    resubscribed: int
    last_frame_ns: int
    load: LoadHealth = field(default_factory=LoadHealth)
    clock: ClockEstimate | None = None
    """Estimate of the venue's clock; None until it is known."""

    def wire(self) -> FeedHealth:
        """The part published with the state of each of its books."""
        load, clock = self.load, self.clock
        return FeedHealth(
            overloaded=load.overloaded,
            overloads=load.overloads,
            overloaded_ns=load.overloaded_ns,
            behind_ns=load.behind_ns,
            behind_peak_ns=load.behind_peak_ns,
            loop_lag_ns=load.loop_lag_ns,
            waiting=load.waiting,
            waiting_peak=load.waiting_peak,
            unread_octets=load.unread_octets,
            unread_octets_peak=load.unread_octets_peak,
            conflated=load.conflated,
            handled_ns=load.handled_ns,
            clock_offset_ns=None if clock is None else clock.offset_ns,
            clock_error_ns=None if clock is None else clock.error_ns,
            rtt_ns=None if clock is None else clock.rtt_ns,
        )
