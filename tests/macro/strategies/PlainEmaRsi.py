"""A strategy as they are published everywhere: two averages, an oscillator, nothing of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import talib.abstract as ta
from freqtrade.strategy import IStrategy

if TYPE_CHECKING:
    from pandas import DataFrame


class PlainEmaRsi(IStrategy):
    """Long while the fast average is above the slow one and the oscillator is not stretched."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi = {"60": 0.002, "30": 0.004, "0": 0.008}
    stoploss = -0.02
    startup_candle_count = 50

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=9)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=21)
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        up = (dataframe["fast"] > dataframe["slow"]) & (dataframe["rsi"] < 70)
        dataframe.loc[up & (dataframe["volume"] > 0), "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        down = (dataframe["fast"] < dataframe["slow"]) | (dataframe["rsi"] > 80)
        dataframe.loc[down, "exit_long"] = 1
        return dataframe
