"""The engine under the real runner, killed between any two things that it writes or sends.

The runner decides what is written before what is sent; time and exchange are those of ``engine_kit``. A boundary is the
moment before a value of the durable state is appended, that of the sync, and the one after each request to the exchange.
What had been appended survives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engine_kit import KEY, MS, VENUE
from strict_rig import StrictRig

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import Persist, PublishReport
from citadel_micro.core.model.events import CancelReceived, SignalReceived, Started
from citadel_micro.shell.journal import records
from citadel_micro.shell.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from citadel_micro.core.model.approval import Approved as Approval
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.commands import PlaceOrder, Publication
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.order_adapter import VenueCommand


class KilledError(BaseException):
    """As SIGKILL: nothing of ours handles it."""


class Boundary(NamedTuple):
    """What was being done, and for which event."""

    event: str
    what: str


class KilledRig(StrictRig):
    """A rig that dies at boundary ``die_at`` (from 0), and with ``again`` so many boundaries later once more."""

    def __init__(
        self, settings: EngineConfig, *, chance: Random, die_at: int = -1, again: int = -1
    ) -> None:
        self.passed: list[Boundary] = []
        self.deaths: list[Boundary] = []
        self.asked: list[SignalReceived | CancelReceived] = []
        """All that macro has sent: it sends it again to a micro that has started anew."""
        self._deaths_due = [each for each in (die_at, again) if each >= 0]
        self._life = 0
        super().__init__(settings, chance=chance, start=False)
        self._runner = self._new_runner()
        self.send(Started(state={}, damaged=""))

    def _new_runner(self) -> Runner:
        settings = replace(self.settings, run_id=f"r{self._life}")
        self.engine = Engine(settings, {KEY: self.instrument})
        return Runner(
            cast("Engine", _Watched(self)),
            journal=_Journal(self),
            clock=cast("Any", _Clock(self)),
            venues=cast("Any", {VENUE: _Adapter(self)}),
            uplink=_Uplink(self),
            resync=lambda _command: None,
            note=self.notes.append,
        )

    # in

    def send(self, event: Event) -> list[Command]:
        """Hand over one event; dies with it where it is told to."""
        if isinstance(event, SignalReceived | CancelReceived) and event not in self.asked:
            self.asked.append(event)
        self.deliver([event])
        return []

    def deliver(self, events: Sequence[Event]) -> None:
        """What arrives together shares one write."""
        if self.crashed:
            return
        try:
            self._runner.post_many(events)
        except KilledError:
            self.crashed = True
        if self._runner.failed:
            self._runner.stopped.result()  # our bug: it raises

    def boundary(self, event: str, what: str) -> None:
        """One is passed, or is where it dies."""
        self.passed.append(Boundary(event, what))
        if self._deaths_due and len(self.passed) > self._deaths_due[0]:
            self._deaths_due.pop(0)
            if self._deaths_due:
                self._deaths_due[0] += len(self.passed)
            self.deaths.append(self.passed[-1])
            raise KilledError

    # life and death

    def revive(self, down_ns: int) -> None:
        """Start again after so long, in which the exchange went on; macro repeats what it had sent."""
        while self.crashed:
            self.crashed = False
            self._life += 1
            self.now += down_ns
            resting = self.venue.open_orders()
            if resting and down_ns:
                self.venue.fill(resting[0].place.client_id, 1)
            self.venue.due(self.now)  # said to nobody
            self.close()
            self._runner = self._new_runner()
            frame = records.encode(Started(state=dict(self.durable), damaged=""))
            self.send(records.decode_event(frame))
            self.book(self.bid, self.ask)
            self.run(50 * MS)
            for asked in tuple(self.asked):
                self.send(asked)
            self.run(50 * MS)

    def close(self) -> None:
        """No timer of the runner is left."""
        self._deaths_due, due = [], self._deaths_due
        self._runner.close()
        self._deaths_due = due


class _Watched:
    """The engine, after whose every event the rig checks what must hold."""

    def __init__(self, rig: KilledRig) -> None:
        self._rig, self._engine = rig, rig.engine
        self.risk, self.markets = rig.engine.risk, rig.engine.markets
        self.unreported, self.reports = rig.engine.unreported, rig.engine.reports
        self.reports_apart = False

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        commands = self._engine.handle(event, now_ns)
        self._rig.check_after(event, commands)
        return commands

    def next_timer(self) -> int | None:
        return self._engine.next_timer()


class _Clock:
    def __init__(self, rig: KilledRig) -> None:
        self._rig = rig

    def now(self) -> int:
        return self._rig.now


class _Journal:
    """Keeps what a restart reads, as the bytes that would be written."""

    def __init__(self, rig: KilledRig) -> None:
        self._rig = rig
        self._event = ""
        self._dirty = False

    def event(self, now_ns: int, event: Event) -> None:
        del now_ns
        self._event = type(event).__name__

    def command(self, now_ns: int, command: Command) -> None:
        del now_ns
        if not isinstance(command, Persist):
            return
        self._rig.boundary(self._event, f"write {command.key.partition('/')[0]}")
        kept = records.decode_persist(records.encode(command))
        assert kept is not None
        self._dirty = True
        if kept.value is None:
            self._rig.durable.pop(kept.key, None)
        else:
            self._rig.durable[kept.key] = kept.value

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        raise AssertionError((now_ns, in_engine, text))

    def flush(self) -> None:
        """Appended is survived here."""

    def start_sync(self) -> None:
        """As ``flush``."""

    def sync(self) -> None:
        if self._dirty:
            self._dirty = False
            self._rig.boundary(self._event, "sync")


class _Adapter:
    """Hands requests to the exchange of the rig."""

    venue = VENUE

    def __init__(self, rig: KilledRig) -> None:
        self._rig = rig

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        rig = self._rig
        order = command
        if isinstance(command, Approved):
            order = rig.engine.risk.open(cast("Approval[PlaceOrder]", command))  # type: ignore[assignment]
        rig.venue.submit(cast("Any", order), now_ns)
        rig.boundary("", f"send {type(order).__name__}")

    def restore(self, saved: Mapping[str, object]) -> None: ...

    def attach(self, host: object) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    async def released(self) -> None: ...


class _Uplink:
    def __init__(self, rig: KilledRig) -> None:
        self._rig = rig

    def publish(self, command: Publication, now_ns: int) -> None:
        del now_ns
        if isinstance(command, PublishReport):
            self._rig.reports.append(command)
