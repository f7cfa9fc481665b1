"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is quick and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add this package's commands to the root command."""
    from citadel_micro.shell.simulator.command import sim  # noqa: PLC0415 - see the module's text

    app.command("sim")(sim)
