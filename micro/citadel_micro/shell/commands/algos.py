"""``citadel algos``: the execution algorithms, and their parameters with units, ranges and defaults."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Algorithm, Param

UNITS: Final = {
    "_bps": "basis points",
    "_ms": "milliseconds",
    "_ticks": "ticks",
    "_pct": "percent",
}
"""By the end of a parameter's name."""


def algos(
    name: Annotated[str | None, typer.Argument(help="One of them; all by default.")] = None,
    *,
    as_json: Json = False,
) -> Exit:
    """Print the execution algorithms and their parameters.

    A signal names one with its parameters, `[algorithms.NAME]` of micro's configuration changes the
    defaults, and a strategy of Freqtrade says it with `self.micro.execution(pair, algo=…, …)`.
    """
    from citadel_micro.core.algos import ALGORITHMS, algorithm  # noqa: PLC0415 - when invoked

    chosen = ALGORITHMS if name is None else {name: algorithm(name)}
    if as_json:
        rows = {each: _object(kind) for each, kind in chosen.items()}
        typer.echo(json.dumps(rows, indent=1))
        return Exit.OK
    for each, kind in chosen.items():
        typer.echo(f"{each}: {about(kind)}".replace("``", ""))
        if name is not None or len(chosen) == 1:
            for param in kind.params:
                typer.echo(_line(param))
    if name is None:
        typer.echo("\n`citadel algos NAME` lists the parameters of one.")
    return Exit.OK


def about(kind: type[Algorithm]) -> str:
    """What it does, in a line."""
    text = kind.__doc__ or ""
    if text.startswith("See the module"):
        text = (sys.modules[kind.__module__].__doc__ or "").partition(": ")[2]
    first = " ".join(text.split("\n\n")[0].split())
    return first[:1].lower() + first[1:]


def unit(param: Param) -> str:
    """Its unit, which its name ends with; empty where it has none."""
    return next((text for end, text in UNITS.items() if param.name.endswith(end)), "")


def _line(param: Param) -> str:
    value = param.default
    default = str(value).lower() if isinstance(value, bool) else str(value)
    what = f"{param.text}, {unit(param)}" if unit(param) else param.text
    source = f" [{param.source}]" if param.source else ""
    return f"  {param.name:<20} {default or 'none':<10} {what} ({param.allowed}){source}"


def _object(kind: type[Algorithm]) -> dict[str, Any]:
    return {
        "about": about(kind),
        "kind": "stop" if kind.traits.held else "order",
        "params": [
            {
                "name": param.name,
                "default": param.default,
                "unit": unit(param),
                "allowed": param.allowed,
                "meaning": param.text,
                "source": param.source,
            }
            for param in kind.params
        ],
    }
