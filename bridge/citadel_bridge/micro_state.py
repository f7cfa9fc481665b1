"""What macro knows of micro, kept current by the messages of the market channel.

One thread writes (the receive thread), any thread reads without a lock: every read is one dict
look-up of an immutable value.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from citadel_bridge.book_view import BookView
from citadel_bridge.gap_detector import Sequences, SkewMeter
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
"""Reports kept; the oldest finished ones go first."""
FORGET_NS: Final = 60_000_000_000
"""A run of micro that has been silent for this long is forgotten when the next appears."""
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
    """Why it takes no orders of this process; empty when it does."""
    meter: SkewMeter = field(default_factory=SkewMeter)


class Mirror:
    """Reports, balances, books, trades, risk and feed states, and the micros behind them.

    Args:
        macro: our instance id, to recognise ourselves in micro's heartbeats.
    """

    def __init__(self, macro: str = "") -> None:
        self.macro = macro
        self.reports: dict[str, ExecutionReport] = {}
        """Per ``signal_id``, the highest revision seen."""
        self.books: dict[tuple[str, str], BookView] = {}
        self.trades: dict[tuple[str, str], deque[Trade]] = {}
        self.risk: dict[str, RiskState] = {}
        """Per scope."""
        self.feeds: dict[tuple[str, str], FeedState] = {}
        self.consolidated: dict[str, ConsolidatedBook] = {}
        """Per unified symbol."""
        self.balances: dict[str, dict[str, Balance]] = {}
        """Per venue and currency."""
        self.positions: dict[tuple[str, str], Position] = {}
        self.peers: dict[str, Peer] = {}
        self.sequences = Sequences()
        self.stale_reports = 0
        """Reports that were not newer than one known already."""
        self.wake = threading.Event()
        """Set on every new report; the reader clears it."""
        self.on_report: Callable[[ExecutionReport], None] = _nothing
        self.on_answer: Callable[[Answer], None] = _nothing
        self.on_heard: Callable[[str], None] = _nothing
        """Called with an instance that beats, and has proven that it hears us."""
        self.on_lost: Callable[[str], None] = _nothing
        """Called with the reason when reports may have been missed."""
        self._hearing: set[str] = set()
        # Times of two runs do not compare: the one before may have run under a clock far ahead.
        self._balance_ns: dict[tuple[str, str], tuple[str, int]] = {}
        self._position_ns: dict[tuple[str, str], tuple[str, int]] = {}

    def apply(self, topic: bytes, message: MarketChannel) -> None:
        """Take one message of the market channel."""
        lost = self.sequences.observe(message.instance, topic, message.seq)
        match message:
            case BookSnapshot():
                if lost >= 0:
                    self.books[message.venue, message.symbol] = BookView(message)
            case ExecutionReport():
                if lost > 0:
                    self.on_lost(f"{lost} messages missing on {topic.decode('utf-8', 'replace')}")
                self.apply_report(message)
            case Trades():
                self._trades(message)
            case Answer():
                self._answer(topic, message)
            case MicroHeartbeat():
                self._heartbeat(message)
            case RiskState():
                self.risk[message.scope] = message
            case FeedState():
                self.feeds[message.venue, message.symbol] = message
            case ConsolidatedBook():
                if lost >= 0:
                    self.consolidated[message.symbol] = message

    def apply_report(self, report: ExecutionReport) -> None:
        """Take one report: the highest revision wins, so order and repetition do not matter."""
        known = self.reports.get(report.signal_id)
        if known is not None and known.revision >= report.revision:
            self.stale_reports += 1
            return
        # Balances first: whoever is woken by the report must not see fills newer than balances.
        run = report.instance
        self._set_balances(report.venue, report.balances, run, report.updated_ns)
        if report.position is not None:
            self._set_position(report.position, run, report.updated_ns)
        self.reports[report.signal_id] = report
        if len(self.reports) > MAX_REPORTS:
            self._prune()
        self.on_report(report)
        self.wake.set()

    def alive(self, dead_after_ns: int, mono_ns: int | None = None) -> list[Peer]:
        """Micros heard within ``dead_after_ns``, the latest heard first."""
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
        peer.state, peer.mode, peer.schema = beat.state, beat.mode, beat.schema
        peer.started_ns, peer.working = beat.started_ns, beat.working
        peer.beat_seq, peer.beat_mono_ns = beat.seq, now_mono
        peer.refuses_us = next((why for name, why in beat.macros_refused if name == self.macro), "")
        if new:
            # A restarted micro begins its sequences again; what it said before may be incomplete.
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
            self.on_heard(beat.instance)

    def _forget_the_dead(self, now_mono_ns: int) -> None:
        for instance, peer in self.peers.items():
            if now_mono_ns - peer.beat_mono_ns > FORGET_NS:
                self.peers = {name: p for name, p in self.peers.items() if name != instance}
                self._hearing.discard(instance)
                self.sequences.forget(instance)

    def _answer(self, topic: bytes, answer: Answer) -> None:
        if topic != topics.answer(self.macro):
            return
        if not answer.error:  # it hears us, but may take nothing of ours
            self._hearing.add(answer.instance)
            if answer.instance in self.peers:
                self.on_heard(answer.instance)
        for report in answer.reports:
            self.apply_report(report)
        for position in answer.positions:
            self._set_position(position, answer.instance, answer.answered_ns)
        self.on_answer(answer)

    def set_answered_balances(self, venue: str, answer: Answer) -> None:
        """Take the balances of an answer; only who asked knows of which venue they are."""
        self._set_balances(venue, answer.balances, answer.instance, answer.answered_ns)

    def _set_balances(
        self, venue: str, balances: tuple[Balance, ...], run: str, as_of_ns: int
    ) -> None:
        current = self.balances.get(venue, {})
        if not as_of_ns:  # an answer without a time: messages arrive in order, so it is the newest
            known = (self._balance_ns.get((venue, name), (run, 0)) for name in current)
            as_of_ns = max((ns for of, ns in known if of == run), default=0)
        fresh = {
            balance.currency: balance
            for balance in balances
            if _is_newer(self._balance_ns.get((venue, balance.currency)), run, as_of_ns)
        }
        for currency in fresh:
            self._balance_ns[venue, currency] = (run, as_of_ns)
        if fresh:
            self.balances[venue] = {**current, **fresh}

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


def _is_newer(known: tuple[str, int] | None, run: str, as_of_ns: int) -> bool:
    """Whether something told by ``run`` replaces what is known, and not the other way round."""
    return known is None or known[0] != run or as_of_ns >= known[1]


def _nothing(_value: object) -> None:
    pass
