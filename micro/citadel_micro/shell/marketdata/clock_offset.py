"""Offset of a venue's clock from ours, estimated from its timestamps and from round trips.

A message that was stamped ``exchange_ns`` by the venue and received at ``recv_ns`` by us was in
transit for an unknown time ``d`` >= 0, so the venue's clock is ahead of ours by

    offset = exchange_ns - recv_ns + d.

Of many messages the fastest one has the smallest ``recv_ns - exchange_ns``, and its ``d`` is the return
leg of a round trip without any queueing. A round trip of ``rtt`` bounds that leg: 0 <= d <= rtt.
Half of it is the estimate, and half of it is the maximum error of the estimate, however
asymmetric the two legs are. This is Cristian's method ("Probabilistic clock synchronization", 1989)
with the minimum filter that NTP uses (RFC 5905, 10): both minima are taken over a sliding window, so
that queues and our own delays drop out and a step of either clock is forgotten.

Round trips are pings of the websocket, which RFC 6455 makes every server answer: they need no
further request, no key and no rate budget. Times are only read here; no event's time is changed.

Pure: times are passed in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_NS: Final = 60_000_000_000
"""Length of the window: long enough for several round trips, short enough for a clock's drift."""
PARTS: Final = 6
"""The window slides in this many steps."""
MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEstimate:
    """Estimate of a venue's clock. All in ns."""

    offset_ns: int
    """The venue's clock minus ours."""
    error_ns: int
    """Error bound, either way; in addition the offset can be late by what the venue waits before
    sending its fastest message."""
    rtt_ns: int
    """The fastest round trip of the window."""
    late_ns: int
    """How much later than the fastest one the newest message came: queueing, in transit or here."""


class ClockOffset:
    """Estimator for one connection. See the module.

    Args:
        window_ns: minimum length of the window; at most one part more.
    """

    __slots__ = ("_coarse", "_least", "_newest", "_parts", "_rtt", "_step_ns", "_until")

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._step_ns: Final = window_ns // PARTS
        self._parts: deque[tuple[int | None, int | None]] = deque(maxlen=PARTS)
        self._until: int | None = None
        """End of the part being filled."""
        self._least: int | None = None
        self._rtt: int | None = None
        self._newest: int | None = None
        self._coarse = True

    def message(self, exchange_ns: int, recv_ns: int) -> None:
        """One message: the venue's timestamp and the time of its receipt."""
        late_ns = recv_ns - exchange_ns
        self._newest = late_ns
        if self._least is None or late_ns < self._least:
            self._least = late_ns
            if exchange_ns % MS_NS:
                self._coarse = False

    def round_trip(self, rtt_ns: int, now_ns: int) -> None:
        """One round trip that ended now."""
        self.roll(now_ns)
        if self._rtt is None or rtt_ns < self._rtt:
            self._rtt = rtt_ns

    def roll(self, now_ns: int) -> None:
        """Slide the window to now; to be called at least once per part of it."""
        if self._until is None:
            self._until = now_ns + self._step_ns
            return
        while now_ns >= self._until:
            self._parts.append((self._least, self._rtt))
            self._least = self._rtt = None
            self._until += self._step_ns
            if now_ns - self._until > self._step_ns * PARTS:
                # Not called for longer than the window: nothing of it is left.
                self._parts.clear()
                self._until = now_ns + self._step_ns

    def estimate(self) -> ClockEstimate | None:
        """The current estimate; None before the first timestamp and the first round trip."""
        parts = [*self._parts, (self._least, self._rtt)]
        least_ns = min((least for least, _ in parts if least is not None), default=None)
        rtt_ns = min((rtt for _, rtt in parts if rtt is not None), default=None)
        if least_ns is None or rtt_ns is None or self._newest is None:
            return None
        # A timestamp in whole milliseconds is up to one millisecond too early.
        return ClockEstimate(
            offset_ns=rtt_ns // 2 - least_ns,
            error_ns=rtt_ns - rtt_ns // 2 + (MS_NS if self._coarse else 0),
            rtt_ns=rtt_ns,
            late_ns=self._newest - least_ns,
        )
