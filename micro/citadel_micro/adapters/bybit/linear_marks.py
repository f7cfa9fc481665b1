"""Mark prices and funding rates of Bybit's perpetuals, from its public tickers.

A ticker begins whole, and then has only what has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.core.model.events import MarkPrice
from citadel_micro.core.model.time_units import MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.instrument import Instrument

_TOPIC: Final = "tickers."


class _Ticker(msgspec.Struct, rename="camel"):
    symbol: str
    mark_price: str = ""
    index_price: str = ""
    funding_rate: str = ""
    next_funding_time: str = ""


class _Frame(msgspec.Struct):
    topic: str = ""
    ts: int = 0
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()


_frame: Final = msgspec.json.Decoder(_Frame).decode
_ticker: Final = msgspec.json.Decoder(_Ticker).decode


@dataclass(slots=True)
class _Known:
    mark: float = 0.0
    index: float = 0.0
    rate: float = 0.0
    funding_ns: int = 0


class LinearMarks:
    """What the tickers of some contracts have said so far.

    Args:
        venue: id.
        instruments: by unified symbol.
    """

    def __init__(self, venue: str, instruments: Mapping[str, Instrument]) -> None:
        self._venue = venue
        self._symbols = {each.venue_symbol: each.symbol for each in instruments.values()}
        self._known: dict[str, _Known] = {}

    def topics(self) -> Iterable[str]:
        """To be subscribed to."""
        return [_TOPIC + name for name in self._symbols]

    def mark(self, data: bytes, now_ns: int) -> MarkPrice | None:
        """The mark price in a frame; None where it has none."""
        try:
            frame = _frame(data)
            if not frame.topic.startswith(_TOPIC):
                return None
            told = _ticker(frame.data)
            symbol = self._symbols.get(told.symbol)
            if symbol is None:
                return None
            known = self._known.setdefault(symbol, _Known())
            known.mark = _float(told.mark_price, known.mark)
            known.index = _float(told.index_price, known.index)
            known.rate = _float(told.funding_rate, known.rate)
            if told.next_funding_time.isdecimal():
                known.funding_ns = int(told.next_funding_time) * MS
        except (msgspec.MsgspecError, ArithmeticError):
            return None
        if known.mark <= 0:
            return None
        at_ns = frame.ts * MS
        return MarkPrice(
            self._venue,
            symbol,
            known.mark,
            known.index,
            known.rate,
            known.funding_ns,
            at_ns,
            now_ns,
        )


def _float(text: str, before: float) -> float:
    """Of a number; ``before`` where none is given. Raises ArithmeticError for what is none."""
    if not text:
        return before
    value = Decimal(text)
    return float(value) if value.is_finite() else before
