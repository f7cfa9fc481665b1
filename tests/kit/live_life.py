"""One process of micro on the simulated exchange in virtual time: engine, runner, adapter, journal.

Everything is the product's but the file that the journal is written to and the sockets. It can be
killed at every boundary between writing and sending; what a kernel would have kept is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import Persist, PlaceOrder
from citadel_micro.core.model.events import Started
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.journal import records
from citadel_micro.shell.order_adapter import AdapterSetup
from citadel_micro.shell.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtual_loop import VirtualLoop
    from virtual_wire import Network

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.commands import Note, Publication, RequestSnapshot
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.shell.order_adapter import (
        AdapterHost,
        OrderAdapter,
        Prepares,
        Send,
        Sign,
        VenueCommand,
    )


class Killed(BaseException):
    """This process is gone; nothing in the product catches it."""


class Disk:
    """What survives a process: the engine's durable state and the adapter's rows."""

    def __init__(self) -> None:
        self.state: dict[str, object] = {}
        self.rows: dict[str, object] = {}

    def put(self, row: tuple[bool, str, object]) -> None:
        """Write one row: of the engine, or of the adapter."""
        engine, key, value = row
        kept = self.state if engine else self.rows
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value


class Journal:
    """As ``shell.runner_ports.JournalPort`` and ``AccountBook``: rows wait in memory until a flush."""

    def __init__(self, disk: Disk, boundary: Callable[[str], None], venue: str) -> None:
        self._disk = disk
        self._venue = venue
        self._boundary = boundary
        self.waiting: list[tuple[bool, str, object]] = []
        self.faults: list[str] = []

    def event(self, now_ns: int, event: Event) -> None:
        """Nothing of it survives."""

    def command(self, now_ns: int, command: Command) -> None:
        del now_ns
        if isinstance(command, Persist):
            self.waiting.append((True, command.key, command.value))

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        del now_ns
        assert venue == self._venue
        self.waiting += [(False, key, value) for key, value in changes.items()]
        self._boundary("rows")

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        del now_ns, in_engine
        self.faults.append(text)

    def flush(self) -> None:
        for row in self.waiting:
            self._disk.put(row)
        self.waiting.clear()

    def start_sync(self) -> None:
        self._boundary("before the write begins")
        self.flush()
        self._boundary("after the write has begun")

    def sync(self) -> None:
        self._boundary("before the write")
        self.flush()
        self._boundary("after the write")


class _Watched:
    """The adapter, with a boundary before and after each command."""

    def __init__(
        self, adapter: OrderAdapter, look: Callable[[VenueCommand], None], life: Life
    ) -> None:
        self._adapter = adapter
        self._look = look
        self._life = life
        self.venue = adapter.venue

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        self._life.boundary("before the send")
        self._look(command)
        self._adapter.submit(command, now_ns)
        self._life.boundary("after the send")

    def prepare(self, command: VenueCommand, now_ns: int) -> Sign:
        sign = cast("Prepares", self._adapter).prepare(command, now_ns)
        self._life.boundary("after it was prepared")

        def signed() -> Send:
            send = sign()
            self._life.boundary("after it was signed")

            def watched() -> None:
                self._life.boundary("before the send")
                self._look(command)
                send()
                self._life.boundary("after the send")

            return watched

        return signed

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the adapter's own
        return getattr(self._adapter, name)


class Life:
    """One process, from its start to its end.

    Args:
        loop: whose time it has.
        network: its own.
        disk: what the one before has left.
        config: of the engine.
        instruments: by unified symbol.
        kind: of the key.
        wall_ns: this machine's clock minus the exchange's.
        host: gets what it does: ``look``, ``publish``, ``resync``, ``on_boundary``.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        network: Network,
        disk: Disk,
        *,
        config: EngineConfig,
        instruments: Mapping[str, Instrument],
        kind: KeyKind,
        wall_ns: int,
        host: Any,  # noqa: ANN401 - the run
    ) -> None:
        self.loop = loop
        self.network = network
        self.alive = True
        self._host = host
        self._disk = disk
        self.notes: list[Note] = []
        self.clock = Clock(wall=lambda: loop.now_ns() + wall_ns, mono=loop.mono_ns)
        venue = network.venue.name
        rules = {(venue, symbol): each for symbol, each in instruments.items()}
        self.engine = Engine(config, rules)
        self.journal = Journal(disk, self.boundary, venue)
        self.adapter = network.venue.adapter(
            AdapterSetup(
                venue=venue,
                instruments=instruments,
                config=cast("MicroConfig", None),
                loop=loop,
                clock=self.clock,
                account=self.journal,
                mark=config.venues[venue].mark,
            ),
            kind,
        )
        watched = _Watched(self.adapter, self._look, self)
        self.runner = Runner(
            self.engine,
            journal=self.journal,
            clock=self.clock,
            venues={venue: cast("OrderAdapter", watched)},
            uplink=self,
            resync=self._resync,
            note=self.notes.append,
        )

    def start(self) -> None:
        """As the daemon does."""
        self.adapter.restore(_read(self._disk.rows))
        self.adapter.attach(cast("AdapterHost", self.runner))
        started = Started(state=_read(self._disk.state), damaged="")
        self.runner.post(records.decode_event(records.encode(started)))
        self.adapter.start()

    def post(self, event: Event) -> None:
        """Something comes from outside."""
        if self.alive:
            self.runner.post(event)

    def publish(self, command: Publication, now_ns: int) -> None:
        """As the uplink."""
        del now_ns
        self._host.publish(command)

    def boundary(self, name: str) -> None:
        """The process may be killed here."""
        if not self.alive:
            raise Killed
        if self._host.on_boundary(name):
            self.die()
            raise Killed

    def die(self, *, flush: int = 0) -> None:
        """It is gone: at once, without a word.

        Args:
            flush: so many of the rows in memory had already reached the kernel.
        """
        self.alive = False
        for row in self.journal.waiting[:flush]:
            self._disk.put(row)
        self.network.kill()
        runner: Any = self.runner
        for handle in (runner._timer, runner._flush):
            if handle is not None:
                handle.cancel()
        runner._queue.clear()
        self.loop.create_task(self.adapter.released())

    def _look(self, command: VenueCommand) -> None:
        if isinstance(command, Approved) and isinstance(command.order, PlaceOrder):
            self._host.look(self, command.order)
        elif isinstance(command, Approved):
            self._host.look_at_amend(self, command.order)

    def _resync(self, command: RequestSnapshot) -> None:
        self._host.resync(command)


def _read(kept: dict[str, object]) -> dict[str, object]:
    """As they come back from a file."""
    back = records.decode_plain(records.encode_plain(dict(kept)))
    assert isinstance(back, dict)
    return back


BOUNDARIES: Final = (
    "before the write",
    "after the write",
    "before the send",
    "after the send",
    "rows",
)
