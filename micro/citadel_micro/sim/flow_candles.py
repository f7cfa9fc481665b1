"""Candles of the simulator: drawn for the time before the market, built from trades after it.

Both join at the minute the market started. A candle of the past is a function of (seed, symbol,
minute); a candle of the market is the open, high, low, close and volume of its trades. Longer
intervals are sums of minutes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from citadel_micro.sim.flow_reference import DAY_MINUTES, MINUTE_NS
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.sim.flow_book import Print
    from citadel_micro.sim.flow_reference import ReferencePrice
    from citadel_micro.sim.flow_symbols import FlowSymbol
    from citadel_micro.sim.rng import SplitMix64

HOUR = 60
KEPT_LIVE_MINUTES = 90 * DAY_MINUTES
_KEPT_HOURS = 24 * 200
_CLIPS_A_TRADE = 5.0  # the mean of a trade's size in its median
_WEEK = 7 * DAY_MINUTES
_MONDAY = 4 * DAY_MINUTES  # 1970-01-05, the first Monday of the epoch
_MONTH = 0  # not a fixed number of minutes

# Binance spot's intervals from one minute up, in minutes.
INTERVALS: dict[str, int] = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30,
    "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
    "1d": DAY_MINUTES, "3d": 3 * DAY_MINUTES, "1w": _WEEK, "1M": _MONTH,
}  # fmt: skip


@dataclass(slots=True)
class Candle:
    """One candle. Prices in ticks, volumes in lots, quote volumes in ticks times lots.

    ``first_id`` and ``last_id`` are trade ids, -1 when there was no trade or they are unknown.
    """

    minute: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    quote: int = 0
    trades: int = 0
    buy_lots: int = 0
    buy_quote: int = 0
    first_id: int = -1
    last_id: int = -1

    def add(self, later: Candle) -> None:
        """Append a later candle to this one."""
        if later.trades and not self.trades:
            # Minutes without trades repeat the close before them; the first trade opens.
            self.open = self.high = self.low = later.open
        if later.trades or not self.trades:
            self.high = max(self.high, later.high)
            self.low = min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.quote += later.quote
        self.trades += later.trades
        self.buy_lots += later.buy_lots
        self.buy_quote += later.buy_quote
        if self.first_id < 0:
            self.first_id = later.first_id
        if later.last_id >= 0:
            self.last_id = later.last_id

    def count(self, trade: Print) -> None:
        """Add a trade."""
        if not self.trades:
            self.open = self.high = self.low = trade.ticks
            self.first_id = trade.trade_id
        self.high = max(self.high, trade.ticks)
        self.low = min(self.low, trade.ticks)
        self.close = trade.ticks
        self.lots += trade.lots
        self.quote += trade.ticks * trade.lots
        self.trades += 1
        self.last_id = trade.trade_id
        if not trade.buyer_is_maker:
            self.buy_lots += trade.lots
            self.buy_quote += trade.ticks * trade.lots


def _month_of(day: int) -> tuple[int, int]:
    """Return (first day, first day of the next month) around a day since 1970.

    Civil calendar by the usual 400-year-era arithmetic, counting years from March.
    """
    shifted = day + 719_468
    day_of_era = shifted % 146_097
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    first = day - (day_of_year - (153 * month + 2) // 5)
    # 28 days in is always the same month, 32 days in always the next.
    if month == 11:  # noqa: PLR2004 - February, counted from March
        leap = (year + 1) % 4 == 0 and ((year + 1) % 100 != 0 or (year + 1) % 400 == 0)
        return first, first + (29 if leap else 28)
    return first, first + (153 * (month + 1) + 2) // 5 - (153 * month + 2) // 5


def open_minute(interval: str, minute: int) -> int:
    """Return the minute at which the candle that holds ``minute`` opens (UTC).

    Weeks begin on Monday, months on their first day, everything else counts from 1970.
    """
    length = INTERVALS[interval]
    if length == _MONTH:
        return _month_of(minute // DAY_MINUTES)[0] * DAY_MINUTES
    if length == _WEEK:
        return (minute - _MONDAY) // _WEEK * _WEEK + _MONDAY
    return minute // length * length


def next_open(interval: str, opened: int) -> int:
    """Return the minute at which the candle after the one opened at ``opened`` opens."""
    length = INTERVALS[interval]
    if length == _MONTH:
        return _month_of(opened // DAY_MINUTES)[1] * DAY_MINUTES
    return opened + length


class CandleStore:
    """All candles of one symbol.

    ``start`` is the first minute built from trades, ``listed`` the first minute there is.
    """

    def __init__(
        self,
        item: FlowSymbol,
        reference: ReferencePrice,
        start: int,
        history_minutes: int,
        last_trade_id: int = 0,
    ) -> None:
        """Join drawn history of the given length to a market that starts at minute ``start``.

        ``last_trade_id`` is the id before the market's first trade: history's are counted back from
        it. Without one (0) they are unknown.
        """
        self.listed = start - history_minutes
        self.start = start
        self._spec = item.spec
        self._flow = item.flow
        self._reference = reference
        self._tick = item.spec.tick_e8 / 1e8
        self._lot = item.spec.lot_e8 / 1e8
        self._live: dict[int, Candle] = {}
        self._now = start - 1
        self._close = self._node(start)
        self._hours: OrderedDict[int, Candle] = OrderedDict()
        quote_a_trade = _CLIPS_A_TRADE * item.flow.clip_quote
        self._pace = max(1, round(item.flow.minute_quote / quote_a_trade))
        self._ids = last_trade_id + 1 - self._counted(start) if last_trade_id else None

    @property
    def symbol(self) -> str:
        """Return the unified symbol."""
        return self._spec.symbol

    def stream(self, purpose: str, minute: int) -> SplitMix64:
        """Return the symbol's random stream for one purpose in one minute of the past."""
        return self._reference.stream(purpose, minute)

    @property
    def now(self) -> int:
        """Return the current minute."""
        return self._now

    def _node(self, minute: int) -> int:
        return max(1, round(math.exp(self._reference.log_price(minute)) / self._tick))

    def _counted(self, minute: int) -> int:
        """Return how many trades the past has had before a minute, from 1970 on.

        Between ``_pace * minute`` and one pace more, so that any minute is found without the others.
        """
        return self._pace * minute + int(
            self._pace * self._reference.stream("count", minute).uniform()
        )

    def roll(self, minute: int) -> None:
        """Open candles up to a minute: without trades they repeat the last close, as Binance's."""
        while self._now < minute:
            self._now += 1
            close = self._close
            self._live[self._now] = Candle(self._now, close, close, close, close)
            if len(self._live) > KEPT_LIVE_MINUTES:
                oldest = next(iter(self._live))
                del self._live[oldest]
                self.listed = oldest + 1

    def on_trade(self, trade: Print) -> None:
        """Add a trade to its minute.

        Raises:
            InvariantError: for a trade before the current minute.
        """
        minute = trade.time_ns // MINUTE_NS
        self.roll(minute)
        if minute < self._now:
            msg = f"trade {trade.trade_id} of {trade.symbol} is older than the current minute"
            raise InvariantError(msg)
        self._close = trade.ticks
        self._live[minute].count(trade)

    def _drawn(self, minute: int) -> Candle:
        """Draw a candle of the past.

        Open and close are the reference price; the extremes have the distribution of a Brownian
        bridge's maximum and minimum (each exactly, drawn independently); volume follows the
        variance regime and the size of the move (Karpoff 1987: volume rises with both).
        """
        reference = self._reference
        a, b = reference.log_price(minute), reference.log_price(minute + 1)
        vol = reference.minute_vol(minute)
        rng = reference.stream("candle", minute)
        move = b - a
        up = math.sqrt(move * move - 2.0 * vol * vol * math.log(1.0 - rng.uniform()))
        down = math.sqrt(move * move - 2.0 * vol * vol * math.log(1.0 - rng.uniform()))
        opened, close = self._node(minute), self._node(minute + 1)
        high = max(opened, close, round(math.exp((a + b + up) / 2.0) / self._tick))
        low = max(1, min(opened, close, round(math.exp((a + b - down) / 2.0) / self._tick)))
        activity = min(max(math.sqrt(reference.variance_factor(minute)), 0.5), 2.0)
        size = abs(move) / vol
        quote = self._flow.minute_quote * activity * (0.55 + 0.55 * size)
        quote *= math.exp(0.35 * rng.gauss() - 0.06)
        before, after = self._counted(minute), self._counted(minute + 1)
        lots = max(after - before, round(quote / (math.exp(a) * self._lot)))
        mean4 = opened + high + low + close
        share = 0.5 + 0.3 * math.tanh(move / vol) + 0.06 * rng.gauss()
        buy_lots = round(lots * min(max(share, 0.02), 0.98))
        return Candle(
            minute, opened, high, low, close, lots, lots * mean4 // 4,
            after - before, buy_lots, buy_lots * mean4 // 4,
            self._id(before), self._id(after - 1),
        )  # fmt: skip

    def _id(self, counted: int) -> int:
        """Return the id of a trade of the past; -1 where it is unknown."""
        number = -1 if self._ids is None else self._ids + counted
        return number if number > 0 else -1

    def minute(self, minute: int) -> Candle:
        """Return the 1m candle of a minute in [``listed``, ``now``]."""
        return self._live[minute] if minute >= self.start else self._drawn(minute)

    def close_before(self, minute: int) -> int | None:
        """Return the last price before a minute; None where history begins."""
        return self.minute(minute - 1).close if minute > self.listed else None

    def _hour(self, hour: int) -> Candle:
        """Return a whole, closed hour."""
        cached = self._hours.get(hour)
        if cached is None:
            cached = self._sum_minutes(hour * HOUR, (hour + 1) * HOUR)
            self._hours[hour] = cached
            if len(self._hours) > _KEPT_HOURS:
                self._hours.popitem(last=False)
        return cached

    def _sum_minutes(self, first: int, end: int) -> Candle:
        total = self._copy(self.minute(first), first)
        for minute in range(first + 1, end):
            total.add(self.minute(minute))
        return total

    @staticmethod
    def _copy(candle: Candle, minute: int) -> Candle:
        return Candle(
            minute, candle.open, candle.high, candle.low, candle.close, candle.lots, candle.quote,
            candle.trades, candle.buy_lots, candle.buy_quote, candle.first_id, candle.last_id,
        )  # fmt: skip

    def span(self, opened: int, end: int) -> Candle:
        """Sum the minutes in [``opened``, ``end``) that exist; at least one of them must.

        Raises:
            InvariantError: when none does.
        """
        first = max(opened, self.listed)
        last = min(end, self._now + 1)
        if first >= last:
            msg = f"no minute in [{opened}, {end}) of {self._spec.symbol}"
            raise InvariantError(msg)
        total: Candle | None = None
        minute = first
        while minute < last:
            if minute % HOUR == 0 and minute + HOUR <= last and minute + HOUR <= self._now:
                piece = self._hour(minute // HOUR)
                step = HOUR
            else:
                piece = self.minute(minute)
                step = 1
            if total is None:
                total = self._copy(piece, opened)
            else:
                total.add(piece)
            minute += step
        if total is None:
            msg = "a non-empty span gave no candle"
            raise InvariantError(msg)
        return total
