"""A real engine behind real sockets, with the fake exchange: a micro without feeds or journal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import zmq
from engine_kit import SECOND, Rig, config

from citadel_bridge.channels import Inbox, Publisher
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_micro.core.model.commands import PublishAnswer, PublishBeat, PublishReport
from citadel_micro.core.model.events import Started, TimerFired
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.bridge import wire
from citadel_micro.shell.bridge.scope import Scope
from citadel_proto import topics
from citadel_proto.codec import decode_signal
from citadel_proto.messages import MacroHeartbeat, MicroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.config import EngineConfig
    from citadel_proto.messages import SignalChannel

BOOK_EVERY_NS = 200_000_000
STEP_S = 0.002


class EngineMicro(Rig):
    """Use it as a context manager, after ``follow``; ``with micro.lock`` to touch the engine.

    Prices stand still at 60,000; what is marketable fills at once and wholly.
    """

    def __init__(
        self,
        settings: EngineConfig | None = None,
        *,
        name: str = "micro",
        serves: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.scope = Scope(serves) if serves else None
        self.lock = threading.RLock()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.publisher = Publisher(
            self.context, "tcp://127.0.0.1:0", stamp={"instance": f"{name}-{time.time_ns()}"}
        )
        self.address = self.publisher.address
        self.macros: dict[str, int] = {}
        self.received: list[SignalChannel] = []
        self._readers: list[SubscriberThread] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)
        super().__init__(settings or open_config(), start=False)
        self.venue.partial_share = 0.0
        self.now = time.time_ns()
        self.send(Started(state={}, damaged=""))
        self.book(60_000.0, 60_000.1)
        self.run(20_000_000)

    def follow(self, *signals: str, operator: bool = False) -> Self:
        """Listen to these publishers of signals."""
        inbox = Inbox(decode_signal, self._taker(operator=operator))
        reader = SubscriberThread(
            self.context, [Endpoint(each) for each in signals], [topics.ALL], inbox
        )
        reader.start()
        self._readers.append(reader)
        return self

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for reader in self._readers:
            reader.close()
        self.publisher.close()
        self.context.destroy(linger=0)

    def _taker(self, *, operator: bool) -> Callable[[bytes, SignalChannel], None]:
        def take(_topic: bytes, message: SignalChannel) -> None:
            with self.lock:
                self.received.append(message)
                if isinstance(message, MacroHeartbeat):
                    self.macros[message.instance] = message.seq
                self._catch_up()
                known = self.engine.order_store.known
                if self.scope is not None and not self.scope.takes(message, known.__contains__):
                    return
                self.send(wire.event_of(message, operator=operator))

        return take

    def _beat_on(self) -> None:
        while not self._stop.wait(STEP_S):
            with self.lock:
                self._catch_up()

    def _catch_up(self) -> None:
        """Let the exchange and the timers do what is due by now."""
        self.now = max(self.now, time.time_ns())
        for report in self.venue.due(self.now):
            self.send(report)
        due = self.engine.next_timer()
        if due is not None and due <= self.now:
            self.send(TimerFired())
        if self.now - self.engine.markets[next(iter(self.engine.markets))].last_recv_ns > (
            BOOK_EVERY_NS
        ):
            self.book(self.bid, self.ask)

    def _carry_out(self, command: Command) -> None:
        super()._carry_out(command)
        if isinstance(command, PublishReport):
            self.publisher.publish(wire.report_of(command, "", 0))
        elif isinstance(command, PublishAnswer):
            self.publisher.publish(wire.answer_of(command, "", 0, self.now), command.reply_to)
        elif isinstance(command, PublishBeat):
            refused = dict(command.macros_refused)
            self.publisher.publish(
                MicroHeartbeat(
                    instance="",
                    seq=0,
                    state=command.state,
                    started_ns=1,
                    wall_ns=time.time_ns(),
                    mono_ns=time.monotonic_ns(),
                    macro_instance_seen=command.macro_instance_seen,
                    macro_seq_seen=command.macro_seq_seen,
                    working=command.working,
                    macros_seen=tuple(
                        item for item in self.macros.items() if item[0] not in refused
                    ),
                    macros_refused=command.macros_refused,
                    serves=() if self.scope is None else self.scope.pairs,
                )
            )


def open_config() -> EngineConfig:
    """Limits that let thousands of orders through, and a heartbeat ten times a second."""
    return config(
        limits=paper_defaults(
            lease_required=False,
            max_open_orders=10_000,
            depth_participation_bps=10_000.0,
            stale_ns=10 * SECOND,
        ),
        heartbeat_ns=SECOND // 10,
        retention_count=10_000,
    )
