"""``citadel tape cut``, ``merge`` and ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_proto.tape import TapeReader

TapeFile = Annotated[Path, typer.Argument(help="The tape, or a journal of micro.")]
Out = Annotated[Path, typer.Option(help="The tape to write; it must not exist.")]
Compress = Annotated[bool, typer.Option("--compress", help="Compress with zstd.")]


def register(inspect: typer.Typer) -> None:
    """Add these commands to ``citadel tape``."""
    inspect.command("cut")(tape_cut)
    inspect.command("merge")(tape_merge)
    inspect.command("export")(tape_export)


def tape_cut(
    file: TapeFile,
    *,
    out: Out,
    since: Annotated[
        str | None,
        typer.Option("--from", help="2026-11-28T06:00:00Z, ns, or +90s after the first record."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same; this moment is not in.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only signals, or only market.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Only topics that begin so; repeatable.")
    ] = None,
    compress: Compress = False,
    json: Json = False,
) -> Exit:
    """Write a part of a tape to a new one, frames and times as they were.

    Of a journal only --until is allowed: its beginning is needed to recompute it.
    """
    from citadel_bridge import tape_edit  # noqa: PLC0415 - commands import what they need when invoked
    from citadel_bridge.progress import watched  # noqa: PLC0415
    from citadel_proto import tape  # noqa: PLC0415

    channels = {"signals": tape.SIGNALS, "market": tape.MARKET}
    if channel is not None and channel not in channels:
        raise BadInput(f"channel {channel!r}", where="--channel", allowed=", ".join(channels))
    began = tape_edit.first_ns(file)
    choice = tape_edit.Choice(
        from_ns=None if since is None else tape_edit.moment_ns(since, began, "--from"),
        until_ns=None if until is None else tape_edit.moment_ns(until, began, "--until"),
        directions=frozenset() if channel is None else frozenset({channels[channel]}),
        prefixes=tuple(each.encode() for each in topic or ()),
    )
    with tape.TapeReader.open(file) as reader:
        rows = watched(reader, file, "cutting")
        count = tape_edit.cut(reader.header, rows, out, choice, compress=compress)
        if json:
            print_json({"records": count, "file": str(out)})
        else:
            typer.echo(f"{count} records in {out}")
        return _ending(file, reader)


def tape_merge(
    files: Annotated[
        list[Path], typer.Argument(help="Recordings; of parts, their numbers' order.")
    ],
    *,
    out: Out,
    compress: Compress = False,
    json: Json = False,
) -> Exit:
    """Write several recordings as one, in the order in which frames were received.

    Of the parts of one run's journal, one journal is made.
    """
    from contextlib import ExitStack  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_bridge import tape_edit  # noqa: PLC0415
    from citadel_bridge.progress import watched  # noqa: PLC0415
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    with ExitStack() as opened:
        readers = [opened.enter_context(TapeReader.open(path)) for path in files]
        longest = max(files, key=lambda path: path.stat().st_size)  # one bar can be shown
        rows = [
            watched(reader, path, "merging") if path is longest else reader.records()
            for reader, path in zip(readers, files, strict=True)
        ]
        count = tape_edit.merge(readers, rows, out, compress=compress)
        if json:
            print_json({"records": count, "tapes": [str(each) for each in files], "file": str(out)})
        else:
            typer.echo(f"{count} records of {len(files)} tapes in {out}")
        endings = [_ending(path, reader) for path, reader in zip(files, readers, strict=True)]
    return max(endings)


def tape_export(
    file: TapeFile,
    *,
    kind: Annotated[str, typer.Option(help="Which message: BookSnapshot, Trades, Signal …")],
    form: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="File to write; standard output without it.")
    ] = None,
    levels: Annotated[int, typer.Option(min=1, max=1_000, help="Of each side of a book.")] = 5,
) -> Exit:
    """Write one kind of message as a table with named columns.

    Prices and quantities of orders stay exact text. The first column is when the frame was received.
    """
    import sys  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_bridge import tape_edit  # noqa: PLC0415
    from citadel_bridge.progress import watched  # noqa: PLC0415
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    wanted = _form(form)
    table = tape_edit.Table(kind, levels)
    with TapeReader.open(file) as reader:
        rows = table.rows(watched(reader, file, "exporting"))
        if out is None:
            tape_edit.write_rows(rows, sys.stdout, wanted)
        else:
            try:
                with out.open("x", encoding="utf-8", newline="") as text:
                    count = tape_edit.write_rows(rows, text, wanted)
            except FileExistsError as error:
                raise BadInput(
                    "the file exists", where=f"--out {out}", mend="choose another name"
                ) from error
            typer.echo(f"{count} rows in {out}")
        if table.undecodable:
            typer.echo(
                f"{table.undecodable} frames are no message of this release; "
                "citadel tape dump shows them",
                err=True,
            )
        return _ending(file, reader)


def _form(text: str) -> Literal["csv", "jsonl"]:
    if text == "csv":
        return "csv"
    if text == "jsonl":
        return "jsonl"
    raise BadInput(f"format {text!r}", where="--format", allowed="csv, jsonl")


def _ending(path: Path, reader: TapeReader) -> Exit:
    """Say how a tape that does not end properly ends."""
    tail = reader.tail
    if tail is None:
        return Exit.OK
    typer.echo(
        f"{path}: {tail.reason}: {tail.lost} bytes from offset {tail.offset} on are not usable; "
        "everything before is",
        err=True,
    )
    return Exit.DIFFERENCE
