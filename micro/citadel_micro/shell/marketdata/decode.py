"""What every venue's decoder shares: bytes of one frame in, normalized events out, no sockets.

Numbers are decoded by msgspec straight into floats, with their bounds as part of the type, so that
a NaN, an infinity, a negative size or a zero price is rejected while decoding, at no cost. Any
frame that is not what the venue documents raises ``VenueViolation`` and nothing else.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, Protocol

import msgspec

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Price = Annotated[float, msgspec.Meta(gt=0, le=1e18)]
"""A price of a level. The upper bound rejects infinity; no instrument comes near it."""
Size = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
"""A size, or a price that may be 0 where the venue means that there is none."""
Level = tuple[Price, Size]
Whole = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""An integer of the venue's, with room for arithmetic: beyond 64 bits it cannot be encoded."""
Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]
"""Milliseconds since the Unix epoch, to the year 2255: as nanoseconds they fit into 64 bits."""
Moment = Annotated[float, msgspec.Meta(ge=0, le=9_000_000_000_000)]
"""The same with a fraction."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=9_000_000_000)]
"""The same in seconds."""

MS_NS: Final = 1_000_000
_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
SHOWN: Final = 200
"""Bytes of an offending frame that go into the error."""

DECODE_ERRORS: Final = (
    msgspec.MsgspecError,
    KeyError,
    IndexError,
    ValueError,  # includes UnicodeDecodeError
    OverflowError,
    RecursionError,
    zlib.error,
)
"""What decoding arbitrary bytes may raise; anything else is our bug."""

# Creating a named tuple through its own constructor parses keywords; this takes half the time.
make: Final = tuple.__new__


class Control(NamedTuple):
    """A message about the connection, for the feed engine and not for the books."""

    kind: Literal["ack", "refused", "shutdown", "lost", "pong", "answer"]
    """ack: a subscription is confirmed. refused: it is rejected. shutdown: the venue asks to reconnect.
    lost: frames of this connection are missing. pong: a heartbeat. answer: reply to ``text``."""
    symbol: str
    """Venue symbol; empty for the whole connection or where the venue does not say."""
    text: str
    """The venue's own text."""
    request: int = -1
    """Number of the request that this answers, where the venue numbers them."""


MarketEvent = DepthUpdate | QuoteTick | TradeTick
FeedEvent = MarketEvent | Control


class Decoder(Protocol):
    """Decoder of one connection. Holds the connection's state, such as its sequence."""

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""

    def rest(self, symbol: str, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one HTTP answer, a snapshot of this venue symbol. Raises VenueViolation."""


class BringsSnapshots:
    """The part of a decoder whose venue's stream brings its own snapshots: none comes over HTTP."""

    __slots__ = ()
    _venue: str

    def rest(self, symbol: str, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:  # noqa: ARG002
        """Raises VenueViolation."""
        raise violation(self._venue, data, "no HTTP snapshot is expected")


class Symbols(dict[str, str]):
    """Venue symbol to unified symbol, filled by rule where no instrument gives it."""

    __slots__ = ("_unify",)

    def __init__(self, unify: Callable[[str], str]) -> None:
        super().__init__()
        self._unify = unify

    def __missing__(self, venue_symbol: str) -> str:
        """Derive it once."""
        unified = self._unify(venue_symbol)
        if len(self) < 100_000:  # noqa: PLR2004 - garbage names must not fill the memory
            self[venue_symbol] = unified
        return unified


_SECONDS: Final[dict[str, int]] = {}
"""Nanoseconds since the Unix epoch of recent seconds: most frames share theirs with others."""
_SECOND: Final = 19
"""Length of ``2021-04-17T16:43:37``."""
_MICROS: Final = 27
"""Length of that with microseconds and a Z."""
_SCALE: Final[tuple[int, ...]] = (0, *(10 ** (9 - digits) for digits in range(1, 10)))
"""Nanoseconds of one unit of the last digit, by the number of digits after the point."""


def iso_ns(text: str) -> int:
    """``2021-04-17T16:43:37.085687Z`` in nanoseconds since the Unix epoch, exactly.

    Raises ValueError for anything else than a UTC time of that form.
    """
    start = _SECONDS.get(text[:_SECOND])
    if start is None:
        start = _second_ns(text[:_SECOND])
    if len(text) == _MICROS and text[_SECOND] == "." and text[-1] == "Z":  # nearly all
        digits = text[_SECOND + 1 : -1]
        if digits.isdecimal():
            return start + int(digits) * 1_000
    rest = text[_SECOND:].removesuffix("Z").removesuffix("+00:00")
    if not rest:
        return start
    digits = rest[1:10]
    if rest[0] != "." or (digits and not digits.isdecimal()):
        raise ValueError(f"{text!r} is not a time in UTC")
    return start + int(digits or 0) * _SCALE[len(digits)]


def _second_ns(text: str) -> int:
    if len(text) < _SECOND or text[10] not in "T " or not "1970" <= text[:4] <= "2255":
        raise ValueError(f"{text!r} is not a time")
    day = datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    seconds = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
    if len(_SECONDS) >= 1_000:  # noqa: PLR2004 - neither time nor garbage may fill the memory
        _SECONDS.clear()
    start = _SECONDS[text] = (int(day.timestamp()) + seconds) * 1_000_000_000
    return start


def oldest_first(ticks: list[TradeTick]) -> list[TradeTick]:
    """Trades of one message in the order in which they happened; many venues send the last first.

    Sorts the list itself. For trades of the same time the venue's order counts, or its reverse where
    its numbers decrease.
    """
    if len(ticks) > 1:
        if _moment(ticks[0]) > _moment(ticks[-1]):
            ticks.reverse()
        ticks.sort(key=_exchange_ns)
    return ticks


_exchange_ns: Final = attrgetter("exchange_ns")


def _moment(tick: TradeTick) -> tuple[int, int]:
    return tick.exchange_ns, int(tick.trade_id) if tick.trade_id.isdecimal() else 0


def one_sided(bid: float, ask: float) -> bool:
    """Whether a best bid and ask lack a side (0). Raises ValueError if they are crossed."""
    if not bid or not ask:
        return True
    if bid >= ask:
        raise ValueError(f"bid {bid} is not below ask {ask}")
    return False


def violation(venue: str, data: bytes, error: object) -> VenueViolation:
    """The error for a frame that is not what the venue documents, with the start of the frame."""
    text = data[:SHOWN].decode("utf-8", "backslashreplace")
    more = f"... ({len(data)} bytes)" if len(data) > SHOWN else ""
    return VenueViolation(f"{venue}: {error}; frame: {text}{more}")


def is_beside(data: bytes, beside: Iterable[bytes]) -> bool:
    """Whether an unreadable frame is known to be of another channel than the book's.

    ``beside`` as in the venue's spec. A frame cut before its channel counts as the book's.
    """
    return any(mark in data for mark in beside)


def mentioned(data: bytes, natives: Iterable[str]) -> list[str]:
    """The venue symbols that an unreadable frame names: the books that it may have damaged.

    Only whole names count: BTCUSDT is not found in ABTCUSDT, nor BTC-USDT in BTC-USDT-SWAP, nor either
    where the frame is cut directly after it. A name that is not ASCII may be written with escapes.
    """
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), data.decode("utf-8", "replace"))
    text = text.upper()
    return [
        native
        for native in natives
        if re.search(rf"(?<![\w-]){re.escape(native.upper())}(?![\w-]|\Z)", text)
    ]
