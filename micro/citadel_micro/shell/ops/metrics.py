"""Prometheus metrics, built from plain counts when they are scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from citadel_micro.shell.logs import Steadfast
from citadel_micro.shell.marketdata.health_metrics import connection_metrics
from citadel_micro.shell.ops.account_metrics import account_metrics
from citadel_micro.shell.ops.lane_metrics import lane_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from citadel_micro.shell.ops.health import Vitals
    from citadel_micro.shell.stats import Histogram


class MicroCollector(Collector):
    """Reads a run's counts, books and account when it is scraped.

    Args:
        vitals: access to the run.
    """

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterable[Metric]:
        """All current metrics."""
        yield from self._counts()
        yield from self._latencies()
        yield from self._feeds()
        yield from connection_metrics(self._vitals.connections())
        yield from lane_metrics(self._vitals.uplink.lane())
        yield from self._account()
        yield from account_metrics(self._vitals)

    def _counts(self) -> Iterator[Metric]:
        stats, uplink = self._vitals.stats, self._vitals.uplink
        tables = (
            ("citadel_events", "Events handled.", "kind", stats.events),
            ("citadel_commands", "Commands carried out.", "kind", stats.commands),
            ("citadel_rejects", "Parents rejected by the risk gate.", "code", stats.rejects),
            (
                "citadel_venue_rejects",
                "Child orders rejected by the venue.",
                "code",
                stats.venue_rejects,
            ),
            (
                "citadel_dropped_frames",
                "Frames of the signals channel that did not decode, or had no usable id.",
                "kind",
                _sum(stats.undecodable, uplink.undecodable),
            ),
            (
                "citadel_missing_messages",
                "Messages of the signals channel lost on the way, by their sequence numbers.",
                "kind",
                stats.missing,
            ),
        )
        for name, text, label, table in tables:
            family = CounterMetricFamily(name, text, labels=[label])
            for key, value in sorted(table.items()):
                family.add_metric([key], value)
            yield family
        yield CounterMetricFamily(
            "citadel_published", "Messages published on the market channel.", value=uplink.published
        )
        yield CounterMetricFamily(
            "citadel_lost_log_writes",
            "Log lines that could not be written.",
            value=Steadfast.lost,
        )
        yield CounterMetricFamily(
            "citadel_dropped_sends",
            "Messages of the market channel that were not sent.",
            value=uplink.dropped,
        )

    def _latencies(self) -> Iterator[Metric]:
        stats = self._vitals.stats
        rows = (
            (
                "citadel_signal_to_submit_seconds",
                "From the receipt of a signal to its first order at the adapter.",
                stats.signal_to_submit.histogram,
            ),
            (
                "citadel_handle_seconds",
                "Time in the engine per event that is not a market event.",
                stats.handle,
            ),
            ("citadel_journal_sync_seconds", "Durable writes of the journal.", stats.sync),
        )
        for name, text, histogram in rows:
            yield _histogram(name, text, histogram)

    def _feeds(self) -> Iterator[Metric]:
        now_ns = self._vitals.clock.now()
        labels = ["venue", "symbol"]
        age = GaugeMetricFamily(
            "citadel_feed_age_seconds", "Age of the newest valid update.", labels=labels
        )
        proof = GaugeMetricFamily(
            "citadel_feed_proof_age_seconds",
            "Age of the newest proof that the book is current.",
            labels=labels,
        )
        live = GaugeMetricFamily("citadel_feed_live", "1 when the book is LIVE.", labels=labels)
        gaps = CounterMetricFamily("citadel_feed_gaps", "Sequence gaps detected.", labels=labels)
        resyncs = CounterMetricFamily("citadel_feed_resyncs", "Books rebuilt.", labels=labels)
        deltas = CounterMetricFamily("citadel_feed_updates", "Updates applied.", labels=labels)
        for (venue, symbol), market in self._vitals.engine.followed():
            key = [venue, symbol]
            if market.last_recv_ns:
                age.add_metric(key, (now_ns - market.last_recv_ns) / 1e9)
                proof.add_metric(key, (now_ns - market.proof_ns) / 1e9)
            live.add_metric(key, 1.0 if market.state == "LIVE" else 0.0)
            gaps.add_metric(key, market.gaps)
            resyncs.add_metric(key, market.resyncs)
            deltas.add_metric(key, market.deltas)
        yield from (age, proof, live, gaps, resyncs, deltas)

    def _account(self) -> Iterator[Metric]:
        vitals = self._vitals
        yield GaugeMetricFamily(
            "citadel_open_parents", "Open parent orders.", value=vitals.open_parents()
        )
        yield GaugeMetricFamily(
            "citadel_live_children",
            "Child orders sent and not confirmed closed.",
            value=vitals.runner.live_children,
        )
        equity = vitals.engine.portfolio.equity()
        family = GaugeMetricFamily(
            "citadel_equity", "Value of the account in the reporting currency.", labels=["currency"]
        )
        if equity is not None:
            family.add_metric([vitals.engine.portfolio.reporting_currency], float(equity))
        yield family
        yield GaugeMetricFamily(
            "citadel_clock_drift_seconds",
            "How far the wall clock was moved since the start.",
            value=vitals.clock.drift_ns() / 1e9,
        )
        age_ns = vitals.uplink.macro_age_ns(vitals.clock.now())
        macro = GaugeMetricFamily("citadel_macro_age_seconds", "Since the last macro heartbeat.")
        if age_ns is not None:
            macro.add_metric([], age_ns / 1e9)
        yield macro


def exposition(vitals: Vitals) -> bytes:
    """The text of ``/metrics``."""
    registry = CollectorRegistry()
    registry.register(MicroCollector(vitals))
    return generate_latest(registry)


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    running = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(histogram.bounds_ns, histogram.counts, strict=False):
        running += count
        buckets.append((repr(bound / 1e9), float(running)))
    buckets.append(("+Inf", float(histogram.total)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum_ns / 1e9)


def _sum(*tables: dict[str, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for table in tables:
        for key, value in table.items():
            total[key] = total.get(key, 0) + value
    return total
