"""``citadel doctor``: whether this machine and a configuration are fit, before micro is started."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit  # noqa: TC001 - typer reads the annotations
from citadel_bridge.json_output import JsonLines  # noqa: TC001 - likewise


def doctor(
    *,
    config: Annotated[Path | None, typer.Option(help="TOML file of micro.")] = None,
    json: JsonLines = False,
) -> Exit:
    """Check versions, disk, addresses and whether the venues can be reached, each with a remedy.

    Ends 3 when something keeps micro from running. The account itself: `citadel live check`.
    """
    import asyncio  # noqa: PLC0415 - commands import what they need when invoked
    import os  # noqa: PLC0415

    from citadel_micro.preflight.command import exit_of, show, show_json  # noqa: PLC0415
    from citadel_micro.preflight.machine_checks import machine_checks  # noqa: PLC0415
    from citadel_micro.shell.config.config import load  # noqa: PLC0415

    found = asyncio.run(machine_checks(load(config, environment=dict(os.environ))))
    for each in found:
        (show_json if json else show)(each)
    return exit_of(found, strict=False, quiet=json)
