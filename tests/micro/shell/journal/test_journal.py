from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from citadel_micro.core.model.commands import CancelOrder, Persist
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import DepthUpdate, Started, TimerFired
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.journal.journal import LISTED, MARKED, RUN, Journal, begin_journal
from citadel_micro.shell.journal.reader import JournalReader
from citadel_micro.shell.journal.run_folder import RunFolder, fold
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable
from citadel_proto.tape import EVENT, TapeHeader, TapeReader, TapeWriter

if TYPE_CHECKING:
    from pathlib import Path

INSTRUMENT = Instrument(
    venue="v",
    symbol="A/B",
    venue_symbol="AB",
    base="A",
    quote="B",
    settle="B",
    kind="spot",
    tick=Decimal("0.1"),
    lot=Decimal("0.001"),
    min_lots=1,
    min_notional=Decimal(5),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
    fee_side="received",
)
TICK = DepthUpdate("v", "A/B", True, 1, 1, -1, None, [(1.0, 2.0)], [(2.0, 2.0)], 3, 4)


def begin(folder: RunFolder) -> Journal:
    config = EngineConfig(
        run_id=folder.run_id,
        instance="micro",
        venues={"v": VenueConfig(integrity="snapshot_only")},
        limits=paper_defaults(max_order_quantity={"A/B": Decimal("0.5")}),
        algo_defaults={"chase_limit": {"post_only": True}},
    )
    journal = folder.create(config, {("v", "A/B"): INSTRUMENT}, 10)
    journal.event(10, Started(state=folder.state, damaged=folder.damaged))
    return journal


def first_run(path: Path) -> Path:
    """A run that kept two keys and one order, and was killed after its last sync."""
    folder = RunFolder(path, instance="micro")
    journal = begin(folder)
    journal.command(11, Persist(key="a", value={"n": 1}))
    journal.command(11, Persist(key="b", value=[1, 2]))
    journal.venue_state(12, "v", {"account": {"x": "1"}, "order/1": {"y": 2}})
    journal.sync()
    journal.event(13, TICK)
    journal.command(14, Persist(key="a", value=None))
    journal.command(14, Persist(key="b", value=[3]))
    journal.venue_state(15, "v", {"account": {"x": "2"}})
    journal.sync()
    journal.close()
    folder.close()
    return journal.path


def test_state_is_the_last_value_of_every_key(tmp_path: Path) -> None:
    first_run(tmp_path)
    folder = RunFolder(tmp_path, instance="micro")
    assert folder.state == {"b": [3]}
    assert folder.venues == {"v": {"account": {"x": "2"}, "order/1": {"y": 2}}}
    assert (folder.damaged, folder.torn, folder.last_ns) == ("", "", 15)
    folder.close()


def test_a_long_journal_is_folded_by_its_marked_blocks(tmp_path: Path) -> None:
    path = first_run(tmp_path)
    with TapeReader.open(path) as reader:
        assert reader.header.meta[MARKED] is True
    whole = fold(path)
    assert whole.started

    # The same journal as if no block were marked: everything is read, and nothing else found.
    plain = tmp_path / "plain.ctape"
    header = TapeHeader(created_ns=1, meta={LISTED: True, RUN: whole.run})
    with TapeReader.open(path) as reader, TapeWriter.create(plain, header) as to:
        for record in reader.records():
            to.append(*record)
    assert fold(plain) == whole


def test_what_a_restart_needs_is_marked_and_the_market_is_not(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, instance="micro")
    journal = begin(folder)
    journal.sync()
    for number in range(5):
        journal.event(20 + number, TICK)
        journal.command(20 + number, CancelOrder(venue="v", symbol="A/B", client_id="x"))
        journal.flush()
    journal.command(30, Persist(key="a", value=1))
    journal.flush()
    journal.venue_state(31, "v", {"k": 1})
    journal.flush()
    journal.event(32, TICK)
    journal.flush()
    journal.event(33, TICK)
    journal.close()
    folder.close()
    with TapeReader.open(journal.path) as reader:
        times = [record.recv_ns for record in reader.records(marked=True)]
    # The header and Started, the two that are needed, and the last block for when it ended.
    assert times == [10, 10, 30, 31, 33]
    found = fold(journal.path)
    assert (found.state, found.venues, found.last_ns) == ({"a": 1}, {"v": {"k": 1}}, 33)


def test_only_the_newest_journal_is_needed(tmp_path: Path) -> None:
    first = first_run(tmp_path)
    folder = RunFolder(tmp_path, instance="micro")
    journal = begin(folder)
    journal.command(20, Persist(key="c", value=1))
    journal.sync()
    journal.close()
    folder.close()
    assert journal.path.name > first.name
    first.unlink()
    again = RunFolder(tmp_path, instance="micro")
    assert again.state == {"b": [3], "c": 1}
    again.close()


def test_a_journal_has_no_name_before_its_beginning_is_on_the_disk(tmp_path: Path) -> None:
    first = first_run(tmp_path)
    folder = RunFolder(tmp_path, instance="micro")
    journal = begin(folder)
    journal.flush()
    assert folder.journals() == [first]
    journal.sync()
    assert folder.journals() == [first, journal.path]
    journal.close()
    folder.close()


def test_a_run_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, instance="micro")
    begin(folder).close()
    folder.close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_leftovers_of_a_crash_at_the_beginning_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".journal-00000000.ctape").write_bytes(b"half")
    RunFolder(tmp_path, instance="micro").close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("fsync", [True, False])
def test_what_is_sent_next_is_on_its_way_to_the_disk_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fsync: bool
) -> None:
    config = EngineConfig(
        run_id="r",
        instance="micro",
        venues={"v": VenueConfig(integrity="snapshot_only")},
        limits=paper_defaults(),
    )
    asked: list[str] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *_what: asked.append("begin"))
    monkeypatch.setattr(os, "fdatasync", lambda _fd: asked.append("wait"))
    path = tmp_path / "journal-r.ctape"
    journal = begin_journal(path, config, {("v", "A/B"): INSTRUMENT}, 10, fsync=fsync)
    journal.event(10, Started(state={}, damaged=""))
    journal.sync()
    before, asked[:] = path.stat().st_size, []
    journal.event(11, TICK)
    journal.command(11, Persist(key="a", value=1))
    journal.start_sync()
    written = path.stat().st_size
    assert written > before
    journal.sync()
    assert path.stat().st_size == written
    assert asked == (["begin", "wait"] if fsync else [])
    journal.close()


def test_market_events_wait_for_a_flush(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, instance="micro")
    journal = begin(folder)
    journal.sync()
    before = journal.path.stat().st_size
    journal.event(11, TICK)
    assert journal.path.stat().st_size == before
    journal.flush()
    assert journal.path.stat().st_size > before
    journal.close()
    folder.close()


def test_two_micros_on_one_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, instance="left")
    with pytest.raises(PeerUnavailable, match=r"left.*--run-dir"):
        RunFolder(tmp_path, instance="right")
    folder.close()
    RunFolder(tmp_path, instance="right").close()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="--run-dir"):
        RunFolder(tmp_path / "file" / "inside", instance="micro")


def block_ends(path: Path) -> list[int]:
    with TapeReader.open(path) as reader:
        ends = [reader.offset]
        for _ in reader.records():
            if reader.offset != ends[-1]:
                ends.append(reader.offset)
    return ends


def test_every_cut_of_the_end_keeps_what_is_before(tmp_path: Path) -> None:
    path = first_run(tmp_path)
    whole = path.read_bytes()
    with_all = fold(path)
    assert with_all.state == {"b": [3]}
    borders = [size for size in block_ends(path) if size < len(whole)]
    seen = set()
    for size in range(len(whole) - 1, block_ends(path)[0], -1):
        path.write_bytes(whole[:size])
        found = fold(path)
        assert found.damaged == ""
        assert bool(found.torn) == (size not in borders)
        seen.add(str(found.state))
    assert seen == {"{}", "{'a': {'n': 1}, 'b': [1, 2]}"}


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = first_run(tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 0x55
        path.write_bytes(bytes(changed))
        found = fold(path)
        assert found.damaged or found.torn, f"byte {at}"
        if at < len(whole) - 400:  # not in the last block, so it is no tear
            assert found.damaged, f"byte {at}"


def test_zeros_that_a_power_failure_left_are_a_tear(tmp_path: Path) -> None:
    path = first_run(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(4096))
    found = fold(path)
    assert found.state == {"b": [3]}
    assert (found.damaged, bool(found.torn)) == ("", True)


def test_a_damaged_journal_is_reported_with_how_to_look_at_it(tmp_path: Path) -> None:
    path = first_run(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))
    folder = RunFolder(tmp_path, instance="micro")
    assert f"citadel tape info {path}" in folder.damaged
    folder.close()


def test_a_newest_file_that_is_no_journal_is_damage(tmp_path: Path) -> None:
    first_run(tmp_path)
    (tmp_path / "journal-yyyyyyyy.ctape").write_bytes(b"hello")
    folder = RunFolder(tmp_path, instance="micro")
    assert "journal-yyyyyyyy" in folder.damaged
    folder.close()


def test_the_header_makes_a_journal_whole_by_itself(tmp_path: Path) -> None:
    reader = JournalReader(first_run(tmp_path))
    assert reader.header.instruments == {("v", "A/B"): INSTRUMENT}
    config = reader.header.config
    assert config.limits.max_order_quantity == {"A/B": Decimal("0.5")}
    assert config.algo_defaults == {"chase_limit": {"post_only": True}}
    assert config.venues["v"] == VenueConfig(integrity="snapshot_only")
    assert reader.header.versions["stoic-citadel"]
    first = next(reader.records())
    assert (first.direction, first.recv_ns) == (EVENT, 10)
    reader.close()


def test_what_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "x.ctape"
    with pytest.raises(BadInput):
        JournalReader(path)
    path.write_bytes(b"")
    with pytest.raises(DecodeError):
        JournalReader(path)


def test_run_ids_grow_whatever_the_clock_says(tmp_path: Path) -> None:
    names = []
    for _ in range(5):
        (tmp_path / "journal-notes.ctape").touch()  # not ours: left alone
        folder = RunFolder(tmp_path, instance="micro")
        journal = begin(folder)
        journal.event(2 * 10**18, TimerFired())
        journal.command(2 * 10**18, CancelOrder(venue="v", symbol="s", client_id="c"))
        journal.sync()
        names.append(journal.path.name)
        journal.close()
        folder.close()
    assert names == sorted(set(names))
    assert all(len(name) == len(names[0]) for name in names)
