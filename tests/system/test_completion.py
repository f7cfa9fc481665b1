"""Completion of the command line in the shells that have it, by what typer ships."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from quick_start import COMMAND, run

if TYPE_CHECKING:
    from pathlib import Path

# typer asks which shell it runs in; here the test says so.
_TOLD: Final = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


def citadel(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a shell calls it, in an environment made for it."""
    return run(*words, environment=os.environ | _TOLD | environment)


@pytest.mark.campaign
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = citadel("--show-completion", "bash").stdout
    program = tmp_path / "citadel"
    program.write_text("#!/bin/sh\nexec " + " ".join(COMMAND) + ' "$@"\n')
    program.chmod(0o755)
    (tmp_path / "completion").write_text(script)
    asked = """
        source completion
        complete -p citadel
        for line in "citadel sh" "citadel shadow report --ma" "citadel macro backtest"; do
            COMP_WORDS=($line) COMP_CWORD=$(( $(wc -w <<<"$line") - 1 ))
            _citadel_completion ./citadel
            echo "${COMPREPLY[*]}"
        done
    """
    found = subprocess.run(
        ["bash", "--norc", "-c", asked],  # noqa: S607 - the shell that is tested
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    registered, *answers = found.stdout.splitlines()
    assert registered.endswith("-F _citadel_completion citadel")
    assert answers[:2] == ["shadow", "--markdown"]
    assert "backtesting" in " ".join(answers[2:])


@pytest.mark.parametrize(
    ("shell", "asked", "answer"),
    [
        ("bash", {"COMP_WORDS": "citadel sh", "COMP_CWORD": "1"}, "shadow"),
        ("bash", {"COMP_WORDS": "citadel shadow report --ma", "COMP_CWORD": "3"}, "--markdown"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "citadel tape in"}, '"info"'),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "citadel micro --mo",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "--mode",
        ),
    ],
)
def test_shells_are_answered(shell: str, asked: dict[str, str], answer: str) -> None:
    assert "citadel" in citadel("--show-completion", shell).stdout
    found = citadel(_CITADEL_COMPLETE=f"complete_{shell}", **asked)
    assert answer in found.stdout
    assert found.stderr == ""


def completes(shell: str, script: str, tmp_path: Path, *, home: Path) -> str:
    """What a shell that is on this machine prints."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} here")
    found = subprocess.run(
        [path, *(["-f"] if shell == "zsh" else ["--no-config"]), "-c", script],
        cwd=tmp_path,
        env=os.environ | _TOLD | {"HOME": str(home), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture
def on_path(tmp_path: Path) -> Path:
    """A folder with `citadel` in it."""
    program = tmp_path / "citadel"
    program.write_text("#!/bin/sh\nexec " + " ".join(COMMAND) + ' "$@"\n')
    program.chmod(0o755)
    return tmp_path


@pytest.mark.campaign
def test_fish_completes_commands_and_options(on_path: Path) -> None:
    (on_path / "completion.fish").write_text(citadel("--show-completion", "fish").stdout)
    asked = 'source completion.fish; complete -C "citadel sh"; complete -C "citadel micro --mo"'
    said = completes("fish", asked, on_path, home=on_path).split()
    assert "shadow" in said
    assert "--mode" in said


@pytest.mark.campaign
def test_zsh_loads_the_completion_and_calls_it(on_path: Path) -> None:
    (on_path / "_citadel").write_text(citadel("--show-completion", "zsh").stdout)
    # Outside the line editor nothing is completed: the words that would be evaluated are printed.
    asked = """
        autoload -Uz compinit && compinit -u -D
        source ./_citadel
        print -- ${_comps[citadel]}
        words=(citadel sh) CURRENT=2
        eval "$(functions _citadel_completion | sed 's/eval/print -r --/')"
        _citadel_completion
    """
    registered, *said = completes("zsh", asked, on_path, home=on_path).splitlines()
    assert registered == "_citadel_completion"
    assert "shadow" in " ".join(said)


def test_it_is_installed_for_the_shell_that_is_named(tmp_path: Path) -> None:
    found = citadel("--install-completion", "bash", HOME=str(tmp_path))
    assert found.returncode == 0, found.stderr
    written = (tmp_path / ".bash_completions" / "citadel.sh").read_text()
    assert "_citadel_completion" in written
    assert "citadel.sh" in (tmp_path / ".bashrc").read_text()
