"""Market events in a journal: what order waits for which record, and what is left after a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack  # type: ignore[import-untyped]
import pytest
from engine_kit import KEY, config, rules

from citadel_bridge import tape_inspect
from citadel_micro.core.model.commands import CancelOrder
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, Started, TimerFired, TradeTick
from citadel_micro.shell.export.rows import Rows
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.journal import begin_journal
from citadel_micro.shell.journal.reader import JournalReader, event_of
from citadel_micro.shell.journal.run_folder import fold
from citadel_proto import tape
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.journal.journal import Journal

VENUE, SYMBOL = KEY
BOOK: Final = DepthUpdate(
    VENUE, SYMBOL, True, 1, 7, -1, None, [(1.5, 2.0), (1.4, 1.0)], [(1.6, 2.0)], 3, 4
)
QUOTE: Final = QuoteTick(VENUE, SYMBOL, 8, 1.5, 2.0, 1.6, 2.25, 5, 6)
TRADE: Final = TradeTick(VENUE, SYMBOL, "t-1", 1.6, 0.5, "buy", 7, 8)
CANCEL: Final = CancelOrder(venue=VENUE, symbol=SYMBOL, client_id="x")


def begin(path: Path, *, deltas: bool = True) -> Journal:
    journal = begin_journal(path, config(), {KEY: rules()}, 1, fsync=False, deltas=deltas)
    journal.event(1, Started(state={}, damaged=""))
    journal.sync()
    return journal


def directions(path: Path) -> str:
    with tape.TapeReader.open(path) as reader:
        return "".join(chr(record.direction) for record in reader.records())


def events(path: Path) -> list[tuple[int, Event]]:
    reader = JournalReader(path)
    try:
        return [(r.recv_ns, event_of(r)) for r in reader.records() if r.direction == tape.EVENT]
    finally:
        reader.close()


def a_life(path: Path, *, deltas: bool = True) -> None:
    journal = begin(path, deltas=deltas)
    journal.event(10, BOOK)
    journal.event(11, QUOTE)
    journal.command(11, CANCEL)
    journal.event(12, TRADE)
    journal.event(13, TimerFired())
    journal.event(14, QUOTE._replace(bid=1.0 + 2**-40))
    journal.event(15, QUOTE._replace(bid=7))  # an integer has no place among the others
    journal.event(16, BOOK)
    journal.close()


def test_events_and_commands_keep_their_order(tmp_path: Path) -> None:
    a_life(tmp_path / "a.ctape")
    assert directions(tmp_path / "a.ctape") == "HEMCMEMEM"
    a_life(tmp_path / "b.ctape", deltas=False)
    assert directions(tmp_path / "b.ctape") == "HEEECEEEEE"
    both = []
    for name in ("a", "b"):
        reader = JournalReader(tmp_path / f"{name}.ctape")
        both.append([(row.direction, row.recv_ns, row.frame) for row in reader.records()])
        reader.close()
    assert both[0] == both[1]


def test_a_journal_says_which_format_it_has(tmp_path: Path) -> None:
    """A release that does not know market events in one record must not read past them."""
    for name, deltas, number in (("a", True, 2), ("b", False, 1)):
        begin(tmp_path / f"{name}.ctape", deltas=deltas).close()
        with tape.TapeReader.open(tmp_path / f"{name}.ctape") as reader:
            assert msgpack.unpackb(next(reader.records()).frame)["journal"] == number


def test_what_was_flushed_is_there_after_a_death(tmp_path: Path) -> None:
    path = tmp_path / "a.ctape"
    journal = begin(path)
    journal.event(10, BOOK)
    journal.flush()
    journal.event(11, QUOTE)
    assert [now for now, _ in events(path)] == [1, 10]  # what a kill leaves here
    journal.command(11, CANCEL)
    journal.sync()
    assert directions(path).endswith("MMC")
    assert events(path)[1:] == [(10, BOOK), (11, QUOTE)]
    assert fold(path).last_ns == 11
    journal.close()


def test_much_of_the_market_is_written_without_a_flush(tmp_path: Path) -> None:
    path = tmp_path / "a.ctape"
    journal = begin(path)
    number = 0
    while directions(path) == "HE":
        number += 1
        assert number < tape.BLOCK_BYTES
        journal.event(10 + number, QUOTE._replace(seq=number, bid=1.0 + number % 7))
    assert events(path)[-1][0] == 10 + number
    journal.close()


def test_a_full_disk_loses_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ctape"
    journal = begin(path)
    journal.event(10, BOOK)
    with monkeypatch.context() as full:
        full.setattr(journal._writer, "_block_bytes", 1)

        def no_space(_data: bytes) -> None:
            raise OSError(28, "No space left on device")

        full.setattr(journal._writer, "_write", no_space)
        with pytest.raises(OSError, match="No space"):
            journal.command(10, CANCEL)
    journal.sync()
    assert directions(path) == "HEMC"
    journal.close()


def test_a_truncated_journal_has_every_record_before(tmp_path: Path) -> None:
    path = tmp_path / "a.ctape"
    journal = begin(path)
    for number in range(6):
        journal.event(10 + number, QUOTE._replace(seq=number))
        journal.flush()
    journal.close()  # six blocks of some 90 bytes
    whole = path.read_bytes()
    expected = events(path)
    for cut in range(1, 60):
        path.write_bytes(whole[:-cut])
        reader = JournalReader(path)
        rows = [(r.recv_ns, event_of(r)) for r in reader.records()]
        assert rows == expected[: len(rows)]
        assert len(rows) >= len(expected) - 2
        assert (reader.ending() != ("", "")) == (len(rows) < len(expected)) or not reader.ending()[
            0
        ]
        reader.close()


def test_a_record_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.ctape"
    begin(path).close()
    data = path.read_bytes()
    data += tape.encode_block(b"M" + (5).to_bytes(8, "little") + b"\x02\0\0\0\x01\x1c", 1)
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="ends within an entry"):
        events(path)
    with tape.TapeReader.open(path) as reader:
        assert list(tape_inspect.dump(reader))[-1] == {
            "direction": "market-events",
            "recv_ns": 5,
            "undecodable": "011c",
        }


def test_tables_and_dumps_have_the_events_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.ctape"
    a_life(path)
    with tape.TapeReader.open(path) as reader:
        rows = list(Rows().of(reader.records()))
    assert [table for table, _ in rows] == ["quotes", "trades", "quotes", "quotes"]
    assert rows[0][1]["ask_size"] == 2.25
    with tape.TapeReader.open(path) as reader:
        shown = [row for row in tape_inspect.dump(reader) if row["direction"] == "event"]
    found = [records.decode_plain(records.encode(event)) for _, event in events(path)]
    assert [row["message"] for row in shown] == found
    with tape.TapeReader.open(path) as reader:
        assert tape_inspect.info(reader)["counts"]["market-events"] == 4
