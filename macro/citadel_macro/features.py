"""Order flow per candle, from micro's books, recorded while this bot runs.

Candles have a history, order flow has none: it is known only for candles that were recorded. So each
row says whether it is known, and unknown rows hold zeros with ``known`` 0 instead of NaN. A model
trained before anything was recorded sees constant columns and cannot split on them; it uses them
from the retrainings on that have enough recorded candles. Nothing is invented for the past.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_macro.strategy import BookView

logger = logging.getLogger(__name__)

FLOW_COLUMNS: Final = ("imbalance", "micro_bps", "spread_bps", "flow")
"""Means over the candle: book imbalance in [-1, 1], microprice minus mid and spread in bps of the
mid, signed taker flow in base units per second."""
KNOWN: Final = "known"
MIN_SAMPLES: Final = 3
"""A candle with fewer samples counts as unknown."""
MAX_ROWS: Final = 30 * 1_440


@dataclass(slots=True)
class _Open:
    """The current candle: its start in seconds, and the sum of each column."""

    start: int
    count: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(FLOW_COLUMNS))


class FlowStore:
    """Order flow of recorded candles, kept in one feather file per pair.

    Args:
        folder: where the files are; created with the first one.
        timeframe_s: length of a candle in seconds.
    """

    def __init__(self, folder: Path, timeframe_s: int) -> None:
        self._folder = folder
        self._timeframe_s = timeframe_s
        self._open: dict[str, _Open] = {}
        self._frames: dict[str, pd.DataFrame] = {}

    def observe(self, pair: str, view: BookView, now_s: float) -> None:
        """Add one sample of a fresh book; other books are ignored."""
        if not view.fresh:
            return
        start = int(now_s) // self._timeframe_s * self._timeframe_s
        current = self._open.get(pair)
        if current is None or current.start != start:
            if current is not None and current.count >= MIN_SAMPLES:
                self._close(pair, current)
            current = self._open[pair] = _Open(start)
        mid = view.mid
        sample = (
            view.imbalance,
            (view.microprice - mid) / mid * 1e4,
            view.spread / mid * 1e4,
            view.flow / view.flow_window_s if view.flow_window_s > 0 else 0.0,
        )
        current.count += 1
        current.sums = [total + value for total, value in zip(current.sums, sample, strict=True)]

    def joined(self, pair: str, dates: pd.Series[pd.Timestamp]) -> pd.DataFrame:
        """Columns ``FLOW_COLUMNS`` and ``KNOWN`` for the candles that start at ``dates``."""
        frame = self._frame(pair)
        found = frame.reindex(pd.DatetimeIndex(dates))
        found[KNOWN] = found[FLOW_COLUMNS[0]].notna().astype(float)
        return found.fillna(0.0).set_axis(dates.index)

    def _frame(self, pair: str) -> pd.DataFrame:
        frame = self._frames.get(pair)
        if frame is None:
            path = self._path(pair)
            empty = pd.DataFrame(columns=list(FLOW_COLUMNS), dtype=float)
            empty.index = pd.DatetimeIndex([], tz="UTC", name="date")
            frame = pd.read_feather(path).set_index("date") if path.exists() else empty
            self._frames[pair] = frame
        return frame

    def _close(self, pair: str, candle: _Open) -> None:
        row = pd.DataFrame(
            [[total / candle.count for total in candle.sums]],
            columns=list(FLOW_COLUMNS),
            index=pd.DatetimeIndex([pd.Timestamp(candle.start, unit="s", tz="UTC")], name="date"),
        )
        known = self._frame(pair)
        frame = row if known.empty else pd.concat([known, row])
        frame = frame[~frame.index.duplicated(keep="last")].sort_index().tail(MAX_ROWS)
        # Replaced as a whole: FreqAI's training thread reads while this one writes.
        self._frames[pair] = frame
        path = self._path(pair)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        frame.reset_index().to_feather(part)
        part.replace(path)

    def _path(self, pair: str) -> Path:
        name = pair.replace("/", "_").replace(":", "_")
        return self._folder / f"{name}-{self._timeframe_s}s.feather"
