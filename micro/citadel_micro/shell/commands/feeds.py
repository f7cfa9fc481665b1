"""``citadel feeds``: state of a running micro's feeds, live on the terminal or once as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citadel_bridge.exit_codes import Exit
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.table import Table

    from citadel_micro.shell.marketdata.feed_observer import FeedObserver
    from citadel_proto.messages import MarketChannel

CHECK_S: Final = 6.0
"""Long enough to receive the state of every feed once; micro repeats them every 5 s."""
REFRESH_S: Final = 0.5
_HTTP_TIMEOUT_S: Final = 2.0
_COLUMNS: Final[tuple[tuple[str, JustifyMethod, bool], ...]] = (
    ("venue", "left", False),
    ("symbol", "left", False),
    ("state", "left", False),
    ("age ms", "right", False),
    ("books/s", "right", True),
    ("updates/s", "right", False),
    ("trades/s", "right", True),
    ("gaps", "right", False),
    ("resyncs", "right", True),
    ("from venue", "right", True),
    ("in micro", "right", True),
    ("on the wire", "right", True),
    ("behind ms", "right", False),
    ("conflated", "right", True),
    ("venue's clock", "right", True),
    ("reason", "left", False),
)
"""Name, justification, and whether it is shown with ``--wide`` only."""
_FOLDED: Final = ("venue", "symbol", "reason")
"""Columns that take a second line where there is no room; numbers never do."""
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
    wide: Annotated[bool, typer.Option("--wide", help="More columns.")] = False,
    duration: Annotated[
        str | None, typer.Option(help="End after this long. Default: 6s with --json, else Ctrl-C.")
    ] = None,
) -> Exit:
    """Show every feed's state, age, rates, gaps and latencies, as micro publishes them.

    Latencies are percentiles in ms: from the venue (its clock against ours, so a wrong clock shows
    here), in micro (receipt to publication, including conflation) and on the wire. "Behind" is the
    age of the oldest data received and not handled; during overload books are
    conflated, which is counted, and trades wait. The venue's clock is shown as its offset from ours
    in ms, ± half the fastest round trip.
    """
    from citadel_bridge.addresses import DEFAULT_MARKET  # noqa: PLC0415
    from citadel_bridge.auth import check_endpoint  # noqa: PLC0415 - commands import late
    from citadel_bridge.durations import seconds_of  # noqa: PLC0415
    from citadel_micro.shell.config.urls import HTTP, checked_url  # noqa: PLC0415

    if metrics is not None:
        metrics = checked_url(metrics, HTTP, "--metrics")
    address = market or DEFAULT_MARKET
    check_endpoint(address, "--market")
    seconds = None if duration is None else seconds_of(duration, "--duration")
    if as_json and seconds is None:
        seconds = CHECK_S
    watch = _Watch(address, keys, metrics)
    try:
        summary = watch.once(seconds or CHECK_S) if as_json else watch.show(seconds, wide=wide)
    finally:
        watch.close()
    if summary["micro"] is None and not summary["feeds"]:
        raise PeerUnavailable(f"nothing received from a micro at {address}")
    if as_json:
        typer.echo(json.dumps(summary, allow_nan=False))
    return Exit.OK


class _Watch:
    """A subscriber of the market channel, and a reader of the metrics page."""

    def __init__(self, address: str, keys: Path | None, metrics: str | None) -> None:
        import threading  # noqa: PLC0415

        import zmq  # noqa: PLC0415

        from citadel_bridge.auth import KeyStore  # noqa: PLC0415
        from citadel_bridge.channels import Inbox  # noqa: PLC0415
        from citadel_bridge.receiver import SubscriberThread  # noqa: PLC0415
        from citadel_bridge.sockets import Endpoint  # noqa: PLC0415
        from citadel_micro.shell.marketdata.feed_observer import FeedObserver  # noqa: PLC0415
        from citadel_proto import topics  # noqa: PLC0415
        from citadel_proto.codec import decode_market  # noqa: PLC0415

        self.observer: FeedObserver = FeedObserver(time.time_ns())
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
        """Everything received so far."""
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

    def show(self, seconds: float | None, *, wide: bool) -> dict[str, Any]:
        """Keep a table on the terminal up to date until then, or until Ctrl-C."""
        from rich.live import Live  # noqa: PLC0415

        end = None if seconds is None else time.monotonic() + seconds
        summary = self.summary()
        with Live(table_of(summary, wide=wide), refresh_per_second=4) as live:
            try:
                while end is None or time.monotonic() < end:
                    time.sleep(REFRESH_S)
                    summary = self.summary()
                    live.update(table_of(summary, wide=wide))
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


def table_of(summary: dict[str, Any], *, wide: bool = False) -> Table:
    """The summary for a person: what matters first, for 80 columns, or all of it."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    micro = summary["micro"]
    title = (
        "no heartbeat received yet"
        if micro is None
        else f"{micro['instance']} ({micro['mode']}): {micro['state']}"
    )
    table = Table(
        title=title,
        caption="latencies in ms: p50/p90/p99" if wide else None,
        box=None,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
    )
    for name, justify, beside in _COLUMNS:
        if wide or not beside:
            folded = name in _FOLDED
            table.add_column(
                name, justify=justify, no_wrap=not folded, overflow="fold" if folded else "ellipsis"
            )
    for row in summary["feeds"]:
        colour = _COLOURS.get(row["state"], "white")
        latency = row["latency_ms"]
        cells: tuple[RenderableType, ...] = (
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
        shown = zip(cells, _COLUMNS, strict=True)
        table.add_row(*(cell for cell, (_, _, beside) in shown if wide or not beside))
    for row in summary["consolidated"]:
        venues = ", ".join(row["venues"]) or "no venue"
        best = f" {row['bid']} / {row['ask']}" if row["venues"] else ""
        blank = [""] * (len(table.columns) - 3)
        table.add_row("consolidated", row["symbol"], *blank, Text(f"{venues}{best}"))
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
