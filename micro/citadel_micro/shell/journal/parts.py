"""One run's journal in several files, so that the old ones of a long run can go.

The newest part always has the journal's name, ``journal-<run>.ctape``; earlier ones are
``journal-<run>-0001.ctape``, ``journal-<run>-0002.ctape`` …, in the order of their numbers. Each begins
with the header and, from the second on, with the durable state as it was then: a restart needs the
newest only. To recompute a run all are needed, since only its first event says what the engine began with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.commands import Persist
from citadel_micro.shell.journal import records
from citadel_proto.tape import PART

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from citadel_proto.tape import TapeHeader

_EARLIER: Final = re.compile(r"(journal-[0-9a-y][0-9a-z]{7})-(\d{4,})")


def earlier_part(path: Path, number: int) -> Path:
    """The name that a part of the journal ``path`` has when the next one is the newest."""
    return path.with_name(f"{path.stem}-{number:04d}{path.suffix}")


def is_earlier(path: Path) -> bool:
    """Whether a file has the name of an earlier part."""
    return _EARLIER.fullmatch(path.stem) is not None


def journal_of(path: Path) -> Path:
    """The newest part of the run that a part belongs to."""
    found = _EARLIER.fullmatch(path.stem)
    return path if found is None else path.with_name(f"{found.group(1)}{path.suffix}")


def runs_of(folder: Path) -> list[Path]:
    """The journal of each run in a folder, by its newest part; the oldest run first."""
    return sorted(path for path in folder.glob("journal-*.ctape") if not is_earlier(path))


def files_of(journal: Path) -> list[Path]:
    """Every file of one run, its newest part last."""
    form = f"{journal.stem}-*{journal.suffix}"
    found = [path for path in journal.parent.glob(form) if is_earlier(path)]
    return [*sorted(found, key=lambda path: (len(path.name), path.name)), journal]


def part_of(header: TapeHeader) -> int:
    """The number of a part, as its file says; 1 for a journal that is one file."""
    part = header.meta.get(PART)
    return part if isinstance(part, int) and part > 0 else 1


def earlier_parts(path: Path, part: int) -> list[Path]:
    """The files before a part that are there without a gap, the first one first."""
    found: list[Path] = []
    for number in range(part - 1, 0, -1):
        earlier = earlier_part(journal_of(path), number)
        if not earlier.is_file():
            break
        found.insert(0, earlier)
    return found


class LastValues:
    """The last value of everything durable, as records for the beginning of a further part."""

    def __init__(self) -> None:
        self._state: dict[str, bytes] = {}
        self._venues: dict[str, dict[str, bytes]] = {}

    def started(self, state: Mapping[str, object]) -> None:
        """The run began with this."""
        for key, value in state.items():
            persist = Persist(key=key, value=value)
            self.put(persist, records.encode(persist))

    def put(self, command: Persist, frame: bytes) -> None:
        """Keep a value, by the frame of its command."""
        if command.value is None:
            self._state.pop(command.key, None)
        else:
            self._state[command.key] = frame

    def put_venue(self, venue: str, changes: Mapping[str, object]) -> None:
        """Keep values of a paper account; None removes one."""
        table = self._venues.setdefault(venue, {})
        for key, value in changes.items():
            if value is None:
                table.pop(key, None)
            else:
                table[key] = records.encode_plain((venue, {key: value}))

    def frames(self) -> Iterator[bytes]:
        """One for each value: a ``Persist``, or what a record ``V`` holds."""
        yield from self._state.values()
        for table in self._venues.values():
            yield from table.values()
