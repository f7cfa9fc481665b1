"""``citadel demo``: the whole system offline, with three faults, and the proof that books agree."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citadel_bridge.exit_codes import Exit
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from citadel_micro.demo.audit import Audit
    from citadel_micro.demo.run import DemoRun

_ENDED: Final = (Exit.OK, Exit.INTERRUPTED)
"""What a process that was told to stop may end with."""
_FRAME_S: Final = 0.25
_FILE_WIDTH: Final = 140
_WIND_DOWN_S: Final = 45.0
"""How long open trades have to close once no new ones are opened."""
_ML_MINUTES: Final = 6.0
"""Training takes its time before the first trade."""


def demo(
    *,
    minutes: Annotated[
        float, typer.Option(help="Longest time to trade before winding down.", min=0.2, max=1_440)
    ] = 2.0,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Go on trading when the story is told, until Ctrl-C; a second one ends at once.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulated market.", min=0)] = 1,
    ml: Annotated[
        bool, typer.Option("--ml", help="Let a LightGBM model decide (needs the extra ml).")
    ] = False,
    run_dir: Annotated[
        Path | None, typer.Option(help="Run folder; default runs/demo-<time>.")
    ] = None,
) -> Exit:
    """Run simulator, micro and Freqtrade together, offline, and compare their books at the end.

    The run includes an order that the risk gate refuses, one that fills in part and is cancelled,
    and a kill -9 of micro with orders at work. Exit code 0 only if at least three round trips were
    made and both sides agree on every one.
    """
    from citadel_micro.demo.processes import ended_like_ctrl_c  # noqa: PLC0415
    from citadel_micro.demo.run import DemoRun  # noqa: PLC0415

    folder = _made((run_dir or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")).resolve())
    if ml and minutes < _ML_MINUTES:
        minutes = _ML_MINUTES
    console = _console()
    run = DemoRun(folder, seed=seed, machine_learning=ml)
    with ended_like_ctrl_c():
        try:
            run.start(lambda text: console.print(f"[dim]{text}[/dim]"))
            finished = _trade(run, console, minutes=minutes, keep=keep)
            codes = run.stop()
        finally:
            run.stop()
    found = run.audit()
    _print(console, run, found)
    if not finished:
        console.print("interrupted: what was at work then may differ")
        console.print(f"run folder: {folder}", soft_wrap=True)
        return Exit.INTERRUPTED
    missing = run.state.incidents.missing()
    for text in missing:
        console.print(f"[red]did not happen:[/red] {text}")
    bad = [f"{name} ended with {code}" for name, code in codes.items() if code not in _ENDED]
    for text in bad:
        console.print(f"[red]{text}[/red]")
    console.print(f"run folder: {folder}", soft_wrap=True)
    ok = not found.differences and not missing and not bad and found.round_trips >= run.wanted
    return Exit.OK if ok else Exit.DIFFERENCE


def _made(folder: Path) -> Path:
    """The run folder, there and empty."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise BadInput(
            f"the run folder cannot be used: {error.strerror}",
            where=str(folder),
            mend="name a folder that can be written with --run-dir",
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
) -> Exit:
    """Compare Freqtrade's books with what micro did. Exit code 0 only if they agree."""
    from citadel_micro.demo.audit import compare, read_freqtrade, read_owners  # noqa: PLC0415
    from citadel_micro.demo.journals import read_micro  # noqa: PLC0415
    from citadel_micro.demo.report import trades_table  # noqa: PLC0415

    books = read_freqtrade(database)
    found = compare(*books, read_micro(journal), read_owners(database))
    console = _console()
    console.print(trades_table(found))
    _verdict(console, found)
    return Exit.DIFFERENCE if found.differences else Exit.OK


def _console() -> Console:
    """A console; where nobody watches, one wide enough for the tables."""
    from rich.console import Console  # noqa: PLC0415 - commands import what they need when invoked

    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _trade(run: DemoRun, console: Console, *, minutes: float, keep: bool) -> bool:
    """Show the run until the story is told (or time is up), then until it is flat.

    With ``keep`` the first Ctrl-C is what ends the story. Returns False when it was interrupted.
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
                                title="Stoic Citadel, paper trading on a synthetic market",
                                processes=[(child.name, child.status) for child in run.children],
                                round_trips=run.round_trips,
                            )
                        )
                    time.sleep(_FRAME_S)
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


def _print(console: Console, run: DemoRun, found: Audit) -> None:
    from citadel_micro.demo.report import tables  # noqa: PLC0415

    for table in tables(run, found):
        console.print(table)
    _verdict(console, found)


def _verdict(console: Console, found: Audit) -> None:
    if found.others:
        console.print(
            f"{found.others} filled orders of other owners are not in these books, which are "
            f"those of {', '.join(found.owners)}"
        )
    for name in found.flattened:
        console.print(f"orphan {name} was sold again; Freqtrade has no row of it")
    for text in found.differences:
        console.print(f"[red]differs:[/red] {text}")
    if not found.differences:
        console.print(
            f"[green]Freqtrade's books equal what micro did:[/green] {found.orders} orders, "
            f"{found.round_trips} round trips"
        )
