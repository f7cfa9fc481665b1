"""From what a connection has measured to what an operator reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from rich.console import Console

from citadel_micro.shell.commands.feeds import table_of
from citadel_micro.shell.marketdata.clock_offset import ClockEstimate
from citadel_micro.shell.marketdata.feed_observer import FeedObserver
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_micro.shell.marketdata.health_metrics import connection_metrics
from citadel_micro.shell.marketdata.lag_monitor import LoadHealth
from citadel_proto.codec import decode_market, encode
from citadel_proto.messages import FeedState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

MS = 1_000_000
HEALTH = ConnectionHealth(
    venue="okx",
    number=2,
    up=True,
    symbols=("BTC/USDT",),
    frames=7,
    octets=700,
    violations=1,
    connects=3,
    failures=0,
    resubscribed=0,
    last_frame_ns=5,
    load=LoadHealth(
        overloaded=True,
        overloads=2,
        overloaded_ns=1_500 * MS,
        behind_ns=120 * MS,
        behind_peak_ns=340 * MS,
        loop_lag_ns=11 * MS,
        loop_lag_peak_ns=12 * MS,
        waiting=17,
        waiting_peak=40,
        unread_octets=4_096,
        unread_octets_peak=8_192,
        conflated=99,
        handled_ns=(1 * MS, 2 * MS, 3 * MS),
    ),
    clock=ClockEstimate(offset_ns=-250 * MS, error_ns=4 * MS, rtt_ns=8 * MS, late_ns=0),
)


def state(health: ConnectionHealth | None) -> FeedState:
    return FeedState(
        venue="okx",
        symbol="BTC/USDT",
        state="LIVE",
        reason="",
        last_seq=1,
        last_recv_ns=1,
        gaps=0,
        resyncs=0,
        instance="m",
        seq=1,
        health=None if health is None else health.wire(),
    )


def test_it_survives_the_wire() -> None:
    assert decode_market(encode(state(HEALTH))) == state(HEALTH)


def test_citadel_feeds_shows_how_far_behind_and_where_the_clock_is() -> None:
    observer = FeedObserver(0)
    observer.take(state(HEALTH), MS)
    summary = observer.summary(1_000 * MS)
    (row,) = summary["feeds"]
    assert row["load"] == {
        "overloaded": True,
        "overloads": 2,
        "overloaded_s": 1.5,
        "behind_ms": 120.0,
        "behind_peak_ms": 340.0,
        "loop_lag_ms": 11.0,
        "waiting": 17,
        "waiting_peak": 40,
        "unread_octets": 4_096,
        "unread_octets_peak": 8_192,
        "conflated": 99,
        "handled_ms": {"p50": 1.0, "p90": 2.0, "p99": 3.0},
    }
    assert row["clock"] == {"offset_ms": -250.0, "error_ms": 4.0, "rtt_ms": 8.0}
    console = Console(width=300)
    with console.capture() as captured:
        console.print(table_of(summary, wide=True))
    shown = captured.get()
    assert "120 overloaded" in shown
    assert "99" in shown
    assert "-250±4" in shown


def test_a_micro_that_does_not_say_is_shown_as_such() -> None:
    observer = FeedObserver(0)
    observer.take(state(None), MS)
    (row,) = observer.summary(1_000 * MS)["feeds"]
    assert row["load"] is None
    assert row["clock"] is None
    assert table_of(observer.summary(1_000 * MS)).row_count == 1


@pytest.mark.parametrize(("width", "wide"), [(80, False), (120, False), (200, True)])
def test_the_table_fits_a_terminal(width: int, wide: bool) -> None:
    observer = FeedObserver(0)
    reason = "no message for 4.2 s, the connection was cut and is made again"
    for symbol in ("1000000MOGWAI/USDT:USDT", "BTC/USDT"):
        feed = msgspec.structs.replace(state(HEALTH), venue="coinbase-exchange", symbol=symbol)
        observer.take(msgspec.structs.replace(feed, gaps=12_345, reason=reason), MS)
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table_of(observer.summary(1_000_000 * MS), wide=wide))
    shown = captured.get()
    assert max(map(len, shown.splitlines())) <= width
    for text in ("12345", "LIVE", "120 overloaded"):
        assert text in shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    # A reason takes more lines; nothing of it is lost.
    assert reason.rsplit(maxsplit=1)[-1] in shown


class _Given(Collector):
    def __init__(self, *connections: ConnectionHealth) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        return connection_metrics(self._connections)


def exposition(*connections: ConnectionHealth) -> list[str]:
    registry = CollectorRegistry()
    registry.register(_Given(*connections))
    return generate_latest(registry).decode().splitlines()


def test_metrics_have_all_of_it() -> None:
    lines = exposition(HEALTH)
    label = '{connection="2",venue="okx"}'
    for line in (
        "citadel_feed_overloaded 1.0",
        "citadel_feed_overloaded_seconds_total 1.5",
        "citadel_feed_overloads_total 2.0",
        "citadel_feed_behind_seconds 0.12",
        "citadel_feed_behind_peak_seconds 0.34",
        "citadel_loop_lag_seconds 0.011",
        f"citadel_feed_up{label} 1.0",
        f"citadel_feed_conflated_total{label} 99.0",
        f"citadel_feed_waiting{label} 17.0",
        f"citadel_feed_unread_bytes{label} 4096.0",
        'citadel_feed_handled_seconds{connection="2",percentile="99",venue="okx"} 0.003',
        f"citadel_venue_clock_offset_seconds{label} -0.25",
        f"citadel_venue_clock_error_seconds{label} 0.004",
        f"citadel_venue_round_trip_seconds{label} 0.008",
    ):
        assert line in lines


def test_metrics_of_no_connection_are_empty() -> None:
    assert not [line for line in exposition() if not line.startswith("#")]
