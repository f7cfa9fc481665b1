"""``citadel capture``: raw traffic of a venue into files, while its books are watched."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.capture.recording import Recording
    from citadel_micro.shell.marketdata.spec import VenueSpec

MEGABYTE = 1_000_000


def capture(
    *,
    venue: Annotated[str, typer.Option(help="Venue id, such as binance-spot or okx.")],
    symbols: Annotated[
        str, typer.Option(help="Comma-separated, unified or the venue's own: BTC/USDT,ETHUSDT.")
    ],
    out: Annotated[
        Path, typer.Option(help="File to write: *.jsonl.gz or *.jsonl.zst; compact: *.tape.")
    ],
    compact: Annotated[
        bool,
        typer.Option(help="Keep what the frames say, as differences, and not their text."),
    ] = False,
    duration: Annotated[
        str | None, typer.Option(help="Stop after this long (90, 90s, 15m, 2h). Default: Ctrl-C.")
    ] = None,
    rotate: Annotated[
        str | None, typer.Option(help="Start a new file after this long: 1h, 1d.")
    ] = None,
    rotate_mb: Annotated[
        float | None,
        typer.Option(min=0.001, max=1e9, help="Start a new file after this many MB on disk."),
    ] = None,
    channels: Annotated[
        str, typer.Option(help="What to subscribe to, of depth, quote and trade.")
    ] = "depth,quote,trade",
    rest_url: Annotated[
        str | None, typer.Option(help="REST root instead of the venue's: http://HOST:PORT.")
    ] = None,
    ws_url: Annotated[
        str | None, typer.Option(help="Websocket root instead of the venue's: ws://HOST:PORT.")
    ] = None,
    json: Json = False,
) -> Exit:
    """Record a venue's public traffic, as `citadel books`, `work` and `study` read it.

    Gaps are resynchronized as in micro, so a capture holds the snapshots that its books need. Each
    file of a rotated capture is complete by itself. A compact one is about half as large,
    is read in half the time and gives the same books and events; what needs the text of frames cannot use it.
    """
    import asyncio  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_bridge.durations import seconds_of  # noqa: PLC0415
    from citadel_micro.shell import logs  # noqa: PLC0415
    from citadel_micro.shell.capture.recording import Recording  # noqa: PLC0415
    from citadel_micro.shell.config.urls import HTTP, WS, checked_url  # noqa: PLC0415
    from citadel_micro.shell.marketdata.aggregator import FeedConfig  # noqa: PLC0415
    from citadel_micro.shell.marketdata.spec import CHANNELS, venue_spec  # noqa: PLC0415

    logs.configure("warning")
    spec = venue_spec(venue)
    names = [name.strip() for name in channels.split(",") if name.strip()]
    chosen = tuple(name for name in CHANNELS if name in names)
    if not chosen or len(chosen) != len(set(names)):
        raise BadInput(
            f"channels are {channels!r}", where="--channels", allowed=", ".join(CHANNELS)
        )
    recording = Recording(
        FeedConfig(
            venue=venue,
            symbols=_symbols(spec, symbols),
            websocket_url="" if ws_url is None else checked_url(ws_url, WS, "--ws-url"),
            rest_url="" if rest_url is None else checked_url(rest_url, HTTP, "--rest-url"),
            channels=chosen,
        ),
        out,
        rotate_bytes=int((rotate_mb or 0.0) * MEGABYTE),
        rotate_ns=0 if rotate is None else int(seconds_of(rotate, "--rotate") * 1e9),
        compact=compact,
    )
    seconds = None if duration is None else seconds_of(duration, "--duration")
    asyncio.run(recording.run(seconds))
    if json:
        print_json(_plain(recording))
    else:
        _say(recording)
    return Exit.OK if recording.frames else Exit.UNAVAILABLE


def _symbols(spec: VenueSpec, text: str) -> dict[str, str]:
    """Unified symbol to venue symbol, from a list of either."""
    found: dict[str, str] = {}
    for name in (part.strip() for part in text.split(",")):
        if not name:
            continue
        unified = name if "/" in name else spec.unify(name)
        native = name if unified != name else spec.native(name)
        if "/" not in unified or not native:
            raise BadInput(
                f"{name!r} is not a known symbol of {spec.venue}",
                where="--symbols",
                allowed="unified symbols, BTC/USDT or BTC/USDT:USDT, or the venue's own",
            )
        found[unified] = native
    if not found:
        raise BadInput("no symbol given", where="--symbols", allowed="BTC/USDT,ETH/USDT")
    return found


def _plain(recording: Recording) -> dict[str, Any]:
    return {
        "frames": recording.frames,
        "records": recording.writer.records,
        "bytes": recording.writer.octets,
        "files": [str(path) for path in recording.writer.paths],
        "symbols": [
            {
                "symbol": market.symbol,
                "state": market.state,
                "reason": market.reason,
                "updates": market.deltas,
                "gaps": market.gaps,
                "resyncs": market.resyncs,
            }
            for market in recording.markets.values()
        ],
    }


def _say(recording: Recording) -> None:
    files = recording.writer.paths
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    typer.echo(
        f"{recording.frames} frames, {recording.writer.records} records, "
        f"{recording.writer.octets / MEGABYTE:.2f} MB in {files[0]}{more}"
    )
    for market in recording.markets.values():
        reason = f" ({market.reason})" if market.reason else ""
        typer.echo(
            f"  {market.symbol}: {market.state}{reason}, {market.deltas} updates, "
            f"{market.gaps} gaps, {market.resyncs} resyncs"
        )
