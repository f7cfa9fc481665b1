"""The order adapter of a live venue: connections, requests, and the meaning of their outcomes.

It sends each approved order once. Answers and stream events go through one
reducer; an unanswered request is reported as timed out, and is queried when the engine asks.
The venue is up while its stream is alive: without it there are no orders.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryTrades,
    QueryVenue,
)
from citadel_micro.core.model.events import VenueAnomaly, VenueStatus
from citadel_micro.shell.venue.cancel_timer import CancelTimer, TimerOrWatchdog, Watched
from citadel_micro.shell.venue.facts import (
    STREAMED_ENDS,
    TERMINAL,
    Anomaly,
    OrderFact,
    RequestAccepted,
    StreamEnds,
)
from citadel_micro.shell.venue.order_ids import OrderIds
from citadel_micro.shell.venue.order_reducer import OrderReducer
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Refusal
from citadel_micro.shell.venue.queries import VenueQueries
from citadel_micro.shell.venue.reconnect import Reconnector
from citadel_micro.shell.venue.sending import RequestSender
from citadel_micro.shell.venue.sound_facts import is_sound, not_after, of_answer, of_frame
from citadel_micro.shell.venue.stream_watch import StreamWatch
from citadel_micro.shell.venue.unsuccessful import not_done, not_sent, refused
from citadel_micro.shell.venue.wire import RestWire, ask
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.order_adapter import (
        AdapterHost,
        AdapterSetup,
        Send,
        Sign,
        VenueCommand,
    )
    from citadel_micro.shell.venue.cancel_timer import DeadMan, VenueTimer
    from citadel_micro.shell.venue.dialect import Dialect, Request, Survey, WireSession
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

log: Final = structlog.get_logger("venue")

UPKEEP_S: Final = 0.25
PROBE_NS: Final = 2_000_000_000
RENEW_S: Final = 23 * 3_600.0
"""Before the day after which venues cut a connection."""


class LiveAdapter:
    """As ``shell.order_adapter.OrderAdapter``, for one venue.

    Args:
        setup: as the daemon gives it.
        dialect: the venue's protocol.
        clock: the venue's time; measured by the dialect's sessions.
        budget: what may be sent.
        abilities: of the venue: how long a request may be under way, and how long after that its
            "not found" is not yet believed. The engine adds its own margin. And in which form it accepts
            our ids: where that is not ours, a dialect asks ``ids`` for both.
        renew_s: a connection is replaced after this long.
        watch: finds a stream that is mute.
        timer: of the venue, that cancels when we fall silent; None where it has none: then a watchdog
            that stands by counts as armed.
    """

    def __init__(
        self,
        setup: AdapterSetup,
        dialect: Dialect,
        *,
        clock: VenueClock,
        budget: RequestBudget,
        abilities: VenueAbilities,
        renew_s: float = RENEW_S,
        watch: StreamWatch | None = None,
        timer: VenueTimer | None = None,
    ) -> None:
        self.venue = setup.venue
        self._loop = setup.loop
        self._now = setup.clock.now
        self._dialect = dialect
        self.clock = clock
        self.budget = budget
        self._host: AdapterHost | None = None
        account, venue, now = setup.account, setup.venue, setup.clock.now
        names = ClientIds(abilities.client_id_form, setup.mark)
        self.ids = OrderIds(
            lambda changes: account.venue_state(now(), venue, changes), names, self._engine_ids
        )
        self._reducer = OrderReducer(setup.venue, self.ids)
        rest = dialect.fallback()
        if isinstance(rest, RestWire):
            rest.obey(lambda: self.budget.pause_ns(self.clock.venue_ns()), self._apply_refusal)
        self._watch = watch or StreamWatch()
        self._yields = setup.yields
        watched = Watched(setup.watched)
        self.dead_man: DeadMan = watched
        if timer is not None:
            armed = CancelTimer(
                self.venue,
                timer,
                setup.instruments,
                ids=self.ids,
                ask=self.ask,
                on_refusal=self._apply_refusal,
                now=self._now,
                on_armed=self._report_status,
            )
            self.dead_man = TimerOrWatchdog(armed, watched) if timer.or_watchdog else armed
        self._queries = VenueQueries(
            self.venue,
            dialect,
            ids=self.ids,
            reducer=self._reducer,
            ask=self.ask,
            post=self._post,
            on_refusal=self._apply_refusal,
            on_anomaly=self._halt_symbol,
            on_changed=lambda changed_ns: self._watch.expect_account(changed_ns, self._now()),
            on_found=self._found,
            on_survey=self._surveyed,
            now=self._now,
            clock=clock,
            window_ns=abilities.order_window_ns,
            grace_ns=abilities.backend_timeout_ns,
        )
        rng = random.Random()
        self.stream: Reconnector[WireSession] = Reconnector(
            f"{self.venue} stream",
            lambda: dialect.open_stream(self._frame),
            on_up=self._stream_up,
            on_down=self._stream_down,
            rng=rng,
            renew_s=renew_s,
        )
        self.entry: Reconnector[WireSession] = Reconnector(
            f"{self.venue} orders",
            lambda: dialect.open_entry(self._frame),
            on_up=lambda _session: self._report_status(),
            on_down=lambda _why: self._report_status(),
            rng=rng,
            renew_s=renew_s,
        )
        self._sender = RequestSender(
            self._loop,
            entry=self.entry,
            dialect=dialect,
            why_down=lambda: self._down,
            budget=budget,
            clock=clock,
            now=self._now,
        )
        self._down = "connecting"
        self._reported: VenueStatus | None = None
        self._probe_ns = self._banned_until_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    def _engine_ids(self) -> Iterable[str]:
        return () if self._host is None else self._host.engine.order_store.children

    # as an order adapter

    def restore(self, saved: Mapping[str, object]) -> None:
        """Restore the ids of the orders of earlier runs."""
        self.ids.restore(saved)

    def attach(self, host: AdapterHost) -> None:
        """Set the receiver of the reports."""
        self._host = host

    def start(self) -> None:
        """Connect. The first report says that the venue is not up yet."""
        self._report_status()
        self.stream.start()
        self.entry.start()
        self._timer = self._loop.call_later(UPKEEP_S, self._upkeep)

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        """Send a command; its outcome is reported later."""
        self.prepare(command, now_ns)()()

    def prepare(self, command: VenueCommand, now_ns: int) -> Sign:
        """Remember an order; what is returned signs its request. See ``Prepares``."""
        if isinstance(command, Approved):
            if self._host is None:
                raise InvariantError(f"{self.venue}: an order without a gate to open it")
            order = self._host.engine.risk.open(command)
            if isinstance(order, PlaceOrder):
                self.ids.placed(order, now_ns, now_ns + self.clock.offset_ns)
            return partial(self._signed, order)
        if isinstance(command, CancelOrder):
            return partial(self._signed, command)
        return partial(partial, self._query, command)

    def _signed(self, command: PlaceOrder | AmendOrder | CancelOrder) -> Send:
        """Sign and write a request; what is returned sends it."""
        request = self._sender.request(command, self.ids.find(command.client_id))
        if isinstance(request, str):
            return partial(self._loop.call_soon, self._post, not_sent(command, NotSent(request)))
        return self._sender.prepare(request, partial(self._answered, command, request))

    def _query(self, command: QueryOrder | QueryTrades | QueryVenue) -> None:
        if isinstance(command, QueryOrder):
            self._queries.order(command)
        elif isinstance(command, QueryTrades):
            self._queries.trades(command)
        elif isinstance(command, QueryVenue):
            self._queries.everything(ready=self._up)
        else:
            raise InvariantError(f"{self.venue}: {type(command).__name__} without an approval")

    def rehearse(self, order: PlaceOrder) -> None:
        """See ``Rehearses``."""
        self._sender.rehearse(order)

    def close(self) -> None:
        """Stop delivering reports."""
        self._host = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def released(self) -> None:
        """Close every connection."""
        self.close()
        await self._queries.close()
        await self.dead_man.end(self._dialect.survey if self._up else None)
        await self.stream.close()
        await self.entry.close()
        await self._dialect.close()

    def report(self, reports: Iterable[Event]) -> None:
        """Post what a dialect has received that is about no order: marks, margin terms, funding."""
        self._post(each for each in reports if is_sound(each))

    async def ask(self, request: Request) -> Outcome:
        """Send a request without side effects, and wait for its outcome."""
        return await ask(self, request)

    # requests

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Send a request within the venue's limits, over what is up."""
        self._sender.prepare(request, done)()

    def _answered(
        self,
        command: PlaceOrder | AmendOrder | CancelOrder,
        request: Request,
        outcome: Outcome,
    ) -> None:
        if isinstance(outcome, NotSent):
            if isinstance(command, PlaceOrder):
                self.ids.refused(command.client_id)
            # From inside ``submit`` nothing may be posted.
            self._loop.call_soon(self._post, not_sent(command, outcome))
            return
        if not isinstance(outcome, Answered):
            self._post((not_done(command),))
            log.warning("no outcome", order=command.client_id, why=outcome.reason)
            return
        said = of_answer(self._dialect.read, request, outcome)
        if isinstance(said, Refusal):
            self._apply_refusal(said)
            reports = refused(command, said)
            if isinstance(command, PlaceOrder) and reports.final:
                self.ids.refused(command.client_id)
            log.info("refused", order=command.client_id, fate=said.fate.value, text=said.text)
            self._post((reports.report,))
            return
        now_ns = self._now()
        for fact in said:
            if isinstance(fact, OrderFact) and fact.venue_order_id and fact.standing != "rejected":
                closed = fact.standing in TERMINAL
                self._watch.expect_order(fact.venue_order_id, closed=closed, now_ns=now_ns)
            elif isinstance(fact, RequestAccepted):
                self._watch.expect_order(fact.venue_order_id, closed=fact.closed, now_ns=now_ns)
        self._take(said)

    def _apply_refusal(self, refusal: Refusal) -> None:
        """Apply a refusal that concerns all requests."""
        now_ns = self.clock.venue_ns()
        if refusal.counter:
            self.budget.full(refusal.counter, now_ns)
        elif refusal.retry_after_s or refusal.banned or refusal.fate.value == "wait":
            self.budget.pause(
                refusal.retry_after_s,
                now_ns,
                refusal.text,
                banned=refusal.banned,
                orders_only=refusal.orders_only,
            )
        if refusal.banned:
            wait_ns = self.budget.wait_ns("cancel", {}, now_ns)
            self._banned_until_ns = self._now() + wait_ns
            self._down = f"shut out for {wait_ns / 1e9:.0f} s: {refusal.text}"
            self._report_status()
        if refusal.key:
            self.stream.drop(refusal.text, refused=True)
            self.entry.drop(refusal.text, refused=True)
        elif refusal.clock:
            self.clock.forget()
            self.entry.replace()

    def _found(self, fact: OrderFact) -> None:
        """A query has found an order: where it has ended, the stream says so too, or is mute."""
        order_id, ended_ns = fact.venue_order_id, fact.exchange_ns
        if fact.standing in STREAMED_ENDS and order_id:
            self._watch.expect_end(order_id, ended_ns=ended_ns, now_ns=self._now())

    def _surveyed(self, survey: Survey, asked_ns: int) -> None:
        """All open orders of the account: a timer is armed now, since the first order may come next."""
        self.dead_man.surveyed(survey.open_orders, asked_ns)
        self.dead_man.upkeep()
        if survey.unsettled:
            self.stream.drop(survey.unsettled)

    # the stream

    def _frame(self, frame: bytes) -> None:
        self._take(of_frame(self._dialect.read_event, frame), streamed=True)

    def _take(self, facts: Iterable[Fact], *, streamed: bool = False) -> None:
        facts = not_after(facts, self.clock)
        for fact in facts:
            if isinstance(fact, StreamEnds):
                self._stream_ends(fact)
            elif isinstance(fact, Anomaly):
                self._halt_symbol(fact)
            elif streamed and not isinstance(fact, RequestAccepted):
                self._watch.saw(fact.exchange_ns)
                if isinstance(fact, OrderFact):
                    self.dead_man.saw(fact)
                    self._watch.saw_order(fact.venue_order_id, closed=fact.standing in TERMINAL)
        self._post(self._reducer.take(facts, self._now()))

    def _halt_symbol(self, fact: Anomaly) -> None:
        """Halt the symbol until an operator has checked, and query the order at the venue."""
        log.error("not understood", venue=self.venue, order=fact.client_id, text=fact.text)
        if fact.symbol:
            anomaly = VenueAnomaly(
                venue=self.venue, symbol=fact.symbol, client_id=fact.client_id, text=fact.text
            )
            self._post((anomaly,))

    def _stream_ends(self, fact: StreamEnds) -> None:
        if fact.key:
            self.stream.drop(fact.reason, refused=True)
            self.entry.drop(fact.reason, refused=True)
        elif fact.blind:
            self.stream.drop(fact.reason)
        else:
            self.stream.replace()
            self.entry.replace()

    def _stream_up(self, _session: WireSession) -> None:
        self._watch.begin(self.clock.surely_past_ns(), self.clock.surely_to_come_ns())
        self._report_status()

    def _stream_down(self, why: str) -> None:
        self._down = why
        self._report_status()

    # status

    @property
    def _up(self) -> bool:
        """Requests can be sent: over a connection that is up, or by the fallback."""
        other = self._dialect.fallback()
        return (
            self.clock.known
            and self._now() >= self._banned_until_ns
            and (
                self.stream.current is not None
                or self.entry.current is not None
                or (other is not None and other.up)
            )
        )

    def _report_status(self) -> None:
        """Report changes of whether the venue is up, and its stream alive."""
        up, heard = self._up, self.stream.current is not None
        reason = "connected" if up and heard else self._down
        if up and heard and self._yields():
            # Blind: once it has stopped, the venue is asked what is left of our orders.
            heard, reason = False, "a watchdog is canceling our orders"
        status = VenueStatus(
            venue=self.venue,
            up=up,
            reason=reason,
            dms_armed=up and self.dead_man.armed,
            blind=up and not heard,
        )
        if status == self._reported:
            return
        self._reported = status
        self._post((status,))
        if up:
            self._queries.ready()

    def _upkeep(self) -> None:
        self._timer = self._loop.call_later(UPKEEP_S, self._upkeep)
        now_ns = self._now()
        if self.stream.current is not None and (mute := self._watch.overdue(now_ns)):
            self.stream.drop(f"the stream is mute: {mute}")
        self.ids.forget_old(now_ns)
        self._check_timers(now_ns)
        if self._up:
            self.dead_man.upkeep()
        self._report_status()

    def _check_timers(self, now_ns: int) -> None:
        """Whether the fallback works, while there is no connection: then cancels can still be sent."""
        other = self._dialect.fallback()
        connected = self.stream.current is not None or self.entry.current is not None
        if other is None or connected or now_ns < self._probe_ns:
            return
        self._probe_ns = now_ns + PROBE_NS
        self.send(self._dialect.probe, lambda _outcome: self._report_status())

    def _post(self, reports: Iterable[Event]) -> None:
        if self._host is not None:
            self._host.post_many(reports)
