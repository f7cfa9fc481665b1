"""Feed health as the market channel shows it: states, rates, latencies, gaps.

Time is a parameter; rates are over the observation time, latencies over the last samples.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from citadel_proto.messages import (
    BookSnapshot,
    ConsolidatedBook,
    FeedState,
    MicroHeartbeat,
    Trades,
)
from citadel_proto.packed_levels import unpack_levels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_proto.feed_parts import FeedHealth
    from citadel_proto.messages import MarketChannel

SAMPLES: Final = 1_000
PERCENTILES: Final = (50, 90, 99)
_MS: Final = 1e6
_S: Final = 1e9

Key = tuple[str, str]


class Latencies:
    """The last samples of one latency, in ns."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def add(self, sample_ns: int) -> None:
        """Note one."""
        self._samples.append(sample_ns)

    def summary(self) -> dict[str, float] | None:
        """Milliseconds at each percentile (nearest rank); None without samples."""
        if not self._samples:
            return None
        ordered = sorted(self._samples)
        last = len(ordered)
        return {
            f"p{rank}": round(ordered[math.ceil(rank / 100 * last) - 1] / _MS, 3)
            for rank in PERCENTILES
        }


class Feed:
    """Observations of one book."""

    def __init__(self, venue: str, symbol: str) -> None:
        self.venue = venue
        self.symbol = symbol
        self.state = "unknown"
        self.reason = ""
        self.last_seq = -1
        self.last_recv_ns = self.last_proof_ns = 0
        self.gaps = self.resyncs = 0
        self.trades = 0
        self.best: tuple[float, float] | None = None
        self.venue_latency = Latencies()
        self.micro_latency = Latencies()
        self.wire_latency = Latencies()
        self._book_seqs: tuple[int, int] = (0, 0)
        self._last_exchange_ns = 0
        self.health: FeedHealth | None = None

    def on_state(self, message: FeedState) -> None:
        """The state of the subscription."""
        self.state, self.reason = message.state, message.reason
        self.last_seq = message.last_seq
        self.last_recv_ns = max(self.last_recv_ns, message.last_recv_ns)
        self.last_proof_ns = max(self.last_proof_ns, message.last_proof_ns)
        self.gaps, self.resyncs = message.gaps, message.resyncs
        self.health = message.health

    def on_book(self, message: BookSnapshot, now_ns: int) -> None:
        """One published book."""
        self.state, self.reason = message.state, message.reason
        self.last_seq = message.venue_seq
        first = self._book_seqs[0] or message.seq
        self._book_seqs = (first, message.seq)
        bids, asks = unpack_levels(message.bids[:16]), unpack_levels(message.asks[:16])
        self.best = (bids[0][0], asks[0][0]) if bids and asks else None
        self.last_proof_ns = max(self.last_proof_ns, message.proof_ns)
        if message.recv_ns > self.last_recv_ns:
            self.last_recv_ns = message.recv_ns
            self.micro_latency.add(message.published_ns - message.recv_ns)
        if message.exchange_ns > self._last_exchange_ns:
            self._last_exchange_ns = message.exchange_ns
            self.venue_latency.add(message.recv_ns - message.exchange_ns)
        self.wire_latency.add(now_ns - message.published_ns)

    def row(self, now_ns: int, seconds: float, updates_per_s: float | None) -> dict[str, Any]:
        """Everything, as plain data."""
        age_ms = (now_ns - self.last_recv_ns) / _MS if self.last_recv_ns else None
        proof_ms = (now_ns - self.last_proof_ns) / _MS if self.last_proof_ns else None
        books = self._book_seqs[1] - self._book_seqs[0]
        return {
            "venue": self.venue,
            "symbol": self.symbol,
            "state": self.state,
            "reason": self.reason,
            "last_seq": self.last_seq,
            "age_ms": None if age_ms is None else round(age_ms, 1),
            "proof_age_ms": None if proof_ms is None else round(proof_ms, 1),
            "best": self.best,
            "gaps": self.gaps,
            "resyncs": self.resyncs,
            "books_per_s": round(books / seconds, 2) if seconds > 0 else 0.0,
            "trades_per_s": round(self.trades / seconds, 2) if seconds > 0 else 0.0,
            "updates_per_s": None if updates_per_s is None else round(updates_per_s, 2),
            "latency_ms": {
                "venue": self.venue_latency.summary(),
                "micro": self.micro_latency.summary(),
                "wire": self.wire_latency.summary(),
            },
            "load": None if self.health is None else _load_row(self.health),
            "clock": None if self.health is None else _clock_row(self.health),
        }


def _load_row(health: FeedHealth) -> dict[str, Any]:
    """Lag of micro behind the connection of a book."""
    return {
        "overloaded": health.overloaded,
        "overloads": health.overloads,
        "overloaded_s": round(health.overloaded_ns / _S, 3),
        "behind_ms": round(health.behind_ns / _MS, 3),
        "behind_peak_ms": round(health.behind_peak_ns / _MS, 3),
        "loop_lag_ms": round(health.loop_lag_ns / _MS, 3),
        "waiting": health.waiting,
        "waiting_peak": health.waiting_peak,
        "unread_octets": health.unread_octets,
        "unread_octets_peak": health.unread_octets_peak,
        "conflated": health.conflated,
        "handled_ms": {
            f"p{rank}": round(ns / _MS, 3)
            for rank, ns in zip(PERCENTILES, health.handled_ns, strict=False)
        }
        or None,
    }


def _clock_row(health: FeedHealth) -> dict[str, float] | None:
    """Offset of the venue's clock."""
    offset, error, rtt = health.clock_offset_ns, health.clock_error_ns, health.rtt_ns
    if offset is None or error is None or rtt is None:
        return None
    return {
        "offset_ms": round(offset / _MS, 3),
        "error_ms": round(error / _MS, 3),
        "rtt_ms": round(rtt / _MS, 3),
    }


class FeedObserver:
    """Receives the messages of the market channel, and sums up."""

    def __init__(self, now_ns: int) -> None:
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        self.feeds: dict[Key, Feed] = {}
        self.consolidated: dict[str, ConsolidatedBook] = {}
        self.beat: MicroHeartbeat | None = None
        self._since_ns = now_ns
        self._counters: tuple[int, dict[Key, float]] | None = None
        self._updates: dict[Key, float] = {}

    def take(self, message: MarketChannel, now_ns: int) -> None:
        """One message, received now (wall clock)."""
        if isinstance(message, MicroHeartbeat):
            if self.beat is not None and self.beat.instance != message.instance:
                # A new run: its sequences restart, and so does everything here.
                self._begin(now_ns)
            self.beat = message
        elif isinstance(message, ConsolidatedBook):
            self.consolidated[message.symbol] = message
        elif isinstance(message, FeedState):
            self._feed(message.venue, message.symbol).on_state(message)
        elif isinstance(message, BookSnapshot):
            self._feed(message.venue, message.symbol).on_book(message, now_ns)
        elif isinstance(message, Trades):
            self._feed(message.venue, message.symbol).trades += len(message.trades)

    def take_counters(self, counters: Mapping[Key, float], now_ns: int) -> None:
        """Updates applied so far, by book, as the metrics page has them."""
        if self._counters is not None:
            at_ns, before = self._counters
            seconds = (now_ns - at_ns) / _S
            if seconds > 0:
                self._updates = {
                    key: (value - before[key]) / seconds
                    for key, value in counters.items()
                    if key in before
                }
        self._counters = (now_ns, dict(counters))

    def summary(self, now_ns: int) -> dict[str, Any]:
        """Everything received, as plain data: what ``citadel feeds --json`` prints."""
        seconds = (now_ns - self._since_ns) / _S
        beat = self.beat
        return {
            "micro": None
            if beat is None
            else {"instance": beat.instance, "state": beat.state, "mode": beat.mode},
            "seconds": round(seconds, 3),
            "feeds": [
                self.feeds[key].row(now_ns, seconds, self._updates.get(key))
                for key in sorted(self.feeds)
            ],
            "consolidated": [
                _consolidated_row(self.consolidated[symbol]) for symbol in sorted(self.consolidated)
            ],
        }

    def _feed(self, venue: str, symbol: str) -> Feed:
        feed = self.feeds.get((venue, symbol))
        if feed is None:
            feed = self.feeds[venue, symbol] = Feed(venue, symbol)
        return feed


def _consolidated_row(book: ConsolidatedBook) -> dict[str, Any]:
    bid = max((each.bid for each in book.venues), default=None)
    ask = min((each.ask for each in book.venues), default=None)
    return {
        "symbol": book.symbol,
        "bid": bid,
        "ask": ask,
        "venues": [each.venue for each in book.venues],
        "left_out": book.left_out,
    }


def read_updates(metrics: str) -> dict[Key, float]:
    """``citadel_feed_updates_total`` by (venue, symbol), from the text of a metrics page."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    return {
        (sample.labels["venue"], sample.labels["symbol"]): sample.value
        for family in text_string_to_metric_families(metrics)
        if family.name == "citadel_feed_updates"
        for sample in family.samples
        if sample.name.endswith("_total")
    }
