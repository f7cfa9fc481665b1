"""The documented format is the format: a reader written from the page agrees with ours, also on damage."""

from __future__ import annotations

import io
from typing import Final

import pytest
import tape_reader
from hypothesis import given
from hypothesis import strategies as st

from citadel_proto.errors import DecodeError
from citadel_proto.tape import TapeHeader, TapeReader, TapeWriter

HEADER: Final = TapeHeader(created_ns=5, instances=("micro-1",), meta={"seed": 7, "none": None})


def tape_of(frames: list[bytes], *, compress: bool, block_bytes: int = 200) -> bytes:
    file = io.BytesIO()
    writer = TapeWriter(file, HEADER, compress=compress, block_bytes=block_bytes)
    for number, frame in enumerate(frames):
        writer.append(1 + number % 2, number * 1_000, frame, mark=number % 3 == 0)
    writer.flush()
    return file.getvalue()


def ours(data: bytes) -> tuple[list[tuple[int, int, bytes]], int | None]:
    reader = TapeReader(io.BytesIO(data))
    rows = [tuple(record) for record in reader.records()]
    return rows, None if reader.tail is None else reader.tail.offset  # type: ignore[return-value]


@given(frames=st.lists(st.binary(max_size=300), max_size=20), compress=st.booleans())
def test_a_reader_from_the_page_reads_what_we_write(frames: list[bytes], compress: bool) -> None:
    data = tape_of(frames, compress=compress)
    header, rows, bad = tape_reader.read(data)
    assert bad is None
    assert [row[2] for row in rows] == frames
    assert rows == ours(data)[0]
    assert (header["kind"], header["meta"]) == ("recording", {"seed": 7, "none": None})


@given(data=st.data(), compress=st.booleans())
def test_both_readers_name_the_same_place_of_a_changed_byte(
    data: st.DataObject, compress: bool
) -> None:
    whole = bytearray(tape_of([bytes([n]) * (n * 5 % 70) for n in range(40)], compress=compress))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        _, rows, bad = tape_reader.read(bytes(whole))
    except ValueError:
        with pytest.raises(DecodeError):
            ours(bytes(whole))
        return
    assert (rows, bad) == ours(bytes(whole))
    assert bad is not None
    assert bad <= at
