r"""Tape: raw frames in a file, as received; used for recorded traffic and micro's journal.

Layout, all integers little-endian::

    file    magic "\x89CITTAPE"  u32 length  u32 crc32(header)  header (a msgpack map)  block …
    block   u32 stored length  u32 raw length  u32 records  u8 flags  u32 crc32  payload
    payload record …, compressed with zstd if flag 1 is set
    record  u8 direction  u64 receive time (ns)  u32 length  frame

Flag 2 marks a block with records that the writer needs for a later start; a reader may skip
the others unread. A block's checksum is over its other header fields and its stored payload. The
file only grows; a block counts once it is complete, so a reader may follow a tape while it is being
written, and whatever happens to the end of a file, everything before it is usable.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Self

import msgspec
import zstandard

from citadel_proto.disk import start_writing, sync_data
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

FORMAT_VERSION: Final = 1
MAGIC: Final = b"\x89CITTAPE"

SIGNALS: Final = 1
"""Direction of a frame of the signals channel."""
MARKET: Final = 2
"""Direction of a frame of the market channel."""
EVENT: Final = ord("E")
"""Direction of an event that went into the engine (journals)."""
COMMAND: Final = ord("C")
"""Direction of a command that came out of it (journals)."""
MARKET_EVENTS: Final = ord("M")
"""Direction of market events that went into it, as ``market_deltas`` (journals)."""
HEADER: Final = ord("H")
"""Direction of the record that describes the run (journals)."""
STATE: Final = ord("S")
"""Direction of a value of the durable state at the beginning of a further part (journals)."""
PART: Final = "part"
"""In the header of a journal's tape: the number of this part, from 1."""
BEFORE: Final = "before"
"""In the header of a journal's further part: octets of the part before, all of it."""

BLOCK_BYTES: Final = 64 * 1024
"""A block is written at this size: little is lost, and its header and checksum cost nothing."""
MAX_BLOCK: Final = 64 * 1024 * 1024
"""Largest block, raw, that a reader accepts: a damaged length must not exhaust memory."""
MAX_HEADER: Final = 1024 * 1024
FLUSH_NS: Final = 1_000_000_000
"""A block is also written when it spans more than this in receive time."""

_COMPRESSED: Final = 1
_MARKED: Final = 2
_SUM: Final = "a block's records do not add up"
KNOWN_FLAGS: Final = _COMPRESSED | _MARKED
_ZSTD_LEVEL: Final = 3
_HEADER: Final = struct.Struct("<II")
_BLOCK: Final = struct.Struct("<IIIBI")
_BLOCK_SUMMED: Final = struct.Struct("<IIIB")
_RECORD: Final = struct.Struct("<BQI")


class TapeHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a tape. A map on disk: readers ignore names they do not know."""

    created_ns: int
    kind: str = "recording"
    """``recording`` or ``journal``."""
    format: int = FORMAT_VERSION
    schema: int = SCHEMA_VERSION
    """Version of the message set of the frames."""
    endpoints: dict[str, str] = {}
    """Address per channel."""
    instances: tuple[str, ...] = ()
    """Runs whose messages were received, as far as known when the tape was started."""
    meta: dict[str, str | int | float | bool | None] = {}


class Record(NamedTuple):
    """One frame."""

    direction: int
    recv_ns: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class TornTail:
    """Where the usable part of a tape ends, when that is not the end of the file."""

    offset: int
    """Everything before this byte is usable."""
    lost: int
    """Bytes after it."""
    reason: str
    damaged: bool
    """False: the last block is incomplete (cut off, or still being written). True: its checksum fails."""


class TapeWriter:
    """Appends records to a file. Not thread-safe.

    Records are gathered into blocks, each written when it is full, spans more than ``flush_ns``, or is asked for.

    Args:
        file: an unbuffered binary file, empty.
        header: written at once.
        compress: compress blocks with zstd where that makes them smaller.
        block_bytes: see ``BLOCK_BYTES``.
        flush_ns: see ``FLUSH_NS``.
    """

    def __init__(
        self,
        file: BinaryIO,
        header: TapeHeader,
        *,
        compress: bool = False,
        block_bytes: int = BLOCK_BYTES,
        flush_ns: int = FLUSH_NS,
    ) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._flush_ns = flush_ns
        self._compressor = zstandard.ZstdCompressor(_ZSTD_LEVEL) if compress else None
        self._buffer = bytearray()
        self._count = 0
        self._marked = False
        self._flush_at = 0
        self.records = 0
        """Records appended."""
        self.offset = 0
        """Bytes in the file."""
        self._write(encode_header(header))

    @classmethod
    def create(
        cls,
        path: Path,
        header: TapeHeader,
        *,
        compress: bool = False,
        block_bytes: int = BLOCK_BYTES,
        flush_ns: int = FLUSH_NS,
    ) -> TapeWriter:
        """Begin a new file. Raises BadInput where it exists, or cannot be created."""
        try:
            # Private: a tape holds orders, and may hold an account.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        except FileExistsError as error:
            raise BadInput(
                "the file exists", where=str(path), mend="choose another name: tapes only grow"
            ) from error
        except OSError as error:
            raise BadInput(f"cannot create a tape: {error.strerror}", where=str(path)) from error
        return cls(file, header, compress=compress, block_bytes=block_bytes, flush_ns=flush_ns)

    def append(self, direction: int, recv_ns: int, frame: bytes, *, mark: bool = False) -> None:
        """Add one record; writes when the block is due.

        Args:
            direction: whose frame it is.
            recv_ns: when it was received.
            frame: its bytes.
            mark: mark the block that it goes into, see ``TapeReader.records``.

        Raises:
            OSError: the block could not be written (disk full). It is kept, and retried with the next one.
        """
        buffer = self._buffer
        if not buffer:
            self._flush_at = recv_ns + self._flush_ns
        buffer += _RECORD.pack(direction, recv_ns, len(frame))
        buffer += frame
        if mark:
            self._marked = True
        self._count += 1
        self.records += 1
        if len(buffer) >= self._block_bytes or recv_ns >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write the records gathered so far as a block; readers see them then."""
        self._write_block(self._compressor)

    def _write_block(self, compressor: zstandard.ZstdCompressor | None) -> None:
        if self._count:
            block = encode_block(bytes(self._buffer), self._count, compressor, marked=self._marked)
            self._write(block)
            self._buffer.clear()
            self._count = 0
            self._marked = False

    def write_out(self, *, start: bool = False) -> None:
        """``flush`` for one who waits: not compressed; ``start``: the disk begins, ``sync`` finds less to do."""
        before = self.offset
        self._write_block(None)
        if start and self.offset > before:
            start_writing(self._file.fileno(), before, self.offset - before)

    def sync(self) -> None:
        """``write_out``, and wait until the disk has it."""
        self.write_out()
        sync_data(self._file.fileno())

    def close(self) -> None:
        """``flush`` and close. Harmless when repeated."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            if written:  # half a block would hide every later one
                self._file.truncate(self.offset)
                self._file.seek(self.offset)
            raise
        self.offset += len(data)


class TapeReader:
    """Reads records from the front; may follow a file that is being written.

    Args:
        file: a binary file at its beginning.

    Raises:
        DecodeError: it does not begin as a tape does, or its header is damaged or of another
            format version.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.header, self.offset = read_header(file)
        self.tail: TornTail | None = None
        """After ``records`` has ended: None at the end of the file, else why it stopped before."""
        self.blocks = 0
        self._unread = (b"", 0, 0)

    @classmethod
    def open(cls, path: Path) -> TapeReader:
        """Open a file.

        Raises:
            BadInput: it cannot be read.
            DecodeError: as the constructor.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            raise BadInput(f"cannot read the tape: {error.strerror}", where=str(path)) from error
        try:
            return cls(file)
        except DecodeError as error:
            file.close()
            raise DecodeError(f"{path}: {error}") from error

    def records(self, *, marked: bool = False) -> Iterator[Record]:
        """Yield the records of all whole blocks from where the last call ended.

        Ends with the file, or at the first incomplete or damaged block, which ``tail`` then describes.
        Called again, it checks whether more has been written.

        Args:
            marked: only those in marked blocks, and those of the last block, which show the time of the
                tape's end. Every checksum is verified all the same. Several times as fast where few are.
        """
        while True:
            self._file.seek(self.offset)
            head = self._file.read(_BLOCK.size)
            payload = self._payload(head) if head else None
            if payload is None:
                if not head:
                    self.tail = None
                yield from self._last()
                return
            raw, count, flags, size = payload
            if marked and not flags & _MARKED:
                self._unread = (raw, count, self.offset)
                rows: list[Record] | None = []
            else:
                self._unread = (b"", 0, 0)
                rows = _split(raw, count)
            if rows is None:
                self._torn(_SUM, damaged=True)
                return
            # Before the records are yielded: a reader that stops half-way has had its block.
            self.offset += size
            self.blocks += 1
            yield from rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _payload(self, head: bytes) -> tuple[bytes, int, int, int] | None:
        """One block's raw records, their count, its flags and its size; None sets ``tail``."""
        if len(head) < _BLOCK.size:
            self._torn("the file ends within a block's header", damaged=False)
            return None
        stored, raw_length, count, flags, checksum = _BLOCK.unpack(head)
        if stored > MAX_BLOCK or raw_length > MAX_BLOCK or count * _RECORD.size > raw_length:
            self._torn("a block's header is damaged", damaged=True)
            return None
        payload = self._file.read(stored)
        if len(payload) < stored:
            self._torn("the file ends within a block", damaged=False)
            return None
        if checksum != _checksum(stored, raw_length, count, flags, payload):
            self._torn("a block's checksum fails", damaged=True)
            return None
        if flags & _COMPRESSED:
            try:
                payload = zstandard.ZstdDecompressor().decompress(
                    payload, max_output_size=raw_length, allow_extra_data=False
                )
            except zstandard.ZstdError as error:
                self._torn(f"a block does not decompress: {error}", damaged=True)
                return None
        if len(payload) != raw_length:
            self._torn(_SUM, damaged=True)
            return None
        return payload, count, flags, _BLOCK.size + stored

    def _last(self) -> list[Record]:
        """Records of the last block, where they were skipped."""
        raw, count, at = self._unread
        self._unread = (b"", 0, 0)
        rows = _split(raw, count)
        if rows is None:
            self.offset = at
            self._torn(_SUM, damaged=True)
            return []
        return rows

    def _torn(self, reason: str, *, damaged: bool) -> None:
        end = self._file.seek(0, os.SEEK_END)
        self.tail = TornTail(self.offset, end - self.offset, reason, damaged)


def encode_header(header: TapeHeader) -> bytes:
    """Bytes at the start of a tape."""
    body = msgspec.msgpack.encode(header)
    return MAGIC + _HEADER.pack(len(body), zlib.crc32(body)) + body


def encode_block(
    raw: bytes,
    count: int,
    compressor: zstandard.ZstdCompressor | None = None,
    *,
    marked: bool = False,
) -> bytes:
    """One block of ``count`` records that ``raw`` holds."""
    payload, flags = raw, _MARKED if marked else 0
    if compressor is not None:
        packed = compressor.compress(raw)
        if len(packed) < len(raw):
            payload, flags = packed, flags | _COMPRESSED
    checksum = _checksum(len(payload), len(raw), count, flags, payload)
    return _BLOCK.pack(len(payload), len(raw), count, flags, checksum) + payload


def read_header(file: BinaryIO) -> tuple[TapeHeader, int]:
    """Read the header from the front of a file; returns it and where the first block begins.

    Raises:
        DecodeError: as ``TapeReader``.
    """
    start = file.read(len(MAGIC) + _HEADER.size)
    if not start.startswith(MAGIC):
        raise DecodeError(f"not a tape: it begins with {start[: len(MAGIC)].hex() or 'nothing'}")
    if len(start) < len(MAGIC) + _HEADER.size:
        raise DecodeError("the tape ends within its header")
    length, checksum = _HEADER.unpack_from(start, len(MAGIC))
    body = file.read(length) if length <= MAX_HEADER else b""
    if len(body) < length:
        raise DecodeError("the tape ends within its header, or the header is damaged")
    if zlib.crc32(body) != checksum:
        raise DecodeError("the tape's header is damaged: its checksum fails")
    try:
        header = msgspec.msgpack.decode(body, type=TapeHeader)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(f"the tape's header cannot be read: {error}") from error
    if header.format != FORMAT_VERSION:
        raise DecodeError(f"a tape of format {header.format}; this release reads {FORMAT_VERSION}")
    return header, len(start) + length


def _checksum(stored: int, raw: int, count: int, flags: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_BLOCK_SUMMED.pack(stored, raw, count, flags)))


def _split(raw: bytes, count: int) -> list[Record] | None:
    """The ``count`` records of a payload; None if it does not hold exactly so many."""
    rows = []
    at, end, size, unpack = 0, len(raw), _RECORD.size, _RECORD.unpack_from
    for _ in range(count):
        start = at + size
        if start > end:
            return None
        direction, recv_ns, length = unpack(raw, at)
        at = start + length
        rows.append(Record(direction, recv_ns, raw[start:at]))
    return rows if at == end else None
