"""Tickers over other windows than 24 hours, as Binance spot answers them.

``ticker`` is a rolling window that opens on a whole minute; ``ticker/tradingDay`` is the calendar day
of a time zone.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.flow_candles import HOUR
from citadel_micro.sim.flow_klines import next_ms, open_ms
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator import payloads
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.flow_candles import Candle, CandleStore
    from citadel_micro.sim.flow_symbols import SymbolSpec
    from citadel_micro.simulator.query import Query

WINDOWS: Final = {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY_MINUTES}
"""Windows that have streams, in minutes."""
_LONGEST_HOLD_S: Final = 0.005
_SIZES: Final = {"m": (1, 59), "h": (HOUR, 23), "d": (DAY_MINUTES, 7)}


def window_minutes(query: Query) -> int:
    """Return ``windowSize`` in minutes: 1m to 59m, 1h to 23h, 1d to 7d.

    Raises:
        ApiError: -1130 for another.
    """
    text = query.optional("windowSize") or "1d"
    form = re.fullmatch(r"([1-9][0-9]?)([mhd])", text)
    if form is not None:
        unit, most = _SIZES[form[2]]
        if int(form[1]) <= most:
            return int(form[1]) * unit
    raise ApiError(-1130, "Data sent for parameter 'windowSize' is not valid.")


def rolling(store: CandleStore, minutes: int) -> Candle:
    """Sum a window that opens on a whole minute and ends now, up to a minute longer than asked."""
    return store.span(store.now - minutes, store.now + 1)


async def draw(store: CandleStore, first: int, end: int) -> None:
    """Draw the history of [``first``, ``end``), letting the market move meanwhile."""
    yielded = time.monotonic()
    for hour in range(max(first, store.listed) // HOUR, min(end, store.now) // HOUR):
        if hour * HOUR >= store.listed:
            store.span(hour * HOUR, (hour + 1) * HOUR)
        if time.monotonic() - yielded > _LONGEST_HOLD_S:
            await asyncio.sleep(0)
            yielded = time.monotonic()


def ticker_type(query: Query) -> str:
    """Return ``type``.

    Raises:
        ApiError: -1139 when it is neither FULL nor MINI.
    """
    kind = query.optional("type") or "FULL"
    if kind not in {"FULL", "MINI"}:
        raise ApiError(-1139, "Invalid ticker type.")
    return kind


async def rolling_row(
    spec: SymbolSpec, store: CandleStore, minutes: int, kind: str, now_ms: int
) -> payloads.Json:
    """Answer the ticker of a rolling window."""
    await draw(store, store.now - minutes, store.now)
    return _row(spec, rolling(store, minutes), kind, now_ms)


def day_row(
    spec: SymbolSpec, store: CandleStore, shift: int, kind: str, now_ms: int
) -> payloads.Json:
    """Answer the ticker of the calendar day, ``shift`` minutes ahead of UTC."""
    opened = open_ms("1d", now_ms, shift)
    end = next_ms("1d", opened, shift)
    day = store.span(opened // payloads.MINUTE_MS, end // payloads.MINUTE_MS)
    return _row(spec, day, kind, end - 1)


def _row(spec: SymbolSpec, window: Candle, kind: str, close_ms: int) -> payloads.Json:
    if kind == "MINI":
        return payloads.mini_ticker_row(spec, window, close_ms * payloads.MS_NS)
    return payloads.window_row(spec, window, close_ms)
