"""From all connections to the one consumer: a direct call, or a bounded queue when it lags.

As long as the consumer keeps up, ``emit`` calls it from inside the websocket's callback. When the
oldest received data is older than ``lag_monitor.BEGIN_NS``, events go through a ``ConflatingQueue`` instead, in
which books are conflated and trades are not, and the consumer gets slices of time between the reads.
When even that is full, the connections are not read until there is room: TCP flow control holds the
venue back. The direct path returns once everything would fit into the consumer's time again.

The lag is measured where data can wait: the event loop (how late it fires a timer), the backlog (the age
of its head), and the sockets (unread octets, times what reading them takes, but no longer than they
have waited).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from citadel_micro.core.model.events import FeedStatus
from citadel_micro.shell.marketdata.conflating_queue import ConflatingQueue, key_of
from citadel_micro.shell.marketdata.lag_monitor import (
    BEGIN_NS,
    Load,
    LoadHealth,
    OverloadGauge,
    Peak,
    Unread,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.core.model.events import BookLook, MarketEvent, StreamProof
    from citadel_micro.shell.marketdata.conflating_queue import Key
    from citadel_micro.shell.marketdata.decode import Control

    Event = MarketEvent | FeedStatus | StreamProof | BookLook
    Sink = Callable[[Event, int], object]

TICK_S: Final = 0.05
"""How often the consumer's lag is measured."""
_TICK_NS: Final = int(TICK_S * 1e9)
_LATE_NS: Final = _TICK_NS + BEGIN_NS
SLICE_NS: Final = 10_000_000
"""Time that the consumer gets between two reads of the sockets."""
MOST: Final = 20_000
"""Events that may wait; with more, nothing is read. About 10 MB of trades."""
ROOM: Final = MOST - MOST // 10
"""Events at which reading resumes: early, because a venue that gets no pong disconnects."""
_WEIGHT: Final = 0.1
"""Of a new tick in the averages: their memory is half a second."""
FAULT_LOG_NS: Final = 1_000_000_000
"""Faults of the sink are logged at most this often, with how many there were."""


class Source(Protocol):
    """A source of events: a connection."""

    load: Load

    def octets_read(self) -> int:
        """Octets read from the socket so far."""

    def unread(self) -> int:
        """Unread octets in the socket."""

    def hold(self, *, held: bool) -> None:
        """Stop or resume reading."""


class EventQueue:
    """See the module. One for all venues of an ``Aggregator``.

    Args:
        sink: the consumer.
        clock: engine time, ns.
        integrities: integrity name of each venue.
        on_fault: receives the exceptions of the consumer.
    """

    def __init__(
        self,
        sink: Sink,
        clock: Callable[[], int],
        integrities: dict[str, str],
        on_fault: Callable[[Exception], None] | None,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._on_fault = on_fault
        self._backlog = ConflatingQueue(integrities)
        self._gauge = OverloadGauge()
        self._sources: list[Source] = []
        self._of: dict[Key, Load] = {}
        self._strangers = Load()
        self._ticked_ns = clock()
        self._scheduled = False
        self._held = False
        self._busy_ns = self._drain_ns = self._handled = 0
        self._demand = 0.0
        self._octets = 0
        self._unread: dict[int, Unread] = {}
        self._busy = self._fresh = 0.0
        self._lag = Peak()
        self._behind = Peak()
        self._episode_peak_ns = 0
        self._faults = 0
        self._fault_logged_ns = 0
        self._log = structlog.get_logger("feeds")
        self.queueing = False
        """Events are queued, because the consumer lags."""

    def add(self, source: Source, keys: Iterable[Key]) -> None:
        """Add a connection, which serves these (venue, symbol)."""
        self._sources.append(source)
        for key in keys:
            self._of[key] = source.load

    def remove(self, source: Source, keys: Iterable[Key]) -> None:
        """Remove a connection that was added with these."""
        self._sources.remove(source)
        self._unread.clear()  # by position
        self._octets = sum(each.octets_read() for each in self._sources)
        for key in keys:
            self._of.pop(key, None)

    # --- events -------------------------------------------------------------------------------

    def emit(self, event: Event | Control, recv_ns: int) -> None:
        """Pass one event to the consumer, at once or in its turn."""
        if self.queueing or recv_ns - self._ticked_ns > _LATE_NS:
            self._queue(event, recv_ns)  # type: ignore[arg-type] # connections keep their Controls
            return
        try:
            self._sink(event, recv_ns)  # type: ignore[arg-type] # as above
        except Exception as error:  # noqa: BLE001 - the owner decides; sockets outlive its bugs
            self.fault(error)

    def done(self, load: Load, recv_ns: int, frames: int) -> None:
        """All events of a frame received then have been emitted.

        It represents so many ``frames`` of its connection, since not every one is measured.
        """
        spent_ns = self._clock() - recv_ns
        self._busy_ns += spent_ns * frames
        if not self.queueing:
            load.handled.add(spent_ns)

    def _queue(self, event: Event, recv_ns: int) -> None:
        if not self.queueing:
            self._sample(recv_ns, recv_ns - self._ticked_ns - _TICK_NS)
        backlog = self._backlog
        backlog.push(event, recv_ns)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._drain)
        if len(backlog) >= MOST and not self._held:
            self._hold(held=True)

    def _drain(self) -> None:
        """Let the consumer work for a slice of time."""
        self._scheduled = False
        started_ns = self._clock()
        self._give(started_ns + SLICE_NS)
        self._drain_ns += self._clock() - started_ns
        if len(self._backlog):
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._drain)
        if self._held and len(self._backlog) <= ROOM:
            self._hold(held=False)

    def _give(self, until_ns: int | None) -> None:
        backlog, clock = self._backlog, self._clock
        while len(backlog):
            event, since_ns = backlog.pop()
            recv_ns = since_ns if isinstance(event, FeedStatus) else event.recv_ns
            try:
                self._sink(event, recv_ns)
            except Exception as error:  # noqa: BLE001 - as in emit
                self.fault(error)
            now_ns = clock()
            self._handled += 1
            load = self._of.get(key_of(event), self._strangers)
            load.handled.add(now_ns - since_ns)
            if until_ns is not None and now_ns >= until_ns:
                return

    def _hold(self, *, held: bool) -> None:
        self._held = held
        for source in self._sources:
            source.hold(held=held)

    def fault(self, error: Exception) -> None:
        """The consumer, or a connection of ours, raised an exception."""
        # A sink that fails at every event must not cost a traceback at every event.
        self._faults += 1
        now_ns = self._clock()
        if now_ns - self._fault_logged_ns >= FAULT_LOG_NS:
            self._fault_logged_ns = now_ns
            self._log.error("fault", error=repr(error), so_far=self._faults, exc_info=error)
        if self._on_fault is not None:
            self._on_fault(error)

    def close(self) -> None:
        """Pass on what is still queued."""
        self._give(None)

    # --- lag ----------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Measure until canceled."""
        loop = asyncio.get_running_loop()
        self._ticked_ns = self._clock()
        while True:
            due_s = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self._tick(int(max(0.0, loop.time() - due_s) * 1e9))

    def _tick(self, lag_ns: int) -> None:
        now_ns = self._clock()
        elapsed_ns = max(1, now_ns - self._ticked_ns)
        self._ticked_ns = now_ns
        self._lag.set(lag_ns)
        joined = self._count_waiting()
        unread = octets = waited_ns = 0
        for number, source in enumerate(self._sources):
            waiting, read = source.unread(), source.octets_read()
            source.load.unread.set(waiting)
            unread += waiting
            octets += read
            gauge = self._unread.setdefault(number, Unread())
            waited_ns = max(waited_ns, gauge.age_ns(now_ns, read, waiting))
            if self._held:
                source.hold(held=True)  # one that connected just now is held as well
        fresh, self._octets = octets - self._octets, octets
        busy_ns, drain_ns, handled = self._busy_ns, self._drain_ns, self._handled
        self._busy_ns = self._drain_ns = self._handled = 0
        # Averages of both, not of their ratio: one slow small frame must not count as much as large ones.
        self._busy += _WEIGHT * (busy_ns - self._busy)
        self._fresh += _WEIGHT * (fresh - self._fresh)
        demand = (busy_ns + drain_ns * (1 + joined / max(1, handled))) / elapsed_ns
        self._demand += _WEIGHT * (demand - self._demand)
        oldest_ns = self._backlog.oldest_ns()
        age_ns = 0 if oldest_ns is None else now_ns - oldest_ns
        cost_ns = self._busy / self._fresh if self._fresh > 0.0 else 0.0
        unread_ns = min(int(unread * cost_ns), waited_ns + _TICK_NS)
        self._sample(now_ns, max(lag_ns, age_ns, unread_ns))

    def _count_waiting(self) -> int:
        """Update the counts of all loads; returns the book updates conflated since the last call."""
        joined = 0
        waiting: dict[int, int] = {}
        conflated: dict[int, int] = {}
        for table, counts in (
            (waiting, self._backlog.waiting),
            (conflated, self._backlog.conflated),
        ):
            for key, count in counts.items():
                number = id(self._of.get(key, self._strangers))
                table[number] = table.get(number, 0) + count
        for load in (*(source.load for source in self._sources), self._strangers):
            load.waiting.set(waiting.get(id(load), 0))
            before, load.conflated = load.conflated, conflated.get(id(load), 0)
            joined += load.conflated - before
        return joined

    def _sample(self, now_ns: int, behind_ns: int) -> None:
        gauge, demand = self._gauge, self._demand
        self._behind.set(behind_ns)
        turn = gauge.sample(now_ns, behind_ns, demand)
        if gauge.overloaded:
            self._episode_peak_ns = max(self._episode_peak_ns, behind_ns)
        if turn == "began":
            self.queueing = True
            self._log.warning(
                "overloaded",
                behind_ms=behind_ns // 1_000_000,
                loop_lag_ms=self._lag.now // 1_000_000,
                unread_octets=sum(source.load.unread.now for source in self._sources),
                meaning="books are conflated, trades are queued",
            )
        elif turn == "ended":
            self._give(None)
            self.queueing = False
            self._log.warning(
                "caught up",
                behind_ms_at_most=self._episode_peak_ns // 1_000_000,
                overloaded_s=round(gauge.overloaded_ns(now_ns) / 1e9, 3),
                conflated=sum(self._backlog.conflated.values()),
            )
            self._episode_peak_ns = 0

    def health(self, load: Load) -> LoadHealth:
        """Lag of this connection's consumer."""
        self._count_waiting()
        gauge = self._gauge
        return LoadHealth(
            overloaded=gauge.overloaded,
            overloads=gauge.episodes,
            overloaded_ns=gauge.overloaded_ns(self._clock()),
            behind_ns=self._behind.now,
            behind_peak_ns=self._behind.peak,
            loop_lag_ns=self._lag.now,
            loop_lag_peak_ns=self._lag.peak,
            waiting=load.waiting.now,
            waiting_peak=load.waiting.peak,
            unread_octets=load.unread.now,
            unread_octets_peak=load.unread.peak,
            conflated=load.conflated,
            handled_ns=load.handled.percentiles(),
        )
