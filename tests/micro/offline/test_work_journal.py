"""``citadel work --journal`` and ``citadel replay --verify``: it agrees, or says where it does not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from citadel_micro.core.model.events import OrderFilled
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.reader import JournalReader
from citadel_proto.tape import COMMAND, EVENT, TapeReader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_proto.tape import Record

    Citadel = Any


@pytest.fixture(scope="session")
def journal(citadel: Citadel, capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "run.ctape"
    plain = citadel(*citadel.arguments(capture), "--json")
    written = citadel(*citadel.arguments(capture), "--json", "--journal", path)
    assert written.returncode == 0, written.stderr
    assert written.stdout == plain.stdout, "writing it down changes nothing"
    return path


def test_a_journal_agrees_with_itself(citadel: Citadel, journal: Path) -> None:
    verified = citadel("replay", journal, "--verify", hash_seed=5, kernel="python")
    assert verified.returncode == 0, verified.stdout
    counts = re.fullmatch(r"(\d+) events, (\d+) commands agreed\n", verified.stdout)
    assert counts is not None
    assert int(counts[1]) > 600
    assert int(counts[2]) > 10
    assert [path.name for path in journal.parent.iterdir()] == ["run.ctape"]


def test_the_same_run_writes_the_same_journal_with_either_kernel(
    citadel: Citadel, capture: Path, journal: Path, tmp_path: Path
) -> None:
    again = tmp_path / "run.ctape"
    done = citadel(*citadel.arguments(capture), "--journal", again, hash_seed=9, kernel="python")
    assert done.returncode == 0
    assert again.read_bytes() == journal.read_bytes()


def test_an_existing_file_is_left_alone(citadel: Citadel, capture: Path, journal: Path) -> None:
    before = journal.read_bytes()
    assert "the file exists" in citadel.refuse(capture, "--journal", journal)
    assert journal.read_bytes() == before
    nowhere = journal.parent / "no" / "such" / "folder.ctape"
    assert "cannot create" in citadel.refuse(capture, "--journal", nowhere)


def rewritten(journal: Path, path: Path, change: Callable[[Record], bytes | None]) -> Path:
    """The journal with some frames changed or left out, and checksums that are right again."""
    with TapeReader.open(journal) as reader, TapeWriter.create(path, reader.header) as writer:
        for record in reader.records():
            frame = change(record)
            if frame is not None:
                writer.append(record.direction, record.recv_ns, frame)
    return path


def test_a_changed_command_is_found(citadel: Citadel, journal: Path, tmp_path: Path) -> None:
    changed: list[int] = []

    def once(record: Record) -> bytes:
        is_report = record.direction == COMMAND and b"PublishReport" in record.frame
        if is_report and not changed:
            changed.append(record.recv_ns)
            return record.frame.replace(b"work-1", b"work-2", 1)
        return record.frame

    shown = citadel("replay", rewritten(journal, tmp_path / "a", once), "--verify")
    assert changed
    assert shown.returncode == 1
    assert "differs" in shown.stdout
    assert "expected: ['PublishReport'" in shown.stdout
    assert "work-2" in shown.stdout


def test_a_missing_event_and_a_missing_command_are_found(
    citadel: Citadel, journal: Path, tmp_path: Path
) -> None:
    def without(direction: int, name: bytes, path: Path) -> Path:
        left = [1]

        def drop(record: Record) -> bytes | None:
            if record.direction == direction and name in record.frame[:20] and left:
                left.pop()
                return None
            return record.frame

        return rewritten(journal, path, drop)

    event = citadel("replay", without(EVENT, b"SignalReceived", tmp_path / "a"), "--verify")
    assert event.returncode == 1, event.stdout
    command = citadel("replay", without(COMMAND, b"Persist", tmp_path / "b"), "--verify")
    assert command.returncode == 1, command.stdout
    assert "differs" in command.stdout


def test_a_changed_fill_is_found(citadel: Citadel, journal: Path, tmp_path: Path) -> None:
    changed: list[OrderFilled] = []

    def bigger(record: Record) -> bytes:
        event = records.decode_event(record.frame) if record.direction == EVENT else None
        if not isinstance(event, OrderFilled):
            return record.frame
        changed.append(replace(event, fee=event.fee * 2))
        return records.encode(changed[-1])

    shown = citadel("replay", rewritten(journal, tmp_path / "a", bigger), "--verify")
    assert changed
    assert shown.returncode == 1
    assert "OrderFilled" in shown.stdout


def test_damage_to_the_file_is_found(citadel: Citadel, journal: Path, tmp_path: Path) -> None:
    data = bytearray(journal.read_bytes())
    path = tmp_path / "damaged.ctape"
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    checked = citadel("tape", "verify", path)
    assert checked.returncode == 1
    assert "byte" in checked.stdout + checked.stderr
    shown = citadel("replay", path, "--verify")
    # What comes before the damage agrees, but nobody knows what came after it.
    assert shown.returncode == 1
    assert "damaged: " in shown.stdout


def test_a_torn_end_is_reported_and_what_is_there_agrees(
    citadel: Citadel, journal: Path, tmp_path: Path
) -> None:
    path = tmp_path / "torn.ctape"
    path.write_bytes(journal.read_bytes()[:-7])
    shown = citadel("replay", path, "--verify")
    assert shown.returncode == 0
    assert "note: " in shown.stdout
    assert "commands agreed" in shown.stdout


def test_what_is_no_journal(citadel: Citadel, capture: Path, tmp_path: Path) -> None:
    for path in (capture, tmp_path / "absent"):
        shown = citadel("replay", path, "--verify")
        assert shown.returncode == 2
        assert "Traceback" not in shown.stderr


def test_a_header_can_be_read_from_any_journal(journal: Path) -> None:
    reader = JournalReader(journal)
    try:
        assert reader.header.run_id == "work"
        assert list(reader.header.instruments) == [("binance-spot", "AAA/USDT")]
    finally:
        reader.close()
