"""The connected macros, and the relation of their clocks to ours."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from citadel_bridge.gap_detector import SkewMeter
from citadel_micro.shell.clock import STEP_NS
from citadel_proto.bounds import LATEST_NS
from citadel_proto.messages import SCHEMA_VERSION

if TYPE_CHECKING:
    from citadel_micro.shell.clock import Clock
    from citadel_proto.messages import MacroHeartbeat

MACRO_GONE_NS: Final = 15_000_000_000
"""A macro without a heartbeat for this long is no longer named in ours."""
MACROS_AT_MOST: Final = 64
"""Macros listened to at a time, shared fairly among addresses: one more is refused until another is
gone, or replaces one whose address has more than its share."""


LATE_NS: Final = 60_000_000_000
"""No signal is in transit for longer than this: a connection that stalls for seconds is cut."""
_STEPS_KEPT: Final = 4


@dataclass(slots=True)
class Peer:
    """A macro that has sent a heartbeat."""

    instance: str
    owner: str
    epoch: int
    address: str = ""
    seq: int = 0
    beat_ns: int = 0
    receives_us: bool = False
    schema: int = SCHEMA_VERSION
    """Schema version of its messages."""
    skew: SkewMeter = field(default_factory=SkewMeter)
    drift_ns: int = 0
    """Our own wall clock minus engine time at its last heartbeat."""
    wall_ns: int = 0
    mono_ns: int = 0
    set_back: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_STEPS_KEPT))
    """For every time that its clock was set back: its offset before, and its latest time by then."""

    def beat(self, beat: MacroHeartbeat, clock: Clock) -> None:
        """Record a heartbeat's clocks."""
        before_ns, settled = self.skew.skew_ns + self.drift_ns, self.skew.settled
        self.skew.update(beat.wall_ns, beat.mono_ns, clock.wall(), clock.mono())
        self.drift_ns = clock.drift_ns()
        if settled and before_ns - (self.skew.skew_ns + self.drift_ns) >= STEP_NS:
            latest_ns = self.wall_ns + beat.mono_ns - self.mono_ns
            self.set_back.append((before_ns, latest_ns))
        self.wall_ns, self.mono_ns = beat.wall_ns, beat.mono_ns


class Peers:
    """Every macro by its own heartbeats: one's silence or clock does not affect another.

    Args:
        clock: stamps engine time.
        ours: name of this run, as macros repeat it when they receive us.
    """

    def __init__(self, clock: Clock, ours: str) -> None:
        self._clock = clock
        self._ours = ours
        self._known: dict[str, Peer] = {}
        self._by_run: dict[tuple[str, int], Peer] = {}
        self._by_owner: dict[str, Peer] = {}
        self.refused = 0
        """Heartbeats of macros for which there was no room."""

    def on_heartbeat(self, beat: MacroHeartbeat, address: str = "") -> Peer | None:
        """Record a heartbeat from an address; None when there are too many macros already."""
        now_ns = self._clock.now()
        peer = self._known.get(beat.instance)
        if peer is None or (peer.owner, peer.epoch) != (beat.owner, beat.epoch):
            full = peer is None and len(self._known) >= MACROS_AT_MOST
            if full and not self._forget(now_ns) and not self._displace(address):
                self.refused += 1
                return None
            if peer is not None:
                self._drop(peer)
            # A new run of it may be on another machine, so its clock is unknown again.
            peer = Peer(beat.instance, beat.owner, beat.epoch, address)
            self._known[beat.instance] = peer
        self._by_run[beat.owner, beat.epoch] = peer
        if beat.owner:
            self._by_owner[beat.owner] = peer
        peer.seq, peer.schema = beat.seq, beat.schema
        peer.beat_ns = now_ns
        peer.receives_us = beat.micro_instance_seen == self._ours or any(
            name == self._ours for name, _seq in beat.micros_seen
        )
        peer.beat(beat, self._clock)
        return peer

    def offset_ns(self, owner: str, epoch: int, written_ns: int = LATEST_NS) -> int:
        """Wall clock of a publisher minus engine time, as both sides' heartbeats agree on it.

        Where that is ambiguous the larger one is used, which makes its signals older: better to
        reject a valid one for a moment than to execute an expired one. It is ambiguous while our own
        clock was set since its last heartbeat (whether ours alone or the machine's was set
        shows at the next), while a clock that seems slow may only be a late heartbeat, and when
        the publisher's clock was set back and showed ``written_ns`` twice.
        """
        drift_ns = self._clock.drift_ns()
        peer = self._by_run.get((owner, epoch)) or self._by_owner.get(owner)
        if peer is None:
            return drift_ns
        skew_ns = peer.skew.skew_ns
        if skew_ns < 0 and not peer.skew.settled:
            skew_ns = 0
        offset_ns = skew_ns + max(drift_ns, peer.drift_ns)
        for before_ns, latest_ns in peer.set_back:
            age_ns = self._clock.now() - (written_ns - before_ns)
            if written_ns <= latest_ns and age_ns <= LATE_NS:
                offset_ns = max(offset_ns, before_ns)
        return offset_ns

    def schema_of(self, owner: str, epoch: int) -> int:
        """Schema version of a publisher's messages, as in its heartbeats; ours before the first."""
        peer = self._by_run.get((owner, epoch))
        return SCHEMA_VERSION if peer is None else peer.schema

    def alive(self, now_ns: int) -> list[Peer]:
        """Macros with a recent heartbeat, by name."""
        return [
            peer
            for _, peer in sorted(self._known.items())
            if now_ns - peer.beat_ns <= MACRO_GONE_NS
        ]

    def age_ns(self, now_ns: int) -> int | None:
        """Time since the last heartbeat of any macro; None if there was none."""
        newest_ns = max((peer.beat_ns for peer in self._known.values()), default=0)
        return now_ns - newest_ns if newest_ns else None

    def _forget(self, now_ns: int) -> bool:
        """Drop macros that are gone; returns whether there were any."""
        gone = [p for p in self._known.values() if now_ns - p.beat_ns > MACRO_GONE_NS]
        for peer in gone:
            del self._known[peer.instance]
            self._drop(peer)
        return bool(gone)

    def _displace(self, address: str) -> bool:
        """Drop the most silent macro of the address with the most, if that has more than its share.

        A sender that uses many names must not keep out senders at other addresses.
        """
        counts = Counter(peer.address for peer in self._known.values())
        crowd = max(counts, key=lambda each: (counts[each], each))
        if counts[crowd] <= counts[address] + 1:
            return False
        peers = (peer for peer in self._known.values() if peer.address == crowd)
        oldest = min(peers, key=lambda peer: peer.beat_ns)
        del self._known[oldest.instance]
        self._drop(oldest)
        return True

    def _drop(self, peer: Peer) -> None:
        if self._by_run.get((peer.owner, peer.epoch)) is peer:
            del self._by_run[peer.owner, peer.epoch]
        if self._by_owner.get(peer.owner) is peer:
            del self._by_owner[peer.owner]
