"""Old journals go; what a restart needs stays."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from journal_kit import lived

from citadel_bridge.cli import main
from citadel_micro.shell.journal import tidying
from citadel_micro.shell.journal.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six journals, a day apart, the newest of today; and what is none."""
    now = time.time()
    for number in range(6):
        path = tmp_path / f"journal-0000000{number}.ctape"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (now, now - (5 - number) * DAY_S - 60))
    (tmp_path / "journal-mine.ctape").write_text("no run")
    (tmp_path / "journals.index").write_text("00000005\n")
    return tmp_path


def left(folder: Path) -> str:
    return "".join(path.stem[-1] for path in tidying.journals(folder))


@pytest.mark.parametrize(
    ("words", "stay"),
    [
        ([], "012345"),
        (["--keep-runs", "3"], "345"),
        (["--keep-runs", "1"], "45"),
        (["--keep-days", "2.5"], "345"),
        (["--keep-days", "0.5"], "45"),
        (["--keep-gb", "0.0000045"], "2345"),
        (["--keep-gb", "0.000000001"], "45"),
        (["--keep-runs", "5", "--keep-days", "3.5"], "2345"),
        (["--keep-runs", "1", "--dry-run"], "012345"),
    ],
)
def test_the_oldest_go_and_the_two_newest_never(folder: Path, words: list[str], stay: str) -> None:
    assert main(["journal", "tidy", str(folder), *words]) == 0
    assert left(folder) == stay
    assert (folder / "journal-mine.ctape").exists()
    assert (folder / "journals.index").exists()


def test_a_folder_without_journals_is_a_mistake(tmp_path: Path) -> None:
    assert main(["journal", "tidy", str(tmp_path)]) == 2


def test_a_restart_finds_what_it_needs(tmp_path: Path) -> None:
    for number in range(4):
        lived(tmp_path / f"journal-0000000{number}.ctape")
    assert main(["journal", "tidy", str(tmp_path), "--keep-runs", "1"]) == 0
    folder = RunFolder(tmp_path, instance="micro")
    try:
        assert folder.newest is not None
        assert folder.newest.name == "journal-00000003.ctape"
        assert folder.damaged == ""
        assert folder.state
    finally:
        folder.close()
