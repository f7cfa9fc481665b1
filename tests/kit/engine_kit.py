"""An engine with a scripted market and an exchange that can misbehave, for tests.

What every test of the engine starts from (``engine_samples``) can be imported from here too.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Literal, cast

from engine_exchange import FakeOrder, FakeVenue, Faults
from engine_samples import KEY, MS, SECOND, START, SYMBOL, VENUE, config, rules, signal

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    PublishReport,
    QueryOrder,
    QueryTrades,
    QueryVenue,
)
from citadel_micro.core.model.events import (
    CancelReceived,
    DepthUpdate,
    MacroBeat,
    OperatorCommand,
    Started,
    TimerFired,
    TradeTick,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event, Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent

__all__ = [
    "KEY",
    "MS",
    "SECOND",
    "START",
    "SYMBOL",
    "VENUE",
    "Rig",
    "config",
    "rules",
    "signal",
]


class Rig:
    """An engine, its market and its exchange; time moves by ``run``.

    ``check`` is called after every event with the commands it caused.
    """

    def __init__(
        self,
        settings: EngineConfig | None = None,
        *,
        instrument: Instrument | None = None,
        chance: Random | None = None,
        faults: Faults | None = None,
        venue: FakeVenue | None = None,
        start: bool = True,
    ) -> None:
        self.settings = settings or config()
        self.instrument = instrument or rules()
        self.venue = venue or FakeVenue(chance or Random(1), faults)
        self.now = START
        self.seq = 0
        self.durable: dict[str, object] = {}
        self.reports: list[PublishReport] = []
        self.notes: list[Note] = []
        self.commands: list[tuple[int, Command]] = []
        self.bid = self.ask = 0.0
        self.drop_after: int | None = None
        """Crash inside a later batch of commands: only so many of them happen."""
        self.crashed = False
        self.hold_back = False
        """Keep approvals, as a shell does that handles other events before it sends."""
        self._held_back: list[Approved[PlaceOrder] | Approved[AmendOrder]] = []
        self._unsent: list[Event] = []
        self.engine = Engine(self.settings, {KEY: self.instrument})
        if start:
            self.send(Started(state={}, damaged=""))
            self.book(60_000.0, 60_000.1)
            self.run(20 * MS)

    # in

    def send(self, event: Event) -> list[Command]:
        """Hand over one event now, and carry out what comes back."""
        commands = self.engine.handle(event, self.now)
        self.check_after(event, commands)
        for number, command in enumerate(commands):
            if self.drop_after is not None and number >= self.drop_after:
                self.crashed = True
                return commands
            self._carry_out(command)
        while self._unsent:
            self.send(self._unsent.pop(0))
        return commands

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand over what arrives together."""
        for event in events:
            if self.dead():
                return
            self.send(event)

    def let_go(self) -> None:
        """Now is the moment of sending for what was held back."""
        self.hold_back = False
        held, self._held_back = self._held_back, []
        for approved in held:
            self._carry_out(approved)
        while self._unsent:
            self.send(self._unsent.pop(0))

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        """For tests to override."""

    def _carry_out(self, command: Command) -> None:
        self.commands.append((self.now, command))
        if isinstance(command, Approved):
            if self.hold_back:
                self._held_back.append(command)
            elif self.engine.risk.still_valid(command):
                self.venue.submit(self.engine.risk.open(command), self.now)
            else:
                self._unsent.append(not_sent(command.order))
        elif isinstance(command, CancelOrder | QueryOrder | QueryTrades | QueryVenue):
            self.venue.submit(command, self.now)
        elif isinstance(command, Persist):
            if command.value is None:
                self.durable.pop(command.key, None)
            else:
                self.durable[command.key] = command.value
        elif isinstance(command, PublishReport):
            self.reports.append(command)
        elif isinstance(command, Note):
            self.notes.append(command)

    def book(
        self,
        bid: float,
        ask: float,
        *,
        size: float = 50.0,
        own: tuple[Side, float, float] | None = None,
    ) -> list[Command]:
        """A whole new book of five levels a side around these prices."""
        self.seq += 1
        self.bid, self.ask = bid, ask
        tick = self.instrument.tick_float
        ticks = self.instrument.ticks_of_float
        self.venue.bid_ticks, self.venue.ask_ticks = ticks(bid), ticks(ask)
        bids = {round(bid - n * tick, 8): size for n in range(5)}
        asks = {round(ask + n * tick, 8): size for n in range(5)}
        if own is not None:
            side, price, extra = own
            levels = bids if side == "buy" else asks
            levels[price] = levels.get(price, 0.0) + extra
        return self.send(
            DepthUpdate(
                VENUE,
                SYMBOL,
                True,
                self.seq,
                self.seq,
                -1,
                None,
                list(bids.items()),
                list(asks.items()),
                self.now,
                self.now,
            )
        )

    def trade(self, price: float, size: float = 0.1, side: Side = "sell") -> list[Command]:
        self.seq += 1
        return self.send(
            TradeTick(VENUE, SYMBOL, f"m{self.seq}", price, size, side, self.now, self.now)
        )

    def cancel(self, signal_id: str = "s1") -> list[Command]:
        return self.send(CancelReceived(signal_id=signal_id, reason="test"))

    def operate(
        self,
        action: str,
        scope: str = "",
        trip_id: str = "",
        reason: str = "t",
        *,
        through_halt: bool = False,
    ) -> None:
        self.send(
            OperatorCommand(
                action=cast("Literal['halt']", action),
                scope=scope,
                trip_id=trip_id,
                reason=reason,
                through_halt=through_halt,
            )
        )

    def beat(self) -> None:
        self.send(MacroBeat(instance="m", strategy="test", epoch=1, seq=1, skew_ns=0))

    # time

    def run(self, duration_ns: int, *, refresh_ns: int = 200 * MS) -> None:
        """Let time pass: timers, the exchange, and a book that is confirmed now and then."""
        end = self.now + duration_ns
        refresh = self.now + refresh_ns if refresh_ns else end + 1
        while not self.dead():
            times = [end, refresh]
            dues = (self.engine.next_timer(), self.venue.next_due())
            times += [due for due in dues if due is not None]
            self.now = max(self.now, min(times))
            if self.now >= end and min(times) >= end:
                self.now = end
                return
            self.deliver(self.venue.due(self.now))
            if self.dead():
                return
            due = self.engine.next_timer()
            if due is not None and due <= self.now:
                self.send(TimerFired())
            if self.now >= refresh and not self.dead():
                refresh = self.now + refresh_ns
                self.book(self.bid, self.ask)

    def dead(self) -> bool:
        """It has crashed inside a batch of commands."""
        return self.crashed

    def recovering(self) -> bool:
        """It does nothing yet but ask."""
        return self.engine.reconciling

    def restart(self) -> None:
        """A new engine on what was durable; reports under way are lost."""
        self.crashed = False
        self.drop_after = None
        self.venue._outbox.clear()
        self.engine = Engine(replace(self.settings), {KEY: self.instrument})
        self.send(Started(state=dict(self.durable), damaged=""))
        self.book(self.bid, self.ask)

    # out

    def parent(self, signal_id: str = "s1") -> Parent:
        return self.engine.order_store.known[signal_id]

    def report(self, signal_id: str = "s1") -> PublishReport:
        return [r for r in self.reports if r.signal_id == signal_id][-1]

    def live(self, signal_id: str = "s1") -> FakeOrder:
        """The one open order of a parent at the exchange."""
        found = [o for o in self.venue.open_orders() if o.place.parent_id == signal_id]
        assert len(found) == 1, found
        return found[0]

    def sent(self, kind: type) -> list[tuple[int, object]]:
        """(time, request) of one kind that were sent to the exchange."""
        return [(at, request) for at, request in self.venue.requests if isinstance(request, kind)]

    def queries_of(self, client_id: str) -> int:
        """How often the exchange was asked for one order."""
        asked = [request for _, request in self.venue.requests if isinstance(request, QueryOrder)]
        return sum(request.client_id == client_id for request in asked)

    def events_noted(self) -> list[str]:
        return [note.event for note in self.notes]
