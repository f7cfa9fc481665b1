"""Raw exchange traffic as received: gzip or zstd of one JSON object a line, in order.

::

    {"recv_ns": 1723161253937085768, "kind": "frame", "conn": 0, "text": "..."}

``kind`` is ``open`` (a websocket connected, ``url``), ``sent`` (sent by the client), ``frame``
(``text`` is the exact payload) or ``rest`` (an HTTP answer, ``url`` and ``text``). ``conn`` numbers
the connections of one file.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Protocol

import msgspec
import zstandard

from citadel_proto.errors import BadInput
from citadel_proto.tape import MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_CHUNK: Final = 1 << 18
_GZIP_WINDOW: Final = 31


class Record(msgspec.Struct, gc=False):
    """One line of a capture."""

    recv_ns: int
    kind: Literal["open", "sent", "frame", "rest"]
    text: str = ""
    conn: int | None = None
    url: str = ""


_decoder: Final = msgspec.json.Decoder(Record)
_decode: Final = _decoder.decode
_decode_lines: Final = _decoder.decode_lines


def read_capture(path: Path) -> Iterator[tuple[int, Record]]:
    """(line number from 1, record) of each line, in order, without holding the file in memory.

    Raises:
        BadInput: the file cannot be opened, is not compressed, is truncated, or is not a capture;
            with the line. Everything yielded before the error is good.
    """
    number = 0
    for text in _texts(path):
        try:
            records = _decode_lines(text)
        except msgspec.MsgspecError:
            records = []
        if len(records) != text.count(b"\n"):  # one is empty, or none of a capture: say which
            for line in text.split(b"\n")[:-1]:
                number += 1
                try:
                    record = _decode(line)
                except msgspec.MsgspecError as error:
                    raise _not_a_capture(path, number, str(error)) from None
                yield number, record
            continue
        yield from enumerate(records, number + 1)
        number += len(records)
    if number == 0:
        raise BadInput("the capture is empty", where=str(path))


def _not_a_capture(path: Path, number: int, error: str) -> BadInput:
    return BadInput(
        f"not a line of a capture: {error}",
        where=f"{path}, line {number}",
        allowed='{"recv_ns": ..., "kind": "open|sent|frame|rest", "conn": ..., "text": "..."}',
        mend="nothing in the file is a capture" if number == 1 else "the lines before are usable",
    )


def _texts(path: Path) -> Iterator[bytes]:
    """Complete lines of a compressed file, several at once, each with its end."""
    rest = b""
    number = 0
    blocks = _blocks(path)
    while True:
        try:
            block = next(blocks, None)
        except (zlib.error, zstandard.ZstdError, EOFError) as error:
            raise BadInput(
                f"the file is truncated or damaged ({error})",
                where=f"{path}, line {number + 1}",
                mend=f"the {number} lines before are usable" if number else "fetch it again",
            ) from None
        if block is None:
            break
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            continue
        text = rest + block[:end]
        rest = block[end:]
        number += text.count(b"\n")
        yield text
    if rest:
        yield rest + b"\n"


def _blocks(path: Path) -> Iterator[bytes]:
    """Decompressed blocks; every complete block comes before any error."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadInput(
            f"cannot open the capture: {error.strerror}", where=str(path), mend="check the path"
        ) from None
    with file:
        magic = file.read(len(_ZSTD))
        file.seek(0)
        if magic.startswith(_GZIP):
            yield from _members(file, lambda: zlib.decompressobj(_GZIP_WINDOW))
        elif magic == _ZSTD:
            yield from _members(file, zstandard.ZstdDecompressor().decompressobj)
        elif file.read(len(MAGIC)) == MAGIC:
            raise BadInput(
                "a compact capture does not hold the text of frames, which this needs",
                where=str(path),
                allowed="a capture: *.jsonl.gz or *.jsonl.zst",
                mend="record it without --compact",
            )
        else:
            raise BadInput(
                "the file is not gzip and not zstd",
                where=str(path),
                allowed="a capture: *.jsonl.gz or *.jsonl.zst",
            )


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _members(file: BinaryIO, new: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Decompressed members of a file, one after the other; EOFError if the last is truncated."""
    member = new()
    data = file.read(_CHUNK)
    while data:
        yield member.decompress(data)
        data = member.unused_data
        if member.eof:
            data = data or file.read(_CHUNK)
            if data:
                member = new()
        else:
            data = file.read(_CHUNK)
    if not member.eof:
        raise EOFError("it ends too early")
