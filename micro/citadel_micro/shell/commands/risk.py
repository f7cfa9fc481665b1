"""``citadel risk``: the limits in effect, why an order passed or did not, and what other limits would do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from citadel_micro.core.risk.types import CheckResult
    from citadel_micro.shell.journal.gate_replay import Judged

risk = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The risk gate: limits in effect, explanations, and what other limits would have done.",
)

RunDir = Annotated[Path, typer.Option(help="Run folder of the micro.")]


@risk.command("show")
def show(*, run_dir: RunDir = Path("runs/micro"), json: Json = False) -> Exit:
    """Show a running micro's limits, how much of them is used, its trips, and the limits' fingerprint."""
    from citadel_micro.shell.ops.control import RISK, Request, ask  # noqa: PLC0415 - when invoked

    answer = ask(run_dir, Request(RISK))
    if not answer["ok"]:
        raise Refused(answer["error"])
    if json:
        print_json(answer)
        return Exit.OK
    typer.echo(
        f"micro {answer['instance']}, run {answer['run']}: {answer['risk']}; "
        f"limits {answer['fingerprint']}"
    )
    for each in answer["trips"]:
        typer.echo(f"{each['trip_id']}  {each['state']}  {each['scope']}  {each['code']}")
    typer.echo(f"used, in {answer['currency']} or orders:")
    for each in answer["used"]:
        value = "cannot be valued" if each["value"] is None else _short(each["value"])
        typer.echo(f"  {each['name']}: {value} of {each['limit']}")
    for name, value in answer["limits"].items():
        typer.echo(f"{name} = {value}")
    return Exit.OK


@risk.command("reload")
def reload(
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")],
    run_dir: RunDir = Path("runs/micro"),
    json: Json = False,
) -> Exit:
    """Apply the `[risk]` table of the configuration as it is now; a broken file changes nothing.

    The same as `citadel operator limits`. Ends 3 when it was refused.
    """
    from citadel_micro.shell.ops.control import Request, ask  # noqa: PLC0415 - when invoked

    if not reason.strip():
        raise BadInput("reload needs a reason", where="--reason", mend='--reason "why"')
    answer = ask(run_dir, Request("limits", reason=reason))
    if json:
        print_json(answer)
    if not answer["ok"]:
        raise Refused(answer["error"])
    if not json:
        typer.echo(f"limits {answer['limits']}")
    return Exit.OK


@risk.command("explain")
def explain(
    order: Annotated[str, typer.Argument(help="Id of the signal.")],
    *,
    run_dir: RunDir = Path("runs/micro"),
    journal: Annotated[
        Path | None, typer.Option(help="Look in this journal only, not in all of the run folder.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every judgement, not the admission and the last child's only."),
    ] = False,
    json: Json = False,
) -> Exit:
    """Show every check of an order with its value, limit and headroom, by replaying its journal."""
    from citadel_micro.shell.journal import gate_replay  # noqa: PLC0415 - when invoked
    from citadel_micro.shell.journal.parts import is_earlier  # noqa: PLC0415

    runs = [path for path in run_dir.glob("journal-*") if not is_earlier(path)]
    paths = [journal] if journal is not None else sorted(runs, reverse=True)
    for path in paths:
        found = gate_replay.explain(path, order)
        if found:
            break
    else:
        raise BadInput(
            f"no journal has judged an order {order!r}",
            where=str(journal or run_dir),
            mend="name its folder with --run-dir; an order refused before the gate has its reason "
            "in its report",
        )
    shown = found if every or len(found) == 1 else [found[0], found[-1]]
    if json:
        print_json(
            {"order": order, "journal": str(path), "judged": [_plain(each) for each in shown]}
        )
        return Exit.OK
    typer.echo(f"{order} in {path}: judged {len(found)} times")
    for each in shown:
        _print(each)
    return Exit.OK


@risk.command("what-if")
def what_if(
    limits: Annotated[
        Path, typer.Argument(help="TOML file with a table `risk`: the limits to judge by.")
    ],
    journal: Annotated[Path, typer.Argument(help="Journal of a run.")],
    *,
    json: Json = False,
) -> Exit:
    """Judge every order of a recorded run under other limits, and show what they would have changed.

    The recorded course is kept: each order is judged twice, in the markets and beside the orders of then.
    """
    from citadel_micro.core.model.risk_limits import fingerprint  # noqa: PLC0415 - when invoked
    from citadel_micro.shell.config.config import load  # noqa: PLC0415
    from citadel_micro.shell.journal import gate_replay  # noqa: PLC0415

    others = load(limits, environment={}).limits()
    found = gate_replay.what_if(journal, others)
    if found.ending:
        typer.echo(f"note: {journal}: {found.ending}", err=True)
    if json:
        print_json(
            {
                "limits": fingerprint(others),
                "judged": found.judged,
                "denials": found.then,
                "denials_instead": found.instead,
                "denied": found.denied,
                "admitted": found.admitted,
                "sized": found.sized,
            }
        )
        return Exit.OK
    typer.echo(f"{found.judged} judgements; limits {fingerprint(others)}")
    for code in dict.fromkeys((*found.then, *found.instead)):
        typer.echo(
            f"  {code}: {found.then.get(code, 0)} then, {found.instead.get(code, 0)} instead"
        )
    for name, code in found.denied.items():
        typer.echo(f"{name} would be denied: {code}")
    for name, code in found.admitted.items():
        typer.echo(f"{name} would be admitted, then {code}")
    for name, (asked, given, instead) in found.sized.items():
        typer.echo(f"{name} would be given {instead} of {asked} lots, then {given}")
    return Exit.OK


def _print(judged: Judged) -> None:
    from citadel_micro.core.risk.sizing import given_nothing  # noqa: PLC0415 - when invoked

    request, verdict = judged.request, judged.verdict
    what = "admission" if request.scope == "parent" else f"child at {request.price_ticks} ticks"
    outcome = "passes" if verdict.ok else f"denied: {verdict.code}, {verdict.reason}"
    if given_nothing(request):
        outcome = "not sent, its size is nothing"
    typer.echo(f"{what}, {request.side} {request.quantity_lots} lots: {outcome}")
    if request.sizing:
        typer.echo(f"  sized: {request.sizing}")
    for row in verdict.checks:
        mark = " " if row.ok else "✗"
        figures = "" if row.value is None else f" {_short(row.value)}"
        if row.value is not None and row.limit is not None:
            figures += f" of {_short(row.limit)}"
        room = _headroom(row)
        figures += "" if room is None else f", headroom {_short(room)}"
        text = f"  {row.text}" if row.text else ""
        typer.echo(f"{mark} {row.number:>2} {row.code}{figures}{text}")


def _plain(judged: Judged) -> dict[str, Any]:
    request, verdict = judged.request, judged.verdict
    return {
        "now_ns": judged.now_ns,
        "scope": request.scope,
        "side": request.side,
        "quantity_lots": request.quantity_lots,
        "price_ticks": request.price_ticks,
        "ok": verdict.ok,
        "code": verdict.code,
        "reason": verdict.reason,
        "permitted_lots": verdict.permitted_lots,
        "asked_lots": request.asked_lots or request.quantity_lots,
        "sizing": request.sizing,
        "checks": [
            {
                "row": row.number,
                "code": row.code,
                "ok": row.ok,
                "value": _text(row.value),
                "limit": _text(row.limit),
                "headroom": _text(_headroom(row)),
                "text": row.text,
            }
            for row in verdict.checks
        ],
    }


def _headroom(row: CheckResult) -> Decimal | None:
    """Limit less value; None where one of them is no number, or more is better."""
    from citadel_proto.reason_codes import RiskCode as Code  # noqa: PLC0415 - when invoked

    if row.code in (Code.BELOW_MIN, Code.LIQUIDATION_DISTANCE, Code.SELF_CROSS):
        return None
    if row.code in (Code.BAD_TICK, Code.BAD_LOT):
        return None
    if isinstance(row.value, str) or isinstance(row.limit, str):
        return None
    if row.value is None or row.limit is None:
        return None
    return Decimal(str(row.limit)) - Decimal(str(row.value))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _short(value: object) -> str:
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except ArithmeticError:
            return str(value)
    if isinstance(value, float | Decimal):
        return f"{value:.10g}"
    return str(value)
