"""The connector's second thread: heartbeats, publishing again, asking again, and the disk.

Nothing here is on the way of a first signal. Everything here is what makes the loss of any message
harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from citadel_bridge.resend_queue import ResendQueue
from citadel_bridge.resync import Resync
from citadel_proto.messages import TERMINAL_STATUSES, Answer, ExecutionReport, Query, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_bridge.channels import Publisher
    from citadel_bridge.config import ConnectorConfig
    from citadel_bridge.intents import Intent, IntentLog
    from citadel_bridge.micro_state import Mirror, Peer
    from citadel_bridge.requests import Questions

log = logging.getLogger(__name__)

_S: Final = 1_000_000_000
_HANDSHAKE_BEAT_NS: Final = 100_000_000
_RESYNC_PAUSE_NS: Final = 200_000_000
_RESYNC_SINCE_NS: Final = 3600 * _S
_RESYNC_OVERLAP_NS: Final = 60 * _S
_RESYNC: Final = "query resync "
_RESYNC_AGAIN_NS: Final = _S
_AUDIT_LIMIT: Final = 15
_CHECKPOINT_NS: Final = 60 * _S
_LONG_NS: Final = 10**18

NEVER_RECEIVED: Final = "NEVER_RECEIVED"
"""Reason code: expired, and micro is sure that the signal never reached it."""
WITHDRAWN: Final = "WITHDRAWN"
"""Reason code: cancelled, and micro is sure that the signal never reached it."""
LOCAL: Final = "macro"
"""``instance`` of a report that this side concluded, with one of the two codes above."""


@dataclass(slots=True)
class _Audit:
    """An order that should be asked about unless news of it comes first."""

    due_ns: int
    pause_ns: int


class Presence(Protocol):
    """Whose heartbeats it sends: the connector."""

    started_ns: int

    @property
    def ready(self) -> bool:
        """Whether a micro has been heard of."""

    @property
    def skew_ns(self) -> int:
        """By how much micro's clock is ahead of ours."""

    def beat(self) -> None:
        """Send a heartbeat."""

    def remake_silent(self) -> None:
        """Connect anew to publishers that have fallen silent."""

    def peers(self) -> Sequence[Peer]:
        """Micros that are alive."""

    def reports(self) -> Sequence[ExecutionReport]:
        """The latest report of every order."""


class Retransmitter:
    """The housekeeping thread of one connector.

    Args:
        config: settings.
        presence: the connector.
        lock: guards its ``queue``.
        publisher: sends them.
        intents: the log of what was asked for.
        questions: makes queries.
        mirror: takes what this side concludes by itself.
    """

    def __init__(
        self,
        config: ConnectorConfig,
        presence: Presence,
        *,
        lock: threading.Lock,
        publisher: Publisher,
        intents: IntentLog,
        questions: Questions,
        mirror: Mirror,
    ) -> None:
        self._config = config
        self._presence = presence
        self.queue = ResendQueue()
        """Messages that are published again until they are answered; under ``lock``."""
        self._publisher = publisher
        self._intents = intents
        self.acks: deque[tuple[str, str, int]] = deque()
        """Reports to be noted in the intent log."""
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
        self.resyncs = 0
        """How often all orders were asked for."""
        self.failure: BaseException | None = None
        """What ended the thread, if it was an error."""
        self._thread = threading.Thread(target=self._run, name="citadel-keeper", daemon=True)

    # --- called by other threads ----------------------------------------------------------------

    def start(self) -> None:
        """Take up the unfinished intents of earlier runs, and begin."""
        for intent in self._intents.unfinished():
            self._take_up(intent)
        self._thread.start()

    def close(self) -> None:
        """End the thread after it has noted the last reports."""
        with self._work:
            self._stopping = True
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def nudge(self) -> None:
        """There is something new to do."""
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
        """Ask for one order at once; what was asked before does not count any more."""
        with self._work:
            self._forget_questions(signal_id)
            self._audits[signal_id] = self._audit_in(0)
            self._nudged = True
            self._work.notify()

    def resync(self, reason: str) -> None:
        """Ask for all that works and has changed: reports may have been missed."""
        with self._work:
            self._resync_reason = reason
            self._nudged = True
            self._work.notify()

    def heard_of(self, report: ExecutionReport, *, hurry: bool = True) -> None:
        """A new revision has come: no need to ask about this order for a while.

        Without ``hurry`` it is noted when the thread wakes next; somebody else will wake it.
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
        """An answer to a question of this thread, or of somebody else."""
        settle = ""
        with self._work:
            ours, page = self._resync.answered(answer)
            if ours:
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
            # With several micros, each that is alive must deny it.
            deniers = self._denials.setdefault(answer.query_id, set())
            deniers.add(answer.instance)
            alive = {peer.instance for peer in self._presence.peers()}
            if alive <= deniers:
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
            log.critical("the housekeeping thread ended", exc_info=error)
            self.failure = error
            raise

    def _turn(self) -> None:
        now = time.monotonic_ns()
        if now >= self._beat_due_ns:
            self._presence.beat()
            self._beat_due_ns = now + self._beat_pause(now)
            self._check_skew()
            self._presence.remake_silent()
        if self._resync_reason and now >= self._resync_after_ns:
            self._start_resync(now)
        with self._work:
            messages, given_up = self.queue.due(now)
            for key in given_up:
                kind, _, signal_id = key.partition(" ")
                if kind == "signal":
                    log.warning("signal %s expired without acknowledgement", signal_id)
                    # Ask once the moment has passed on micro's clock too.
                    self._audits[signal_id] = self._audit_in(self._config.skew_refuse)
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
        reports = self._presence.reports()
        wall = time.time_ns()
        since = wall - _RESYNC_SINCE_NS
        if reports:
            since = max(report.updated_ns for report in reports) - _RESYNC_OVERLAP_NS
        log.info("asking micro for all orders: %s", self._resync_reason)
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
        """Have a question of the round asked until it is answered. Under the lock."""
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
        """Micro is sure that it knows no such order: conclude what follows from that."""
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
            # Every copy of the signal left before this question did, on the same connection, so
            # none can arrive any more.
            self._mirror.apply_report(_concluded(intent.signal, "canceled", WITHDRAWN))
        elif time.time_ns() > intent.signal.expires_ns + grace:
            self._mirror.apply_report(_concluded(intent.signal, "expired", NEVER_RECEIVED))

    def _audit_in(self, seconds: float) -> _Audit:
        return _Audit(time.monotonic_ns() + int(seconds * _S), int(self._config.audit * _S))


def _concluded(signal: Signal, status: str, code: str) -> ExecutionReport:
    return ExecutionReport(
        signal_id=signal.signal_id,
        revision=0,
        venue=signal.venue,
        symbol=signal.symbol,
        side=signal.side,
        kind=signal.kind,
        order_type=signal.order_type,
        status=status,  # type: ignore[arg-type]
        quantity=signal.quantity,
        filled="0",
        average=None,
        limit_price=signal.limit_price,
        stop_price=signal.stop_price,
        triggered=False,
        reason_code=code,
        reason="micro never received the signal",
        permitted=None,
        fills=(),
        balances=(),
        position=None,
        strategy=signal.strategy,
        tag=signal.tag,
        algo=signal.algo,
        arrival_mid=float("nan"),
        reprices=0,
        own=False,
        created_ns=signal.created_ns,
        updated_ns=time.time_ns(),
        instance=LOCAL,
        seq=0,
    )
