"""``citadel export``: tables for other tools from a journal or a tape."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Literal

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput


def export(
    file: Annotated[
        Path,
        typer.Argument(help="A journal of micro, its run folder, or a tape of the market channel."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder to make. Default: the file's name with .tables.")
    ] = None,
    form: Annotated[
        Literal["parquet", "jsonl"], typer.Option("--format", help="Of the files.")
    ] = "parquet",
    json: Json = False,
) -> Exit:
    """Write orders with their costs, fills, quotes, public trades and the curve of profit as Parquet or JSON lines.

    Works while the file is being written, and in little memory whatever its size. The folder appears when
    it is complete. Ends 1 when the file is damaged: what is before the damage is exported.
    """
    from contextlib import ExitStack  # noqa: PLC0415 - commands import what they need when invoked
    from itertools import chain  # noqa: PLC0415

    from citadel_bridge import tape_inspect  # noqa: PLC0415
    from citadel_bridge.progress import watched  # noqa: PLC0415
    from citadel_micro.shell.export.rows import Rows  # noqa: PLC0415
    from citadel_micro.shell.export.sinks import Folder  # noqa: PLC0415
    from citadel_micro.shell.journal.parts import earlier_parts, part_of  # noqa: PLC0415
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    file = _journal(file)
    out = out or file.with_suffix(".tables")
    rows = Rows()
    with ExitStack() as opened, Folder(out, form) as folder:
        reader = opened.enter_context(TapeReader.open(file))
        paths = [*earlier_parts(file, part_of(reader.header)), file]
        readers = [opened.enter_context(TapeReader.open(path)) for path in paths]
        parts = zip(readers, paths, strict=True)
        source = chain.from_iterable(watched(part, path, "exporting") for part, path in parts)
        for table, row in rows.of(source):
            folder.add(table, row)
        tail = next(filter(None, map(tape_inspect.tail_of, readers)), None)
    if json:
        told = {"folder": str(out), "rows": folder.counts}
        print_json({**told, "unreadable": rows.unreadable, "tail": tail})
    else:
        counts = ", ".join(f"{count} {table}" for table, count in folder.counts.items())
        typer.echo(f"{out}: {counts}")
    if rows.unreadable:
        typer.echo(f"{rows.unreadable} records could not be read and are left out", err=True)
    if tail is not None:
        typer.echo(
            f"{tail['reason']}: {tail['lost_bytes']} bytes from offset {tail['offset']} on are left out",
            err=True,
        )
    damaged = rows.unreadable or (tail is not None and tail["damaged"])
    return Exit.DIFFERENCE if damaged else Exit.OK


def _journal(path: Path) -> Path:
    """The file itself, or the newest journal of a run folder."""
    if not path.is_dir():
        return path
    from citadel_micro.shell.journal.parts import runs_of  # noqa: PLC0415 - imported when invoked

    journals = sorted(runs_of(path), key=lambda each: each.stat().st_mtime_ns)
    if not journals:
        raise BadInput(
            "no journal is in this folder", where=str(path), mend="name a file, or micro's run_dir"
        )
    return journals[-1]
