"""Prometheus metrics of the feeds' connections: their lag, and the venues' clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from citadel_micro.shell.marketdata.lag_monitor import PERCENTILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from citadel_micro.shell.marketdata.health import ConnectionHealth

_S: Final = 1e9
LABELS: Final = ("venue", "connection")


def connection_metrics(connections: Sequence[ConnectionHealth]) -> Iterator[Metric]:
    """All of them; those of the shared consumer are given once."""
    yield from _shared(connections)
    yield from _counts(connections)
    yield from _clocks(connections)


def _shared(connections: Sequence[ConnectionHealth]) -> Iterator[Metric]:
    rows = (
        ("citadel_feed_overloaded", "1 while micro does not keep up with its feeds."),
        ("citadel_feed_behind_seconds", "Age of the oldest data received and not handled."),
        ("citadel_feed_behind_peak_seconds", "Maximum of that."),
        ("citadel_loop_lag_seconds", "How late the event loop last fired its timer."),
        ("citadel_loop_lag_peak_seconds", "Maximum of that."),
    )
    gauges = [GaugeMetricFamily(name, text, labels=[]) for name, text in rows]
    overloaded = CounterMetricFamily("citadel_feed_overloaded_seconds", "Time overloaded.")
    overloads = CounterMetricFamily("citadel_feed_overloads", "How often overload began.")
    for each in connections[:1]:
        load = each.load
        values = (
            float(load.overloaded),
            load.behind_ns / _S,
            load.behind_peak_ns / _S,
            load.loop_lag_ns / _S,
            load.loop_lag_peak_ns / _S,
        )
        for gauge, value in zip(gauges, values, strict=True):
            gauge.add_metric([], value)
        overloaded.add_metric([], load.overloaded_ns / _S)
        overloads.add_metric([], load.overloads)
    yield from (*gauges, overloaded, overloads)


def _counts(connections: Sequence[ConnectionHealth]) -> Iterator[Metric]:
    labels = list(LABELS)
    up = GaugeMetricFamily("citadel_feed_up", "1 while connected.", labels=labels)
    frames = CounterMetricFamily("citadel_feed_frames", "Frames received.", labels=labels)
    connects = CounterMetricFamily("citadel_feed_connects", "Connections made.", labels=labels)
    violations = CounterMetricFamily(
        "citadel_feed_violations", "Frames that were not what the venue documents.", labels=labels
    )
    conflated = CounterMetricFamily(
        "citadel_feed_conflated",
        "Book updates merged into a newer one, because micro lagged.",
        labels=labels,
    )
    waiting = GaugeMetricFamily(
        "citadel_feed_waiting", "Events waiting to be handled.", labels=labels
    )
    unread = GaugeMetricFamily(
        "citadel_feed_unread_bytes", "Received by the system and not read.", labels=labels
    )
    handled = GaugeMetricFamily(
        "citadel_feed_handled_seconds",
        "From the receipt of an event to the end of its handling, of the last events.",
        labels=[*labels, "percentile"],
    )
    for each in connections:
        key = [each.venue, str(each.number)]
        up.add_metric(key, float(each.up))
        frames.add_metric(key, each.frames)
        connects.add_metric(key, each.connects)
        violations.add_metric(key, each.violations)
        conflated.add_metric(key, each.load.conflated)
        waiting.add_metric(key, each.load.waiting)
        unread.add_metric(key, each.load.unread_octets)
        for rank, value in zip(PERCENTILES, each.load.handled_ns, strict=False):
            handled.add_metric([*key, f"{rank:g}"], value / _S)
    yield from (up, frames, connects, violations, conflated, waiting, unread, handled)


def _clocks(connections: Sequence[ConnectionHealth]) -> Iterator[Metric]:
    labels = list(LABELS)
    offset = GaugeMetricFamily(
        "citadel_venue_clock_offset_seconds", "The venue's clock minus ours.", labels=labels
    )
    error = GaugeMetricFamily(
        "citadel_venue_clock_error_seconds", "Error bound of the offset.", labels=labels
    )
    rtt = GaugeMetricFamily(
        "citadel_venue_round_trip_seconds", "Fastest of the last minute.", labels=labels
    )
    for each in connections:
        if each.clock is not None:
            key = [each.venue, str(each.number)]
            offset.add_metric(key, each.clock.offset_ns / _S)
            error.add_metric(key, each.clock.error_ns / _S)
            rtt.add_metric(key, each.clock.rtt_ns / _S)
    yield from (offset, error, rtt)
