"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is fast and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer, asked: str = "") -> None:
    """Add this package's commands to the root command, or at least the one that is asked for."""
    if asked in ("", "keys"):
        from citadel_bridge import key_commands  # noqa: PLC0415 - a process that runs for days has no use for it

        key_commands.register(app)
    if asked in ("", "signal"):
        from citadel_bridge import signal_commands  # noqa: PLC0415 - as above

        signal_commands.register(app)
    if asked in ("", "record", "replay", "tape"):
        from citadel_bridge import tape_commands  # noqa: PLC0415 - as above

        tape_commands.register(app)
