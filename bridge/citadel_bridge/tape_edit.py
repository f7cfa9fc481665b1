"""Parts of tapes, several tapes as one, and tapes as tables.

Frames stay as they were recorded, byte for byte, and so do their times and their order.
"""

from __future__ import annotations

import csv
import heapq
import json
import math
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import msgspec

from citadel_bridge.durations import seconds_of
from citadel_bridge.tape_parts import incomplete
from citadel_proto import tape, topics
from citadel_proto.codec import decode_market, decode_signal
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.packed_levels import unpack_levels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_S: Final = 1_000_000_000
_MARKED: Final = "marked"
"""A journal's word in its header for blocks that a restart needs; an edited one has none."""
_AGAIN: Final = frozenset((tape.HEADER, tape.STATE))
"""Records with which a further part of a journal says again what those before it have said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which records of a tape are wanted."""

    from_ns: int | None = None
    until_ns: int | None = None
    """Receive times: the first one is in, the second one is not."""
    directions: frozenset[int] = frozenset()
    """Empty: all."""
    prefixes: tuple[bytes, ...] = ()
    """Beginnings of topics; empty: all."""

    def takes(self, record: tape.Record) -> bool:
        """Whether this record is wanted."""
        if self.from_ns is not None and record.recv_ns < self.from_ns:
            return False
        if self.until_ns is not None and record.recv_ns >= self.until_ns:
            return False
        if self.directions and record.direction not in self.directions:
            return False
        return not self.prefixes or record.frame.startswith(self.prefixes)

    @property
    def of_a_journal(self) -> bool:
        """Whether what is left of a journal can still be recomputed: it begins with its beginning."""
        return self.from_ns is None and not self.directions and not self.prefixes


def moment_ns(text: str, first_ns: int, where: str) -> int:
    """Read a moment: ``2026-11-28T06:00:00Z``, nanoseconds since 1970, or ``+90s`` after the first record.

    Raises:
        BadInput: it is none of these.
    """
    if text.startswith("+"):
        return first_ns + round(seconds_of(text[1:], where) * _S)
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            f"cannot read the time {text!r}",
            where=where,
            allowed="2026-11-28T06:00:00Z, ns since 1970, or +90s after the first record",
        ) from error
    if moment.tzinfo is None:
        raise BadInput(
            f"the time {text!r} has no zone", where=where, mend=f"for UTC, write {text}Z"
        )
    return round(moment.timestamp() * 1_000_000) * 1_000


def first_ns(path: Path) -> int:
    """Receive time of the first record; 0 for an empty tape. Raises as ``TapeReader.open``."""
    with tape.TapeReader.open(path) as reader:
        for record in reader.records():
            return record.recv_ns
    return 0


def cut(
    header: tape.TapeHeader,
    rows: Iterable[tape.Record],
    out: Path,
    choice: Choice,
    *,
    compress: bool,
) -> int:
    """Write the wanted records to a new tape; returns how many.

    Raises:
        BadInput: the file exists or cannot be created, or the tape is a journal that would lose its
            beginning or some of its records.
    """
    if header.kind == "journal" and not choice.of_a_journal:
        raise BadInput(
            "a journal without its beginning, or without some of its records, cannot be recomputed",
            where="citadel tape cut",
            allowed="--until, which keeps everything before",
        )
    count = 0
    with _writing(out, _unmarked(header), compress=compress) as writer:
        for record in rows:
            if choice.takes(record):
                writer.append(*record)
                count += 1
            elif header.kind == "journal":
                break  # engine time never goes back
    return count


def merge(
    readers: Sequence[tape.TapeReader],
    rows: Sequence[Iterable[tape.Record]],
    out: Path,
    *,
    compress: bool,
) -> int:
    """Write several recordings as one, in the order of their receive times; returns how many records.

    Records of one tape keep their order, whatever their times are. Of the parts of one run's journal,
    named in any order, one journal is made.

    Args:
        readers: one for each tape.
        rows: their records.
        out: the new tape.
        compress: its blocks.

    Raises:
        BadInput: the file exists or cannot be created, one is a journal and they are not all parts of one
            run from the first on, each but the last complete, or their schemas differ.
    """
    headers = [reader.header for reader in readers]
    if all(header.kind == "journal" for header in headers):
        return _join(readers, rows, out, compress=compress)
    if any(header.kind != "recording" for header in headers):
        raise BadInput(
            "only recordings can be merged",
            where="citadel tape merge",
            mend="a journal is of one run, and is recomputed alone: citadel replay JOURNAL --verify",
        )
    schemas = sorted({header.schema for header in headers})
    if len(schemas) > 1:
        raise BadInput(
            f"the tapes have messages of schemas {', '.join(map(str, schemas))}",
            where="citadel tape merge",
            mend="merge those of one schema",
        )
    whole = tape.TapeHeader(
        created_ns=min(header.created_ns for header in headers),
        schema=schemas[0],
        endpoints={
            name: " ".join(
                dict.fromkeys(
                    address
                    for header in headers
                    for address in header.endpoints.get(name, "").split()
                )
            )
            for name in dict.fromkeys(name for header in headers for name in header.endpoints)
        },
        instances=tuple(dict.fromkeys(each for header in headers for each in header.instances)),
        meta={name: value for header in headers for name, value in header.meta.items()},
    )
    count = 0
    with _writing(out, whole, compress=compress) as writer:
        for record in heapq.merge(*rows, key=attrgetter("recv_ns")):
            writer.append(*record)
            count += 1
    return count


def _join(
    readers: Sequence[tape.TapeReader],
    rows: Sequence[Iterable[tape.Record]],
    out: Path,
    *,
    compress: bool,
) -> int:
    """One journal of its parts."""
    headers = [reader.header for reader in readers]
    of = [int(header.meta.get(tape.PART) or 1) for header in headers]
    parts = sorted(range(len(headers)), key=of.__getitem__)
    runs = {header.instances for header in headers}
    numbers = sorted(of)
    if len(runs) > 1 or numbers != list(range(1, len(parts) + 1)):
        raise BadInput(
            f"these are not the parts of one run from its first on: parts {numbers} of "
            f"{', '.join(sorted(' '.join(run) for run in runs))}",
            where="citadel tape merge",
            mend="a journal is of one run, and is recomputed alone: citadel replay JOURNAL --verify",
        )
    count = 0
    first = _unmarked(headers[parts[0]])
    with _writing(out, first, compress=compress) as writer:
        for number, place in enumerate(parts):
            if number and (why := incomplete(readers[parts[number - 1]], headers[place])):
                raise BadInput(
                    f"part {number} is not complete, so what follows it is of no use: {why}",
                    where="citadel tape merge",
                    mend=f"merge the parts up to it: 1 to {number}",
                )
            for record in rows[place]:
                if not number or record.direction not in _AGAIN:
                    writer.append(*record)
                    count += 1
    return count


@contextmanager
def _writing(out: Path, header: tape.TapeHeader, *, compress: bool) -> Iterator[tape.TapeWriter]:
    """A new tape, which is removed again when it cannot be completed."""
    writer = tape.TapeWriter.create(out, header, compress=compress, flush_ns=2**63)
    try:
        yield writer
        writer.close()
    except BaseException:
        with suppress(OSError):  # a full disk, which is being told already
            writer.close()
        out.unlink(missing_ok=True)
        raise


def _unmarked(header: tape.TapeHeader) -> tape.TapeHeader:
    if _MARKED not in header.meta:
        return header
    return msgspec.structs.replace(header, meta=header.meta | {_MARKED: False})


# --- tables -------------------------------------------------------------------------------------


class Table:
    """Messages of one kind as rows: the receive time, and the fields by name.

    Trades are one row each. Levels are columns, ``bid_1``, ``bid_1_size``, ``ask_1`` …; lists and
    parts are JSON text. Numbers that micro sent as text stay text, exact.

    Args:
        kind: name of the message.
        levels: of a book's sides.

    Raises:
        BadInput: there is no such message.
    """

    def __init__(self, kind: str, levels: int = 5) -> None:
        if kind not in topics.MESSAGES:
            raise BadInput(
                f"no message is called {kind!r}", where="--kind", allowed=", ".join(topics.MESSAGES)
            )
        self._kind, self._levels = topics.MESSAGES[kind], levels
        self._signals = kind in {"Signal", "Cancel", "Query", "MacroHeartbeat"}
        self.undecodable = 0
        """Frames of the channel that are no message of this release."""

    def rows(self, records: Iterable[tape.Record]) -> Iterator[dict[str, Any]]:
        """The rows of a tape."""
        direction = tape.SIGNALS if self._signals else tape.MARKET
        start = self._kind.TOPIC[0].encode()
        for record in records:
            if record.direction != direction or not record.frame.startswith(start):
                continue
            try:
                _, body = topics.split(record.frame)
                message = decode_signal(body) if self._signals else decode_market(body)
            except DecodeError:
                self.undecodable += 1
                continue
            if type(message) is self._kind:
                yield from self._rows_of(record.recv_ns, message)

    def _rows_of(self, recv_ns: int, message: msgspec.Struct) -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"tape_ns": recv_ns}
        for name in message.__struct_fields__:
            value = getattr(message, name)
            if isinstance(value, bytes):
                self._spread(row, name.removesuffix("s"), value)
            else:
                row[name] = _cell(value)
        if self._kind.__name__ != "Trades":
            yield row
            return
        del row["trades"]
        for trade in message.trades:  # type: ignore[attr-defined]
            plain = {name: getattr(trade, name) for name in trade.__struct_fields__}
            yield row | plain

    def _spread(self, row: dict[str, Any], side: str, packed: bytes) -> None:
        levels = unpack_levels(packed)
        for place in range(self._levels):
            price, size = levels[place] if place < len(levels) else (None, None)
            row[f"{side}_{place + 1}"], row[f"{side}_{place + 1}_size"] = price, size


def write_rows(rows: Iterable[dict[str, Any]], out: TextIO, form: Literal["csv", "jsonl"]) -> int:
    """Write rows as ``csv`` (the first row's columns at the top) or ``jsonl``; returns how many."""
    count = 0
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        count += 1
        if form == "jsonl":
            plain = {
                name: None if isinstance(cell, float) and not math.isfinite(cell) else cell
                for name, cell in row.items()
            }
            out.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")
            continue
        if writer is None:
            writer = csv.DictWriter(out, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return count


def _cell(value: object) -> object:
    if isinstance(value, str | int | float | bool | None):
        return value
    return msgspec.json.encode(value).decode()
