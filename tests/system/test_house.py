"""The habits of the tree that no single package can hold by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_MODULE: Final = 450  # lines; past this a file is usually two ideas


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    """Files that git knows; where there is no git (an image, an archive), the test is skipped."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "-C", str(repository), "ls-files", "-z"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there is no list of the project's own files")
    files = [repository / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def lines(files: list[Path]) -> Iterator[tuple[Path, int, str]]:
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a golden file of bytes
        for number, line in enumerate(text.splitlines(), 1):
            yield file, number, line


def found(files: list[Path], patterns: dict[str, str]) -> list[str]:
    return [
        f"{file.name}:{number}: {why}: {line.strip()[:120]}"
        for file, number, line in lines(files)
        for why, pattern in patterns.items()
        if re.search(pattern, line)
    ]


# Written with character classes, so that this file does not match itself.
NOT_OURS: Final = {
    "a path of one machine": r"(?<![\w.}])/(wor[k]|roo[t]|hom[e]|User[s])/\w",
    "a package registry": r"(?i)\b(pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(org|com)|registr[y]\.\w+\.(com|org|io))",
    "unfinished work": r"\b(TOD[O]|FIXM[E]|XX[X])\b",
    "the making of it, not the thing": (
        r"(?i)\b(as (the user|you) (asked|requested)|per the (issue|brief|task)|language mode[l]"
        r"|coding agen[t]|AI assistan[t])\b"
    ),
}


def test_tracked_files_speak_of_the_project_only(tracked: list[Path]) -> None:
    own = [file for file in tracked if file.name != "LICENSE"]
    assert found(own, NOT_OURS) == []


@pytest.mark.parametrize(
    "line",
    [
        "path = '/" + "work/main'",
        "cd /" + "home/me",
        "pip install -i https://pypi" + ".org/simple",
        "# TO" + "DO: later",
        "per the " + "issue we do this",
    ],
)
def test_the_patterns_find_what_they_are_for(line: str, tmp_path: Path) -> None:
    (tmp_path / "sample").write_text(line)
    assert len(found([tmp_path / "sample"], NOT_OURS)) == 1


def test_modules_are_rooms_not_halls(tracked: list[Path], repository: Path) -> None:
    long = {
        str(file.relative_to(repository)): count
        for file in tracked
        if file.suffix == ".py"
        and (count := len(file.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_links_between_pages_lead_somewhere(tracked: list[Path], repository: Path) -> None:
    broken = [
        f"{page.relative_to(repository)} -> {target}"
        for page in tracked
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert broken == []


def test_layers_import_downwards_only(repository: Path) -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "0 broken" in linted.stdout


def test_error_tree_and_package_roots_import_nothing_heavy() -> None:
    loaded = python(
        "-c",
        "import sys, citadel_proto.errors, citadel_bridge, citadel_macro, citadel_micro;"
        "print([m for m in ('msgspec', 'zmq', 'numpy', 'freqtrade', 'asyncio') if m in sys.modules])",
    )
    assert loaded.stdout == "[]\n", loaded.stderr


def test_help_needs_no_extra_and_lists_every_package(tmp_path: Path) -> None:
    # Shadows of the extras' packages that fail on import, as if they were not installed.
    for package in (
        "aiohttp",
        "ccxt",
        "freqtrade",
        "lightgbm",
        "picows",
        "prometheus_client",
        "uvloop",
    ):
        (tmp_path / f"{package}.py").write_text(
            f"raise ModuleNotFoundError('No module named {package!r}', name={package!r})\n"
        )
    shown = python("-m", "citadel_bridge.cli", "--help", PYTHONPATH=str(tmp_path), COLUMNS="100")
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert "--version" in shown.stdout


def test_reference_pages_are_what_the_code_says(repository: Path) -> None:
    checked = python(str(repository / "docs" / "generate.py"), "--check")
    assert checked.returncode == 0, checked.stderr
