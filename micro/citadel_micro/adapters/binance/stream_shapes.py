"""What Binance's streams are made of, for frames that are read at once (``shell.marketdata.forms``).

The decoder of ``market_data`` reads the first frame of a stream, and every later one that differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.forms import NO_FIELD, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.marketdata.forms import Hole

_CHECKED_TIME: Final[Hole] = ("millis", NO_FIELD)


_DATA: Final = frozenset({"data"})


def shape_of(
    kind: bytes, venue: str, symbol: str, native: str, name: bytes, *, engine_time: bool
) -> Shape | None:
    """The shape of a stream's frames; None for a stream that is not read.

    Args:
        kind: what follows the symbol in the stream's name.
        venue: of its events.
        symbol: of its events.
        native: the symbol in its frames.
        name: of the stream.
        engine_time: they have the matching engine's time T; spot's changes of the book have none, so their
            event's time E counts.
    """
    named = {"stream": b'"%s"' % name, "s": b'"%s"' % native.encode()}
    if kind.startswith(b"depth"):
        times: Mapping[str, Hole] = (
            {"T": ("millis", 9), "E": _CHECKED_TIME} if engine_time else {"E": ("millis", 9)}
        )
        return Shape(
            event=DepthUpdate,
            fields=(venue, symbol, False, 0, 0, -1, None, (), (), 0, 0, None, 0),
            recv=10,
            holes={
                "U": ("whole", 3),
                "u": ("whole", 4),
                "pu": ("whole", 5),
                "b": ("pairs", 7),
                "a": ("pairs", 8),
                **times,
            },
            inside=_DATA,
            same={**named, "e": b'"depthUpdate"'},
        )
    if kind == b"bookTicker":
        return Shape(
            event=QuoteTick,
            fields=(venue, symbol, 0, 0.0, 0.0, 0.0, 0.0, 0, 0),
            recv=8,
            holes={
                "u": ("whole", 2),
                "b": ("above", 3),
                "B": ("number", 4),
                "a": ("number", 5),
                "A": ("number", 6),
                "T": ("millis", 7),
            },
            inside=_DATA,
            same={**named, "e": b'"bookTicker"'},
            rising=(3, 5),
        )
    if kind in (b"trade", b"aggTrade"):
        # A trade has its own number t, several as one have theirs, a, and no other.
        one = kind == b"trade"
        numbers: Mapping[str, Hole] = (
            {"t": ("digits", 2), "a": ("whole", NO_FIELD)} if one else {"a": ("digits", 2)}
        )
        return Shape(
            event=TradeTick,
            fields=(venue, symbol, "", 0.0, 0.0, "buy", 0, 0, False),
            recv=7,
            holes={
                **numbers,
                "p": ("above", 3),
                "q": ("above", 4),
                "m": ("flag", 5),
                "T": ("millis", 6),
            },
            inside=_DATA,
            same={**named, "e": b'"%s"' % kind, "X": b'"MARKET"', **({} if one else {"t": b""})},
            flags=("sell", "buy"),  # m: the buyer was resting, so the seller took
        )
    return None
