"""``citadel demo``: the whole system offline, with faults on purpose, and an audit of the books."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from citadel_micro.demo.audit import Audit
    from citadel_micro.demo.run import DemoRun
    from citadel_micro.demo.three_books import ThreeBooks

_ENDED: Final = (Exit.OK, Exit.INTERRUPTED)
"""Exit codes of a process that was told to stop."""
_FRAME_S: Final = 0.25
_FILE_WIDTH: Final = 140
_WIND_DOWN_S: Final = 120.0
"""How long open trades have to close once no new ones are opened."""
_ML_MINUTES: Final = 6.0
"""Training takes time before the first trade."""


def demo(
    *,
    minutes: Annotated[
        float, typer.Option(help="Longest time to trade before winding down.", min=0.2, max=1_440)
    ] = 2.0,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Continue trading when all faults have happened, until Ctrl-C; a second one ends at once.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulated market.", min=0)] = 1,
    ml: Annotated[
        bool, typer.Option("--ml", help="Let a LightGBM model decide (needs the extra ml).")
    ] = False,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Fill orders on paper instead of sending them to the exchange."
        ),
    ] = False,
    futures: Annotated[
        bool,
        typer.Option("--futures", help="Trade USD-M futures, long and short, instead of spot."),
    ] = False,
    run_dir: Annotated[
        Path | None, typer.Option(help="Run folder; default runs/demo-<time>.")
    ] = None,
    json: Json = False,
) -> Exit:
    """Run a simulated exchange, micro and Freqtrade together, offline; at the end compare their books.

    micro trades live on the simulated exchange, over its private protocol, with a key made for the
    run. The run includes an order that the risk gate rejects, one that is canceled after a partial
    fill, a kill -9 of micro while orders are working, an order whose answer is lost, a user stream
    that goes mute, and a cut of all private connections. Exit code 0 only if at least three round
    trips were made and Freqtrade's database, micro's journal and the exchange's ledger agree on every
    one. With --paper the exchange has no account of micro's, and the first two are compared. With
    --futures positions have three times their stake, and the exchange settles funding once, which is
    compared too.
    """
    from citadel_micro.demo.market import FUTURES, SPOT  # noqa: PLC0415
    from citadel_micro.demo.processes import ended_like_ctrl_c  # noqa: PLC0415
    from citadel_micro.demo.report import as_plain  # noqa: PLC0415
    from citadel_micro.demo.run import DemoRun  # noqa: PLC0415

    if futures and (ml or paper):
        other = "--ml" if ml else "--paper"
        raise BadInput(f"--futures and {other} exclude each other", where="citadel demo")
    folder = _made((run_dir or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")).resolve())
    if ml and minutes < _ML_MINUTES:
        minutes = _ML_MINUTES
    console = _console(stderr=json)  # the end only is for programs
    run = DemoRun(
        folder, seed=seed, machine_learning=ml, paper=paper, market=FUTURES if futures else SPOT
    )
    with ended_like_ctrl_c():
        try:
            run.start(lambda text: console.print(f"[dim]{text}[/dim]"))
            finished = _trade(run, console, minutes=minutes, keep=keep)
            codes = run.stop()
        finally:
            run.stop()
    found, third = run.audit(), run.third_book()
    missing, wrong = run.missing(), run.venue.wrong()
    bad = [f"{name} ended with {code}" for name, code in codes.items() if code not in _ENDED]
    if json:
        told = {"run_dir": str(folder), "finished": finished, **as_plain(found, third)}
        print_json({**told, "missing": missing, "wrong": [*wrong, *bad]})
    _print(console, run, found, third)
    if not finished:
        console.print("interrupted: orders working then may differ")
        console.print(f"run folder: {folder}", soft_wrap=True)
        return Exit.INTERRUPTED
    for text in missing:
        console.print(f"[red]did not happen:[/red] {text}")
    for text in wrong:
        console.print(f"[red]must not be:[/red] {text}")
    for text in bad:
        console.print(f"[red]{text}[/red]")
    console.print(f"run folder: {folder}", soft_wrap=True)
    agree = not found.differences and not (third and third.differences)
    ok = agree and not missing and not wrong and not bad and found.round_trips >= run.wanted
    return Exit.OK if ok else Exit.DIFFERENCE


def _made(folder: Path) -> Path:
    """The run folder, created if needed, and empty."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise BadInput(
            f"the run folder cannot be used: {error.strerror}",
            where=str(folder),
            mend="name a writable folder with --run-dir",
        ) from error
    if not empty:
        raise BadInput(
            "the run folder is not empty",
            where=str(folder),
            mend="name another one with --run-dir, or remove it",
        )
    return folder


def audit(
    *,
    database: Annotated[Path, typer.Option(help="Freqtrade's trade database (SQLite file).")],
    journal: Annotated[Path, typer.Option(help="Run folder of micro, with its journals.")],
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="Ledger of the simulated exchange, as a demo leaves it, for a third book."
        ),
    ] = None,
    json: Json = False,
) -> Exit:
    """Compare Freqtrade's books with what micro did. Exit code 0 only if they agree."""
    from citadel_micro.demo.audit import compare, read_deleted, read_freqtrade, read_owners  # noqa: PLC0415
    from citadel_micro.demo.journals import read_account, read_micro  # noqa: PLC0415
    from citadel_micro.demo.ledger import read_ledger  # noqa: PLC0415
    from citadel_micro.demo.market import MARKETS  # noqa: PLC0415
    from citadel_micro.demo.report import (  # noqa: PLC0415
        WIDE,
        as_plain,
        money_tables,
        trades_table,
    )
    from citadel_micro.demo.three_books import compare_ledger  # noqa: PLC0415

    orders, trades = read_freqtrade(database)
    reports = read_micro(journal)
    found = compare(orders, trades, reports, read_owners(database), read_deleted(database))
    third = None
    if ledger is not None:
        told = read_ledger(ledger)
        account = read_account(journal, MARKETS[told.market].venue)
        third = compare_ledger(told, orders, trades, reports, account)
    if json:
        print_json(as_plain(found, third))
        differ = found.differences or (third and third.differences)
        return Exit.DIFFERENCE if differ else Exit.OK
    console = _console()
    console.print(trades_table(found, third, wide=console.width >= WIDE))
    for table in money_tables(third):
        console.print(table)
    _verdict(console, found, third)
    differ = found.differences or (third and third.differences)
    return Exit.DIFFERENCE if differ else Exit.OK


def _console(*, stderr: bool = False) -> Console:
    """A console; without a terminal, one wide enough for the tables."""
    from rich.console import Console  # noqa: PLC0415 - commands import what they need when invoked

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(width=_FILE_WIDTH, stderr=stderr)


def _trade(run: DemoRun, console: Console, *, minutes: float, keep: bool) -> bool:
    """Show the run until every fault has happened (or time is up), then until it is flat.

    With ``keep`` it goes on until the first Ctrl-C. Returns False when it was interrupted.
    """
    from rich.live import Live  # noqa: PLC0415

    from citadel_micro.demo.processes import Terminated  # noqa: PLC0415
    from citadel_micro.demo.view import picture  # noqa: PLC0415

    live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        (live.console if live else console).print(f"[dim]{text}[/dim]")

    with run.watching():
        if live is not None:
            live.start()
        try:
            deadline = time.monotonic() + minutes * 60
            flat_by = 0.0
            while True:
                try:
                    run.step(say)
                    if live is not None:
                        live.update(
                            picture(
                                run.state,
                                title=f"Stoic Citadel, trading {run.way} on a synthetic market",
                                todo=run.missing(),
                                processes=[(child.name, child.status) for child in run.children],
                                round_trips=run.round_trips,
                                height=console.size.height,
                            )
                        )
                    time.sleep(_FRAME_S)
                    if not run.deciding:  # a slow start takes nothing away from the story
                        deadline = time.monotonic() + minutes * 60
                    over = not keep and (run.told or time.monotonic() > deadline)
                except KeyboardInterrupt as asked:
                    if not keep or flat_by or isinstance(asked, Terminated):
                        raise
                    over = True
                now = time.monotonic()
                if over and not flat_by:
                    say("no new entries; waiting until every trade is closed")
                    run.stop_entries()
                    flat_by = now + _WIND_DOWN_S
                if flat_by and (run.flat or now > flat_by):
                    return True
        except KeyboardInterrupt:
            say("interrupted; stopping")
            return False
        finally:
            if live is not None:
                live.stop()


def _print(console: Console, run: DemoRun, found: Audit, third: ThreeBooks | None) -> None:
    from citadel_micro.demo.report import tables  # noqa: PLC0415

    for table in tables(run, found, third, width=console.width):
        console.print(table)
    _verdict(console, found, third)


def _verdict(console: Console, found: Audit, third: ThreeBooks | None) -> None:
    if found.others:
        console.print(
            f"{found.others} filled orders of other owners are not in these books, which are "
            f"those of {', '.join(found.owners)}"
        )
    if found.deleted:
        console.print(
            f"{len(found.deleted)} filled orders are of trades that were deleted in Freqtrade"
        )
    for name in found.flattened:
        console.print(f"orphan {name} was sold again; Freqtrade has no row of it")
    for text in (*found.differences, *(third.differences if third else ())):
        console.print(f"[red]differs:[/red] {text}")
    if found.differences or (third and third.differences):
        return
    counts = f"{found.orders} orders, {found.round_trips} round trips"
    if third is None:
        console.print(f"[green]Freqtrade's books equal what micro did:[/green] {counts}")
    else:
        console.print(
            "[green]Three books agree to the last unit, Freqtrade's database, micro's journal and the "
            f"exchange's ledger:[/green] {counts}, {third.fills} fills at the exchange",
            soft_wrap=True,
        )
