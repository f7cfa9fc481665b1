"""Market events of a journal as differences of whole numbers: the frame of a tape's record ``M``.

A frame stands by itself: nothing before it is needed to read it, so a torn tail, a cut tape or skipped
blocks lose no more than their own records. It is a version byte (1) and entries, one after the other:

=======  ================================================================================
entry    ``tag`` u8, then, each only where it says so: stream, times, and what its kind has
tag      bits 0-1 the kind: 0 depth, 1 quote, 2 trade, 3 group. 4: of another stream than the
         entry before. 8: received at another time than the engine's. 16: the venue's time moved
         by whole milliseconds. Depth: 32 snapshot, 64 has a checksum, 128 has the venue's
         digits. Quote: 32 and 64: bid, ask as in the quote before. Trade: 32 sell, 64 of the
         past, 128 the id is a number
stream   its number in this frame; the next new number is followed by venue, symbol (each length
         and UTF-8) and two bytes: decimals of its prices, of its sizes
times    ``z`` engine time since the entry before; ``z`` received minus engine time (tag 8);
         ``z`` the venue's time since the stream's last, in ms (tag 16) or ns
depth    ``z`` last_seq since the stream's last number; ``z`` last_seq - first_seq; prev_seq: 0 the
         last_seq of the depth before, 1 none (-1), else 2 + its ``z`` from there; ``z`` checksum
         (tag 64); ``z`` covers since the depth before; number of bids, of asks; the levels
level    price and size. With digits (tag 128) u8 decimals, ``z`` its digits as a whole number since
         the level before of this side, u8 decimals, the size's digits
quote    ``z`` seq since the stream's last number; price and size of bid, of ask, where changed
trade    id: ``z`` since the stream's last (tag 128), else length and UTF-8; price; size
group    ``z`` engine time since the entry before, and how many of the next entries are one frame
price    0 an escape, else 1 + ``z`` of ticks (units of the stream's last decimal) since the last of
         its kind: the level before, or of the first level the first one of the depth before;
         bid, ask of quotes; trades
size     0 an escape, else 1 + the number of units of the last decimal
escape   u8: up to 15, the stream's new decimals (its last prices count as 0 then), and the number again;
         255, eight bytes of a double
=======  ================================================================================

Numbers are LEB128 (seven bits a byte, the lowest first), ``z`` is zigzag in it. All start at 0. Prices and
sizes come back to the last bit: whole / 10**decimals is the float nearest to a decimal text, and what is
no such float is an escape. What has no place here (``DeltaWriter.add`` says so) is a record of its own.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 1
KINDS: Final = ("DepthUpdate", "QuoteTick", "TradeTick")
DEPTH, QUOTE, TRADE, GROUP = range(4)

OTHER, LATE, MS = 4, 8, 16
SNAPSHOT, CHECKSUM, TEXTS = 32, 64, 128
SAME_BID, SAME_ASK = 32, 64
SELL, HISTORY, NUMBERED = 32, 64, 128
RAW: Final = 255
MOST_DECIMALS: Final = 15
MOST_DIGITS: Final = 18
_EXACT: Final = 1 << 53
"""Below it every integer is a float."""
_WIDEST: Final = 1 << 62
"""Integers up to it: the difference of any two fits 64 bits."""
NS_A_MS: Final = 1_000_000
POWERS: Final = tuple(float(10**place) for place in range(23))
DOUBLE: Final = struct.Struct("<d")


class Stream:
    """What is known of one venue's symbol."""

    __slots__ = ("covers", "depth_seq", "exchange_ns", "names", "number", "places", "quote",
                 "seq", "ticks", "trade_id")  # fmt: skip

    def __init__(self, names: tuple[str, str], places: list[int]) -> None:
        self.names = names
        self.places = places
        """Decimals of prices, of sizes."""
        self.begin(-1)

    def begin(self, number: int) -> None:
        """As at the start of a frame."""
        self.number = number
        self.exchange_ns = self.seq = self.depth_seq = self.covers = self.trade_id = 0
        self.ticks = [0, 0, 0, 0, 0]
        """Last prices: bid, ask of depth; bid, ask of quotes; trades."""
        self.quote = [0.0, 0.0, 0.0, 0.0]


class DeltaWriter:
    """Gathers events; ``take`` gives them as one frame. The compiled twin gives the same bytes."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._streams: dict[tuple[str, str], Stream] = {}
        """Kept from frame to frame for their decimals alone."""
        self._used: list[Stream] = []
        self._last: Stream | None = None
        self._now_ns = 0

    def __len__(self) -> int:
        """Bytes gathered."""
        return len(self._out)

    def take(self) -> bytes:
        """The frame of what was added since the last call; empty if nothing was."""
        frame = bytes((VERSION,)) + self._out if self._out else b""
        self._out.clear()
        for stream in self._used:
            stream.number = -1
        self._used.clear()
        self._last = None
        self._now_ns = 0
        return frame

    def group(self, now_ns: int, count: int) -> bool:
        """The next ``count`` events came as one frame at this time. False: it has no place here."""
        if not 0 <= now_ns <= _WIDEST:
            return False
        self._out.append(GROUP)
        self._whole(_zigzag(now_ns - self._now_ns))
        self._whole(count)
        self._now_ns = now_ns
        return True

    def add(self, now_ns: int, kind: int, fields: tuple[Any, ...]) -> bool:
        """Add an event. False, and nothing is added: it has values that have no place here.

        Args:
            now_ns: engine time.
            kind: ``DEPTH``, ``QUOTE`` or ``TRADE``.
            fields: of the event, in its order.
        """
        digits = _fitting(now_ns, kind, fields)
        if digits is None:
            return False
        at = len(self._out)
        self._out.append(0)
        other, stream = self._stream((fields[0], fields[1]))
        tag = kind | other
        self._whole(_zigzag(now_ns - self._now_ns))
        self._now_ns = now_ns
        exchange_ns, recv_ns = fields[(9, 7, 6)[kind]], fields[(10, 8, 7)[kind]]
        if recv_ns != now_ns:
            tag |= LATE
            self._whole(_zigzag(recv_ns - now_ns))
        moved = exchange_ns - stream.exchange_ns
        stream.exchange_ns = exchange_ns
        if moved % NS_A_MS == 0:
            tag |= MS
            moved //= NS_A_MS
        self._whole(_zigzag(moved))
        write = (self._depth, self._quote, self._trade)[kind]
        self._out[at] = tag | write(stream, fields, digits)
        return True

    def _stream(self, names: tuple[str, str]) -> tuple[int, Stream]:
        """The stream of the next event, and what its tag says of it."""
        last = self._last
        if last is not None and last.names == names:
            return 0, last
        stream = self._streams.get(names)
        if stream is None:
            stream = self._streams[names] = Stream(names, [0, 0])
        self._last = stream
        if stream.number >= 0:
            self._whole(stream.number)
            return OTHER, stream
        stream.begin(len(self._used))
        self._used.append(stream)
        self._whole(stream.number)
        for name in names:
            self._text(name)
        self._out += bytes(stream.places)
        return OTHER, stream

    def _depth(self, stream: Stream, fields: tuple[Any, ...], digits: _Digits) -> int:
        _, _, snapshot, first, last, prev, checksum, bids, asks, *_, texts, covers = fields
        tag = SNAPSHOT if snapshot else 0
        self._whole(_zigzag(last - stream.seq))
        self._whole(_zigzag(last - first))
        before = stream.depth_seq
        self._whole(0 if prev == before else 1 if prev == -1 else 2 + _zigzag(prev - before))
        stream.seq = stream.depth_seq = last
        if checksum is not None:
            tag |= CHECKSUM
            self._whole(_zigzag(checksum))
        self._whole(_zigzag(covers - stream.covers))
        stream.covers = covers
        self._whole(len(bids))
        self._whole(len(asks))
        if texts is not None:
            for each in digits:
                self._digits(each)
            return tag | TEXTS
        for side, levels in enumerate((bids, asks)):
            ticks = stream.ticks[side]
            for number, (price, size) in enumerate(levels):
                ticks = self._price(stream, price, ticks)
                if not number:
                    top = ticks
                self._size(stream, size)
            if levels:
                stream.ticks[side] = top
        return tag

    def _digits(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        before = 0
        for places, whole, size_places, size in rows:
            self._out.append(places)
            self._whole(_zigzag(whole - before))
            before = whole
            self._out.append(size_places)
            self._whole(size)

    def _quote(self, stream: Stream, fields: tuple[Any, ...], _: _Digits) -> int:
        self._whole(_zigzag(fields[2] - stream.seq))
        stream.seq = fields[2]
        tag = 0
        for side, same in enumerate((SAME_BID, SAME_ASK)):
            price, size = fields[3 + 2 * side], fields[4 + 2 * side]
            if _bits(price, size) == _bits(*stream.quote[2 * side : 2 * side + 2]):
                tag |= same
                continue
            stream.quote[2 * side : 2 * side + 2] = price, size
            stream.ticks[2 + side] = self._price(stream, price, stream.ticks[2 + side])
            self._size(stream, size)
        return tag

    def _trade(self, stream: Stream, fields: tuple[Any, ...], _: _Digits) -> int:
        _, _, name, price, size, side, _, _, history = fields
        tag = (SELL if side == "sell" else 0) | (HISTORY if history else 0)
        if _is_number(name):
            tag |= NUMBERED
            self._whole(_zigzag(int(name) - stream.trade_id))
            stream.trade_id = int(name)
        else:
            self._text(name)
        stream.ticks[4] = self._price(stream, price, stream.ticks[4])
        self._size(stream, size)
        return tag

    def _price(self, stream: Stream, price: float, before: int) -> int:
        whole, places = _units(price, stream.places[0])
        if whole < 0:
            self._escape(price)
            return before
        if places != stream.places[0]:
            self._out += bytes((0, places))
            stream.places[0] = places
            stream.ticks = [0, 0, 0, 0, 0]
            before = 0
        self._whole(1 + _zigzag(whole - before))
        return whole

    def _size(self, stream: Stream, size: float) -> None:
        whole, places = _units(size, stream.places[1])
        if whole < 0:
            self._escape(size)
            return
        if places != stream.places[1]:
            self._out += bytes((0, places))
            stream.places[1] = places
        self._whole(1 + whole)

    def _escape(self, value: float) -> None:
        self._out += bytes((0, RAW)) + DOUBLE.pack(value)

    def _text(self, text: str) -> None:
        data = text.encode()
        self._whole(len(data))
        self._out += data

    def _whole(self, value: int) -> None:
        while value >= 128:  # noqa: PLR2004 - seven bits a byte
            self._out.append(value & 127 | 128)
            value >>= 7
        self._out.append(value)


_Digits = tuple[list[tuple[int, int, int, int]], ...]
"""Of each side's levels: decimals and digits of the price, of the size."""


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _bits(*values: float) -> bytes:
    return b"".join(map(DOUBLE.pack, values))


def _units(value: float, places: int) -> tuple[int, int]:
    """The value in units of a last decimal, and how many decimals; -1 where it is none such."""
    for at in range(places, MOST_DECIMALS + 1):
        product = value * POWERS[at]
        if not 0.0 <= product <= _EXACT:
            break
        whole = round(product)
        if whole / POWERS[at] == value and math.copysign(1.0, value) > 0:
            return whole, at
    return -1, places


def _is_number(text: str) -> bool:
    """Whether an integer, written out again, is this text."""
    return (
        0 < len(text) <= MOST_DIGITS
        and text.isascii()
        and text.isdigit()
        and (text[0] != "0" or text == "0")
    )


def _is_whole(*values: object) -> bool:
    return all(type(each) is int and -_WIDEST <= each <= _WIDEST for each in values)


def _is_name(text: object) -> bool:
    if type(text) is not str:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fitting(now_ns: int, kind: int, fields: tuple[Any, ...]) -> _Digits | None:
    """The digits of a depth; None where a value of the event has no place in a frame."""
    if not _is_name(fields[0]) or not _is_name(fields[1]) or not _is_whole(now_ns):
        return None
    if kind == QUOTE:
        whole = _is_whole(fields[2], fields[7], fields[8])
        return () if whole and all(type(each) is float for each in fields[3:7]) else None
    if kind == TRADE:
        _, _, name, price, size, side, exchange_ns, recv_ns, history = fields
        good = (
            _is_name(name)
            and type(price) is type(size) is float
            and side in ("buy", "sell")
            and type(history) is bool
            and _is_whole(exchange_ns, recv_ns)
        )
        return () if good else None
    _, _, snapshot, first, last, prev, checksum, bids, asks, *rest, texts, covers = fields
    if type(snapshot) is not bool or not _is_whole(first, last, prev, covers, *rest):
        return None
    if checksum is not None and not _is_whole(checksum):
        return None
    if not (_is_levels(bids) and _is_levels(asks)):
        return None
    if texts is None:
        return ()
    found = tuple(_digits_of(*each) for each in zip((bids, asks), texts, strict=True))
    return None if None in found else found  # type: ignore[return-value]  # none of them is


def _is_levels(levels: Sequence[tuple[float, float]]) -> bool:
    return all(type(price) is type(size) is float for price, size in levels)


def _digits_of(
    levels: Sequence[tuple[float, float]], texts: Sequence[tuple[str, str]]
) -> list[tuple[int, int, int, int]] | None:
    rows = []
    if len(levels) != len(texts):
        return None
    for numbers, written in zip(levels, texts, strict=True):
        row: list[int] = []
        for value, text in zip(numbers, written, strict=True):
            before, point, after = text.partition(".")
            digits = before + after
            if not (
                (_is_number(before) and (not point or after))
                and (not after or (after.isascii() and after.isdigit()))
                and len(digits) <= MOST_DIGITS
                and int(digits) <= _EXACT
                and _bits(int(digits) / POWERS[len(after)]) == _bits(value)
            ):
                return None
            row += len(after), int(digits)
        rows.append((row[0], row[1], row[2], row[3]))
    return rows
