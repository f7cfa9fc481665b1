"""``citadel work``: one parent order on a capture, printed as one JSON object."""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.params import read_param
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.journal.journal import Journal


def work(
    *,
    capture: Annotated[Path, typer.Option(help="Recorded traffic, .jsonl.gz or .jsonl.zst.")],
    venue: Annotated[str, typer.Option(help="Venue that it was recorded from.")],
    symbol: Annotated[str, typer.Option(help="Unified: BTC/USDT, perpetuals BTC/USDT:USDT.")],
    side: Annotated[str, typer.Option(help="buy or sell.")],
    quantity: Annotated[str, typer.Option(help="Base units.")],
    algo: Annotated[str, typer.Option(help="Execution algorithm.")] = "chase_limit",
    param: Annotated[
        list[str] | None, typer.Option(help="Parameter of it, name=value; repeatable.")
    ] = None,
    limit_price: Annotated[str | None, typer.Option(help="Worst acceptable price.")] = None,
    start_after: Annotated[
        float, typer.Option(help="Seconds after the first frame.", min=0, max=1e9)
    ] = 0.0,
    instruments: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with ticks, lots and minimums.")
    ] = None,
    queue: Annotated[
        str, typer.Option(help="Queue model: pessimistic, expected or optimistic.")
    ] = "expected",
    seed: Annotated[int, typer.Option(help="Seed of the latencies.", min=0)] = 1,
    journal: Annotated[
        Path | None, typer.Option(help="Also write the run's journal to this new file.")
    ] = None,
    cache: Annotated[
        bool, typer.Option(help="Keep the capture's events for the next run, see `citadel cache`.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a summary.")
    ] = False,
) -> Exit:
    """Work one parent order offline on a capture, at full speed, and print what happened.

    The same input gives the same bytes on standard output. Frames per second go to standard error.
    Ends 0 however the order ended, but 3 when the risk gate rejected it.
    """
    from citadel_micro.core.algos import ALGORITHMS  # noqa: PLC0415 - as below
    from citadel_micro.offline.prepared_cache import usual_folder  # noqa: PLC0415 - as below
    from citadel_micro.offline.work import WorkOrder  # noqa: PLC0415 - commands import when invoked
    from citadel_micro.offline.work import work as run  # noqa: PLC0415

    if algo in ALGORITHMS and ALGORITHMS[algo].traits.held:
        raise BadInput(
            "a stop only reduces a position, and here there is none",
            where="--algo",
            allowed=", ".join(n for n, kind in ALGORITHMS.items() if not kind.traits.held),
        )
    order = WorkOrder(
        capture=capture,
        venue=venue,
        symbol=symbol,
        side=cast('Literal["buy", "sell"]', _one_of("--side", side, ("buy", "sell"))),
        quantity=_positive("--quantity", quantity),
        algo=algo,
        params=_params(param or []),
        limit_price=None if limit_price is None else _positive("--limit-price", limit_price),
        start_after_s=start_after,
        instruments=instruments,
        queue_model=cast(
            'Literal["pessimistic", "expected", "optimistic"]',
            _one_of("--queue", queue, ("pessimistic", "expected", "optimistic")),
        ),
        seed=seed,
        cache=usual_folder() if cache else None,
    )
    written: list[Journal] = []

    def open_journal(config: EngineConfig, instrument: Instrument, now_ns: int) -> Journal:
        from citadel_micro.shell.journal.journal import new_journal  # noqa: PLC0415

        if journal is None:
            raise AssertionError  # only called when there is one
        key = (instrument.venue, instrument.symbol)
        written.append(new_journal(journal, config, {key: instrument}, now_ns))
        return written[0]

    began = [time.perf_counter()]

    def on_ready() -> None:
        began[0] = time.perf_counter()

    try:
        worked = run(order, None if journal is None else open_journal, on_ready)
    finally:
        for each in written:
            each.sync()
            each.close()
    seconds = time.perf_counter() - began[0]
    rate = worked.frames / seconds
    how = " of a prepared capture" if worked.prepared else ""
    typer.echo(f"{worked.frames} frames{how} in {seconds:.2f} s, {rate:,.0f} frames/s", err=True)
    for note in filter(None, (worked.doubt, worked.note)):
        typer.echo(f"note: {note}", err=True)
    outcome = worked.outcome
    if as_json:
        sys.stdout.write(json.dumps(outcome, indent=1) + "\n")
    else:
        _summary(outcome)
    return Exit.REFUSED if outcome["status"] == "rejected" else Exit.OK


def _summary(outcome: dict[str, object]) -> None:
    parts = outcome["shortfall_parts_bps"]
    told = (outcome["status"], outcome["reason_code"], outcome["reason"])
    rows = [
        ("status", " ".join(filter(None, map(str, told)))),
        ("filled", f"{outcome['filled']} of {outcome['target']}"),
        ("average", f"{outcome['average_price']} (arrival mid {outcome['arrival_mid']})"),
        ("fees", json.dumps(outcome["fees"])),
        ("maker share", str(outcome["maker_share"])),
        ("shortfall", f"{outcome['implementation_shortfall_bps']} bps"),
        *(
            (f"  {name}", f"{value} bps")
            for name, value in cast("dict[str, float]", parts or {}).items()
        ),
        ("children", str(len(cast("list[object]", outcome["children"])))),
    ]
    for name, value in rows:
        typer.echo(f"{name:<12} {value}")


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise BadInput(f"{value!r}", where=option, allowed=", ".join(allowed))
    return value


def _positive(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value <= 0:
        raise BadInput(f"{text!r}", where=option, allowed="a finite number greater than 0")
    return value


def _params(texts: list[str]) -> tuple[tuple[str, Value], ...]:
    """All parameters; a name may be given once, since it would be ambiguous."""
    from citadel_micro.core.algos import listed  # noqa: PLC0415 - commands import when invoked

    found: dict[str, Value] = {}
    for text in texts:
        name, value = read_param(text, "--param")
        if name in found:
            raise BadInput(f"{name} is given twice", where="--param", mend="give it once")
        found[name] = listed(name, value)
    return tuple(found.items())
