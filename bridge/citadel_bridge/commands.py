"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is fast and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_bridge import key_commands, signal_commands, tape_commands

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add this package's commands to the root command."""
    key_commands.register(app)
    signal_commands.register(app)
    tape_commands.register(app)
