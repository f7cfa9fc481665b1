"""Reading the frames of market events that ``market_deltas`` describes, into plain fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_proto.errors import DecodeError
from citadel_proto.market_deltas import (
    CHECKSUM,
    DOUBLE,
    GROUP,
    HISTORY,
    LATE,
    MOST_DECIMALS,
    MOST_DIGITS,
    MS,
    NS_A_MS,
    NUMBERED,
    OTHER,
    POWERS,
    RAW,
    SAME_ASK,
    SAME_BID,
    SELL,
    SNAPSHOT,
    TEXTS,
    VERSION,
    Stream,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Plain = tuple[int, int, tuple[Any, ...]]
"""Engine time, kind, fields of one event."""


def _unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -(value >> 1) - 1


class _Scan:
    """A frame being read."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.at = 1
        self.streams: list[Stream] = []

    def byte(self) -> int:
        if self.at >= len(self.frame):
            raise DecodeError("a frame of market events ends within an entry")
        self.at += 1
        return self.frame[self.at - 1]

    def whole(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - seven bits a byte
                if value >> 64:
                    raise DecodeError("a number of a frame of market events is too large")
                return value
            shift += 7
            if shift > 63:  # noqa: PLR2004 - of 64 bits
                raise DecodeError("a number of a frame of market events is too large")

    def signed(self) -> int:
        return _unzigzag(self.whole())

    def bytes(self, length: int) -> bytes:
        self.at += length
        if self.at > len(self.frame):
            raise DecodeError("a frame of market events ends within an entry")
        return self.frame[self.at - length : self.at]

    def text(self) -> str:
        try:
            return self.bytes(self.whole()).decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"a name in a frame of market events: {error}") from error

    def stream(self) -> Stream:
        number = self.whole()
        if number == len(self.streams):
            names = self.text(), self.text()
            self.streams.append(Stream(names, [self.places(), self.places()]))
        elif number > len(self.streams):
            raise DecodeError(f"a frame of market events has no stream {number}")
        return self.streams[number]

    def places(self) -> int:
        places = self.byte()
        if places > MOST_DECIMALS:
            raise DecodeError(f"a frame of market events has a number of {places} decimals")
        return places

    def count(self) -> int:
        count = self.whole()
        if count > (len(self.frame) - self.at) // 2:  # each takes two bytes
            raise DecodeError(f"a frame of market events has no room for {count} levels")
        return count

    def price(self, stream: Stream, before: int) -> tuple[float, int]:
        code = self.whole()
        while not code:
            if self.byte() == RAW:
                return self.double(), before
            self.at -= 1
            stream.places[0] = self.places()
            stream.ticks = [0, 0, 0, 0, 0]
            before = 0
            code = self.whole()
        ticks = before + _unzigzag(code - 1)
        return ticks / POWERS[stream.places[0]], ticks

    def size(self, stream: Stream) -> float:
        code = self.whole()
        while not code:
            if self.byte() == RAW:
                return self.double()
            self.at -= 1
            stream.places[1] = self.places()
            code = self.whole()
        return (code - 1) / POWERS[stream.places[1]]

    def double(self) -> float:
        value: float = DOUBLE.unpack(self.bytes(8))[0]
        return value


def read_deltas(frame: bytes) -> Iterator[Plain]:
    """Each event of a frame as plain fields; a group as its time, ``GROUP`` and its count.

    Raises:
        DecodeError: it is no such frame. What came before the error is good.
    """
    if not frame or frame[0] != VERSION:
        raise DecodeError(f"a frame of market events of another version than {VERSION}")
    scan = _Scan(frame)
    stream: Stream | None = None
    now_ns = 0
    while scan.at < len(frame):
        tag = scan.byte()
        kind = tag & 3
        if kind == GROUP:
            now_ns += scan.signed()
            yield now_ns, GROUP, (scan.whole(),)
            continue
        if tag & OTHER:
            stream = scan.stream()
        if stream is None:
            raise DecodeError("a frame of market events begins without a stream")
        now_ns += scan.signed()
        recv_ns = now_ns + scan.signed() if tag & LATE else now_ns
        stream.exchange_ns += scan.signed() * (NS_A_MS if tag & MS else 1)
        read = (_read_depth, _read_quote, _read_trade)[kind]
        yield now_ns, kind, (*stream.names, *read(scan, stream, tag, recv_ns))


def _read_depth(scan: _Scan, stream: Stream, tag: int, recv_ns: int) -> tuple[Any, ...]:
    stream.seq += scan.signed()
    last = stream.seq
    first = last - scan.signed()
    code = scan.whole()
    prev = (stream.depth_seq, -1)[code] if code < 2 else stream.depth_seq + _unzigzag(code - 2)  # noqa: PLR2004 - see the format
    stream.depth_seq = last
    checksum = scan.signed() if tag & CHECKSUM else None
    stream.covers += scan.signed()
    counts = scan.count(), scan.count()
    sides: list[list[tuple[float, float]]] = []
    texts: list[list[tuple[str, str]]] = []
    for side, count in enumerate(counts):
        if tag & TEXTS:
            levels, written = _read_digits(scan, count)
            texts.append(written)
        else:
            levels = _read_levels(scan, stream, side, count)
        sides.append(levels)
    return (
        bool(tag & SNAPSHOT), first, last, prev, checksum, *sides, stream.exchange_ns, recv_ns,
        tuple(texts) if tag & TEXTS else None, stream.covers,
    )  # fmt: skip


def _read_levels(scan: _Scan, stream: Stream, side: int, count: int) -> list[tuple[float, float]]:
    levels = []
    ticks = top = stream.ticks[side]
    for number in range(count):
        price, ticks = scan.price(stream, ticks)
        if not number:
            top = ticks
        levels.append((price, scan.size(stream)))
    if count:
        stream.ticks[side] = top
    return levels


def _read_digits(
    scan: _Scan, count: int
) -> tuple[list[tuple[float, float]], list[tuple[str, str]]]:
    levels, texts = [], []
    whole = 0
    for _ in range(count):
        places = _digit_places(scan)
        whole += scan.signed()
        if whole < 0:
            raise DecodeError("a frame of market events has digits of a number below 0")
        size_places = _digit_places(scan)
        size = scan.whole()
        levels.append((whole / POWERS[places], size / POWERS[size_places]))
        texts.append((_written(whole, places), _written(size, size_places)))
    return levels, texts


def _digit_places(scan: _Scan) -> int:
    places = scan.byte()
    if places > MOST_DIGITS:
        raise DecodeError(f"a frame of market events has a number of {places} decimals")
    return places


def _written(whole: int, places: int) -> str:
    if not places:
        return str(whole)
    digits = str(whole).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


def _read_quote(scan: _Scan, stream: Stream, tag: int, recv_ns: int) -> tuple[Any, ...]:
    stream.seq += scan.signed()
    for side, same in enumerate((SAME_BID, SAME_ASK)):
        if not tag & same:
            at = 2 * side
            stream.quote[at], stream.ticks[2 + side] = scan.price(stream, stream.ticks[2 + side])
            stream.quote[at + 1] = scan.size(stream)
    return stream.seq, *stream.quote, stream.exchange_ns, recv_ns


def _read_trade(scan: _Scan, stream: Stream, tag: int, recv_ns: int) -> tuple[Any, ...]:
    if tag & NUMBERED:
        stream.trade_id += scan.signed()
        name = str(stream.trade_id)
    else:
        name = scan.text()
    price, stream.ticks[4] = scan.price(stream, stream.ticks[4])
    size = scan.size(stream)
    side = "sell" if tag & SELL else "buy"
    return name, price, size, side, stream.exchange_ns, recv_ns, bool(tag & HISTORY)
