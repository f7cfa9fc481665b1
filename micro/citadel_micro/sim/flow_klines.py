"""Candles as Binance's klines ask for them: any interval from a second up, in any time zone.

Times are milliseconds since 1970 UTC. ``shift`` is a time zone: minutes ahead of UTC. Candles open and
close where that zone's clock says so; times stay UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.sim.flow_candles import INTERVALS, Candle, next_open, open_minute

if TYPE_CHECKING:
    from citadel_micro.sim.flow_seconds import SecondCandles

SECOND: Final = "1s"
KLINES: Final = (SECOND, *INTERVALS)
_SECOND_MS: Final = 1000
_MINUTE_MS: Final = 60_000


def open_ms(interval: str, at_ms: int, shift: int = 0) -> int:
    """Return when the candle opens that holds a time."""
    if interval == SECOND:
        return at_ms // _SECOND_MS * _SECOND_MS
    return (open_minute(interval, at_ms // _MINUTE_MS + shift) - shift) * _MINUTE_MS


def next_ms(interval: str, opened_ms: int, shift: int = 0) -> int:
    """Return when the candle after the one that opens at ``opened_ms`` opens."""
    if interval == SECOND:
        return opened_ms + _SECOND_MS
    return (next_open(interval, opened_ms // _MINUTE_MS + shift) - shift) * _MINUTE_MS


def candle(store: SecondCandles, interval: str, opened_ms: int, shift: int = 0) -> Candle:
    """Return the candle that opens at ``opened_ms``."""
    if interval == SECOND:
        return store.second(opened_ms // _SECOND_MS)
    end = next_ms(interval, opened_ms, shift)
    return store.span(opened_ms // _MINUTE_MS, end // _MINUTE_MS)


def opens(
    store: SecondCandles,
    interval: str,
    now_ms: int,
    window: tuple[int | None, int | None],
    limit: int,
    *,
    shift: int = 0,
) -> list[int]:
    """Return when the candles open that a klines request is answered with, oldest first.

    Binance's rule: candles with open time in [startTime, endTime] (``window``); with a start, the
    first ``limit`` from there; without, the last ``limit``. The current candle counts.
    """
    start_ms, end_ms = window
    newest = open_ms(interval, now_ms, shift)
    if end_ms is not None:
        newest = min(newest, open_ms(interval, end_ms, shift))
    listed_ms = store.listed * _MINUTE_MS
    if interval == SECOND:
        listed_ms = store.listed_second * _SECOND_MS
    oldest = open_ms(interval, listed_ms, shift)
    out: list[int] = []
    if start_ms is not None:
        opened = open_ms(interval, start_ms, shift)
        if opened < start_ms:
            opened = next_ms(interval, opened, shift)
        opened = max(opened, oldest)
        while opened <= newest and len(out) < limit:
            out.append(opened)
            opened = next_ms(interval, opened, shift)
        return out
    opened = newest
    while opened >= oldest and len(out) < limit:
        out.append(opened)
        opened = open_ms(interval, opened - 1, shift)
    out.reverse()
    return out
