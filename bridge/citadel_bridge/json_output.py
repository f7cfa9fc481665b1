"""``--json``: what a command says, for programs instead of people."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON lines: one object a line.")]


def print_json(value: Any) -> None:  # noqa: ANN401 - plain data of any shape, structs
    """Print a value as JSON, on one line; what is no finite number is null."""
    from msgspec.json import encode  # noqa: PLC0415 - only when it is asked for

    typer.echo(encode(value).decode())
