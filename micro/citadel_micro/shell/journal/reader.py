"""Reading journals: the header, and each record or event after it, over all parts of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from citadel_bridge.tape_parts import incomplete
from citadel_micro.core.marketdata.deltas import read_events
from citadel_micro.core.model.config import EngineConfig
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.parts import earlier_parts, part_of
from citadel_micro.shell.journal.tail import judge_tail
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import EVENT, HEADER, MARKET_EVENTS, STATE, Record, TapeReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citadel_micro.core.model.events import Event, MarketEvent
    from citadel_proto.tape import TapeHeader

PLAIN_FORMAT: Final = 1
"""Of a journal whose market events are records ``E`` like all others: written where ``M`` would be slow."""
FORMAT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A journal's description of its run."""

    run_id: str
    config: EngineConfig
    instruments: dict[tuple[str, str], Instrument]
    versions: dict[str, str]


def read_header(record: Record | None) -> Header:
    """The header in a journal's first record. Raises DecodeError when it is invalid."""
    if record is None or record.direction != HEADER:
        raise DecodeError("its first record does not describe an engine")
    raw: Any = records.decode_plain(record.frame)
    if not isinstance(raw, dict) or raw.get("journal") not in (PLAIN_FORMAT, FORMAT):
        raise DecodeError(
            f"a journal of another format; this release reads {PLAIN_FORMAT} and {FORMAT}"
        )
    try:
        return Header(
            run_id=str(raw["run_id"]),
            config=msgspec.convert(raw["config"], EngineConfig),
            instruments=records.instruments_of(raw["instruments"]),
            versions=dict(raw["versions"]),
        )
    except (msgspec.MsgspecError, KeyError, BadInput) as error:
        raise DecodeError(f"the header is invalid: {error}") from error


class MarketRow(NamedTuple):
    """One event of a record ``M``, as if it had a record of its own."""

    direction: int
    recv_ns: int
    event: MarketEvent

    @property
    def frame(self) -> bytes:
        """The frame that a record of its own would have."""
        return records.encode(self.event)


Row = Record | MarketRow


def event_of(row: Row) -> Event:
    """The event of a row with the direction ``E``. Raises DecodeError for anything else."""
    return row.event if isinstance(row, MarketRow) else records.decode_event(row.frame)


def rows_of(tape: Iterator[Record]) -> Iterator[Row]:
    """Records of a tape, each event of a record ``M`` as a row.

    Raises:
        DecodeError: a record ``M`` cannot be read.
    """
    for record in tape:
        if record.direction == MARKET_EVENTS:
            for now_ns, event in read_events(record.frame):
                yield MarketRow(EVENT, now_ns, event)
        else:
            yield record


class JournalReader:
    """Header and records of one journal; of a journal in parts, of all up to the one that is named.

    Raises:
        BadInput: the file cannot be read.
        DecodeError: it is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tape = TapeReader.open(path)
        self._rows = self._tape.records()
        try:
            self.header = read_header(next(self._rows, None))
        except DecodeError as error:
            self._tape.close()
            raise DecodeError(f"{path} is not a journal: {error}") from error
        self._ended: tuple[str, str] | None = None
        self._part = part_of(self._tape.header)
        self._earlier = earlier_parts(path, self._part)

    def records(self, *, market: bool = True) -> Iterator[Row]:
        """The records after the header, each market event as one of its own.

        Without ``market`` those that share a record are left out, unread.

        Raises:
            BadInput: earlier parts of the run are gone, so that nothing can be recomputed.
        """
        if self.lacks:
            raise BadInput(
                f"{self.lacks} of this run's journal is missing beside it",
                where=str(self.path),
                mend="a run is recomputed from its beginning: bring back its earlier parts. "
                "A restart needs the newest only",
            )
        if market:
            return rows_of(self._all())
        return (record for record in self._all() if record.direction != MARKET_EVENTS)

    @property
    def lacks(self) -> str:
        """The earlier parts that are not there; empty for none."""
        missing = self._part - 1 - len(self._earlier)
        return "" if not missing else "part 1" if missing == 1 else f"parts 1 to {missing}"

    def ending(self) -> tuple[str, str]:
        """After the records: how the file ends if not with a complete block, as (torn, damaged)."""
        if self._ended is not None:
            return self._ended
        return ("", "") if self._tape.tail is None else judge_tail(self.path, self._tape.tail)

    def close(self) -> None:
        """Close the file."""
        self._tape.close()

    def _all(self) -> Iterator[Record]:
        earlier = [self._checked(path, number) for number, path in enumerate(self._earlier, 1)]
        for path, following in zip(self._earlier, [*earlier, self._tape.header][1:], strict=True):
            with TapeReader.open(path) as tape:
                rows = tape.records()
                next(rows, None)  # its description of the run, which every part has
                yield from (record for record in rows if record.direction != STATE)
                # It was complete when the next one began.
                if why := incomplete(tape, following):
                    self._ended = "", f"{path.name}: {why}"
                    return
        yield from (record for record in self._rows if record.direction != STATE)

    def _checked(self, path: Path, number: int) -> TapeHeader:
        """The header of an earlier part, if it is that."""
        with TapeReader.open(path) as tape:
            try:
                run_id = read_header(next(tape.records(), None)).run_id
            except DecodeError as error:
                raise DecodeError(f"{path} is not a journal: {error}") from error
            if run_id != self.header.run_id:
                raise DecodeError(f"{path} is not of the run of {self.path}")
            if part_of(tape.header) != number:
                raise DecodeError(f"{path} is part {part_of(tape.header)} of its run, not {number}")
            return tape.header
