"""``citadel journal``: room on the disk of a run folder."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

journal = typer.Typer(no_args_is_help=True, add_completion=False, help="Journals of former runs.")


@journal.callback()
def group() -> None:
    """Journals of former runs."""


@journal.command("tidy")
def tidy(
    folder: Annotated[Path, typer.Argument(help="Run folder of micro.")],
    *,
    keep_runs: Annotated[int, typer.Option(min=0, help="Journals that stay. 0: all.")] = 0,
    keep_days: Annotated[
        float, typer.Option(min=0, max=36_500, help="Remove those older than this. 0: none.")
    ] = 0.0,
    keep_gb: Annotated[
        float, typer.Option(min=0, max=1e6, help="Remove the oldest beyond this size. 0: none.")
    ] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> Exit:
    """Remove old journals; micro may be running.

    A restart needs the newest only. The two newest are never touched, and the oldest go first.
    """
    import time  # noqa: PLC0415 - imported when invoked

    from citadel_micro.shell.journal import tidying  # noqa: PLC0415

    if not tidying.journals(folder):
        raise BadInput("no journal is here", where=str(folder), mend="name the run folder of micro")
    keep = tidying.Keep(runs=keep_runs, days=keep_days, octets=round(keep_gb * 1e9))
    gone = tidying.beyond(folder, keep, time.time_ns())
    for path in gone:
        if not json:
            typer.echo(f"{'would remove' if dry_run else 'removed'} {path.name}")
        if not dry_run:
            path.unlink(missing_ok=True)
    if json:
        print_json({"dry_run": dry_run, "removed": [path.name for path in gone]})
    elif not gone:
        typer.echo("nothing to remove")
    return Exit.OK
