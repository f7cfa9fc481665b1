"""The journal: everything that went into the engine and everything that came out, in one file.

A run writes one file, ``journal-<run>.ctape``, in its run folder. It begins with a header (engine
configuration, instruments, versions), so that it can be verified by itself, and its first event is
``Started`` with the whole durable state, so that only the newest journal is needed to go on. It
gets its name when that much is on the disk: a file of that name is never half a beginning. Then its
run is put on the folder's list (``run_index``), so that a journal that has gone is missed.

=========  ===============================================================================
direction  record
=========  ===============================================================================
``H``      the first record: engine configuration, instruments, versions
``E``      one event, stamped with engine time (``shell.journal.records``)
``C``      one command that came of the event before it
``V``      what changed in the account of a paper venue: ``[venue, {key: value or nil}]``
``F``      the error that ended the run: its text, and whether it came out of the engine
=========  ===============================================================================
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.core.model.commands import Persist
from citadel_micro.core.model.config import EngineConfig
from citadel_micro.core.model.events import Started
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.run_index import sync_folder
from citadel_micro.shell.journal.tail import judge_tail
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import COMMAND, EVENT, TapeHeader, TapeReader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event
    from citadel_proto.tape import Record

HEADER: Final = ord("H")
VENUE: Final = ord("V")
FAULT: Final = ord("F")

MARKED: Final = "marked"
"""In the tape's header: blocks that hold something a restart needs are marked."""
LISTED: Final = "listed"
"""In the tape's header: the folder has a list of its runs (``run_index``)."""
RUN: Final = "run"
"""In the tape's header: the run that it is of, so that a copy under another's name shows."""
FORMAT: Final = 1
SUFFIX: Final = ".ctape"


class Journal:
    """Appends one run's records. Market events wait in memory until a flush or a sync."""

    def __init__(
        self,
        writer: TapeWriter,
        partial: Path,
        path: Path,
        *,
        fsync: bool,
        named: Callable[[], None],
    ) -> None:
        self.path = path
        self._named = named
        self._writer = writer
        self._partial: Path | None = partial
        self._fsync = fsync
        self._closed = False

    def event(self, now_ns: int, event: Event) -> None:
        """Append one event."""
        self._writer.append(EVENT, now_ns, records.encode(event), mark=type(event) is Started)

    def command(self, now_ns: int, command: Command) -> None:
        """Append one command."""
        self._writer.append(COMMAND, now_ns, records.encode(command), mark=type(command) is Persist)

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        """Append the new values of a paper account's keys; None removes a key."""
        self._writer.append(VENUE, now_ns, records.encode_plain((venue, changes)), mark=True)

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
                sync_folder(self.path.parent)
            self._named()

    def close(self) -> None:
        """Write out what is left. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self._partial is not None:
            # Nothing was ever decided on: leave no journal behind.
            self._partial.unlink(missing_ok=True)
        self._writer.close()


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
    if not path.parent.is_dir():
        raise BadInput(
            "cannot create a journal: its folder is not there",
            where=str(path),
            mend="make the folder first",
        )
    return begin_journal(path, config, instruments, now_ns, fsync=False)


def begin_journal(
    path: Path,
    config: EngineConfig,
    instruments: Mapping[tuple[str, str], Instrument],
    now_ns: int,
    *,
    fsync: bool,
    run: str = "",
    named: Callable[[], None] | None = None,
) -> Journal:
    """Begin a journal; it gets its name at its first ``sync``, which then calls ``named``."""
    partial = path.with_name(f".{path.name}")
    tape = TapeHeader(
        created_ns=now_ns,
        kind="journal",
        instances=(f"{config.instance}-{config.run_id}",),
        meta={MARKED: True, LISTED: named is not None, RUN: run},
    )
    # Read again only when something is wrong, and synced many times a second: not compressed.
    writer = TapeWriter.create(partial, tape)
    header = _header(config, instruments)
    writer.append(HEADER, now_ns, records.encode_plain(header))
    return Journal(writer, partial, path, fsync=fsync, named=named or _nothing)


def _nothing() -> None:
    """Nobody has to hear that it has a name."""


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

    def ending(self) -> tuple[str, str]:
        """After the records: how the file ends if not with a whole block, as (torn, damaged)."""
        return ("", "") if self._tape.tail is None else judge_tail(self.path, self._tape.tail)

    def close(self) -> None:
        """Close the file."""
        self._tape.close()
