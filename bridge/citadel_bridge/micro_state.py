"""Micro's state as macro knows it, kept current by the messages of the market channel.

One thread at a time writes (whoever receives), any thread reads without a lock: every read is one
dict lookup of an immutable value.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from citadel_bridge.book_view import BookView
from citadel_bridge.gap_detector import Sequences, SkewMeter, Totals
from citadel_proto import topics
from citadel_proto.messages import (
    SCHEMA_VERSION,
    TERMINAL_STATUSES,
    Answer,
    Balance,
    BookSnapshot,
    ConsolidatedBook,
    ExecutionReport,
    FeedState,
    MarketChannel,
    MicroHeartbeat,
    MicroState,
    Position,
    RiskState,
    Trade,
    Trades,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REPORTS: Final = 20_000
"""Reports kept; the oldest terminal ones are dropped first."""
FORGET_NS: Final = 60_000_000_000
"""A run of micro that has been silent for this long is dropped when the next appears."""
MAX_OF_OTHERS: Final = 2_000
"""Closed orders of others that wait to be looked at; the oldest are dropped first."""
MAX_TRADES: Final = 1_000
"""Public trades kept per instrument."""


@dataclass(slots=True)
class Peer:
    """One run of a micro, as its heartbeats show it."""

    instance: str
    state: MicroState = "recovering"
    mode: str = ""
    schema: int = SCHEMA_VERSION
    started_ns: int = 0
    beat_seq: int = 0
    beat_mono_ns: int = 0
    """Our monotonic clock at its last heartbeat."""
    working: int = 0
    refuses_us: str = ""
    """Why it rejects orders of this process; empty when it accepts them."""
    meter: SkewMeter = field(default_factory=SkewMeter)
    drift_ns: int = 0
    """Its wall clock minus the clock that its orders are stamped with."""
    first_mono_ns: int = 0
    """Our monotonic clock at its first heartbeat."""
    serves: frozenset[tuple[str, str]] = frozenset()
    """(venue, symbol) of the orders that it takes; empty: every one."""

    @property
    def micro(self) -> str:
        """Name of the micro that this is a run of."""
        return micro_of(self.instance)

    def takes(self, venue: str, symbol: str = "") -> bool:
        """Whether orders on a pair, or on any pair of a venue, are for it."""
        if not self.serves or not venue:
            return True
        if symbol:
            return (venue, symbol) in self.serves
        return any(of == venue for of, _ in self.serves)

    def replaced_by(self, other: Peer) -> bool:
        """Whether ``other`` is a later run of the same micro: nothing was received from this one since."""
        return self.micro == other.micro and other.first_mono_ns > self.beat_mono_ns


def micro_of(instance: str) -> str:
    """Name of the micro in the name of one of its runs: ``micro-1`` of ``micro-1-m9x2k4p0``."""
    return instance.rpartition("-")[0] or instance


class MicroStateCache:
    """Reports, balances, books, trades, risk and feed states, and the micros that sent them.

    Args:
        macro: our instance id, to find ourselves in micro's heartbeats.
    """

    def __init__(self, macro: str = "") -> None:
        self.macro = macro
        self.reports: dict[str, ExecutionReport] = {}
        """Per ``signal_id``, the highest revision received."""
        self.own: dict[str, ExecutionReport] = {}
        """Of them, those on orders that micro made itself: few, and looked through often."""
        self.owner = ""
        """Of the orders that are ours; empty: ours are not distinguished from others'."""
        self.of_others: deque[ExecutionReport] = deque(maxlen=MAX_OF_OTHERS)
        """Closed orders with fills that the owner did not send, in the order in which they came; whoever
        needs them takes them out."""
        self.books: dict[tuple[str, str], BookView] = {}
        self.trades: dict[tuple[str, str], deque[Trade]] = {}
        self.risk: dict[str, dict[str, RiskState]] = {}
        """Per micro and scope."""
        self.feeds: dict[tuple[str, str], FeedState] = {}
        self.consolidated: dict[str, ConsolidatedBook] = {}
        """Per unified symbol."""
        self.balances: dict[tuple[str, str], dict[str, Balance]] = {}
        """Per venue and micro, by currency: each micro has an account of its own."""
        self.positions: dict[tuple[str, str], Position] = {}
        self.peers: dict[str, Peer] = {}
        self.sequences = Sequences()
        self._totals = Totals()
        self.stale_reports = 0
        """Reports that were not newer than a known one."""
        self.wake = threading.Event()
        """Set on every new report; the reader clears it."""
        self.on_report: Callable[[ExecutionReport], None] = _nothing
        self.on_answer: Callable[[Answer], None] = _nothing
        self.on_heartbeat: Callable[[str], None] = _nothing
        """Called with an instance whose heartbeats show that it receives ours."""
        self.on_lost: Callable[[str], None] = _nothing
        """Called with the reason when reports may have been missed."""
        self._hearing: set[str] = set()
        # Times of two runs are not comparable: the one before may have run under a clock far ahead.
        self._balance_ns: dict[tuple[str, str, str], tuple[str, int]] = {}
        self._position_ns: dict[tuple[str, str], tuple[str, int]] = {}

    def apply(self, topic: bytes, message: MarketChannel) -> None:
        """Apply one message of the market channel."""
        lost = self.sequences.observe(message.instance, topic, message.seq)
        match message:
            case BookSnapshot():
                if lost >= 0 and self._is_of_its_own(message):
                    self.books[message.venue, message.symbol] = BookView(message)
            case ExecutionReport():
                if lost > 0:
                    self.on_lost(f"{lost} messages missing on {topic.decode('utf-8', 'replace')}")
                if lost >= 0:
                    self._totals.received(message.instance)
                self.apply_report(message)
            case Trades():
                self._trades(message)
            case Answer():
                self._answer(topic, message)
            case MicroHeartbeat():
                if lost > 0:  # a report may be lost as well, and be the last one of its topic
                    self.on_lost(f"{lost} heartbeats of {message.instance} missing")
                self._heartbeat(message)
            case RiskState():
                self.risk.setdefault(micro_of(message.instance), {})[message.scope] = message
            case FeedState():
                self.feeds[message.venue, message.symbol] = message
            case ConsolidatedBook():
                if lost >= 0:
                    self.consolidated[message.symbol] = message

    def resubscribed(self, before: frozenset[bytes], now: frozenset[bytes]) -> None:
        """What was not subscribed to for a while is no gap; books that no longer come are forgotten."""
        self.sequences.forget_topics(tuple(now - before))
        kept = tuple(now)
        for venue, symbol in list(self.books):
            if not topics.exactly(topics.book(venue, symbol)).startswith(kept):
                del self.books[venue, symbol]
        for venue, symbol in list(self.trades):
            if not topics.exactly(topics.trades(venue, symbol)).startswith(kept):
                del self.trades[venue, symbol]

    def apply_report(self, report: ExecutionReport) -> None:
        """Apply one report: the highest revision wins, so order and repetition do not matter."""
        known = self.reports.get(report.signal_id)
        if known is not None and known.revision >= report.revision:
            self.stale_reports += 1
            return
        # Balances first: a reader woken by the report must not see fills newer than balances.
        run = report.instance
        self._set_balances(report.venue, report.balances, run, report.updated_ns)
        if report.position is not None:
            self._set_position(report.position, run, report.updated_ns)
        self.reports[report.signal_id] = report
        if report.own:
            self.own = {**self.own, report.signal_id: report}
        if self.owner and (report.own or report.owner not in ("", self.owner)):
            self._keep_of_others(report)
        if len(self.reports) > MAX_REPORTS:
            self._prune()
        self.on_report(report)
        self.wake.set()

    def _keep_of_others(self, report: ExecutionReport) -> None:
        if report.status in TERMINAL_STATUSES and report.filled.strip("0."):
            self.of_others.append(report)

    def alive(self, dead_after_ns: int, mono_ns: int | None = None) -> list[Peer]:
        """Micros whose heartbeat came within ``dead_after_ns``, the latest first."""
        now = time.monotonic_ns() if mono_ns is None else mono_ns
        peers = [
            peer for peer in tuple(self.peers.values()) if now - peer.beat_mono_ns <= dead_after_ns
        ]
        return sorted(peers, key=lambda peer: -peer.beat_mono_ns)

    def _heartbeat(self, beat: MicroHeartbeat) -> None:
        peer = self.peers.get(beat.instance)
        new = peer is None
        if peer is None:
            peer = Peer(beat.instance)
        now_mono = time.monotonic_ns()
        peer.meter.update(beat.wall_ns, beat.mono_ns, time.time_ns(), now_mono)
        peer.drift_ns = beat.clock_drift_ns
        peer.state, peer.mode, peer.schema = beat.state, beat.mode, beat.schema
        peer.started_ns, peer.working = beat.started_ns, beat.working
        peer.beat_seq, peer.beat_mono_ns = beat.seq, now_mono
        peer.refuses_us = next((why for name, why in beat.macros_refused if name == self.macro), "")
        if len(beat.serves) != len(peer.serves) or not peer.serves.issuperset(beat.serves):
            peer.serves = frozenset(beat.serves)
        if beat.reports is not None:
            lost = self._totals.said(beat.instance, beat.reports)
            if lost:
                self.on_lost(f"{lost} reports of {beat.instance} missing")
        if new:
            peer.first_mono_ns = now_mono
            # A restarted micro starts its sequences again; its earlier messages may be incomplete.
            self._forget_the_dead(now_mono)
            self.peers = {**self.peers, beat.instance: peer}
            self.on_lost(f"micro {beat.instance} appeared")
        if self.macro and (
            beat.macro_instance_seen == self.macro
            or any(name == self.macro for name, _seq in beat.macros_seen)
        ):
            self._hearing.add(beat.instance)
        elif peer.refuses_us:
            self._hearing.discard(beat.instance)
        if beat.instance in self._hearing:
            self.on_heartbeat(beat.instance)

    def receives_us(self, instance: str) -> bool:
        """Whether a run of micro is known to receive our messages."""
        return instance in self._hearing

    def _is_of_its_own(self, book: BookSnapshot) -> bool:
        """Not a book that one micro only compares with, of a pair that another one trades."""
        known = self.books.get((book.venue, book.symbol))
        if known is None or known.message.instance == book.instance:
            return True
        key = (book.venue, book.symbol)
        before, now = (self.peers.get(name) for name in (known.message.instance, book.instance))
        return now is None or before is None or key in now.serves or key not in before.serves

    def _forget_the_dead(self, now_mono_ns: int) -> None:
        for instance, peer in self.peers.items():
            if now_mono_ns - peer.beat_mono_ns > FORGET_NS:
                self.peers = {name: p for name, p in self.peers.items() if name != instance}
                self._hearing.discard(instance)
                self.sequences.forget(instance)
                self._totals.forget(instance)

    def _answer(self, topic: bytes, answer: Answer) -> None:
        if topic != topics.answer(self.macro):
            return
        if not answer.error:  # it receives us, but may accept no orders of ours
            self._hearing.add(answer.instance)
            if answer.instance in self.peers:
                self.on_heartbeat(answer.instance)
        for report in answer.reports:
            self.apply_report(report)
        for position in answer.positions:
            self._set_position(position, answer.instance, answer.answered_ns)
        self.on_answer(answer)

    def set_answered_balances(self, venue: str, answer: Answer) -> None:
        """Store the balances of an answer; only the caller knows which venue they are of."""
        self._set_balances(venue, answer.balances, answer.instance, answer.answered_ns)

    def _set_balances(
        self, venue: str, balances: tuple[Balance, ...], run: str, as_of_ns: int
    ) -> None:
        micro = micro_of(run)
        current = self.balances.get((venue, micro), {})
        if not as_of_ns:  # an answer without a time: messages arrive in order, so it is the newest
            known = (self._balance_ns.get((venue, micro, name), (run, 0)) for name in current)
            as_of_ns = max((ns for of, ns in known if of == run), default=0)
        fresh = {
            balance.currency: balance
            for balance in balances
            if _is_newer(self._balance_ns.get((venue, micro, balance.currency)), run, as_of_ns)
        }
        for currency in fresh:
            self._balance_ns[venue, micro, currency] = (run, as_of_ns)
        if fresh:
            self.balances[venue, micro] = {**current, **fresh}

    def _set_position(self, position: Position, run: str, as_of_ns: int) -> None:
        key = (position.venue, position.symbol)
        if _is_newer(self._position_ns.get(key), run, as_of_ns):
            self._position_ns[key] = (run, as_of_ns)
            self.positions[key] = position

    def _trades(self, message: Trades) -> None:
        key = (message.venue, message.symbol)
        recent = self.trades.get(key)
        if recent is None:
            recent = self.trades[key] = deque(maxlen=MAX_TRADES)
        recent.extend(message.trades)

    def _prune(self) -> None:
        finished = [
            report for report in self.reports.values() if report.status in TERMINAL_STATUSES
        ]
        finished.sort(key=lambda report: report.updated_ns)
        for report in finished[: MAX_REPORTS // 10]:
            del self.reports[report.signal_id]
        self.own = {name: each for name, each in self.own.items() if name in self.reports}


def _is_newer(known: tuple[str, int] | None, run: str, as_of_ns: int) -> bool:
    """Whether a statement of ``run`` replaces the known one, and not the other way round."""
    return known is None or known[0] != run or as_of_ns >= known[1]


def _nothing(_value: object) -> None:
    pass
