"""A micro that can be killed at any command: real uplink, sockets and clock over the engine's test rig."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

import zmq
from engine_exchange import FakeVenue
from engine_kit import SECOND, Rig, config

from citadel_bridge.sockets import Endpoint
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import Persist, PlaceOrder
from citadel_micro.core.model.events import MacroBeat, Started, TimerFired
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.bridge.published import ENCODE
from citadel_micro.shell.bridge.uplink import Uplink, UplinkConfig
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.stats import Stats
from citadel_proto import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.runner import Runner

SOFT_NS: Final = 400_000_000
HARD_NS: Final = 800_000_000
TICK_NS: Final = 100_000_000
POLL_NS: Final = 700_000_000
"""What a busy machine may take from the end of a lease to the engine's next look."""
MOST_LOOKS: Final = 6
"""Timers of the engine, one of which ends a lease."""
_LOOK_S: Final = 0.005
_BOOK_NS: Final = 200_000_000


class Broken(AssertionError):  # noqa: N818 - a promise is
    """A promise of the bridge does not hold."""


class Losing:
    """A publisher's socket that takes some reports, and sends them to nobody."""

    def __init__(self, inner: zmq.Socket[bytes], rig: BridgedRig) -> None:
        self._inner = inner
        self._rig = rig

    @property
    def closed(self) -> bool:
        return self._inner.closed

    def send(self, frame: bytes, flags: int) -> None:
        if self._rig.lose and frame.startswith(topics.REPORTS):
            self._rig.lose -= 1
            self._rig.lost += 1
        else:
            self._inner.send(frame, flags)

    def close(self) -> None:
        self._inner.close()


class BridgedRig(Rig):
    """One micro over all its runs: ``up``, ``kill``, ``up`` again with what was durable.

    Args:
        market_port: where it publishes.
        signals: addresses of the macros, as it reaches them.
        chance: of the exchange.
        wall: its wall clock.
        expires: when a signal expires by true time, in ns, and whether its order ends then.
    """

    def __init__(
        self,
        market_port: int,
        signals: tuple[str, ...],
        chance: Random,
        wall: Callable[[], int],
        expires: Callable[[str], tuple[int, bool] | None],
    ) -> None:
        limits = paper_defaults(
            lease_required=True,
            lease_soft_ns=SOFT_NS,
            lease_hard_ns=HARD_NS,
            max_open_orders=1_000,
            depth_participation_bps=10_000.0,
            stale_ns=10 * SECOND,
        )
        settings = config(limits=limits, heartbeat_ns=50_000_000, tick_ns=TICK_NS)
        super().__init__(settings, venue=FakeVenue(chance), start=False)
        self._chance = chance
        self._market = f"tcp://127.0.0.1:{market_port}"
        self._signals = tuple(map(Endpoint, signals))
        self._wall = wall
        self._expires = expires
        self._uplink: Uplink | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._task: asyncio.Task[None] | None = None
        self.market_taps: list[Any] = []
        self.runs = 0
        self.broken: list[str] = []
        self.acted: dict[str, int] = {}
        """Signal -> when its first order was sent."""
        self.beat_ns: dict[str, int] = {}
        self.begun_ns = 0
        self._over: dict[str, int] = {}
        self.fills = True
        self.lose = 0
        """Reports that are lost on their way from now on, as where a queue is full for a moment."""
        self.lost = 0
        self.late_ns = -(2**62)
        """How much later than its expiry the last order was sent, at most."""

    @property
    def is_up(self) -> bool:
        return self._uplink is not None

    def up(self) -> None:
        """Start a run."""
        self.runs += 1
        clock = Clock(not_before_ns=self.now if self.runs > 1 else 0, wall=self._wall)
        self.now = max(self.now, clock.now()) if self.runs > 1 else clock.now()
        self._clock = clock
        self._ahead_ns = clock.now() - time.time_ns()
        self._context = zmq.Context()
        self._uplink = Uplink(
            asyncio.get_running_loop(),
            self._context,
            UplinkConfig(
                instance=f"micro-{self.runs:04d}",
                mode="paper",
                market=self._market,
                signals=self._signals,
                started_ns=clock.now(),
            ),
            clock=clock,
            stats=Stats(),
        )
        publisher = self._uplink._publisher
        publisher._socket = cast("zmq.Socket[bytes]", Losing(publisher._socket, self))
        self.begun_ns = self.now
        self.beat_ns.clear()
        if self.runs == 1:
            self.send(Started(state={}, damaged=""))
            self.book(60_000.0, 60_000.1)
        else:
            self.restart()
        self._uplink.start(cast("Runner", self))
        self._task = asyncio.create_task(self._turn())

    async def kill(self) -> None:
        """Vanish: no goodbye, and of what was decided last only what is durable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._uplink is not None:
            self._uplink.close()
            self._uplink = None
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    def post(self, event: Event) -> None:
        """As the runner does, for the uplink."""
        if self.dead() or self._uplink is None:
            return
        self.now = max(self.now, self._clock.now())
        if isinstance(event, MacroBeat):
            self.beat_ns[event.owner] = self.now
        self.send(event)

    async def _turn(self) -> None:
        booked_ns = self.now
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                if self.dead():
                    continue
                self.now = max(self.now, self._clock.now())
                if self.fills and self._chance.random() < 0.02:
                    self.venue.fill_something()
                for report in self.venue.due(self.now):
                    if not self.dead():
                        self.send(report)
                due = self.engine.next_timer()
                if not self.dead() and due is not None and due <= self.now:
                    self.send(TimerFired())
                if not self.dead() and self.now - booked_ns >= _BOOK_NS:
                    booked_ns = self.now
                    self.book(self.bid, self.ask)
        except Exception as error:
            self.broken.append(f"micro failed: {error!r}")
            raise

    def send(self, event: Event) -> list[Command]:
        """As the runner: what must last is on the disk before anything is sent or published."""
        commands = self.engine.handle(event, self.now)
        self.check_after(event, commands)
        lasting = [each for each in commands if isinstance(each, Persist)]
        others = [each for each in commands if not isinstance(each, Persist)]
        for part in (lasting, others):
            if self.drop_after is not None and len(part) > self.drop_after:
                for command in part[: self.drop_after]:
                    self._carry_out(command)
                self.crashed = True
                return commands
            for command in part:
                self._carry_out(command)
        while self._unsent:
            self.send(self._unsent.pop(0))
        return commands

    def _carry_out(self, command: Command) -> None:
        super()._carry_out(command)
        if self._uplink is not None and type(command) in ENCODE:
            self._uplink.publish(command, self.now)  # type: ignore[arg-type]

    # what must hold at every step

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Approved) and isinstance(command.order, PlaceOrder):
                self._check_place(command.order)
        if isinstance(event, TimerFired) and not self.engine.reconciling:
            self._check_leases()

    def _check_place(self, order: PlaceOrder) -> None:
        known = self._expires(order.parent_id)
        if known is None:
            self.broken.append(f"an order of nobody's signal: {order}")
            return
        expires_ns, ends = known
        late_ns = self.now - self._ahead_ns - expires_ns
        if ends or order.parent_id not in self.acted:
            self.late_ns = max(self.late_ns, late_ns)
        self.acted.setdefault(order.parent_id, self.now)
        parent = self.engine.order_store.known.get(order.parent_id)
        if parent is not None and not parent.reducing:
            silence_ns = self._silence(parent.signal.owner)
            if silence_ns > HARD_NS + POLL_NS:
                self.broken.append(f"{order.parent_id} sent {silence_ns / 1e9:.3f} s after a beat")

    def _check_leases(self) -> None:
        for parent in self.engine.order_store.active.values():
            silence_ns = self._silence(parent.signal.owner)
            over = (
                not parent.reducing
                and parent.ending is None
                and silence_ns > HARD_NS + 4 * TICK_NS
                and parent.state.name not in {"GATING", "HELD"}
            )
            # Counted, since on a busy machine much time passes between two looks of the engine.
            self._over[parent.id] = self._over.get(parent.id, 0) + 1 if over else 0
            if self._over[parent.id] > MOST_LOOKS:
                self.broken.append(
                    f"{parent.id} goes on {silence_ns / 1e9:.3f} s after its macro's last beat"
                )

    def _silence(self, owner: str) -> int:
        return self.now - self.beat_ns.get(owner, self.begun_ns)
