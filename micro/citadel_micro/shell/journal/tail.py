"""Whether the end of a tape was truncated by a crash or damaged later."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Final

from citadel_proto.tape import KNOWN_FLAGS, TapeHeader, TapeReader, encode_header

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_proto.tape import TornTail

_SCAN_BYTES: Final = 1024 * 1024
"""More than one block that was being written when a process died."""
_BLOCK: Final = struct.Struct("<IIIBI")
"""Header of a tape's block: stored and raw length, records, flags, checksum."""


def judge_tail(path: Path, tail: TornTail) -> tuple[str, str]:
    """Classify a file that does not end with a complete block as (torn, damaged).

    A crash truncates only what was being written, so nothing complete can follow it. A complete
    block does follow one that was damaged later, for instance in its length field.
    """
    where = f"{tail.reason} at byte {tail.offset}"
    with path.open("rb") as file:
        file.seek(tail.offset)
        rest = file.read(_SCAN_BYTES + 1)
    if not rest.strip(b"\0"):  # a machine that lost power can leave zeros
        return where, ""
    if tail.damaged or len(rest) > _SCAN_BYTES:
        return "", where
    if _block_within(rest):
        return "", f"{where}, and complete blocks follow it"
    return where, ""


def _block_within(data: bytes) -> bool:
    """Whether a complete block begins anywhere after the first byte."""
    header = encode_header(TapeHeader(created_ns=0))
    for at in range(1, len(data) - _BLOCK.size):
        stored, raw, count, flags, _ = _BLOCK.unpack_from(data, at)
        fits = 0 < count <= raw and stored <= raw and at + _BLOCK.size + stored <= len(data)
        if fits and flags <= KNOWN_FLAGS:
            one = io.BytesIO(header + data[at : at + _BLOCK.size + stored])
            if any(True for _ in TapeReader(one).records()):
                return True
    return False
