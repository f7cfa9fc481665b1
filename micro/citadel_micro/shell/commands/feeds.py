"""``citadel feeds``: how a running micro's feeds are, live on the terminal or once as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citadel_bridge.exit_codes import Exit
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from rich.table import Table

    from citadel_micro.shell.marketdata.feed_observer import Observer
    from citadel_proto.messages import MarketChannel

LOOK_S: Final = 6.0
"""Long enough to hear the state of every feed once; micro repeats them every 5 s."""
REFRESH_S: Final = 0.5
_HTTP_TIMEOUT_S: Final = 2.0
_COLOURS: Final = {"LIVE": "green", "SYNCING": "yellow", "STALE": "red", "BROKEN": "red"}


def feeds(
    *,
    market: Annotated[
        str | None, typer.Option(help="Where micro publishes. Default: port 5556.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Key folder, for CURVE.")] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Micro's metrics page too, for updates a second: http://HOST:PORT."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Listen for a while, print one JSON object and end.")
    ] = False,
    duration: Annotated[
        str | None, typer.Option(help="End after this long. Default: 6s with --json, else Ctrl-C.")
    ] = None,
) -> Exit:
    """Show every feed's state, age, rates, gaps and latencies, as micro publishes them.

    Latencies are percentiles in ms: from the venue (its clock against ours, so a wrong clock shows
    here), in micro (receipt to publication, which conflates) and on the wire. "Behind" is how old
    the oldest thing is that has come and that micro has not handled; while it is overloaded, books
    conflate, which is counted, and trades wait. The venue's clock is told as its offset from ours
    in ms, give or take half the quickest round trip.
    """
    from citadel_bridge.config import DEFAULT_MARKET  # noqa: PLC0415 - commands import late
    from citadel_bridge.tape_commands import seconds_of  # noqa: PLC0415
    from citadel_micro.shell.config.urls import HTTP, checked_url  # noqa: PLC0415

    if metrics is not None:
        metrics = checked_url(metrics, HTTP, "--metrics")
    address = market or DEFAULT_MARKET
    seconds = None if duration is None else seconds_of(duration, "--duration")
    if as_json and seconds is None:
        seconds = LOOK_S
    watch = _Watch(address, keys, metrics)
    try:
        summary = watch.once(seconds or LOOK_S) if as_json else watch.show(seconds)
    finally:
        watch.close()
    if summary["micro"] is None and not summary["feeds"]:
        raise PeerUnavailable(f"nothing was heard of a micro at {address}")
    if as_json:
        typer.echo(json.dumps(summary, allow_nan=False))
    return Exit.OK


class _Watch:
    """A subscriber of the market channel, and whoever asks the metrics page."""

    def __init__(self, address: str, keys: Path | None, metrics: str | None) -> None:
        import threading  # noqa: PLC0415

        import zmq  # noqa: PLC0415

        from citadel_bridge.auth import KeyStore  # noqa: PLC0415
        from citadel_bridge.channels import Inbox, SubscriberThread  # noqa: PLC0415
        from citadel_bridge.sockets import Endpoint  # noqa: PLC0415
        from citadel_micro.shell.marketdata.feed_observer import Observer  # noqa: PLC0415
        from citadel_proto import topics  # noqa: PLC0415
        from citadel_proto.codec import decode_market  # noqa: PLC0415

        self.observer: Observer = Observer(time.time_ns())
        self._lock = threading.Lock()
        self._metrics = None if metrics is None else metrics.rstrip("/").removesuffix("/metrics")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        pair = None if keys is None else KeyStore(keys).client("recorder", "micro")
        self._thread = SubscriberThread(
            self._context,
            [Endpoint(address, pair)],
            [topics.BOOKS, topics.FEEDS, topics.TRADES, topics.CONSOLIDATED, topics.HEARTBEAT],
            Inbox(decode_market, self._take),
            name="citadel-feeds",
        )
        self._thread.start()

    def _take(self, _topic: bytes, message: MarketChannel) -> None:
        with self._lock:
            self.observer.take(message, time.time_ns())

    def summary(self) -> dict[str, Any]:
        """What is known now."""
        counters = self._counters()
        with self._lock:
            now_ns = time.time_ns()
            if counters is not None:
                self.observer.take_counters(counters, now_ns)
            return self.observer.summary(now_ns)

    def once(self, seconds: float) -> dict[str, Any]:
        """Listen for so long."""
        self.summary()  # the first reading of the counters
        time.sleep(seconds)
        return self.summary()

    def show(self, seconds: float | None) -> dict[str, Any]:
        """Keep a table on the terminal up to date until then, or until Ctrl-C."""
        from rich.live import Live  # noqa: PLC0415

        end = None if seconds is None else time.monotonic() + seconds
        summary = self.summary()
        with Live(table_of(summary), refresh_per_second=4) as live:
            try:
                while end is None or time.monotonic() < end:
                    time.sleep(REFRESH_S)
                    summary = self.summary()
                    live.update(table_of(summary))
            except KeyboardInterrupt:
                pass
        return summary

    def close(self) -> None:
        """End the thread and the socket."""
        self._thread.close()
        self._context.term()

    def _counters(self) -> dict[tuple[str, str], float] | None:
        if self._metrics is None:
            return None
        import urllib.request  # noqa: PLC0415

        from citadel_micro.shell.marketdata.feed_observer import read_updates  # noqa: PLC0415

        url = f"{self._metrics}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=_HTTP_TIMEOUT_S) as answer:  # noqa: S310 - checked
                return read_updates(answer.read().decode("utf-8", "replace"))
        except (OSError, ValueError) as error:
            raise PeerUnavailable(f"{url} gives no metrics: {error}") from None


def table_of(summary: dict[str, Any]) -> Table:
    """The summary for a person."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    micro = summary["micro"]
    title = (
        "no heartbeat heard yet"
        if micro is None
        else f"{micro['instance']} ({micro['mode']}): {micro['state']}"
    )
    table = Table(title=title, caption="latencies in ms: p50/p90/p99")
    for name in ("venue", "symbol", "state"):
        table.add_column(name)
    for name in ("age ms", "books/s", "updates/s", "trades/s", "gaps", "resyncs"):
        table.add_column(name, justify="right")
    for name in ("from venue", "in micro", "on the wire"):
        table.add_column(name, justify="right")
    for name in ("behind ms", "conflated", "venue's clock"):
        table.add_column(name, justify="right")
    table.add_column("reason")
    for row in summary["feeds"]:
        colour = _COLOURS.get(row["state"], "white")
        latency = row["latency_ms"]
        table.add_row(
            row["venue"],
            row["symbol"],
            f"[{colour}]{row['state']}[/]",
            _text(row["age_ms"]),
            _text(row["books_per_s"]),
            _text(row["updates_per_s"]),
            _text(row["trades_per_s"]),
            str(row["gaps"]),
            str(row["resyncs"]),
            *(_percentiles(latency[name]) for name in ("venue", "micro", "wire")),
            _behind(row["load"]),
            "-" if row["load"] is None else str(row["load"]["conflated"]),
            _clock(row["clock"]),
            Text(row["reason"]),
        )
    for row in summary["consolidated"]:
        venues = ", ".join(row["venues"]) or "no venue"
        best = f"{row['bid']} / {row['ask']}" if row["venues"] else "-"
        table.add_row("consolidated", row["symbol"], best, *[""] * 12, venues)
    return table


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _percentiles(values: dict[str, float] | None) -> str:
    return "-" if values is None else "/".join(f"{value:.3g}" for value in values.values())


def _behind(load: dict[str, Any] | None) -> str:
    if load is None:
        return "-"
    text = f"{load['behind_ms']:.3g}"
    return f"[red]{text} overloaded[/]" if load["overloaded"] else text


def _clock(clock: dict[str, float] | None) -> str:
    return "-" if clock is None else f"{clock['offset_ms']:+.3g}±{clock['error_ms']:.2g}"
