"""A run folder: what has gone is missed, nobody else comes in, nothing is for others to read."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from citadel_micro.core.model.commands import Persist
from citadel_micro.core.model.config import EngineConfig
from citadel_micro.core.model.events import Started
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.journal.journal import begin_journal
from citadel_micro.shell.journal.run_folder import RunFolder
from citadel_micro.shell.journal.run_index import NAME
from citadel_micro.shell.ops.control import ControlServer
from citadel_proto.errors import BadInput, PeerUnavailable, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.ops.health import Vitals


def a_run(path: Path, count: int) -> Path:
    """One whole run that leaves a number behind."""
    folder = RunFolder(path, instance="micro")
    journal = folder.create(settings(folder.run_id), {}, 10)
    journal.event(10, Started(state=folder.state, damaged=folder.damaged))
    journal.command(11, Persist(key="n", value=count))
    journal.sync()
    journal.close()
    folder.close()
    return journal.path


def settings(run_id: str) -> EngineConfig:
    return EngineConfig(run_id=run_id, instance="micro", venues={}, limits=paper_defaults())


def state_of(path: Path) -> tuple[object, str]:
    folder = RunFolder(path, instance="micro")
    folder.close()
    return folder.state.get("n"), folder.damaged


def id_of(journal: Path) -> str:
    return journal.stem.removeprefix("journal-")


# --- what has gone --------------------------------------------------------------------------------


def test_a_copy_of_an_older_journal_is_not_the_newest(tmp_path: Path) -> None:
    first, second = a_run(tmp_path, 1), a_run(tmp_path, 2)
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(Refused, match=f"run {id_of(first)}"):
        RunFolder(tmp_path, instance="micro")
    second.unlink()
    second.symlink_to(first.name)
    with pytest.raises(Refused, match=id_of(first)):
        RunFolder(tmp_path, instance="micro")
    second.unlink()
    second.write_bytes(kept)
    assert state_of(tmp_path) == (2, "")
    later = tmp_path / "journal-xzzzzzzz.ctape"
    later.write_bytes(first.read_bytes())
    with pytest.raises(Refused, match=id_of(first)):
        RunFolder(tmp_path, instance="micro")
    later.unlink()
    assert state_of(tmp_path) == (2, "")


def test_folders_where_files_belong_are_no_bug_of_ours(tmp_path: Path) -> None:
    a_run(tmp_path, 1)
    (tmp_path / ".journal-x.ctape").mkdir()
    assert state_of(tmp_path) == (1, "")
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()
    with pytest.raises(BadInput, match="not a file"):
        RunFolder(tmp_path, instance="micro")


def test_the_newest_journal_is_missed_by_name(tmp_path: Path) -> None:
    first, second = a_run(tmp_path, 1), a_run(tmp_path, 2)
    kept = second.read_bytes()
    second.unlink()
    for _ in range(2):  # and again: refusing changes nothing, and frees the folder
        with pytest.raises(Refused, match=id_of(second)) as refusal:
            RunFolder(tmp_path, instance="micro")
        assert f"journal {id_of(first)}" in str(refusal.value)
        assert str(tmp_path / NAME) in str(refusal.value)
    second.write_bytes(kept)
    assert state_of(tmp_path) == (2, "")


@pytest.mark.parametrize("left", [0, 1, 2])
def test_several_may_have_gone(tmp_path: Path, left: int) -> None:
    runs = [a_run(tmp_path, count) for count in range(4)]
    for path in runs[left:]:
        path.unlink()
    with pytest.raises(Refused, match=id_of(runs[-1])):
        RunFolder(tmp_path, instance="micro")


def test_one_that_is_lost_for_good_starts_halted(tmp_path: Path) -> None:
    first, second = a_run(tmp_path, 1), a_run(tmp_path, 2)
    second.unlink()
    index = tmp_path / NAME
    index.write_text(index.read_text().replace(id_of(second), f"{id_of(second)} lost"))
    count, damaged = state_of(tmp_path)
    assert count == 1
    assert id_of(second) in damaged
    assert id_of(first) in damaged
    third = a_run(tmp_path, 3)
    assert third > second
    assert state_of(tmp_path) == (3, "")


def test_the_list_itself_is_missed(tmp_path: Path) -> None:
    a_run(tmp_path, 1)
    second = a_run(tmp_path, 2)
    index = tmp_path / NAME
    index.unlink()
    with pytest.raises(Refused, match="is missing: it names the newest") as refusal:
        RunFolder(tmp_path, instance="micro")
    command = str(refusal.value).rpartition(": ")[2]
    subprocess.run(["sh", "-c", command], check=True)  # noqa: S607 - ours, as the text says
    assert index.read_text().split() == [id_of(second)]
    assert state_of(tmp_path) == (2, "")


def test_list_and_newest_gone_together_are_missed(tmp_path: Path) -> None:
    a_run(tmp_path, 1)
    a_run(tmp_path, 2).unlink()
    (tmp_path / NAME).unlink()
    with pytest.raises(Refused, match=NAME):
        RunFolder(tmp_path, instance="micro")


def test_old_journals_may_be_removed(tmp_path: Path) -> None:
    old = [a_run(tmp_path, count) for count in range(3)]
    a_run(tmp_path, 9)
    for path in old:
        path.unlink()
    assert state_of(tmp_path) == (9, "")


def test_a_crash_before_the_run_is_listed_loses_nothing(tmp_path: Path) -> None:
    a_run(tmp_path, 1)
    before = (tmp_path / NAME).read_text()
    a_run(tmp_path, 2)
    (tmp_path / NAME).write_text(before)
    assert state_of(tmp_path) == (2, "")
    a_run(tmp_path, 3)
    assert state_of(tmp_path) == (3, "")


def test_a_folder_of_before_there_were_lists_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal-0abc1234.ctape"
    journal = begin_journal(path, settings("0abc1234"), {}, 10, fsync=False)
    journal.event(10, Started(state={"n": 7}, damaged=""))
    journal.sync()
    journal.close()
    assert state_of(tmp_path) == (7, "")
    later = a_run(tmp_path, 8)
    later.unlink()
    with pytest.raises(Refused, match=id_of(later)):
        RunFolder(tmp_path, instance="micro")


@pytest.mark.parametrize("text", ["zzz\n", "0abc1234 gone\n", "\x00\xff\n"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(BadInput, match="names no run"):
        RunFolder(tmp_path, instance="micro")


# --- one at a time --------------------------------------------------------------------------------


def test_no_file_can_be_removed_to_come_in(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, instance="left")
    with pytest.raises(PeerUnavailable, match=rf"in use by left \(process {os.getpid()}\)"):
        RunFolder(tmp_path, instance="right")
    for name in list(tmp_path.iterdir()):
        name.unlink()
    with pytest.raises(PeerUnavailable, match="in use by another micro"):
        RunFolder(tmp_path, instance="right")
    (tmp_path / ".lock").write_text("made by hand\n")
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys; from pathlib import Path\n"
                "from citadel_micro.shell.journal.run_folder import RunFolder\n"
                "RunFolder(Path(sys.argv[1]), instance='right')"
            ),
            str(tmp_path),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert other.returncode != 0
    assert "in use by" in other.stderr
    folder.close()
    RunFolder(tmp_path, instance="right").close()


@pytest.mark.parametrize("name", [".lock", NAME])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.write_text("mine\n")
    path = tmp_path / "run"
    path.mkdir()
    (path / name).symlink_to(target)
    if name == NAME:
        with pytest.raises(BadInput, match="plain file"):
            RunFolder(path, instance="micro")
    else:
        a_run(path, 1)
        assert not (path / name).is_symlink()
    assert target.read_text() == "mine\n"


def test_a_link_that_leads_nowhere_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / ".lock").symlink_to(tmp_path / "nowhere")
    a_run(path, 1)
    assert not (tmp_path / "nowhere").exists()


# --- private --------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_files_are_their_users_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    path = tmp_path / "made" / "run"
    try:
        a_run(path, 1)
        a_run(path, 2)
        server = ControlServer(path, cast("Vitals", None))

        async def listen() -> dict[str, int]:
            await server.start()
            found = modes(path)
            await server.close()
            return found

        found: dict[str, Any] = asyncio.run(listen())
    finally:
        os.umask(before)
    assert len(found) == 5
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("other", "mode"), [("", 0o700), ("journal-0abc1234.ctape", 0o700), ("notes", 0o755)]
)
def test_a_folder_that_was_there_is_closed_unless_it_is_shared(
    tmp_path: Path, other: str, mode: int
) -> None:
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(0o755)
    if other:
        (path / other).write_text("x")
    RunFolder(path, instance="micro").close()
    assert stat.S_IMODE(path.stat().st_mode) == mode


def modes(path: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.iterdir()}
