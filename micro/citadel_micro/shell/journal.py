"""The journal: everything that went into the engine and everything that came out, in one file.

A run writes one file, ``journal-<run>.ctape``, in its run folder. It begins with a header (engine
configuration, instruments, versions), so that it can be verified by itself, and its first event is
``Started`` with the whole durable state, so that only the newest journal is needed to go on. It
gets its name when that much is on the disk: a file of that name is never half a beginning.

=========  ===============================================================================
direction  record
=========  ===============================================================================
``H``      the first record: engine configuration, instruments, versions
``E``      one event, stamped with engine time (``shell.records``)
``C``      one command that came of the event before it
``V``      what changed in the account of a paper venue: ``[venue, {key: value or nil}]``
``F``      the error that ended the run: its text, and whether it came out of the engine
=========  ===============================================================================
"""

from __future__ import annotations

import fcntl
import io
import os
import platform
import re
import struct
import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from citadel_micro.core.config import EngineConfig
from citadel_micro.core.events import Started
from citadel_micro.core.instrument import Instrument
from citadel_micro.shell import records
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable
from citadel_proto.tape import COMMAND, EVENT, TapeHeader, TapeReader, TapeWriter, encode_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from citadel_micro.core.events import Event
    from citadel_micro.core.outbox import Command
    from citadel_proto.tape import Record, TornTail

HEADER: Final = ord("H")
VENUE: Final = ord("V")
FAULT: Final = ord("F")

FORMAT: Final = 1
_SCAN_BYTES: Final = 1024 * 1024
"""More than one block that was being written when a process died."""
_BLOCK: Final = struct.Struct("<IIIBI")
"""Header of a tape's block: stored and raw length, records, flags, checksum."""
SUFFIX: Final = ".ctape"
_PREFIX: Final = "journal-"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_RUN_ID_LENGTH: Final = 8
_RUN_ID: Final = re.compile(r"[0-9a-y][0-9a-z]{7}")


class Journal:
    """Appends one run's records. Market events wait in memory until a flush or a sync."""

    def __init__(self, writer: TapeWriter, partial: Path, path: Path, *, fsync: bool) -> None:
        self.path = path
        self._writer = writer
        self._partial: Path | None = partial
        self._fsync = fsync
        self._closed = False

    def event(self, now_ns: int, event: Event) -> None:
        """Append one event."""
        self._writer.append(EVENT, now_ns, records.encode(event))

    def command(self, now_ns: int, command: Command) -> None:
        """Append one command."""
        self._writer.append(COMMAND, now_ns, records.encode(command))

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        """Append the new values of a paper account's keys; None removes a key."""
        self._writer.append(VENUE, now_ns, records.encode_plain((venue, changes)))

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        """Append the error that ended the run; one of the engine's happens again in a replay."""
        row = {"in_engine": in_engine, "text": text}
        self._writer.append(FAULT, now_ns, records.encode_plain(row))

    def flush(self) -> None:
        """Hand everything to the operating system: it then survives the death of this process."""
        self._writer.flush()

    def sync(self) -> None:
        """Flush, and return when it survives the death of the machine."""
        if self._fsync:
            self._writer.sync()
        else:
            self._writer.flush()
        if self._partial is not None:
            self._partial.rename(self.path)
            self._partial = None
            if self._fsync:
                _sync_folder(self.path.parent)

    def close(self) -> None:
        """Write out what is left. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self._partial is not None:
            # Nothing was ever decided on: leave no journal behind.
            self._partial.unlink(missing_ok=True)
        self._writer.close()


@dataclass(slots=True)
class Fold:
    """The last value of everything durable in one journal."""

    state: dict[str, object] = field(default_factory=dict)
    venues: dict[str, dict[str, object]] = field(default_factory=dict)
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
            for record in reader.records():
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
    elif record.direction == EVENT and not result.started:
        event = records.decode_event(record.frame)
        if isinstance(event, Started):
            result.started = True
            result.state = dict(event.state)


def judge_tail(path: Path, tail: TornTail) -> tuple[str, str]:
    """Say of a file that does not end with a whole block whether it is (torn, damaged).

    A crash tears only what was being written, so nothing whole can follow it. Something whole
    does follow a block that was damaged later, for instance in the length it names.
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
        return "", f"{where}, and whole blocks follow it"
    return where, ""


def _block_within(data: bytes) -> bool:
    """Whether a whole block begins anywhere after the first byte."""
    header = encode_header(TapeHeader(created_ns=0))
    for at in range(1, len(data) - _BLOCK.size):
        stored, raw, count, flags, _ = _BLOCK.unpack_from(data, at)
        fits = 0 < count <= raw and stored <= raw and at + _BLOCK.size + stored <= len(data)
        if fits and flags <= 1:
            one = io.BytesIO(header + data[at : at + _BLOCK.size + stored])
            if any(True for _ in TapeReader(one).records()):
                return True
    return False


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
        return _begin(path, config, instruments, now_ns, fsync=fsync)

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
        self.last_ns, self.torn = found.last_ns, found.torn
        problem = found.damaged or ("" if found.started else "it holds no Started event")
        if problem:
            self.damaged = (
                f"{self.newest}: {problem}. What comes after it is not known. Look at it with "
                f"`citadel tape info {self.newest}` and compare with the venue"
            )


def new_journal(
    path: Path,
    config: EngineConfig,
    instruments: Mapping[tuple[str, str], Instrument],
    now_ns: int,
) -> Journal:
    """Begin a journal of any name outside a run folder, for runs that nothing goes on from.

    It is not forced to the disk.

    Raises:
        BadInput: the file exists, or cannot be created.
    """
    if path.exists():
        raise BadInput(
            "the file exists", where=str(path), mend="choose another name: journals only grow"
        )
    return _begin(path, config, instruments, now_ns, fsync=False)


def _begin(
    path: Path,
    config: EngineConfig,
    instruments: Mapping[tuple[str, str], Instrument],
    now_ns: int,
    *,
    fsync: bool,
) -> Journal:
    partial = path.with_name(f".{path.name}")
    tape = TapeHeader(
        created_ns=now_ns, kind="journal", instances=(f"{config.instance}-{config.run_id}",)
    )
    # Read again only when something is wrong, and synced many times a second: not compressed.
    writer = TapeWriter.create(partial, tape)
    header = _header(config, instruments)
    writer.append(HEADER, now_ns, records.encode_plain(header))
    return Journal(writer, partial, path, fsync=fsync)


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


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- header -------------------------------------------------------------------------------------


def _header(
    config: EngineConfig, instruments: Mapping[tuple[str, str], Instrument]
) -> dict[str, object]:
    return {
        "journal": FORMAT,
        "run_id": config.run_id,
        "instance": config.instance,
        "config": config,
        "instruments": records.instrument_rows(instruments.values()),
        "versions": {
            "stoic-citadel": metadata.version("stoic-citadel"),
            "python": platform.python_version(),
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a journal says about its run."""

    run_id: str
    config: EngineConfig
    instruments: dict[tuple[str, str], Instrument]
    versions: dict[str, str]


def read_header(record: Record | None) -> Header:
    """What the first record of a journal says. Raises DecodeError when it is none of ours."""
    if record is None or record.direction != HEADER:
        raise DecodeError("its first record does not describe an engine")
    raw: Any = records.decode_plain(record.frame)
    if not isinstance(raw, dict) or raw.get("journal") != FORMAT:
        raise DecodeError(f"a journal of another format; this release reads {FORMAT}")
    try:
        return Header(
            run_id=str(raw["run_id"]),
            config=msgspec.convert(raw["config"], EngineConfig),
            instruments=records.instruments_of(raw["instruments"]),
            versions=dict(raw["versions"]),
        )
    except (msgspec.MsgspecError, KeyError, BadInput) as error:
        raise DecodeError(f"the header cannot be understood: {error}") from error


class JournalReader:
    """Header and records of one journal.

    Raises:
        BadInput: the file cannot be read.
        DecodeError: it is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tape = TapeReader.open(path)
        self._rows = self._tape.records()
        try:
            self.header = read_header(next(self._rows, None))
        except DecodeError as error:
            self._tape.close()
            raise DecodeError(f"{path} is no journal: {error}") from error

    def records(self) -> Iterator[Record]:
        """The records after the header."""
        return self._rows

    def ending(self) -> str:
        """After the records: empty, or how the file ends if not with a whole block."""
        if self._tape.tail is None:
            return ""
        torn, damaged = judge_tail(self.path, self._tape.tail)
        return torn or damaged

    def close(self) -> None:
        """Close the file."""
        self._tape.close()
