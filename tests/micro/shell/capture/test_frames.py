from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import zstandard

from citadel_micro.shell.capture.frames import Record, read_capture
from citadel_micro.shell.capture.offline import capture_events
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def line(number: int, **changes: object) -> bytes:
    fields = {"recv_ns": number, "kind": "frame", "conn": 0, "text": f"frame {number} \u20ac"}
    return json.dumps({**fields, **changes}).encode() + b"\n"


LINES = b"".join(line(number) for number in range(1, 2_001))


def read(path: Path) -> tuple[list[Record], str]:
    """Everything before the error, and the error."""
    records = []
    try:
        for number, record in read_capture(path):
            records.append(record)
            assert number == len(records)
    except BadInput as error:
        return records, str(error)
    return records, ""


@pytest.mark.parametrize("end", [LINES, LINES.rstrip(b"\n")], ids=["newline", "no newline"])
@pytest.mark.parametrize("kind", ["gzip", "zstd", "two gzip members", "two zstd frames"])
def test_every_line_is_read(tmp_path: Path, kind: str, end: bytes) -> None:
    path = tmp_path / "capture"
    half = len(end) // 2
    zstd = zstandard.ZstdCompressor()
    path.write_bytes(
        {
            "gzip": gzip.compress(end),
            "zstd": zstd.compress(end),
            "two gzip members": gzip.compress(end[:half]) + gzip.compress(end[half:]),
            "two zstd frames": zstd.compress(end[:half]) + zstd.compress(end[half:]),
        }[kind]
    )
    records, error = read(path)
    assert error == ""
    assert [record.recv_ns for record in records] == list(range(1, 2_001))
    assert records[6] == Record(recv_ns=7, kind="frame", text="frame 7 \u20ac", conn=0)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_cut_file_gives_what_came_before_and_says_where(tmp_path: Path, compress: object) -> None:
    assert callable(compress)
    # Incompressible text, so that the cut falls into the middle of the lines as well.
    body = b"".join(line(n, text=hex(n * 7919**19 % (1 << 240))) for n in range(1, 5_001))
    path = tmp_path / "capture"
    path.write_bytes(compress(body)[:-50_000])
    records, error = read(path)
    assert 1_000 < len(records) < 5_000
    assert "truncated or damaged" in error
    assert f"line {len(records) + 1}" in error
    assert f"the {len(records)} lines before are usable" in error


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    data = bytearray(gzip.compress(LINES))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    records, error = read(path)
    assert len(records) < 2_000
    assert "damaged" in error or "not a line of a capture" in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not gzip and not zstd"),
        (b"PK\x03\x04 a zip file", "not gzip and not zstd"),
        (LINES, "not gzip and not zstd"),
        (gzip.compress(b"", mtime=0), "the capture is empty"),
        (
            gzip.compress(b"hello\n", mtime=0),
            "line 1: not a line of a capture.*nothing in the file",
        ),
        (gzip.compress(LINES + b"{}\n", mtime=0), "line 2001: .*the lines before are usable"),
        (gzip.compress(line(1, kind="tape"), mtime=0), "line 1: .*'tape'.*kind"),
        (gzip.compress(LINES, mtime=0)[:5], "truncated or damaged"),
    ],
)
def test_what_is_no_capture_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "capture"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        list(read_capture(path))


def test_a_capture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot open"):
        list(read_capture(tmp_path / "none"))


def test_a_capture_of_another_venue_says_so(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(line(1, text='{"topic":"orderbook.50.BTCUSDT","data":{}}')))
    with pytest.raises(BadInput, match="nothing in it is of binance-spot"):
        list(capture_events(path, "binance-spot"))


def test_events_of_one_symbol(shared_dir: Path) -> None:
    path = shared_dir / "captures" / "binance-spot-2021.jsonl.gz"
    frames = list(capture_events(path, "binance-spot", "NKN/USDT"))
    assert len(frames) == 269
    symbols = {event.symbol for _, events in frames for event in events}
    assert symbols == {"NKN/USDT"}
