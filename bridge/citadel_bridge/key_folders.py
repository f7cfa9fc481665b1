"""One key folder for each side: ``python -m citadel_bridge.key_folders FOLDER micro macro``.

For sides that must not be able to read each other's secret key, as in containers. Each role gets
``FOLDER/<role>`` with its own pair and the public keys of the others, so that only that one folder
has to be mounted for it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.auth import ROLES, KeyStore
from citadel_bridge.cli import guarded
from citadel_bridge.exit_codes import Exit
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_folders(base: Path, roles: Sequence[str]) -> list[str]:
    """Create what is missing and distribute the public keys; existing pairs are kept.

    A public key that no longer matches its owner's, because the owner's folder was recreated, is
    replaced.

    Args:
        base: folder that holds, or gets, one folder per role.
        roles: of ``citadel_bridge.auth.ROLES``.

    Returns:
        The roles whose pair was made.

    Raises:
        BadInput: an unknown role, half a pair, or a folder that cannot be written.
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise BadInput(f"role {unknown[0]!r}", allowed=", ".join(ROLES))
    made = [name for role in roles for name in KeyStore(base / role).make([role])]
    for owner in roles:
        key = KeyStore(base / owner).pair(owner).public
        for reader in roles:
            _share(base / reader / f"{owner}.public", key)
    return made


def _share(path: Path, key: bytes) -> None:
    text = key + b"\n"
    try:
        if path.exists() and path.read_bytes() == text:
            return
        # Complete or not at all: the other side may be reading.
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(text)
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        raise BadInput(f"cannot write keys: {error.strerror}", where=str(path)) from error


def keyfolders(
    base: Annotated[Path, typer.Argument(help="Folder to make one folder a role in.")],
    roles: Annotated[list[str], typer.Argument(help=f"Of {', '.join(ROLES)}.")],
) -> Exit:
    """Make a key folder for each role, holding its own secret key and everybody's public keys."""
    made = make_folders(base, roles)
    kept = [role for role in roles if role not in made]
    for names, what in ((made, "made"), (kept, "kept")):
        if names:
            typer.echo(f"{what}: {', '.join(names)}")
    return Exit.OK


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(keyfolders)
    sys.exit(guarded(lambda: app(standalone_mode=False)))
