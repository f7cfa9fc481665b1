"""``citadel alerts``: try whether alerts arrive."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput, PeerUnavailable

alerts = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Messages to people when something is wrong."
)


@alerts.command("test")
def try_out(
    *,
    config: Annotated[Path | None, typer.Option(help="TOML file of micro.")] = None,
    urls: Annotated[
        Path | None, typer.Option(help="File of Apprise URLs, instead of the configuration's.")
    ] = None,
    json: Json = False,
) -> Exit:
    """Send one message to every service of `alerts.urls_file`, and say which took it.

    Ends 4 when one did not.
    """
    from citadel_micro.shell.alerts.rules import Alert  # noqa: PLC0415 - imported when invoked
    from citadel_micro.shell.alerts.sender import Sender  # noqa: PLC0415
    from citadel_micro.shell.config.config import load  # noqa: PLC0415

    found = urls if urls is not None else load(config).alerts.urls_file
    if found is None:
        raise BadInput(
            "no file of URLs is configured",
            where="alerts.urls_file",
            mend="set it in the configuration, or name a file with --urls",
        )
    sender = Sender(found)
    missed = sender.send(
        Alert(severity="info", title="Stoic Citadel: a test", body="Alerts arrive here.")
    )
    if json:
        print_json({"services": len(sender), "missed": missed})
    if missed:
        raise PeerUnavailable(
            f"not taken by: {', '.join(missed)}; check token, address and network"
        )
    if not json:
        typer.echo(f"sent to {len(sender)} services")
    return Exit.OK
