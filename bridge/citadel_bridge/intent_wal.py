"""Write-ahead file of the newest intents, before they are in the database.

A signal may be sent only when its intent is on disk, so this is in the path of every order. One
append of its own bytes and one sync take half as long as a database transaction,
which writes several pages. The file is emptied when the database has everything.

A record is ``u32 length, u32 crc32, body``, little-endian; a truncated end was never published.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

from citadel_bridge.file_locks import lock
from citadel_proto.disk import sync_data

if TYPE_CHECKING:
    from pathlib import Path

_HEAD: Final = struct.Struct("<II")


class RecentIntents:
    """The file, open in this process only.

    Args:
        path: made when it is not there.

    Raises:
        BlockingIOError: another process has it open.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = 0
        try:
            lock(self._file)
        except OSError:
            os.close(self._file)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # a file is on the disk when its name is, too
        finally:
            os.close(folder)

    def read(self) -> list[bytes]:
        """Every whole record, oldest first."""
        size = os.fstat(self._file).st_size
        data = os.pread(self._file, size, 0)
        bodies = []
        at = 0
        while at + _HEAD.size <= len(data):
            length, checksum = _HEAD.unpack_from(data, at)
            body = data[at + _HEAD.size : at + _HEAD.size + length]
            if len(body) < length or zlib.crc32(body) != checksum:
                break
            bodies.append(body)
            at += _HEAD.size + length
        return bodies

    def append(self, body: bytes) -> None:
        """Add one record; it survives the death of this process.

        Raises:
            OSError: nothing was added (disk full …).
        """
        data = _HEAD.pack(len(body), zlib.crc32(body)) + body
        try:
            if os.pwrite(self._file, data, self._size) < len(data):
                raise OSError("the disk took only a part")  # noqa: TRY301 - undone below
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def sync(self) -> None:
        """Return when every record survives a power failure."""
        sync_data(self._file)

    def empty(self) -> None:
        """Delete all records: they are in the database."""
        os.ftruncate(self._file, 0)
        self._size = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
