"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is quick and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from citadel_bridge import signal_commands, tape_commands
from citadel_bridge.exit_codes import Exit

ROLES = "macro, micro, cli, recorder"


def register(app: typer.Typer) -> None:
    """Add this package's commands to the root command."""
    keys = typer.Typer(no_args_is_help=True, help="CURVE keys for networks that are not loopback.")
    keys.command("make")(make_keys)
    app.add_typer(keys, name="keys")
    signal_commands.register(app)
    tape_commands.register(app)


def make_keys(
    folder: Annotated[Path, typer.Argument(help="Where the keys are, or will be.")],
    *,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Make this role's only; repeatable. {ROLES}.")
    ] = None,
) -> Exit:
    """Make the key pairs that a folder lacks; those that are there stay as they are.

    Secret keys are readable by their owner only. Give each machine its own secret key and the
    public keys of the others.
    """
    from citadel_bridge.auth import ROLES as ALL_ROLES  # noqa: PLC0415 - see the module's text
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415
    from citadel_proto.errors import BadInput  # noqa: PLC0415

    roles = only or list(ALL_ROLES)
    for role in roles:
        if role not in ALL_ROLES:
            raise BadInput(f"no role is called {role!r}", where="--only", allowed=ROLES)
    made = KeyStore(folder).make(roles)
    for role in roles:
        typer.echo(f"{role}: {'made' if role in made else 'kept'}")
    return Exit.OK
