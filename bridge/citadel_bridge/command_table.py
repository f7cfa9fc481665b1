"""Commands that are imported when they are asked for: a process has no use for the code of all the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping


def add(app: typer.Typer, table: Mapping[str, str], asked: str) -> None:
    """Add commands and groups of commands.

    Args:
        app: to what.
        table: ``module:attribute`` of each by its name; a ``typer.Typer`` is a group.
        asked: the one to be run; empty for all of them.
    """
    for name, place in table.items():
        if asked in ("", name):
            module, _, attribute = place.partition(":")
            found = getattr(import_module(module), attribute)
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=name)
            else:
                app.command(name)(found)
