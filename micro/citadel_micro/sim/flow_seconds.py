"""Candles of one second: built from trades, and before the market drawn within their minute.

The sixty seconds of a drawn minute add up to it exactly: volumes, numbers of trades, extremes. Drawn
seconds are a function of (seed, symbol, minute) like their minute.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.rolling_sums import added
from citadel_micro.sim.flow_candles import Candle, CandleStore
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.sim.flow_book import Print
    from citadel_micro.sim.flow_reference import ReferencePrice
    from citadel_micro.sim.flow_symbols import FlowSymbol
    from citadel_micro.sim.rng import SplitMix64

SECONDS = 60
KEPT_LIVE_SECOND_MINUTES = 360
"""Minutes of the market whose seconds are kept: some 25 MB a busy symbol."""
_KEPT_DRAWN = 64
_SECOND_NS = 1_000_000_000


class SecondCandles(CandleStore):
    """All candles of one symbol, those of a second among them.

    ``listed_second`` is the first second there is.
    """

    def __init__(
        self,
        item: FlowSymbol,
        reference: ReferencePrice,
        start: int,
        history_minutes: int,
        last_trade_id: int = 0,
    ) -> None:
        """See ``CandleStore``."""
        super().__init__(item, reference, start, history_minutes, last_trade_id)
        self._traded: OrderedDict[int, Candle] = OrderedDict()  # seconds with trades only
        self._first_kept = start
        self._drawn_seconds: OrderedDict[int, list[Candle]] = OrderedDict()

    @property
    def listed_second(self) -> int:
        """Return the first second, counted from 1970, that can be asked for."""
        kept = self.listed if self._first_kept == self.start else self._first_kept
        return max(kept, self.listed) * SECONDS

    def roll(self, minute: int) -> None:
        """Open candles up to a minute, and let old seconds go."""
        super().roll(minute)
        self._first_kept = max(self._first_kept, minute - KEPT_LIVE_SECOND_MINUTES)
        while self._traded and next(iter(self._traded)) < self._first_kept * SECONDS:
            self._traded.popitem(last=False)

    def on_trade(self, trade: Print) -> None:
        """Add a trade to its minute and its second."""
        super().on_trade(trade)
        second = trade.time_ns // _SECOND_NS
        candle = self._traded.get(second)
        if candle is None:
            ticks = trade.ticks
            candle = self._traded[second] = Candle(second // SECONDS, ticks, ticks, ticks, ticks)
        candle.count(trade)

    def second(self, second: int) -> Candle:
        """Return the candle of a second (since 1970) from ``listed_second`` to the current minute.

        Raises:
            InvariantError: for another.
        """
        minute = second // SECONDS
        if not self.listed_second <= second < (self.now + 1) * SECONDS:
            msg = f"no second {second} of {self.symbol}"
            raise InvariantError(msg)
        if minute < self.start:
            return self._seconds_of(minute)[second % SECONDS]
        traded = self._traded.get(second)
        if traded is not None:
            return traded
        close = self._close_before(second)
        return Candle(minute, close, close, close, close)

    def _close_before(self, second: int) -> int:
        """Return the price of the last trade before a second without trades."""
        minute = second // SECONDS
        for earlier in range(second - 1, minute * SECONDS - 1, -1):
            traded = self._traded.get(earlier)
            if traded is not None:
                return traded.close
        close = self.close_before(minute)
        return self.minute(minute).open if close is None else close

    def _seconds_of(self, minute: int) -> list[Candle]:
        """Return the sixty seconds of a minute of the past."""
        drawn = self._drawn_seconds.get(minute)
        if drawn is None:
            drawn = _draw(self.minute(minute), self.stream("second", minute))
            self._drawn_seconds[minute] = drawn
            if len(self._drawn_seconds) > _KEPT_DRAWN:
                self._drawn_seconds.popitem(last=False)
        return drawn


def _draw(whole: Candle, rng: SplitMix64) -> list[Candle]:
    """Divide a minute among its seconds."""
    trades = _shares(whole.trades, [rng.exponential() for _ in range(SECONDS)])
    busy = [place for place, count in enumerate(trades) if count]
    more = _shares(whole.lots - whole.trades, [0.1 + rng.exponential() for _ in busy])
    lots = [trades[place] + extra for place, extra in zip(busy, more, strict=True)]
    closes = _path(whole, len(busy), rng)
    parts: list[Candle] = []
    opened = whole.open
    for count, close in zip(lots, closes, strict=True):
        high, low = max(opened, close), min(opened, close)
        parts.append(Candle(whole.minute, opened, high, low, close, count))
        opened = close
    parts[max(range(len(parts)), key=lambda at: parts[at].high)].high = whole.high
    parts[min(range(len(parts)), key=lambda at: parts[at].low)].low = whole.low
    _set_quotes(parts, whole)
    _set_bought(parts, whole)
    number = whole.first_id
    for place, part in zip(busy, parts, strict=True):
        part.trades = trades[place]
        if number >= 0:
            part.first_id, part.last_id = number, number + part.trades - 1
            number += part.trades
    return _with_quiet(whole, dict(zip(busy, parts, strict=True)))


def _with_quiet(whole: Candle, busy: dict[int, Candle]) -> list[Candle]:
    """Fill in the seconds without trades: they repeat the close before them."""
    out: list[Candle] = []
    close = whole.open
    for place in range(SECONDS):
        part = busy.get(place)
        if part is None:
            part = Candle(whole.minute, close, close, close, close)
        out.append(part)
        close = part.close
    return out


def _shares(total: int, weights: list[float]) -> list[int]:
    """Divide a whole number by weights; the parts add up to it."""
    scale = total / added(weights)
    out: list[int] = []
    given, reached = 0, 0.0
    for weight in weights[:-1]:
        reached += weight
        upto = min(int(scale * reached), total)
        out.append(upto - given)
        given = upto
    return [*out, total - given]


def _path(whole: Candle, steps: int, rng: SplitMix64) -> list[int]:
    """Draw closes from the open to the close of a minute, within its range."""
    walk = [0.0]
    for _ in range(steps):
        walk.append(walk[-1] + rng.gauss())
    width = (whole.high - whole.low) / (2.0 * steps**0.5)
    closes: list[int] = []
    for step in range(1, steps + 1):
        along = step / steps
        bridge = walk[step] - along * walk[steps]
        price = whole.open + along * (whole.close - whole.open) + width * bridge
        closes.append(min(max(round(price), whole.low), whole.high))
    closes[-1] = whole.close
    return closes


def _set_quotes(parts: list[Candle], whole: Candle) -> None:
    """Give every second a turnover within its range, all of them that of the minute.

    Where the ranges do not allow it, some are widened up to the minute's own.
    """
    for part in parts:
        part.quote = part.lots * (part.open + part.high + part.low + part.close) // 4
    missing = whole.quote - sum(part.quote for part in parts)
    for widen in (False, True):
        for part in parts:
            if not missing:
                return
            if widen and missing > 0:
                part.high = whole.high
            elif widen:
                part.low = whole.low
            least, most = part.lots * part.low, part.lots * part.high
            change = max(min(missing, most - part.quote), least - part.quote)
            part.quote += change
            missing -= change


def _set_bought(parts: list[Candle], whole: Candle) -> None:
    """Divide what takers bought in proportion to what was traded."""
    traded = bought = worth = 0
    for part in parts:
        traded += part.lots
        upto = whole.buy_lots * traded // whole.lots
        part.buy_lots = upto - bought
        bought = upto
        part.buy_quote = part.quote * part.buy_lots // part.lots
        worth += part.buy_quote
    missing = whole.buy_quote - worth  # fractions that were cut: some ticks times lots
    for part in parts:
        sold = part.lots - part.buy_lots
        most = min(part.high * part.buy_lots, part.quote - part.low * sold)
        least = max(part.low * part.buy_lots, part.quote - part.high * sold)
        change = max(min(missing, most - part.buy_quote), least - part.buy_quote)
        part.buy_quote += change
        missing -= change
    parts[-1].buy_quote += missing
