"""The root of the command line: collects every package's commands, and sets the exit code.

Packages contribute subcommands through the entry-point group ``citadel.commands``; each entry names
a function ``register(app: typer.Typer, asked: str) -> None``, which adds at least the command that is asked
for, or all of them; one that takes the application only adds all. Those modules import nothing heavy at their top: a command imports what it needs when it is
invoked, so that ``citadel --help`` is quick and works whichever extras are installed.

The exit code of a run is decided here and nowhere else: see ``citadel_bridge.exit_codes``.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from dataclasses import dataclass
from importlib import metadata
from inspect import signature
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from citadel_bridge import versions
from citadel_bridge.exit_codes import Exit, exit_of
from citadel_bridge.interrupts import lost_interrupts_repeated
from citadel_bridge.parent_process import end_with_parent
from citadel_bridge.versions import DISTRIBUTION
from citadel_proto.errors import BadInput, CitadelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GROUP: Final = "citadel.commands"

_DISTRIBUTION_OF: Final = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu"}
"""Distributions whose name differs from their module's."""


PANELS: Final = {
    "To begin with": ("init", "doctor", "demo", "micro", "macro", "sim"),
    "To watch and to act": (
        *("status", "top", "page", "feeds", "operator", "risk", "signal", "alerts"),
    ),
    "For live money": ("live", "watchdog", "keys"),
    "Afterwards": (
        *("audit", "tca", "shadow", "export", "journal", "incident", "record", "replay", "tape"),
    ),
    "Execution without money": (
        *("algos", "instruments", "capture", "books", "work", "study", "cache", "paper"),
    ),
}
"""Every command by what it is for, in the order in which help lists them."""

_LIKE_A_KEY: Final = re.compile(r"[A-Za-z0-9+=_-]{40,}")
"""A key given as an argument; a service's log would keep an error about it."""

_filters: list[Callable[[str], str]] = []

_SURROUNDINGS: Final = frozenset(
    {
        *(errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        *(errno.ENOSPC, errno.EPERM, errno.EROFS),
    }
)
"""Errors of the machine, which any program can meet: a full disk is no bug of ours."""


class _Root(TyperGroup):
    """The command group; maps a run's result to its exit code."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - as below
        """Those that help lists, in the order of ``PANELS``."""
        order = [name for names in PANELS.values() for name in names]
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps the type of its context private
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # A reader such as `head` closed the pipe. Without this, the interpreter's own flush at
            # exit would fail again and print a warning.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.READER_GONE
        return result


def build(only: str | None = None, asked: str = "") -> typer.Typer:
    """Compose the application from the entry points.

    Args:
        only: take one package's commands (``bridge``, ``macro``, ``micro``) instead of all.
        asked: the one command that will be run; empty for all that there are.
    """
    app = typer.Typer(
        cls=_Root,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=only is None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Freqtrade decides, micro executes in milliseconds behind a risk gate.",
        epilog="Exit codes: 0 done, 1 a check differs, 2 bad input, 3 refused by a safety rule, "
        "4 a peer or port is not available, 70 our bug, 130 interrupted.",
    )

    @app.callback()
    def root(
        *,
        version: Annotated[
            bool,
            typer.Option("--version", is_eager=True, callback=_version, help="Print the version."),
        ] = False,
    ) -> None:
        pass

    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        if only is not None and entry.name != only:
            continue
        try:
            register = entry.load()
        except ImportError as error:
            # Help, and the other packages' commands, must work without this one.
            typer.echo(
                f"note: the commands of {entry.name} are not available: {explain(error)}", err=True
            )
            continue
        if len(signature(register).parameters) > 1:
            register(app, asked)
        else:
            register(app)
    _arrange(app)
    return app


def _arrange(app: typer.Typer) -> None:
    """Put every command where help lists it."""
    places = {name: panel for panel, names in PANELS.items() for name in names}
    for command in app.registered_commands:
        command.rich_help_panel = places.get(str(command.name), "Others")
    for group in app.registered_groups:
        group.rich_help_panel = places.get(str(group.name), "Others")


def main(
    argv: Sequence[str] | None = None, *, only: str | None = None, prog: str = "citadel"
) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; None takes the process's own.
        only: as for ``build``.
        prog: the name that help and errors show.
    """
    end_with_parent()
    arguments = list(sys.argv[1:] if argv is None else argv)

    def run() -> int | None:
        word = "".join(arguments[:1])
        app = build(only, word if any(word in names for names in PANELS.values()) else "")
        _keep(app, arguments[:1])
        code: int | None = app(arguments, prog_name=prog, standalone_mode=False)
        return code

    if arguments[:1] == ["macro"]:  # Freqtrade's process has words and a stop of its own
        return guarded(run)
    with lost_interrupts_repeated():
        ours = takewhile(lambda word: word != "--", arguments)
        return guarded(run, as_json="--json" in ours)


def _keep(app: typer.Typer, asked: Sequence[str]) -> None:
    """Take every command away but the one that is asked for: typer builds all that are there, in 70 ms.

    If none has this name they stay, to be listed, or to find what was meant.
    """
    commands = [each for each in app.registered_commands if each.name in asked]
    groups = [each for each in app.registered_groups if each.name in asked]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups


def guarded(run: Callable[[], int | None], *, as_json: bool = False) -> int:
    """Call ``run`` and turn its result or exception into an exit code.

    Errors of the project's own tree are printed without a traceback, unexpected ones with one.
    Every program of the project ends through this function.

    Args:
        run: what the program does.
        as_json: print an error as a JSON object, the last line on standard error.
    """
    try:
        return int(run() or Exit.OK)
    except typer.TyperException as error:
        code, told = Exit.BAD_INPUT, _usage(error)
        if not error.format_message():  # no command was given, and help was shown instead
            return code
    except (KeyboardInterrupt, typer.Abort):
        code, told = Exit.INTERRUPTED, _Told("interrupted", kind="")
    except ModuleNotFoundError as error:
        code, told = Exit.BAD_INPUT, _Told(explain(error))
        if extra_of(error.name) is None:
            code, told = Exit.BUG, _bug()
    except CitadelError as error:
        code = exit_of(error)
        told = _bug() if code is Exit.BUG else _described(error)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        code, told = Exit.UNAVAILABLE, _Told(f"{where}{error.strerror}")
        if error.errno not in _SURROUNDINGS:
            code, told = Exit.BUG, _bug()
    except Exception:  # noqa: BLE001 - the last handler of the process: it reports, and goes on to nothing
        code, told = Exit.BUG, _bug()
    finally:
        # An interrupt that came while Python executed a text (a query of pandas, a new namedtuple) and was
        # handled is remembered by CPython: a program that was started by ``-m`` would be ended by SIGINT
        # instead of with its exit code. Executing another text forgets it.
        exec("")  # noqa: S102
    told.print(code, as_json=as_json)
    return code


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said of an error that ends a command."""

    what: str
    where: str | None = None
    allowed: str | None = None
    mend: str | None = None
    before: str = ""
    """Lines that come first: the usage of the command, a traceback."""
    kind: str = "error: "

    def print(self, code: Exit, *, as_json: bool) -> None:
        """On standard error, without what the filters take out."""
        parts = {"where": self.where, "allowed": self.allowed, "fix": self.mend}
        given = {name: text for name, text in parts.items() if text is not None}
        if self.before and not (as_json and code is not Exit.BUG):
            _say(self.before)
        if as_json:
            from json import dumps  # noqa: PLC0415 - only then

            clean = {name: _filtered(text) for name, text in {"error": self.what, **given}.items()}
            print(dumps({**clean, "exit": int(code)}, ensure_ascii=False), file=sys.stderr)
        else:
            lines = [f"  {name}: {text}" for name, text in given.items()]
            _say("\n".join([f"{self.kind}{self.what}", *lines]))


def _described(error: CitadelError) -> _Told:
    if isinstance(error, BadInput):
        return _Told(error.what, error.where, error.allowed, error.mend)
    return _Told(str(error))


def explain(error: ImportError) -> str:
    """Say which extra provides a module that could not be imported, if one does."""
    extra = extra_of(error.name)
    if extra is None:
        return str(error)
    return f"{error.name!r} is not installed; it comes with the extra [{extra}] of {DISTRIBUTION}"


def extra_of(module: str | None) -> str | None:
    """Name of the extra that provides a module (given dotted or bare); None if none does."""
    top = (module or "").partition(".")[0]
    wanted = _normal(_DISTRIBUTION_OF.get(top, top))
    for requirement in metadata.requires(DISTRIBUTION) or ():
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and _normal(name.group()) == wanted:
            return extra.group(1)
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _usage(error: typer.TyperException) -> _Told:
    """A usage error, after the usage line of its command."""
    ctx = getattr(error, "ctx", None)
    what = _LIKE_A_KEY.sub("***", error.format_message())
    if ctx is None:
        return _Told(what)
    return _Told(what, mend=f"see {ctx.command_path} --help", before=ctx.get_usage())


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        typer.echo(versions.described())
        raise typer.Exit


def filter_text(change: Callable[[str], str]) -> None:
    """Pass every text about an error through this from now on, to redact secrets."""
    if change not in _filters:
        _filters.append(change)


def _bug() -> _Told:
    return _Told(
        "this is a bug in Stoic Citadel, not in your input", before=traceback.format_exc().rstrip()
    )


def _say(text: str) -> None:
    print(_filtered(text), file=sys.stderr)


def _filtered(text: str) -> str:
    for change in _filters:
        text = change(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
