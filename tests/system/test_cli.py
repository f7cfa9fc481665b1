from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
import typer

from citadel_bridge import cli, versions
from citadel_bridge.exit_codes import Exit, exit_of
from citadel_proto.errors import (
    BadInput,
    CitadelError,
    DecodeError,
    InvariantError,
    PeerUnavailable,
    Refused,
    VenueViolation,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint
    from pathlib import Path


def citadel(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "citadel_bridge.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def raising(error: BaseException) -> int:
    def run() -> int:
        raise error

    return cli.guarded(run)


def test_an_interrupt_that_was_handled_leaves_the_exit_code(tmp_path: Path) -> None:
    """It came while a text was executed, and CPython remembers that until the end of the process."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    ended = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (Exit.INTERRUPTED, "interrupted\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("x"), 2),
        (DecodeError("x"), 2),
        (Refused("x"), 3),
        (PeerUnavailable("x"), 4),
        (VenueViolation("x"), 4),
        (InvariantError("x"), 70),
        (CitadelError("x"), 70),
        (ZeroDivisionError("x"), 70),
        (OSError(errno.ENOSPC, "No space left on device"), 4),
        (OSError(errno.EACCES, "Permission denied", "file"), 4),
        (FileNotFoundError(errno.ENOENT, "No such file", "file"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_ends_with_its_own_exit_code(error: BaseException, code: int) -> None:
    assert raising(error) == code


def test_subclasses_of_an_error_end_like_it() -> None:
    class MicroAbsent(PeerUnavailable):
        pass

    assert exit_of(MicroAbsent("x")) is Exit.UNAVAILABLE


def test_bad_input_is_shown_part_by_part_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(BadInput("no symbol XX/YY", where="signal", allowed="BTC/USDT", mend="see --help"))
    assert capsys.readouterr().err == (
        "error: no symbol XX/YY\n  where: signal\n  allowed: BTC/USDT\n  fix: see --help\n"
    )


def test_bad_input_reads_as_one_sentence_in_logs() -> None:
    error = BadInput("no symbol XX/YY", where="signal", allowed="BTC/USDT", mend="see --help")
    assert str(error) == "signal: no symbol XX/YY; allowed: BTC/USDT; see --help"


def test_what_the_machine_refuses_is_reported_with_its_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(OSError(errno.EROFS, "Read-only file system", "runs/x"))
    assert capsys.readouterr().err == "error: runs/x: Read-only file system\n"


def test_our_own_bugs_keep_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    raising(InvariantError("filled more than ordered"))
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "filled more than ordered" in err
    assert err.endswith("error: this is a bug in Stoic Citadel, not in your input\n")


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("picows", "micro"),
        ("prometheus_client.metrics", "micro"),
        ("freqtrade.exchange", "macro"),
        ("sklearn", "ml"),
        ("xgboost", "ml"),
        ("citadel_micro", None),
        ("no_such_module", None),
        (None, None),
    ],
)
def test_missing_module_is_traced_to_the_extra_that_brings_it(
    module: str | None, extra: str | None
) -> None:
    assert cli.extra_of(module) == extra


def test_missing_extra_is_the_users_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(ModuleNotFoundError("No module named 'picows'", name="picows")) == 2
    assert capsys.readouterr().err == (
        "error: 'picows' is not installed; it comes with the extra [micro] of stoic-citadel\n"
    )


def test_missing_module_that_no_extra_brings_is_our_bug() -> None:
    assert raising(ModuleNotFoundError("No module named 'gone'", name="gone")) == 70


class FakeEntry:
    """An entry point that loads what it was given, or raises it."""

    def __init__(self, name: str, loads: object) -> None:
        self.name = name
        self._loads = loads

    def load(self) -> object:
        if isinstance(self._loads, BaseException):
            raise self._loads
        return self._loads


def _greet(app: typer.Typer, _asked: str) -> None:
    @app.command()
    def greet(times: int = 1) -> Exit:
        typer.echo("hello " * times)
        return Exit.DIFFERENCE if times > 1 else Exit.OK


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[FakeEntry]:
    found: list[FakeEntry] = [FakeEntry("bridge", _greet)]
    real = metadata.entry_points

    def entry_points(*, group: str) -> Iterable[EntryPoint]:
        # Who is imported meanwhile keeps this for good: pydantic, which looks for plugins of its own.
        if group != cli.GROUP:
            return real(group=group)
        return found  # type: ignore[return-value]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    return found


@pytest.mark.usefixtures("entries")
def test_what_a_command_returns_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet"]) == 0
    assert cli.main(["greet", "--times", "2"]) == 1
    assert capsys.readouterr().out == "hello \nhello hello \n"


@pytest.mark.usefixtures("entries")
def test_mistyped_command_is_answered_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["gret"]) == 2
    assert "No such command 'gret'. Did you mean 'greet'?" in capsys.readouterr().err


@pytest.mark.usefixtures("entries")
def test_mistyped_option_is_answered_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["greet", "--tims", "2"]) == 2
    assert "--times" in capsys.readouterr().err


def test_package_without_its_dependencies_leaves_the_others_working(
    entries: list[FakeEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ModuleNotFoundError("No module named 'freqtrade'", name="freqtrade")
    entries.append(FakeEntry("macro", missing))
    assert cli.main(["greet"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "hello \n"
    assert shown.err == (
        "note: the commands of macro are not available: "
        "'freqtrade' is not installed; it comes with the extra [macro] of stoic-citadel\n"
    )


def test_one_package_can_be_asked_for_alone(entries: list[FakeEntry]) -> None:
    entries.append(FakeEntry("micro", AssertionError("must not be loaded")))
    assert cli.main(["greet"], only="bridge") == 0


def test_a_package_may_add_all_its_commands_whatever_is_asked_for(
    entries: list[FakeEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    def register(app: typer.Typer) -> None:
        @app.command("third")
        def third() -> None:
            typer.echo("party")

    entries.append(FakeEntry("others", register))
    assert cli.main(["third"]) == 0
    assert capsys.readouterr().out == "party\n"
    assert cli.main(["greet"]) == 0


def test_only_the_command_that_is_asked_for_is_built(
    entries: list[FakeEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    def register(app: typer.Typer, _asked: str) -> None:
        @app.command("cannot")
        def cannot(_what: int | str) -> None: ...  # typer takes no unions

        @app.command("can")
        def can() -> None:
            typer.echo("here")

    entries.append(FakeEntry("macro", register))
    assert cli.main(["can"]) == 0
    assert capsys.readouterr().out == "here\n"
    assert cli.main(["cann"]) == Exit.BUG
    assert "union" in capsys.readouterr().err.lower()


def test_help_lists_every_command_by_what_it_is_for() -> None:
    app = cli.build()
    here = {each.name for each in app.registered_commands}
    here |= {each.name for each in app.registered_groups}
    listed = [name for names in cli.PANELS.values() for name in names]
    assert here == set(listed)
    assert len(listed) == len(set(listed))
    shown = citadel("--help").stdout
    places = [shown.index(panel) for panel in cli.PANELS]
    assert places == sorted(places)
    assert "Others" not in shown


def test_version_names_the_distribution() -> None:
    shown = citadel("--version")
    assert shown.returncode == 0
    first, books, found = shown.stdout.splitlines()[:3]
    assert re.fullmatch(r"citadel 0\.\S+ \(Python 3\.\d+\.\d+, \w+ \w+\)", first)
    assert books == f"books: {versions.kernel()}"
    assert f"freqtrade {metadata.version('freqtrade')}" in found
    assert f"ccxt {metadata.version('ccxt')}" in found


def test_version_is_printed_without_any_extra(tmp_path: Path) -> None:
    # A package of micro that cannot be imported, and no distribution of an extra.
    (tmp_path / "citadel_micro").mkdir()
    (tmp_path / "citadel_micro" / "__init__.py").write_text("raise ModuleNotFoundError('gone')\n")
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
                "from citadel_bridge import versions\n"
                "versions.PACKAGES = ('pyzmq', 'no-such-distribution')\n"
                "print(versions.described())"
            ),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "books" not in shown.stdout
    assert shown.stdout.splitlines()[1:] == [
        f"with: pyzmq {metadata.version('pyzmq')}",
        "without: no-such-distribution",
    ]


def test_no_command_shows_help_and_counts_as_bad_usage() -> None:
    shown = citadel()
    assert shown.returncode == 2
    assert "Usage: citadel" in shown.stdout
    assert "Traceback" not in shown.stderr


def test_reader_that_stops_early_ends_the_program_quietly() -> None:
    # The pipe's reading end is closed before the program writes.
    program = subprocess.Popen(
        [sys.executable, "-c", _SLOW_WRITER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    program.stdout.close()
    program.stdout = None
    _, err = program.communicate("go\n", timeout=120)
    assert program.returncode == Exit.READER_GONE
    assert err == ""


_SLOW_WRITER = """
import sys
from importlib import metadata
from types import SimpleNamespace
from citadel_bridge import cli

def register(app, asked):
    @app.command()
    def pour():
        sys.stdin.readline()
        for _ in range(100_000):
            print("more than a pipe holds")

entry = SimpleNamespace(name="bridge", load=lambda: register)
metadata.entry_points = lambda group: [entry]
sys.exit(cli.main(["pour"]))
"""

INTERRUPTED = """
import sys
from citadel_bridge import cli

sys.exit(cli.guarded(lambda: exec("raise KeyboardInterrupt")))
"""
