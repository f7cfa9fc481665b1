"""The only caller of the engine: every event of a run passes ``Runner.post``.

An event is stamped, journaled and handled; the resulting commands are journaled too, made durable
where required, and then executed: requests to venues first, the rest after them, both in order. Where
requests leave over a network, reports about their orders are made and journaled after them.
Everything runs on the thread of one event loop, by direct calls: there is no task, queue or await
between a feed's callback, the engine and a request. An event that arises while commands are being executed is
queued.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, cast, get_args

from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    Publication,
    PublishReport,
    QueryOrder,
    QueryTrades,
    QueryVenue,
    RequestSnapshot,
    Stopped,
)
from citadel_micro.core.model.events import (
    DepthUpdate,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    QuoteTick,
    Started,
    TimerFired,
    TradeTick,
)
from citadel_micro.shell.order_adapter import Prepares
from citadel_micro.shell.stats import Stats, count
from citadel_proto.errors import InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event, MarketEvent
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.order_adapter import MarketTap, OrderAdapter, Send, Sign, VenueCommand
    from citadel_micro.shell.runner_ports import JournalPort, Publisher

FLUSH_AFTER_S: Final = 0.1
"""Longest time that a market event is buffered in memory."""
TIMER_GRAIN_NS: Final = 1_000_000
"""uvloop's timers count milliseconds; waking early would only mean waking again."""
LAST_CANCELS_S: Final = 2.0
"""How long a faulted run waits for the venue to confirm its last cancels."""

_MARKET: Final = frozenset({DepthUpdate, QuoteTick, TradeTick})
_DURABLE: Final = frozenset({Persist, Approved, CancelOrder})
_VENUE: Final = frozenset({Approved, CancelOrder, QueryOrder, QueryTrades, QueryVenue})
_PUBLISH: Final = frozenset(get_args(Publication))


class Runner:
    """Stamps, journals and handles events, and executes the resulting commands.

    Args:
        engine: makes the decisions.
        journal: everything is written there first.
        clock: stamps events.
        venues: order adapters by venue id; may be filled until ``start``.
        uplink: publishes.
        resync: requests a new snapshot of one book from the feeds.
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
        """Done when the engine has confirmed that no order works any more (its ``clean``), or failed
        with the error that ended the run."""
        self.market_taps: list[MarketTap] = []
        """Called after the engine with each market event and the book that it updated."""
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
        self._prepare: dict[str, Callable[[VenueCommand, int], Sign]] = {}
        """By venue: what makes of a command what signs it."""
        self._rest: list[tuple[Command, int]] = []
        """To be carried out once the requests before them have left; reports follow (``_unreported_ns``)."""
        self._unreported_ns = 0
        """Time of the event whose reports are still to be made."""
        engine.reports_apart = True
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._flush: asyncio.TimerHandle | None = None

    # entry

    def post(self, event: Event) -> None:
        """Handle one event; returns when it and everything queued before it is executed.

        Called while another event is being executed, it only queues. What is published about requests that
        leave over a network follows in the loop's next turn, or before the next event: an encrypted
        connection, and any of uvloop's, passes its bytes to the system at the end of this turn.
        """
        self._queue.append(event)
        if not self._busy:
            self._run()

    def post_many(self, events: Iterable[Event]) -> None:
        """Handle several events that arrived together; they share one durable write."""
        self._queue.extend(events)
        if not self._busy and self._queue:
            self._run()

    def halt(self, error: Exception) -> None:
        """End the run because of a fault outside of ``post``."""
        self._fail(error)

    def close(self) -> None:
        """Stop timers and write out what is buffered."""
        for handle in (self._timer, self._flush, self._turn):
            if handle is not None:
                handle.cancel()
        self._timer = self._flush = self._turn = None
        if self.engine.unreported and not self._failed:
            self._reports()  # as a replay does; nobody is told any more
        if self.stopped.done() and not self.stopped.cancelled():
            self.stopped.exception()  # the one who waits has it; no other warning is needed
        self._journal.sync()

    @property
    def failed(self) -> bool:
        """Whether the run hit an error of ours and only waits for its last cancels."""
        return self._failed

    @property
    def live_children(self) -> int:
        """Child orders sent and not yet confirmed closed, as the shell counts them."""
        return len(self._live)

    # inside

    def _run(self) -> None:
        self._busy = True
        try:
            self._carry_out_rest()
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
        """Handle everything queued, make it durable once, then act."""
        self._carry_out_rest()  # of the batch before
        queue, journal, clock, handle = self._queue, self._journal, self.clock, self.engine.handle
        stats, unreported = self.stats, self.engine.unreported
        requests: list[tuple[VenueCommand, int]] = []
        others: list[tuple[Command, int]] = []
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
                if type(command) in _VENUE:
                    requests.append((command, now_ns))  # type: ignore[arg-type]  # as its kind says
                else:
                    others.append((command, now_ns))
            if unreported:
                self._unreported_ns = now_ns
                if queue or not (requests and self._networked):
                    others += self._reports()
        signs = [(command, self._prepared(command, now_ns)) for command, now_ns in requests]
        if durable and signs:
            journal.start_sync()
        # Signed while the disk is at work: what is left after the wait is to pass the bytes to the system.
        sends = [(command, sign and sign()) for command, sign in signs]
        if durable:
            started = time.perf_counter_ns()
            journal.sync()
            stats.sync.observe(time.perf_counter_ns() - started)
        elif self._flush is None:
            self._flush = self._loop.call_later(FLUSH_AFTER_S, self._flush_now)
        # Orders leave first: a report can wait, a market does not.
        for command, send in sends:
            if send is not None:
                self._send(command, send)
        self._rest += others
        self._follow_up(at_once=not (sends and self._networked))

    @cached_property
    def _networked(self) -> bool:
        """Requests leave over a network. To be asked once there are some."""
        return any(isinstance(adapter, Prepares) for adapter in self._venues.values())

    def _follow_up(self, *, at_once: bool) -> None:
        """Carry out the rest, at once or in the loop's next turn."""
        if at_once:
            self._carry_out_rest()
        elif self._rest or self.engine.unreported:
            if self._turn is not None:
                self._turn.cancel()
            self._turn = self._loop.call_soon(self._run)

    def _reports(self) -> list[tuple[Command, int]]:
        """Make the reports that the last event has left, and journal them."""
        now_ns = self._unreported_ns
        self._in_engine = True
        made = self.engine.reports()
        self._in_engine = False
        for report in made:
            self._journal.command(now_ns, report)
        return [(report, now_ns) for report in made]

    def _carry_out_rest(self) -> None:
        rest, self._rest = self._rest, []
        if self.engine.unreported and not self._failed:
            rest += self._reports()
            # What was published is in the file, also of a process that dies.
            self._journal.flush()
        for command, now_ns in rest:
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
        elif isinstance(command, Note):
            self._note(command)
        elif isinstance(command, RequestSnapshot):
            self._resync(command)
        elif isinstance(command, Stopped) and not self.stopped.done():
            self.stopped.set_result(command.clean)

    def _prepared(self, command: VenueCommand, now_ns: int) -> Sign | None:
        """What signs a command; None where it may not be sent any more."""
        target = command.order if isinstance(command, Approved) else command
        if isinstance(command, Approved) and not self.engine.risk.still_valid(command):
            # Something tripped between its approval and its turn to be sent.
            self._queue.append(not_sent(command.order))
            return None
        prepare = self._prepare.get(target.venue) or self._found(target.venue)
        return prepare(command, now_ns)

    def _found(self, venue: str) -> Callable[[VenueCommand, int], Sign]:
        adapter = self._venues.get(venue)
        if adapter is None:
            raise InvariantError(f"no adapter for {venue}, which the engine trades on")
        if isinstance(adapter, Prepares):
            self._prepare[venue] = adapter.prepare
        else:
            # There is nothing to sign: what it would return sends at once.
            self._prepare[venue] = partial(partial, partial, adapter.submit)
        return self._prepare[venue]

    def _send(self, command: VenueCommand, send: Send) -> None:
        target = command.order if isinstance(command, Approved) else command
        if isinstance(target, PlaceOrder):
            self._live[target.client_id] = (target.venue, target.symbol)
        send()
        count(self.stats.commands, type(command).__name__)
        if isinstance(target, PlaceOrder):
            self.stats.signal_to_submit.submitted(target.parent_id, time.perf_counter_ns())

    def _track(self, event: Event) -> None:
        """Maintain the list of children that a fault would have to cancel."""
        if isinstance(event, OrderFilled):
            count(self.stats.fills, event.liquidity)
        elif isinstance(event, OrderDone):
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
        """Schedule a wake-up for the engine's next timer.

        A wake-up that has become too early is left: it checks again and goes back to sleep.
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
        if self.engine.unreported:
            self._run()  # a part of the journal may end here, and never between an event and its commands
        try:
            self._journal.flush()
        except OSError as error:
            self._fail(error)

    # faults

    def _fail(self, error: Exception) -> None:
        """Halt: no new order is sent; open orders are canceled; then the run ends."""
        first = not self._failed
        self._failed = True
        self._queue.clear()
        if not first:
            self._end(_named(error))
            return
        self._error = _named(error)
        now_ns = self.clock.now()
        notes = [
            Note(
                level="error",
                event="halted by a fault",
                fields=(("error", f"{type(error).__name__}: {error}"), ("live", len(self._live))),
            )
        ]
        try:
            text = "".join(traceback.format_exception(error))
            self._journal.fault(now_ns, text, in_engine=self._in_engine)
            self._journal.sync()
        except OSError:
            # The disk may be the fault itself; the cancels matter more than its record.
            notes.append(Note(level="error", event="the fault could not be journaled", fields=()))
        for client_id, (venue, symbol) in self._live.items():
            adapter = self._venues.get(venue)
            if adapter is not None:
                adapter.submit(CancelOrder(venue=venue, symbol=symbol, client_id=client_id), now_ns)
        if self._live:
            self._loop.call_later(LAST_CANCELS_S, self._end, self._error)
        else:
            self._end(self._error)
        for note in notes:  # last: telling people may be what has failed
            self._note(note)

    def _watch_last(self, event: Event) -> None:
        self._track(event)
        if not self._live:
            self._end(self._error)

    def _end(self, error: Exception) -> None:
        if not self.stopped.done():
            self.stopped.set_exception(error)


def _named(error: Exception) -> Exception:
    """The error in terms of ``citadel_proto.errors``: a full disk is not our bug."""
    if isinstance(error, OSError):
        return PeerUnavailable(f"the journal cannot be written: {error}")
    if isinstance(error, InvariantError):
        return error
    fault = InvariantError(f"{type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault
