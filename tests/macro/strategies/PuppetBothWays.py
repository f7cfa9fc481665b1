"""A futures strategy that trades when a person says so, long and short, at three times its stake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqtrade.strategy import IStrategy

if TYPE_CHECKING:
    from datetime import datetime

    from freqtrade.persistence import Trade
    from pandas import DataFrame


class PuppetBothWays(IStrategy):
    """Stock Freqtrade, on strings."""

    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = True
    startup_candle_count = 0
    minimal_roi = {"0": 10}
    stoploss = -0.5
    use_custom_stoploss = True

    def custom_stoploss(  # noqa: PLR0917 - Freqtrade's
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,
        current_rate: float,
        current_profit: float,
        after_fill: bool,
        **kwargs: Any,
    ) -> float | None:
        """Close to the market once a test has put a file of this name where it looks."""
        near = Path(self.config["user_data_dir"]) / f"stop {pair.partition('/')[0]}"
        return -0.0003 if near.exists() else None

    def leverage(  # noqa: PLR0917 - Freqtrade's
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_leverage: float,
        max_leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        return 3.0

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe
