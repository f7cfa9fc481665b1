"""``citadel shadow``: what the table of a shadow says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

shadow = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What Freqtrade paid trading by itself, beside what micro would have.",
)


@shadow.callback()
def _group() -> None:
    """A group, also while it has one command only."""


@shadow.command("report")
def report(
    *,
    db: Annotated[
        Path, typer.Option(help="The table that `citadel macro trade --shadow` writes.")
    ] = Path("user_data/citadel-shadow.sqlite"),
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
) -> None:
    """Compare what both sides paid against the mid at arrival, and say what did not compare."""
    from citadel_macro.shadow import report as show  # noqa: PLC0415 - commands import what they need
    from citadel_macro.shadow.compare import compare  # noqa: PLC0415
    from citadel_macro.shadow.table import read  # noqa: PLC0415
    from citadel_proto.errors import BadInput  # noqa: PLC0415

    if as_json and as_markdown:
        raise BadInput("--json and --markdown", allowed="one of them")
    found = compare(read(db))
    if as_json:
        typer.echo(json.dumps(show.as_json(found), indent=2))
    elif as_markdown:
        typer.echo(show.markdown(found), nl=False)
    else:
        from rich.console import Console  # noqa: PLC0415

        Console().print(show.picture(found))
