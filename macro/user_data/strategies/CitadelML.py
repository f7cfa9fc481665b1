"""LightGBM inside FreqAI, on candles and on micro's order flow.

The model predicts the probability that the price is higher by more than ``cost_bps`` after
``label_period_candles`` candles. An entry needs all of:

1. ``do_predict`` is 1: every feature known, no outlier (see ``CitadelLightGBM``);
2. ``fresh`` is 1: the candle directly follows the one before it, something traded in it, and in a
   live run it is not older than two candles;
3. the probability is among the highest ``1 - rank`` of the last ``window`` candles of its pair.
   This ranks moments; it does not say that the odds are good. (At first the other candles are those
   of the training, which FreqAI predicts for the purpose.);
4. in a live run, micro's book is fresh.

The probability is sent with the order as ``confidence``; micro may reduce or reject on it, never add.

Order flow is recorded while the bot runs and kept in ``user_data/orderflow``; see
``citadel_macro.features`` for how a model is trained when the past has none.

On the simulator the market is synthetic: there is nothing in it for a model to find, which the
log shows (its Brier score beside the base rate's). Use it to see
the machinery.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.strategy import IStrategy

from citadel_macro.features import FLOW_COLUMNS, KNOWN, FlowStore
from citadel_macro.strategy import CitadelStrategy

if TYPE_CHECKING:
    from freqtrade.persistence import Trade
    from pandas import DataFrame

LABEL = "&s-move"
UP = "up"
FLAT = "flat"
FIRST_LOOKS = 2


class CitadelML(CitadelStrategy, IStrategy):
    """Enter where the model's probability of a rise ranks high; exit after the label's horizon."""

    INTERFACE_VERSION = 3

    timeframe = "1m"
    process_only_new_candles = True  # FreqAI keeps one prediction per candle
    startup_candle_count = 60
    can_short = False

    minimal_roi = {"0": 0.01}
    stoploss = -0.05
    use_exit_signal = True

    cost_bps: float = 20.0
    """What a round trip costs: a smaller rise does not count."""
    rank: float = 0.6
    """Quantile of recent probabilities that an entry must reach."""
    window: int = 240
    """Candles over which probabilities are ranked."""
    hold_s: float = 600.0
    """Longest time in a position, in seconds."""
    room_bps: float = 5.0
    """How far beyond the opposite best price an order may chase, in basis points."""

    def bot_start(self, **kwargs: Any) -> None:
        """Open the store of recorded order flow; read parameters from ``citadel_ml``."""
        for name, value in self.config.get("citadel_ml", {}).items():
            setattr(self, name, value)
        folder = Path(self.config["user_data_dir"]) / "orderflow"
        self.flow = FlowStore(folder, timeframe_to_seconds(self.timeframe))
        self._looks: dict[str, int] = {}

    def bot_loop_start(self, current_time: datetime, **kwargs: Any) -> None:
        """Sample every pair's book once per loop."""
        if not self.micro.live or self.dp is None:
            return
        for pair in self.dp.current_whitelist():
            book = self.micro.book(pair)
            if book is not None:
                self.flow.observe(pair, book, current_time.timestamp())
            self._look_again(pair)

    def _look_again(self, pair: str) -> None:
        """Analyze the current candle again when the first model of ``pair`` is ready.

        FreqAI predicts at candles only, the first time for its own history, so the first usable
        prediction would come up to two candles late. It handles the same candle twice correctly.
        """
        looks = self._looks.get(pair, 0)
        known = self.freqai.dd.pair_dict.get(pair)
        ready = known is not None and known["model_filename"]
        if ready and looks < FIRST_LOOKS:
            self._looks[pair] = looks + 1
            self._IStrategy__last_candle_seen_per_pair.pop(pair, None)  # type: ignore[attr-defined]

    # --- features --------------------------------------------------------------------------------

    def feature_engineering_expand_all(
        self, dataframe: DataFrame, period: int, metadata: dict[str, Any], **kwargs: Any
    ) -> DataFrame:
        """Momentum, volatility, distance from the mean and relative volume over ``period``."""
        close, volume = dataframe["close"], dataframe["volume"]
        change = np.log(close).diff()
        spread = close.rolling(period).std()
        dataframe["%-momentum-period"] = change.rolling(period).sum()
        dataframe["%-volatility-period"] = change.rolling(period).std()
        dataframe["%-distance-period"] = (close - close.rolling(period).mean()) / spread.where(
            spread > 0
        )
        mean = volume.rolling(period).mean()
        dataframe["%-volume-period"] = volume / mean.where(mean > 0)
        return dataframe

    def feature_engineering_expand_basic(
        self, dataframe: DataFrame, metadata: dict[str, Any], **kwargs: Any
    ) -> DataFrame:
        """The last candle's return and range."""
        dataframe["%-return"] = dataframe["close"].pct_change()
        dataframe["%-range"] = (dataframe["high"] - dataframe["low"]) / dataframe["close"]
        return dataframe

    def feature_engineering_standard(
        self, dataframe: DataFrame, metadata: dict[str, Any], **kwargs: Any
    ) -> DataFrame:
        """Order flow of the recorded candles, and which ones are recorded."""
        flow = self.flow.joined(metadata["pair"], dataframe["date"])
        for name in (*FLOW_COLUMNS, KNOWN):
            dataframe[f"%-flow_{name}"] = flow[name]
        return dataframe

    def set_freqai_targets(
        self, dataframe: DataFrame, metadata: dict[str, Any], **kwargs: Any
    ) -> DataFrame:
        """Whether the close is higher by more than the costs at the horizon; unknown at the end."""
        self.freqai.class_names = [FLAT, UP]
        horizon = self.freqai_info["feature_parameters"]["label_period_candles"]
        later = dataframe["close"].shift(-horizon) / dataframe["close"] - 1
        label = pd.Series(FLAT, index=dataframe.index, dtype=object)
        label[later > self.cost_bps / 1e4] = UP
        label[later.isna()] = None
        dataframe[LABEL] = label
        return dataframe

    # --- signals ---------------------------------------------------------------------------------

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """FreqAI's prediction, and whether the candle itself may be traded on."""
        dataframe = self.freqai.start(dataframe, metadata, self)
        step = pd.Timedelta(seconds=timeframe_to_seconds(self.timeframe))
        fresh = (dataframe["date"].diff() == step) & (dataframe["volume"] > 0)
        if self.micro.live:
            fresh &= datetime.now(UTC) - dataframe["date"] <= 3 * step
        dataframe["fresh"] = fresh.astype(int)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Conditions 1 to 3."""
        if UP not in dataframe:
            return dataframe  # no model yet, or one trained without any rise
        trusted = (dataframe["do_predict"] == 1) & (dataframe["fresh"] == 1)
        probability = dataframe[UP]
        predicted = probability.where(probability > 0)  # FreqAI fills missing ones with zeros
        bar = predicted.rolling(self.window, min_periods=10).quantile(self.rank)
        enter = trusted & (probability >= bar)
        dataframe.loc[enter, ["enter_long", "enter_tag"]] = (1, "model")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Exits are by profit, stop and time."""
        return dataframe

    def custom_entry_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """Worst price of the entry: a little above the best ask."""
        book = self.micro.book(pair)
        if book is None or not book.fresh:
            return proposed_rate
        return book.best_ask * (1 + self.room_bps / 1e4)

    def custom_exit_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """Worst price of the exit: a little below the best bid."""
        book = self.micro.book(pair)
        if book is None or not book.fresh:
            return proposed_rate
        return book.best_bid * (1 - self.room_bps / 1e4)

    def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
        """Condition 4; pass the probability to micro."""
        if not self.micro.live:
            return True
        book = self.micro.book(pair)
        if book is None or not book.fresh or self.dp is None:
            return False
        candles, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        probability = float(candles[UP].iloc[-1])
        if not 0 <= probability <= 1:  # NaN too
            return False
        self.micro.execution(
            pair, confidence=probability, model_id=self.config["freqai"]["identifier"], tag="model"
        )
        return True

    def custom_exit(
        self, pair: str, trade: Trade, current_time: datetime, **kwargs: Any
    ) -> str | None:
        """Exit ``hold_s`` after the first fill."""
        since = trade.date_entry_fill_utc or trade.open_date_utc
        return "horizon" if (current_time - since).total_seconds() >= self.hold_s else None
