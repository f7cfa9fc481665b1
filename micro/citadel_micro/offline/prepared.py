"""A capture as the events of one symbol, decoded once: what ``citadel work`` reads instead of it.

The file is a tape of the kind ``prepared``. Frames of the venue are records ``M`` (``citadel_proto.market_deltas``,
with a group for each that has not exactly one event), what the feed says between them is records ``E`` as in a
journal, a frame with a value that has no place in the former is a record ``X``, and the last record,
``Z``, has the number of frames: a file without it was never finished.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

import citadel_micro
from citadel_micro.core.marketdata.deltas import new_writer, read_frames
from citadel_micro.core.model.events import FeedStatus, StreamProof
from citadel_micro.shell.journal import records
from citadel_proto.errors import DecodeError
from citadel_proto.tape import BLOCK_BYTES, EVENT, MARKET_EVENTS, TapeHeader, TapeReader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.core.model.instrument import Instrument

    Step = tuple[int, Sequence[MarketEvent] | StreamProof | FeedStatus]
    """Time of receipt, and a frame's events, or what the feed says between frames."""

KIND: Final = "prepared"
FORMAT: Final = 1
ODD: Final = ord("X")
END: Final = ord("Z")
_BETWEEN: Final = (StreamProof, FeedStatus)
_LATEST_NS: Final = 1 << 62
"""Times beyond it have no place in a record."""
_ROOMS: Final = (
    *("adapters", "core/marketdata", "core/model", "shell/capture", "shell/instruments"),
    *("shell/journal", "shell/marketdata", "offline"),
)
"""What decides which events a capture has, and how they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a prepared file was made of. All of it must be as now, else it is made anew."""

    capture: str
    """Name of the file."""
    content: str
    """SHA-256 of its bytes."""
    venue: str
    symbol: str
    code: str
    """``code_version`` of the release that made it."""


@cache
def code_version() -> str:
    """Changes with the release, the format, and every line that has a say in the events of a capture."""
    found = hashlib.sha256(f"{metadata.version('stoic-citadel')} {FORMAT}".encode())
    package = Path(citadel_micro.__file__).parent
    for room in _ROOMS:
        for path in sorted((package / room).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def content_of(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class NoPlaceError(Exception):
    """A capture has a time that no prepared file can hold."""


class PreparedWriter:
    """Writes a prepared file, step by step.

    Args:
        path: a new file.
        about: what it is made of.
        rules: trading rules inferred from the capture, and what their source is called.

    Raises:
        BadInput: it cannot be created.
    """

    def __init__(self, path: Path, about: About, rules: tuple[Instrument, str] | None) -> None:
        header = TapeHeader(created_ns=0, kind=KIND, meta=_meta(about, rules))
        self._tape = TapeWriter.create(path, header)
        self._deltas, self._scratch = new_writer(), new_writer()
        self._frames = self._last_ns = 0

    def add(self, step: Step) -> None:
        """Take the next step.

        Raises:
            OSError: it cannot be written; the file is of no use then.
            NoPlaceError: a time is out of range; the same.
        """
        recv_ns, events = step
        deltas = self._deltas
        if type(events) is tuple and len(events) == 1 and deltas.add(recv_ns, events[0]):
            self._frames += 1  # nearly all
            self._last_ns = recv_ns
            if len(deltas) >= BLOCK_BYTES:
                self._append_market()
            return
        if isinstance(events, _BETWEEN):
            self._append(EVENT, recv_ns, records.encode(events))
            return
        self._frames += 1
        fits = deltas.add(recv_ns, events[0]) if len(events) == 1 else self._group(recv_ns, events)
        if not fits:
            rows = [records.encode(each) for each in events]
            self._append(ODD, recv_ns, records.encode_plain(rows))
        self._last_ns = recv_ns
        if len(deltas) >= BLOCK_BYTES:
            self._append_market()

    def finish(self) -> None:
        """Complete the file. Raises OSError."""
        self._append(END, max(self._last_ns, 0), records.encode_plain(self._frames))
        self._tape.close()

    def close(self) -> None:
        """Close the file, complete or not. Raises OSError."""
        self._tape.close()

    def _group(self, recv_ns: int, events: Sequence[MarketEvent]) -> bool:
        good = recv_ns >= 0 and all(self._scratch.add(recv_ns, each) for each in events)
        self._scratch.take()
        if good:
            self._deltas.group(recv_ns, len(events))
            for each in events:
                self._deltas.add(recv_ns, each)
        return good

    def _append(self, direction: int, recv_ns: int, frame: bytes) -> None:
        if not 0 <= recv_ns < _LATEST_NS:
            raise NoPlaceError("a time of the capture is out of range")
        self._append_market()
        self._tape.append(direction, recv_ns, frame)

    def _append_market(self) -> None:
        if self._deltas:
            self._tape.append(MARKET_EVENTS, max(self._last_ns, 0), self._deltas.take())


class Prepared:
    """A prepared file that is whole.

    Args:
        path: of the file.

    Raises:
        DecodeError: it is none, is damaged, or was never finished.
        BadInput: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about, self.rules = about_of(path)
        self.frames = 0
        last = None
        with TapeReader.open(path) as tape:
            for record in tape.records():
                last = record
            if tape.tail is not None:
                raise DecodeError(f"{path}: {tape.tail.reason} at byte {tape.tail.offset}")
        if last is None or last.direction != END:
            raise DecodeError(f"{path} was never finished")
        self.frames = cast("int", records.decode_plain(last.frame))

    def steps(self) -> Iterator[Step]:
        """What the capture's decoding gave, step by step."""
        return chain.from_iterable(
            self._blocks()
        )  # a generator would resume once more for each step

    def _blocks(self) -> Iterator[Iterable[Step]]:
        with TapeReader.open(self.path) as tape:
            for record in tape.records():
                if record.direction == MARKET_EVENTS:
                    yield read_frames(record.frame)
                elif record.direction == EVENT:
                    between = records.decode_event(record.frame)
                    yield ((record.recv_ns, cast("StreamProof | FeedStatus", between)),)
                elif record.direction == ODD:
                    rows = cast("list[bytes]", records.decode_plain(record.frame))
                    events = [cast("MarketEvent", records.decode_event(row)) for row in rows]
                    yield ((record.recv_ns, events),)


def about_of(path: Path) -> tuple[About, tuple[Instrument, str] | None]:
    """What a file was made of, and the rules that were inferred then.

    Raises:
        DecodeError: it is no prepared file.
        BadInput: it cannot be read.
    """
    with TapeReader.open(path) as tape:
        header = tape.header
    if header.kind != KIND:
        raise DecodeError(f"{path} is a tape of the kind {header.kind}, not {KIND}")
    try:
        about = msgspec.convert({k: v for k, v in header.meta.items() if k != "rules"}, About)
        rules: Any = msgspec.json.decode(str(header.meta["rules"]))
        if rules is None:
            return about, None
        (instrument,) = records.instruments_of([rules[0]]).values()
        return about, (instrument, str(rules[1]))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"{path}: its header cannot be read: {error}") from error


def _meta(about: About, rules: tuple[Instrument, str] | None) -> dict[str, Any]:
    plain = None if rules is None else (records.instrument_rows([rules[0]])[0], rules[1])
    plain_about: dict[str, Any] = msgspec.to_builtins(about)
    return plain_about | {"rules": msgspec.json.encode(plain).decode()}
