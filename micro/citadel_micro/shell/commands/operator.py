"""``citadel operator``: pause, halt, kill, reset, cancel and flatten a running micro."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput, Refused


def operator(
    action: Annotated[
        str,
        typer.Argument(
            help="status, pause (exits only), halt (cancels only), kill, reset, cancel_all, "
            "flatten (pause, then close all positions), limits (apply the configuration's [risk] as it is "
            "now), shutdown."
        ),
    ],
    *,
    scope: Annotated[
        str,
        typer.Option(
            help="global, venue:ID, symbol:VENUE:SYMBOL or strategy:NAME. Default: global."
        ),
    ] = "",
    trip: Annotated[str, typer.Option(help="Which trip to reset, as status shows it.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "",
    through_halt: Annotated[
        bool,
        typer.Option(
            "--through-halt",
            help="With flatten: even under a halt. Nothing passes the kill switch.",
        ),
    ] = False,
    keep_trading: Annotated[
        bool,
        typer.Option(
            "--keep-trading",
            help="With flatten: without the pause that stops entries until it is reset.",
        ),
    ] = False,
    run_dir: Annotated[Path, typer.Option(help="Run folder of the micro.")] = Path("runs/micro"),
    json: Json = False,
) -> Exit:
    """Send a command to the micro that runs in a folder, and print the state it is in then.

    Works for the user who runs micro, on the same machine. Ends 3 when the command was refused.
    """
    from citadel_micro.shell.ops.control import ACTIONS, Request, ask  # noqa: PLC0415 - when invoked

    if action not in ACTIONS:
        raise BadInput(
            f"no action {action!r}", where="citadel operator", allowed=", ".join(ACTIONS)
        )
    if action != "status" and not reason.strip():
        raise BadInput(f"{action} needs a reason", where="--reason", mend='--reason "why"')
    if through_halt and action != "flatten":
        raise BadInput("--through-halt is for flatten only", where="citadel operator")
    if keep_trading and action != "flatten":
        raise BadInput("--keep-trading is for flatten only", where="citadel operator")
    answer = ask(run_dir, Request(action, scope, trip, reason, through_halt, keep_trading))
    if json:
        print_json(answer)
    else:
        typer.echo(f"micro {answer['instance']}, run {answer['run']}: {answer['risk']}")
        typer.echo(f"open parent orders: {answer['open_parents']}")
        for each in answer["trips"]:
            typer.echo(
                f"{each['trip_id']}  {each['state']}  {each['scope']}  {each['code']}: "
                f"{each['reason']}  (reset: {each['reset']})"
            )
        for text in answer["reasons"]:
            typer.echo(f"unhealthy: {text}")
    if not answer["ok"]:
        raise Refused(answer["error"])
    return Exit.OK
