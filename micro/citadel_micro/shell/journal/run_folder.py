"""The folder of one micro: its lock, and the state left by the run before."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from citadel_bridge.file_locks import lock
from citadel_micro.core.model.events import Started
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.journal import LISTED, MARKED, RUN, SUFFIX, VENUE, begin_journal
from citadel_micro.shell.journal.parts import part_of
from citadel_micro.shell.journal.reader import read_header
from citadel_micro.shell.journal.run_index import RUN_ID, RunIndex, replace_whole
from citadel_micro.shell.journal.tail import judge_tail
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable, Refused
from citadel_proto.tape import COMMAND, EVENT, HEADER, STATE, TapeReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.shell.journal.journal import Journal
    from citadel_proto.tape import Record

_PREFIX: Final = "journal-"
_OURS: Final = re.compile(r"\.?journals?[-.]|\.lock|control\.sock$")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_RUN_ID_LENGTH: Final = 8


@dataclass(slots=True)
class Fold:
    """The last value of everything durable in one journal."""

    state: dict[str, object] = field(default_factory=dict)
    venues: dict[str, dict[str, object]] = field(default_factory=dict)
    instruments: dict[tuple[str, str], Instrument] = field(default_factory=dict)
    """The rules that its orders and fills are counted in."""
    started: bool = False
    last_ns: int = 0
    listed: bool = False
    """Its header says that the folder has a list of the runs."""
    run: str = ""
    """The run that it belongs to, where it says so."""
    torn: str = ""
    """The file ends within a block that was being written; everything before it is intact."""
    damaged: str = ""
    """Something that was complete once is damaged."""


def fold(path: Path) -> Fold:
    """Read the durable state from a journal. Never raises because of the file's content."""
    result = Fold()
    try:
        with TapeReader.open(path) as reader:
            # Most of a long journal is market data, which a restart does not need.
            meta = reader.header.meta
            result.listed = meta.get(LISTED) is True
            result.run = str(meta.get(RUN, ""))
            # A further part has its name only when the whole state is in it.
            result.started = part_of(reader.header) > 1
            for record in reader.records(marked=meta.get(MARKED) is True):
                _fold_record(result, record)
            if reader.tail is not None:
                result.torn, result.damaged = judge_tail(path, reader.tail)
    except (DecodeError, ValueError, TypeError, AttributeError) as error:
        result.damaged = f"a record cannot be read: {error}"
    return result


def _fold_record(result: Fold, record: Record) -> None:
    result.last_ns = max(result.last_ns, record.recv_ns)
    persist = None
    if record.direction in (COMMAND, STATE):
        persist = records.decode_persist(record.frame)
    if persist is not None:
        _put(result.state, persist.key, persist.value)
    elif record.direction in (VENUE, STATE):
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
    """The folder of one micro: its lock, its journals, and their state.

    Args:
        path: created if it does not exist.
        instance: name of this micro, for messages.

    Raises:
        PeerUnavailable: another micro uses the folder.
        BadInput: it cannot be created or written.
        Refused: the journal of the run before this one is missing, or is a copy of another.
    """

    def __init__(self, path: Path, *, instance: str) -> None:
        self.path = path
        self._lock = _lock(path, instance)
        self.state: dict[str, object] = {}
        """Durable state of the engine."""
        self.venues: dict[str, dict[str, object]] = {}
        """Saved values of each paper account."""
        self.instruments: dict[tuple[str, str], Instrument] = {}
        """Rules of the run before this one; its orders and fills are in their ticks and lots."""
        self.damaged = ""
        """Empty, or what is wrong with the newest journal and how to inspect it."""
        self.torn = ""
        """Empty, or where the newest journal ends in the middle of a block."""
        self.last_ns = 0
        """Engine time of the last record."""
        self.newest: Path | None = None
        """Journal of the run before this one."""
        try:
            for leftover in path.glob(f".{_PREFIX}*{SUFFIX}"):
                if leftover.is_symlink() or not leftover.is_dir():
                    leftover.unlink()
            self._index = RunIndex(path)
            self._recover()
        except BaseException:
            self.close()
            raise
        self.run_id = _run_id(self.last_ns, max(self._newest_id(), self._index.newest))

    def journals(self) -> list[Path]:
        """Journals in the folder, oldest first."""
        found = self.path.glob(f"{_PREFIX}*{SUFFIX}")
        return sorted(path for path in found if RUN_ID.fullmatch(_id_of(path)))

    def create(
        self,
        config: EngineConfig,
        instruments: Mapping[tuple[str, str], Instrument],
        now_ns: int,
        *,
        fsync: bool = True,
        compress: bool = True,
        part_octets: int = 0,
    ) -> Journal:
        """Start this run's journal; see ``begin_journal``."""
        path = self.path / f"{_PREFIX}{self.run_id}{SUFFIX}"
        return begin_journal(
            path,
            config,
            instruments,
            now_ns,
            fsync=fsync,
            compress=compress,
            part_octets=part_octets,
            run=self.run_id,
            named=partial(self._index.add, self.run_id),
        )

    def close(self) -> None:
        """Release the folder. Safe to repeat."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _newest_id(self) -> str:
        return "" if self.newest is None else _id_of(self.newest)

    def _recover(self) -> None:
        """Read the state from the newest journal; a damaged one is reported, never skipped."""
        journals = self.journals()
        if not journals:
            self.damaged = self._index.missing("", listed=False)
            return
        self.newest = journals[-1]
        found = fold(self.newest)
        if found.run not in ("", self._newest_id()):
            raise Refused(
                f"{self.newest} holds the journal of run {found.run}: it is a copy under another "
                f"name, and its state may be old. Put the journal of run {self._newest_id()} "
                "back, or remove this file"
            )
        self.state, self.venues = found.state, found.venues
        self.instruments = found.instruments
        self.last_ns, self.torn = found.last_ns, found.torn
        self.damaged = self._index.missing(self._newest_id(), listed=found.listed)
        problem = found.damaged or ("" if found.started else "it holds no Started event")
        if problem:
            self.damaged = (
                f"{self.newest}: {problem}. What follows it is unknown. Inspect it with "
                f"`citadel tape info {self.newest}` and compare with the venue"
            )


def _lock(path: Path, instance: str) -> int:
    """Lock the folder. The folder itself is locked: removing a file does not undo that."""
    name = path / ".lock"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        lock(descriptor)
        _close_to_others(path, descriptor)
        replace_whole(name, f"{instance} (process {os.getpid()})\n".encode())
    except BlockingIOError as error:
        os.close(descriptor)
        raise PeerUnavailable(
            f"run folder {path} is in use by {_owner(name) or 'another micro'}: two of them would "
            "trade on the same account; stop the other, or choose another folder (--run-dir)"
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise _unusable(path, error) from error
    return descriptor


def _close_to_others(path: Path, descriptor: int) -> None:
    """Restrict an existing folder that holds only our files to its user."""
    found = os.fstat(descriptor)
    ours = all(_OURS.match(each.name) for each in path.iterdir())
    if ours and found.st_uid == os.geteuid() and found.st_mode & 0o077:
        os.fchmod(descriptor, 0o700)


def _unusable(path: Path, error: OSError) -> BadInput:
    return BadInput(
        f"run folder {path} cannot be used: {error.strerror}",
        where="run_dir",
        mend="name a writable folder (--run-dir)",
    )


def _owner(name: Path) -> str:
    """Who uses the folder, as that process wrote it; empty if it wrote nothing."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(200).decode("utf-8", "replace").strip()


def _run_id(last_ns: int, newest: str) -> str:
    """Milliseconds since the epoch in base 36: eight characters that sort by time until 2059.

    Always after the newest existing one, whatever the clock shows.
    """
    number = max(time.time_ns(), last_ns) // 1_000_000
    if newest:
        number = max(number, int(newest, 36) + 1)
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits.rjust(_RUN_ID_LENGTH, "0")


def _id_of(path: Path) -> str:
    return path.name.removeprefix(_PREFIX).removesuffix(SUFFIX)
