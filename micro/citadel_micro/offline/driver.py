"""Engine and paper venue joined in virtual time: no sockets, no clock, no waiting.

Market events come with the time at which they were received. Before each of them, everything that
is due earlier happens at its own time: the engine's timers, and requests and reports in transit
between the engine and the paper venue. So a run depends on its inputs and on nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from citadel_micro.core.marketdata.passing import Skipped
from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    PublishBeat,
    PublishFeed,
    PublishReport,
    QueryOrder,
    QueryVenue,
    RequestSnapshot,
)
from citadel_micro.core.model.events import TimerFired, TradeTick

if TYPE_CHECKING:
    from citadel_micro.core.engine.engine import Command, Engine
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.marketdata.passing import QuietTicks
    from citadel_micro.core.model.events import AmendRejected, Event, MarketEvent, OrderRejected
    from citadel_micro.sim.paper import PaperVenue

_SPOKEN: Final = (PublishBeat, PublishFeed)
"""What a tick says of nothing new; the state of a feed that did change is the market's own."""
NEVER = 1 << 62
"""A time that never comes, in nanoseconds."""


class Journal(Protocol):
    """Journal of a run, if it has one."""

    def event(self, now_ns: int, event: Event) -> None:
        """Append one event."""

    def command(self, now_ns: int, command: Command) -> None:
        """Append one command."""


def _before(ticks: QuietTicks, ends_ns: int) -> Skipped:
    """All ticks before a time, which is after the next."""
    count = -((ticks.next_ns - ends_ns) // ticks.step_ns)
    return Skipped(ticks.next_ns + count * ticks.step_ns, ticks.beat_ns, None)


class OfflineDriver:
    """Feeds one engine and one paper venue.

    ``reports`` holds the last report of every parent, ``requests`` counts orders, amends, cancels
    and queries that were sent.
    """

    def __init__(self, engine: Engine, paper: PaperVenue, journal: Journal | None = None) -> None:
        self.engine = engine
        self.paper = paper
        self.reports: dict[str, PublishReport] = {}
        self.requests = {"place": 0, "amend": 0, "cancel": 0, "query": 0}
        self.snapshots_wanted = 0
        self._journal = journal
        self._markets = engine.markets
        self._venue = self._symbol = ""
        self._found: MarketBook | None = None
        """Of the last event: looking one up by a pair takes as long as all else here."""
        self._paper_ns = NEVER
        self.due_ns = NEVER
        """When something other than a market event happens next."""
        self.changes = 0
        """Grows with all that may change what engine or venue look at, but for the engine's own timer when nothing
        comes of it (``executor.due_ns`` tells of its orders), and for trades when nothing comes of them."""

    @property
    def journals(self) -> bool:
        """Every event is written down."""
        return self._journal is not None

    def market(self, event: MarketEvent, now_ns: int, change: int | None = None) -> None:
        """Handle one market event at its receive time; ``change``: what it was to its market, if that has it."""
        if self.due_ns <= now_ns:
            self.advance(now_ns)
        if self._journal is not None:
            self._journal.event(now_ns, event)
        engine = self.engine
        if change is None:
            commands = engine.handle(event, now_ns)
        else:
            commands = engine.go_on(event, now_ns, change)
        venue, symbol = event[0], event[1]
        market = self._found
        if market is None or symbol != self._symbol or venue != self._venue:
            market = self._found = self._markets.get((venue, symbol))
            self._venue, self._symbol = venue, symbol
        moved = market is not None and self.paper.on_market(event, market, now_ns)
        if commands:
            self._carry_out(commands, now_ns)
        if commands or moved:
            self.changes += 1
            self._arm()
            return
        if type(event) is not TradeTick:
            self.changes += 1
        timer_ns = engine.next_timer()
        paper_ns = self._paper_ns
        self.due_ns = timer_ns if timer_ns is not None and timer_ns < paper_ns else paper_ns

    @property
    def next_ns(self) -> int:
        """When something other than a market event or a tick of the engine happens next."""
        return min(self.engine.executor.due_ns, self._paper_ns)

    def skip_ticks(self, skipped: Skipped) -> None:
        """Go on at a later tick of the engine: nothing came of those before it."""
        self.engine.skip_ticks(skipped)
        self.due_ns = min(skipped.next_ns, self.next_ns)

    def post(self, event: Event, now_ns: int) -> None:
        """Handle any other event."""
        self.advance(now_ns)
        self._handle(event, now_ns)
        self._arm()

    def advance(self, until_ns: int) -> None:
        """Execute everything that is due up to and including a time, in order."""
        while self.due_ns <= until_ns:
            now_ns = self.due_ns
            self.changes += self._paper_ns <= now_ns
            for report in self.paper.due(now_ns):
                self._handle(report, now_ns)
            timer_ns = self.engine.next_timer()
            if timer_ns is not None and timer_ns <= now_ns:
                self._handle(TimerFired(), now_ns)
            self._arm()

    def finish(self, until_ns: int) -> None:
        """``advance`` after the last market event: without a journal no books are looked at when no order is open."""
        while self.due_ns <= until_ns:
            ticks = self.engine.quiet_ticks(ended=True)
            ends_ns = min(ticks.until_ns, until_ns + 1)
            if ends_ns > ticks.next_ns and self._paper_ns == NEVER and not self.journals:
                self.skip_ticks(_before(ticks, ends_ns))
            else:
                self.advance(self.due_ns)

    def _handle(self, event: Event, now_ns: int) -> None:
        if self._journal is not None:
            self._journal.event(now_ns, event)
        commands = self.engine.handle(event, now_ns)
        if type(event) is not TimerFired or any(type(each) not in _SPOKEN for each in commands):
            self.changes += 1
        if commands:
            self._carry_out(commands, now_ns)

    def _carry_out(self, commands: list[Command], now_ns: int) -> None:
        void: list[OrderRejected | AmendRejected] = []
        for command in commands:
            if self._journal is not None:
                self._journal.command(now_ns, command)
            if isinstance(command, Approved):
                gate = self.engine.risk
                if not gate.still_valid(command):
                    void.append(not_sent(command.order))
                    continue
                order: PlaceOrder | AmendOrder = gate.open(command)
                self.requests["place" if isinstance(order, PlaceOrder) else "amend"] += 1
                self.paper.submit(order, now_ns)
            elif isinstance(command, CancelOrder | QueryOrder | QueryVenue):
                self.requests["cancel" if isinstance(command, CancelOrder) else "query"] += 1
                self.paper.submit(command, now_ns)
            elif isinstance(command, PublishReport):
                self.reports[command.signal_id] = command
            elif isinstance(command, RequestSnapshot):
                self.snapshots_wanted += 1
        for report in void:
            self._handle(report, now_ns)

    def _arm(self) -> None:
        timer_ns, paper_ns = self.engine.next_timer(), self.paper.next_timer()
        self._paper_ns = NEVER if paper_ns is None else paper_ns
        self.due_ns = self._paper_ns if timer_ns is None else min(timer_ns, self._paper_ns)
