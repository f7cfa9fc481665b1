"""``citadel tca``: what orders have cost."""

from __future__ import annotations

import difflib
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence


class PriceSide(StrEnum):
    """Of Freqtrade's pricing."""

    SAME = "same"
    OTHER = "other"


def tca(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Journals, or folders with runs. [default: runs]", show_default=False),
    ] = None,
    *,
    by: Annotated[
        str,
        typer.Option(
            help="What orders are put together by, several with commas: pair, side, size, hour, "
            "algo, strategy, run, order; `all`: everything."
        ),
    ] = "pair,algo",
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Also write this file: .html (a page with a picture of each order), .json "
            "(groups, orders and fills), .csv or .parquet (a row an order). Repeatable."
        ),
    ] = None,
    alone_throttle: Annotated[
        float, typer.Option(help="Freqtrade alone: its `internals.process_throttle_secs`, in s.")
    ] = 5.0,
    alone_timeout: Annotated[
        float, typer.Option(help="Freqtrade alone: its `unfilledtimeout`, in s.")
    ] = 600.0,
    alone_side: Annotated[
        PriceSide, typer.Option(help="Freqtrade alone: its `price_side`.")
    ] = PriceSide.SAME,
    json_: Annotated[bool, typer.Option("--json", help="Print the groups as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print them as Markdown.")] = False,
) -> Exit:
    """Say what orders have cost: against the mid at arrival, and against what else could have been done.

    Read from the journals of micro, so from what its decisions saw. A fill's own mid is the one just before
    it. What rests at arrival, or as Freqtrade alone would leave it, stands in the expected queue of the paper
    venue; no other way moves the market.
    """
    from rich.console import Console  # noqa: PLC0415

    from citadel_micro.offline.tca import tables  # noqa: PLC0415
    from citadel_micro.offline.tca.files import (  # noqa: PLC0415
        check_form,
        journals,
        orders_in,
        write,
    )
    from citadel_micro.offline.tca.groups import grouped  # noqa: PLC0415
    from citadel_micro.offline.tca.order_costs import costs_of  # noqa: PLC0415
    from citadel_micro.offline.tca.other_ways import Pace  # noqa: PLC0415
    from citadel_micro.offline.tca.rows import group_row  # noqa: PLC0415

    names = _names(by)
    for path in out or ():
        check_form(path)
    places = run or [Path("runs")]
    pace = Pace(throttle_s=alone_throttle, timeout_s=alone_timeout, price_side=alone_side.value)
    orders, notes = orders_in(journals(places), pace)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if not orders:
        raise BadInput(
            "no order was given in these runs",
            where=" ".join(map(str, places)),
            mend="name the journal of a run that has traded",
        )
    costs = [costs_of(order) for order in orders]
    rows = [group_row(group, names) for group in grouped(costs, names)]
    for path in out or ():
        write(path, rows, names, costs)
        typer.echo(f"written: {path}", err=True)
    if json_:
        typer.echo(json.dumps(rows, indent=1, allow_nan=False))
    elif markdown:
        typer.echo(tables.markdown(rows, names))
    else:
        Console().print(tables.terminal(rows, names))
        without = sum(one.parts is None for one in costs)
        if without:
            typer.echo(f"{without} of {len(costs)} orders are not compared: no market at arrival")
    return Exit.OK


def _names(text: str) -> Sequence[str]:
    from citadel_micro.offline.tca.groups import BY  # noqa: PLC0415

    names = [] if text == "all" else [each.strip() for each in text.split(",")]
    for name in names:
        if name not in BY:
            near = difflib.get_close_matches(name, BY, 1)
            raise BadInput(
                f"{name!r}" + (f"; did you mean {near[0]}?" if near else ""),
                where="--by",
                allowed=f"{', '.join(BY)}, or all",
            )
    if len(set(names)) < len(names):
        raise BadInput(f"{text!r} names one twice", where="--by", mend="name each once")
    return names
