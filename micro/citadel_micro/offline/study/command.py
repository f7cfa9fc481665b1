"""``citadel study``: many orders on recordings, plan beside plan."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json  # noqa: TC001 - typer reads the annotations
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.offline.study.tables import Line
    from citadel_micro.offline.study.tape import Tape

MOST_FEE_BPS: Final = 1_000
"""A tenth of the price. No venue is near it."""


def study(
    recording: Annotated[
        list[str],
        typer.Argument(
            help="path=venue,symbol[,size…]: a capture, or a CSV table of messages. Sizes in the "
            "units of its books; without any: 0.1, 1 and 10 times the usual best size."
        ),
    ],
    *,
    plan: Annotated[
        list[str] | None,
        typer.Option(help="One more: name=algo:param=value,param=value. Repeatable."),
    ] = None,
    only: Annotated[
        bool, typer.Option("--only", help="Leave out the standard plans: cross, join, chase, auto.")
    ] = False,
    starts: Annotated[int, typer.Option(help="Orders of each kind.", min=2, max=10_000)] = 40,
    horizon: Annotated[
        float, typer.Option(help="Seconds an order may take.", min=1, max=86_400)
    ] = 66.0,
    queue: Annotated[
        str, typer.Option(help="Queue model: pessimistic, expected or optimistic.")
    ] = "expected",
    maker_bps: Annotated[
        float | None, typer.Option(help="Maker fee instead of the default.")
    ] = None,
    taker_bps: Annotated[
        float | None, typer.Option(help="Taker fee instead of the default.")
    ] = None,
    instruments: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with ticks, lots and minimums.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the latencies.", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="Processes at once; 0: one a processor.", min=0)] = 0,
    sides: Annotated[bool, typer.Option("--sides", help="A line for each side too.")] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Also write tables and plots to this Markdown file, below its marked line."
        ),
    ] = None,
    cache: Annotated[
        bool, typer.Option(help="Keep captures' events for the next run, see `citadel cache`.")
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json-file", help="Also write every line to this file.")
    ] = None,
    json_: Json = False,
) -> Exit:
    """Work the same orders by several plans on recordings, and compare what they cost.

    Cost is implementation shortfall with fees in bps of the arrival mid; what stays unfilled is charged as
    a crossing at the end. Every order has the market to itself. The same input gives the same table.
    Ends 3 when every order was rejected.
    """
    from citadel_micro.offline.prepared_cache import usual_folder  # noqa: PLC0415
    from citadel_micro.offline.study.parents import Ask, Settings, run  # noqa: PLC0415
    from citadel_micro.offline.study.plans import parse, standard  # noqa: PLC0415
    from citadel_micro.offline.study.tables import lines, markdown  # noqa: PLC0415
    from citadel_micro.offline.study.tape import load  # noqa: PLC0415

    if queue not in {"pessimistic", "expected", "optimistic"}:
        raise BadInput(f"{queue!r}", where="--queue", allowed="pessimistic, expected, optimistic")
    plans = [*(() if only else standard()), *(parse(text) for text in plan or ())]
    names = [each.name for each in plans]
    if not plans or len(set(names)) < len(names):
        raise BadInput(f"plans {names}", where="--plan", allowed="at least one, names given once")
    _check_fees(maker_bps, taker_bps)
    _check_places(page, json_file)
    settings = Settings(
        starts=starts,
        horizon_ns=int(horizon * 1e9),
        queue_model=cast('Literal["pessimistic", "expected", "optimistic"]', queue),
        seed=seed,
        jobs=jobs or os.cpu_count() or 1,
    )
    wanted = [_recording(text) for text in recording]
    found = []
    notes = [
        f"Queue model `{queue}`, {starts} starts, seed {seed}; at most {horizon:g} s an order.",
        "",
    ]
    notes += [f"- `{each.name}`: {each.text}" for each in plans]
    notes.append("")
    for file, venue, symbol, sizes in wanted:
        began = time.perf_counter()
        read = load(file, venue, symbol, instruments, cache=usual_folder() if cache else None)
        tape = _with_fees(read, maker_bps, taker_bps)
        if not tape.trades:
            typer.echo(f"{tape.name} has no trades: what rests is never filled", err=True)
        asks = [
            Ask(side, size, each)
            for side in ("buy", "sell")
            for size in sizes or usual_sizes(tape)
            for each in plans
        ]
        rows, every_ns = run(tape, asks, settings)
        for code, count in Counter(r.reason for r in rows if r.status == "rejected").items():
            typer.echo(f"{tape.name}: {count} orders were rejected: {code}", err=True)
        lags = math.ceil(settings.horizon_ns / every_ns) - 1
        found += lines(tape.name, rows, lags)
        note = f"{tape.name}: {len(rows)} orders, starts {every_ns / 1e9:.1f} s apart, {lags} lags"
        rules = tape.instrument
        notes.append(
            f"- {note}; maker {float(rules.maker_fee) * 1e4:g} bps, taker {float(rules.taker_fee) * 1e4:g}"
        )
        typer.echo(f"{note}, in {time.perf_counter() - began:.0f} s", err=True)
    plain = [line.plain() for line in found]
    if json_:
        typer.echo(json.dumps(plain))
    else:
        typer.echo(markdown(found, sides=False))
        if sides:
            typer.echo(markdown(found, sides=True))
    _write(page, json_file, found, notes, plain)
    return Exit.OK if found else Exit.REFUSED


def _write(
    page: Path | None,
    json_file: Path | None,
    found: Sequence[Line],
    notes: Sequence[str],
    plain: Sequence[dict[str, Any]],
) -> None:
    from citadel_micro.offline.study.page import write  # noqa: PLC0415 - commands import when invoked

    file = page
    try:
        for path in [] if page is None else write(page, found, notes):
            typer.echo(f"written: {path}", err=True)
        if json_file is not None:
            file = json_file
            json_file.write_text(json.dumps(plain, indent=1) + "\n")
    except OSError as error:  # a full disk names no file
        where = str(error.filename or file)
        raise BadInput(f"cannot be written: {error.strerror}", where=where) from None


def _check_places(page: Path | None, json_file: Path | None) -> None:
    """Before the study rather than after it: whether its files can be written."""
    for option, file in (("--page", page), ("--json-file", json_file)):
        where = f"{option} {file}"
        if file is not None and file.is_dir():
            raise BadInput("it is a folder", where=where, mend="name a file in it")
        if file is not None and not file.parent.is_dir():
            text = "its folder does not exist"
            raise BadInput(text, where=where, mend="make it, or name another")
    if page is not None and page.exists():
        try:
            page.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            text = "it is no text, and what is above its marked line would be kept"
            raise BadInput(text, where=f"--page {page}") from None


def _check_fees(maker_bps: float | None, taker_bps: float | None) -> None:
    for option, fee in (("--maker-bps", maker_bps), ("--taker-bps", taker_bps)):
        if fee is not None and not -MOST_FEE_BPS <= fee <= MOST_FEE_BPS:
            allowed = f"a number from -{MOST_FEE_BPS} to {MOST_FEE_BPS}"
            raise BadInput(f"{fee:g}", where=option, allowed=allowed)


def _recording(text: str) -> tuple[Path, str, str, tuple[Decimal, ...]]:
    path, found, rest = text.partition("=")
    venue, _, rest = rest.partition(",")
    symbol, *sizes = rest.split(",")
    if not found or not venue or not symbol:
        raise BadInput(f"{text!r}", where="RECORDING", allowed="path=venue,symbol[,size…]")
    if not Path(path).is_file():
        raise BadInput("there is no such file", where=path)
    try:
        numbers = tuple(Decimal(size) for size in sizes)
    except InvalidOperation:
        numbers = (Decimal(0),)
    if any(not number.is_finite() or number <= 0 for number in numbers):
        raise BadInput(f"sizes {', '.join(sizes)}", where=path, allowed="numbers greater than 0")
    return Path(path), venue, symbol, numbers


def _with_fees(tape: Tape, maker_bps: float | None, taker_bps: float | None) -> Tape:
    from dataclasses import replace  # noqa: PLC0415

    rules = tape.instrument
    maker = rules.maker_fee if maker_bps is None else Decimal(str(maker_bps)) / 10_000
    taker = rules.taker_fee if taker_bps is None else Decimal(str(taker_bps)) / 10_000
    return replace(tape, instrument=replace(rules, maker_fee=maker, taker_fee=taker))


def usual_sizes(tape: Tape) -> tuple[Decimal, ...]:
    """0.1, 1 and 10 times the median best size of a sample, at least one lot and the minimum."""
    from citadel_micro.offline.study.tape import best_sizes  # noqa: PLC0415

    rules = tape.instrument
    seen = sorted(best_sizes(tape))
    if not seen:
        raise BadInput("its book never has two sides", where=tape.name)
    median = seen[len(seen) // 2]
    least = max(1, rules.min_lots)
    lots = [max(least, round(median * times / rules.lot_float)) for times in (0.1, 1, 10)]
    return tuple(dict.fromkeys(rules.quantity(each) for each in lots))
