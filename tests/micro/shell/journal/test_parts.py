"""A run's journal in parts: the same records, a restart from the newest alone, and no moment without it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from engine_kit import KEY, MS, START, Rig, config, rules, signal

from citadel_bridge.cli import main
from citadel_micro.core.model.commands import Persist
from citadel_micro.core.model.events import Started
from citadel_micro.shell.journal import journal as journals
from citadel_micro.shell.journal.journal import Beginning, begin_journal
from citadel_micro.shell.journal.parts import earlier_part, files_of, runs_of
from citadel_micro.shell.journal.reader import JournalReader
from citadel_micro.shell.journal.round_trips import round_trips
from citadel_micro.shell.journal.run_folder import RunFolder, fold
from citadel_micro.shell.journal.verify import verify
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import TapeReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event
    from citadel_proto.tape import TapeWriter

NAME = "journal-0000000a.ctape"
PART = 6_000


class Flushed(Rig):
    """A rig whose journal is flushed as the runner does it: between events, every tenth of a second."""

    def __init__(self, path: Path, part_octets: int) -> None:
        self.journal = begin_journal(
            path,
            config(),
            {KEY: rules()},
            START,
            fsync=False,
            part_octets=part_octets,
            compress=False,
        )
        self._flushed = START
        super().__init__()

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        if self.now - self._flushed >= 100 * MS:
            self._flushed = self.now
            self.journal.flush()
        self.journal.event(self.now, event)
        for command in commands:
            self.journal.command(self.now, command)
        if any(isinstance(each, Persist) for each in commands):
            self.journal.sync()


def lived(folder: Path, part_octets: int = PART) -> Path:
    """The journal of a life of some orders; in one file with 0."""
    folder.mkdir(exist_ok=True)
    rig = Flushed(folder / NAME, part_octets)
    rig.venue.partial_share = 0.0
    for number in range(8):
        how = {"algo": "marketable_limit"} if number % 2 else {"algo": "limit"}
        rig.send(signal(f"s{number}", seq=number + 1, **how))
        rig.run(300 * MS)
    rig.journal.venue_state(rig.now, "paper", {"cash": "7", "gone": 1})
    rig.journal.venue_state(rig.now, "paper", {"gone": None})
    rig.run(300 * MS)
    rig.journal.flush()
    rig.journal.close()
    return rig.journal.path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived(tmp_path_factory.mktemp("whole"), 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The newest part of a run of several."""
    path = lived(tmp_path / "run")
    assert len(files_of(path)) > 3
    return path


def rows_of(path: Path) -> list[tuple[int, int, bytes]]:
    reader = JournalReader(path)
    try:
        return [(row.direction, row.recv_ns, row.frame) for row in reader.records()]
    finally:
        reader.close()


def test_the_parts_hold_what_one_file_would(run: Path, whole: Path) -> None:
    assert rows_of(run) == rows_of(whole)
    found = verify(run)
    assert found.difference is None
    assert not found.damaged
    assert (found.events, found.commands) == (verify(whole).events, verify(whole).commands)
    assert round_trips(run.parent) == round_trips(whole.parent)


def test_an_earlier_part_is_recomputed_with_those_before_it(run: Path) -> None:
    second = earlier_part(run, 2)
    found = verify(second)
    assert found.difference is None
    assert verify(earlier_part(run, 1)).events < found.events < verify(run).events
    assert runs_of(run.parent) == [run]


def test_the_newest_part_is_enough_for_a_restart(run: Path, whole: Path) -> None:
    one = fold(whole)
    for path in files_of(run)[:-1]:
        path.unlink()
    newest = fold(run)
    assert one.state
    assert one.venues == {"paper": {"cash": "7"}}
    assert (newest.state, newest.venues) == (one.state, one.venues)
    assert newest.instruments == one.instruments
    assert newest.started
    assert newest.last_ns == one.last_ns
    folder = RunFolder(run.parent, instance="micro")
    try:
        assert (folder.state, folder.damaged) == (one.state, "")
    finally:
        folder.close()


def test_a_run_without_its_beginning_is_not_recomputed(run: Path) -> None:
    earlier_part(run, 1).unlink()
    with pytest.raises(BadInput, match="part 1 of this run's journal is missing"):
        verify(run)
    earlier_part(run, 2).unlink()
    with pytest.raises(BadInput, match="parts 1 to 2 of"):
        verify(run)


def test_damage_in_an_earlier_part_is_reported_and_ends_the_replay(run: Path) -> None:
    broken = earlier_part(run, 2)
    octets = bytearray(broken.read_bytes())
    octets[-1] ^= 1
    broken.write_bytes(octets)
    found = verify(run)
    assert found.difference is None
    assert f"{broken.name}: a block's checksum fails at byte" in found.damaged
    assert found.events >= verify(earlier_part(run, 1)).events


def ends_of(path: Path) -> list[int]:
    """Where each block of a file ends."""
    with TapeReader.open(path) as tape:
        return list(dict.fromkeys(tape.offset for _ in tape.records()))


def test_an_earlier_part_that_was_shortened_is_never_taken_for_all_of_it(run: Path) -> None:
    """Also between two blocks, where nothing is torn: what is gone would be an event nobody had."""
    shortened = earlier_part(run, 2)
    octets = shortened.read_bytes()
    *ends, whole = ends_of(shortened)
    assert (whole, len(ends) > 2) == (len(octets), True)
    for end in ends:
        shortened.write_bytes(octets[:end])
        found = verify(run)
        assert found.difference is None
        assert found.damaged == f"{shortened.name}: it ends at byte {end} of {whole}"
        out = run.parent / "merged.tape"
        words = ["tape", "merge", *map(str, files_of(run)), "--out", str(out)]
        assert main(words) == 2
        assert not out.exists()
    assert fold(run).state  # a restart needs the newest only


def test_a_part_under_another_ones_name_is_not_taken_for_it(run: Path) -> None:
    second = earlier_part(run, 2)
    second.write_bytes(earlier_part(run, 3).read_bytes())
    with pytest.raises(DecodeError, match="is part 3 of its run, not 2"):
        verify(run)


def test_parts_that_do_not_say_how_long_they_were_are_read_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Beginning.write
    monkeypatch.setattr(Beginning, "write", lambda self, path, part, _=0: begin(self, path, part))
    found = verify(lived(tmp_path / "run"))
    assert (found.difference, found.damaged) == (None, "")


class Killed(BaseException):
    """The process died here."""


def die(*_: object, **__: object) -> NoReturn:
    raise Killed


@pytest.mark.parametrize("where", ["create", "sync", "link", "rename", "folder"])
def test_a_death_while_a_part_begins_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = RunFolder(tmp_path, instance="micro")
    opened: list[TapeWriter] = []
    begin = Beginning.write

    def write(self: Beginning, path: Path, part: int, before: int = 0) -> TapeWriter:
        opened.append(begin(self, path, part, before))
        return opened[-1]

    monkeypatch.setattr(Beginning, "write", write)
    journal = folder.create(config(), {KEY: rules()}, START, part_octets=2_000)
    journal.event(START, Started(state={"old": 1}, damaged=""))
    for number in range(100):
        journal.command(START + number, Persist(key=f"k{number % 7}", value=[number]))
    journal.sync()
    with monkeypatch.context() as dying:
        if where == "create":
            dying.setattr(Beginning, "write", die)
        elif where == "sync":
            dying.setattr(os, "fdatasync", die)
        elif where == "link":
            dying.setattr(os, "link", die)
        elif where == "rename":
            dying.setattr(Path, "rename", die)
        else:
            dying.setattr(journals, "sync_folder", die)
        with pytest.raises(Killed):
            journal.flush()
    for each in opened:  # as the end of a process does: nothing more is written
        each._file.close()
    folder.close()
    after = RunFolder(tmp_path, instance="micro")
    try:
        values = {f"k{number % 7}": [number] for number in range(100)}
        assert after.state == {"old": 1, **values}
        assert (after.damaged, after.torn) == ("", "")
        assert [path.name for path in tmp_path.glob(".journal-*")] == []
        assert verify_rows(after.newest) == 102
    finally:
        after.close()


def verify_rows(path: Path | None) -> int:
    """Records of a run, each once, whichever files hold it; with the header's."""
    assert path is not None
    return 1 + len(rows_of(path))


def test_where_no_part_can_begin_the_run_goes_on_in_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = lived(tmp_path / "run")
    assert files_of(path) == [path]
    assert [each.name for each in path.parent.iterdir()] == [NAME]
    assert rows_of(path) == rows_of(whole)


@pytest.mark.parametrize("further", [False, True], ids=["this part", "the further one"])
def test_a_disk_that_lost_what_was_written_ends_the_run_and_one_that_takes_no_part_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, further: bool
) -> None:
    """The kernel tells a failed write once; the next fdatasync of the same file says that all is well."""
    folder = RunFolder(tmp_path, instance="micro")
    journal = folder.create(config(), {KEY: rules()}, START, part_octets=2_000)
    journal.event(START, Started(state={}, damaged=""))
    for number in range(100):
        journal.command(START + number, Persist(key=f"k{number}", value=[number]))
    journal.sync()
    calls: list[int] = []
    real = os.fdatasync

    def fail_once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == (2 if further else 1):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fail_once)
    try:
        if further:
            journal.flush()
            assert journal.part == 1
        else:
            with pytest.raises(OSError, match="Input/output"):
                journal.flush()
    finally:
        journal.close()
        folder.close()


def test_merged_parts_are_the_journal_in_one_file(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.ctape"
    words = ["tape", "merge", *map(str, files_of(run)[::-1]), "--out", str(out)]
    assert main(words) == 0
    assert rows_of(out) == rows_of(run)
    assert main(["replay", str(out), "--verify"]) == 0
    half = tmp_path / "half.ctape"
    assert main(["tape", "merge", *map(str, files_of(run)[1:]), "--out", str(half)]) == 2
    assert not half.exists()


def test_an_incident_holds_every_part_of_its_runs(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "incident.tar.zst"
    assert main(["incident", "pack", "--run-dir", str(run.parent), "--out", str(out)]) == 0
    assert main(["incident", "replay", str(out), "--to", str(tmp_path / "there")]) == 0
    unpacked = sorted(path.name for path in (tmp_path / "there").glob("*.ctape"))
    assert unpacked == sorted(path.name for path in files_of(run))
    assert verify(tmp_path / "there" / NAME).events == verify(run).events


def test_tables_are_of_every_part(run: Path, whole: Path, tmp_path: Path) -> None:
    for path, out in ((run, "parts"), (whole, "one")):
        words = ["export", str(path), "--out", str(tmp_path / out), "--format", "jsonl"]
        assert main(words) == 0
    for table in (tmp_path / "one").iterdir():
        assert (tmp_path / "parts" / table.name).read_bytes() == table.read_bytes()


def test_old_parts_of_a_long_run_go(run: Path) -> None:
    files = files_of(run)
    size = sum(path.stat().st_size for path in files[-2:])
    assert main(["journal", "tidy", str(run.parent), "--keep-gb", str(size / 1e9 + 1e-9)]) == 0
    assert files_of(run) == files[-2:]
    assert main(["journal", "tidy", str(run.parent), "--keep-gb", "0.000000001"]) == 0
    assert files_of(run) == [run], "never the newest"
