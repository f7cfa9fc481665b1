"""The connector's second thread: heartbeats, retransmission, queries, and the disk.

Nothing here is in the path of a first signal. Everything here makes the loss of a message
harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from citadel_bridge.conclusions import NEVER_RECEIVED, WITHDRAWN, concluded
from citadel_bridge.resend_queue import ResendQueue
from citadel_bridge.resync import Resync, missed_since_ns
from citadel_proto.messages import TERMINAL_STATUSES, Answer, ExecutionReport, Query, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_bridge.channels import Publisher
    from citadel_bridge.config import ConnectorConfig
    from citadel_bridge.intents import Intent, IntentLog
    from citadel_bridge.micro_state import MicroStateCache, Peer
    from citadel_bridge.requests import PendingQueries

log = logging.getLogger(__name__)

_S: Final = 1_000_000_000
_HANDSHAKE_BEAT_NS: Final = 100_000_000
_RESYNC_PAUSE_NS: Final = 200_000_000
_RESYNC: Final = "query resync "
_RESYNC_AGAIN_NS: Final = _S
_AUDIT_LIMIT: Final = 15
_CHECKPOINT_NS: Final = 60 * _S
_LONG_NS: Final = 10**18
_REPORT_LOSS_NS: Final = 60 * _S


@dataclass(slots=True)
class _Audit:
    """An order that is queried unless a report on it comes first."""

    due_ns: int
    pause_ns: int


class Heartbeats(Protocol):
    """Sender of the heartbeats: the connector."""

    started_ns: int

    @property
    def ready(self) -> bool:
        """Whether a micro is connected."""

    @property
    def skew_ns(self) -> int:
        """By how much micro's clock is ahead of ours."""

    def beat(self) -> None:
        """Send a heartbeat."""

    def remake_silent(self) -> None:
        """Reconnect to publishers that have fallen silent."""

    def peers(self) -> Sequence[Peer]:
        """Connected micros."""

    def reports(self) -> Sequence[ExecutionReport]:
        """The latest report of every order."""

    def deniers(self, signal_id: str) -> frozenset[str]:
        """Micros that must say that there is no such order before that is believed."""


class Retransmitter:
    """The background thread of one connector.

    Args:
        config: settings.
        presence: the connector.
        lock: guards its ``queue``.
        publisher: sends the messages.
        intents: the intent log.
        questions: makes queries.
        mirror: receives the reports that this side concludes itself.
    """

    def __init__(
        self,
        config: ConnectorConfig,
        presence: Heartbeats,
        *,
        lock: threading.Lock,
        publisher: Publisher,
        intents: IntentLog,
        questions: PendingQueries,
        mirror: MicroStateCache,
    ) -> None:
        self._config = config
        self._presence = presence
        self.queue = ResendQueue()
        """Messages published again until they are acknowledged; under ``lock``."""
        self._publisher = publisher
        self._intents = intents
        self.acks: deque[tuple[str, str, int]] = deque()
        """Reports to be recorded in the intent log."""
        self._questions = questions
        self._mirror = mirror
        self._work = threading.Condition(lock)
        self._nudged = False
        self._stopping = False
        self._audits: dict[str, _Audit] = {}
        self._asked: dict[str, str] = {}
        self._denials: dict[str, set[str]] = {}
        self._resync_reason = "start"
        self._resync = Resync(questions)
        self._resync_after_ns = 0
        self._beat_due_ns = 0
        self._checkpoint_due_ns = 0
        self._warned_skew = False
        self._reported_lost = 0
        self._report_loss_ns = 0
        self.resyncs = 0
        """How often all orders were queried."""
        self.failure: BaseException | None = None
        """What ended the thread, if it was an error."""
        self._thread = threading.Thread(target=self._run, name="citadel-keeper", daemon=True)

    # --- called by other threads ----------------------------------------------------------------

    def start(self) -> None:
        """Resume the unfinished intents of earlier runs, and start."""
        for intent in self._intents.unfinished():
            self._take_up(intent)
        self._thread.start()

    def close(self) -> None:
        """End the thread after it has recorded the last reports."""
        with self._work:
            self._stopping = True
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def nudge(self) -> None:
        """Wake the thread: there is something to do."""
        with self._work:
            self._nudged = True
            self._work.notify()

    def post_signal(self, signal: Signal, *, sent: bool) -> None:
        """Publish a signal again until it is acknowledged or expired. The caller holds the lock."""
        now = time.monotonic_ns()
        self.queue.put(
            f"signal {signal.signal_id}",
            signal,
            now_ns=now,
            until_ns=now + signal.expires_ns - time.time_ns(),
            first_ns=int(self._config.resend_first * _S),
            limit_ns=int(self._config.resend_max * _S),
            sent=sent,
        )
        self._audits[signal.signal_id] = self._audit_in(self._config.audit)

    def ask_about(self, signal_id: str) -> None:
        """Query one order at once; earlier queries about it are dropped."""
        with self._work:
            self._forget_questions(signal_id)
            self._audits[signal_id] = self._audit_in(0)
            self._nudged = True
            self._work.notify()

    def resync(self, reason: str) -> None:
        """Query all open and changed orders: reports may have been missed."""
        with self._work:
            self._resync_reason = reason
            self._nudged = True
            self._work.notify()

    def on_report(self, report: ExecutionReport, *, hurry: bool = True) -> None:
        """A new revision has come: this order need not be queried for a while.

        Without ``hurry`` it is recorded when the thread wakes next; somebody else will wake it.
        """
        with self._work:
            if report.status in TERMINAL_STATUSES:
                self._audits.pop(report.signal_id, None)
            elif not report.own:
                self._audits[report.signal_id] = self._audit_in(self._config.audit)
            if hurry:
                self._nudged = True
                self._work.notify()

    def answered(self, answer: Answer) -> None:
        """An answer to a query of this thread, or of another."""
        settle, asked = "", self._asked.get(answer.query_id)
        # Looked up before the lock: it reads the intent log.
        needed = frozenset() if asked is None or answer.found else self._presence.deniers(asked)
        with self._work:
            alive = {peer.instance for peer in self._presence.peers()}
            ours, page = self._resync.answered(answer)
            if ours and self._resync.is_complete(answer.query_id, alive):
                self.queue.take(_RESYNC + answer.query_id)
            if page is not None:
                self._post_resync(page)
                self._nudged = True
                self._work.notify()
            if ours and answer.error and not answer.reports:
                self._resync_reason = answer.error
                self._resync_after_ns = time.monotonic_ns() + _RESYNC_AGAIN_NS
            signal_id = self._asked.get(answer.query_id)
            if signal_id is None:
                return
            if answer.found or answer.error:
                del self._asked[answer.query_id]
                self._denials.pop(answer.query_id, None)
                return
            # With several micros, each that may have it must deny it.
            deniers = self._denials.setdefault(answer.query_id, set())
            deniers.add(answer.instance)
            if needed and needed <= deniers:
                del self._asked[answer.query_id]
                del self._denials[answer.query_id]
                settle = signal_id
        if settle:
            self._settle(settle)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                with self._work:
                    stopping = self._stopping
                    self._nudged = False
                self._turn()
                if stopping:
                    self._presence.beat()
                    self._note_acks()
                    return
                with self._work:
                    if not (self._nudged or self._stopping):
                        self._work.wait(self._pause())
        except BaseException as error:
            log.critical("the retransmission thread ended", exc_info=error)
            self.failure = error
            raise

    def _turn(self) -> None:
        now = time.monotonic_ns()
        if now >= self._beat_due_ns:
            self._presence.beat()
            self._beat_due_ns = now + self._beat_pause(now)
            self._check_skew()
            self._check_loss(now)
            self._presence.remake_silent()
        if self._resync_reason and now >= self._resync_after_ns:
            self._start_resync(now)
        with self._work:
            messages, given_up = self.queue.due(now)
            for key in given_up:
                kind, _, signal_id = key.partition(" ")
                if kind == "signal":
                    log.warning("signal %s expired without acknowledgement", signal_id)
                    # Query once the expiry has passed on micro's clock too.
                    self._audits[signal_id] = self._audit_in(self._config.skew_refuse)
        if any(isinstance(message, Signal) for message in messages):
            # Micro may have been restarted: orders of a macro that it has not heard are rejected.
            self._presence.beat()
        for message in messages:
            self._publisher.publish(message)
        self._ask(now)
        self._note_acks()
        if now >= self._checkpoint_due_ns:
            self._intents.checkpoint()
            self._checkpoint_due_ns = now + _CHECKPOINT_NS

    def _beat_pause(self, now_ns: int) -> int:
        young = now_ns - self._presence.started_ns < self._config.ready_timeout * _S
        if young and not self._presence.ready:
            return min(_HANDSHAKE_BEAT_NS, int(self._config.heartbeat * _S))
        return int(self._config.heartbeat * _S)

    def _pause(self) -> float:
        """Seconds until there is something to do; under the lock."""
        due = [self._beat_due_ns]
        outbox = self.queue.next_due()
        if outbox is not None:
            due.append(outbox)
        due.extend(audit.due_ns for audit in self._audits.values())
        if self._resync_reason:
            due.append(self._resync_after_ns)
        return max(0.0, (min(due) - time.monotonic_ns()) / _S)

    def _start_resync(self, now_ns: int) -> None:
        alive = {peer.micro for peer in self._presence.peers()}
        since = missed_since_ns(self._presence.reports(), alive, time.time_ns())
        log.info("querying all orders of micro: %s", self._resync_reason)
        with self._work:
            self.resyncs += 1
            self._resync_reason = ""
            self._resync_after_ns = now_ns + _RESYNC_PAUSE_NS
            given_up, queries = self._resync.begin(since)
            for query_id in given_up:
                self.queue.take(_RESYNC + query_id)
            for query in queries:
                self._post_resync(query)

    def _post_resync(self, query: Query) -> None:
        """Publish a query of the resync until it is answered. Under the lock."""
        now_ns = time.monotonic_ns()
        self.queue.put(
            _RESYNC + query.query_id,
            query,
            now_ns=now_ns,
            until_ns=now_ns + _LONG_NS,
            first_ns=_HANDSHAKE_BEAT_NS,
            limit_ns=int(self._config.resend_max * _S),
        )

    def _ask(self, now_ns: int) -> None:
        alive = bool(self._presence.peers())
        with self._work:
            due = [(id_, audit) for id_, audit in self._audits.items() if audit.due_ns <= now_ns]
            for _, audit in due:
                audit.pause_ns = min(
                    audit.pause_ns * 2, int(self._config.audit * _S) * _AUDIT_LIMIT
                )
                audit.due_ns = now_ns + audit.pause_ns
        if not alive:
            return
        for signal_id, _ in due:
            query = self._questions.new("order", signal_id=signal_id)
            with self._work:
                self._forget_questions(signal_id)
                self._asked[query.query_id] = signal_id
            self._publisher.publish(query)

    def _forget_questions(self, signal_id: str) -> None:
        for query_id in [key for key, asked in self._asked.items() if asked == signal_id]:
            del self._asked[query_id]
            self._denials.pop(query_id, None)

    def _note_acks(self) -> None:
        acks = self.acks
        rows = []
        while acks:
            rows.append(acks.popleft())
        if rows:
            self._intents.acknowledge_many(rows)
        self._intents.sync_if_dirty()

    def _check_skew(self) -> None:
        skew = self._presence.skew_ns / _S
        wide = abs(skew) > self._config.skew_warn
        if wide and not self._warned_skew:
            log.warning("micro's clock differs from ours by %+.3f s", skew)
        self._warned_skew = wide

    def _check_loss(self, now_ns: int) -> None:
        """Say that messages were lost on their way here, at most once a minute."""
        lost = self._mirror.sequences.missing - self._reported_lost
        if lost > 0 and now_ns >= self._report_loss_ns:
            self._reported_lost += lost
            self._report_loss_ns = now_ns + _REPORT_LOSS_NS
            log.warning(
                "%d messages of micro did not arrive: this process reads too slowly, or the line was slow "
                "or cut. Books are as new as what did arrive; orders are queried.",
                lost,
            )

    # --- intents --------------------------------------------------------------------------------

    def _take_up(self, intent: Intent) -> None:
        signal = intent.signal
        with self._work:
            if intent.state == "pending" and signal.expires_ns > time.time_ns():
                log.info("publishing signal %s of an earlier run again", signal.signal_id)
                self.post_signal(signal, sent=False)
            else:
                self._audits[signal.signal_id] = self._audit_in(0)

    def _settle(self, signal_id: str) -> None:
        """Micro confirms that it knows no such order: conclude what follows from that."""
        intent = self._intents.get(signal_id)
        if intent is None or intent.state == "done":
            with self._work:
                self._audits.pop(signal_id, None)
            return
        if intent.state == "acknowledged":
            log.error(
                "micro does not know signal %s, which it has acknowledged (%s): was its journal "
                "removed?",
                signal_id,
                intent.status,
            )
            return
        grace = int(self._config.skew_refuse * _S)
        if intent.state == "withdrawn":
            # Every copy of the signal was sent before this query, on the same connection, so none
            # can arrive any more.
            self._mirror.apply_report(concluded(intent.signal, "canceled", WITHDRAWN))
        elif time.time_ns() > intent.signal.expires_ns + grace:
            self._mirror.apply_report(concluded(intent.signal, "expired", NEVER_RECEIVED))

    def _audit_in(self, seconds: float) -> _Audit:
        return _Audit(time.monotonic_ns() + int(seconds * _S), int(self._config.audit * _S))
