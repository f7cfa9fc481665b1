"""Market events as differences of whole numbers: compiled where it was built, else the same in Python.

What a frame is, ``citadel_proto.market_deltas`` says. Events come back equal, to the last bit of every
number and the last digit of every text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.events import DepthUpdate, MarketEvent, QuoteTick, TradeTick
from citadel_proto.errors import DecodeError
from citadel_proto.market_deltas import GROUP, DeltaWriter
from citadel_proto.market_deltas_read import read_deltas

if TYPE_CHECKING:
    from collections.abc import Iterator

Timed = tuple[int, MarketEvent]
"""Engine time, and the event."""
Frame = tuple[int, tuple[MarketEvent, ...]]
"""Time of receipt, and the events of one frame of a venue, of which there may be none."""

_KINDS: Final = (DepthUpdate, QuoteTick, TradeTick)


class Writer(Protocol):
    """Gathers market events for a frame."""

    def __len__(self) -> int:
        """Bytes gathered."""

    def add(self, now_ns: int, event: object) -> bool:
        """Add a market event. False, and nothing is added: it is none, or its values have no place in a frame."""

    def group(self, now_ns: int, count: int) -> bool:
        """The next ``count`` events came as one frame at this time. False: the time has no place."""

    def take(self) -> bytes:
        """The frame of what was added since the last call; empty if nothing was."""


class PythonWriter(DeltaWriter):
    """The Python twin."""

    _number: Final = {kind: number for number, kind in enumerate(_KINDS)}

    def add(self, now_ns: int, event: object) -> bool:  # type: ignore[override]  # the kind is the event's
        """See ``Writer``."""
        kind = self._number.get(type(event))
        return kind is not None and super().add(now_ns, kind, cast("MarketEvent", event))


def python_events(frame: bytes) -> Iterator[Timed]:
    """The Python twin of ``read_events``."""
    for now_ns, kind, fields in read_deltas(frame):
        if kind == GROUP:
            raise DecodeError("a journal has no groups of market events")
        yield now_ns, _KINDS[kind](*fields)


def python_frames(frame: bytes, symbol: str | None = None) -> Iterator[Frame]:
    """The Python twin of ``read_frames``."""
    entries = read_deltas(frame)
    for now_ns, kind, fields in entries:
        group = [(now_ns, kind, fields)]
        if kind == GROUP:
            group = [each for _, each in zip(range(fields[0]), entries, strict=False)]
            if len(group) < fields[0] or any(each[1] == GROUP for each in group):
                raise DecodeError("a group of market events is cut off, or within another")
        events = (_KINDS[one](*values) for _, one, values in group)
        yield now_ns, tuple(e for e in events if symbol is None or e.symbol == symbol)


if TYPE_CHECKING:

    def new_writer() -> Writer:
        """A writer with nothing in it."""

    def read_events(frame: bytes) -> Iterator[Timed]:
        """The events of a journal's frame, one by one.

        Raises:
            DecodeError: it is no such frame.
        """

    def read_frames(frame: bytes, symbol: str | None = None) -> Iterator[Frame]:
        """The venue's frames in a frame, with all their events or those of one symbol.

        Raises:
            DecodeError: it is no such frame.
        """

elif kernel.DELTAS is not None:
    _deltas = kernel.DELTAS

    def new_writer() -> Writer:
        """A writer with nothing in it."""
        return _deltas.Writer(*_KINDS)

    def read_events(frame: bytes) -> Iterator[Timed]:
        """See above."""
        return _deltas.Reader(frame, *_KINDS)

    def read_frames(frame: bytes, symbol: str | None = None) -> Iterator[Frame]:
        """See above."""
        return _deltas.Reader(frame, *_KINDS, groups=True, symbol=symbol)

else:
    new_writer = PythonWriter
    read_events, read_frames = python_events, python_frames
