"""Messages to the paper venue and back: delay, order of arrival, and faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryVenue,
)
from citadel_micro.core.model.events import RequestTimedOut
from citadel_micro.sim.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.model.events import VenueReport
    from citadel_micro.sim.rng import SplitMix64

NEVER: Final = 1 << 62
"""A time that never comes, in nanoseconds."""
Request = PlaceOrder | AmendOrder | CancelOrder | QueryOrder | QueryVenue


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """Latency one way, in nanoseconds: a floor plus an exponential part with the given mean.

    The defaults, 2 ms + 1 ms, are those of a server in the venue's own region. ``round_trips_ns``
    takes their place: times from sending an order to its acknowledgement at equally likely shares,
    rising. Half of the shortest is the way back, and everything else the way there, so that the
    acknowledgements come as they were measured, and orders never arrive earlier than they can have.
    """

    latency_floor_ns: int = 2_000_000
    latency_mean_ns: int = 1_000_000
    round_trips_ns: tuple[int, ...] = ()
    faults: Faults = field(default_factory=Faults)


class PaperLink:
    """Requests on their way in, reports on their way out.

    Requests may overtake each other, as separate HTTP requests do. Reports keep their order, as on
    one websocket, except for those that a fault makes late.
    """

    def __init__(self, config: LinkConfig, rng: SplitMix64) -> None:
        self.rng = rng
        self._config = config
        self._inbox: list[tuple[int, int, Request]] = []
        self._outbox: list[tuple[int, int, VenueReport]] = []
        self._counter = 0
        self._last_out_ns = 0
        self.waiting_ns = NEVER
        """When the next request arrives."""
        self._silent: dict[str, None] = {}

    # in

    def send_request(self, request: Request, now_ns: int) -> None:
        """Send a request; a lost one comes back to its sender as a timeout."""
        if not isinstance(request, QueryOrder | QueryVenue) and self._chance(
            self._config.faults.lose_request
        ):
            self._time_out(request, now_ns)
            return
        self._counter += 1
        heappush(self._inbox, (now_ns + self._delay_there(), self._counter, request))
        self.waiting_ns = self._inbox[0][0]

    def arrived(self, now_ns: int) -> Iterator[tuple[int, Request]]:
        """Requests that have reached the venue, as (arrival time, request), oldest first."""
        while self._inbox and self._inbox[0][0] <= now_ns:
            arrived_ns, _, request = heappop(self._inbox)
            self.waiting_ns = self._inbox[0][0] if self._inbox else NEVER
            yield arrived_ns, request

    # out

    def send_report(self, report: VenueReport, now_ns: int) -> None:
        """Send a report."""
        if getattr(report, "client_id", "") in self._silent:
            return
        due_ns = max(self._last_out_ns, now_ns + self._delay_back())
        if self._chance(self._config.faults.late):
            due_ns += self._config.faults.late_ns
        else:
            self._last_out_ns = due_ns
        copies = 2 if self._chance(self._config.faults.duplicate) else 1
        for _ in range(copies):
            self._counter += 1
            heappush(self._outbox, (due_ns, self._counter, report))

    def delivered(self, now_ns: int) -> list[VenueReport]:
        """Reports that are due, oldest first."""
        reports: list[VenueReport] = []
        while self._outbox and self._outbox[0][0] <= now_ns:
            reports.append(heappop(self._outbox)[2])
        return reports

    def next_due(self) -> int | None:
        """When the next request arrives or the next report is delivered."""
        if not self._inbox:
            return self._outbox[0][0] if self._outbox else None
        if not self._outbox:
            return self._inbox[0][0]
        return min(self._inbox[0][0], self._outbox[0][0])

    # faults

    def rejects(self) -> bool:
        """Whether an overloaded venue rejects this order."""
        return self._chance(self._config.faults.reject)

    def loses_answer(self, request: PlaceOrder | CancelOrder, now_ns: int) -> bool:
        """Whether the answer is lost; the sender then sees a timeout instead."""
        lost = self._chance(self._config.faults.lose_answer)
        if lost:
            self._time_out(request, now_ns)
        return lost

    def silence(self, client_id: str) -> None:
        """No more reports on this order until it is queried."""
        self._silent[client_id] = None

    def unsilence(self, client_id: str) -> None:
        """Somebody asked."""
        self._silent.pop(client_id, None)

    def _time_out(self, request: PlaceOrder | AmendOrder | CancelOrder, now_ns: int) -> None:
        kind: Literal["place", "amend", "cancel"] = (
            "place"
            if isinstance(request, PlaceOrder)
            else "amend"
            if isinstance(request, AmendOrder)
            else "cancel"
        )
        report = RequestTimedOut(
            venue=request.venue,
            symbol=request.symbol,
            client_id=request.client_id,
            request=kind,
        )
        self._counter += 1
        heappush(self._outbox, (now_ns + self._config.faults.timeout_ns, self._counter, report))

    def _chance(self, probability: float) -> bool:
        return probability > 0.0 and self.rng.uniform() < probability

    def _delay_there(self) -> int:
        times = self._config.round_trips_ns
        if not times:
            return self._delay()
        place = self.rng.uniform() * (len(times) - 1)
        low = int(place)
        high = min(low + 1, len(times) - 1)
        drawn = times[low] + int((times[high] - times[low]) * (place - low))
        return drawn - times[0] // 2

    def _delay_back(self) -> int:
        times = self._config.round_trips_ns
        return times[0] // 2 if times else self._delay()

    def _delay(self) -> int:
        mean = self._config.latency_mean_ns
        extra = int(self.rng.exponential() * mean) if mean else 0
        return self._config.latency_floor_ns + extra
