"""Compact captures: what a venue's frames said, as journals hold it, in place of their text.

The file is a tape of the kind ``capture``, compressed. Frames and snapshots are records ``M``
(``citadel_proto.market_deltas``, with a group for each that has not exactly one event), before each of which a
record ``R`` has the connection of every one of them. A line with more than market events, or whose
values have no place there, is a record ``X``, and a record ``N`` has the venue's names that the lines
from there on know. A line is the same as that of a raw capture: read either, and the books are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from citadel_micro.core.marketdata.deltas import new_writer, read_frames
from citadel_micro.shell.journal import records
from citadel_micro.shell.marketdata.decode import Control
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import BLOCK_BYTES, MAGIC, MARKET_EVENTS, TapeHeader, TapeReader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import VenueSpec

KIND: Final = "capture"
SUFFIX: Final = ".tape"
_RUNS: Final = ord("R")
_NAMES: Final = ord("N")
_ODD: Final = ord("X")
_LATEST_NS: Final = 1 << 62
_CONTROL: Final = "Control"
_pack: Final = msgspec.msgpack.Encoder().encode
_names: Final = msgspec.msgpack.Decoder(list[str]).decode
_runs: Final = msgspec.msgpack.Decoder(list[tuple[int, bool, int]]).decode


class Line(NamedTuple):
    """What one line of a raw capture would say."""

    recv_ns: int
    conn: int
    is_frame: bool
    """False for opened connections, requests and HTTP answers."""
    events: Sequence[FeedEvent]
    error: str = ""
    data: bytes = b""
    """What could not be decoded."""
    opened: bool = False
    url: str = ""


class _Odd(msgspec.Struct, array_like=True):
    """A line with all that it has."""

    recv_ns: int
    conn: int
    is_frame: bool
    events: list[tuple[str, bytes]]
    error: str
    data: bytes
    opened: bool
    url: str


_odd: Final = msgspec.msgpack.Decoder(_Odd).decode
_control: Final = msgspec.msgpack.Decoder(Control).decode


class CompactFile:
    """Writes one.

    Args:
        file: an unbuffered binary file, empty.
        venue: of the traffic.
    """

    def __init__(self, file: BinaryIO, venue: str) -> None:
        header = TapeHeader(created_ns=0, kind=KIND, meta={"venue": venue})
        self._tape = TapeWriter(file, header, compress=True)
        self._deltas, self._scratch = new_writer(), new_writer()
        self._waiting: list[list[int | bool]] = []
        self._known = 0
        self._last_ns = 0

    @property
    def octets(self) -> int:
        """Bytes in the file."""
        return self._tape.offset

    def put(self, line: Line, names: Collection[str]) -> None:
        """Add the next line.

        Args:
            line: of the venue.
            names: the venue's own names that are known by now, the oldest first.

        Raises:
            OSError: it cannot be written.
        """
        if len(names) > self._known:
            self._append(_NAMES, self._last_ns, _pack(list(names)[self._known :]))
            self._known = len(names)
        if line.error or line.opened or line.url or not self._fits(line):
            rows = [_row(each) for each in line.events]
            fields = (line.recv_ns, line.conn, line.is_frame, rows, line.error, line.data)
            self._append(_ODD, line.recv_ns, _pack(_Odd(*fields, line.opened, line.url)))
            return
        waiting = self._waiting
        if waiting and waiting[-1][0] == line.conn and waiting[-1][1] == line.is_frame:
            waiting[-1][2] += 1
        else:
            waiting.append([line.conn, line.is_frame, 1])
        self._last_ns = max(self._last_ns, line.recv_ns)
        if len(self._deltas) >= BLOCK_BYTES:
            self._append_market()

    def flush(self) -> None:
        """Pass everything so far to the operating system. Raises OSError."""
        self._append_market()
        self._tape.flush()

    def _fits(self, line: Line) -> bool:
        """Add its events to those that wait, if they have a place there."""
        events, recv_ns = line.events, line.recv_ns
        if not 0 <= recv_ns < _LATEST_NS or (not events and not line.is_frame):
            return False
        if len(events) == 1:
            return self._deltas.add(recv_ns, events[0])
        good = all(self._scratch.add(recv_ns, each) for each in events)
        self._scratch.take()
        if good:
            self._deltas.group(recv_ns, len(events))
            for each in events:
                self._deltas.add(recv_ns, each)
        return good

    def _append(self, direction: int, recv_ns: int, frame: bytes) -> None:
        self._append_market()
        self._tape.append(direction, min(max(recv_ns, 0), _LATEST_NS), frame)

    def _append_market(self) -> None:
        if self._waiting:
            self._tape.append(_RUNS, self._last_ns, _pack(self._waiting))
            self._tape.append(MARKET_EVENTS, self._last_ns, self._deltas.take())
            self._waiting = []


def is_compact(path: Path) -> bool:
    """Whether a file is a tape. False for one that cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def compact_lines(path: Path, spec: VenueSpec, names: dict[str, str]) -> Iterator[Line]:
    """The lines of a compact capture.

    Args:
        path: of the file.
        spec: the venue that it should be of.
        names: the venue's names to unified ones, which are filled by rule.

    Raises:
        BadInput: it is no compact capture, of another venue, or damaged. What came before that is good.
    """
    number = 0
    try:
        with TapeReader.open(path) as tape:
            _check(path, tape.header, spec)
            for number, line in enumerate(_lines(tape, names), 1):  # noqa: B007 - said below
                yield line
            torn = "" if tape.tail is None else tape.tail.reason
    except DecodeError as error:
        torn = str(error)
    if torn:
        raise BadInput(
            f"the file is truncated or damaged ({torn})",
            where=f"{path}, line {number + 1}",
            mend=f"the {number} lines before are usable" if number else "fetch it again",
        )
    if not number:
        raise BadInput("the capture is empty", where=str(path))


def _lines(tape: TapeReader, names: dict[str, str]) -> Iterator[Line]:
    """Raises DecodeError."""
    runs: list[tuple[int, bool, int]] = []
    for record in tape.records():
        try:
            if record.direction == MARKET_EVENTS:
                yield from _market_lines(record.frame, runs)
            elif record.direction == _RUNS:
                runs = _runs(record.frame)
            elif record.direction == _NAMES:
                for name in _names(record.frame):  # it is known once it was asked for
                    names[name]
            elif record.direction == _ODD:
                yield _line(_odd(record.frame))
        except msgspec.MsgspecError as error:
            raise DecodeError(f"a record cannot be read: {error}") from error


def _market_lines(frame: bytes, runs: list[tuple[int, bool, int]]) -> Iterator[Line]:
    frames = read_frames(frame)
    for conn, is_frame, count in runs:
        for _ in range(count):
            try:
                recv_ns, events = next(frames)
            except StopIteration:
                raise DecodeError("market events are missing") from None
            yield Line(recv_ns, conn, is_frame, events)
    if next(frames, None) is not None:
        raise DecodeError("market events are of no connection")


def _check(path: Path, header: TapeHeader, spec: VenueSpec) -> None:
    if header.kind != KIND:
        raise BadInput(
            f"a tape of the kind {header.kind} is no capture",
            where=str(path),
            allowed="a capture: *.jsonl.gz, *.jsonl.zst, or the *.tape of `citadel capture --compact`",
        )
    venue = header.meta.get("venue")
    if venue != spec.venue:
        raise BadInput(
            f"nothing in it is of {spec.venue}: it was captured from {venue}",
            where=str(path),
            mend=f"give --venue {venue}",
        )


def _row(event: FeedEvent) -> tuple[str, bytes]:
    if isinstance(event, Control):
        return _CONTROL, _pack(event)
    return "", records.encode(event)


def _line(odd: _Odd) -> Line:
    events: list[FeedEvent] = [
        _control(data) if name == _CONTROL else cast("MarketEvent", records.decode_event(data))
        for name, data in odd.events
    ]
    return Line(
        odd.recv_ns,
        odd.conn,
        odd.is_frame,
        events,
        odd.error,
        odd.data,
        odd.opened,
        odd.url,
    )
