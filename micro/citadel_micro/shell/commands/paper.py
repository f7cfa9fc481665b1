"""``citadel paper``: fitting the paper venue to one's own recordings."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

paper = typer.Typer(no_args_is_help=True, help="The paper venue.")
FEWEST = 20
"""Acknowledgements without which a distribution is none."""


@paper.callback()
def _group() -> None:
    """The paper venue, like your own connection."""


@paper.command("fit-latency")
def fit_latency(
    path: Annotated[Path, typer.Argument(help="A journal, or the folder of a run.")],
    *,
    venue: Annotated[str | None, typer.Option(help="Venue, where there are several.")] = None,
    points: Annotated[int, typer.Option(help="How many quantiles.", min=2, max=1_000)] = 21,
    json: Json = False,
) -> Exit:
    """Print the paper venue's latency as your own orders had it: lines for the configuration.

    From the time of each order's decision to that of its acknowledgement, in the journals of a live run.
    """
    from citadel_micro.shell.journal.round_trips import quantiles_ms, round_trips  # noqa: PLC0415

    found = round_trips(path)
    if venue is None and len(found) > 1:
        raise BadInput(
            f"it holds orders of {len(found)} venues",
            where=str(path),
            allowed=", ".join(sorted(found)),
            mend="name one with --venue",
        )
    name = venue or next(iter(found), "")
    times = found.get(name, [])
    if len(times) < FEWEST:
        raise BadInput(
            f"it holds {len(times)} acknowledged orders{f' of {name}' if name else ''}",
            where=str(path),
            allowed=f"at least {FEWEST}",
            mend="record more orders, or use --venue" if found else "give the journal of a run",
        )
    values = quantiles_ms(times, points)
    middle, last = quantiles_ms(times, 101)[50], quantiles_ms(times, 101)[99]
    if json:
        told = {"venue": name, "orders": len(times), "median_ms": middle, "p99_ms": last}
        print_json({**told, "latency_quantiles_ms": values})
        return Exit.OK
    typer.echo(
        f"{len(times)} orders of {name}: median {middle:.3f} ms, p99 {last:.3f} ms", err=True
    )
    typer.echo("[paper]")
    typer.echo(f"latency_quantiles_ms = [{', '.join(f'{value:g}' for value in values)}]")
    return Exit.OK
