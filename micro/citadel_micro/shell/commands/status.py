"""``citadel status`` and ``citadel top``: a running micro at a glance."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import JsonLines, print_json
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

RUNS: Final = Path("runs")
"""Where micros keep their run folders unless configured otherwise."""
NONE_RUNS: Final = f"no micro runs below {RUNS}/ here: start one (citadel micro), or name its folder with --run-dir"
RunDir = Annotated[
    Path | None,
    typer.Option(help="Run folder of the micro. Default: every micro running below runs/."),
]
Wide = Annotated[bool, typer.Option("--wide", help="More columns.")]


def status(
    *,
    run_dir: RunDir = None,
    wide: Wide = False,
    json: JsonLines = False,
) -> Exit:
    """Print state and trips, profit, positions, orders and books of running micros, once.

    Works for the user who runs micro, on the same machine. Ends 3 when a micro is unhealthy.
    """
    from rich.console import Console  # noqa: PLC0415 - commands import what they need when invoked

    console = Console(highlight=False)
    well = True
    answered = False
    for folder in folders(run_dir):
        try:
            run = overview_of(folder)
        except PeerUnavailable as error:  # one that was killed leaves its socket behind
            if run_dir is not None:
                raise
            typer.echo(str(error), err=True)
            continue
        answered = True
        well = well and not run["reasons"]
        if json:
            print_json(run)
        else:
            console.print(_picture(run, wide=wide))
    if not answered:
        raise PeerUnavailable(NONE_RUNS)
    return Exit.OK if well else Exit.REFUSED


def top(
    *,
    run_dir: RunDir = None,
    wide: Wide = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 1.0,
    count: Annotated[
        int | None, typer.Option(help="End after so many looks; default: until Ctrl-C.", min=1)
    ] = None,
    json: JsonLines = False,
) -> Exit:
    """Show the same live, until Ctrl-C. A micro that ends is said, and shown again when it is back.

    With --count it ends with 4 where no micro answered its last look.
    """
    named = folders(run_dir)
    with suppress(KeyboardInterrupt):
        if json:
            return _end(_look(lambda: _print_all(named), every, count))
        from rich.console import Console  # noqa: PLC0415 - commands import what they need when invoked
        from rich.live import Live  # noqa: PLC0415

        console = Console(highlight=False)
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:

            def show() -> bool:
                picture, answered = _all(named, wide=wide)
                live.update(picture, refresh=True)
                return answered

            return _end(_look(show, every, count))
    return Exit.OK


def _end(answered: bool) -> Exit:  # noqa: FBT001 - the only thing there is to say
    return Exit.OK if answered else Exit.UNAVAILABLE


def _look(show: Callable[[], bool], every_s: float, count: int | None) -> bool:
    """Show again and again; None is without end. Returns what the last one has."""
    looks = 0
    while True:
        answered = show()
        looks += 1
        if looks == count:
            return answered
        time.sleep(every_s)


def _print_all(folders: list[Path]) -> bool:
    """Whether any of them answered."""
    answered = False
    for folder in folders:
        try:
            print_json(overview_of(folder))
            answered = True
        except PeerUnavailable as error:
            print_json({"run_dir": str(folder), "error": str(error)})
    sys.stdout.flush()
    return answered


def _all(folders: list[Path], *, wide: bool) -> tuple[RenderableType, bool]:
    """What is to be seen of all, and whether any of them answered."""
    from rich.console import Group  # noqa: PLC0415 - commands import what they need when invoked
    from rich.text import Text  # noqa: PLC0415

    shown: list[RenderableType] = []
    answered = False
    for folder in folders:
        try:
            shown.append(_picture(overview_of(folder), wide=wide))
            answered = True
        except PeerUnavailable as error:
            shown.append(Text(str(error), style="red"))
    return Group(*shown), answered


def _picture(run: dict[str, Any], *, wide: bool) -> RenderableType:
    from citadel_micro.shell.commands.status_tables import picture  # noqa: PLC0415

    return picture(run, wide=wide)


def overview_of(folder: Path) -> dict[str, Any]:
    """What the micro of a run folder says of itself. Raises PeerUnavailable when none answers."""
    from citadel_micro.shell.ops.control import OVERVIEW, Request, ask  # noqa: PLC0415

    answer = ask(folder, Request(OVERVIEW))
    if not answer["ok"]:  # a micro of before this command
        raise PeerUnavailable(f"the micro of {folder} does not answer: {answer['error']}")
    return answer


def folders(run_dir: Path | None) -> list[Path]:
    """The run folder that was named, else those of every micro running below ``runs``."""
    from citadel_micro.shell.ops.control import SOCKET  # noqa: PLC0415

    if run_dir is not None:
        if not run_dir.is_dir():
            raise BadInput(
                f"there is no folder {run_dir}",
                where="--run-dir",
                mend="name the run_dir that micro was started with",
            )
        return [run_dir]
    found = sorted(path.parent for path in RUNS.glob(f"*/{SOCKET}"))
    if not found:
        raise PeerUnavailable(NONE_RUNS)
    return found
