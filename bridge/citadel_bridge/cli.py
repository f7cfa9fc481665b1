"""The root of the command line: finds every package's commands, and ends every run.

Packages contribute subcommands through the entry-point group ``citadel.commands``; each entry names
a function ``register(app: typer.Typer) -> None``. Those modules import nothing heavy at their top:
a command imports what it needs when it is invoked, so that ``citadel --help`` is quick and works
whichever extras are installed.

What a run ends with is decided here and nowhere else: see ``citadel_bridge.exit_codes``.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
import traceback
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from citadel_bridge.exit_codes import Exit, exit_of
from citadel_proto.errors import BadInput, CitadelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DISTRIBUTION: Final = "stoic-citadel"
GROUP: Final = "citadel.commands"

_DISTRIBUTION_OF: Final = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu"}
"""Distributions that are not called as the module that they hold."""


_SURROUNDINGS: Final = frozenset(
    {
        *(errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        *(errno.ENOSPC, errno.EPERM, errno.EROFS),
    }
)
"""What the machine refuses to any program: a full disk is no bug of whoever writes to it."""


class _Root(TyperGroup):
    """The command group, with the run's result turned into its exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps the type of its context private
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # A reader such as `head` has had enough. Without this, the interpreter's own flush at
            # exit would fail again and print a warning.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.READER_GONE
        return result


def build(only: str | None = None) -> typer.Typer:
    """Compose the application from the entry points.

    Args:
        only: take one package's commands (``bridge``, ``macro``, ``micro``) instead of all.
    """
    app = typer.Typer(
        cls=_Root,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
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
        register(app)
    return app


def main(
    argv: Sequence[str] | None = None, *, only: str | None = None, prog: str = "citadel"
) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; None takes the process's own.
        only: as for ``build``.
        prog: the name that help and errors show.
    """
    arguments = None if argv is None else list(argv)
    return guarded(lambda: build(only)(arguments, prog_name=prog, standalone_mode=False))


def guarded(run: Callable[[], int | None]) -> int:
    """Call ``run`` and turn whatever comes out of it into an exit code.

    Errors of the project's own tree are printed without a traceback, anything unforeseen with one.
    Every program of the project ends through this function.
    """
    try:
        return int(run() or Exit.OK)
    except typer.TyperException as error:
        if error.format_message():  # empty when no command was given, and help was shown instead
            _say(_usage(error))
        return Exit.BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return Exit.INTERRUPTED
    except ModuleNotFoundError as error:
        if extra_of(error.name) is None:
            return _bug()
        _say(f"error: {explain(error)}")
        return Exit.BAD_INPUT
    except CitadelError as error:
        code = exit_of(error)
        if code is Exit.BUG:
            return _bug()
        _say(describe(error))
        return code
    except OSError as error:
        if error.errno not in _SURROUNDINGS:
            return _bug()
        where = "" if error.filename is None else f"{error.filename}: "
        _say(f"error: {where}{error.strerror}")
        return Exit.UNAVAILABLE
    except Exception:  # noqa: BLE001 - the last handler of the process: it reports, and goes on to nothing
        return _bug()


def describe(error: CitadelError) -> str:
    """The text that a person gets to see: one line, and one more for each part of a ``BadInput``."""
    if not isinstance(error, BadInput):
        return f"error: {error}"
    parts = (("where", error.where), ("allowed", error.allowed), ("mend", error.mend))
    return "\n".join(
        [f"error: {error.what}", *(f"  {name}: {text}" for name, text in parts if text is not None)]
    )


def explain(error: ImportError) -> str:
    """Say which extra brings a module that could not be imported, if one does."""
    extra = extra_of(error.name)
    if extra is None:
        return str(error)
    return f"{error.name!r} is not installed; it comes with the extra [{extra}] of {DISTRIBUTION}"


def extra_of(module: str | None) -> str | None:
    """Name of the extra that brings a module (given dotted or bare); None if none does."""
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


def _usage(error: typer.TyperException) -> str:
    """The message of a usage error, led by the usage line of the command that it is about."""
    ctx = getattr(error, "ctx", None)
    message = f"error: {error.format_message()}"
    if ctx is None:
        return message
    return f"{ctx.get_usage()}\n{message}\n  mend: see {ctx.command_path} --help"


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        typer.echo(f"citadel {metadata.version(DISTRIBUTION)} (Python {platform.python_version()})")
        raise typer.Exit


def _bug() -> int:
    traceback.print_exc()
    _say("error: this is a bug in Stoic Citadel, not in what you gave it")
    return Exit.BUG


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
