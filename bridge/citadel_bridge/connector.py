"""HybridConnector: the one object through which macro sees micro.

Threads: any number of callers; one that receives (and is the only writer of the mirror); one that
keeps house: heartbeats, publishing again, questions, the disk. A signal is recorded, published and
waited for by the caller itself, so that nothing stands between it and micro.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import ClassVar, Final, Unpack

import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Inbox, Publisher, SubscriberThread
from citadel_bridge.config import ConnectorConfig, NewSignal, Submitted
from citadel_bridge.errors import ClockSkew, MicroUnavailable
from citadel_bridge.intents import IntentLog
from citadel_bridge.micro_state import Mirror
from citadel_bridge.query_api import MicroInquiries
from citadel_bridge.requests import Asked, Questions
from citadel_bridge.retransmitter import Retransmitter
from citadel_bridge.zap import ZapGuard
from citadel_proto import topics
from citadel_proto.base36 import base36
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput, InvariantError
from citadel_proto.messages import (
    SCHEMA_VERSION,
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
"""Whose cancels micro takes for anybody's order, so that they are followed as well."""
_S: Final = 1_000_000_000
_CANCEL_FOR_S: Final = 30.0
_QUERY_PAUSE_S: Final = 0.1


class HybridConnector(MicroInquiries):
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

        It survives Freqtrade's reload, which builds the bot anew: a second bind would fail.

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
                changed = [
                    name
                    for name in ConnectorConfig.__dataclass_fields__
                    if getattr(running.config, name) != getattr(config, name)
                ]
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
        """Name of this run; answers to us are published under it."""
        self.owner = self.intents.owner
        """Lasting id of the intent log: whose orders these are, for micro and for others."""
        super().__init__(Mirror(self.instance), config.dead_after)
        self.inbox = Inbox(decode_market, self.mirror.apply)
        self.lock = threading.Lock()
        self.strategy = config.strategy
        self.state: str = "starting"
        self._count = 0
        self._closed = False
        self._waiters: dict[str, threading.Event] = {}
        self.questions = Questions(self.instance, self.epoch, self._post_query, self._take_query)
        self._ready = threading.Event()
        self.started_ns = 0
        """Monotonic clock at ``start``."""
        self._zap: ZapGuard | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._open()
        except BaseException:
            self._release()
            raise
        self.mirror.on_report = self._on_report
        self.mirror.on_answer = self._on_answer
        self.mirror.on_heard = lambda _instance: self._ready.set()
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

    def _open(self) -> None:
        keys = None
        if self.config.keys is not None:
            keys = KeyStore(self.config.keys).server(self.config.role)
            self._zap = ZapGuard(self._context, keys.allow)
        self.publisher = Publisher(
            self._context,
            self.config.signals,
            stamp={"epoch": self.epoch, "owner": self.owner},
            keys=keys,
        )
        if self._zap is not None:
            self.publisher.watched_by(self._zap)
            self._zap.start()
        try:
            self._reader = SubscriberThread(
                self._context,
                self.config.endpoints(),
                [
                    topics.BOOKS,
                    topics.TRADES,
                    topics.REPORTS,
                    topics.exactly(topics.answer(self.instance)),
                    topics.RISK,
                    topics.FEEDS,
                    topics.exactly(topics.HEARTBEAT),
                ],
                self.inbox,
            )
        except BaseException:
            self.publisher.close()
            raise

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to receive and to keep house; unfinished intents of earlier runs are taken up."""
        self.started_ns = time.monotonic_ns()
        self._reader.start()
        self._keeper.start()
        self.state = "running"

    def close(self) -> None:
        """Say goodbye, note the last reports, and free the address. Harmless when repeated."""
        with HybridConnector._instance_lock:
            if HybridConnector._instance is self:
                HybridConnector._instance = None
        if self._closed:
            return
        self._closed = True
        self.state = "stopping"
        self._keeper.close()
        self._reader.close()
        self.publisher.close()
        self._release()

    def _release(self) -> None:
        if self._zap is not None:
            self._zap.close()
        self._context.term()
        self.intents.close()

    @property
    def address(self) -> str:
        """Where signals are published, with the port that was taken."""
        return self.publisher.address

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until micro has proven that it hears us.

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
        until acknowledged or expired, and ``report`` or ``query_order`` tell what became of it.

        Raises:
            MicroUnavailable: no live micro, or one of another schema; nothing was recorded.
            ClockSkew: the clocks differ too much for new risk; nothing was recorded.
            BadInput: the ``signal_id`` was used before.
        """
        self._require_micro(reduce_only=new.reduce_only)
        signal = self._signal(new)
        signal_id = signal.signal_id
        waiter = threading.Event()
        self._waiters[signal_id] = waiter
        try:
            self.intents.record(signal)
            if self.config.sync_intents == "before_publish":
                self.intents.sync()
            self.publisher.publish(signal)
            self._await_report(signal, waiter)
        finally:
            del self._waiters[signal_id]
        return Submitted(signal, self.ours(self.report(signal_id)))

    def ours(self, report: ExecutionReport | None) -> ExecutionReport | None:
        """A report, unless an order of ours has the same name as this one of somebody else.

        What our own log does not hold is shown as it is, though only its owner can withdraw it:
        somebody knows its name, from a log that was lost or as the operator.
        """
        if report is None or report.owner in ("", self.owner):
            return report
        return report if self.intents.get(report.signal_id) is None else None

    def _await_report(self, signal: Signal, waiter: threading.Event) -> None:
        """Wait for the first report; from now on the signal is published again until it comes.

        Micro is at work meanwhile, and the keeper would compete with the receive thread for the
        interpreter: it is called only when it has something to do that cannot wait.
        """
        with self.lock:
            # The receive thread notes a report before it takes the lock to call for no more.
            if self.ours(self.report(signal.signal_id)) is None:
                self._keeper.post_signal(signal, sent=True)
        if self.config.sync_intents == "overlapped":
            self._keeper.nudge()
        patience = self.config.ack_timeout
        soon = min(self.config.resend_first, patience)
        if not waiter.wait(soon):
            self._keeper.nudge()  # to publish it again
            waiter.wait(patience - soon)
        self._keeper.nudge()  # to note the acknowledgement

    def cancel(
        self, signal_id: str, reason: str = "", wait: float = 0.25
    ) -> ExecutionReport | None:
        """Ask for the unfilled rest to be withdrawn, and wait up to ``wait`` s for a terminal report.

        Published again until a terminal report comes, for half a minute. A signal that no report
        has acknowledged yet is published no more.

        Returns:
            The newest report; None when there is none. Look at its status: it may still be working.
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
        waiter = threading.Event()
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
            waiter.wait(wait)
        finally:
            del self._waiters[key]
        return self.ours(self.report(signal_id))

    # --- inside ---------------------------------------------------------------------------------

    def _require_micro(self, *, reduce_only: bool = True) -> None:
        self.check()
        if not self._ready.is_set():
            # Only in the first moments after start: the subscriptions of both sides must be in
            # place, or the first messages are lost.
            self.wait_ready()
        peers = self.peers()
        where = ", ".join(self.config.market)
        if not peers:
            raise MicroUnavailable(
                f"no heartbeat of micro at {where} for {self.config.dead_after:g} s; "
                "is it running? citadel micro"
            )
        if all(peer.schema != SCHEMA_VERSION for peer in peers):
            raise MicroUnavailable(
                f"micro at {where} speaks schema {peers[0].schema}, this process {SCHEMA_VERSION}; "
                "run the same release on both sides"
            )
        for peer in peers:
            if peer.refuses_us:
                raise MicroUnavailable(
                    f"micro at {where} takes no orders of this process, {self.instance}: "
                    f"{peer.refuses_us}"
                )
        skew = self.skew_ns
        if not reduce_only and abs(skew) > self.config.skew_refuse * _S:
            raise ClockSkew(
                f"the clock of micro at {where} differs by {skew / _S:+.3f} s, more than "
                f"{self.config.skew_refuse:g} s: no new risk until the clocks are set"
            )

    def check(self) -> None:
        """Raise what ended one of our threads.

        Raises:
            InvariantError: a bug of ours; the process must not trade on.
        """
        failure = self._reader.failure or self._keeper.failure
        if failure is not None:
            raise InvariantError("a thread of the bridge has ended") from failure
        if self._closed:
            raise MicroUnavailable("the bridge of this process is closed")

    def _signal(self, new: NewSignal) -> Signal:
        with self.lock:
            self._count += 1
            count = self._count
        return new.signal(
            signal_id=new.signal_id or f"{base36(self.epoch // 1000)}-{count}",
            strategy=new.strategy or self.strategy,
            now_ns=time.time_ns(),
            epoch=self.epoch,
            owner=self.owner,
        )

    def _query(
        self, kind: QueryKind, timeout: float, *, instance: str = "", **asked: Unpack[Asked]
    ) -> Answer:
        self._require_micro()
        return self.questions.ask(self.questions.new(kind, **asked), timeout, instance)

    def _post_query(self, query: Query, for_s: float) -> None:
        with self.lock:
            self._post(f"query {query.query_id}", query, for_s)
        self.publisher.publish(query)
        self._keeper.nudge()

    def _take_query(self, query: Query) -> None:
        with self.lock:
            self.outbox.take(f"query {query.query_id}")

    def remake_silent(self) -> None:
        """Connect anew to every micro from which nothing has come for ``dead_after``."""
        self._reader.remake_silent(int(self.config.dead_after * _S))

    def beat(self) -> None:
        """Publish one heartbeat."""
        peers = self.peers()
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
            )
        )

    @property
    def ready(self) -> bool:
        """Whether a micro has proven that it hears us."""
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
        """In the receive thread, for every new revision."""
        if report.owner not in ("", self.owner) and self.config.role != OPERATOR_ROLE:
            return  # another's: micro tells everybody
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
        self._keeper.heard_of(report, hurry=not awaited)

    def _on_answer(self, answer: Answer) -> None:
        """In the receive thread; its reports are in the mirror already."""
        self._keeper.answered(answer)
        self.questions.answered(answer)

    def _set_waiter(self, key: str) -> bool:
        waiter = self._waiters.get(key)
        if waiter is not None:
            waiter.set()
        return waiter is not None
