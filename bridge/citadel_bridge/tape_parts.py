"""A recording in several files, of which the oldest are deleted; and whether a journal's part is whole.

``monday.tape`` becomes ``monday-0001.tape``, ``monday-0002.tape`` …, each complete by itself;
``citadel tape merge`` makes one of them again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from citadel_proto import tape
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When to start a new file, and how many stay. 0 is never, and all."""

    octets: int = 0
    ns: int = 0
    """Receive time that one file spans."""
    keep: int = 0
    """Files that stay, the one being written among them."""

    def __post_init__(self) -> None:
        """Refuse to keep files of a recording that is one file."""
        if self.keep and not (self.octets or self.ns):
            raise BadInput(
                "--keep without a rotation",
                where="--keep",
                mend="add --rotate 1h or --rotate-mb 500",
            )


class PartsWriter:
    """Appends frames to a tape, or to the newest of several.

    Args:
        path: the tape's name; with a rotation, what the parts' names are made of.
        header: made anew for every file.
        rotation: None for one file.
        compress: compress blocks.

    Raises:
        BadInput: a file exists, or cannot be created.
    """

    def __init__(
        self,
        path: Path,
        header: Callable[[], tape.TapeHeader],
        *,
        rotation: Rotation | None = None,
        compress: bool = False,
    ) -> None:
        self._path = path
        self._header = header
        self._rotation = rotation or Rotation()
        self._compress = compress
        self.paths: list[Path] = []
        """Files written, oldest first; with those that were deleted."""
        self._first_ns = 0
        if self._in_parts and (found := parts_of(path)):
            raise BadInput(
                f"parts of this recording exist: {found[0].name}",
                where=str(path),
                mend="choose another name: tapes only grow",
            )
        self._writer = self._begin()

    def append(self, record: tape.Record) -> None:
        """Add one record; raises as ``TapeWriter.append``."""
        if self._due(record.recv_ns):
            self._writer.close()
            self._writer = self._begin()
            self._first_ns = 0
            self._drop()
        self._first_ns = self._first_ns or record.recv_ns
        self._writer.append(*record)

    def flush(self) -> None:
        """Write what was gathered."""
        self._writer.flush()

    def close(self) -> None:
        """End the last file. Safe to repeat."""
        self._writer.close()

    @property
    def _in_parts(self) -> bool:
        return bool(self._rotation.octets or self._rotation.ns)

    def _due(self, recv_ns: int) -> bool:
        rotation = self._rotation
        if rotation.octets and self._writer.offset >= rotation.octets:
            return self._writer.records > 0
        return bool(rotation.ns and self._first_ns and recv_ns - self._first_ns >= rotation.ns)

    def _begin(self) -> tape.TapeWriter:
        path = self._path
        if self._in_parts:
            path = path.with_name(f"{path.stem}-{len(self.paths) + 1:04d}{path.suffix}")
        writer = tape.TapeWriter.create(path, self._header(), compress=self._compress)
        self.paths.append(path)
        return writer

    def _drop(self) -> None:
        """Delete what is beyond ``keep``: files of this recording only."""
        if self._rotation.keep:
            for path in self.paths[: -self._rotation.keep]:
                path.unlink(missing_ok=True)


def parts_of(path: Path) -> list[Path]:
    """Existing parts of a recording of that name, oldest first."""
    form = re.compile(rf"{re.escape(path.stem)}-(\d{{4,}}){re.escape(path.suffix)}")
    if not path.parent.is_dir():
        return []
    found = [
        (int(m.group(1)), each)
        for each in path.parent.iterdir()
        if (m := form.fullmatch(each.name))
    ]
    return [each for _, each in sorted(found)]


def incomplete(part: tape.TapeReader, after: tape.TapeHeader) -> str:
    """Why a part of a journal, read to its end, is not all that was there when the next one began.

    Args:
        part: its reader.
        after: the header of the part after it; one of an earlier release does not say how long this was.
    """
    if part.tail is not None:
        return f"{part.tail.reason} at byte {part.tail.offset}"
    before = after.meta.get(tape.BEFORE, part.offset)
    return "" if before == part.offset else f"it ends at byte {part.offset} of {before}"
