"""Writes traffic as the tap of a feed, each file complete by itself.

Raw, gzip or zstd, as ``frames`` reads it; or compact, as ``compact`` does.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

import msgspec
import zstandard

from citadel_micro.shell.capture.compact import SUFFIX, CompactFile, Line
from citadel_micro.shell.capture.frames import Record
from citadel_micro.shell.capture.offline import CaptureDecoder
from citadel_micro.shell.marketdata.snapshots import NO_CONNECTION
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from citadel_micro.shell.marketdata.spec import VenueSpec

BLOCK: Final = 1 << 16
"""Bytes of text that are compressed in one go."""
_GZIP_WINDOW: Final = 31
_encode: Final = msgspec.json.Encoder().encode


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class CaptureWriter:
    """Receives raw traffic as a feed's tap, and writes it.

    Lines are buffered for a block; ``flush`` ends one early, so that a file whose writer was
    killed is readable up to there. A disk error is kept in ``error``, and nothing more is
    written: a feed must not die of it.

    Args:
        path: ends in ``.gz`` or ``.zst``, and does not exist. With rotation, what is before the
            suffixes gets a number: ``x-0001.jsonl.gz``.
        rotate_bytes: start a new file when this much was written to disk; 0 for never.
        rotate_ns: start a new file when the first record is this old; 0 for never.
        on_rotate: called after a new file was started, which holds nothing yet.

    Raises:
        BadInput: another suffix, a file that exists, or a folder that does not.
    """

    suffixes: tuple[str, ...] = (".gz", ".zst")
    allowed = "a name that ends in .jsonl.gz or .jsonl.zst"

    def __init__(
        self,
        path: Path,
        *,
        rotate_bytes: int = 0,
        rotate_ns: int = 0,
        on_rotate: Callable[[], None] = lambda: None,
    ) -> None:
        if path.suffix not in self.suffixes:
            raise BadInput(
                f"{path.name} does not say what it is",
                where=f"--out {path}",
                allowed=self.allowed,
            )
        self._path = path
        self._rotating = rotate_bytes > 0 or rotate_ns > 0
        self._rotate_bytes = rotate_bytes
        self._rotate_ns = rotate_ns
        self._on_rotate = on_rotate
        self._lines: list[bytes] = []
        self._size = 0
        self._opened: dict[int, str] = {}
        self._first_ns = 0
        self._written = 0
        self._file: BinaryIO
        self._compressor: _Compressor
        self.paths: list[Path] = []
        self.records = 0
        self.octets = 0
        """Bytes of compressed data, all files together."""
        self.error: PeerUnavailable | None = None
        try:
            self._begin()
        except OSError as error:
            raise BadInput(
                f"cannot be written: {error.strerror}",
                where=f"--out {path}",
                mend="choose another name" if isinstance(error, FileExistsError) else None,
            ) from None

    def __call__(self, recv_ns: int, kind: str, conn: int, url: str, text: str, /) -> None:
        """Take one record."""
        if self.error is not None:
            return
        if kind == "open":
            self._opened[conn] = url
        if self._due(recv_ns):
            self._rotate(recv_ns)
        self._put(recv_ns, kind, conn, url, text)

    def flush(self) -> None:
        """Pass everything so far to the operating system."""
        self._write(ending=False, force=True)

    def close(self) -> None:
        """End the file. Safe to repeat."""
        if not self._file.closed:
            self._write(ending=True, force=True)
            self._file.close()

    # inside

    def _put(self, recv_ns: int, kind: str, conn: int, url: str, text: str) -> None:
        row: dict[str, object] = {"recv_ns": recv_ns, "kind": kind}
        if conn != NO_CONNECTION:
            row["conn"] = conn
        if url:
            row["url"] = url
        if kind != "open":
            row["text"] = text
        line = _encode(row)
        self._count(recv_ns)
        self._lines.append(line)
        self._size += len(line) + 1
        if self._size >= BLOCK:
            self._write(ending=False, force=False)

    def _count(self, recv_ns: int) -> None:
        self.records += 1
        self._first_ns = self._first_ns or recv_ns

    def _due(self, recv_ns: int) -> bool:
        if self._rotate_bytes and self._written >= self._rotate_bytes:
            return True
        old = self._first_ns and recv_ns - self._first_ns >= self._rotate_ns
        return bool(self._rotate_ns and old)

    def _rotate(self, recv_ns: int) -> None:
        self.close()
        if self.error is not None:
            return
        try:
            self._begin()
        except OSError as error:
            self._failed(error)
            return
        # Connections continue; this file alone must say that they were open.
        for conn, url in self._opened.items():
            self._put(recv_ns, "open", conn, url, "")
        self._on_rotate()

    def _begin(self) -> None:
        path = self._path
        if self._rotating:
            name, dot, rest = path.name.partition(".")
            path = path.with_name(f"{name}-{len(self.paths) + 1:04d}{dot}{rest}")
        self._first_ns = self._written = 0
        self._file = path.open("xb", buffering=0)
        self.paths.append(path)
        self._prepare(self._file)

    def _prepare(self, _file: BinaryIO) -> None:
        """For a new file. May raise OSError."""
        if self._path.suffix == ".gz":
            self._compressor = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
        else:
            self._compressor = zstandard.ZstdCompressor(level=3).compressobj()

    def _write(self, *, ending: bool, force: bool) -> None:
        if self._file.closed or self.error is not None:
            return
        text = b"".join(line + b"\n" for line in self._lines)
        self._lines.clear()
        self._size = 0
        gzip = self._path.suffix == ".gz"
        data = self._compressor.compress(text) if text else b""
        if ending:
            data += self._compressor.flush()
        elif force:
            mode = zlib.Z_SYNC_FLUSH if gzip else zstandard.COMPRESSOBJ_FLUSH_BLOCK
            data += self._compressor.flush(mode)
        try:
            self._file.write(data)
            if force:
                self._file.flush()
        except OSError as error:
            self._failed(error)
            return
        self._written += len(data)
        self.octets += len(data)

    def _failed(self, error: OSError) -> None:
        self.error = PeerUnavailable(f"{self.paths[-1]} cannot be written: {error.strerror}")


class CompactWriter(CaptureWriter):
    """Writes what the venue's decoder reads of the traffic, instead of its text.

    Args:
        path: ends in ``.tape``, and does not exist.
        spec: the venue.
        rotate_bytes, rotate_ns, on_rotate: as for ``CaptureWriter``.

    Raises:
        BadInput: as ``CaptureWriter``.
    """

    suffixes = (SUFFIX,)
    allowed = f"a name that ends in {SUFFIX}"

    def __init__(
        self,
        path: Path,
        spec: VenueSpec,
        *,
        rotate_bytes: int = 0,
        rotate_ns: int = 0,
        on_rotate: Callable[[], None] = lambda: None,
    ) -> None:
        self._spec = spec
        self._tape: CompactFile
        super().__init__(path, rotate_bytes=rotate_bytes, rotate_ns=rotate_ns, on_rotate=on_rotate)

    def _prepare(self, file: BinaryIO) -> None:
        # A file is read without those before it, so it is decoded without them as well.
        self._decoder = CaptureDecoder(self._spec, whole=True)
        self._tape = CompactFile(file, self._spec.venue)
        self._noted()

    def _put(self, recv_ns: int, kind: str, conn: int, url: str, text: str) -> None:
        self._count(recv_ns)
        record = Record(
            recv_ns,
            cast('Literal["open", "sent", "frame", "rest"]', kind),
            text,
            None if conn == NO_CONNECTION else conn,
            url,
        )
        line = self._read(record)
        try:
            self._tape.put(line, self._decoder.symbols)
        except OSError as error:
            self._failed(error)
        self._noted()

    def _read(self, record: Record) -> Line:
        conn, is_frame = record.conn or 0, record.kind == "frame"
        try:
            read = self._decoder.line(self.records, record)
        except BadInput as error:  # the decoder has a bug, which ends the feed by itself
            data = record.text.encode()
            return Line(record.recv_ns, conn, is_frame, (), str(error), data, url=record.url)
        _, recv_ns, _, _, events, why, data, opened = read
        return Line(recv_ns, conn, is_frame, events, why, data, opened, record.url)

    def _write(self, *, ending: bool, force: bool) -> None:  # noqa: ARG002 - a block is a block
        if self._file.closed or self.error is not None:
            return
        try:
            self._tape.flush()
        except OSError as error:
            self._failed(error)
        self._noted()

    def _noted(self) -> None:
        """How much the file has grown."""
        self.octets += self._tape.octets - self._written
        self._written = self._tape.octets
