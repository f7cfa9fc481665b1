"""The tape: whatever happens to its end, everything before is there, and nothing is made up."""

from __future__ import annotations

import io
import os
import struct
from typing import TYPE_CHECKING, Final

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import (
    MARKET,
    SIGNALS,
    Record,
    TapeHeader,
    TapeReader,
    TapeWriter,
    encode_block,
    encode_header,
)

if TYPE_CHECKING:
    from pathlib import Path

HEADER: Final = TapeHeader(
    created_ns=5,
    endpoints={"market": "tcp://127.0.0.1:5556"},
    instances=("micro-1", "macro-1"),
    meta={"seed": 7, "note": "x", "rate": 0.5, "on": True, "none": None},
)
RECORDS: Final = [
    Record(SIGNALS if n % 3 == 0 else MARKET, 1_000_000 * n, bytes([n]) * (n * 7 % 40))
    for n in range(1, 60)
]


def written(records: list[Record], *, compress: bool = False, block_bytes: int = 200) -> bytes:
    file = io.BytesIO()
    writer = TapeWriter(file, HEADER, compress=compress, block_bytes=block_bytes)
    for record in records:
        writer.append(*record)
    writer.flush()
    assert writer.offset == len(file.getvalue())
    return file.getvalue()


def read(data: bytes) -> tuple[list[Record], TapeReader]:
    reader = TapeReader(io.BytesIO(data))
    return list(reader.records()), reader


RECORD_LISTS = st.lists(
    st.builds(Record, st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=300)),
    max_size=30,
)


@given(records=RECORD_LISTS, compress=st.booleans(), block_bytes=st.integers(1, 2000))
def test_what_was_appended_is_read(records: list[Record], compress: bool, block_bytes: int) -> None:
    got, reader = read(written(records, compress=compress, block_bytes=block_bytes))
    assert got == records
    assert reader.header == HEADER
    assert reader.tail is None


@pytest.mark.parametrize("compress", [False, True])
def test_cut_at_any_byte_keeps_a_prefix_and_says_where_it_ends(compress: bool) -> None:
    data = written(RECORDS, compress=compress)
    start = len(encode_header(HEADER))
    for cut in range(len(data)):
        if cut < start:
            with pytest.raises(DecodeError, match="tape"):
                read(data[:cut])
            continue
        got, reader = read(data[:cut])
        assert got == RECORDS[: len(got)]
        if reader.tail is None:
            assert reader.offset == cut
        else:
            assert not reader.tail.damaged
            assert reader.tail.offset == reader.offset
            assert reader.tail.offset + reader.tail.lost == cut


@given(data=st.data(), compress=st.booleans())
def test_any_flipped_bit_is_found_and_the_prefix_is_intact(
    data: st.DataObject, compress: bool
) -> None:
    whole = bytearray(written(RECORDS, compress=compress))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    if at < len(encode_header(HEADER)):
        with pytest.raises(DecodeError):
            read(bytes(whole))
        return
    got, reader = read(bytes(whole))
    assert got == RECORDS[: len(got)]
    assert reader.tail is not None
    assert reader.tail.offset <= at
    assert len(got) < len(RECORDS)


@given(
    blocks=st.lists(
        st.lists(st.tuples(st.binary(max_size=40), st.booleans()), min_size=1, max_size=4),
        min_size=1,
        max_size=8,
    ),
    compress=st.booleans(),
)
def test_marked_blocks_can_be_read_alone_with_where_the_tape_ends(
    blocks: list[list[tuple[bytes, bool]]], compress: bool
) -> None:
    file = io.BytesIO()
    writer = TapeWriter(file, HEADER, compress=compress)
    wanted: list[bytes] = []
    for number, block in enumerate(blocks):
        for frame, mark in block:
            writer.append(MARKET, number, frame, mark=mark)
        writer.flush()
        if number == len(blocks) - 1 or any(mark for _, mark in block):
            wanted += [frame for frame, _ in block]
    reader = TapeReader(io.BytesIO(file.getvalue()))
    assert [record.frame for record in reader.records(marked=True)] == wanted
    assert reader.tail is None
    assert reader.blocks == len(blocks)
    assert list(reader.records(marked=True)) == []
    everything, _ = read(file.getvalue())
    assert [record.frame for record in everything] == [f for block in blocks for f, _ in block]


@given(data=st.data())
def test_damage_in_a_block_that_is_skipped_is_found(data: st.DataObject) -> None:
    whole = bytearray(written(RECORDS))
    start = len(encode_header(HEADER))
    whole[data.draw(st.integers(start, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reader = TapeReader(io.BytesIO(bytes(whole)))
    rows = list(reader.records(marked=True))
    _, plain = read(bytes(whole))
    assert reader.tail == plain.tail
    assert rows == [] or rows[-1] in RECORDS


def test_a_block_whose_records_do_not_add_up_is_damage_even_when_skipped() -> None:
    raw = struct.pack("<BQI", MARKET, 7, 900)
    data = encode_header(HEADER) + encode_block(raw, 1)
    for marked in (False, True):
        reader = TapeReader(io.BytesIO(data))
        assert list(reader.records(marked=marked)) == []
        assert reader.tail is not None
        assert reader.tail.damaged
        assert reader.tail.offset == len(encode_header(HEADER))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_tape(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read(data)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_after_a_header_never_raise(data: bytes) -> None:
    got, reader = read(encode_header(HEADER) + data)
    assert got == []
    assert (reader.tail is None) == (data == b"")


def test_a_reader_follows_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "live.tape"
    with TapeWriter.create(path, HEADER) as writer, TapeReader.open(path) as reader:
        assert list(reader.records()) == []
        writer.append(*RECORDS[0])
        assert list(reader.records()) == []  # gathered, not yet written
        writer.sync()
        assert list(reader.records()) == RECORDS[:1]
        writer.append(*RECORDS[1])
        writer.flush()
        with path.open("ab") as file:  # half of the next block, as a reader may see it
            file.write(b"\x10\0")
        assert list(reader.records()) == RECORDS[1:2]
        assert reader.tail is not None
        assert reader.tail.lost == 2


def test_a_block_is_written_when_it_is_full_and_when_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    with (
        TapeWriter.create(path, HEADER, block_bytes=1000, flush_ns=10) as writer,
        TapeReader.open(path) as reader,
    ):
        writer.append(1, 100, b"x")
        writer.append(1, 109, b"y")
        assert list(reader.records()) == []
        writer.append(1, 110, b"z")
        assert len(list(reader.records())) == 3
        writer.append(1, 111, b"q" * 1000)
        assert len(list(reader.records())) == 1


def test_a_tape_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    TapeWriter.create(path, HEADER).close()
    before = path.read_bytes()
    with pytest.raises(BadInput, match="exists"):
        TapeWriter.create(path, HEADER)
    assert path.read_bytes() == before


def test_bad_paths_say_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot create"):
        TapeWriter.create(tmp_path / "no" / "a.tape", HEADER)
    with pytest.raises(BadInput, match="cannot read"):
        TapeReader.open(tmp_path / "none.tape")
    (tmp_path / "text").write_text("hello, this is no tape")
    with pytest.raises(DecodeError, match="not a tape"):
        TapeReader.open(tmp_path / "text")


class FullDisk(io.BytesIO):
    """Takes so many bytes, then fails in the middle of a write as a full disk does."""

    room = 10**9

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        if not self.room:
            raise OSError(28, "No space left on device")
        part = data[: self.room]
        self.room -= len(part)
        return super().write(part)


def test_a_full_disk_leaves_a_whole_tape_and_loses_nothing_when_there_is_room_again() -> None:
    file = FullDisk()
    writer = TapeWriter(file, HEADER, block_bytes=100_000)
    for record in RECORDS[:10]:
        writer.append(*record)
    writer.flush()
    whole = file.getvalue()
    for record in RECORDS[10:]:
        writer.append(*record)
    file.room = 30
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    assert file.getvalue() == whole
    file.room = 10**9
    writer.flush()
    got, reader = read(file.getvalue())
    assert got == RECORDS
    assert reader.tail is None


def test_a_tape_of_another_format_is_refused_by_name() -> None:
    with pytest.raises(DecodeError, match="format 2"):
        read(encode_header(TapeHeader(created_ns=1, format=2)))


def test_the_header_is_plain_msgpack() -> None:
    body = encode_header(HEADER)[16:]
    assert msgpack.unpackb(body)["instances"] == ["micro-1", "macro-1"]


def test_sync_reaches_the_disk_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = os.fdatasync

    def noting(fd: int) -> None:
        sizes.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", noting)
    with TapeWriter.create(tmp_path / "a.tape", HEADER) as writer:
        writer.append(1, 1, b"intent")
        writer.sync()
        assert sizes == [writer.offset]
        assert sizes[0] > len(encode_header(HEADER))


def test_the_disk_begins_before_anybody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *what: told.append(what[1:]))
    monkeypatch.setattr(os, "fdatasync", lambda _fd: told.append(("waited",)))
    with TapeWriter.create(tmp_path / "a.tape", HEADER) as writer:
        begin = writer.offset
        writer.append(1, 1, b"order")
        writer.write_out(start=True)
        end = writer.offset
        writer.write_out(start=True)  # there is nothing new
        writer.sync()
        assert told == [(begin, end - begin, os.POSIX_FADV_DONTNEED), ("waited",)]
        assert (tmp_path / "a.tape").stat().st_size == end


def test_a_file_system_that_takes_no_advice_is_waited_for_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_what: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    with TapeWriter.create(tmp_path / "a.tape", HEADER) as writer:
        writer.append(*RECORDS[0])
        writer.write_out(start=True)
        writer.append(*RECORDS[1])
        writer.sync()
    with TapeReader.open(tmp_path / "a.tape") as reader:
        assert list(reader.records()) == RECORDS[:2]


def test_what_somebody_waits_for_is_not_compressed(tmp_path: Path) -> None:
    path = tmp_path / "waited.ctape"
    writer = TapeWriter.create(path, HEADER, compress=True)
    rows = [Record(SIGNALS, number, b"the same again " * 20) for number in range(40)]
    sizes = []
    for write in (writer.flush, writer.sync, writer.write_out):
        before = writer.offset
        for row in rows:
            writer.append(*row)
        write()
        sizes.append(writer.offset - before)
    writer.close()
    raw = sum(13 + len(row.frame) for row in rows)
    assert sizes[0] < raw / 10
    assert min(sizes[1:]) > raw
    assert read(path.read_bytes())[0] == rows * 3
