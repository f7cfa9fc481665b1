"""``citadel cache``: the prepared captures that ``citadel work`` keeps."""

from __future__ import annotations

from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json

cache = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Captures that `citadel work` has prepared."
)

_DAY_NS = 86_400 * 10**9


@cache.callback()
def group() -> None:
    """Captures that `citadel work` has prepared."""


@cache.command("show")
def show(*, json: Json = False) -> Exit:
    """Print where the cache is, and what it holds, the file used last first.

    A file of another release, or of a capture that has changed since, is not read any more.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - imported when invoked

    from citadel_micro.offline.prepared_cache import held, usual_folder  # noqa: PLC0415

    folder = usual_folder()
    files = held(folder)
    rows = [
        {
            "file": each.path.name,
            "bytes": each.octets,
            "used": datetime.fromtimestamp(each.used_ns // 10**9, UTC).isoformat(),
            "capture": "" if each.about is None else each.about.capture,
            "venue": "" if each.about is None else each.about.venue,
            "symbol": "" if each.about is None else each.about.symbol,
            "stale": not each.of_this_release,
        }
        for each in files
    ]
    total = sum(each.octets for each in files)
    if json:
        print_json({"folder": str(folder), "bytes": total, "files": rows})
        return Exit.OK
    typer.echo(f"{folder}: {len(files)} files, {total / 1e6:,.1f} MB")
    for row in rows:
        what = f"{row['capture']} {row['symbol']} on {row['venue']}" if row["capture"] else "(part)"
        stale = ", not read any more" if row["stale"] else ""
        typer.echo(f"  {row['bytes']:>14,}  {row['used']}  {what}{stale}")
    return Exit.OK


@cache.command("clear")
def clear(
    *,
    days: Annotated[
        float, typer.Option(min=0, max=36_500, help="Only what was not used for so long.")
    ] = 0.0,
    stale: Annotated[bool, typer.Option("--stale", help="Only what is not read any more.")] = False,
    json: Json = False,
) -> Exit:
    """Remove prepared captures. The next `citadel work` makes what it needs again."""
    import time  # noqa: PLC0415 - imported when invoked

    from citadel_micro.offline.prepared_cache import held, usual_folder  # noqa: PLC0415

    before_ns = time.time_ns() - round(days * _DAY_NS)
    gone = [
        each
        for each in held(usual_folder())
        if each.used_ns <= before_ns and not (stale and each.of_this_release)
    ]
    for each in gone:
        each.path.unlink(missing_ok=True)
    total = sum(each.octets for each in gone)
    if json:
        print_json({"removed": [each.path.name for each in gone], "bytes": total})
        return Exit.OK
    typer.echo(f"{len(gone)} files removed, {total / 1e6:,.1f} MB")
    return Exit.OK
