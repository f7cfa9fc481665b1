"""The journal: every event that went into the engine and every command that came out.

A run writes ``journal-<run>.ctape`` in its run folder, on demand in several ``parts``. It begins with a header (engine
configuration, instruments, versions), so that it can be verified by itself, and its first event is
``Started`` with the complete durable state, so that only the newest journal is needed to resume. It
gets its name when that much is on disk: a file of that name always has a complete beginning. Then its
run is added to the folder's list (``run_index``), so that a missing journal is detected.

=========  ===============================================================================
direction  record
=========  ===============================================================================
``H``      the first record: engine configuration, instruments, versions
``E``      one event, stamped with engine time (``shell.journal.records``)
``M``      market events between two other records, as differences of whole numbers
           (``citadel_proto.market_deltas``), stamped with the time of the last
``C``      one command issued for the event before it
``V``      changes in the account of a paper venue: ``[venue, {key: value or nil}]``
``S``      a value of the durable state as a further part of a journal begins (``parts``)
``F``      the error that ended the run: its text, and whether it came out of the engine
=========  ===============================================================================
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.deltas import new_writer
from citadel_micro.core.model.commands import Persist
from citadel_micro.core.model.events import Started
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.parts import LastValues, earlier_part
from citadel_micro.shell.journal.reader import FORMAT, PLAIN_FORMAT
from citadel_micro.shell.journal.run_index import sync_folder
from citadel_proto.errors import BadInput
from citadel_proto.tape import (
    BEFORE,
    BLOCK_BYTES,
    COMMAND,
    EVENT,
    HEADER,
    MARKET_EVENTS,
    PART,
    STATE,
    TapeHeader,
    TapeWriter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from citadel_micro.core.marketdata.deltas import Writer
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument

log: Final = structlog.get_logger("journal")

VENUE: Final = ord("V")
FAULT: Final = ord("F")

MARKED: Final = "marked"
"""In the tape's header: blocks with records that a restart needs are marked."""
LISTED: Final = "listed"
"""In the tape's header: the folder has a list of its runs (``run_index``)."""
RUN: Final = "run"
"""In the tape's header: the run that it belongs to, so that a copy under another name is detected."""
SUFFIX: Final = ".ctape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How every part of a journal begins: its tape's header, and its first record."""

    tape: TapeHeader
    compress: bool
    now_ns: int
    header: bytes

    def write(self, path: Path, part: int, before: int = 0) -> TapeWriter:
        """Begin a part, after one of so many octets. Raises as ``TapeWriter.create``."""
        meta = self.tape.meta | {PART: part} | ({BEFORE: before} if before else {})
        tape = msgspec.structs.replace(self.tape, meta=meta)
        writer = TapeWriter.create(path, tape, compress=self.compress)
        writer.append(HEADER, self.now_ns, self.header)
        return writer


class Journal:
    """Appends one run's records. Market events are buffered until a flush or a sync.

    Args:
        beginning: of each part.
        path: the journal's name.
        part_octets: size from which a flush begins a further part; 0: never.
        deltas: where market events are gathered; None: each is a record of its own.
        fsync: wait for the disk.
        named: called when the journal has its name.
    """

    def __init__(
        self,
        beginning: Beginning,
        path: Path,
        *,
        part_octets: int,
        deltas: Writer | None,
        fsync: bool,
        named: Callable[[], None],
    ) -> None:
        self.path = path
        self.part = 1
        """Number of the part that is being written."""
        self._beginning = beginning
        self._part_octets = self._full_at = part_octets
        self._last = LastValues() if part_octets else None
        self._last_ns = beginning.now_ns
        self._named = named
        partial = path.with_name(f".{path.name}")
        writer = beginning.write(partial, self.part)
        self._writer = writer
        self._deltas = deltas
        self._market_ns = 0
        self._partial: Path | None = partial
        self._fsync = fsync
        self._closed = False

    def event(self, now_ns: int, event: Event) -> None:
        """Append one event."""
        deltas = self._deltas
        if deltas is not None and deltas.add(now_ns, event):
            self._market_ns = now_ns
            if len(deltas) >= BLOCK_BYTES:
                self._append_market()
            return
        if self._last is not None and isinstance(event, Started):
            self._last.started(event.state)
        self._append(EVENT, now_ns, records.encode(event), mark=type(event) is Started)

    def command(self, now_ns: int, command: Command) -> None:
        """Append one command."""
        frame = records.encode(command)
        if self._last is not None and isinstance(command, Persist):
            self._last.put(command, frame)
        mark = type(command) is Persist
        if self._deltas:
            self._append(COMMAND, now_ns, frame, mark=mark)
        else:
            self._last_ns = now_ns
            self._writer.append(COMMAND, now_ns, frame, mark=mark)

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        """Append the new values of a paper account's keys; None removes a key."""
        if self._last is not None:
            self._last.put_venue(venue, changes)
        self._append(VENUE, now_ns, records.encode_plain((venue, changes)), mark=True)

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        """Append the error that ended the run; an engine error happens again in a replay."""
        row = {"in_engine": in_engine, "text": text}
        self._append(FAULT, now_ns, records.encode_plain(row))

    def _append(self, direction: int, now_ns: int, frame: bytes, *, mark: bool = False) -> None:
        try:
            if self._deltas:
                self._append_market()
        finally:  # the writer keeps what the disk has no room for, so this comes after it
            self._last_ns = now_ns
            self._writer.append(direction, now_ns, frame, mark=mark)

    def _append_market(self) -> None:
        """What came of the market since the last record, as one."""
        if self._deltas:
            self._writer.append(MARKET_EVENTS, self._market_ns, self._deltas.take())

    def flush(self) -> None:
        """Pass everything to the operating system: it then survives the death of this process.

        Nothing waits for that, and no event is without its commands then: the place for a further part.
        """
        self._append_market()
        self._writer.flush()
        if self._full_at and self._partial is None and self._writer.offset >= self._full_at:
            self._begin_part()

    def start_sync(self) -> None:
        """Flush, and have the disk begin with it, without waiting: ``sync`` has less to wait for then."""
        self._append_market()
        self._writer.write_out(start=self._fsync)

    def sync(self) -> None:
        """Flush, and return when it survives a power failure."""
        self._append_market()
        if self._fsync:
            self._writer.sync()
        else:
            self._writer.write_out()
        if self._partial is not None:
            self._partial.rename(self.path)
            self._partial = None
            if self._fsync:
                sync_folder(self.path.parent)
            self._named()

    def _begin_part(self) -> None:
        """Go on in a further part. Where that cannot be written, this one goes on, with a warning.

        At every moment a complete file has the journal's name: the old part keeps it beside its new one
        until the further part, complete with the state, takes it. A disk that fails to keep what this part has
        is no reason to go on: it says so once, and later calls succeed without it (fsync(2)).
        """
        assert self._last is not None  # noqa: S101 - the order of calls is ours
        if self._fsync:
            self._writer.sync()
        partial = self.path.with_name(f".{self.path.name}")
        earlier = earlier_part(self.path, self.part)
        writer: TapeWriter | None = None
        linked = False
        try:
            writer = self._beginning.write(partial, self.part + 1, self._writer.offset)
            for frame in self._last.frames():
                writer.append(STATE, self._last_ns, frame, mark=True)
            if self._fsync:
                writer.sync()
            else:
                writer.flush()
            os.link(self.path, earlier)
            linked = True
            partial.rename(self.path)
        except (OSError, BadInput) as error:
            self._full_at = self._writer.offset + self._part_octets
            log.warning(
                "the journal goes on in the same file", path=str(self.path), error=str(error)
            )
            if writer is not None:
                with suppress(OSError):
                    writer.close()
                partial.unlink(missing_ok=True)
            if linked:
                earlier.unlink(missing_ok=True)
            return
        old, self._writer = self._writer, writer
        self.part += 1
        self._full_at = writer.offset + self._part_octets
        old.close()
        if self._fsync:
            sync_folder(self.path.parent)

    def close(self) -> None:
        """Write out what is buffered. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        if self._partial is not None:
            # No decision was made: leave no journal behind.
            self._partial.unlink(missing_ok=True)
        try:
            self._append_market()
        finally:
            self._writer.close()


def new_journal(
    path: Path,
    config: EngineConfig,
    instruments: Mapping[tuple[str, str], Instrument],
    now_ns: int,
) -> Journal:
    """Start a journal of any name outside a run folder, for runs that are never resumed.

    It is not synced to disk.

    Raises:
        BadInput: the file exists, or cannot be created.
    """
    if path.exists():
        raise BadInput(
            "the file exists", where=str(path), mend="choose another name: journals only grow"
        )
    if not path.parent.is_dir():
        raise BadInput(
            "cannot create a journal: its folder does not exist",
            where=str(path),
            mend="create the folder first",
        )
    # With either kernel, so that a run's journal does not depend on the machine that it was made on.
    return begin_journal(path, config, instruments, now_ns, fsync=False, deltas=True)


def begin_journal(
    path: Path,
    config: EngineConfig,
    instruments: Mapping[tuple[str, str], Instrument],
    now_ns: int,
    *,
    fsync: bool,
    compress: bool = True,
    run: str = "",
    named: Callable[[], None] | None = None,
    deltas: bool = kernel.DELTAS is not None,
    part_octets: int = 0,
) -> Journal:
    """Start a journal; it gets its name at its first ``sync``, which then calls ``named``.

    Its market events are differences where there is compiled code for that: in Python they would
    take many times as long as records of their own.
    """
    tape = TapeHeader(
        created_ns=now_ns,
        kind="journal",
        instances=(f"{config.instance}-{config.run_id}",),
        meta={MARKED: True, LISTED: named is not None, RUN: run},
    )
    header = _header(config, instruments, FORMAT if deltas else PLAIN_FORMAT)
    return Journal(
        Beginning(tape=tape, compress=compress, now_ns=now_ns, header=records.encode_plain(header)),
        path,
        part_octets=part_octets,
        deltas=new_writer() if deltas else None,
        fsync=fsync,
        named=named or _nothing,
    )


def _nothing() -> None:
    """Nothing to do when it gets its name."""


# --- header -------------------------------------------------------------------------------------


def _header(
    config: EngineConfig, instruments: Mapping[tuple[str, str], Instrument], number: int
) -> dict[str, object]:
    return {
        "journal": number,
        "run_id": config.run_id,
        "instance": config.instance,
        "config": config,
        "instruments": records.instrument_rows(instruments.values()),
        "versions": {
            "stoic-citadel": metadata.version("stoic-citadel"),
            "python": platform.python_version(),
        },
    }
