"""A reader of tapes written from docs/reference/tape-format.md alone: nothing of the project in it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zstandard

Row = tuple[int, int, bytes]


def read(data: bytes) -> tuple[dict[str, Any], list[Row], int | None]:
    """Header, records as (direction, time, frame), and the offset of a block that is not good.

    Raises:
        ValueError: not a tape, or its header is damaged.
    """
    if data[:8] != bytes.fromhex("8943495454415045"):
        raise ValueError("no tape")
    length, checksum = struct.unpack_from("<II", data, 8)
    body = data[16 : 16 + length]
    if len(body) < length or zlib.crc32(body) != checksum:
        raise ValueError("the header is damaged")
    header = msgpack.unpackb(body)
    if header["format"] != 1:
        raise ValueError("another format")
    rows: list[Row] = []
    at = 16 + length
    while at < len(data):
        if len(data) - at < 17:
            return header, rows, at
        stored, raw, count, flags, checksum = struct.unpack_from("<IIIBI", data, at)
        payload = data[at + 17 : at + 17 + stored]
        summed = data[at : at + 13] + payload
        if len(payload) < stored or zlib.crc32(summed) != checksum:
            return header, rows, at
        if flags & 1:
            payload = zstandard.ZstdDecompressor().decompress(payload, max_output_size=raw)
        place = 0
        for _ in range(count):
            direction, when, size = struct.unpack_from("<BQI", payload, place)
            place += 13
            rows.append((direction, when, payload[place : place + size]))
            place += size
        at += 17 + stored
    return header, rows, None
