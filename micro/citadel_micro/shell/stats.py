"""Counts and latencies of one run: plain numbers, cheap enough for the hot path.

They are turned into Prometheus metrics only when scraped (``shell/ops/metrics.py``).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

LATENCY_BOUNDS_NS: Final = tuple(
    bound * 1_000
    for bound in (
        *(20, 50, 100, 200, 300, 500, 750),
        *(1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000),
    )
)
"""Upper bounds in nanoseconds: 20 us to 1 s, dense where a tick-to-order time lies."""


class Histogram:
    """Durations in nanoseconds, counted in fixed buckets."""

    __slots__ = ("bounds_ns", "counts", "sum_ns")

    def __init__(self, bounds_ns: tuple[int, ...] = LATENCY_BOUNDS_NS) -> None:
        self.bounds_ns = bounds_ns
        self.counts = [0] * (len(bounds_ns) + 1)
        self.sum_ns = 0

    def observe(self, ns: int) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds_ns, ns)] += 1
        self.sum_ns += ns

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """Upper bound in ns of the bucket that holds quantile ``q``; None when empty.

        Durations beyond the last bound give infinity.
        """
        total = self.total
        if not total:
            return None
        seen = 0
        for bound, count in zip(self.bounds_ns, self.counts, strict=False):
            seen += count
            if seen >= q * total:
                return float(bound)
        return float("inf")


class SignalTimes:
    """Latency from the receipt of a signal to its first order at a venue."""

    __slots__ = ("_received_ns", "histogram")

    _KEPT: Final = 1_000
    """Signals that never place (rejected, held stops) must not pile up."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self._received_ns: dict[str, int] = {}

    def received(self, signal_id: str, ns: int) -> None:
        """A signal was received at monotonic time ``ns``; a repetition does not count."""
        pending = self._received_ns
        if signal_id not in pending:
            if len(pending) >= self._KEPT:
                del pending[next(iter(pending))]
            pending[signal_id] = ns

    def submitted(self, signal_id: str, ns: int) -> None:
        """An order of this signal was sent at monotonic time ``ns``; only the first counts."""
        start = self._received_ns.pop(signal_id, None)
        if start is not None:
            self.histogram.observe(ns - start)


class Stats:
    """Counts of a run."""

    def __init__(self) -> None:
        self.events: dict[str, int] = {}
        self.commands: dict[str, int] = {}
        self.rejects: dict[str, int] = {}
        """Parents rejected by the gate, by code."""
        self.venue_rejects: dict[str, int] = {}
        """Children rejected by a venue, by code."""
        self.fills: dict[str, int] = {}
        """Fills of our orders, by liquidity: maker or taker."""
        self.undecodable: dict[str, int] = {}
        """Frames of the signals channel that were dropped, by channel or kind."""
        self.missing: dict[str, int] = {}
        """Lost messages of the signals channel, by their sequence numbers, by kind."""
        self.dropped_sends: dict[str, int] = {}
        """Messages that the market socket did not accept, by kind."""
        self.handle = Histogram()
        """Time in the engine per event that was not a market event."""
        self.sync = Histogram()
        """Time of each durable write of the journal."""
        self.signal_to_submit = SignalTimes()


def count(table: dict[str, int], name: str) -> None:
    """Add one to an entry of a table."""
    table[name] = table.get(name, 0) + 1
