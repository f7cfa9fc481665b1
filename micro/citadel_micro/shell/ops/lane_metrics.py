"""Metrics of the lane, a Unix socket beside ZeroMQ for macros on the same machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

_GAUGES: Final = (
    ("citadel_lane_connected", "Macros that are connected to the lane.", "connected"),
    ("citadel_lane_in_step", "Macros whose messages are taken from the lane.", "in_step"),
)
_COUNTERS: Final = (
    ("citadel_lane_missing", "Messages that a macro left out: its lane was full.", "missed"),
    (
        "citadel_lane_dropped_sends",
        "Messages of the market channel that the lane had no room for: they went by ZeroMQ only.",
        "left_out",
    ),
    ("citadel_lane_ends", "Connections to the lane that ended.", "ended"),
    ("citadel_lane_refusals", "Connections to the lane that were refused or cut.", "refused"),
)
_RECEIVED: Final = ("first", "second_copies", "left_to_zeromq", "late")


def lane_metrics(lane: Mapping[str, int] | None) -> Iterator[Metric]:
    """All of them; without samples where there is no lane.

    Args:
        lane: connections and counts, as ``Uplink.lane`` has them.
    """
    for name, text, key in _GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=[])
        if lane is not None:
            gauge.add_metric([], lane[key])
        yield gauge
    received = CounterMetricFamily(
        "citadel_lane_received",
        "Messages of macros that have a lane, by what became of them (late: lost by ZeroMQ); "
        "a second copy came by either way.",
        labels=["as"],
    )
    if lane is not None:
        for key in _RECEIVED:
            received.add_metric([key], lane[key])
    yield received
    for name, text, key in _COUNTERS:
        counter = CounterMetricFamily(name, text, labels=[])
        if lane is not None:
            counter.add_metric([], lane[key])
        yield counter
