"""Cutting, merging, exporting tapes, and recordings in parts: nothing changed, nothing made up."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Final

import pytest

from citadel_bridge import progress, tape_edit
from citadel_bridge.cli import main
from citadel_bridge.exit_codes import Exit
from citadel_bridge.recorder import Recorder
from citadel_bridge.sockets import Endpoint
from citadel_bridge.tape_parts import PartsWriter, Rotation, parts_of
from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.errors import BadInput
from citadel_proto.messages import BookSnapshot, Cancel, RiskState, Trade, Trades
from citadel_proto.packed_levels import pack_levels
from citadel_proto.tape import MARKET, SIGNALS, Record, TapeHeader, TapeReader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

S: Final = 1_000_000_000
BEGAN: Final = 1_700_000_000 * S
HEADER: Final = TapeHeader(
    created_ns=BEGAN, endpoints={"market": "tcp://127.0.0.1:5556"}, instances=("micro-1",)
)


def risk(number: int) -> bytes:
    return topics.join(
        topics.RISK, encode(RiskState(scope=str(number), state="ACTIVE", instance="m", seq=number))
    )


def cancel(number: int) -> bytes:
    message = Cancel(
        signal_id=str(number), created_ns=1, epoch=1, seq=number, venue="v", symbol="BTC/USDT"
    )
    return topics.join(topics.cancel("v", "BTC/USDT"), encode(message))


RECORDS: Final = [
    Record(MARKET, BEGAN + n * S, risk(n)) if n % 3 else Record(SIGNALS, BEGAN + n * S, cancel(n))
    for n in range(30)
]


def write(path: Path, records: list[Record], header: TapeHeader = HEADER) -> Path:
    with TapeWriter.create(path, header, block_bytes=300) as writer:
        for record in records:
            writer.append(*record)
    return path


def read(path: Path) -> list[Record]:
    with TapeReader.open(path) as reader:
        rows = list(reader.records())
        assert reader.tail is None
    return rows


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], RECORDS),
        (["--from", "+10s", "--until", "+20s"], RECORDS[10:20]),
        (["--from", "2023-11-14T22:13:25Z"], RECORDS[5:]),
        (["--until", str(BEGAN + 3 * S)], RECORDS[:3]),
        (["--channel", "signals"], RECORDS[::3]),
        (["--topic", "risk", "--until", "+6s"], [RECORDS[n] for n in (1, 2, 4, 5)]),
        (["--topic", "book/", "--topic", "cancel/v/"], RECORDS[::3]),
        (["--compress"], RECORDS),
    ],
)
def test_a_cut_holds_what_was_asked_for(
    tmp_path: Path, words: list[str], wanted: list[Record]
) -> None:
    tape = write(tmp_path / "a.tape", RECORDS)
    assert main(["tape", "cut", str(tape), "--out", str(tmp_path / "b.tape"), *words]) == Exit.OK
    assert read(tmp_path / "b.tape") == wanted
    with TapeReader.open(tmp_path / "b.tape") as reader:
        assert reader.header == HEADER


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "yesterday"], "cannot read the time"),
        (["--from", "2023-11-14T22:13:25"], "has no zone"),
        (["--from", "+1parsec"], "cannot read the duration"),
        (["--channel", "both"], "--channel"),
    ],
)
def test_a_cut_that_cannot_be_made_leaves_no_file(
    tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = write(tmp_path / "a.tape", RECORDS)
    out = tmp_path / "b.tape"
    assert main(["tape", "cut", str(tape), "--out", str(out), *words]) == Exit.BAD_INPUT
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_a_torn_tape_is_cut_up_to_its_tear_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = write(tmp_path / "a.tape", RECORDS)
    tape.write_bytes(tape.read_bytes()[:-5])
    out = tmp_path / "b.tape"
    assert main(["tape", "cut", str(tape), "--out", str(out)]) == Exit.DIFFERENCE
    whole = read(out)
    assert whole == RECORDS[: len(whole)]
    assert 0 < len(whole) < len(RECORDS)
    assert "the file ends within a block" in capsys.readouterr().err


def test_a_journal_keeps_its_beginning(tmp_path: Path) -> None:
    header = TapeHeader(created_ns=BEGAN, kind="journal", meta={"marked": True, "run": "r"})
    rows = [Record(ord("H"), BEGAN, b"h"), *(Record(ord("E"), BEGAN + n, b"e") for n in range(9))]
    journal = write(tmp_path / "journal.ctape", rows, header)
    out = tmp_path / "cut.ctape"
    words = ["tape", "cut", str(journal), "--out", str(out)]
    for refused in (["--from", "+1s"], ["--topic", "x"], ["--channel", "market"]):
        assert main([*words, *refused]) == Exit.BAD_INPUT
        assert not out.exists()
    assert main([*words, "--until", str(BEGAN + 4)]) == Exit.OK
    assert read(out) == rows[:5]
    with TapeReader.open(out) as reader:  # its blocks are others, and not marked
        assert reader.header.meta == {"marked": False, "run": "r"}


def test_merged_tapes_are_in_the_order_of_time_and_no_tape_in_another(tmp_path: Path) -> None:
    other = TapeHeader(
        created_ns=BEGAN - 5,
        endpoints={"market": "tcp://127.0.0.1:5556 tcp://127.0.0.1:6"},
        instances=("micro-2", "micro-1"),
        meta={"note": "x"},
    )
    back = [
        Record(MARKET, BEGAN + ns, risk(ns)) for ns in (5 * S, 2 * S, 40 * S)
    ]  # a clock set back
    one, two = write(tmp_path / "a.tape", RECORDS), write(tmp_path / "b.tape", back, other)
    out = tmp_path / "all.tape"
    assert main(["tape", "merge", str(one), str(two), "--out", str(out)]) == Exit.OK
    rows = read(out)
    assert sorted(rows) == sorted(RECORDS + back)
    assert [row for row in rows if row in back] == back
    assert [row for row in rows if row not in back] == RECORDS
    assert rows.index(back[0]) == 6
    with TapeReader.open(out) as reader:
        header = reader.header
    assert header.created_ns == BEGAN - 5
    assert header.endpoints == {"market": "tcp://127.0.0.1:5556 tcp://127.0.0.1:6"}
    assert header.instances == ("micro-1", "micro-2")
    assert header.meta == {"note": "x"}


def test_what_cannot_be_merged_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a.tape", RECORDS)
    journal = write(tmp_path / "j", [], TapeHeader(created_ns=1, kind="journal"))
    later = write(tmp_path / "l", [], TapeHeader(created_ns=1, schema=9))
    out = tmp_path / "all.tape"
    for bad in (journal, later):
        assert main(["tape", "merge", str(one), str(bad), "--out", str(out)]) == Exit.BAD_INPUT
        assert not out.exists()
    assert main(["tape", "merge", str(one), "--out", str(one)]) == Exit.BAD_INPUT
    assert read(one) == RECORDS


# --- tables -------------------------------------------------------------------------------------


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A tape with a book of two levels, two trades, a later message, and noise."""
    book = BookSnapshot(
        venue="v",
        symbol="BTC/USDT",
        state="LIVE",
        exchange_ns=1,
        recv_ns=2,
        venue_seq=3,
        bids=pack_levels([(99.5, 1.0), (99.0, 2.0)]),
        asks=pack_levels([(100.5, 3.0)]),
        microprice=math.nan,
        imbalance=0.5,
        spread=1.0,
        signed_flow=0.0,
        flow_window_ms=1000,
        published_ns=4,
        instance="m",
        seq=1,
        features={"a": 0.25},
    )
    trade = Trade(price=100.0, quantity=0.5, side="buy", exchange_ns=7, trade_id="t1")
    trades = Trades(
        venue="v", symbol="BTC/USDT", trades=(trade, trade), recv_ns=8, instance="m", seq=1
    )
    frames = [
        topics.join(topics.book("v", "BTC/USDT"), encode(book)),
        topics.join(topics.trades("v", "BTC/USDT"), encode(trades)),
        b"book/v/BTC/USDT\0\xc1",
        b"nothing",
    ]
    return write(tmp_path / "m.tape", [Record(MARKET, BEGAN + n, f) for n, f in enumerate(frames)])


def test_books_become_a_table_with_a_column_a_level(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tape", "export", str(market), "--kind", "BookSnapshot", "--levels", "2"]
    assert main(words) == Exit.OK
    printed = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(printed.out))
    assert row["tape_ns"] == str(BEGAN)
    assert [row[f"bid_{n}"] for n in (1, 2)] == ["99.5", "99.0"]
    assert (row["ask_1"], row["ask_1_size"], row["ask_2"]) == ("100.5", "3.0", "")
    assert row["features"] == '{"a":0.25}'
    assert "1 frames are no message" in printed.err


def test_trades_are_one_row_each_and_lines_are_json(market: Path, tmp_path: Path) -> None:
    out = tmp_path / "trades.jsonl"
    words = ["tape", "export", str(market), "--format", "jsonl", "--out", str(out), "--kind"]
    assert main([*words, "Trades"]) == Exit.OK
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 2
    assert (rows[0]["price"], rows[0]["side"], rows[0]["recv_ns"]) == (100.0, "buy", 8)
    assert main([*words, "Trades"]) == Exit.BAD_INPUT  # the file exists
    assert main([*words, "Trade"]) == Exit.BAD_INPUT


def test_no_value_is_null_and_signals_are_read_from_their_channel(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--format", "jsonl", "--kind"]
    assert main(["tape", "export", str(market), *words, "BookSnapshot"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["microprice"] is None
    tape = write(tmp_path / "a.tape", RECORDS)
    assert main(["tape", "export", str(tape), *words, "Cancel"]) == Exit.OK
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["signal_id"] for row in rows] == [str(n) for n in range(0, 30, 3)]
    assert main(["tape", "export", str(tape), "--kind", "Cancel", "--format", "xls"]) == 2


# --- recordings in parts ------------------------------------------------------------------------


def test_parts_hold_everything_once_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    writer = PartsWriter(path, lambda: HEADER, rotation=Rotation(ns=10 * S))
    for record in RECORDS:
        writer.append(record)
    writer.close()
    assert [part.name for part in parts_of(path)] == ["a-0001.tape", "a-0002.tape", "a-0003.tape"]
    assert [len(read(part)) for part in writer.paths] == [10, 10, 10]
    words = [str(part) for part in writer.paths]
    assert main(["tape", "merge", *words, "--out", str(path)]) == Exit.OK
    assert read(path) == RECORDS
    with pytest.raises(BadInput, match="parts of this recording exist"):
        PartsWriter(path, lambda: HEADER, rotation=Rotation(ns=1))

    kept = tmp_path / "b.tape"
    (tmp_path / "b-0000x.tape").write_text("not a part")
    writer = PartsWriter(kept, lambda: HEADER, rotation=Rotation(octets=250, keep=2))
    for record in RECORDS:
        writer.append(record)
        writer.flush()
    writer.close()
    assert len(writer.paths) > 4
    left = parts_of(kept)
    assert left == writer.paths[-2:]
    rows = [row for part in left for row in read(part)]
    assert rows == RECORDS[-len(rows) :]
    assert (tmp_path / "b-0000x.tape").exists()


def test_a_recorder_rotates(tmp_path: Path, free_port: Callable[[], int]) -> None:
    nobody = [Endpoint(f"tcp://127.0.0.1:{free_port()}")]
    recorder = Recorder(nobody, nobody, tmp_path / "a.tape", rotation=Rotation(octets=200, keep=1))
    frames = [b"risk\0" + bytes([n]) * 70_000 for n in range(10)]  # each fills a block
    for frame in frames:
        recorder.take(MARKET, frame)
    recorder.run(lambda: True)
    (left,) = recorder.paths
    assert left.name == "a-0010.tape"
    assert [row.frame for row in read(left)] == frames[-1:]


def test_to_keep_parts_there_must_be_some() -> None:
    with pytest.raises(BadInput, match="without a rotation"):
        Rotation(keep=3)


def test_a_bar_is_shown_to_people_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.tape", RECORDS)
    monkeypatch.setattr(progress, "_WORTH_IT", 0)
    monkeypatch.setattr(progress, "_EVERY", 7)
    for looks in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda looks=looks: looks)
        with TapeReader.open(path) as reader:
            assert list(progress.watched(reader, path, "reading")) == RECORDS
        assert ("reading" in capsys.readouterr().err) is looks


def test_moments_are_exact() -> None:
    exact = tape_edit.moment_ns("2026-11-28T06:00:00.123456+01:00", 0, "--from")
    assert exact == 1_795_842_000_123_456_000
