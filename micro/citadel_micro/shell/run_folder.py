"""The folder of one micro: who may use it, and what the run before has left in it."""

from __future__ import annotations

import fcntl
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from citadel_micro.core.events import Started
from citadel_micro.core.instrument import Instrument
from citadel_micro.shell import records
from citadel_micro.shell.journal import HEADER, MARKED, SUFFIX, VENUE, begin_journal, read_header
from citadel_micro.shell.tail import judge_tail
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable
from citadel_proto.tape import COMMAND, EVENT, TapeReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from citadel_micro.core.config import EngineConfig
    from citadel_micro.shell.journal import Journal
    from citadel_proto.tape import Record

_PREFIX: Final = "journal-"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_RUN_ID_LENGTH: Final = 8
_RUN_ID: Final = re.compile(r"[0-9a-y][0-9a-z]{7}")


@dataclass(slots=True)
class Fold:
    """The last value of everything durable in one journal."""

    state: dict[str, object] = field(default_factory=dict)
    venues: dict[str, dict[str, object]] = field(default_factory=dict)
    instruments: dict[tuple[str, str], Instrument] = field(default_factory=dict)
    """What its orders and fills are counted in."""
    started: bool = False
    last_ns: int = 0
    torn: str = ""
    """The file ends within a block that was being written; everything before it is there."""
    damaged: str = ""
    """Something that was whole once is not any more."""


def fold(path: Path) -> Fold:
    """Read a journal for what must survive it. Never raises for what the file holds."""
    result = Fold()
    try:
        with TapeReader.open(path) as reader:
            # Most of a long journal is market data, which a restart does not need.
            for record in reader.records(marked=reader.header.meta.get(MARKED) is True):
                _fold_record(result, record)
            if reader.tail is not None:
                result.torn, result.damaged = judge_tail(path, reader.tail)
    except (DecodeError, ValueError, TypeError, AttributeError) as error:
        result.damaged = f"a record cannot be read: {error}"
    return result


def _fold_record(result: Fold, record: Record) -> None:
    result.last_ns = max(result.last_ns, record.recv_ns)
    if record.direction == COMMAND:
        persist = records.decode_persist(record.frame)
        if persist is not None:
            _put(result.state, persist.key, persist.value)
    elif record.direction == VENUE:
        venue, changes = cast("tuple[str, dict[str, object]]", records.decode_plain(record.frame))
        table = result.venues.setdefault(venue, {})
        for key, value in changes.items():
            _put(table, key, value)
    elif record.direction == HEADER:
        result.instruments = read_header(record).instruments
    elif record.direction == EVENT and not result.started:
        event = records.decode_event(record.frame)
        if isinstance(event, Started):
            result.started = True
            result.state = dict(event.state)


def _put(table: dict[str, object], key: str, value: object) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


class RunFolder:
    """The folder of one micro: its lock, its journals, and what they say.

    Args:
        path: made if it is not there.
        instance: name of this micro, for messages.

    Raises:
        PeerUnavailable: another micro uses the folder.
        BadInput: it cannot be made or written.
    """

    def __init__(self, path: Path, *, instance: str) -> None:
        self.path = path
        self._lock = _lock(path, instance)
        self.state: dict[str, object] = {}
        """Durable state of the engine."""
        self.venues: dict[str, dict[str, object]] = {}
        """Saved values of each paper account."""
        self.instruments: dict[tuple[str, str], Instrument] = {}
        """Rules of the run before this one, in whose ticks and lots all that is counted."""
        self.damaged = ""
        """Empty, or what is wrong with the newest journal and how to look at it."""
        self.torn = ""
        """Empty, or where the newest journal ends in the middle of a block."""
        self.last_ns = 0
        """Engine time of the last record."""
        self.newest: Path | None = None
        """Journal of the run before this one."""
        for leftover in path.glob(f".{_PREFIX}*"):
            leftover.unlink()
        self._recover()
        self.run_id = _run_id(self.last_ns, self.newest)

    def journals(self) -> list[Path]:
        """Journals in the folder, oldest first."""
        found = self.path.glob(f"{_PREFIX}*{SUFFIX}")
        return sorted(path for path in found if _RUN_ID.fullmatch(_id_of(path)))

    def create(
        self,
        config: EngineConfig,
        instruments: Mapping[tuple[str, str], Instrument],
        now_ns: int,
        *,
        fsync: bool = True,
    ) -> Journal:
        """Begin this run's journal."""
        path = self.path / f"{_PREFIX}{self.run_id}{SUFFIX}"
        return begin_journal(path, config, instruments, now_ns, fsync=fsync)

    def close(self) -> None:
        """Let others use the folder. Harmless when repeated."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _recover(self) -> None:
        """Take the state from the newest journal; a damaged one is reported, never passed over."""
        journals = self.journals()
        if not journals:
            return
        self.newest = journals[-1]
        found = fold(self.newest)
        self.state, self.venues = found.state, found.venues
        self.instruments = found.instruments
        self.last_ns, self.torn = found.last_ns, found.torn
        problem = found.damaged or ("" if found.started else "it holds no Started event")
        if problem:
            self.damaged = (
                f"{self.newest}: {problem}. What comes after it is not known. Look at it with "
                f"`citadel tape info {self.newest}` and compare with the venue"
            )


def _lock(path: Path, instance: str) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BadInput(
            f"run folder {path} cannot be used: {error.strerror}",
            where="run_dir",
            mend="name a folder that can be written (--run-dir)",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 200).decode("utf-8", "replace").strip()
        os.close(descriptor)
        raise PeerUnavailable(
            f"run folder {path} is in use by {owner or 'another micro'}: two of them would trade "
            "on the same account; stop the other, or choose another folder (--run-dir)"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{instance} (process {os.getpid()})\n".encode())
    return descriptor


def _run_id(last_ns: int, newest: Path | None) -> str:
    """Milliseconds since the epoch in base 36: eight characters that sort by time until 2059.

    Always after the newest there is, whatever the clock says.
    """
    number = max(time.time_ns(), last_ns) // 1_000_000
    if newest is not None:
        number = max(number, int(_id_of(newest), 36) + 1)
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits.rjust(_RUN_ID_LENGTH, "0")


def _id_of(path: Path) -> str:
    return path.name.removeprefix(_PREFIX).removesuffix(SUFFIX)
