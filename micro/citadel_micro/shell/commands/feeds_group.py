"""Subcommands about market data."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from rich.table import Table

    from citadel_micro.shell.capture.books import Rebuilt


def books(
    capture: Annotated[Path, typer.Argument(help="Capture: *.jsonl.gz or *.jsonl.zst.")],
    *,
    venue: Annotated[
        str, typer.Option(help="Venue id, such as binance-spot or okx; ccxt-... are live only.")
    ],
    as_json: Json = False,
    trace: Annotated[
        int, typer.Option(min=0, help="Checksum the top every N applied updates (with --json).")
    ] = 0,
) -> Exit:
    """Rebuild the books of a capture, and print them with their integrity."""
    from citadel_micro.shell.capture.books import dumps, rebuild  # noqa: PLC0415

    rebuilt, cut = rebuild(capture, venue, trace)
    if as_json:
        typer.echo(dumps(rebuilt))
    else:
        _print(rebuilt)
    if cut is not None:
        raise cut
    return Exit.OK


def table_of(rebuilt: Rebuilt) -> Table:
    """Every book of a capture, for a person."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=f"{rebuilt.spec.venue}: {rebuilt.frames} frames, {rebuilt.trades} trades",
        box=None,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
    )
    for name in ("symbol", "unified", "state", "bid", "ask", "levels", "deltas", "gaps", "resyncs"):
        folded = name in ("symbol", "unified")
        table.add_column(
            name,
            justify="left" if folded else "right",
            no_wrap=not folded,
            overflow="fold" if folded else "ellipsis",
        )
    table.add_column("sums", justify="right", no_wrap=True)
    for native, entry in rebuilt.to_json()["symbols"].items():
        top, sums = entry["top20"], entry["checksums"]
        table.add_row(
            native,
            entry["unified"],
            entry["state"],
            top["bids"][0][0] if top["bids"] else "-",
            top["asks"][0][0] if top["asks"] else "-",
            "/".join(str(count) for count in entry["levels"]),
            str(entry["deltas"]),
            str(entry["gaps"]),
            str(entry["resyncs"]),
            f"{sums['ok']}/{sums['ok'] + sums['failed']}" if any(sums.values()) else "-",
        )
    return table


def _print(rebuilt: Rebuilt) -> None:
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    console.print(table_of(rebuilt))
    for error in rebuilt.errors[:10]:
        console.print(f"line {error['line']}: {error['error']}", markup=False, highlight=False)
    if rebuilt.error_count > len(rebuilt.errors[:10]):
        console.print(f"... {rebuilt.error_count} errors in all")
