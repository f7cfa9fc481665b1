"""The one door into the engine: every event of a run passes ``Runner.post``.

An event is stamped, journaled and handled; what it leads to is journaled too, made durable where it
must be, and then carried out in order. Everything runs on the thread of one event loop, by direct
calls: there is no task, queue or await between a feed's callback and the engine. An event that
arises while commands are being carried out waits for its turn.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, cast, get_args

from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    Publication,
    PublishReport,
    QueryOrder,
    QueryVenue,
    RequestSnapshot,
    Stopped,
)
from citadel_micro.core.model.events import (
    DepthUpdate,
    OrderDone,
    OrderRejected,
    OrderState,
    QuoteTick,
    Started,
    TimerFired,
    TradeTick,
)
from citadel_micro.shell.stats import Stats, count
from citadel_proto.errors import InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event, MarketEvent
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.order_adapter import MarketTap, OrderAdapter, VenueCommand

FLUSH_AFTER_S: Final = 0.1
"""Longest time that a market event stays in memory only."""
TIMER_GRAIN_NS: Final = 1_000_000
"""uvloop's timers count milliseconds; waking before the time would only mean waking again."""
LAST_CANCELS_S: Final = 2.0
"""How long a faulted run waits for the venue to confirm its last cancels."""

_MARKET: Final = frozenset({DepthUpdate, QuoteTick, TradeTick})
_DURABLE: Final = frozenset({Persist, Approved, CancelOrder})
_VENUE: Final = frozenset({Approved, CancelOrder, QueryOrder, QueryVenue})
_PUBLISH: Final = frozenset(get_args(Publication))


class JournalPort(Protocol):
    """What the runner needs of a journal."""

    def event(self, now_ns: int, event: Event) -> None:
        """Append one event."""

    def command(self, now_ns: int, command: Command) -> None:
        """Append one command."""

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        """Append the end of a run that met a bug of ours, in the engine or around it."""

    def flush(self) -> None:
        """Hand everything to the operating system."""

    def sync(self) -> None:
        """Flush, and return when it is on the disk."""


class Publisher(Protocol):
    """What the runner needs of the uplink."""

    def publish(self, command: Publication, now_ns: int) -> None:
        """Send one message; never waits."""


class Runner:
    """Stamps, journals and handles events, and carries out what comes of them.

    Args:
        engine: the judgement.
        journal: where everything goes first.
        clock: stamps events.
        venues: order adapters by venue id; may be filled until ``start``.
        uplink: takes everything that is published.
        resync: asks the feeds for a new snapshot of one book.
        note: writes one log line.
        stats: counts; a new one by default.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        journal: JournalPort,
        clock: Clock,
        venues: Mapping[str, OrderAdapter],
        uplink: Publisher,
        resync: Callable[[RequestSnapshot], None],
        note: Callable[[Note], None],
        stats: Stats | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.stats = stats or Stats()
        self.stopped: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Done when the engine has proof that nothing works any more (its ``clean``), or failed
        with the error that ended the run."""
        self.market_taps: list[MarketTap] = []
        """Called after the engine with each market event and the book that took it."""
        self._journal = journal
        self._venues = venues
        self._uplink = uplink
        self._resync = resync
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Event] = deque()
        self._busy = False
        self._failed = False
        self._in_engine = False
        self._live: dict[str, tuple[str, str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._flush: asyncio.TimerHandle | None = None

    # the door

    def post(self, event: Event) -> None:
        """Take one event; returns when it and everything queued before it is carried out.

        Called while another event is being carried out, it only queues.
        """
        self._queue.append(event)
        if not self._busy:
            self._run()

    def post_many(self, events: Iterable[Event]) -> None:
        """Take several events that arrived together; they share one durable write."""
        self._queue.extend(events)
        if not self._busy and self._queue:
            self._run()

    def halt(self, error: Exception) -> None:
        """End the run because of a fault that was met outside of ``post``."""
        self._fail(error)

    def close(self) -> None:
        """Stop timers and write out what is buffered."""
        for handle in (self._timer, self._flush):
            if handle is not None:
                handle.cancel()
        self._timer = self._flush = None
        if self.stopped.done() and not self.stopped.cancelled():
            self.stopped.exception()  # whoever waits has it; nobody else must be told
        self._journal.sync()

    @property
    def failed(self) -> bool:
        """Whether the run met an error of ours and only waits for its last cancels."""
        return self._failed

    @property
    def live_children(self) -> int:
        """Child orders sent and not yet proven terminal, as the shell counts them."""
        return len(self._live)

    # inside

    def _run(self) -> None:
        self._busy = True
        try:
            while self._queue:
                if self._failed:
                    self._watch_last(self._queue.popleft())
                else:
                    self._batch()
        except Exception as error:  # noqa: BLE001 - the run ends here: nothing goes on after it
            self._fail(error)
        finally:
            self._busy = False
        if not self._failed:
            self._arm()

    def _batch(self) -> None:
        """Handle all that is queued, make it durable once, then act."""
        queue, journal, clock, handle = self._queue, self._journal, self.clock, self.engine.handle
        stats = self.stats
        todo: list[tuple[Command, int]] = []
        durable = False
        while queue:
            event = queue.popleft()
            now_ns = clock.now()
            kind = type(event)
            journal.event(now_ns, event)
            name = kind.__name__
            stats.events[name] = stats.events.get(name, 0) + 1
            if kind is Started:
                durable = True
            self._in_engine = True
            if kind in _MARKET:
                commands = handle(event, now_ns)
                self._in_engine = False
                self._tap(cast("MarketEvent", event), now_ns)
            else:
                self._track(event)
                started = time.perf_counter_ns()
                commands = handle(event, now_ns)
                self._in_engine = False
                stats.handle.observe(time.perf_counter_ns() - started)
            for command in commands:
                journal.command(now_ns, command)
                durable = durable or type(command) in _DURABLE
                todo.append((command, now_ns))
        if durable:
            started = time.perf_counter_ns()
            journal.sync()
            stats.sync.observe(time.perf_counter_ns() - started)
        elif self._flush is None:
            self._flush = self._loop.call_later(FLUSH_AFTER_S, self._flush_now)
        for command, now_ns in todo:
            self._carry_out(command, now_ns)

    def _tap(self, event: MarketEvent, now_ns: int) -> None:
        market = self.engine.markets.get((event.venue, event.symbol))
        if market is not None:
            for tap in self.market_taps:
                tap(event, market, now_ns)

    def _carry_out(self, command: Command, now_ns: int) -> None:
        kind = type(command)
        count(self.stats.commands, kind.__name__)
        if kind in _PUBLISH:
            self._uplink.publish(cast("Publication", command), now_ns)
            if isinstance(command, PublishReport) and command.status == "rejected":
                count(self.stats.rejects, command.reason_code)
        elif kind in _VENUE:
            self._send(cast("VenueCommand", command), now_ns)
        elif isinstance(command, Note):
            self._note(command)
        elif isinstance(command, RequestSnapshot):
            self._resync(command)
        elif isinstance(command, Stopped) and not self.stopped.done():
            self.stopped.set_result(command.clean)

    def _send(self, command: VenueCommand, now_ns: int) -> None:
        target = command.order if isinstance(command, Approved) else command
        if isinstance(command, Approved) and not self.engine.risk.still_valid(command):
            # Something was tripped after it was approved and before its turn to be sent came.
            self._queue.append(not_sent(command.order))
            return
        adapter = self._venues.get(target.venue)
        if adapter is None:
            raise InvariantError(f"no adapter for {target.venue}, which the engine trades on")
        if isinstance(target, PlaceOrder):
            self._live[target.client_id] = (target.venue, target.symbol)
            self.stats.signal_to_submit.submitted(target.parent_id, time.perf_counter_ns())
        adapter.submit(command, now_ns)

    def _track(self, event: Event) -> None:
        """Keep the list of children that a fault would have to cancel."""
        if isinstance(event, OrderDone):
            self._live.pop(event.client_id, None)
        elif isinstance(event, OrderRejected):
            self._live.pop(event.client_id, None)
            count(self.stats.venue_rejects, event.code)
        elif isinstance(event, OrderState):
            if event.status == "open":
                self._live[event.client_id] = (event.venue, event.symbol)
            elif event.status != "not_found":
                self._live.pop(event.client_id, None)

    # timers

    def _arm(self) -> None:
        """Arrange to be woken when the engine asks for it.

        A wakeup that has become too early is left: it looks again and goes back to sleep.
        """
        due_ns = self.engine.next_timer()
        if due_ns is None or (self._timer is not None and self._timer_due <= due_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        delay_ns = max(due_ns - self.clock.now(), 0) + TIMER_GRAIN_NS - 1
        self._timer_due = due_ns
        self._timer = self._loop.call_later(
            delay_ns // TIMER_GRAIN_NS * TIMER_GRAIN_NS / 1e9, self._wake
        )

    def _wake(self) -> None:
        self._timer = None
        due_ns = self.engine.next_timer()
        if due_ns is not None and due_ns <= self.clock.now():
            self.post(TimerFired())
        else:
            self._arm()

    def _flush_now(self) -> None:
        self._flush = None
        try:
            self._journal.flush()
        except OSError as error:
            self._fail(error)

    # the end that nobody wants

    def _fail(self, error: Exception) -> None:
        """Halt: no new order leaves; what is out is cancelled; then the run ends."""
        first = not self._failed
        self._failed = True
        self._queue.clear()
        if not first:
            self._end(_named(error))
            return
        text = "".join(traceback.format_exception(error))
        self._note(
            Note(
                level="error",
                event="halted by a fault",
                fields=(("error", f"{type(error).__name__}: {error}"), ("live", len(self._live))),
            )
        )
        self._error = _named(error)
        now_ns = self.clock.now()
        try:
            self._journal.fault(now_ns, text, in_engine=self._in_engine)
            self._journal.sync()
        except OSError:
            # The disk may be the fault itself; the cancels matter more than the record of it.
            self._note(Note(level="error", event="the fault could not be journaled", fields=()))
        for client_id, (venue, symbol) in self._live.items():
            adapter = self._venues.get(venue)
            if adapter is not None:
                adapter.submit(CancelOrder(venue=venue, symbol=symbol, client_id=client_id), now_ns)
        if self._live:
            self._loop.call_later(LAST_CANCELS_S, self._end, self._error)
        else:
            self._end(self._error)

    def _watch_last(self, event: Event) -> None:
        self._track(event)
        if not self._live:
            self._end(self._error)

    def _end(self, error: Exception) -> None:
        if not self.stopped.done():
            self.stopped.set_exception(error)


def _named(error: Exception) -> Exception:
    """The error as the tree of ``citadel_proto.errors`` has it: a full disk is not our bug."""
    if isinstance(error, OSError):
        return PeerUnavailable(f"the journal cannot be written: {error}")
    if isinstance(error, InvariantError):
        return error
    fault = InvariantError(f"{type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault
