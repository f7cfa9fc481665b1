"""HybridConnector: macro's only interface to micro.

Threads: any number of callers; one that receives; one for heartbeats, retransmission, queries and the
disk. A signal is recorded, published and awaited by the calling thread itself, which reads the sockets
while it waits, so that no other thread delays it. One thread reads at a time, and it alone writes the
mirror.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import ClassVar, Final, Unpack

from citadel_bridge.channels import Inbox
from citadel_bridge.config import ConnectorConfig, NewSignal, Submitted
from citadel_bridge.errors import MicroUnavailable
from citadel_bridge.intents import IntentLog
from citadel_bridge.macro_sockets import Channels
from citadel_bridge.micro_state import MicroStateCache, micro_of
from citadel_bridge.query_api import MicroQueries
from citadel_bridge.requests import PendingQueries, QueryFields
from citadel_bridge.retransmitter import Retransmitter
from citadel_bridge.routing import Routing
from citadel_bridge.signal_ids import SignalIds
from citadel_bridge.turns import Waiter
from citadel_proto import topics
from citadel_proto.base36 import base36
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput, InvariantError
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    Answer,
    Cancel,
    ExecutionReport,
    MacroHeartbeat,
    Query,
    QueryKind,
    Signal,
)

log = logging.getLogger(__name__)

OPERATOR_ROLE: Final = "cli"
"""Role whose cancels micro accepts for any order, so that those are followed as well."""
_S: Final = 1_000_000_000
_CANCEL_FOR_S: Final = 30.0
_QUERY_PAUSE_S: Final = 0.1
_MOST_MICROS: Final = 256
"""Named in a heartbeat."""


class HybridConnector(MicroQueries):
    """Thread-safe; one per process, see ``get``.

    Args:
        config: settings.

    Raises:
        BadInput, Refused, PortTaken: from the intent log, the keys and the sockets; nothing is
            left open then.
    """

    _instance: ClassVar[HybridConnector | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def get(cls, config: ConnectorConfig) -> HybridConnector:
        """The connector of this process, made and started at the first call.

        It survives Freqtrade's reload, which rebuilds the bot: a second bind would fail.

        Raises:
            BadInput: one with other settings is running.
        """
        with cls._instance_lock:
            running = cls._instance
            if running is None:
                running = cls(config)
                running.start()
                cls._instance = running
            elif running.config != config:
                changed = running.config.differing(config)
                raise BadInput(
                    f"the bridge of this process runs with other settings ({', '.join(changed)})",
                    where="ConnectorConfig",
                    mend="restart the process: these settings cannot change in a reload",
                )
            return running

    def __init__(self, config: ConnectorConfig) -> None:
        self.config = config
        self.intents = IntentLog(config.state_path, config.owner)
        self.epoch = self.intents.next_epoch(time.time_ns())
        """Start of this run (ns); larger than that of every earlier run."""
        self.instance = f"{config.role}-{base36(self.epoch)}"
        """Name of this run; answers to it are published under it."""
        self._ids = SignalIds(self.epoch)
        self.owner = self.intents.owner
        """Permanent id of the intent log: the owner of these orders."""
        super().__init__(MicroStateCache(self.instance), config.dead_after, len(config.market))
        self.routing = Routing(self, config, self.instance, self._settling)
        self.mirror.owner = self.owner
        self.inbox = Inbox(decode_market, self.mirror.apply)
        self.lock = threading.Lock()
        self.strategy = config.strategy
        self._pairs: tuple[tuple[str, str], ...] = ()
        self.state: str = "starting"
        self._closed = False
        self._waiters: dict[str, Waiter] = {}
        self.questions = PendingQueries(
            self.instance, self.epoch, self._post_query, self._take_query, self._wait
        )
        self._ready = threading.Event()
        self._introduced: frozenset[str] = frozenset()
        """Runs of micro that have had a heartbeat of ours: one that was sent when they heard us."""
        self.started_ns = 0
        """Monotonic clock at ``start``."""
        stamp = {"epoch": self.epoch, "owner": self.owner}
        try:
            self._channels = Channels(config, stamp, topics.answer(self.instance), self.inbox)
        except BaseException:
            self.intents.close()
            raise
        self.publisher = self._channels.publisher
        self.lanes = self._channels.lanes
        """Lanes beside the channels; None where none are used."""
        self._reader = self._channels.reader
        self._reader.on_subscribed = self.mirror.resubscribed
        self.interest = self._channels.interest
        self.mirror.on_report = self._on_report
        self.mirror.on_answer = self._on_answer
        self.mirror.on_heartbeat = lambda _instance: self._ready.set()
        self._keeper = Retransmitter(
            config,
            self,
            lock=self.lock,
            publisher=self.publisher,
            intents=self.intents,
            questions=self.questions,
            mirror=self.mirror,
        )
        self.outbox = self._keeper.queue
        self.mirror.on_lost = self._keeper.resync

    # --- lifetime -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start receiving and the background thread; resume unfinished intents of earlier runs."""
        self.started_ns = time.monotonic_ns()
        self._reader.start()
        self._keeper.start()
        self.state = "running"

    def close(self) -> None:
        """Say goodbye, record the last reports, and free the address. Safe to repeat."""
        with HybridConnector._instance_lock:
            if HybridConnector._instance is self:
                HybridConnector._instance = None
        if self._closed:
            return
        self._closed = True
        self.state = "stopping"
        self._keeper.close()
        self._channels.close()
        self.intents.close()

    @property
    def address(self) -> str:
        """Where signals are published, with the actual port."""
        return self.publisher.address

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(venue, symbol) that may be traded or looked at, as heartbeats name them; empty: not named.

        Once they are named, their books and trades come, and no others unless they are asked for.
        """
        return self._pairs

    @pairs.setter
    def pairs(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self._pairs = pairs
        self._channels.interest.name(pairs)

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until micro is known to receive our messages.

        Args:
            timeout: seconds from now; None waits until ``ready_timeout`` after start.
        """
        if timeout is None:
            passed = (time.monotonic_ns() - self.started_ns) / _S
            timeout = max(0.0, self.config.ready_timeout - passed)
        return self._ready.wait(timeout)

    # --- orders ---------------------------------------------------------------------------------

    def submit(self, new: NewSignal) -> Submitted:
        """Record, publish, and wait up to ``ack_timeout`` for the first report.

        Once published this never raises: without a report the order is open, is published again
        until acknowledged or expired, and ``report`` or ``query_order`` give its state.

        Raises:
            MicroUnavailable: no live micro, or one of another schema; nothing was recorded.
            ClockSkew: the clocks differ too much for new risk; nothing was recorded.
            BadInput: the ``signal_id`` was used before, or is of the kind that is made here.
        """
        self._require_micro(new.venue, new.symbol, reduce_only=new.reduce_only)
        signal = self._signal(new)
        signal_id = signal.signal_id
        waiter = Waiter()
        self._waiters[signal_id] = waiter
        try:
            self.intents.record(signal, new_id=not new.signal_id)
            if self.config.sync_intents == "before_publish":
                self.intents.sync()
            self._introduce()
            self.publisher.publish(signal)
            self._await_report(signal, waiter)
        finally:
            del self._waiters[signal_id]
        return Submitted(signal, self.ours(self.report(signal_id)))

    def ours(self, report: ExecutionReport | None) -> ExecutionReport | None:
        """A report, unless it is of another owner's order with the same id as one of ours.

        A report on an id that our own log lacks is returned as it is, though only its owner can
        cancel that order: the caller knows its id, from a lost log or as the operator.
        """
        if report is None or report.owner in ("", self.owner):
            return report
        return report if self.intents.get(report.signal_id) is None else None

    def _await_report(self, signal: Signal, waiter: Waiter) -> None:
        """Wait for the first report; from now on the signal is published again until it comes.

        Micro is processing meanwhile, and the background thread would compete with this one for the
        interpreter: it is woken only for work that cannot wait.
        """
        with self.lock:
            # Who reads stores a report before it takes the lock to stop the retransmission.
            if self.ours(self.report(signal.signal_id)) is None:
                self._keeper.post_signal(signal, sent=True)
        if self.config.sync_intents == "overlapped":
            self._keeper.nudge()
        patience = self.config.ack_timeout
        soon = min(self.config.resend_first, patience)
        if not self._wait(waiter, soon):
            self._keeper.nudge()  # to publish it again
            self._wait(waiter, patience - soon)
        self._keeper.nudge()  # to record the acknowledgement

    def cancel(
        self, signal_id: str, reason: str = "", wait: float = 0.25
    ) -> ExecutionReport | None:
        """Request a cancel of the unfilled rest, and wait up to ``wait`` s for a terminal report.

        Published again until a terminal report comes, for half a minute. A signal that no report
        has acknowledged yet is not published any more.

        Returns:
            The newest report; None when there is none. Check its status: it may still be working.
        """
        known = self.ours(self.report(signal_id))
        if known is not None and known.status in TERMINAL_STATUSES:
            return known
        intent = self.intents.get(signal_id)
        order = known if known is not None else (intent.signal if intent is not None else None)
        now = time.time_ns()
        message = Cancel(
            signal_id=signal_id,
            reason=reason,
            created_ns=now,
            epoch=self.epoch,
            seq=0,
            venue=order.venue if order is not None else "",
            symbol=order.symbol if order is not None else "",
        )
        waiter = Waiter()
        key = f"terminal {signal_id}"
        self._waiters[key] = waiter
        try:
            with self.lock:
                self.outbox.take(f"signal {signal_id}")
                self._post(f"cancel {signal_id}", message, _CANCEL_FOR_S)
            if known is None:
                self.intents.withdraw(signal_id)
            self.publisher.publish(message)
            self._keeper.ask_about(signal_id)
            self._wait(waiter, wait)
        finally:
            del self._waiters[key]
        return self.ours(self.report(signal_id))

    # --- inside ---------------------------------------------------------------------------------

    def _wait(self, waiter: Waiter, seconds: float) -> bool:
        """Wait for what a message of micro sets, reading the messages meanwhile."""
        return self._reader.wait(waiter, seconds)

    def _require_micro(
        self, venue: str = "", symbol: str = "", *, reduce_only: bool = True
    ) -> None:
        self.check()
        if not self._ready.is_set():
            # Only in the first moments after start: until the subscriptions of both sides are in
            # place, first messages are lost.
            self.wait_ready()
        self.routing.require(venue, symbol, reduce_only=reduce_only)

    def _settling(self) -> float:
        """Seconds that connecting to several micros may still take after the start."""
        if len(self.config.market) == 1:
            return 0.0
        passed = (time.monotonic_ns() - self.started_ns) / _S
        return max(0.0, self.config.ready_timeout - passed)

    def check(self) -> None:
        """Raise the error that ended one of our threads.

        Raises:
            InvariantError: a bug of ours; the process must not trade on.
        """
        failure = self._reader.failure or self._keeper.failure
        if failure is not None:
            raise InvariantError("a thread of the bridge has ended") from failure
        if self._closed:
            raise MicroUnavailable("the bridge of this process is closed")

    def _signal(self, new: NewSignal) -> Signal:
        return new.signal(
            signal_id=self._ids.own(new.signal_id) if new.signal_id else self._ids.make(),
            strategy=new.strategy or self.strategy,
            now_ns=time.time_ns(),
            epoch=self.epoch,
            owner=self.owner,
        )

    def _query(
        self, kind: QueryKind, timeout: float, *, instance: str = "", **asked: Unpack[QueryFields]
    ) -> list[Answer]:
        self._require_micro()
        if instance:
            instances = frozenset({instance})
        else:
            place = (asked.get("venue", ""), asked.get("symbol", ""), "")
            if kind == "order":
                place = self._place_of(asked.get("signal_id", ""))
            instances = self.routing.asked(*place)
        return self.questions.ask(self.questions.new(kind, **asked), timeout, instances)

    def _place_of(self, signal_id: str) -> tuple[str, str, str]:
        """Venue and symbol of an order and the micro that has reported it, as far as they are known."""
        report = self.report(signal_id)
        if report is not None:
            return report.venue, report.symbol, micro_of(report.instance)
        intent = self.intents.get(signal_id)
        return ("", "", "") if intent is None else (intent.signal.venue, intent.signal.symbol, "")

    def deniers(self, signal_id: str) -> frozenset[str]:
        """Micros that must say that there is no such order before that is believed."""
        return self.routing.deniers(*self._place_of(signal_id))

    def _post_query(self, query: Query, for_s: float) -> None:
        with self.lock:
            self._post(f"query {query.query_id}", query, for_s)
        self.publisher.publish(query)
        self._keeper.nudge()

    def _take_query(self, query: Query) -> None:
        with self.lock:
            self.outbox.take(f"query {query.query_id}")

    def remake_silent(self) -> None:
        """Reconnect to every micro from which nothing was received for ``dead_after``."""
        self._reader.remake_silent(int(self.config.dead_after * _S))

    def _introduce(self) -> None:
        """Let a heartbeat go before the first order: micro rejects orders of a macro that it has not heard."""
        if not self.mirror.peers.keys() <= self._introduced:
            self.beat()

    def beat(self) -> None:
        """Publish one heartbeat."""
        peers = self.peers()
        hearing = frozenset(name for name in self.mirror.peers if self.mirror.receives_us(name))
        self.publisher.publish(
            MacroHeartbeat(
                instance=self.instance,
                epoch=self.epoch,
                seq=0,
                state=self.state,  # type: ignore[arg-type]
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
                micro_instance_seen=peers[0].instance if peers else "",
                micro_seq_seen=peers[0].beat_seq if peers else 0,
                strategy=self.strategy,
                pairs=self.pairs,
                micros_seen=tuple((peer.instance, peer.beat_seq) for peer in peers[:_MOST_MICROS]),
            )
        )
        self._introduced = hearing

    @property
    def ready(self) -> bool:
        """Whether a micro is known to receive our messages."""
        return self._ready.is_set()

    def _post(self, key: str, message: Cancel | Query, for_s: float) -> None:
        now = time.monotonic_ns()
        self.outbox.put(
            key,
            message,
            now_ns=now,
            until_ns=now + int(for_s * _S),
            first_ns=int(_QUERY_PAUSE_S * _S),
            limit_ns=int(self.config.resend_max * _S),
            sent=True,
        )

    def _on_report(self, report: ExecutionReport) -> None:
        """By who reads, for every new revision."""
        if report.owner not in ("", self.owner) and self.config.role != OPERATOR_ROLE:
            return  # another owner's: micro publishes to everybody
        signal_id = report.signal_id
        terminal = report.status in TERMINAL_STATUSES
        with self.lock:
            self.outbox.take(f"signal {signal_id}")
            if terminal:
                self.outbox.take(f"cancel {signal_id}")
        self._keeper.acks.append((signal_id, report.status, report.revision))
        awaited = self._set_waiter(signal_id)
        if terminal:
            self._set_waiter(f"terminal {signal_id}")
        self._keeper.on_report(report, hurry=not awaited)

    def _on_answer(self, answer: Answer) -> None:
        """By who reads; its reports are in the mirror already."""
        self._keeper.answered(answer)
        self.questions.answered(answer)

    def _set_waiter(self, key: str) -> bool:
        waiter = self._waiters.get(key)
        if waiter is not None:
            waiter.set()
        return waiter is not None
