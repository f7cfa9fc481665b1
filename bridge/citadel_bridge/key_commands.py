"""``citadel keys``: make, look at, allow, revoke and rotate the keys of the channels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

ROLES = "macro, micro, cli, recorder"
Folder = Annotated[Path, typer.Argument(help="Key folder.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the root command."""
    keys = typer.Typer(no_args_is_help=True, help="CURVE keys for networks that are not loopback.")
    keys.command("make")(make_keys)
    keys.command("show")(show)
    keys.command("allow")(allow)
    keys.command("revoke")(revoke)
    keys.command("rotate")(rotate)
    keys.command("check")(check)
    app.add_typer(keys, name="keys")


def make_keys(
    folder: Annotated[Path, typer.Argument(help="Key folder; created if it does not exist.")],
    *,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this role; repeatable. {ROLES}.")
    ] = None,
    json: Json = False,
) -> Exit:
    """Make the key pairs missing in a folder; existing ones are kept.

    Secret keys are readable by their owner only. Give each machine its own secret key and the
    public keys of the others.
    """
    from citadel_bridge.auth import ROLES as ALL_ROLES  # noqa: PLC0415 - imported when invoked
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415

    roles = only or list(ALL_ROLES)
    for role in roles:
        if role not in ALL_ROLES:
            raise BadInput(f"no role is called {role!r}", where="--only", allowed=ROLES)
    made = KeyStore(folder).make(roles)
    if json:
        print_json({"folder": str(folder), **_made_and_kept(roles, made)})
        return Exit.OK
    for role in roles:
        typer.echo(f"{role}: {'made' if role in made else 'kept'}")
    return Exit.OK


def _made_and_kept(roles: Iterable[str], made: Iterable[str]) -> dict[str, list[str]]:
    return {
        "made": [role for role in roles if role in made],
        "kept": [role for role in roles if role not in made],
    }


def show(folder: Folder, *, json: Json = False) -> Exit:
    """List the keys in a folder and what each permits; no secret key is shown."""
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415 - imported when invoked
    from citadel_bridge.key_ring import rows  # noqa: PLC0415

    found = rows(KeyStore(folder))
    if json:
        print_json({"folder": str(folder), "keys": found})
        return Exit.OK
    for row in found:
        here = "pair  " if row.secret else "public"
        note = f"  REVOKED {row.revoked}" if row.revoked else ""
        typer.echo(f"{row.name:<20} {here} {row.key}  {row.may}{note}")
    return Exit.OK


def allow(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="What to call the client.")],
    key: Annotated[str, typer.Argument(help="Its public key, or the file that holds it.")],
    *,
    json: Json = False,
) -> Exit:
    """Admit one more client that observes: a dashboard, a second recorder.

    It may subscribe and can send nothing. Running processes admit it at once.
    """
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415 - imported when invoked
    from citadel_bridge.key_ring import allow as admit  # noqa: PLC0415

    admit(KeyStore(folder), name, key)
    if json:
        print_json({"folder": str(folder), "allowed": name})
    else:
        typer.echo(f"{name} may observe")
    return Exit.OK


def revoke(
    folder: Folder,
    name: Annotated[str, typer.Argument(help=f"A client that was allowed, or a role: {ROLES}.")],
    *,
    json: Json = False,
) -> Exit:
    """Admit a key no longer, for good; its connections are cut within a second.

    Other subscribers are cut as well, and connect again at once. Do it in the folder of every process.
    """
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415 - imported when invoked
    from citadel_bridge.key_ring import revoke as refuse  # noqa: PLC0415

    key = refuse(KeyStore(folder), name)
    if json:
        print_json({"folder": str(folder), "revoked": name, "key": key.decode()})
    else:
        typer.echo(f"{name} is no longer admitted: {key.decode()}")
    return Exit.OK


def rotate(
    folder: Folder,
    role: Annotated[str, typer.Argument(help=ROLES)],
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Revoke the old key at once: it is known to somebody.")
    ] = False,
    json: Json = False,
) -> Exit:
    """Make a new pair for a role.

    Then give its public key to the others' folders and restart the process that has the role. The others
    need no restart: they connect again by the new key, and admit the old one as a client until it is
    revoked.
    """
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415 - imported when invoked
    from citadel_bridge.key_ring import rotate as renew  # noqa: PLC0415

    kept = renew(KeyStore(folder), role, at_once=now)
    if json:
        print_json({"folder": str(folder), "rotated": role, "old_key": kept or None})
        return Exit.OK
    typer.echo(f"{role} has a new pair; restart it")
    if kept:
        typer.echo(f"then: citadel keys revoke {folder} {kept}")
    return Exit.OK


def check(folder: Folder, *, json: Json = False) -> Exit:
    """Say what a process would refuse in a folder; ends 1 if there is something."""
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415 - imported when invoked
    from citadel_bridge.key_ring import problems  # noqa: PLC0415

    found = problems(KeyStore(folder))
    if json:
        print_json({"folder": str(folder), "problems": found})
        return Exit.DIFFERENCE if found else Exit.OK
    for text in found:
        typer.echo(text)
    if not found:
        typer.echo("nothing to object to")
    return Exit.DIFFERENCE if found else Exit.OK
