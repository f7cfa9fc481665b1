"""The intent log: what is recorded survives, and states only move forward."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import stat
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from citadel_bridge.errors import IntentsUnwritable, PortTaken
from citadel_bridge.intents import IntentLog
from citadel_bridge.signal_ids import SignalIds
from citadel_proto.errors import BadInput
from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def signal(signal_id: str, created_ns: int = 1) -> Signal:
    return Signal(
        signal_id=signal_id,
        strategy="s",
        venue="paper",
        symbol="BTC/USDT",
        side="buy",
        quantity="1",
        created_ns=created_ns,
        expires_ns=created_ns + 10,
        epoch=1,
        seq=1,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "intents.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[IntentLog]:
    log = IntentLog(path)
    yield log
    log.close()


def ids(intents: list[object]) -> list[str]:
    return [intent.signal.signal_id for intent in intents]  # type: ignore[attr-defined]


def test_a_system_without_fdatasync_has_a_log_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS."""
    waited: list[int] = []
    monkeypatch.delattr(os, "fdatasync")
    monkeypatch.setattr(os, "fsync", waited.append)
    log = IntentLog(path)
    log.record(signal("a"))
    before = len(waited)
    log.sync()
    assert len(waited) == before + 1
    log.close()
    assert len(waited) > before + 1  # what is in the database now


def test_pending_survives_a_restart_with_every_field(path: Path) -> None:
    sent = msgspec.structs.replace(signal("a"), params={"x": 1.5, "y": True}, confidence=0.7)
    first = IntentLog(path)
    first.record(sent)
    first.close()
    second = IntentLog(path)
    assert [intent.signal for intent in second.pending()] == [sent]
    second.close()


def test_the_epoch_grows_even_when_the_clock_goes_back(path: Path) -> None:
    epochs = []
    for wall in (1000, 500, 500, 2000):
        log = IntentLog(path)
        epochs.append(log.next_epoch(wall))
        log.close()
    assert epochs == [1000, 2000, 3000, 4000]
    assert len({SignalIds(epoch).make() for epoch in epochs}) == 4


def test_an_id_is_looked_up_unless_it_was_made_for_this_run(path: Path) -> None:
    before = IntentLog(path)
    before.record(signal("a"), new_id=True)
    with pytest.raises(BadInput, match="used before"):
        before.record(signal("a"), new_id=True)  # not in the database yet
    before.close()
    after = IntentLog(path)
    with pytest.raises(BadInput, match="used before"):
        after.record(signal("a"))
    after.close()


@pytest.mark.parametrize("new_id", [True, False])
def test_nothing_is_recorded_in_a_closed_log(path: Path, *, new_id: bool) -> None:
    """Also while another thread closes it: what was not written must not be published."""
    log = IntentLog(path)
    log.close()
    log.close()
    with pytest.raises(IntentsUnwritable, match="cannot be written"):
        log.record(signal("a"), new_id=new_id)


def test_an_id_of_this_run_cannot_be_chosen() -> None:
    ids = SignalIds(1_700_000_000_000_000_000)
    made = ids.make()
    for taken in (made, made[:-1] + "2"):
        with pytest.raises(BadInput, match="used before, or will be"):
            ids.own(taken)
    assert ids.own(f"{made}-flat1") == f"{made}-flat1"  # as of a position that is flattened
    assert ids.own("mine-1") == "mine-1"
    assert ids.make() == made[:-1] + "2"


def test_an_id_is_used_once(log: IntentLog) -> None:
    log.record(signal("a"))
    with pytest.raises(BadInput, match="used before"):
        log.record(signal("a"))


def test_states_move_forward_only(log: IntentLog) -> None:
    log.record(signal("a"))
    log.acknowledge("a", "working", 3)
    assert log.pending() == []
    assert len(log.unfinished()) == 1
    log.acknowledge("a", "accepted", 1)  # an older report, late
    found = log.get("a")
    assert found is not None
    assert (found.state, found.status) == ("acknowledged", "working")
    log.withdraw("a")  # too late: micro has it
    assert log.get("a") == found
    log.acknowledge("a", "filled", 4)
    log.acknowledge("a", "working", 5)
    found = log.get("a")
    assert found is not None
    assert (found.state, found.status) == ("done", "filled")
    assert log.unfinished() == []


def test_a_withdrawn_signal_is_pending_no_more(log: IntentLog) -> None:
    log.record(signal("a"))
    log.withdraw("a")
    assert log.pending() == []
    assert len(log.unfinished()) == 1


def test_orphans_are_what_the_trade_database_does_not_know(log: IntentLog) -> None:
    for n, name in enumerate("abcd"):
        log.record(signal(name, created_ns=n))
    log.acknowledge("b", "filled", 2)
    assert ids(list(log.orphans({"a"}))) == ["b", "c", "d"]
    assert ids(list(log.orphans({"a"}, since_ns=2))) == ["c", "d"]
    log.resolve("c", "adopted")
    assert ids(list(log.orphans({"a"}))) == ["b", "d"]


def test_two_processes_cannot_share_a_log(log: IntentLog, path: Path) -> None:
    assert log.pending() == []
    with pytest.raises(PortTaken, match="running process"):
        IntentLog(path)


def test_no_file_can_be_removed_to_share_a_log(log: IntentLog, path: Path) -> None:
    path.with_name(f"{path.name}.lock").unlink()
    with pytest.raises(PortTaken, match="belongs to a running process"):
        IntentLog(path)
    log.record(signal("after"))


def test_a_log_is_its_users_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        opened = IntentLog(path)
        opened.record(signal("a"))
        found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        opened.close()
    finally:
        os.umask(before)
    assert len(found) == 5
    assert set(found.values()) == {0o600}


def test_the_lock_file_is_not_made_through_a_link(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(f"{path.name}.lock").symlink_to(path.with_name("elsewhere"))
    with pytest.raises(BadInput, match="cannot write the intent log"):
        IntentLog(path)
    assert not path.with_name("elsewhere").exists()


def test_a_log_in_memory_needs_no_file() -> None:
    log = IntentLog(None)
    log.record(signal("a"))
    log.sync()
    assert ids(list(log.pending())) == ["a"]
    log.close()


def test_a_file_that_is_no_log_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, but long enough to be looked at " * 100)
    before = path.read_bytes()
    with pytest.raises(BadInput, match="intent log"):
        IntentLog(path)
    assert path.read_bytes() == before


def test_a_log_of_a_later_version_is_refused(path: Path) -> None:
    IntentLog(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(BadInput, match="version 99"):
        IntentLog(path)


def test_nothing_is_sent_without_a_record(log: IntentLog, path: Path) -> None:
    log.record(signal("a"))
    recent = path.with_name(path.name + "-recent")
    size = recent.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))  # a disk with little room
    try:
        with pytest.raises(IntentsUnwritable, match="nothing was sent"):
            log.record(signal("b"))
        assert recent.stat().st_size == size, "half a record would hide the next ones"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.record(signal("c"))
    assert ids(list(log.pending())) == ["a", "c"]


def crashed(path: Path, *names: str) -> Path:
    """What a process leaves that recorded these and was killed."""
    log = IntentLog(path)
    for name in names:
        log.record(signal(name))
    log.sync()
    copy = path.parent / "after"
    shutil.copytree(path.parent, copy, ignore=shutil.ignore_patterns("after"))
    log.close()
    return copy / path.name


def test_what_the_database_had_not_is_there_after_a_crash(path: Path) -> None:
    after = crashed(path, "a", "b")
    with sqlite3.connect(after) as db:
        assert db.execute("SELECT count(*) FROM intent").fetchone() == (0,)
    db.close()
    log = IntentLog(after)
    assert ids(list(log.pending())) == ["a", "b"]
    with pytest.raises(BadInput, match="used before"):
        log.record(signal("a"))
    log.acknowledge("a", "filled", 1)
    log.close()
    log = IntentLog(after)
    assert ids(list(log.pending())) == ["b"]
    log.close()


def test_what_became_of_a_signal_is_not_undone_by_an_older_record(path: Path) -> None:
    log = IntentLog(path)
    log.record(signal("a"))
    log.acknowledge("a", "filled", 1)
    copy = path.parent / "after"  # the database has both, and the record is still beside it
    shutil.copytree(path.parent, copy, ignore=shutil.ignore_patterns("after"))
    log.close()
    assert (copy / f"{path.name}-recent").stat().st_size > 0
    log = IntentLog(copy / path.name)
    found = log.get("a")
    assert found is not None
    assert found.state == "done"
    log.close()


@pytest.mark.parametrize("lost", [1, 20])
def test_a_torn_record_is_what_was_never_published(path: Path, lost: int) -> None:
    after = crashed(path, "a", "b")
    recent = after.with_name(after.name + "-recent")
    recent.write_bytes(recent.read_bytes()[:-lost])
    log = IntentLog(after)
    assert ids(list(log.pending())) == ["a"]
    log.record(signal("b"))
    assert ids(list(log.pending())) == ["a", "b"]
    log.close()


def test_a_damaged_record_ends_what_is_believed(path: Path) -> None:
    after = crashed(path, "a", "b")
    recent = after.with_name(after.name + "-recent")
    data = bytearray(recent.read_bytes())
    data[-3] ^= 1
    recent.write_bytes(data)
    log = IntentLog(after)
    assert ids(list(log.pending())) == ["a"]
    log.close()


def test_the_write_ahead_log_does_not_grow_for_ever(log: IntentLog, path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    recent = path.with_name(path.name + "-recent")
    sizes = []
    for round_ in range(4):
        for n in range(100):
            log.record(signal(f"{round_}-{n}"))
        log.checkpoint()
        sizes.append(wal.stat().st_size)
        assert recent.stat().st_size == 0
    assert sizes[-1] <= sizes[0] * 1.5


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"x": "y" * 2_000}},
        {"params": {"x": None}},
        {"params": {"x": 2**70}},
        {"params": {"x": "\ud800"}},
        {"strategy": "s" * 200},
        {"reduce_only": None},
        {"candle_ns": np.int64(5)},
    ],
)
def test_what_could_not_be_read_again_is_not_recorded(
    path: Path, changes: dict[str, object]
) -> None:
    """Else one such signal keeps macro from ever starting again."""
    log = IntentLog(path)
    with pytest.raises(BadInput, match="can be sent"):
        log.record(msgspec.structs.replace(signal("a"), **changes))
    log.record(signal("b"))
    log.close()
    again = IntentLog(path)
    assert ids(again.pending()) == ["b"]  # type: ignore[arg-type]
    again.close()
