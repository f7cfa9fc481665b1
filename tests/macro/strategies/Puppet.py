"""A strategy that enters and leaves when a test says so. It knows nothing of micro."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freqtrade.strategy import IStrategy

if TYPE_CHECKING:
    from pandas import DataFrame


class Puppet(IStrategy):
    """Stock Freqtrade, on strings."""

    INTERFACE_VERSION = 3
    timeframe = "1m"
    process_only_new_candles = False
    startup_candle_count = 0
    minimal_roi = {"0": 10}
    stoploss = -0.5
    use_exit_signal = True

    enter: set[str] = set()
    leave: set[str] = set()
    adjust: dict[str, float] = {}
    """Stake to add to (or, below zero, to take from) the trade of a pair, once."""
    position_adjustment_enable = True

    def bot_start(self, **kwargs: Any) -> None:
        """Strings for a Freqtrade in another process, which a test cannot reach."""
        self.enter = set(self.config.get("puppet_enter", ()))
        self.leave = set(self.config.get("puppet_leave", ()))

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        if metadata["pair"] in self.enter:
            dataframe.loc[:, ["enter_long", "enter_tag"]] = (1, "puppet")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe

    def custom_exit(self, pair: str, **kwargs: Any) -> str | None:
        return "told" if pair in self.leave else None

    def adjust_trade_position(self, trade: Any, **kwargs: Any) -> float | None:
        return self.adjust.pop(trade.pair, None)
